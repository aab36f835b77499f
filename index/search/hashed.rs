//! A model without weights: a text's words, and their pieces, are thrown into a vector by their hashes. It knows no meaning;
//! it is there for trials of everything around a model, quick and the same on every machine.

use async_trait::async_trait;
use engine::{Embedder, Purpose, Result};
use sha2::{Digest, Sha256};

use super::cutting::estimate;

/// Letters of the pieces of a word.
const PIECE_CHARS: usize = 3;
/// Tokens of a text that it reads.
const TOKENS_MAX: usize = 512;

/// The model.
#[derive(Debug)]
pub struct HashedEmbedder {
    name: String,
    width: usize,
}

impl HashedEmbedder {
    /// A model with vectors of `width` numbers.
    pub fn new(width: usize) -> HashedEmbedder {
        HashedEmbedder { name: format!("hashed-{width}"), width }
    }

    /// The model that a name such as `hashed-384` stands for.
    pub fn named(name: &str) -> Option<HashedEmbedder> {
        let width = name.strip_prefix("hashed-")?.parse().ok().filter(|width| (8..=3_072).contains(width))?;
        Some(HashedEmbedder::new(width))
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0_f32; self.width];
        let mut add = |piece: &str, weight: f32| {
            let digest = Sha256::digest(piece.as_bytes());
            let place = u64::from_le_bytes(digest[..8].try_into().expect("a digest has more bytes"));
            let sign = if digest[8] & 1 == 0 { 1.0 } else { -1.0 };
            vector[(place % self.width as u64) as usize] += sign * weight;
        };
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let word = word.to_lowercase();
            add(&word, 1.0);
            let letters: Vec<char> = word.chars().collect();
            letters.windows(PIECE_CHARS).for_each(|piece| add(&piece.iter().collect::<String>(), 0.3));
        }
        let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        match length > 0.0 {
            true => vector.iter_mut().for_each(|number| *number /= length),
            // A text without words is as far from every other as it can be told.
            false => vector[0] = 1.0,
        }
        vector
    }
}

#[async_trait]
impl Embedder for HashedEmbedder {
    fn model(&self) -> &str {
        &self.name
    }

    fn width(&self) -> usize {
        self.width
    }

    fn tokens(&self, text: &str) -> usize {
        estimate(text)
    }

    fn tokens_max(&self) -> usize {
        TOKENS_MAX
    }

    async fn embed(&self, texts: &[&str], _: Purpose) -> Result<Vec<Vec<f32>>> {
        Ok(texts.iter().map(|text| self.vector(text)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_words_are_near() {
        let model = HashedEmbedder::named("hashed-64").expect("a name of this model");
        let near = |a: &str, b: &str| {
            let (a, b) = (model.vector(a), model.vector(b));
            a.iter().zip(&b).map(|(a, b)| a * b).sum::<f32>()
        };
        assert!(near("rotate the key", "the keys are rotated") > near("rotate the key", "a budget of a month"));
        assert!((near("", "") - 1.0).abs() < 1e-6 && HashedEmbedder::named("hashed-x").is_none());
    }
}
