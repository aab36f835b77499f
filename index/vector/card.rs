//! The same rows on a GPU, where there is one: a search there reads all of them and needs no graph. What was put since the rows
//! were last sent is read on the processor; whatever fails on the card, the processor answers.

use half::f16;
use parking_lot::Mutex;

use crate::cuda::{self, GpuScan};

/// Rows from which a card is worth the way there.
pub const ROWS_MIN: usize = 20_000;
/// Answers that a card is asked for at most.
const WANTED_MAX: usize = 1_024;

/// Rows that a card holds, the first of the index.
#[derive(Debug, Default)]
pub struct Card {
    scan: Mutex<Option<GpuScan>>,
    rows: usize,
    /// A bit for each row that is not gone, the first in the lowest.
    alive: Vec<u32>,
}

impl Card {
    /// Rows that lie on the card.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// A bit for each of its rows that is not gone.
    pub fn alive(&self) -> &[u32] {
        &self.alive
    }

    /// A row is gone; a card that does not hold it has nothing to forget.
    pub fn forget(&mut self, row: u32) {
        if let Some(bits) = self.alive.get_mut(row as usize / 32) {
            *bits &= !(1 << (row % 32));
        }
    }

    /// Sends the rows that are not there yet, where there is a card.
    pub fn follow(&mut self, halves: &[f16], dead: &[bool], width: usize) {
        let rows = halves.len() / width;
        if rows < ROWS_MIN || rows == self.rows {
            return;
        }
        let Some(gpu) = cuda::first() else { return };
        let scan = self.scan.get_mut();
        let opened = scan.take().map_or_else(|| GpuScan::new(gpu.clone(), width, rows + rows / 4), Ok);
        let sent = opened.and_then(|mut opened| opened.put(&halves[self.rows * width..]).map(|()| opened));
        match sent {
            Ok(sent) => {
                self.alive.resize(rows.div_ceil(32), 0);
                let fresh = (self.rows..rows).filter(|row| !dead[*row]);
                fresh.for_each(|row| self.alive[row / 32] |= 1 << (row % 32));
                (*scan, self.rows) = (Some(sent), rows);
            }
            Err(e) => {
                tracing::warn!(error = %e, "vectors are searched on the processor");
                self.rows = 0;
            }
        }
    }

    /// The nearest rows of those whose bit is set, or of all; nothing where the processor has to answer.
    pub fn search(&self, query: &[f32], wanted: usize, allowed: Option<&[u32]>) -> Option<Vec<u32>> {
        if self.rows == 0 || wanted > WANTED_MAX {
            return None;
        }
        let mut scan = self.scan.lock();
        let found = scan.as_mut()?.search(&[query], wanted, allowed);
        let found =
            found.inspect_err(|e| tracing::warn!(error = %e, "the processor searches instead of the GPU")).ok()?;
        found.into_iter().next().map(|found| found.into_iter().map(|found| found.row).collect())
    }
}
