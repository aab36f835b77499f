//! Rows and questions to find neighbours among: passages and questions of the judged collections, embedded once and kept, or
//! made up.

use std::fs;
use std::path::Path;

use engine::Purpose;
use index::embed::{Device, LocalEmbedder, Options, Precision};
use index::model;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{SEED, texts};
use crate::Context;

const MODEL: &str = "all-MiniLM-L6-v2";
/// Numbers of a vector.
pub const WIDTH: usize = 384;
/// Words of a passage; fewer than a chunk has, so that there are enough of them.
const PASSAGE_WORDS: usize = 40;
/// Texts between two lines about how far it is.
const TOLD_EACH: usize = 10_000;

/// Vectors of length one.
pub struct Rows {
    pub rows: Vec<Vec<f32>>,
    pub questions: Vec<Vec<f32>>,
    /// What they are of.
    pub origin: &'static str,
}

/// So many rows, or as many as there are, and questions.
pub fn rows(context: &Context, count: usize, questions: usize) -> Rows {
    let (passages, asked, origin) = texts(count, PASSAGE_WORDS);
    if origin == super::GENERATED || !model::present(&crate::cache(), MODEL) {
        return made_up(count, questions);
    }
    let asked = &asked[..questions.min(asked.len())];
    let bytes: usize = passages.iter().chain(asked).map(String::len).sum();
    let kept = context.folder.join(format!("retrieval-rows-{}-{}-{bytes}.f32", passages.len(), asked.len()));
    let mut all = read(&kept).filter(|all| all.len() == passages.len() + asked.len()).unwrap_or_else(|| {
        let all = embed(context, &passages, asked);
        write(&kept, &all);
        all
    });
    let questions = all.split_off(passages.len());
    Rows { rows: all, questions, origin: "passages of judged collections and their questions, all-MiniLM-L6-v2" }
}

fn embed(context: &Context, passages: &[String], asked: &[String]) -> Vec<Vec<f32>> {
    let options = Options { threads: 2, precision: Precision::Bytes, device: Device::Processor, isa: None };
    let model =
        LocalEmbedder::load(&model::folder(&crate::cache(), MODEL), options).expect("the model was pulled whole");
    let mut all = Vec::with_capacity(passages.len() + asked.len());
    for (texts, purpose) in [(passages, Purpose::Passage), (asked, Purpose::Query)] {
        for texts in texts.chunks(TOLD_EACH) {
            let slices: Vec<&str> = texts.iter().map(String::as_str).collect();
            all.extend(model.embed_now(&slices, purpose).expect("the model embeds"));
            context.say(format_args!("embedded {} texts, once: they are kept", all.len()));
        }
    }
    all
}

fn read(path: &Path) -> Option<Vec<Vec<f32>>> {
    let bytes = fs::read(path).ok()?;
    let number = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    Some(bytes.chunks_exact(4 * WIDTH).map(|row| row.chunks(4).map(number).collect()).collect())
}

/// Whole or not at all.
fn write(path: &Path, rows: &[Vec<f32>]) {
    let bytes: Vec<u8> = rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    let part = path.with_extension("part");
    fs::write(&part, bytes).and_then(|()| fs::rename(&part, path)).expect("a file of vectors");
}

/// Clumps of fifty.
fn made_up(count: usize, questions: usize) -> Rows {
    let mut dice = StdRng::seed_from_u64(SEED);
    let clumps: Vec<Vec<f32>> =
        (0..count / 50 + 1).map(|_| (0..WIDTH).map(|_| dice.random::<f32>() - 0.5).collect()).collect();
    let mut row = || {
        let clump = &clumps[dice.random_range(0..clumps.len())];
        let row: Vec<f32> = clump.iter().map(|value| value + 1.2 * (dice.random::<f32>() - 0.5)).collect();
        let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        row.into_iter().map(|value| value / length).collect()
    };
    let mut made = |count: usize| (0..count).map(|_| row()).collect();
    Rows { rows: made(count), questions: made(questions), origin: "made-up vectors in clumps" }
}
