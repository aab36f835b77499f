//! The GPU beside the processor: what they agree on, tokens a second, the time of one question, the scan over all vectors.
//!
//! `gpu MODEL TEXTS [--rows N] [--tokens FILE] [--out FILE] [--collections DIR]`: a model's folder, a file of JSON lines with
//! `text` (and `title`), rows to scan; with judged collections, only how good the search is on them, and what the others'
//! weights make of each. `--tokens` writes the texts' tokens down for `peers/torch_embed.py`, which measures PyTorch on the same card
//! with the same tokens. Rates are medians of five runs; every run embeds all texts.

mod quality;
mod scan;

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use engine::Purpose;
use index::cuda::Gpu;
use index::embed::{Device, LocalEmbedder, Options};
use rayon::prelude::*;
use serde_json::{Value, json};

/// As the program itself has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Done<T> = Result<T, Box<dyn Error>>;

const RUNS: usize = 5;
/// Texts whose vectors are held against those of the processor.
const COMPARED: usize = 512;
const QUESTIONS: usize = 300;

struct Asked {
    model: PathBuf,
    texts: PathBuf,
    rows: usize,
    tokens: Option<PathBuf>,
    out: Option<PathBuf>,
    collections: Option<PathBuf>,
}

fn asked() -> Done<Asked> {
    let mut words = std::env::args().skip(1);
    let usage = "gpu MODEL TEXTS [--rows N] [--tokens FILE] [--out FILE] [--collections DIR]";
    let (model, texts) = (words.next().ok_or(usage)?.into(), words.next().ok_or(usage)?.into());
    let mut asked = Asked { model, texts, rows: 10_000_000, tokens: None, out: None, collections: None };
    while let Some(word) = words.next() {
        let value = words.next().ok_or(usage)?;
        match word.as_str() {
            "--rows" => asked.rows = value.parse()?,
            "--tokens" => asked.tokens = Some(value.into()),
            "--collections" => asked.collections = Some(value.into()),
            "--out" => asked.out = Some(value.into()),
            _ => return Err(usage.into()),
        }
    }
    Ok(asked)
}

fn main() -> Done<()> {
    let asked = asked()?;
    if let Some(collections) = &asked.collections {
        return quality::measure(&asked, collections);
    }
    let text = std::fs::read_to_string(&asked.texts)?;
    let texts: Vec<String> = text
        .lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line)?;
            let part = |name: &str| value[name].as_str().unwrap_or_default();
            Ok(format!("{} {}", part("title"), part("text")))
        })
        .collect::<Done<_>>()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let started = Instant::now();
    let gpu = LocalEmbedder::load(&asked.model, Options { device: Device::Gpu(0), ..Options::default() })?;
    let loaded = started.elapsed();
    let processor = LocalEmbedder::load(&asked.model, Options { device: Device::Processor, ..Options::default() })?;
    let card = Gpu::open(0)?;
    let mut report = json!({
        "card": card.name(), "threads": rayon::current_num_threads(), "load_seconds": loaded.as_secs_f64(),
    });
    println!("{} with {} threads; the model was ready after {loaded:.1?}", card.name(), rayon::current_num_threads());
    report["agreement"] = agreement(&gpu, &processor, &texts)?;
    let ids: Vec<Vec<u32>> =
        texts.iter().map(|text| gpu.token_ids(text, Purpose::Passage)).collect::<Result<_, _>>()?;
    if let Some(path) = &asked.tokens {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
        for ids in &ids {
            writeln!(file, "{}", ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))?;
        }
        file.flush()?;
    }
    report["rates"] = rates(&gpu, &processor, &texts, &ids)?;
    report["latency"] = latency(&gpu, &texts)?;
    report["scan_check"] = scan::check(&card)?;
    report["index_check"] = scan::check_index()?;
    report["scan"] = scan::measure(&card, asked.rows)?;
    if let Some(path) = asked.out {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The vectors of both must be nearly the same, whatever length a text has and whoever stands beside it.
fn agreement(gpu: &LocalEmbedder, processor: &LocalEmbedder, texts: &[&str]) -> Done<Value> {
    let mut some: Vec<&str> = texts.iter().copied().take(COMPARED).collect();
    // Of every length, from nothing to more than the model reads.
    let words: Vec<&str> = texts.iter().flat_map(|text| text.split_whitespace()).take(400).collect();
    let lengths = (0..words.len()).step_by(3).map(|n| words[..n].join(" "));
    let lengths: Vec<String> = lengths.collect();
    some.extend(lengths.iter().map(String::as_str));
    let expected = processor.embed_now(&some, Purpose::Passage)?;
    let together = gpu.embed_now(&some, Purpose::Passage)?;
    let cosines: Vec<f64> = together.iter().zip(&expected).map(|(a, b)| cosine(a, b)).collect();
    let least = cosines.iter().copied().fold(1.0, f64::min);
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    let mut least_alone = 1.0f64;
    for (text, vector) in some.iter().zip(&together).step_by(7) {
        let alone = gpu.embed_now(&[text], Purpose::Passage)?;
        least_alone = least_alone.min(cosine(&alone[0], vector));
    }
    println!(
        "cosine with single precision on the processor: least {least:.6}, mean {mean:.7}; alone or among others: least {least_alone:.6}"
    );
    if least < 0.999 || least_alone < 0.999 {
        return Err("the GPU's vectors are not those of the processor".into());
    }
    Ok(json!({ "texts": some.len(), "cosine_least": least, "cosine_mean": mean, "cosine_least_alone": least_alone }))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn rates(gpu: &LocalEmbedder, processor: &LocalEmbedder, texts: &[&str], ids: &[Vec<u32>]) -> Done<Value> {
    let tokens: usize = ids.iter().map(Vec::len).sum();
    let rate = |work: &dyn Fn() -> Done<()>, times: usize| -> Done<f64> {
        work()?;
        let mut rates = Vec::new();
        for _ in 0..RUNS {
            let started = Instant::now();
            work()?;
            rates.push((tokens * times) as f64 / started.elapsed().as_secs_f64());
        }
        Ok(median(rates))
    };
    const MANY: usize = 8;
    let many: Vec<Vec<u32>> = ids.iter().cycle().take(ids.len() * MANY).cloned().collect();
    let many_texts: Vec<&str> = texts.iter().copied().cycle().take(texts.len() * MANY).collect();
    let card = rate(
        &|| {
            gpu.gpu_vectors(&many).ok_or("the model is not on the GPU")??;
            Ok(())
        },
        MANY,
    )?;
    let end_to_end = rate(
        &|| {
            gpu.embed_now(&many_texts, Purpose::Passage)?;
            Ok(())
        },
        MANY,
    )?;
    let splitting = rate(
        &|| {
            let all: Result<Vec<_>, _> =
                many_texts.par_iter().map(|text| gpu.token_ids(text, Purpose::Passage).map(|ids| ids.len())).collect();
            all?;
            Ok(())
        },
        MANY,
    )?;
    let started = Instant::now();
    let few = &texts[..texts.len().min(COMPARED)];
    processor.embed_now(few, Purpose::Passage)?;
    let few_tokens: usize = ids[..few.len()].iter().map(Vec::len).sum();
    let on_processor = few_tokens as f64 / started.elapsed().as_secs_f64();
    println!(
        "{} texts, {:.0} tokens on average: {:.2} M tokens/s from tokens, {:.2} M from text, {:.2} M for the tokens alone; the processor embeds {:.3} M",
        texts.len(),
        tokens as f64 / texts.len() as f64,
        card / 1e6,
        end_to_end / 1e6,
        splitting / 1e6,
        on_processor / 1e6
    );
    Ok(json!({
        "texts": many.len(), "tokens_a_text": tokens as f64 / texts.len() as f64, "from_tokens": card,
        "from_text": end_to_end, "tokenizer_alone": splitting, "processor_from_text": on_processor,
    }))
}

fn latency(gpu: &LocalEmbedder, texts: &[&str]) -> Done<Value> {
    let questions: Vec<String> = texts
        .iter()
        .cycle()
        .take(QUESTIONS)
        .map(|text| text.split_whitespace().take(12).collect::<Vec<_>>().join(" "))
        .collect();
    let mut took = Vec::new();
    for question in &questions {
        let started = Instant::now();
        gpu.embed_now(&[question], Purpose::Query)?;
        took.push(started.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    let (p50, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!("one question from text to vector: p50 {p50:.3} ms, p99 {p99:.3} ms");
    Ok(json!({ "questions": questions.len(), "p50_ms": p50, "p99_ms": p99 }))
}
