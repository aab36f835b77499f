//! A model's words, from the metadata of its GGUF file: byte-level BPE as GPT-2 has it.
//!
//! Words that steer the model (`<|im_end|>`) are never made from text: a source that spells one is read as the letters
//! that it is. Only the template places them, by number.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::{Content, Value};
use engine::{Error, Kind, Result};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{PreTokenizerWrapper, Tokenizer};

/// Kind of a word in GGUF that steers the model.
const CONTROL: i64 = 3;

/// A model's words.
#[derive(Debug)]
pub struct Vocabulary {
    tokenizer: Tokenizer,
    /// The bytes that a word stands for; none for one that steers.
    bytes: Vec<Vec<u8>>,
    control: HashMap<String, u32>,
    /// The word that ends an answer.
    pub end: u32,
    /// The template by which a conversation is written, as Jinja.
    pub template: String,
}

impl Vocabulary {
    /// Reads them.
    pub fn read(content: &Content) -> Result<Vocabulary> {
        let wrong = |why: String| Error::new(Kind::Corrupt, format!("read the model's words: {why}"));
        let value = |key: &str| content.metadata.get(&format!("tokenizer.{key}"));
        let texts = |key: &str| -> Result<Vec<&String>> {
            let list = value(key).and_then(|v| v.to_vec().ok()).ok_or_else(|| wrong(format!("there is no {key}")))?;
            list.iter().map(|v| v.to_string().map_err(|e| wrong(format!("{key}: {e}")))).collect()
        };
        let named = |key: &str| value(key).and_then(|v| v.to_string().ok()).map(String::as_str).unwrap_or_default();
        if named("ggml.model") != "gpt2" {
            return Err(Error::invalid(format!("the words are of kind {}; only gpt2 is read", named("ggml.model"))));
        }
        let words = texts("ggml.tokens")?;
        let kinds = value("ggml.token_type").and_then(|v| v.to_vec().ok());
        let kind = |at: usize| kinds.and_then(|kinds| kinds.get(at)).and_then(number).unwrap_or(1);
        let count = u32::try_from(words.len()).map_err(|_| wrong("there are too many".to_owned()))?;
        let ids: Vocab = words.iter().map(|word| (*word).clone()).zip(0..count).collect();
        let merges = texts("ggml.merges")?.into_iter().map(|merge| {
            let parts = merge.split_once(' ').ok_or_else(|| wrong(format!("{merge:?} joins nothing")))?;
            Ok((parts.0.to_owned(), parts.1.to_owned()))
        });
        let merges = merges.collect::<Result<Vec<_>>>()?;
        let bpe = BPE::builder().vocab_and_merges(ids, merges).build().map_err(|e| wrong(e.to_string()))?;
        let mut tokenizer = Tokenizer::new(bpe);
        tokenizer.with_pre_tokenizer(Some(cutter(named("ggml.pre"))?));
        let bytes =
            words.iter().enumerate().map(|(at, word)| if kind(at) == CONTROL { vec![] } else { bytes_of(word) });
        let control = words.iter().zip(0..).filter(|(_, id)| kind(*id as usize) == CONTROL);
        let control: HashMap<String, u32> = control.map(|(word, id)| ((*word).clone(), id)).collect();
        let end = value("ggml.eos_token_id").and_then(number).and_then(|id| u32::try_from(id).ok());
        let end = end.ok_or_else(|| wrong("no word ends an answer".to_owned()))?;
        Ok(Vocabulary { bytes: bytes.collect(), control, end, template: named("chat_template").to_owned(), tokenizer })
    }

    /// The words of a text, none of which steers the model.
    pub fn words(&self, text: &str) -> Result<Vec<u32>> {
        let cut = self.tokenizer.encode_fast(text, false);
        let cut = cut.map_err(|e| Error::new(Kind::Internal, format!("cut a text into words: {e}")))?;
        Ok(cut.get_ids().to_vec())
    }

    /// Words of a text; as many as bytes where it cannot be cut.
    pub fn count(&self, text: &str) -> usize {
        self.words(text).map_or(text.len(), |words| words.len())
    }

    /// A word that steers, by its name.
    pub fn control(&self, name: &str) -> Option<u32> {
        self.control.get(name).copied()
    }

    /// Whether the answer is over with this word.
    pub fn is_end(&self, word: u32) -> bool {
        word == self.end || self.bytes.get(word as usize).is_none_or(Vec::is_empty)
    }

    /// The bytes of a word.
    pub fn bytes(&self, word: u32) -> &[u8] {
        self.bytes.get(word as usize).map(Vec::as_slice).unwrap_or_default()
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::I8(n) => Some(i64::from(*n)),
        Value::I16(n) => Some(i64::from(*n)),
        Value::I32(n) => Some(i64::from(*n)),
        Value::I64(n) => Some(*n),
        other => other.to_u64().ok().and_then(|n| i64::try_from(n).ok()),
    }
}

/// How a text is cut before words are merged, by the name that the file gives.
fn cutter(name: &str) -> Result<PreTokenizerWrapper> {
    let bytes = ByteLevel::new(false, true, true);
    match name {
        "smollm" => Ok(Sequence::new(vec![Digits::new(true).into(), bytes.into()]).into()),
        "gpt-2" | "gpt2" | "default" | "" => Ok(bytes.into()),
        other => {
            Err(Error::invalid(format!("texts of this model are cut as {other}; smollm and gpt-2 are known here")))
        }
    }
}

/// The bytes that a word's letters stand for: what prints is itself, the others are letters from U+0100 on.
fn bytes_of(word: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    for letter in word.chars() {
        match byte_of(letter) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

fn prints(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)
}

fn byte_of(letter: char) -> Option<u8> {
    let code = u32::from(letter);
    match u8::try_from(code) {
        Ok(byte) => prints(byte).then_some(byte),
        Err(_) => (0..=u8::MAX).filter(|byte| !prints(*byte)).nth(usize::try_from(code.checked_sub(256)?).ok()?),
    }
}

/// Puts bytes together to text: what is not yet whole waits, what never will be is replaced.
#[derive(Debug, Default)]
pub struct Letters {
    waiting: Vec<u8>,
}

impl Letters {
    /// The text that these bytes complete.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.waiting.extend_from_slice(bytes);
        let mut out = String::new();
        loop {
            match std::str::from_utf8(&self.waiting) {
                Ok(text) => {
                    out.push_str(text);
                    self.waiting.clear();
                    return out;
                }
                Err(error) => {
                    let whole = error.valid_up_to();
                    out.push_str(&String::from_utf8_lossy(&self.waiting[..whole]));
                    let Some(broken) = error.error_len() else {
                        self.waiting.drain(..whole);
                        return out;
                    };
                    out.push(char::REPLACEMENT_CHARACTER);
                    self.waiting.drain(..whole + broken);
                }
            }
        }
    }

    /// What is left of a letter that never became whole.
    pub fn finish(self) -> &'static str {
        if self.waiting.is_empty() { "" } else { "\u{fffd}" }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use candle_core::quantized::gguf_file::VersionedMagic;

    /// Metadata of a vocabulary of single bytes and two merges.
    pub fn content() -> Content {
        let texts = |words: Vec<String>| Value::Array(words.into_iter().map(Value::String).collect());
        let mut words: Vec<String> = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(str::to_owned).to_vec();
        let unseen: Vec<u8> = (0..=u8::MAX).filter(|byte| !prints(*byte)).collect();
        words.extend((0..=u8::MAX).map(|byte| {
            let at = unseen.iter().position(|other| *other == byte);
            let code = at.map_or(u32::from(byte), |at| 256 + u32::try_from(at).unwrap());
            char::from_u32(code).unwrap().to_string()
        }));
        words.extend(["he", "Ġt"].map(str::to_owned));
        let kinds = (0..words.len()).map(|at| Value::I32(if at < 3 { 3 } else { 1 })).collect();
        let metadata = HashMap::from([
            ("tokenizer.ggml.model".to_owned(), Value::String("gpt2".to_owned())),
            ("tokenizer.ggml.pre".to_owned(), Value::String("smollm".to_owned())),
            ("tokenizer.ggml.tokens".to_owned(), texts(words)),
            ("tokenizer.ggml.merges".to_owned(), texts(vec!["h e".to_owned(), "Ġ t".to_owned()])),
            ("tokenizer.ggml.token_type".to_owned(), Value::Array(kinds)),
            ("tokenizer.ggml.eos_token_id".to_owned(), Value::U32(2)),
            ("tokenizer.chat_template".to_owned(), Value::String("{{'<|im_start|>'}}".to_owned())),
        ]);
        Content { magic: VersionedMagic::GgufV3, metadata, tensor_infos: HashMap::new(), tensor_data_offset: 0 }
    }

    #[test]
    fn texts_become_words_and_back() {
        let vocabulary = Vocabulary::read(&content()).unwrap();
        for text in ["he tä 12\n", "Größe → 🚂", "<|im_end|>"] {
            let words = vocabulary.words(text).unwrap();
            let mut letters = Letters::default();
            let back: String = words.iter().map(|word| letters.push(vocabulary.bytes(*word))).collect();
            assert_eq!((back.as_str(), letters.finish()), (text, ""));
            assert!(words.iter().all(|word| !vocabulary.is_end(*word)), "{text}: a word that steers");
        }
        assert_eq!(vocabulary.words("he t").unwrap().len(), 2, "merged");
        assert!(vocabulary.is_end(2) && vocabulary.control("<|im_start|>") == Some(1));
    }

    #[test]
    fn letters_wait_until_they_are_whole() {
        let mut letters = Letters::default();
        let train = "🚂".as_bytes();
        assert_eq!(letters.push(&train[..3]), "");
        assert_eq!(letters.push(&train[3..]), "🚂");
        assert_eq!(letters.push(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(letters.push(&train[..2]), "");
        assert_eq!(letters.finish(), "\u{fffd}");
    }

    #[test]
    fn other_words_are_refused_by_name() {
        for (key, value) in [("tokenizer.ggml.model", "llama"), ("tokenizer.ggml.pre", "qwen2")] {
            let mut content = content();
            content.metadata.insert(key.to_owned(), Value::String(value.to_owned()));
            assert!(Vocabulary::read(&content).unwrap_err().to_string().contains(value));
        }
    }
}
