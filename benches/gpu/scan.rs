//! The exact scan: its answers against the processor's, and its time.

use std::sync::Arc;
use std::time::Instant;

use half::f16;
use index::cuda::{Gpu, GpuScan};
use index::vector::{VectorIndex, VectorSettings};
use rayon::prelude::*;
use roaring::RoaringTreemap;
use serde_json::{Value, json};

use super::{Done, median};

const WIDTH: usize = 384;
const ROWS_A_PUT: usize = 250_000;
const K: usize = 10;
/// Rows that a scan is checked on against the processor.
const CHECKED_ROWS: usize = 1_000_003;
const SEED: u64 = 20_261_127;

/// A row of numbers of length about one, always the same for its number.
fn row(number: usize, out: &mut [f16]) {
    let mut state = SEED ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for cell in out {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *cell = f16::from_f32(((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 0.177);
    }
}

fn filled(card: &Arc<Gpu>, rows: usize) -> Done<GpuScan> {
    let mut scan = GpuScan::new(card.clone(), WIDTH, rows)?;
    let mut cells = vec![f16::ZERO; ROWS_A_PUT.min(rows) * WIDTH];
    for first in (0..rows).step_by(ROWS_A_PUT) {
        let count = (rows - first).min(ROWS_A_PUT);
        let cells = &mut cells[..count * WIDTH];
        cells.par_chunks_exact_mut(WIDTH).enumerate().for_each(|(n, cells)| row(first + n, cells));
        scan.put(cells)?;
    }
    Ok(scan)
}

fn questions(count: usize) -> Vec<Vec<f32>> {
    let question = |n: usize| {
        let mut cells = vec![f16::ZERO; WIDTH];
        row(usize::MAX - n, &mut cells);
        cells.into_iter().map(f16::to_f32).collect()
    };
    (0..count).map(question).collect()
}

/// Every answer equals that of the processor, with and without filters.
pub fn check(card: &Arc<Gpu>) -> Done<Value> {
    let mut on_card = filled(card, CHECKED_ROWS)?;
    let questions = questions(11);
    let asked: Vec<&[f32]> = questions.iter().map(Vec::as_slice).collect();
    let scores: Vec<Vec<f32>> = (0..CHECKED_ROWS)
        .into_par_iter()
        .map_init(
            || vec![f16::ZERO; WIDTH],
            |cells, number| {
                row(number, cells);
                let one = |question: &Vec<f32>| cells.iter().zip(question).map(|(a, b)| a.to_f32() * b).sum();
                questions.iter().map(one).collect()
            },
        )
        .collect();
    let mut checked = 0;
    for one_in in [1, 7, 100, 1_000, 400_000] {
        let lets = |row: usize| row.is_multiple_of(one_in);
        let mut bits = vec![0u32; CHECKED_ROWS.div_ceil(32)];
        (0..CHECKED_ROWS).filter(|row| lets(*row)).for_each(|row| bits[row / 32] |= 1 << (row % 32));
        let filter = (one_in > 1).then_some(bits.as_slice());
        for k in [1, K, 100] {
            for (n, found) in on_card.search(&asked, k, filter)?.iter().enumerate() {
                let mut expected: Vec<f32> =
                    (0..CHECKED_ROWS).filter(|row| lets(*row)).map(|row| scores[row][n]).collect();
                expected.sort_by(|a, b| b.total_cmp(a));
                expected.truncate(k);
                let same = found.len() == expected.len()
                    && found.iter().all(|found| lets(found.row as usize))
                    && found.iter().zip(&expected).all(|(found, expected)| (found.score - expected).abs() < 1e-4)
                    && found.iter().all(|found| (scores[found.row as usize][n] - found.score).abs() < 1e-4);
                if !same {
                    let text = format!("question {n}, k {k}, one row in {one_in}: {found:?} instead of {expected:?}");
                    return Err(text.into());
                }
                checked += 1;
            }
        }
    }
    println!("{checked} scans of {CHECKED_ROWS} rows answer as the processor does");
    Ok(json!({ "rows": CHECKED_ROWS, "searches": checked }))
}

/// An index whose rows lie on the card answers as one that reads them on the processor: with rows that came later, rows that
/// went, and filters.
pub fn check_index() -> Done<Value> {
    const ROWS: usize = 60_000;
    let settings = VectorSettings { exact_rows_max: usize::MAX, recall: 1.0 };
    let (mut on_card, mut plain) = (VectorIndex::new(WIDTH, settings), VectorIndex::new(WIDTH, settings));
    let mut cells = vec![f16::ZERO; WIDTH];
    for number in 0..ROWS {
        row(number, &mut cells);
        let numbers: Vec<f32> = cells.iter().map(|cell| cell.to_f32()).collect();
        on_card.add(number as u64 * 3, &numbers);
        plain.add(number as u64 * 3, &numbers);
        if number == ROWS / 2 {
            on_card.tend();
        }
    }
    (0..ROWS as u64).step_by(11).for_each(|number| {
        on_card.remove(number * 3);
        plain.remove(number * 3);
    });
    let half: RoaringTreemap = (0..ROWS as u64).filter(|number| number % 2 == 0).map(|number| number * 3).collect();
    let mut checked = 0;
    for question in questions(20) {
        for allowed in [None, Some(&half)] {
            let (found, expected) = (on_card.search(&question, K, allowed), plain.search(&question, K, allowed));
            let ids = |hits: &[index::text::Hit]| hits.iter().map(|hit| hit.id).collect::<Vec<_>>();
            if ids(&found) != ids(&expected) {
                return Err(format!("the index answers {found:?} instead of {expected:?}").into());
            }
            checked += 1;
        }
    }
    println!("{checked} searches of an index of {ROWS} rows answer as the processor does");
    Ok(json!({ "rows": ROWS, "searches": checked }))
}

pub fn measure(card: &Arc<Gpu>, rows: usize) -> Done<Value> {
    let mut on_card = filled(card, rows)?;
    let questions = questions(8);
    let asked: Vec<&[f32]> = questions.iter().map(Vec::as_slice).collect();
    let mut times = Vec::new();
    for count in [1, 8] {
        on_card.search(&asked[..count], K, None)?;
        let mut took = Vec::new();
        for _ in 0..50 {
            let started = Instant::now();
            on_card.search(&asked[..count], K, None)?;
            took.push(started.elapsed().as_secs_f64() * 1e3);
        }
        let took = median(took);
        let bytes = (rows * WIDTH * 2) as f64;
        println!("{rows} rows, {count} at once: {took:.3} ms, {:.2} TB/s", bytes / took / 1e9);
        times.push(json!({ "queries": count, "ms": took, "terabytes_a_second": bytes / took / 1e9 }));
    }
    Ok(json!({ "rows": rows, "width": WIDTH, "k": K, "times": times }))
}
