//! Reviewing on every core: batches of objects in, what is broken out, both through short queues.

use std::sync::{Arc, Mutex, PoisonError};

use engine::arrow::array::{Array, RecordBatch};
use engine::{Error, Kind, Result};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::record::Recorder;
use super::{AuditOptions, Batches, next, texts};
use crate::policy::{Inventory, Point, PolicySet, Review, Reviewer, Violation};

/// Objects that one thread takes at a time.
const OBJECTS_A_TURN: usize = 256;
/// Turns that may wait for a thread; the question waits when they do.
const TURNS_WAITING_MAX: usize = 4;
/// Reviewed turns that may wait to be written.
const SEEN_WAITING_MAX: usize = 4;

/// What one turn saw.
pub struct Seen {
    pub objects: u64,
    pub reviews: u64,
    pub broken: Vec<BrokenObject>,
}

/// An object that breaks something.
pub struct BrokenObject {
    pub group: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub uid: Option<String>,
    pub violations: Vec<Violation>,
}

type Queue = Arc<Mutex<Receiver<RecordBatch>>>;

/// Reviews every object of an answer and records what is broken.
pub async fn review_all(
    mut objects: Batches,
    set: &Arc<PolicySet>,
    inventory: &Arc<Inventory>,
    options: &AuditOptions,
    recorder: &mut Recorder<'_>,
) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = options.threads.unwrap_or(cores).clamp(1, 256);
    let (turns, waiting) = channel::<RecordBatch>(TURNS_WAITING_MAX);
    let waiting: Queue = Arc::new(Mutex::new(waiting));
    let (found, mut seen) = channel::<Result<Seen>>(SEEN_WAITING_MAX);
    for _ in 0..threads {
        let (set, inventory, waiting, found) =
            (Arc::clone(set), Arc::clone(inventory), Arc::clone(&waiting), found.clone());
        let engine = options.engine;
        // A reviewer is one thread's own, so it is made there.
        tokio::task::spawn_blocking(move || work(set.reviewer(engine, Some(&inventory)), &waiting, &found));
    }
    drop((found, waiting));
    let feed = async move {
        while let Some(batch) = next(&mut objects).await? {
            for at in (0..batch.num_rows()).step_by(OBJECTS_A_TURN) {
                let turn = batch.slice(at, OBJECTS_A_TURN.min(batch.num_rows() - at));
                if turns.send(turn).await.is_err() {
                    return Err(Error::new(Kind::Internal, "the threads of the audit ended early"));
                }
            }
        }
        Ok(())
    };
    let write = async {
        while let Some(seen) = seen.recv().await {
            recorder.add(seen?).await?;
        }
        Ok(())
    };
    tokio::try_join!(feed, write).map(|_: ((), ())| ())
}

/// Takes turns until there are none.
fn work(mut reviewer: Reviewer, waiting: &Queue, found: &Sender<Result<Seen>>) {
    loop {
        let turn = waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(turn) = turn else { return };
        let seen = review(&mut reviewer, &turn);
        if found.blocking_send(seen).is_err() {
            return;
        }
    }
}

fn review(reviewer: &mut Reviewer, turn: &RecordBatch) -> Result<Seen> {
    let columns = (0..6).map(|at| texts(turn, at)).collect::<Result<Vec<_>>>()?;
    let mut seen = Seen { objects: turn.num_rows() as u64, reviews: 0, broken: Vec::new() };
    for at in 0..turn.num_rows() {
        let cell = |column: usize| columns[column].is_valid(at).then(|| columns[column].value(at));
        let parsed = serde_json::from_str(cell(5).unwrap_or_default()).map_err(|e| e.to_string());
        let violations = match parsed.and_then(Review::of_object) {
            Ok(object) => {
                let verdict = reviewer.review(object, Point::Audit);
                seen.reviews += verdict.evaluated as u64;
                verdict.violations
            }
            Err(why) => vec![unreadable(&why)],
        };
        if !violations.is_empty() {
            let text = |column: usize| cell(column).unwrap_or_default().to_owned();
            seen.broken.push(BrokenObject {
                group: text(0),
                kind: text(1),
                namespace: text(2),
                name: text(3),
                uid: cell(4).map(str::to_owned),
                violations,
            });
        }
    }
    Ok(seen)
}

/// An object that no rule can look at breaks them all; once said is enough.
fn unreadable(why: &str) -> Violation {
    Violation {
        constraint_kind: "Stellwerk".to_owned(),
        constraint_name: "readable-object".to_owned(),
        template: "stellwerk".to_owned(),
        enforcement_action: "deny".to_owned(),
        message: format!("the object cannot be read, so every constraint denies: {why}"),
        details: None,
        engine: "rego".to_owned(),
        is_failure: true,
    }
}
