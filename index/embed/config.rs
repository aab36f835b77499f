//! What a model's folder says about the model: the files that Hugging Face's libraries write, and our own `stellwerk.json`.

use std::collections::BTreeMap;
use std::path::Path;

use engine::{Error, Kind, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::model::manifest::Manifest;

/// Bytes of a configuration file.
const CONFIG_BYTES_MAX: u64 = 4 << 20;

/// Tokens that the tokenizers of this family put around every text.
const MARKS: usize = 2;

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// That of the first token.
    First,
}

/// How a model is built.
#[derive(Debug, Clone, PartialEq)]
pub enum Family {
    /// BERT and RoBERTa.
    Bert,
    /// ModernBERT.
    Modern(Rotary),
}

/// What tells a ModernBERT's places.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Whether each layer sees only what is near.
    pub near: Vec<bool>,
    /// How far from itself a token sees there.
    pub reach: usize,
    /// The base of the turns where the whole text is seen.
    pub theta: f64,
    /// And where only what is near is.
    pub near_theta: f64,
}

/// A model of the BERT family.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The model's name.
    pub name: String,
    /// How it is built.
    pub family: Family,
    /// Numbers of a token's vector.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Heads of a layer's attention.
    pub heads: usize,
    /// Numbers between the two products of a layer's second half.
    pub inner: usize,
    /// Rows of the table of tokens.
    pub vocabulary: usize,
    /// Rows of the table of positions.
    pub positions: usize,
    /// The first position's row: RoBERTa counts from behind its padding.
    pub first_position: usize,
    /// Rows of the table of kinds of text.
    pub types: usize,
    /// Added to a variance before its root is taken.
    pub epsilon: f32,
    /// Tokens of one text, its marks included.
    pub tokens_max: usize,
    /// How a text's vector comes about.
    pub pooling: Pooling,
    /// Put before a question.
    pub query_prefix: String,
    /// Put before what is to be found.
    pub passage_prefix: String,
}

#[derive(Debug, Deserialize)]
struct Raw {
    model_type: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    #[serde(default)]
    type_vocab_size: usize,
    #[serde(alias = "norm_eps")]
    layer_norm_eps: f32,
    #[serde(default, alias = "hidden_activation")]
    hidden_act: Option<String>,
    #[serde(default)]
    position_embedding_type: Option<String>,
    #[serde(default)]
    pad_token_id: Option<usize>,
    #[serde(default, rename = "_name_or_path")]
    name_or_path: Option<String>,
}

impl Config {
    /// Reads a folder. `Invalid` for a model that is not of the family, with the setting that says so.
    pub fn read(folder: &Path) -> Result<Config> {
        let path = folder.join("config.json");
        let value = json(&path)?.ok_or_else(|| {
            let text = format!("{} holds no model: there is no config.json", folder.display());
            Error::new(Kind::NotFound, text)
        })?;
        let wrong = |why: String| Error::invalid(format!("{}: {why}", path.display()));
        let value = without_doubles(value);
        let raw: Raw = serde_json::from_value(value.clone()).map_err(|e| wrong(e.to_string()))?;
        let (family, counted_from_padding) = match raw.model_type.as_str() {
            "bert" => (Family::Bert, false),
            "roberta" | "xlm-roberta" | "camembert" => (Family::Bert, true),
            "modernbert" => (Family::Modern(rotary(&value, &raw).map_err(wrong)?), false),
            other => {
                return Err(wrong(format!(
                    "model_type {other} is not read; bert, roberta, xlm-roberta, camembert, modernbert are"
                )));
            }
        };
        if let Some(other) = raw.hidden_act.as_deref().filter(|act| *act != "gelu") {
            return Err(wrong(format!("hidden_act {other} is not computed, gelu is")));
        }
        if let Some(other) = raw.position_embedding_type.as_deref().filter(|kind| *kind != "absolute") {
            return Err(wrong(format!("position_embedding_type {other} is not computed, absolute is")));
        }
        let sizes = [raw.hidden_size, raw.num_hidden_layers, raw.num_attention_heads, raw.intermediate_size];
        if sizes.contains(&0) || !raw.hidden_size.is_multiple_of(raw.num_attention_heads) {
            return Err(wrong("hidden_size must be a multiple of num_attention_heads, and no size zero".to_owned()));
        }
        let first_position = if counted_from_padding { raw.pad_token_id.unwrap_or(1) + 1 } else { 0 };
        let room = raw.max_position_embeddings.saturating_sub(first_position);
        let tokens_max = sentence_tokens(folder)?.unwrap_or(room).min(room);
        if tokens_max < 3 {
            return Err(wrong(format!("{tokens_max} tokens leave no room for a text")));
        }
        let manifest = Manifest::read(folder)?;
        let named = manifest.as_ref().map(|manifest| manifest.name.clone());
        let name = named.unwrap_or_else(|| folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let (query_prefix, passage_prefix) =
            prefixes(folder, manifest.as_ref(), &[Some(&name), raw.name_or_path.as_ref()])?;
        Ok(Config {
            name,
            family,
            hidden: raw.hidden_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            inner: raw.intermediate_size,
            vocabulary: raw.vocab_size,
            positions: raw.max_position_embeddings,
            first_position,
            types: raw.type_vocab_size,
            epsilon: raw.layer_norm_eps,
            tokens_max,
            pooling: pooling(folder)?,
            query_prefix,
            passage_prefix,
        })
    }
}

impl Config {
    /// Tokens that a text itself may have, a few fewer where a prefix stands in front: its characters are counted, in twos,
    /// since the tokenizer is not here.
    pub fn text_tokens_max(&self) -> usize {
        let prefix = self.passage_prefix.len().max(self.query_prefix.len()).div_ceil(2);
        self.tokens_max.saturating_sub(MARKS + prefix).max(1)
    }
}

/// Files may name the same setting in an older and in a newer way; both are read, and one is enough.
fn without_doubles(mut value: Value) -> Value {
    for [old, new] in [["layer_norm_eps", "norm_eps"], ["hidden_act", "hidden_activation"]] {
        if value.get(old).is_some()
            && let Some(settings) = value.as_object_mut()
        {
            settings.remove(new);
        }
    }
    value
}

/// What `config.json` says of a ModernBERT's places, as transformers 4 and 5 write it.
fn rotary(value: &Value, raw: &Raw) -> std::result::Result<Rotary, String> {
    for setting in ["attention_bias", "mlp_bias", "norm_bias"] {
        if value[setting].as_bool() == Some(true) {
            return Err(format!("{setting} is not computed"));
        }
    }
    let layers = raw.num_hidden_layers;
    let near = match value["layer_types"].as_array() {
        Some(types) => {
            let is_near = |of: &Value| match of.as_str() {
                Some("sliding_attention") => Ok(true),
                Some("full_attention") => Ok(false),
                _ => Err(format!("layer_types {of} is not computed; full_attention and sliding_attention are")),
            };
            types.iter().map(is_near).collect::<std::result::Result<Vec<bool>, String>>()?
        }
        None => {
            let every = value["global_attn_every_n_layers"].as_u64().and_then(|every| usize::try_from(every).ok());
            let every = every.filter(|every| *every > 0).ok_or("global_attn_every_n_layers is missing")?;
            (0..layers).map(|layer| layer % every != 0).collect()
        }
    };
    if near.len() != layers {
        return Err(format!("layer_types names {} layers, num_hidden_layers says {layers}", near.len()));
    }
    let theta = |old: &str, layer: &str| {
        let new = &value["rope_parameters"][layer];
        match new["rope_type"].as_str() {
            None | Some("default") => {}
            Some(other) => return Err(format!("rope_type {other} is not computed, default is")),
        }
        let theta = new["rope_theta"].as_f64().or(value[old].as_f64());
        theta.filter(|theta| *theta > 1.0).ok_or_else(|| format!("{old} is missing"))
    };
    let wide = value["local_attention"].as_u64().and_then(|wide| usize::try_from(wide).ok());
    if !(raw.hidden_size / raw.num_attention_heads.max(1)).is_multiple_of(2) {
        return Err("a head must have an even width: its halves are turned".to_owned());
    }
    Ok(Rotary {
        near,
        reach: wide.ok_or("local_attention is missing")? / 2,
        theta: theta("global_rope_theta", "full_attention")?,
        near_theta: theta("local_rope_theta", "sliding_attention")?,
    })
}

/// A JSON file of a folder, if it is there.
fn json(path: &Path) -> Result<Option<Value>> {
    let doing = || format!("read {}", path.display());
    let size = match std::fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::unavailable(&doing(), e)),
    };
    if size > CONFIG_BYTES_MAX {
        return Err(Error::invalid(format!("{} has {size} bytes, which no configuration has", path.display())));
    }
    let text = std::fs::read(path).map_err(|e| Error::unavailable(&doing(), e))?;
    let value = serde_json::from_slice(&text);
    value.map(Some).map_err(|e| Error::invalid(format!("{} is no JSON: {e}", path.display())))
}

/// What sentence-transformers says a text may have.
fn sentence_tokens(folder: &Path) -> Result<Option<usize>> {
    let found = json(&folder.join("sentence_bert_config.json"))?;
    Ok(found.and_then(|value| value["max_seq_length"].as_u64()).and_then(|tokens| usize::try_from(tokens).ok()))
}

/// Mean where nothing is said, which most models of this family were trained for.
fn pooling(folder: &Path) -> Result<Pooling> {
    if let Some(modules) = json(&folder.join("modules.json"))? {
        let types = modules.as_array().into_iter().flatten().filter_map(|module| module["type"].as_str());
        let known = ["Transformer", "Pooling", "Normalize"];
        if let Some(other) = types.filter_map(|of| of.rsplit('.').next()).find(|of| !known.contains(of)) {
            return Err(Error::invalid(format!("{}: a module {other} is not computed", folder.display())));
        }
    }
    let Some(value) = json(&folder.join("1_Pooling/config.json"))? else { return Ok(Pooling::Mean) };
    let flags: BTreeMap<String, Value> = serde_json::from_value(value).unwrap_or_default();
    let on = |name: &str| flags.get(name).is_some_and(|flag| flag.as_bool() == Some(true));
    let mode = flags.get("pooling_mode").and_then(Value::as_str);
    match (on("pooling_mode_mean_tokens"), on("pooling_mode_cls_token"), mode) {
        (true, false, None) | (false, false, Some("mean")) => Ok(Pooling::Mean),
        (false, true, None) | (false, false, Some("cls")) => Ok(Pooling::First),
        _ => Err(Error::invalid(format!("{}: pooling by mean or cls is computed, not by others", folder.display()))),
    }
}

/// What is put before questions and passages: our own note first, then the prompts of sentence-transformers, then what the
/// family's authors ask for.
fn prefixes(folder: &Path, manifest: Option<&Manifest>, names: &[Option<&String>]) -> Result<(String, String)> {
    if let Some(Manifest { query_prefix: Some(query), passage_prefix: Some(passage), .. }) = manifest {
        return Ok((query.clone(), passage.clone()));
    }
    if let Some(prompts) =
        json(&folder.join("config_sentence_transformers.json"))?.map(|value| value["prompts"].clone())
    {
        let prompt = |names: &[&str]| names.iter().find_map(|name| prompts[*name].as_str()).map(str::to_owned);
        let (query, passage) = (prompt(&["query"]), prompt(&["passage", "document", "corpus"]));
        if query.is_some() || passage.is_some() {
            return Ok((query.unwrap_or_default(), passage.unwrap_or_default()));
        }
    }
    let of_e5 = |name: &&String| {
        let last = name.rsplit('/').next().unwrap_or_default();
        last.starts_with("e5-") || last.starts_with("multilingual-e5-")
    };
    if names.iter().flatten().any(of_e5) {
        return Ok(("query: ".to_owned(), "passage: ".to_owned()));
    }
    Ok((String::new(), String::new()))
}
