//! What needs a GPU says so and is skipped where there is none; `benches/gpu.rs` holds more of it against the processor.
#![allow(clippy::unwrap_used)]

use engine::Purpose;
use half::f16;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::embed::{Device, LocalEmbedder, Options};

const WIDTH: usize = 100;

fn card() -> Option<Arc<Gpu>> {
    let card = first().cloned();
    if card.is_none() {
        eprintln!("\n!!! SKIPPED: there is no GPU here\n");
    }
    card
}

#[test]
fn a_card_that_is_not_there_is_named() {
    let error = Gpu::open(4_000).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().starts_with("no GPU can be used"), "{error}");
}

#[test]
fn rows_put_bit_by_bit_are_all_found() {
    let Some(card) = card() else { return };
    let mut dice = StdRng::seed_from_u64(3);
    let mut scan = GpuScan::new(card, WIDTH, 10).unwrap();
    let mut rows: Vec<f16> = Vec::new();
    for count in [1, 63, 64, 1, 500, 3_000] {
        let more: Vec<f16> = (0..count * WIDTH).map(|_| f16::from_f32(dice.random_range(-1.0..1.0))).collect();
        scan.put(&more).unwrap();
        rows.extend(more);
        let query: Vec<f32> = (0..WIDTH).map(|_| f16::from_f32(dice.random_range(-1.0..1.0)).to_f32()).collect();
        let mut expected: Vec<f32> =
            rows.chunks_exact(WIDTH).map(|row| row.iter().zip(&query).map(|(a, b)| a.to_f32() * b).sum()).collect();
        expected.sort_by(|a, b| b.total_cmp(a));
        let found = scan.search(&[&query], 7, None).unwrap().remove(0);
        assert_eq!(found.len(), expected.len().min(7));
        assert!(found.iter().zip(&expected).all(|(found, expected)| (found.score - expected).abs() < 0.01));
    }
    assert!(scan.search(&[&[0.0; 3]], 7, None).is_err());
}

#[test]
fn a_model_answers_as_on_the_processor() {
    let Some(_) = card() else { return };
    let Some(folder) = crate::embed::tests::pulled("all-MiniLM-L6-v2") else { return };
    let on = |device| LocalEmbedder::load(&folder, Options { device, ..Options::default() }).unwrap();
    let (card, processor) = (on(Device::Gpu(0)), on(Device::Processor));
    let long = "signals ".repeat(300);
    let texts = ["", "a signal box", long.as_str(), "Wer stellt die Weiche?"];
    let (ours, theirs) =
        (card.embed_now(&texts, Purpose::Passage).unwrap(), processor.embed_now(&texts, Purpose::Passage).unwrap());
    for (a, b) in ours.iter().zip(&theirs) {
        assert!(a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>() > 0.999);
    }
}
