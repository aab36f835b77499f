//! Rows of the log come back into the tails. Decoding takes nearly all of the time, so every core does its share; the
//! rows are published in the order of the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;

use crate::error::{Error, Kind, Result};
use crate::facts::{Facts, encode};
use crate::wal::{Header, ipc};

/// Threads that decode at most.
const THREADS_MAX: usize = 8;
/// Fewer frames than this are not worth another thread.
const FRAMES_EACH_MIN: usize = 64;

type Tables = BTreeMap<&'static str, Arc<Facts>>;

/// Stored rows of one table, and where they stand in the log.
struct Decoded {
    facts: Arc<Facts>,
    rows: RecordBatch,
    seq: u64,
    at_us: i64,
}

/// Puts the rows of recovered frames into the tails, except those that were flushed before the crash.
pub(super) fn replay(tables: &Tables, frames: Vec<(Header, Bytes)>) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (frames.len() / FRAMES_EACH_MIN).clamp(1, cores.min(THREADS_MAX));
    let shares: Vec<&[(Header, Bytes)]> = frames.chunks(frames.len().div_ceil(threads).max(1)).collect();
    let decoded: Vec<Result<Vec<Decoded>>> = std::thread::scope(|scope| {
        let decoding: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || decode_all(tables, share))).collect();
        decoding.into_iter().map(|thread| thread.join().expect("decoding a frame never panics")).collect()
    });
    for share in decoded {
        for Decoded { facts, rows, seq, at_us } in share? {
            facts.publish(rows, seq, at_us);
        }
    }
    Ok(())
}

fn decode_all(tables: &Tables, frames: &[(Header, Bytes)]) -> Result<Vec<Decoded>> {
    let mut decoded = Vec::with_capacity(frames.len());
    for (header, body) in frames {
        decode(tables, header, body, &mut decoded)?;
    }
    Ok(decoded)
}

fn decode(tables: &Tables, header: &Header, body: &Bytes, decoded: &mut Vec<Decoded>) -> Result<()> {
    let (mut at, mut seq) = (0usize, header.seq);
    for part in &header.parts {
        let end = at.saturating_add(usize::try_from(part.bytes).unwrap_or(usize::MAX));
        let bytes =
            body.get(at..end).ok_or_else(|| Error::new(Kind::Corrupt, "a frame's parts are longer than its body"))?;
        let facts = tables.get(part.table.as_str()).ok_or_else(|| {
            let why = format!(
                "the log holds rows of table {}, which this program does not declare; start the newer one",
                part.table
            );
            Error::new(Kind::Corrupt, why)
        })?;
        if seq >= facts.flushed() {
            let rows = encode::in_order_of(&ipc::decode(bytes)?, &facts.table.batch_schema())?;
            let rows = encode::stored(facts.table, &rows, &header.source, header.at_us, seq);
            decoded.push(Decoded { facts: facts.clone(), rows, seq, at_us: header.at_us });
        }
        at = end;
        seq += part.rows;
    }
    Ok(())
}
