//! The same rows on a GPU, where there is one: a search there reads all of them and needs no graph. What was put since the rows
//! were last sent is read on the processor; whatever fails on the card, the processor answers.

use std::sync::{Arc, LazyLock};

use half::f16;
use parking_lot::Mutex;

use crate::cuda::{self, Gpu, GpuScan};

/// Rows from which a card is worth the way there.
pub const ROWS_MIN: usize = 20_000;
/// Answers that a card is asked for at most.
const WANTED_MAX: usize = 1_024;

static GPU: LazyLock<Option<Arc<Gpu>>> = LazyLock::new(|| {
    if !cuda::present() {
        return None;
    }
    let opened = Gpu::open(0);
    opened.inspect_err(|e| tracing::warn!(error = %e, "vectors are searched on the processor: the GPU failed")).ok()
});

/// Rows that a card holds, the first of the index.
#[derive(Debug, Default)]
pub struct Card {
    scan: Mutex<Option<GpuScan>>,
    rows: usize,
}

impl Card {
    /// Rows that lie on the card.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Sends the rows that are not there yet, where there is a card.
    pub fn follow(&mut self, halves: &[f16], width: usize) {
        let rows = halves.len() / width;
        if rows < ROWS_MIN || rows == self.rows {
            return;
        }
        let Some(gpu) = &*GPU else { return };
        let scan = self.scan.get_mut();
        let opened = scan.take().map_or_else(|| GpuScan::new(gpu.clone(), width, rows + rows / 4), Ok);
        let sent = opened.and_then(|mut opened| opened.put(&halves[self.rows * width..]).map(|()| opened));
        match sent {
            Ok(sent) => (*scan, self.rows) = (Some(sent), rows),
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
