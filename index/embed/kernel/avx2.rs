//! Products with AVX2 and FMA: half a panel at a time, six rows by 16 columns in twelve of the sixteen registers.
//!
//! Bytes are widened to 16 bits and multiplied in pairs, which is exact: the quicker `maddubs` saturates. So the sums are those of
//! VNNI, bit by bit.
//!
//! `unsafe` is needed for instructions that a processor may lack and for loads without bounds checks. [`super::Isa::present`]
//! asks the processor first, and [`super::Left::check`] and [`super::Out::check`] hold the shapes against the slices.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::pack::{GROUP, Panels, QuantizedPanels};
use super::{Bytes, Left, Out, PANEL, Tile};

/// Columns that a half of a panel has.
const HALF: usize = PANEL / 2;

pub fn multiply(left: Left<'_, f32>, right: &Panels, out: &mut Out<'_>, tile: Tile) {
    let (cells, bias) = right.panel(tile.panel);
    let left_cells = &left.cells[tile.row * left.stride..];
    for (half, columns) in halves(tile.columns) {
        let mut sums = [[0.0_f32; HALF]; 6];
        let sums_at = sums.as_mut_ptr().cast();
        let (depth, stride, numbers) = (right.depth, left.stride, left_cells.as_ptr());
        // SAFETY: the caller has checked the shapes, so `rows` rows of `depth` numbers lie behind `left_cells`; a panel holds
        // `depth` times 32 numbers, and `sums` takes six rows. AVX2 and FMA were found before this path was chosen.
        unsafe {
            let cells = cells.as_ptr().add(half * HALF);
            match tile.rows {
                1 => floats::<1>(depth, numbers, stride, cells, sums_at),
                2 => floats::<2>(depth, numbers, stride, cells, sums_at),
                3 => floats::<3>(depth, numbers, stride, cells, sums_at),
                4 => floats::<4>(depth, numbers, stride, cells, sums_at),
                5 => floats::<5>(depth, numbers, stride, cells, sums_at),
                6 => floats::<6>(depth, numbers, stride, cells, sums_at),
                rows => unreachable!("a tile of {rows} rows"),
            }
        }
        for (row, sums) in sums.iter().take(tile.rows).enumerate() {
            let first = tile.panel * PANEL + half * HALF;
            let out = &mut out.cells[(tile.row + row) * out.stride + first..][..columns];
            out.iter_mut().zip(sums).zip(&bias[half * HALF..]).for_each(|((out, sum), bias)| *out = sum + bias);
        }
    }
}

/// The halves of a panel that have columns, with how many.
fn halves(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    [(0, columns.min(HALF)), (1, columns.saturating_sub(HALF))].into_iter().filter(|(_, columns)| *columns > 0)
}

#[target_feature(enable = "avx2,fma")]
unsafe fn floats<const ROWS: usize>(
    depth: usize,
    left: *const f32,
    left_stride: usize,
    cells: *const f32,
    out: *mut f32,
) {
    // SAFETY: see `multiply`.
    unsafe {
        let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
        for deep in 0..depth {
            let low = _mm256_loadu_ps(cells.add(deep * PANEL));
            let high = _mm256_loadu_ps(cells.add(deep * PANEL + 8));
            for (row, sums) in sums.iter_mut().enumerate() {
                let factor = _mm256_set1_ps(*left.add(row * left_stride + deep));
                sums[0] = _mm256_fmadd_ps(factor, low, sums[0]);
                sums[1] = _mm256_fmadd_ps(factor, high, sums[1]);
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            _mm256_storeu_ps(out.add(row * HALF), sums[0]);
            _mm256_storeu_ps(out.add(row * HALF + 8), sums[1]);
        }
    }
}

pub fn multiply_bytes(bytes: Bytes<'_>, right: &QuantizedPanels, out: &mut Out<'_>, tile: Tile) {
    let panel = right.panel(tile.panel);
    let left = &bytes.left.cells[tile.row * bytes.left.stride..];
    for (half, columns) in halves(tile.columns) {
        let mut sums = [[0_i32; HALF]; 4];
        let sums_at = sums.as_mut_ptr().cast();
        let (groups, stride, numbers) = (right.depth_padded() / GROUP, bytes.left.stride, left.as_ptr());
        // SAFETY: as in `multiply`; rows are padded to whole groups of four bytes, and `sums` takes four rows.
        unsafe {
            let cells = panel.cells.as_ptr().add(half * HALF * GROUP);
            match tile.rows {
                1 => bytes_of::<1>(groups, numbers, stride, cells, sums_at),
                2 => bytes_of::<2>(groups, numbers, stride, cells, sums_at),
                3 => bytes_of::<3>(groups, numbers, stride, cells, sums_at),
                4 => bytes_of::<4>(groups, numbers, stride, cells, sums_at),
                rows => unreachable!("a tile of {rows} rows"),
            }
        }
        for (row, sums) in sums.iter().take(tile.rows).enumerate() {
            let (scale, zero) = (bytes.scales[tile.row + row], bytes.zeros[tile.row + row]);
            let first = tile.panel * PANEL + half * HALF;
            let out = &mut out.cells[(tile.row + row) * out.stride + first..][..columns];
            for (column, (out, sum)) in out.iter_mut().zip(sums).enumerate() {
                let column = half * HALF + column;
                let exact = (sum - zero * panel.sums[column]) as f32;
                *out = exact * (scale * panel.scales[column]) + panel.bias[column];
            }
        }
    }
}

/// Two columns of four bytes become two registers of 16-bit numbers; a pair of products is a 32-bit number, and the sums of
/// a column's two pairs stand side by side until the end.
#[target_feature(enable = "avx2")]
unsafe fn bytes_of<const ROWS: usize>(
    groups: usize,
    left: *const u8,
    left_stride: usize,
    cells: *const i8,
    out: *mut i32,
) {
    // SAFETY: see `multiply_bytes`.
    unsafe {
        for part in 0..2 {
            // Eight columns: two registers of four columns by four 16-bit numbers.
            let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
            for group in 0..groups {
                let cells = cells.add(group * PANEL * GROUP + part * 8 * GROUP);
                let low = _mm256_cvtepi8_epi16(_mm_loadu_si128(cells.cast()));
                let high = _mm256_cvtepi8_epi16(_mm_loadu_si128(cells.add(16).cast()));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let four = left.add(row * left_stride + group * GROUP).cast::<i32>().read_unaligned();
                    let four = _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
                    sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(low, four));
                    sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(high, four));
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                // Pairs added: columns 0 1 4 5 | 2 3 6 7, put into order by swapping the middle quarters.
                let pairs = _mm256_hadd_epi32(sums[0], sums[1]);
                let ordered = _mm256_permute4x64_epi64::<0b11_01_10_00>(pairs);
                _mm256_storeu_si256(out.add(row * HALF + part * 8).cast(), ordered);
            }
        }
    }
}
