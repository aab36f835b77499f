//! Candle's own BERT and ModernBERT as the yardstick: one text at a time, so that nothing is padded.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use candle_transformers::models::modernbert::{self, ModernBert};
use candle_transformers::models::xlm_roberta::{self, XLMRobertaModel};
use tokenizers::Tokenizer;

/// The vectors of texts by mean pooling, of length one.
pub fn candle(folder: &Path, texts: &[&str]) -> Vec<Vec<f32>> {
    pooled(folder, texts, |states| states.mean(1).unwrap().squeeze(0).unwrap())
}

/// The same by the state of the first token.
pub fn candle_first(folder: &Path, texts: &[&str]) -> Vec<Vec<f32>> {
    pooled(folder, texts, |states| states.get(0).unwrap().get(0).unwrap())
}

fn pooled(folder: &Path, texts: &[&str], pool: impl Fn(&Tensor) -> Tensor) -> Vec<Vec<f32>> {
    let device = Device::Cpu;
    let config = std::fs::read(folder.join("config.json")).unwrap();
    let weights = std::fs::read(folder.join("model.safetensors")).unwrap();
    let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &device).unwrap();
    let kind: serde_json::Value = serde_json::from_slice(&config).unwrap();
    type States = Box<dyn Fn(&Tensor) -> Tensor>;
    let states: States = if kind["model_type"] == "bert" {
        let model = BertModel::load(weights, &serde_json::from_slice::<Config>(&config).unwrap()).unwrap();
        Box::new(move |ids| model.forward(ids, &ids.zeros_like().unwrap(), None).unwrap())
    } else if kind["model_type"] == "modernbert" {
        let config: modernbert::Config = serde_json::from_slice(&config).unwrap();
        let model = ModernBert::load(weights, &config).unwrap();
        Box::new(move |ids| model.forward(ids, &ids.ones_like().unwrap()).unwrap())
    } else {
        let config: xlm_roberta::Config = serde_json::from_slice(&config).unwrap();
        let model = XLMRobertaModel::new(&config, weights).unwrap();
        Box::new(move |ids| {
            let (zeros, ones) = (ids.zeros_like().unwrap(), ids.ones_like().unwrap());
            model.forward(ids, &ones, &zeros, None, None, None).unwrap()
        })
    };
    let mut tokenizer = Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).unwrap();
    let vector = |text: &&str| {
        let ids = tokenizer.encode(*text, true).unwrap().get_ids().to_vec();
        let ids = Tensor::new(&ids[..], &device).unwrap().unsqueeze(0).unwrap();
        let vector: Vec<f32> = pool(&states(&ids)).to_vec1().unwrap();
        let length = vector.iter().map(|cell| cell * cell).sum::<f32>().sqrt();
        vector.into_iter().map(|cell| cell / length).collect()
    };
    texts.iter().map(vector).collect()
}
