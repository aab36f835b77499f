//! Every row is read: its bytes first, and whatever may be among the best by what rounding to bytes can have done is weighed on
//! its halves. So the answer is exact, and depends on the rows alone: not on the order in which they came, nor on what is gone.

use rayon::prelude::*;
use roaring::RoaringTreemap;

use super::{CANDIDATES_MORE, CANDIDATES_TIMES, VectorIndex, dot, unit};
use crate::text::{Best, Hit};

/// Rows of one thread's turn.
const TURN: usize = 8_192;
/// Fewer rows are read on the calling thread alone.
const ALONE_MAX: usize = 4 * TURN;
/// Rows whose products are held at a time.
const BLOCK: usize = 128;
/// Rows out of order are asked for so many before they are needed.
const AHEAD: usize = 6;
/// What sums of a few hundred floats may be off.
const FLOAT_ERROR: f32 = 1e-5;
/// Halves of a row of length one may be so long.
const LENGTH_MAX: f32 = 1.001;

/// How far bytes are from what they were rounded from, as a length.
pub fn error(exact: &[f32], codes: &[i8], scale: f32) -> f32 {
    let off = |(value, code): (&f32, &i8)| (value - scale * f32::from(*code)).powi(2);
    exact.iter().zip(codes).map(off).sum::<f32>().sqrt()
}

/// A question in bytes, with what that may be off.
struct Asked {
    unit: Vec<f32>,
    codes: Vec<i8>,
    scale: f32,
    /// How far the bytes are from the question.
    error: f32,
    /// How long the bytes are.
    length: f32,
}

impl Asked {
    fn new(query: &[f32]) -> Self {
        let unit = unit(query);
        let mut codes = Vec::new();
        let scale = dot::to_bytes(&unit, &mut codes);
        let error = error(&unit, &codes, scale);
        let length = scale * codes.iter().map(|code| f32::from(*code).powi(2)).sum::<f32>().sqrt();
        Self { unit, codes, scale, error, length }
    }

    /// The greatest cosine that a row can have whose bytes are so near and so far off.
    fn at_most(&self, near: f32, row_error: f32) -> f32 {
        self.scale * near + self.error * LENGTH_MAX + self.length * row_error + FLOAT_ERROR
    }
}

impl VectorIndex {
    /// The nearest `k` of those in `allowed`.
    pub(super) fn exact(&self, query: &[f32], k: usize, allowed: Option<&RoaringTreemap>) -> Vec<Hit> {
        let asked = Asked::new(query);
        let chosen: Option<Vec<u32>> =
            allowed.map(|allowed| allowed.iter().filter_map(|id| self.rows.get(id)).collect());
        let near = match &chosen {
            None => self.near_all(&asked.codes),
            Some(rows) => self.near_some(&asked.codes, rows),
        };
        let row = |at: usize| chosen.as_ref().map_or(at, |rows| rows[at] as usize);
        let mut first = Best::new(k.saturating_mul(CANDIDATES_TIMES).saturating_add(CANDIDATES_MORE));
        for (at, &near) in near.iter().enumerate() {
            if near >= first.floor() && !self.dead[row(at)] {
                first.put(at as u64, near);
            }
        }
        let full = first.floor() > f32::NEG_INFINITY;
        let first = first.sorted();
        let mut best = Best::new(k);
        for hit in &first {
            let row = row(hit.id as usize);
            best.put(self.ids[row], self.cosine(&asked.unit, row as u32));
        }
        // What bytes ranked lower and halves may not; nothing where all were weighed.
        let Some(last) = first.last().filter(|_| full) else { return best.sorted() };
        for (at, &near) in near.iter().enumerate() {
            let row = row(at);
            let weighed = near > last.score || (near == last.score && at as u64 <= last.id);
            if !weighed && asked.at_most(near, self.errors[row]) >= best.floor() && !self.dead[row] {
                best.put(self.ids[row], self.cosine(&asked.unit, row as u32));
            }
        }
        best.sorted()
    }

    /// How near each row is, by bytes and without the question's scale.
    fn near_all(&self, codes: &[i8]) -> Vec<f32> {
        let turn = |(n, near): (usize, &mut [f32])| {
            let mut products = [0; BLOCK];
            for (block, near) in near.chunks_mut(BLOCK).enumerate() {
                let rows = n * TURN + block * BLOCK..n * TURN + block * BLOCK + near.len();
                let (products, bytes) = (&mut products[..near.len()], rows.start * self.stride..rows.end * self.stride);
                dot::many(codes, &self.codes[bytes], &self.sums[rows.clone()], self.lanes, products);
                for ((near, product), scale) in near.iter_mut().zip(products).zip(&self.scales[rows]) {
                    *near = *product as f32 * scale;
                }
            }
        };
        self.in_turns(self.ids.len(), turn)
    }

    /// The same of some rows, in their order.
    fn near_some(&self, codes: &[i8], chosen: &[u32]) -> Vec<f32> {
        let rows = self.rows();
        let turn = |(n, near): (usize, &mut [f32])| {
            let chosen = &chosen[n * TURN..];
            for (at, near) in near.iter_mut().enumerate() {
                if let Some(ahead) = chosen.get(at + AHEAD) {
                    dot::prefetch(rows.row(*ahead));
                }
                *near = rows.near(codes, chosen[at]);
            }
        };
        self.in_turns(chosen.len(), turn)
    }

    fn in_turns(&self, count: usize, turn: impl Fn((usize, &mut [f32])) + Sync + Send) -> Vec<f32> {
        let mut near = vec![0.0; count];
        if count <= ALONE_MAX {
            near.chunks_mut(TURN).enumerate().for_each(turn);
        } else {
            near.par_chunks_mut(TURN).enumerate().for_each(turn);
        }
        near
    }
}
