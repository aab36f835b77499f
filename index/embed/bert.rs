//! The model: tables of tokens and positions, layers of attention and products, and their order of work.
//!
//! Nothing is padded. The tokens of all texts of a batch lie one behind the other; the products do not care where a text
//! ends, and attention runs text by text. What repeats per layer is packed once: queries, keys and values are one product,
//! and the second half of a layer runs over groups of rows, so that its wide middle never leaves the cache.

use engine::{Error, Result};

use super::Precision;
use super::config::Config;
use super::kernel::{Isa, rows};
use super::layer::{Heads, Norm, Scratch, Weights, grow, pool};
use crate::model::tensors::{Table, Tensors};

/// Rows of the second half of a layer that are worked on together.
const ROWS_INNER: usize = 192;

/// A layer's products by the names of their weights; queries, keys and values are one product.
pub(crate) const ATTENTION: [&str; 3] = ["attention.self.query", "attention.self.key", "attention.self.value"];
/// What attention found, mixed.
pub(crate) const ATTENTION_OUT: &str = "attention.output.dense";
/// Into the wider middle.
pub(crate) const INNER: &str = "intermediate.dense";
/// And out of it.
pub(crate) const OUTER: &str = "output.dense";

/// A loaded model.
#[derive(Debug)]
pub struct Bert {
    config: Config,
    isa: Isa,
    tokens: Table,
    /// The table of positions with the first row of kinds added, since every text is of that kind.
    positions: Vec<f32>,
    first_norm: Norm,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    /// Queries, keys and values.
    attention: Weights,
    attention_out: Weights,
    attention_norm: Norm,
    inner: Weights,
    outer: Weights,
    outer_norm: Norm,
}

impl Bert {
    /// Takes the weights out of a file, each held against the shape that the configuration asks for.
    pub fn read(config: Config, tensors: &Tensors, precision: Precision, isa: Isa) -> Result<Bert> {
        let named = Named::find(tensors)?;
        let (hidden, inner) = (config.hidden, config.inner);
        let tokens = tensors.table(&named.of("embeddings.word_embeddings.weight"), [config.vocabulary, hidden])?;
        let positions = named.positions(&config)?;
        let first_norm = named.norm("embeddings", hidden)?;
        let weights = |parts: &[&str], at: usize, columns: usize, depth: usize| -> Result<Weights> {
            let (numbers, bias) = named.product(at, parts, columns, depth)?;
            Ok(Weights::new(precision, &numbers, &bias, depth))
        };
        let mut layers = Vec::with_capacity(config.layers);
        for at in 0..config.layers {
            layers.push(Layer {
                attention: weights(&ATTENTION, at, hidden, hidden)?,
                attention_out: weights(&[ATTENTION_OUT], at, hidden, hidden)?,
                attention_norm: named.norm(&format!("encoder.layer.{at}.attention.output"), hidden)?,
                inner: weights(&[INNER], at, inner, hidden)?,
                outer: weights(&[OUTER], at, hidden, inner)?,
                outer_norm: named.norm(&format!("encoder.layer.{at}.output"), hidden)?,
            });
        }
        Ok(Bert { config, isa, tokens, positions, first_norm, layers })
    }

    /// What the folder said.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A vector of length one for each text, given as its tokens.
    pub fn vectors(&self, texts: &[&[u32]], scratch: &mut Scratch) -> Result<Vec<Vec<f32>>> {
        self.look_up(texts, scratch)?;
        for layer in &self.layers {
            self.attend(layer, texts, scratch);
            self.widen(layer, scratch);
        }
        let mut first = 0;
        let mut vectors = Vec::with_capacity(texts.len());
        for text in texts {
            let states = &scratch.states[first * self.config.hidden..][..text.len() * self.config.hidden];
            vectors.push(pool(self.isa, &self.config, states)?);
            first += text.len();
        }
        Ok(vectors)
    }

    /// The first states: token and position, normalised.
    fn look_up(&self, texts: &[&[u32]], scratch: &mut Scratch) -> Result<()> {
        let Config { hidden, vocabulary, tokens_max, first_position, epsilon, .. } = self.config;
        let total: usize = texts.iter().map(|text| text.len()).sum();
        scratch.states.clear();
        scratch.states.resize(total * hidden, 0.0);
        let mut states = scratch.states.chunks_exact_mut(hidden);
        let mut bytes = Vec::new();
        for text in texts {
            assert!((1..=tokens_max).contains(&text.len()), "the tokenizer cuts, and puts marks around nothing");
            for (at, id) in text.iter().enumerate() {
                let row = usize::try_from(*id).ok().filter(|id| *id < vocabulary).ok_or_else(|| {
                    Error::invalid(format!("token {id} is beyond the model's {vocabulary}: a wrong tokenizer"))
                })?;
                let state = states.next().expect("a state a token");
                let position = &self.positions[(first_position + at) * hidden..][..hidden];
                self.tokens.add_row(row, position, state, &mut bytes)?;
            }
        }
        grow(&mut scratch.outer, total * hidden);
        scratch.outer[..total * hidden].fill(0.0);
        let Norm { gain, bias } = &self.first_norm;
        rows::add_normalise(self.isa, &mut scratch.states, &scratch.outer[..total * hidden], gain, bias, epsilon);
        Ok(())
    }

    /// A layer's first half: every token looks at the others of its text.
    fn attend(&self, layer: &Layer, texts: &[&[u32]], scratch: &mut Scratch) {
        let hidden = self.config.hidden;
        let cells = scratch.states.len();
        let Scratch { states, attention, context, outer, scores, keys, values, bytes, scales, zeros, .. } = scratch;
        grow(attention, cells * 3);
        grow(context, cells);
        grow(outer, cells);
        layer.attention.apply(self.isa, states, &mut attention[..cells * 3], (bytes, scales, zeros));
        let mut first = 0;
        for text in texts {
            let rows = first..first + text.len();
            let attention = &attention[rows.start * hidden * 3..rows.end * hidden * 3];
            let context = &mut context[rows.start * hidden..rows.end * hidden];
            let heads = Heads { isa: self.isa, hidden, heads: self.config.heads, reach: None };
            heads.look_around(text.len(), attention, context, (&mut *keys, &mut *values, &mut *scores));
            first = rows.end;
        }
        layer.attention_out.apply(self.isa, &context[..cells], &mut outer[..cells], (bytes, scales, zeros));
        let Norm { gain, bias } = &layer.attention_norm;
        rows::add_normalise(self.isa, states, &outer[..cells], gain, bias, self.config.epsilon);
    }

    /// A layer's second half: each token by itself, through a wider middle.
    fn widen(&self, layer: &Layer, scratch: &mut Scratch) {
        let Config { hidden, inner: wide, epsilon, .. } = self.config;
        let Scratch { states, inner, outer, bytes, scales, zeros, .. } = scratch;
        grow(inner, ROWS_INNER * wide);
        for states in states.chunks_mut(ROWS_INNER * hidden) {
            let inner = &mut inner[..states.len() / hidden * wide];
            let outer = &mut outer[..states.len()];
            layer.inner.apply(self.isa, states, inner, (&mut *bytes, &mut *scales, &mut *zeros));
            rows::gelu(self.isa, inner);
            layer.outer.apply(self.isa, inner, outer, (&mut *bytes, &mut *scales, &mut *zeros));
            let Norm { gain, bias } = &layer.outer_norm;
            rows::add_normalise(self.isa, states, outer, gain, bias, epsilon);
        }
    }
}

/// The tensors of a file, whose names may have the model's in front.
pub(crate) struct Named<'a> {
    tensors: &'a Tensors,
    prefix: &'static str,
    /// Older files call gain and bias of a normalisation so.
    old_norms: bool,
}

impl<'a> Named<'a> {
    pub fn find(tensors: &'a Tensors) -> Result<Named<'a>> {
        let has = |prefix: &&str| tensors.has(&format!("{prefix}embeddings.word_embeddings.weight"));
        let prefix = ["", "bert.", "roberta."].into_iter().find(has);
        let prefix = prefix.ok_or_else(|| Error::invalid("the weights hold no BERT: there are no word_embeddings"))?;
        let old_norms = tensors.has(&format!("{prefix}embeddings.LayerNorm.gamma"));
        Ok(Named { tensors, prefix, old_norms })
    }

    pub fn of(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.tensors.read(&self.of(name), shape)
    }

    pub fn norm(&self, place: &str, width: usize) -> Result<Norm> {
        let [gain, bias] = if self.old_norms { ["gamma", "beta"] } else { ["weight", "bias"] };
        let part = |name: &str| self.read(&format!("{place}.LayerNorm.{name}"), &[width]);
        Ok(Norm { gain: part(gain)?, bias: part(bias)? })
    }

    /// The table of positions with the first row of kinds added, since every text is of that kind.
    pub fn positions(&self, config: &Config) -> Result<Vec<f32>> {
        let mut positions = self.read("embeddings.position_embeddings.weight", &[config.positions, config.hidden])?;
        if config.types > 0 {
            let kinds = self.read("embeddings.token_type_embeddings.weight", &[config.types, config.hidden])?;
            for row in positions.chunks_exact_mut(config.hidden) {
                row.iter_mut().zip(&kinds).for_each(|(cell, kind)| *cell += kind);
            }
        }
        Ok(positions)
    }

    /// Weights and bias of a layer's product; of several parts one below the other.
    pub fn product(&self, at: usize, parts: &[&str], columns: usize, depth: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        let (mut numbers, mut bias) = (Vec::new(), Vec::new());
        for part in parts {
            numbers.extend(self.read(&format!("encoder.layer.{at}.{part}.weight"), &[columns, depth])?);
            bias.extend(self.read(&format!("encoder.layer.{at}.{part}.bias"), &[columns])?);
        }
        Ok((numbers, bias))
    }
}
