#![allow(clippy::unwrap_used)]

mod modern;
mod peer;
mod synthetic;

use std::fs;
use std::path::PathBuf;

use engine::Kind;

use super::*;
use synthetic::Synthetic;

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Where models of this machine lie, if one of this name was pulled.
pub(crate) fn pulled(name: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = || set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let cache = set("STELLWERK_CACHE").or_else(|| user().map(|user| user.join("stellwerk")))?;
    let there = crate::model::present(&cache, name);
    if !there {
        eprintln!("\n!!! SKIPPED: {name}: its weights were not pulled; `deploy/setup weights` does\n");
    }
    there.then(|| crate::model::folder(&cache, name))
}

const TEXTS: &[&str] = &[
    "w1 w2 w3",
    "",
    "w9",
    "w1 w1 w1 w4 w5 w6 w7 w8 w10 w11 w12 w13 w14 w15 w16 w17 w18 w19 w20 w21 w22 w23 w24 w25 w26 w27 w28 w29 w30",
    "w3 unknownword w2",
];

#[test]
fn every_path_agrees_with_candle() {
    let model = Synthetic::new(7);
    let expected = peer::candle(model.folder(), TEXTS);
    for isa in Isa::present() {
        let options = Options { threads: 2, isa: Some(isa), ..Options::default() };
        let ours = LocalEmbedder::load(model.folder(), options).unwrap();
        for (vector, expected) in ours.embed_now(TEXTS, Purpose::Passage).unwrap().iter().zip(&expected) {
            assert!(cosine(vector, expected) > 0.999_99, "{isa:?}: {}", cosine(vector, expected));
            assert!((cosine(vector, vector) - 1.0).abs() < 1e-6);
        }
    }
}

#[test]
fn positions_of_roberta_begin_behind_its_padding() {
    let model = Synthetic::new(16);
    let mut config = synthetic::config();
    let more = serde_json::json!({"model_type": "xlm-roberta", "attention_probs_dropout_prob": 0.0, "position_embedding_type": "absolute"});
    more.as_object().unwrap().iter().for_each(|(name, value)| config[name] = value.clone());
    model.write("config.json", config.to_string().as_bytes());
    let ours = LocalEmbedder::load(model.folder(), Options::default()).unwrap();
    assert_eq!(ours.tokens_max(), synthetic::POSITIONS - 1 - 2);
    let found = ours.embed_now(TEXTS, Purpose::Passage).unwrap();
    for (vector, expected) in found.iter().zip(peer::candle(model.folder(), TEXTS)) {
        assert!(cosine(vector, &expected) > 0.999_99, "{}", cosine(vector, &expected));
    }
}

#[test]
fn bytes_stay_close_and_are_the_same_everywhere() {
    let model = Synthetic::new(8);
    let single = LocalEmbedder::load(model.folder(), Options::default()).unwrap();
    let expected = single.embed_now(TEXTS, Purpose::Query).unwrap();
    for isa in Isa::present() {
        let options = Options { precision: Precision::Bytes, isa: Some(isa), ..Options::default() };
        let bytes = LocalEmbedder::load(model.folder(), options).unwrap();
        for (vector, expected) in bytes.embed_now(TEXTS, Purpose::Query).unwrap().iter().zip(&expected) {
            assert!(cosine(vector, expected) > 0.99, "{isa:?}: {}", cosine(vector, expected));
        }
    }
}

#[test]
fn a_text_has_one_vector_whoever_stands_beside_it() {
    let model = Synthetic::new(9);
    let ours = LocalEmbedder::load(model.folder(), Options { threads: 2, ..Options::default() }).unwrap();
    let many: Vec<&str> = TEXTS.iter().copied().cycle().take(70).collect();
    let together = ours.embed_now(&many, Purpose::Passage).unwrap();
    for (text, vector) in many.iter().zip(&together) {
        let alone = ours.embed_now(&[text], Purpose::Passage).unwrap();
        assert!(cosine(&alone[0], vector) > 0.999_999_9, "{text}");
    }
}

#[test]
fn what_a_model_says_of_itself() {
    let model = Synthetic::new(10);
    let ours = LocalEmbedder::load(model.folder(), Options::default()).unwrap();
    assert_eq!((ours.width(), ours.tokens("w1 w2 unknownword")), (synthetic::HIDDEN, 3));
    assert_eq!(ours.tokens_max(), synthetic::POSITIONS - 2);
    let name = ours.model().to_owned();
    assert!(name.ends_with("/f32") && name.contains('@'), "{name}");
    let bytes = Options { precision: Precision::Bytes, ..Options::default() };
    assert_ne!(LocalEmbedder::load(model.folder(), bytes).unwrap().model(), name);
    assert_ne!(LocalEmbedder::load(Synthetic::new(11).folder(), Options::default()).unwrap().model(), name);
    let long = "w1 ".repeat(5_000);
    assert_eq!(ours.token_ids(&long, Purpose::Passage).unwrap().len(), synthetic::POSITIONS);
}

#[test]
fn prefixes_are_put_in_front() {
    let model = Synthetic::new(12);
    let plain = LocalEmbedder::load(model.folder(), Options::default()).unwrap();
    let prompts = serde_json::json!({"prompts": {"query": "w5 ", "document": "w6 "}});
    model.write("config_sentence_transformers.json", prompts.to_string().as_bytes());
    let ours = LocalEmbedder::load(model.folder(), Options::default()).unwrap();
    for (purpose, text) in [(Purpose::Query, "w5 w1"), (Purpose::Passage, "w6 w1")] {
        let found = ours.embed_now(&["w1"], purpose).unwrap();
        assert_eq!(found, plain.embed_now(&[text], purpose).unwrap());
    }
}

/// Changes one file of a good model and tells how loading it fails.
fn refusal(change: impl FnOnce(&Synthetic)) -> Error {
    let model = Synthetic::new(13);
    change(&model);
    LocalEmbedder::load(model.folder(), Options::default()).unwrap_err()
}

#[test]
fn models_that_are_not_whole_are_refused() {
    let cut = |model: &Synthetic, share: f64| {
        let path = model.folder().join("model.safetensors");
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..(bytes.len() as f64 * share) as usize]).unwrap();
    };
    let config = |model: &Synthetic, name: &str, value: serde_json::Value| {
        let mut config = synthetic::config();
        config[name] = value;
        model.write("config.json", config.to_string().as_bytes());
    };
    type Change<'a> = Box<dyn FnOnce(&Synthetic) + 'a>;
    let cases: Vec<(Change<'_>, Kind, &str)> = vec![
        (Box::new(|m| cut(m, 0.5)), Kind::Corrupt, "beyond the end"),
        (Box::new(|m| cut(m, 0.0)), Kind::Corrupt, "no safetensors file"),
        (Box::new(|m| m.write("model.safetensors", b"not a model at all, really")), Kind::Corrupt, "does not fit"),
        (Box::new(|m| config(m, "intermediate_size", 96.into())), Kind::Invalid, "has the shape"),
        (Box::new(|m| config(m, "num_hidden_layers", 3.into())), Kind::Invalid, "there is no tensor"),
        (Box::new(|m| config(m, "num_attention_heads", 7.into())), Kind::Invalid, "multiple of"),
        (Box::new(|m| config(m, "model_type", "t5".into())), Kind::Invalid, "t5 is not read"),
        (Box::new(|m| config(m, "hidden_act", "relu".into())), Kind::Invalid, "relu is not computed"),
        (Box::new(|m| m.write("tokenizer.json", b"{}")), Kind::Invalid, "the tokenizer"),
        (
            Box::new(|m| m.write("tokenizer.json", synthetic::tokenizer(5_000).to_string().as_bytes())),
            Kind::Invalid,
            "belongs to another model",
        ),
        (
            Box::new(|m| m.write("1_Pooling/config.json", br#"{"pooling_mode_max_tokens": true}"#)),
            Kind::Invalid,
            "pooling by mean or cls",
        ),
        (Box::new(|m| fs::remove_file(m.folder().join("config.json")).unwrap()), Kind::NotFound, "no config.json"),
    ];
    for (change, kind, word) in cases {
        let error = refusal(change);
        assert!(error.kind() == kind && error.to_string().contains(word), "{word}: {:?} {error}", error.kind());
    }
}

#[test]
fn numbers_that_are_none_are_told() {
    let model = Synthetic::with(14, |name, numbers| {
        if name.ends_with("0.output.dense.bias") {
            numbers[3] = f32::NAN;
        }
    });
    let error = LocalEmbedder::load(model.folder(), Options::default()).unwrap().embed_now(&["w1"], Purpose::Query);
    assert_eq!(error.unwrap_err().kind(), Kind::Corrupt);
}

#[tokio::test]
async fn requests_of_many_tasks() {
    let model = Synthetic::new(15);
    let ours = LocalEmbedder::load(model.folder(), Options::default()).unwrap();
    let expected = ours.embed_now(&["w1 w2"], Purpose::Query).unwrap();
    let asked = (0..16).map(|_| async { ours.embed(&["w1 w2"], Purpose::Query).await.unwrap() });
    for found in futures::future::join_all(asked).await {
        assert_eq!(found, expected);
    }
}

#[test]
fn batches_keep_every_text_and_their_budget() {
    for (lengths, threads) in [(vec![], 2), (vec![512; 40], 2), (vec![3; 1_000], 1), ((1..300).collect(), 4)] {
        let batches = batches(&lengths, threads);
        let mut all: Vec<usize> = batches.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
        for batch in &batches {
            let tokens: usize = batch.iter().map(|at| lengths[*at]).sum();
            assert!(tokens <= BATCH_TOKENS_MAX || batch.len() == 1, "{tokens} tokens in {} texts", batch.len());
        }
    }
}

const SENTENCES: &[&str] = &[
    "The interlocking makes a wrong setting impossible.",
    "Das Stellwerk stellt die Weichen und Signale eines Bahnhofs.",
    "kubectl get pods -A -o json | jq '.items[].metadata.name'",
    "A build failed because its agent had no space left on the device, which nobody had watched for weeks.",
    "Kosten",
];

#[test]
fn real_weights_agree_with_candle() {
    for (name, roberta_words) in [("all-MiniLM-L6-v2", false), ("multilingual-e5-small", true)] {
        let Some(folder) = pulled(name) else { continue };
        let ours = LocalEmbedder::load(&folder, Options::default()).unwrap();
        let prefixed: Vec<String> =
            SENTENCES.iter().map(|text| format!("{}{text}", if roberta_words { "passage: " } else { "" })).collect();
        let expected = peer::candle(&folder, &prefixed.iter().map(String::as_str).collect::<Vec<_>>());
        let bytes = Options { precision: Precision::Bytes, ..Options::default() };
        let bytes = LocalEmbedder::load(&folder, bytes).unwrap().embed_now(SENTENCES, Purpose::Passage).unwrap();
        let found = ours.embed_now(SENTENCES, Purpose::Passage).unwrap();
        for (at, expected) in expected.iter().enumerate() {
            let (single, bytes) = (cosine(&found[at], expected), cosine(&bytes[at], expected));
            eprintln!("{name}: {single:.7} in single precision, {bytes:.5} in bytes: {}", SENTENCES[at]);
            assert!(single > 0.999_99 && bytes > 0.98, "{name}: {single} {bytes}");
        }
    }
}

/// A GPU that cannot be had is named before anything is read, and a model that cannot be loaded is tried once for all the
/// texts whose tokens are counted.
#[test]
fn what_cannot_be_had_is_said_at_once() {
    let model = Synthetic::new(21);
    let wanted = |precision| Options { device: Device::Gpu(4_000), precision, ..Options::default() };
    let refused = LazyEmbedder::open(model.folder(), wanted(Precision::Single)).unwrap_err();
    assert_eq!(refused.kind(), Kind::NotFound, "{refused}");
    let refused = LocalEmbedder::load(model.folder(), wanted(Precision::Bytes)).unwrap_err();
    assert_eq!(refused.kind(), Kind::Invalid, "{refused}");
    let lazy = LazyEmbedder::open(model.folder(), Options::default()).unwrap();
    let whole = fs::read(model.folder().join("model.safetensors")).unwrap();
    model.write("model.safetensors", &whole[..whole.len() / 2]);
    assert_eq!(lazy.tokens("w1 w2"), 2);
    model.write("model.safetensors", &whole);
    assert_eq!(lazy.tokens("four words of text"), 6, "an estimate, though it could be loaded by now");
    assert!(lazy.load().is_ok());
    assert_eq!(lazy.tokens("w1 w2 w3"), 3);
}
