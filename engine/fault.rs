//! Named moments at which a trial may end the process: between any two steps that must hold together after a crash.
//!
//! Nothing is armed unless the operator asks for it; a point that is not costs one relaxed load. Whoever adds a commit
//! or a step of the log adds its point here, and the campaign of faults finds it in the register.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

use crate::error::{Error, Result};

/// A moment between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A segment of the log has its name, and holds nothing yet.
    LogSegmentCreated,
    /// Frames are written to the log, and not yet synced.
    FrameWritten,
    /// Frames are durable, and neither visible nor acknowledged.
    FrameSynced,
    /// Frames are acknowledged.
    FrameAcked,
    /// A flush has written its files, and not committed them.
    FlushWritten,
    /// A flush is committed, and the log not yet shortened.
    FlushCommitted,
    /// The keys of a segment are kept aside, and the segment is still there.
    LogKeysKept,
    /// A segment of the log is gone.
    LogSegmentRemoved,
    /// A bulk load has written its files, and not committed them.
    LoadWritten,
    /// A bulk load is committed, and not acknowledged.
    LoadCommitted,
    /// A table was created.
    TableCreated,
    /// A table got the columns that a newer program declares.
    ColumnsAdded,
    /// Expired or superseded rows are deleted.
    DeleteCommitted,
    /// The floor of `as_of` is noted.
    FloorCommitted,
    /// A compaction has written its files, and not committed them.
    CompactionRewritten,
    /// A compaction is committed.
    CompactionCommitted,
    /// An index is about to be built or extended.
    IndexBegun,
    /// An index is committed.
    IndexCommitted,
    /// Files of old versions are about to be deleted.
    CleanBegun,
    /// Files of old versions are deleted.
    CleanDone,
    /// A fragment is written anew without what was erased, and not committed.
    RewriteWritten,
    /// It has taken the old one's place, whose files are still there.
    RewriteCommitted,
    /// Chunks are durable, and no search finds them yet.
    ChunksWritten,
    /// The full text is committed, and what it replaces still stands beside it.
    TextCommitted,
    /// Vectors are durable, and in no index yet.
    EmbeddingKept,
    /// Questions turned to another model, and it is not noted yet.
    ModelSwitched,
    /// A step of a flow is intended, and not called.
    FlowIntended,
    /// A step of a flow was called, and what came of it is not kept.
    FlowCalled,
    /// What follows from an event of a flow is kept.
    FlowKept,
    /// A rule was asked, and nothing of what follows is written.
    RuleCompared,
    /// Jobs made, taken up and ended are written together, and not committed.
    QueueWritten,
    /// They are committed, and nobody knows yet.
    QueueCommitted,
    /// An action was called, and its end is not handed in.
    JobCalled,
}

/// The names of the points, in the order of [`Point`].
pub const POINTS: &[&str] = &[
    "log-segment-created",
    "frame-written",
    "frame-synced",
    "frame-acked",
    "flush-written",
    "flush-committed",
    "log-keys-kept",
    "log-segment-removed",
    "load-written",
    "load-committed",
    "table-created",
    "columns-added",
    "delete-committed",
    "floor-committed",
    "compaction-rewritten",
    "compaction-committed",
    "index-begun",
    "index-committed",
    "clean-begun",
    "clean-done",
    "rewrite-written",
    "rewrite-committed",
    "chunks-written",
    "text-committed",
    "embedding-kept",
    "model-switched",
    "flow-intended",
    "flow-called",
    "flow-kept",
    "rule-compared",
    "queue-written",
    "queue-committed",
    "job-called",
];

/// What ends this process.
#[derive(Debug)]
struct Armed {
    point: usize,
    delay: Duration,
    left: AtomicU32,
}

static ANY: AtomicBool = AtomicBool::new(false);
static ARMED: OnceLock<Armed> = OnceLock::new();

/// Arms one point of this process: `POINT[:NTH[:DELAY_MS]]`. It ends by SIGKILL that long after the point was reached
/// for the nth time. Refused when the name is not in [`POINTS`], or when a point is armed already.
pub fn arm(spec: &str) -> Result<()> {
    let mut words = spec.split(':');
    let name = words.next().unwrap_or_default();
    let point = POINTS.iter().position(|known| *known == name);
    let point = point
        .ok_or_else(|| Error::invalid(format!("there is no fail point {name:?}; there are {}", POINTS.join(", "))))?;
    let mut number = |default: u32| match words.next() {
        None => Ok(default),
        Some(word) => word.parse().map_err(|_| Error::invalid(format!("{spec:?} is not POINT[:NTH[:DELAY_MS]]"))),
    };
    let (nth, delay_ms) = (number(1)?.max(1), number(0)?);
    let armed = Armed { point, delay: Duration::from_millis(delay_ms.into()), left: AtomicU32::new(nth) };
    ARMED.set(armed).map_err(|_| Error::invalid("a fail point is armed already"))?;
    ANY.store(true, Ordering::Release);
    Ok(())
}

/// Says that the process has come to this point.
#[inline]
pub fn reached(point: Point) {
    if ANY.load(Ordering::Relaxed) {
        end_if_armed(point);
    }
}

#[cold]
fn end_if_armed(point: Point) {
    let Some(armed) = ARMED.get().filter(|armed| armed.point == point as usize) else { return };
    if armed.left.fetch_sub(1, Ordering::SeqCst) != 1 {
        return;
    }
    match armed.delay.is_zero() {
        true => end(),
        false => drop(std::thread::spawn(|| {
            std::thread::sleep(armed.delay);
            end();
        })),
    }
}

fn end() {
    let _ = kill_process(getpid(), Signal::KILL);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn points_and_names_stand_in_one_order() {
        assert_eq!(POINTS.len(), Point::JobCalled as usize + 1);
        assert_eq!(POINTS[Point::FlushCommitted as usize], "flush-committed");
        assert_eq!(POINTS[Point::IndexBegun as usize], "index-begun");
    }

    #[test]
    fn what_is_no_point_is_refused() {
        assert!(arm("flush").unwrap_err().to_string().contains("flush-committed"));
        assert!(arm("flush-committed:often").is_err());
    }
}
