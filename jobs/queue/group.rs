//! One transaction of the writer: ends, parts of others, new jobs, then jobs taken up, which may be those that were just made.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use engine::fault::{Point, reached};
use engine::state::Transaction;
use engine::{Error, Kind, Result, State as Database};
use ledger::audit::{Audit, Entry};

use super::claim::claim;
use super::end::{self, Ending};
use super::insert::insert_all;
use super::mark;
use super::writer::{Crew, Taken, Wish};
use super::{Claimed, FLOW, NewJob};
use crate::flow::drive::Begun;

/// What a group came to, each in the order of its wishes.
#[derive(Default)]
pub(super) struct Done {
    /// Whether a job was made.
    pub made: Vec<bool>,
    /// Whether an end counts.
    pub ended: Vec<bool>,
    /// Jobs that were asked for.
    pub claimed: Vec<Vec<Claimed>>,
    /// Jobs for places.
    pub taken: Vec<Taken>,
}

/// A group that is not known to be written.
pub(super) struct Failed {
    /// Why.
    pub error: Error,
    /// What it came to if it was written after all; `None` where nothing was.
    pub doubted: Option<Doubted>,
}

/// What a group came to if its commit took place, which nobody knows where the answer is lost.
pub(super) struct Doubted {
    /// The group's mark: see [`mark`].
    pub mark: String,
    /// What it came to.
    pub done: Done,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed { error, doubted: None }
    }
}

/// Writes all wishes or none; durable when this returns. Jobs are taken up for so many places.
pub(super) async fn write(
    state: &Database,
    owner: &str,
    wishes: &mut [Wish],
    places: usize,
    crew: Option<Arc<Crew>>,
) -> std::result::Result<Done, Failed> {
    let mut done = Done::default();
    let mut open = state.transaction().await?;
    let ends: Vec<Ending<'_>> = wishes.iter().flat_map(endings).collect();
    done.ended = end::write(&mut open, &ends).await?;
    let mut audited: Vec<(Arc<Audit>, Vec<Entry>)> = Vec::new();
    for wish in wishes.iter_mut() {
        if let Wish::Part(part) = wish {
            part.write(&mut open).await?;
            if let Some((audit, entries)) = part.entries() {
                match audited.iter().position(|(known, _)| Arc::ptr_eq(known, &audit)) {
                    Some(at) => audited[at].1.extend(entries),
                    None => audited.push((audit, entries)),
                }
            }
        }
    }
    let jobs: Vec<&NewJob> = wishes.iter().filter_map(made).collect();
    let ids = insert_all(&mut open, jobs.iter().copied()).await?;
    done.made = jobs.iter().map(|job| ids.contains(&job.id)).collect();
    for wish in wishes.iter() {
        if let Wish::Claim(count, now_us, _) = wish {
            done.claimed.push(claim(&mut open, owner, *count, *now_us).await?);
        }
    }
    if let Some(crew) = crew.filter(|_| places > 0) {
        let (count, now_us) = (i64::try_from(places).unwrap_or(i64::MAX), crew.clock.now_us());
        for job in claim(&mut open, owner, count, now_us).await? {
            let begun = begin(&mut open, &crew, &job, now_us).await?;
            done.taken.push(Taken { job, begun });
        }
    }
    // A look that found nothing writes nothing.
    let writes = wishes.iter().any(|wish| !matches!(wish, Wish::Claim(..) | Wish::Look));
    let mark = match writes || !done.taken.is_empty() || done.claimed.iter().any(|claimed| !claimed.is_empty()) {
        true => Some(mark::put(&mut open, owner).await?),
        false => None,
    };
    // The log's head is locked last, as by everybody who changes something and says so.
    for (audit, entries) in audited {
        audit.record_in(&mut open, entries).await?;
    }
    reached(Point::QueueWritten);
    if let Err(error) = open.commit().await {
        return match mark {
            Some(mark) => Err(Failed { error, doubted: Some(Doubted { mark, done }) }),
            // What writes nothing is as it was said, whatever became of the commit.
            None => Ok(done),
        };
    }
    reached(Point::QueueCommitted);
    Ok(done)
}

fn made(wish: &Wish) -> Option<&NewJob> {
    if let Wish::Insert(job, _) = wish { Some(job) } else { None }
}

fn endings(wish: &Wish) -> Vec<Ending<'_>> {
    match wish {
        Wish::End(ends, now_us, _) => ends.iter().map(|(job, ended)| (job, ended, *now_us)).collect(),
        Wish::Turn(Some((job, ended)), place) => vec![(job, ended, place.crew.clock.now_us())],
        _ => Vec::new(),
    }
}

/// What follows first for a flow that was taken up, written as it is taken up; `None` where its driver is to look itself.
async fn begin(open: &mut Transaction, crew: &Crew, job: &Claimed, now_us: i64) -> Result<Option<Box<Begun>>> {
    if job.kind != FLOW {
        return Ok(None);
    }
    let seat = match crate::flow::stored::load(open, job).await {
        Ok(Some(seat)) => seat,
        Ok(None) => return Ok(None),
        Err(error) if matches!(error.kind(), Kind::Corrupt | Kind::Invalid) => return Ok(None),
        Err(error) => return Err(error),
    };
    // What one flow's own code does wrong is met by its driver, and by nobody else.
    let Ok(Some(begun)) = catch_unwind(AssertUnwindSafe(|| Begun::of(crew.flows, seat, now_us))) else {
        return Ok(None);
    };
    begun.write(open, now_us).await?;
    Ok(Some(Box::new(begun)))
}
