//! A small model of random weights, written as the real ones are.

use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

pub const HIDDEN: usize = 64;
pub const POSITIONS: usize = 40;
pub const MODERN_POSITIONS: usize = 260;
pub const MODERN_REACH: usize = 5;
const MODERN_LAYERS: usize = 4;
const LAYERS: usize = 2;
const HEADS: usize = 4;
const INNER: usize = 100;
const WORDS: usize = 60;

pub struct Synthetic {
    folder: tempfile::TempDir,
}

pub fn config() -> Value {
    json!({
        "model_type": "bert", "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "intermediate_size": INNER, "vocab_size": WORDS, "max_position_embeddings": POSITIONS, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12, "hidden_act": "gelu", "hidden_dropout_prob": 0.0, "initializer_range": 0.02,
        "pad_token_id": 0,
    })
}

/// As transformers 4 writes it.
pub fn modern_config() -> Value {
    json!({
        "model_type": "modernbert", "hidden_size": HIDDEN, "num_hidden_layers": MODERN_LAYERS, "num_attention_heads": HEADS,
        "intermediate_size": INNER, "vocab_size": WORDS, "max_position_embeddings": MODERN_POSITIONS, "norm_eps": 1e-5,
        "layer_norm_eps": 1e-5, "hidden_activation": "gelu", "position_embedding_type": "absolute", "pad_token_id": 0,
        "global_attn_every_n_layers": 3, "global_rope_theta": 160_000.0, "local_rope_theta": 10_000.0,
        "local_attention": 2 * MODERN_REACH, "attention_bias": false, "mlp_bias": false, "norm_bias": false,
    })
}

/// Whole words: four marks, then w0, w1 and so on.
pub fn tokenizer(words: usize) -> Value {
    let marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(str::to_owned);
    let names = marks.into_iter().chain((0..words - 4).map(|n| format!("w{n}")));
    let vocabulary: serde_json::Map<String, Value> = names.enumerate().map(|(id, name)| (name, json!(id))).collect();
    let special = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
    json!({
        "version": "1.0", "truncation": {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": null, "added_tokens": [], "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
        "post_processor": {"type": "TemplateProcessing",
            "single": [special("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, special("[SEP]")],
            "pair": [special("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, special("[SEP]")],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    })
}

impl Synthetic {
    pub fn new(seed: u64) -> Synthetic {
        Synthetic::with(seed, |_, _| ())
    }

    /// The same, with tensors changed by name.
    pub fn with(seed: u64, change: impl Fn(&str, &mut Vec<f32>)) -> Synthetic {
        let model = Synthetic { folder: tempfile::tempdir().unwrap() };
        model.write("config.json", config().to_string().as_bytes());
        model.write("tokenizer.json", tokenizer(WORDS).to_string().as_bytes());
        model.write("model.safetensors", &weights(seed, &shapes(), change));
        model
    }

    /// A ModernBERT, whose second and third of four layers see what is near.
    pub fn modern(seed: u64) -> Synthetic {
        let model = Synthetic { folder: tempfile::tempdir().unwrap() };
        model.write("config.json", modern_config().to_string().as_bytes());
        model.write("tokenizer.json", tokenizer(WORDS).to_string().as_bytes());
        model.write("model.safetensors", &weights(seed, &modern_shapes(), |_, _| ()));
        model
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.folder().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// A safetensors file in single precision.
fn weights(seed: u64, shapes: &[(String, Vec<usize>)], change: impl Fn(&str, &mut Vec<f32>)) -> Vec<u8> {
    let mut dice = StdRng::seed_from_u64(seed);
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in shapes {
        let count: usize = shape.iter().product();
        let centre = if name.ends_with("orm.weight") { 1.0 } else { 0.0 };
        let mut numbers: Vec<f32> = (0..count).map(|_| centre + dice.random_range(-0.3..0.3)).collect();
        change(name, &mut numbers);
        let start = data.len();
        data.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    [(header.len() as u64).to_le_bytes().to_vec(), header, data].concat()
}

fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut all = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![WORDS, HIDDEN]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![POSITIONS, HIDDEN]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, HIDDEN]),
    ];
    let norm = |place: String, all: &mut Vec<(String, Vec<usize>)>| {
        all.extend(["weight", "bias"].map(|part| (format!("{place}.LayerNorm.{part}"), vec![HIDDEN])));
    };
    norm("embeddings".to_owned(), &mut all);
    for layer in 0..LAYERS {
        for (part, columns, depth) in [
            ("attention.self.query", HIDDEN, HIDDEN),
            ("attention.self.key", HIDDEN, HIDDEN),
            ("attention.self.value", HIDDEN, HIDDEN),
            ("attention.output.dense", HIDDEN, HIDDEN),
            ("intermediate.dense", INNER, HIDDEN),
            ("output.dense", HIDDEN, INNER),
        ] {
            let name = format!("encoder.layer.{layer}.{part}");
            all.push((format!("{name}.weight"), vec![columns, depth]));
            all.push((format!("{name}.bias"), vec![columns]));
        }
        norm(format!("encoder.layer.{layer}.attention.output"), &mut all);
        norm(format!("encoder.layer.{layer}.output"), &mut all);
    }
    all
}

fn modern_shapes() -> Vec<(String, Vec<usize>)> {
    let mut all = vec![
        ("model.embeddings.tok_embeddings.weight".to_owned(), vec![WORDS, HIDDEN]),
        ("model.embeddings.norm.weight".to_owned(), vec![HIDDEN]),
        ("model.final_norm.weight".to_owned(), vec![HIDDEN]),
    ];
    for layer in 0..MODERN_LAYERS {
        let place = format!("model.layers.{layer}");
        if layer > 0 {
            all.push((format!("{place}.attn_norm.weight"), vec![HIDDEN]));
        }
        all.push((format!("{place}.mlp_norm.weight"), vec![HIDDEN]));
        for (part, columns, depth) in [
            ("attn.Wqkv", 3 * HIDDEN, HIDDEN),
            ("attn.Wo", HIDDEN, HIDDEN),
            ("mlp.Wi", 2 * INNER, HIDDEN),
            ("mlp.Wo", HIDDEN, INNER),
        ] {
            all.push((format!("{place}.{part}.weight"), vec![columns, depth]));
        }
    }
    all
}
