//! What we are held against: candle's BERT in this process, ONNX Runtime and numpy in another.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use serde_json::{Value, json};
use tokenizers::{PaddingParams, Tokenizer, TruncationParams};

use crate::Context;
use crate::peer;
use crate::report::Spread;

use super::THREADS;

/// Texts of one batch, as those who use candle and ONNX Runtime batch them: of like lengths, padded to the longest.
const BATCH: usize = 32;
const TOKENS_MAX: usize = 256;
/// Rows, depth and columns of the product that shows what the cores can do: a batch through the widest layer.
const ROOF: (usize, usize, usize) = (2_048, 384, 1_536);
const ROOF_REPEATS: usize = 8;

pub struct Peers {
    python: Result<PathBuf, String>,
    tokenizer: PathBuf,
    texts: PathBuf,
    tokens: usize,
    bert: BertModel,
    batches: Vec<(Tensor, Tensor)>,
    candle: Vec<f64>,
    candle_roof: Vec<f64>,
    ort: Vec<f64>,
    numpy_roof: Vec<f64>,
    missing: Vec<(&'static str, String)>,
}

impl Peers {
    pub fn new(context: &Context, folder: &Path, texts: &[String], tokens: usize) -> Peers {
        let path = context.folder.join("embed-texts.json");
        std::fs::write(&path, json!(texts).to_string()).expect("the folder for measurements takes a file");
        let config: Config =
            serde_json::from_slice(&std::fs::read(folder.join("config.json")).expect("a configuration"))
                .expect("a configuration of BERT");
        let weights = std::fs::read(folder.join("model.safetensors")).expect("weights");
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu).expect("weights");
        Peers {
            python: context.python.clone().ok_or_else(|| "the Python peers are not installed".to_owned()),
            tokenizer: folder.join("tokenizer.json"),
            texts: path,
            tokens,
            bert: BertModel::load(weights, &config).expect("candle reads the model"),
            batches: batches(&folder.join("tokenizer.json"), texts),
            candle: Vec::new(),
            candle_roof: Vec::new(),
            ort: Vec::new(),
            numpy_roof: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// One round of each.
    pub fn round(&mut self) {
        let begun = Instant::now();
        for (ids, mask) in &self.batches {
            let kinds = ids.zeros_like().expect("a tensor");
            let states = self.bert.forward(ids, &kinds, Some(mask)).expect("candle computes");
            // Read back, so that nothing is left undone.
            std::hint::black_box(states.mean(1).and_then(|mean| mean.to_vec2::<f32>()).expect("candle computes"));
        }
        self.candle.push(self.tokens as f64 / begun.elapsed().as_secs_f64());
        self.candle_roof.push(candle_roof());
        match self.python_round() {
            Ok(found) => {
                self.ort.extend(found["tokens_per_s"].as_f64());
                self.numpy_roof.extend(found["sgemm_gflop_per_s"].as_f64());
            }
            Err(why) if self.missing.is_empty() => self.missing.push(("ONNX Runtime and numpy", why)),
            Err(_) => (),
        }
    }

    fn python_round(&self) -> Result<Value, String> {
        let python = self.python.as_ref().map_err(Clone::clone)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/embed.py");
        let mut command = Command::new(python);
        for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"] {
            command.env(name, THREADS.to_string());
        }
        peer::answer(
            command
                .arg(script)
                .arg(&self.tokenizer)
                .arg(&self.texts)
                .args([THREADS, BATCH, TOKENS_MAX].map(|n| n.to_string())),
        )
    }

    pub fn candle(&self) -> Option<Spread> {
        Spread::maybe(&self.candle)
    }

    pub fn ort(&self) -> Option<Spread> {
        Spread::maybe(&self.ort)
    }

    /// The faster of the products in single precision that the peers bring.
    pub fn roof(&self) -> Option<(&'static str, Spread)> {
        let all =
            [("candle's gemm", Spread::maybe(&self.candle_roof)), ("numpy's sgemm", Spread::maybe(&self.numpy_roof))];
        let found = all.into_iter().filter_map(|(name, spread)| Some((name, spread?)));
        found.max_by(|(_, a), (_, b)| a.median.total_cmp(&b.median))
    }

    pub fn missing(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.missing.iter().map(|(name, why)| (*name, why.as_str()))
    }

    pub fn raw(&self) -> Value {
        json!({"candle": self.candle, "ort_int8": self.ort, "candle_gemm_gflop_per_s": self.candle_roof,
            "numpy_sgemm_gflop_per_s": self.numpy_roof})
    }
}

/// Token numbers and masks, the shortest texts first.
fn batches(tokenizer: &Path, texts: &[String]) -> Vec<(Tensor, Tensor)> {
    let mut tokenizer = Tokenizer::from_file(tokenizer).expect("a tokenizer");
    let cut = TruncationParams { max_length: TOKENS_MAX, ..TruncationParams::default() };
    tokenizer.with_padding(None).with_truncation(Some(cut)).expect("a tokenizer that cuts");
    let mut ids: Vec<Vec<u32>> =
        texts.iter().map(|text| tokenizer.encode(text.as_str(), true).expect("tokens").get_ids().to_vec()).collect();
    ids.sort_by_key(Vec::len);
    let padded = |batch: &[Vec<u32>]| {
        let longest = batch.last().map_or(0, Vec::len);
        let padding = PaddingParams::default().pad_id;
        let row =
            |ids: &Vec<u32>| ids.iter().copied().chain(std::iter::repeat(padding)).take(longest).collect::<Vec<_>>();
        let mask = |ids: &Vec<u32>| (0..longest).map(|at| u32::from(at < ids.len())).collect::<Vec<_>>();
        let tensor = |rows: Vec<Vec<u32>>| Tensor::new(rows, &Device::Cpu).expect("a tensor");
        (tensor(batch.iter().map(row).collect()), tensor(batch.iter().map(mask).collect()))
    };
    ids.chunks(BATCH).map(padded).collect()
}

/// Billions of operations a second of candle's product on all cores.
fn candle_roof() -> f64 {
    let (rows, depth, columns) = ROOF;
    let random =
        |rows: usize, columns: usize| Tensor::rand(-1.0_f32, 1.0, (rows, columns), &Device::Cpu).expect("a tensor");
    let (left, right) = (random(rows, depth), random(depth, columns));
    let once = || {
        let begun = Instant::now();
        std::hint::black_box(left.matmul(&right).expect("a product"));
        2.0 * (rows * depth * columns) as f64 / 1e9 / begun.elapsed().as_secs_f64()
    };
    (0..ROOF_REPEATS).map(|_| once()).fold(0.0, f64::max)
}
