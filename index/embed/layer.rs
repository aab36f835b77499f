//! What models of every family here are made of: products over packed weights, attention over one text, and how the states
//! of a text become its vector.

use engine::{Error, Kind, Result};

use super::Precision;
use super::config::{Config, Pooling};
use super::kernel::pack::{Panels, QuantizedPanels};
use super::kernel::rows::LANES;
use super::kernel::{Bytes, Isa, Left, Out, multiply, multiply_bytes, rows};

/// Rows whose scores against all keys of a text are held at a time.
const ROWS_SCORED: usize = 24;
/// The same where a token sees only those near to it: more, since keys are packed anew for each group of rows.
const ROWS_NEAR: usize = 72;

#[derive(Debug)]
pub(crate) struct Norm {
    pub gain: Vec<f32>,
    pub bias: Vec<f32>,
}

#[derive(Debug)]
pub(super) enum Weights {
    Single(Panels),
    Bytes(QuantizedPanels),
}

/// The memory of one thread's work, kept between batches.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) states: Vec<f32>,
    pub(super) attention: Vec<f32>,
    pub(super) context: Vec<f32>,
    pub(super) inner: Vec<f32>,
    pub(super) outer: Vec<f32>,
    pub(super) scores: Vec<f32>,
    pub(super) keys: Panels,
    pub(super) values: Panels,
    pub(super) bytes: Vec<u8>,
    pub(super) scales: Vec<f32>,
    pub(super) zeros: Vec<i32>,
}

impl Weights {
    pub(super) fn new(precision: Precision, weights: &[f32], bias: &[f32], depth: usize) -> Weights {
        match precision {
            Precision::Single => Weights::Single(Panels::of_weights(weights, bias, depth)),
            Precision::Bytes => Weights::Bytes(QuantizedPanels::of_weights(weights, bias, depth)),
        }
    }

    /// The product of all rows of `left`, which have the weights' depth.
    pub(super) fn apply(
        &self,
        isa: Isa,
        left: &[f32],
        out: &mut [f32],
        room: (&mut Vec<u8>, &mut Vec<f32>, &mut Vec<i32>),
    ) {
        match self {
            Weights::Single(panels) => {
                let rows = left.len() / panels.depth;
                let left = Left { cells: left, stride: panels.depth, rows };
                multiply(isa, left, panels, &mut Out { cells: out, stride: panels.columns });
            }
            Weights::Bytes(panels) => {
                let (bytes, scales, zeros) = room;
                let (rows, stride) = (left.len() / panels.depth, panels.depth_padded());
                grow(bytes, rows * stride);
                grow(scales, rows);
                grow(zeros, rows);
                rows::quantize(isa, left, panels.depth, &mut bytes[..rows * stride], stride, scales, zeros);
                let bytes = Bytes { left: Left { cells: bytes, stride, rows }, scales, zeros };
                multiply_bytes(isa, bytes, panels, &mut Out { cells: out, stride: panels.columns });
            }
        }
    }
}

/// Makes room without writing what is there anew.
pub(super) fn grow<T: Clone + Default>(cells: &mut Vec<T>, len: usize) {
    if cells.len() < len {
        cells.resize(len, T::default());
    }
}

/// The heads of a layer's attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    pub isa: Isa,
    /// Numbers of a token's state.
    pub hidden: usize,
    pub heads: usize,
    /// How far from itself a token sees; `None` for the whole text.
    pub reach: Option<usize>,
}

impl Heads {
    /// Every head over one text, whose queries, keys and values lie side by side in `attention`.
    pub fn look_around(
        self,
        tokens: usize,
        attention: &[f32],
        context: &mut [f32],
        room: (&mut Panels, &mut Panels, &mut Vec<f32>),
    ) {
        let (keys, values, scores) = room;
        // Where a reach covers the text, it is none.
        let heads = Heads { reach: self.reach.filter(|reach| *reach + 1 < tokens), ..self };
        for head in 0..self.heads {
            heads.look_with(head, tokens, attention, context, (&mut *keys, &mut *values, &mut *scores));
        }
    }

    /// One head over one text: `softmax(queries x keys) x values`.
    fn look_with(
        self,
        head: usize,
        tokens: usize,
        attention: &[f32],
        context: &mut [f32],
        room: (&mut Panels, &mut Panels, &mut Vec<f32>),
    ) {
        let (keys, values, scores) = room;
        let Heads { isa, hidden, .. } = self;
        let width = hidden / self.heads;
        let (stride, at) = (hidden * 3, head * width);
        let scale = 1.0 / (width as f32).sqrt();
        let together = if self.reach.is_some() { ROWS_NEAR } else { ROWS_SCORED };
        let mut sums = [0.0; ROWS_NEAR];
        for first in (0..tokens).step_by(together) {
            let rows = (tokens - first).min(together);
            let (from, to) = match self.reach {
                Some(reach) => (first.saturating_sub(reach), (first + rows + reach).min(tokens)),
                None => (0, tokens),
            };
            let seen = to - from;
            if first == 0 || self.reach.is_some() {
                keys.shape(width, seen);
                keys.fill_columns(|key| &attention[(from + key) * stride + hidden + at..][..width]);
                values.shape(seen, width);
                values.fill_rows(|key| &attention[(from + key) * stride + hidden * 2 + at..][..width]);
            }
            // Rows of scores end at whole registers; what pads them has no share.
            let scored = seen.next_multiple_of(LANES);
            grow(scores, together * scored);
            let queries = Left { cells: &attention[first * stride + at..], stride, rows };
            let scores = &mut scores[..rows * scored];
            multiply(isa, queries, keys, &mut Out { cells: scores, stride: scored });
            for (row, scores) in scores.chunks_exact_mut(scored).enumerate() {
                scores[seen..].fill(f32::NEG_INFINITY);
                if let Some(reach) = self.reach {
                    let token = first + row - from;
                    scores[..token.saturating_sub(reach)].fill(f32::NEG_INFINITY);
                    scores[(token + reach + 1).min(seen)..seen].fill(f32::NEG_INFINITY);
                }
            }
            rows::exponentials(isa, scores, scored, scale, &mut sums);
            let shares = Left { cells: scores, stride: scored, rows };
            let context = &mut context[first * hidden + at..];
            multiply(isa, shares, values, &mut Out { cells: context, stride: hidden });
            // Dividing the answer is less work than dividing the shares.
            rows::divide_rows(isa, context, hidden, width, &sums[..rows]);
        }
    }
}

/// The states of a text become its vector.
pub(super) fn pool(isa: Isa, config: &Config, states: &[f32]) -> Result<Vec<f32>> {
    let mut vector = states[..config.hidden].to_vec();
    if config.pooling == Pooling::Mean {
        rows::add_rows(isa, &mut vector, &states[config.hidden..]);
    }
    let length = vector.iter().map(|cell| cell * cell).sum::<f32>().sqrt();
    if !length.is_finite() || length == 0.0 {
        let text = "the model answers with numbers that are no vector; its weights are damaged or of another model";
        return Err(Error::new(Kind::Corrupt, text));
    }
    vector.iter_mut().for_each(|cell| *cell /= length);
    Ok(vector)
}
