//! ModernBERT beside candle's own.

use std::fs;

use engine::{Embedder, Kind};
use serde_json::{Value, json};

use super::synthetic::{MODERN_POSITIONS, MODERN_REACH, Synthetic, modern_config};
use super::{TEXTS, cosine, peer};
use crate::embed::kernel::Isa;
use crate::embed::{LocalEmbedder, Options, Precision, Purpose};

/// Shorter than what a token sees, a little longer, and longer than a group of rows.
fn texts() -> Vec<String> {
    let long = |words: usize| (0..words).map(|n| format!("w{} ", (n * 7 + n / 5) % 50)).collect::<String>();
    let lengths = [MODERN_REACH - 2, MODERN_REACH, 2 * MODERN_REACH, 70, 71, 144, MODERN_POSITIONS - 2];
    TEXTS.iter().map(|text| (*text).to_owned()).chain(lengths.map(long)).collect()
}

#[test]
fn every_path_agrees_with_candle() {
    let model = Synthetic::modern(31);
    let texts = texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let expected = peer::candle(model.folder(), &texts);
    for isa in Isa::present() {
        let options = Options { threads: 2, isa: Some(isa), ..Options::default() };
        let ours = LocalEmbedder::load(model.folder(), options).unwrap();
        for (vector, expected) in ours.embed_now(&texts, Purpose::Passage).unwrap().iter().zip(&expected) {
            assert!(cosine(vector, expected) > 0.999_99, "{isa:?}: {}", cosine(vector, expected));
        }
        let bytes = Options { precision: Precision::Bytes, ..options };
        let bytes = LocalEmbedder::load(model.folder(), bytes).unwrap();
        for (vector, expected) in bytes.embed_now(&texts, Purpose::Passage).unwrap().iter().zip(&expected) {
            assert!(cosine(vector, expected) > 0.98, "{isa:?}: {}", cosine(vector, expected));
        }
    }
}

#[test]
fn the_first_tokens_state_may_stand_for_a_text() {
    let model = Synthetic::modern(32);
    model.write("1_Pooling/config.json", br#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#);
    model.write("sentence_bert_config.json", br#"{"max_seq_length": 100}"#);
    let ours = LocalEmbedder::load(model.folder(), Options::default()).unwrap();
    assert_eq!(ours.tokens_max(), 98);
    let found = ours.embed_now(TEXTS, Purpose::Query).unwrap();
    let mean = peer::candle(model.folder(), TEXTS);
    for ((vector, expected), mean) in found.iter().zip(peer::candle_first(model.folder(), TEXTS)).zip(mean) {
        assert!(cosine(vector, &expected) > 0.999_99, "{}", cosine(vector, &expected));
        assert!(cosine(vector, &mean) < 0.999, "{}", cosine(vector, &mean));
    }
}

/// What transformers 5 writes, and the names of tensors without the model's in front.
#[test]
fn newer_files_say_the_same() {
    let model = Synthetic::modern(33);
    let expected = LocalEmbedder::load(model.folder(), Options::default()).unwrap().embed_now(TEXTS, Purpose::Query);
    let mut config = modern_config();
    let settings = config.as_object_mut().unwrap();
    for old in ["layer_norm_eps", "global_attn_every_n_layers", "global_rope_theta", "local_rope_theta"] {
        settings.remove(old);
    }
    let layers = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"];
    settings.insert("layer_types".to_owned(), json!(layers));
    let turns = |theta: f64| json!({"rope_type": "default", "rope_theta": theta});
    let turns = json!({"full_attention": turns(160_000.0), "sliding_attention": turns(10_000.0)});
    settings.insert("rope_parameters".to_owned(), turns);
    model.write("config.json", config.to_string().as_bytes());
    let path = model.folder().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap().replace("\"model.", "\"");
    let header = format!("{header:<length$}");
    fs::write(&path, [&bytes[..8], header.as_bytes(), &bytes[8 + length..]].concat()).unwrap();
    let newer = LocalEmbedder::load(model.folder(), Options::default()).unwrap();
    assert_eq!(newer.embed_now(TEXTS, Purpose::Query).unwrap(), expected.unwrap());
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
    for (setting, value, word) in [
        ("hidden_activation", json!("silu"), "silu is not computed"),
        ("attention_bias", json!(true), "attention_bias is not computed"),
        ("mlp_bias", json!(true), "mlp_bias is not computed"),
        ("norm_bias", json!(true), "norm_bias is not computed"),
        ("layer_types", json!(["full_attention", "chunked_attention"]), "chunked_attention"),
        ("layer_types", json!(["full_attention"]), "names 1 layers"),
        ("rope_parameters", json!({"full_attention": {"rope_type": "yarn"}}), "yarn is not computed"),
        ("global_attn_every_n_layers", Value::Null, "global_attn_every_n_layers is missing"),
        ("global_attn_every_n_layers", json!(0), "global_attn_every_n_layers is missing"),
        ("local_rope_theta", Value::Null, "local_rope_theta is missing"),
        ("local_attention", Value::Null, "local_attention is missing"),
        ("num_attention_heads", json!(64), "even width"),
        ("intermediate_size", json!(96), "has the shape"),
        ("num_hidden_layers", json!(5), "there is no tensor"),
        ("model_type", json!("bert"), "no BERT"),
    ] {
        let model = Synthetic::modern(34);
        let mut config = modern_config();
        config[setting] = value;
        model.write("config.json", config.to_string().as_bytes());
        let refused = LocalEmbedder::load(model.folder(), Options::default()).unwrap_err();
        assert!(refused.kind() == Kind::Invalid && refused.to_string().contains(word), "{setting}: {refused}");
    }
}
