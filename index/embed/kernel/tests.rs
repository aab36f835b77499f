#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::pack::{Panels, QuantizedPanels};
use super::*;

/// A product of random numbers, with the exact answer in double precision.
struct Case {
    rows: usize,
    depth: usize,
    columns: usize,
    left: Vec<f32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    exact: Vec<f64>,
}

impl Case {
    fn new(rows: usize, depth: usize, columns: usize, seed: u64) -> Case {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut numbers = |count: usize| (0..count).map(|_| dice.random_range(-1.0..1.0)).collect::<Vec<f32>>();
        let (left, weights, bias) = (numbers(rows * depth), numbers(columns * depth), numbers(columns));
        let mut exact = Vec::new();
        for row in left.chunks_exact(depth) {
            for (weights, bias) in weights.chunks_exact(depth).zip(&bias) {
                let products = row.iter().zip(weights).map(|(a, b)| f64::from(*a) * f64::from(*b));
                exact.push(products.sum::<f64>() + f64::from(*bias));
            }
        }
        Case { rows, depth, columns, left, weights, bias, exact }
    }

    /// The product in single precision, into rows that are further apart than they are long.
    fn single(&self, isa: Isa) -> Vec<f32> {
        let panels = Panels::of_weights(&self.weights, &self.bias, self.depth);
        let stride = self.columns + 3;
        let mut out = vec![f32::NAN; self.rows * stride];
        let left = Left { cells: &self.left, stride: self.depth, rows: self.rows };
        multiply(isa, left, &panels, &mut Out { cells: &mut out, stride });
        for row in out.chunks_exact(stride) {
            assert!(row[self.columns..].iter().all(|cell| cell.is_nan()), "nothing is written behind a row");
        }
        out.chunks_exact(stride).flat_map(|row| row[..self.columns].to_vec()).collect()
    }

    fn bytes(&self, isa: Isa) -> Vec<f32> {
        let panels = QuantizedPanels::of_weights(&self.weights, &self.bias, self.depth);
        let stride = panels.depth_padded();
        let (mut bytes, mut scales, mut zeros) =
            (vec![7; self.rows * stride], vec![0.0; self.rows], vec![0; self.rows]);
        // Always the same path, so that a difference is the product's.
        rows::quantize(Isa::Portable, &self.left, self.depth, &mut bytes, stride, &mut scales, &mut zeros);
        let mut out = vec![f32::NAN; self.rows * self.columns];
        let left = Left { cells: &bytes, stride, rows: self.rows };
        let bytes = Bytes { left, scales: &scales, zeros: &zeros };
        multiply_bytes(isa, bytes, &panels, &mut Out { cells: &mut out, stride: self.columns });
        out
    }

    fn check(&self) {
        // Half a step of a weight and of a state, over the depth, and both at the same time.
        let allowed_bytes = self.depth as f64 * (0.5 / 127.0 + 1.0 / 255.0 + 1e-4);
        let first_bytes = self.bytes(Isa::Portable);
        for isa in Isa::present() {
            for (found, exact) in self.single(isa).iter().zip(&self.exact) {
                let off = (f64::from(*found) - exact).abs();
                assert!(off <= 2e-6 * self.depth as f64 + 1e-6, "{isa:?}: {found} instead of {exact}");
            }
            let bytes = self.bytes(isa);
            assert_eq!(bytes, first_bytes, "{isa:?}: sums of bytes are exact, so every path has the same");
            for (found, exact) in bytes.iter().zip(&self.exact) {
                assert!((f64::from(*found) - exact).abs() <= allowed_bytes, "{isa:?}: {found} instead of {exact}");
            }
        }
    }
}

#[test]
fn products_at_the_edges_of_tiles() {
    for (rows, depth, columns) in
        [(1, 1, 1), (12, 4, 32), (13, 5, 33), (24, 64, 64), (192, 3, 31), (193, 32, 65), (7, 129, 95), (1, 384, 1152)]
    {
        Case::new(rows, depth, columns, 7).check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn products_of_any_shape(rows in 1..40_usize, depth in 1..90_usize, columns in 1..100_usize, seed: u64) {
        Case::new(rows, depth, columns, seed).check();
    }

    #[test]
    fn rows_of_any_length(rows in 1..6_usize, width in 1..70_usize, seed: u64) {
        check_rows(rows, width, seed);
    }
}

/// The error function by its series, in double precision; good below five.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

fn near(isa: Isa, what: &str, found: &[f32], exact: &[f64], allowed: f64) {
    assert_eq!(found.len(), exact.len());
    for (at, (found, exact)) in found.iter().zip(exact).enumerate() {
        assert!((f64::from(*found) - exact).abs() <= allowed, "{isa:?}, {what} {at}: {found} instead of {exact}");
    }
}

fn check_rows(rows: usize, width: usize, seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut numbers =
        |count: usize, most: f32| (0..count).map(|_| dice.random_range(-most..most)).collect::<Vec<f32>>();
    let (cells, more) = (numbers(rows * width, 4.0), numbers(rows * width, 4.0));
    let (gain, bias) = (numbers(width, 2.0), numbers(width, 2.0));
    let wide: Vec<f64> = cells.iter().map(|cell| f64::from(*cell)).collect();
    for isa in Isa::present() {
        let mut found = cells.clone();
        rows::gelu(isa, &mut found);
        let exact: Vec<f64> = wide.iter().map(|x| 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt()))).collect();
        near(isa, "gelu", &found, &exact, 2e-6);

        let (mut found, mut sums) = (cells.clone(), vec![0.0; rows]);
        rows::exponentials(isa, &mut found, width, 0.5, &mut sums);
        rows::divide_rows(isa, &mut found, width, width, &sums);
        let exact = wide.chunks_exact(width).flat_map(|row| {
            let sum: f64 = row.iter().map(|x| (0.5 * x).exp()).sum();
            row.iter().map(move |x| (0.5 * x).exp() / sum)
        });
        near(isa, "shares", &found, &exact.collect::<Vec<_>>(), 1e-6);

        let mut found = cells.clone();
        rows::add_normalise(isa, &mut found, &more, &gain, &bias, 1e-3);
        let mut exact = Vec::new();
        for (row, more) in wide.chunks_exact(width).zip(more.chunks_exact(width)) {
            let sums: Vec<f64> = row.iter().zip(more).map(|(a, b)| a + f64::from(*b)).collect();
            let mean = sums.iter().sum::<f64>() / width as f64;
            let variance = sums.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
            let scaled = sums.iter().zip(&gain).zip(&bias);
            exact.extend(
                scaled.map(|((x, gain), bias)| {
                    (x - mean) / (variance + 1e-3).sqrt() * f64::from(*gain) + f64::from(*bias)
                }),
            );
        }
        near(isa, "normalise", &found, &exact, 2e-4);

        let stride = width.next_multiple_of(4);
        let (mut bytes, mut scales, mut zeros) = (vec![9; rows * stride], vec![0.0; rows], vec![0; rows]);
        rows::quantize(isa, &cells, width, &mut bytes, stride, &mut scales, &mut zeros);
        for (row, cells) in cells.chunks_exact(width).enumerate() {
            for (at, byte) in bytes[row * stride..][..stride].iter().enumerate() {
                let back = scales[row] * (f32::from(*byte) - zeros[row] as f32);
                let cell = cells.get(at).copied().unwrap_or(0.0);
                assert!((back - cell).abs() <= scales[row] * 1.01, "{isa:?}: {back} instead of {cell}");
            }
        }

        let mut sum = gain.clone();
        rows::add_rows(isa, &mut sum, &cells);
        let exact: Vec<f64> = (0..width)
            .map(|at| f64::from(gain[at]) + (0..rows).map(|row| wide[row * width + at]).sum::<f64>())
            .collect();
        near(isa, "sum", &sum, &exact, 1e-5);
    }
}

#[test]
fn exponentials_that_overflow_elsewhere() {
    for isa in Isa::present() {
        let (mut cells, mut sums) = (vec![1e4, -1e4, 1e4, 0.0], [0.0]);
        rows::exponentials(isa, &mut cells, 4, 1.0, &mut sums);
        assert!(
            sums == [2.0] && cells[0] == 1.0 && cells[1] < 1e-37 && cells[3] < 1e-37,
            "{isa:?}: {cells:?} {sums:?}"
        );
        let mut cells = vec![-30.0, 30.0, 0.0];
        rows::gelu(isa, &mut cells);
        assert_eq!(cells, [0.0, 30.0, 0.0], "{isa:?}");
    }
}
