//! Vectors: what means the same. Every row is read while that is quick, and the answer is exact: it depends on the rows alone,
//! not on the order in which they came. Above, a graph answers with the recall that was asked for, measured on the rows
//! themselves. The scan and the graph run on bytes, the best candidates are weighed again on halves. Whom a row may be shown
//! to is asked inside the search.

#[cfg(feature = "cuda")]
mod card;
mod dot;
mod file;
mod graph;
mod scan;

use std::collections::HashMap;
use std::path::Path;

use engine::Result;
use half::f16;
use roaring::RoaringTreemap;

use crate::text::{Best, Hit};
use dot::Lanes;
use graph::{Graph, Near, Rows};

/// How an index is searched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VectorSettings {
    /// Rows up to which everything is read, so that the answer is the same however the rows came to be there.
    pub exact_rows_max: usize,
    /// The share of the true best ten that a search must find on average.
    pub recall: f32,
}

impl Default for VectorSettings {
    fn default() -> Self {
        Self { exact_rows_max: 150_000, recall: 0.95 }
    }
}

/// Rows that the graph lacks before [`VectorIndex::tend`] puts them in; so many more are read exactly in no time.
const FRESH_ROWS_MAX: usize = 4096;
/// Candidates on bytes for each row that is asked for, and some more: what rounding may have displaced.
const CANDIDATES_TIMES: usize = 2;
const CANDIDATES_MORE: usize = 24;
/// What reading one row out of order costs, against one step of a walk: decides between scan and graph under a filter.
const WALK_STEPS_PER_WIDTH: usize = 24;
/// Rows from which a spread of cosines is told.
const SPREAD_ROWS_MIN: usize = 16;
/// Cosines that are closer together than this are rounding.
const SPREAD_MIN: f64 = 1e-3;
/// Ids up to this many times the rows are looked up in a plain table.
const DENSE_TIMES: u64 = 8;
/// Widths of the walk that tuning tries.
const WIDTHS: [usize; 12] = [12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512];
/// Rows that tuning asks with.
const TUNING_ROWS: usize = 200;
/// How much of another row is mixed into a row that tuning asks with: questions are no passages.
const STRANGE: f32 = 0.7;
/// Real questions are stranger still: measured on twenty thousand passages, their error is up to twice that of the mixed rows.
const REAL_ERROR_TIMES: f32 = 2.0;
/// How many of the true best are looked for when the recall is measured.
const TUNING_K: usize = 10;

/// Rows of one model, under the ids that the caller gives.
#[derive(Debug)]
pub struct VectorIndex {
    width: usize,
    stride: usize,
    settings: VectorSettings,
    lanes: Lanes,
    ids: Vec<u64>,
    codes: Vec<i8>,
    scales: Vec<f32>,
    /// Of each row's bytes.
    sums: Vec<i32>,
    /// How far each row's bytes are from its halves, as a length.
    errors: Vec<f32>,
    halves: Vec<f16>,
    dead: Vec<bool>,
    dead_count: usize,
    rows: Numbers,
    graph: Graph,
    walk_width: usize,
    /// Rows when the walk's width was measured.
    tuned_rows: usize,
    #[cfg(feature = "cuda")]
    card: card::Card,
}

/// From an id to its row.
#[derive(Debug, Default)]
struct Numbers {
    dense: Vec<u32>,
    sparse: HashMap<u64, u32>,
}

const NONE: u32 = u32::MAX;

impl Numbers {
    fn get(&self, id: u64) -> Option<u32> {
        match usize::try_from(id).ok().and_then(|at| self.dense.get(at)) {
            Some(&row) if row != NONE => Some(row),
            _ => self.sparse.get(&id).copied(),
        }
    }

    fn set(&mut self, id: u64, row: u32, rows: usize) {
        if id < (rows as u64 + 1024) * DENSE_TIMES {
            let at = id as usize;
            if self.dense.len() <= at {
                self.dense.resize((at + 1).next_power_of_two(), NONE);
            }
            self.sparse.remove(&id);
            self.dense[at] = row;
        } else {
            self.sparse.insert(id, row);
        }
    }

    fn take(&mut self, id: u64) -> Option<u32> {
        let row = self.get(id)?;
        match usize::try_from(id).ok().and_then(|at| self.dense.get_mut(at)) {
            Some(place) if *place != NONE => *place = NONE,
            _ => {
                self.sparse.remove(&id);
            }
        }
        Some(row)
    }
}

impl VectorIndex {
    /// An empty index of vectors with `width` numbers.
    pub fn new(width: usize, settings: VectorSettings) -> Self {
        Self {
            width,
            stride: width.next_multiple_of(dot::ROW_STEP),
            settings,
            lanes: dot::lanes(),
            ids: Vec::new(),
            codes: Vec::new(),
            scales: Vec::new(),
            sums: Vec::new(),
            errors: Vec::new(),
            halves: Vec::new(),
            dead: Vec::new(),
            dead_count: 0,
            rows: Numbers::default(),
            graph: Graph::default(),
            walk_width: 64,
            tuned_rows: 0,
            #[cfg(feature = "cuda")]
            card: card::Card::default(),
        }
    }

    /// The index that [`VectorIndex::save`] left; an error where the file is not whole or of another form.
    pub fn load(path: &Path, settings: VectorSettings) -> Result<Self> {
        file::load(path, settings)
    }

    /// Writes everything beside the old file and takes its place at once.
    pub fn save(&self, path: &Path) -> Result<()> {
        file::save(self, path)
    }

    /// Numbers in a vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Vectors that are there.
    pub fn len(&self) -> usize {
        self.ids.len() - self.dead_count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows that a walk keeps in view, as tuning chose.
    pub fn walk_width(&self) -> usize {
        self.walk_width
    }

    /// Bytes of memory that the rows and the graph take.
    pub fn size_bytes(&self) -> usize {
        self.codes.len() + 2 * self.halves.len() + 4 * self.graph.lowest.len() + 21 * self.ids.len()
    }

    /// Whether there is a vector under this id.
    pub fn contains(&self, id: u64) -> bool {
        self.rows.get(id).is_some()
    }

    /// Takes a vector in, in place of the one with its id. It is brought to length one; one of another width is a fault of
    /// the caller.
    pub fn add(&mut self, id: u64, vector: &[f32]) {
        assert_eq!(vector.len(), self.width, "a vector has the width of its index");
        self.remove(id);
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        let unit: Vec<f32> = vector.iter().map(|value| if length > 0.0 { value / length } else { 0.0 }).collect();
        let row = u32::try_from(self.ids.len()).expect("an index in memory has fewer than four thousand million rows");
        self.ids.push(id);
        self.halves.extend(unit.iter().map(|value| f16::from_f32(*value)));
        self.round(row as usize);
        self.dead.push(false);
        self.rows.set(id, row, self.ids.len());
    }

    /// Puts down the bytes of the next row, by its halves: the same whether it was just added or read from a file.
    fn round(&mut self, row: usize) {
        let halves = &self.halves[row * self.width..][..self.width];
        let unit: Vec<f32> = halves.iter().map(|value| value.to_f32()).collect();
        let scale = dot::to_bytes(&unit, &mut self.codes);
        let codes = &self.codes[row * self.stride..];
        self.sums.push(dot::sum(codes));
        self.errors.push(scan::error(&unit, codes, scale));
        self.scales.push(scale);
    }

    /// Takes the vector under an id out; at once no search finds it.
    pub fn remove(&mut self, id: u64) {
        if let Some(row) = self.rows.take(id) {
            self.dead[row as usize] = true;
            self.dead_count += 1;
            #[cfg(feature = "cuda")]
            self.card.forget(row);
        }
    }

    /// What is to be done now and then: rows that are gone are let go when they are many, fresh ones go into the graph, and
    /// the walk's width is measured anew when the graph has grown by half. Searches are right before and after.
    pub fn tend(&mut self) {
        while self.tend_some(usize::MAX) {}
    }

    /// As [`VectorIndex::tend`], with so many rows at the most, so that searches need not wait for all of them; says whether
    /// more is to be done.
    pub fn tend_some(&mut self, rows_max: usize) -> bool {
        if self.dead_count * 4 > self.ids.len() && self.dead_count > FRESH_ROWS_MAX {
            self.compact();
        }
        #[cfg(feature = "cuda")]
        self.card.follow(&self.halves, &self.dead, self.width);
        if self.len() <= self.settings.exact_rows_max {
            return false;
        }
        let before = self.graph.len();
        if self.ids.len() - before <= FRESH_ROWS_MAX && before > 0 {
            return false;
        }
        let until = self.ids.len().min(before.saturating_add(rows_max));
        let rows = Rows { codes: &self.codes, scales: &self.scales, stride: self.stride, lanes: self.lanes };
        for _ in before..until {
            self.graph.insert(rows);
        }
        let more = self.ids.len() - until > FRESH_ROWS_MAX;
        // The width is measured when the graph has grown by half since it was measured last.
        if !more && until > self.tuned_rows + self.tuned_rows / 2 {
            self.tuned_rows = until;
            self.tune(self.settings.recall);
        }
        more
    }

    /// The ids of the vectors that are there.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.ids.iter().zip(&self.dead).filter(|(_, dead)| !**dead).map(|(id, _)| *id)
    }

    fn compact(&mut self) {
        let mut kept = Self::new(self.width, self.settings);
        for row in (0..self.ids.len()).filter(|row| !self.dead[*row]) {
            let number = kept.ids.len() as u32;
            kept.ids.push(self.ids[row]);
            kept.scales.push(self.scales[row]);
            kept.sums.push(self.sums[row]);
            kept.errors.push(self.errors[row]);
            kept.codes.extend_from_slice(&self.codes[row * self.stride..][..self.stride]);
            kept.halves.extend_from_slice(&self.halves[row * self.width..][..self.width]);
            kept.dead.push(false);
            kept.rows.set(self.ids[row], number, kept.ids.len());
        }
        *self = kept;
    }

    /// Finds the narrowest walk that reaches a recall on the index's own rows, moved away a little as a question is, and
    /// keeps it. Says the recall that was measured.
    pub fn tune(&mut self, recall: f32) -> f32 {
        let questions = self.questions();
        let truths: Vec<Vec<Hit>> = questions.iter().map(|question| self.exact(question, TUNING_K, None)).collect();
        let mut reached = 1.0;
        for width in WIDTHS {
            self.walk_width = width;
            let mut found = 0;
            let mut all = 0;
            for (question, truth) in questions.iter().zip(&truths) {
                let hits = self.walked(question, TUNING_K, None);
                all += truth.len();
                found += truth.iter().filter(|hit| hits.iter().any(|other| other.id == hit.id)).count();
            }
            reached = if all == 0 { 1.0 } else { found as f32 / all as f32 };
            if reached >= 1.0 - (1.0 - recall) / REAL_ERROR_TIMES {
                break;
            }
        }
        reached
    }

    /// Rows at even distances, each with much of another row mixed in.
    fn questions(&self) -> Vec<Vec<f32>> {
        let step = (self.ids.len() / TUNING_ROWS).max(1);
        let row =
            |n: usize| self.halves[n % self.ids.len() * self.width..][..self.width].iter().map(|value| value.to_f32());
        (0..self.ids.len())
            .step_by(step)
            .filter(|n| !self.dead[*n])
            .map(|n| row(n).zip(row(n + step / 2 + 7)).map(|(own, other)| own + STRANGE * other).collect())
            .collect()
    }

    /// The nearest `k` of those in `allowed`, by the cosine.
    pub fn search(&self, query: &[f32], k: usize, allowed: Option<&RoaringTreemap>) -> Vec<Hit> {
        if query.len() != self.width || k == 0 || self.is_empty() {
            return Vec::new();
        }
        #[cfg(feature = "cuda")]
        if let Some(found) = self.on_card(query, k, allowed) {
            return found;
        }
        // A graph of rows that were more before is not asked: what it finds depends on their order.
        if self.len() <= self.settings.exact_rows_max || self.graph.len() == 0 {
            return self.exact(query, k, allowed);
        }
        let Some(allowed) = allowed else { return self.walked(query, k, None) };
        let count = usize::try_from(allowed.len()).unwrap_or(usize::MAX);
        let width = self.width_for(k);
        // A filter that lets one row in n through makes the walk about n times longer.
        let walk_rows = (width * WALK_STEPS_PER_WIDTH).saturating_mul(self.ids.len()) / count.max(1);
        if count <= walk_rows { self.exact(query, k, Some(allowed)) } else { self.walked(query, k, Some(allowed)) }
    }

    /// The cosine of a query with the vectors of some ids, for those that are there.
    pub fn scores(&self, query: &[f32], ids: &[u64]) -> Vec<Hit> {
        let query = unit(query);
        let found = ids.iter().filter_map(|id| self.rows.get(*id).map(|row| (*id, row)));
        found.map(|(id, row)| Hit { id, score: self.cosine(&query, row) }).collect()
    }

    /// The standard deviation of the cosines between vectors that are there; nothing where they are too few to tell, or all
    /// the same.
    pub fn spread(&self, ids: &[u64]) -> Option<f32> {
        let rows = ids.iter().filter_map(|id| self.rows.get(*id));
        let rows: Vec<u32> = rows.collect();
        if rows.len() < SPREAD_ROWS_MIN {
            return None;
        }
        let (mut count, mut sum, mut squares) = (0.0f64, 0.0f64, 0.0f64);
        for (n, &row) in rows.iter().enumerate() {
            let halves = &self.halves[row as usize * self.width..][..self.width];
            let own: Vec<f32> = halves.iter().map(|value| value.to_f32()).collect();
            for &other in &rows[n + 1..] {
                let cosine = f64::from(self.cosine(&own, other));
                (count, sum, squares) = (count + 1.0, sum + cosine, squares + cosine * cosine);
            }
        }
        let variance = squares / count - (sum / count).powi(2);
        (variance > SPREAD_MIN * SPREAD_MIN).then(|| variance.sqrt() as f32)
    }

    fn cosine(&self, query: &[f32], row: u32) -> f32 {
        dot::halves(&self.halves[row as usize * self.width..][..self.width], query, self.lanes)
    }

    fn width_for(&self, k: usize) -> usize {
        self.walk_width.max(k * self.walk_width.div_ceil(TUNING_K * 2).max(1)).max(k + 2)
    }

    /// By a GPU that holds the rows; nothing where there is none, or where so few rows are allowed that the processor has read
    /// them sooner.
    #[cfg(feature = "cuda")]
    fn on_card(&self, query: &[f32], k: usize, allowed: Option<&RoaringTreemap>) -> Option<Vec<Hit>> {
        if allowed.is_some_and(|allowed| allowed.len() < card::ROWS_MIN as u64) {
            return None;
        }
        let there = self.card.rows();
        let takes =
            |row: u32| !self.dead[row as usize] && allowed.is_none_or(|set| set.contains(self.ids[row as usize]));
        let chosen = allowed.map(|allowed| {
            let mut bits = vec![0u32; there.div_ceil(32)];
            let rows = allowed.iter().filter_map(|id| self.rows.get(id)).filter(|row| (*row as usize) < there);
            rows.for_each(|row| bits[row as usize / 32] |= 1 << (row % 32));
            bits
        });
        let bits = chosen.as_deref().or_else(|| (self.dead_count > 0).then(|| self.card.alive()));
        let query = unit(query);
        let found = self.card.search(&query, k * CANDIDATES_TIMES + CANDIDATES_MORE, bits)?;
        let fresh = (there as u32..self.ids.len() as u32).filter(|row| takes(*row));
        Some(self.weigh(&query, found.into_iter().chain(fresh), k))
    }

    fn walked(&self, query: &[f32], k: usize, allowed: Option<&RoaringTreemap>) -> Vec<Hit> {
        let query = unit(query);
        let mut codes = Vec::with_capacity(self.stride);
        dot::to_bytes(&query, &mut codes);
        let rows = self.rows();
        let takes =
            |row: u32| !self.dead[row as usize] && allowed.is_none_or(|set| set.contains(self.ids[row as usize]));
        let mut found = self.graph.search(rows, &codes, self.width_for(k), &mut |row| takes(row));
        for row in self.graph.len() as u32..self.ids.len() as u32 {
            if takes(row) {
                found.push(Near { near: rows.near(&codes, row), row });
            }
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(k * CANDIDATES_TIMES + CANDIDATES_MORE);
        self.weigh(&query, found.into_iter().map(|near| near.row), k)
    }

    fn weigh(&self, query: &[f32], rows: impl Iterator<Item = u32>, k: usize) -> Vec<Hit> {
        let mut best = Best::new(k);
        for row in rows {
            best.put(self.ids[row as usize], self.cosine(query, row));
        }
        best.sorted()
    }

    fn rows(&self) -> Rows<'_> {
        Rows { codes: &self.codes, scales: &self.scales, stride: self.stride, lanes: self.lanes }
    }
}

fn unit(query: &[f32]) -> Vec<f32> {
    let length = query.iter().map(|value| value * value).sum::<f32>().sqrt();
    query.iter().map(|value| if length > 0.0 { value / length } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests;
