//! ModernBERT: each half of a layer reads normalised states and adds to them; positions are turned into queries and keys; most
//! layers see only what is near; the middle is gated; nothing has a bias. (Warner et al., "Smarter, Better, Faster, Longer",
//! 2024.) The products, and attention over one text, are those of the other family.

use engine::{Error, Result};

use super::Precision;
use super::config::{Config, Rotary};
use super::kernel::{Isa, rows};
use super::layer::{Heads, Scratch, Weights, grow, pool};
use crate::model::tensors::{Table, Tensors};

/// Rows of the second half of a layer that are worked on together.
const ROWS_INNER: usize = 96;

/// A loaded model.
#[derive(Debug)]
pub struct ModernBert {
    config: Config,
    isa: Isa,
    tokens: Table,
    first_gain: Vec<f32>,
    layers: Vec<Layer>,
    last_gain: Vec<f32>,
    /// Of layers that see the whole text, and of those that see what is near.
    turns: [Turns; 2],
    reach: usize,
}

#[derive(Debug)]
struct Layer {
    /// None where the states are normalised already: in the first layer.
    attention_gain: Option<Vec<f32>>,
    /// Queries, keys and values.
    attention: Weights,
    attention_out: Weights,
    inner_gain: Vec<f32>,
    /// What passes, then its gate.
    inner: Weights,
    outer: Weights,
    is_near: bool,
}

/// The turn of each place: cosines and sines of half a head's width.
#[derive(Debug)]
struct Turns {
    half: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Turns {
    fn new(places: usize, width: usize, theta: f64) -> Turns {
        let half = width / 2;
        let angles = (0..places)
            .flat_map(|place| (0..half).map(move |at| place as f64 / theta.powf(2.0 * at as f64 / (2 * half) as f64)));
        let angles: Vec<f64> = angles.collect();
        let all = |of: fn(f64) -> f64| angles.iter().map(|angle| of(*angle) as f32).collect();
        Turns { half, cosines: all(f64::cos), sines: all(f64::sin) }
    }

    /// Turns the queries and keys of one text, which lie side by side with its values.
    fn turn(&self, isa: Isa, attention: &mut [f32], hidden: usize) {
        for (place, row) in attention.chunks_exact_mut(hidden * 3).enumerate() {
            let at = place * self.half..(place + 1) * self.half;
            rows::turn(isa, &mut row[..hidden * 2], &self.cosines[at.clone()], &self.sines[at]);
        }
    }
}

impl ModernBert {
    /// Takes the weights out of a file, each held against the shape that the configuration asks for.
    pub fn read(
        config: Config,
        rotary: &Rotary,
        tensors: &Tensors,
        precision: Precision,
        isa: Isa,
    ) -> Result<ModernBert> {
        let has = |prefix: &&str| tensors.has(&format!("{prefix}embeddings.tok_embeddings.weight"));
        let prefix = ["", "model."].into_iter().find(has);
        let prefix =
            prefix.ok_or_else(|| Error::invalid("the weights hold no ModernBERT: there are no tok_embeddings"))?;
        let (hidden, inner) = (config.hidden, config.inner);
        let gain = |name: &str| tensors.read(&format!("{prefix}{name}.weight"), &[hidden]);
        let weights = |name: &str, columns: usize, depth: usize| -> Result<Weights> {
            let numbers = tensors.read(&format!("{prefix}{name}.weight"), &[columns, depth])?;
            Ok(Weights::new(precision, &numbers, &vec![0.0; columns], depth))
        };
        let mut layers = Vec::with_capacity(config.layers);
        for (at, is_near) in rotary.near.iter().enumerate() {
            let place = format!("layers.{at}");
            layers.push(Layer {
                attention_gain: (at > 0).then(|| gain(&format!("{place}.attn_norm"))).transpose()?,
                attention: weights(&format!("{place}.attn.Wqkv"), hidden * 3, hidden)?,
                attention_out: weights(&format!("{place}.attn.Wo"), hidden, hidden)?,
                inner_gain: gain(&format!("{place}.mlp_norm"))?,
                inner: weights(&format!("{place}.mlp.Wi"), inner * 2, hidden)?,
                outer: weights(&format!("{place}.mlp.Wo"), hidden, inner)?,
                is_near: *is_near,
            });
        }
        let width = hidden / config.heads;
        Ok(ModernBert {
            isa,
            tokens: tensors.table(&format!("{prefix}embeddings.tok_embeddings.weight"), [config.vocabulary, hidden])?,
            first_gain: gain("embeddings.norm")?,
            layers,
            last_gain: gain("final_norm")?,
            turns: [rotary.theta, rotary.near_theta].map(|theta| Turns::new(config.tokens_max, width, theta)),
            reach: rotary.reach,
            config,
        })
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
        self.normalise(&self.last_gain, scratch);
        let hidden = self.config.hidden;
        let mut first = 0;
        let mut vectors = Vec::with_capacity(texts.len());
        for text in texts {
            vectors.push(pool(self.isa, &self.config, &scratch.context[first * hidden..][..text.len() * hidden])?);
            first += text.len();
        }
        Ok(vectors)
    }

    /// The first states: tokens, normalised. Places come in with attention.
    fn look_up(&self, texts: &[&[u32]], scratch: &mut Scratch) -> Result<()> {
        let Config { hidden, vocabulary, tokens_max, .. } = self.config;
        let total: usize = texts.iter().map(|text| text.len()).sum();
        grow(&mut scratch.outer, total * hidden);
        scratch.states.clear();
        scratch.states.resize(total * hidden, 0.0);
        let (nothing, mut bytes) = (vec![0.0; hidden], Vec::new());
        let mut rows = scratch.outer.chunks_exact_mut(hidden);
        for text in texts {
            assert!((1..=tokens_max).contains(&text.len()), "the tokenizer cuts, and puts marks around nothing");
            for id in *text {
                let row = usize::try_from(*id).ok().filter(|id| *id < vocabulary).ok_or_else(|| {
                    Error::invalid(format!("token {id} is beyond the model's {vocabulary}: a wrong tokenizer"))
                })?;
                self.tokens.add_row(row, &nothing, rows.next().expect("a row a token"), &mut bytes)?;
            }
        }
        let tokens = &scratch.outer[..total * hidden];
        rows::normalise(self.isa, tokens, &self.first_gain, self.config.epsilon, &mut scratch.states);
        Ok(())
    }

    /// Normalised states, in the place of what attention finds: it is not needed then.
    fn normalise(&self, gain: &[f32], scratch: &mut Scratch) {
        let Scratch { states, context, .. } = scratch;
        grow(context, states.len());
        rows::normalise(self.isa, states, gain, self.config.epsilon, &mut context[..states.len()]);
    }

    /// A layer's first half: every token looks at others of its text.
    fn attend(&self, layer: &Layer, texts: &[&[u32]], scratch: &mut Scratch) {
        let (hidden, isa) = (self.config.hidden, self.isa);
        if let Some(gain) = &layer.attention_gain {
            self.normalise(gain, scratch);
        }
        let Scratch { states, attention, context, outer, scores, keys, values, bytes, scales, zeros, .. } = scratch;
        let cells = states.len();
        grow(attention, cells * 3);
        grow(context, cells);
        grow(outer, cells);
        let seen = if layer.attention_gain.is_some() { &context[..cells] } else { &states[..] };
        layer.attention.apply(isa, seen, &mut attention[..cells * 3], (&mut *bytes, &mut *scales, &mut *zeros));
        let turns = &self.turns[usize::from(layer.is_near)];
        let reach = layer.is_near.then_some(self.reach);
        let heads = Heads { isa, hidden, heads: self.config.heads, reach };
        let mut first = 0;
        for text in texts {
            let rows = first..first + text.len();
            let attention = &mut attention[rows.start * hidden * 3..rows.end * hidden * 3];
            turns.turn(isa, attention, hidden);
            let context = &mut context[rows.start * hidden..rows.end * hidden];
            heads.look_around(text.len(), attention, context, (&mut *keys, &mut *values, &mut *scores));
            first = rows.end;
        }
        layer.attention_out.apply(isa, &context[..cells], &mut outer[..cells], (bytes, scales, zeros));
        rows::add_rows(isa, states, &outer[..cells]);
    }

    /// A layer's second half: each token by itself, through a wider middle that is half a gate.
    fn widen(&self, layer: &Layer, scratch: &mut Scratch) {
        let (Config { hidden, inner: wide, .. }, isa) = (&self.config, self.isa);
        self.normalise(&layer.inner_gain, scratch);
        let Scratch { states, context, inner, outer, bytes, scales, zeros, .. } = scratch;
        grow(inner, ROWS_INNER * wide * 3);
        let (both, passed) = inner.split_at_mut(ROWS_INNER * wide * 2);
        for (states, seen) in states.chunks_mut(ROWS_INNER * hidden).zip(context.chunks(ROWS_INNER * hidden)) {
            let rows = states.len() / hidden;
            let (both, passed) = (&mut both[..rows * wide * 2], &mut passed[..rows * wide]);
            let outer = &mut outer[..states.len()];
            layer.inner.apply(isa, &seen[..states.len()], both, (&mut *bytes, &mut *scales, &mut *zeros));
            rows::gate(isa, both, *wide, passed);
            layer.outer.apply(isa, passed, outer, (&mut *bytes, &mut *scales, &mut *zeros));
            rows::add_rows(isa, states, outer);
        }
    }
}
