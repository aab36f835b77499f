//! Retention by segments: 4,096 rows that were sealed long ago move into two files, and their segment's root stays in the
//! tree. The first file holds what the leaves are made of, so that it proves itself; names of people lie in the second
//! with their salts, so that it can be thinned without a trace in the first.

use std::collections::HashSet;

use engine::{Error, Kind, Needles, Result, State, Value};
use serde::{Deserialize, Serialize};

use super::append::place;
use super::entry::{Committed, Personal, Row};
use super::export::Destination;
use super::merkle::{Frontier, Hash, SEGMENT_LEAVES, from_hex};
use super::stored::{page, segments};
use super::verify::{Finding, Wrong};

/// A segment that was retired, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// Its number.
    pub segment: u64,
    /// Its first row.
    pub from: u64,
    /// Its last row.
    pub to: u64,
    /// When its last row came, microseconds since 1970, UTC.
    pub sealed_at_us: i64,
}

/// A row in a segment's file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    seq: u64,
    at_us: i64,
    tenant: Option<String>,
    commitments: [Option<String>; 3],
    action: String,
    subject: String,
    reason: Option<String>,
    outcome: String,
    occurrences: i64,
    trace_id: Option<String>,
    detail: Option<String>,
}

/// A name in a segment's second file.
#[derive(Debug, Serialize, Deserialize)]
struct Name {
    seq: u64,
    field: String,
    value: String,
    salt: String,
}

fn rows_name(log: &str, segment: u64) -> String {
    format!("segments/{log}/{segment:010}.jsonl")
}

fn names_name(log: &str, segment: u64) -> String {
    format!("segments/{log}/{segment:010}.names.jsonl")
}

impl Line {
    fn of(row: &Row) -> Line {
        Line {
            seq: row.seq,
            at_us: row.at_us,
            tenant: row.tenant.clone(),
            commitments: Personal::ALL.map(|field| row.commitment_hex(field)),
            action: row.action.clone(),
            subject: row.subject.clone(),
            reason: row.reason.clone(),
            outcome: row.outcome.clone(),
            occurrences: row.occurrences,
            trace_id: row.trace_id.clone(),
            detail: row.detail.clone(),
        }
    }

    fn leaf(self) -> Option<Hash> {
        let mut personal = [None, None, None];
        for (to, commitment) in personal.iter_mut().zip(self.commitments) {
            if let Some(commitment) = commitment {
                *to = Some(Committed { value: None, commitment: from_hex(&commitment)?, salt: None });
            }
        }
        let row = Row {
            seq: self.seq,
            at_us: self.at_us,
            tenant: self.tenant,
            personal,
            action: self.action,
            subject: self.subject,
            reason: self.reason,
            outcome: self.outcome,
            occurrences: self.occurrences,
            trace_id: self.trace_id,
            detail: self.detail,
        };
        Some(row.leaf())
    }
}

/// Retires the segments that were sealed before `before_us`: their rows go to `to`, are read back there, recomputed, and
/// only then removed here. With `plan_only` nothing is done.
pub async fn retire(
    state: &State,
    log: &str,
    before_us: i64,
    to: &Destination,
    plan_only: bool,
    now_us: i64,
) -> Result<Vec<Retired>> {
    let mut retired = Vec::new();
    for segment in segments(state).await? {
        if segment.retired_to.is_some() {
            continue;
        }
        // Segments go in order: what is kept is always one piece up to the end.
        if segment.sealed_at_us >= before_us {
            break;
        }
        let number =
            u64::try_from(segment.number).map_err(|_| Error::new(Kind::Corrupt, "a segment has a negative number"))?;
        let (from, last) = (number * SEGMENT_LEAVES, (number + 1) * SEGMENT_LEAVES - 1);
        if !plan_only {
            let wanted =
                segment.root.ok_or_else(|| Error::new(Kind::Corrupt, format!("segment {number} has no root")))?;
            move_out(state, log, number, wanted, to).await?;
            remove(state, number, to, now_us).await?;
        }
        retired.push(Retired { segment: number, from, to: last, sealed_at_us: segment.sealed_at_us });
    }
    Ok(retired)
}

async fn move_out(state: &State, log: &str, number: u64, root: Hash, to: &Destination) -> Result<()> {
    let (from, last) = (number * SEGMENT_LEAVES, (number + 1) * SEGMENT_LEAVES - 1);
    let bound = |at| i64::try_from(at).unwrap_or(i64::MAX);
    let (mut rows, mut names) = (String::new(), String::new());
    for stored in page(state, bound(from), bound(last)).await? {
        let row = stored.row.map_err(|why| Error::new(Kind::Corrupt, format!("row {}: {why}", stored.seq)))?;
        rows.push_str(&serde_json::to_string(&Line::of(&row)).expect("plain fields are JSON"));
        rows.push('\n');
        for field in Personal::ALL {
            let committed = row.personal[field as usize].as_ref();
            if let Some((value, salt)) = committed.and_then(|c| c.value.clone().zip(c.salt)) {
                let name = Name { seq: row.seq, field: field.name().to_owned(), value, salt: hex::encode(salt) };
                names.push_str(&serde_json::to_string(&name).expect("plain fields are JSON"));
                names.push('\n');
            }
        }
    }
    if root_of(&rows) != Some(root) {
        let why = format!("the rows of segment {number} do not give its root; `stellwerk audit verify` says which");
        return Err(Error::new(Kind::Corrupt, why));
    }
    let (rows_at, names_at) = (rows_name(log, number), names_name(log, number));
    to.put_new(&rows_at, rows.clone()).await?;
    to.put_new_free(&names_at, names.clone()).await?;
    for (name, content) in [(rows_at, rows), (names_at, names)] {
        if to.get(&name).await? != Some(content) {
            return Err(Error::new(Kind::Corrupt, format!("{} does not give back the {name} written there", to.name)));
        }
    }
    Ok(())
}

async fn remove(state: &State, number: u64, to: &Destination, now_us: i64) -> Result<()> {
    let bounds = [place(number * SEGMENT_LEAVES), place((number + 1) * SEGMENT_LEAVES)];
    let mut transaction = state.transaction().await?;
    transaction.execute("DELETE FROM audit_salt WHERE seq >= $1 AND seq < $2", &bounds).await?;
    transaction.execute("DELETE FROM audit WHERE seq >= $1 AND seq < $2", &bounds).await?;
    transaction.execute("DELETE FROM audit_commit WHERE size > $1 AND size <= $2", &bounds).await?;
    let note = "UPDATE audit_segment SET retired_at = $1, retired_to = $2 WHERE segment = $3";
    transaction.execute(note, &[Value::Time(now_us), to.name.as_str().into(), place(number)]).await?;
    transaction.commit().await
}

/// The root of a segment's file; `None` where it is no such file.
fn root_of(rows: &str) -> Option<Hash> {
    let mut frontier = Frontier::default();
    for (seq, line) in (0..).zip(rows.lines()) {
        let line: Line = serde_json::from_str(line).ok()?;
        if line.seq % SEGMENT_LEAVES != seq {
            return None;
        }
        frontier.push(line.leaf()?);
    }
    (frontier.size() == SEGMENT_LEAVES).then(|| frontier.root())
}

/// What came of thinning the files of names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thinned {
    /// Names that went.
    pub names: u64,
    /// Files that could not be reached, or hold a value in a row's text: a sentence each.
    pub remaining: Vec<String>,
}

/// Takes names that hold one of these values out of the files of retired segments, those in rows of one tenant and of none, or
/// all. The rows' own files stay as they are: their leaves hold commitments only.
pub async fn thin(
    state: &State,
    log: &str,
    needles: &Needles,
    tenant: Option<&str>,
    options: &[(String, String)],
) -> Result<Thinned> {
    let mut thinned = Thinned::default();
    for segment in segments(state).await? {
        let (Some(at), Ok(number)) = (segment.retired_to, u64::try_from(segment.number)) else { continue };
        if let Err(error) = thin_one(&at, log, number, (needles, tenant), options, &mut thinned).await {
            thinned.remaining.push(format!("segment {number} of the audit log in {at}: {error}"));
        }
    }
    Ok(thinned)
}

async fn thin_one(
    at: &str,
    log: &str,
    number: u64,
    (needles, tenant): (&Needles, Option<&str>),
    options: &[(String, String)],
    thinned: &mut Thinned,
) -> Result<()> {
    let destination = Destination::open(at, options)?;
    let name = names_name(log, number);
    let names = destination.get(&name).await?.unwrap_or_default();
    let rows = destination.get(&rows_name(log, number)).await?.unwrap_or_default();
    let others: HashSet<u64> = match tenant {
        None => HashSet::new(),
        Some(tenant) => {
            let lines = rows.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
            lines.filter(|line| line.tenant.as_deref().is_some_and(|of| of != tenant)).map(|line| line.seq).collect()
        }
    };
    // A line that cannot be read is nobody else's.
    let is_meant = |seq: Option<u64>| seq.is_none_or(|seq| !others.contains(&seq));
    let goes = |line: &&str| {
        let named = || serde_json::from_str::<Name>(line).ok().map(|name| name.seq);
        needles.is_in(line.as_bytes()) && is_meant(named())
    };
    let (gone, kept): (Vec<&str>, Vec<&str>) = names.lines().partition(goes);
    if !gone.is_empty() {
        destination.put_over(&name, kept.iter().flat_map(|line| [*line, "\n"]).collect()).await?;
        thinned.names += gone.len() as u64;
    }
    let holds = |line: &str| {
        let of = || serde_json::from_str::<Line>(line).ok().map(|line| line.seq);
        needles.is_in(line.as_bytes()) && is_meant(of())
    };
    if rows.lines().any(holds) {
        thinned.remaining.push(format!("segment {number} of the audit log in {at}: a row's own text holds a value"));
    }
    Ok(())
}

/// Compares the files of retired segments with their roots.
pub async fn check(state: &State, log: &str, options: &[(String, String)]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for segment in segments(state).await? {
        let Some(at) = segment.retired_to else { continue };
        let number = u64::try_from(segment.number).unwrap_or(0);
        let (from, to) = (number * SEGMENT_LEAVES, (number + 1) * SEGMENT_LEAVES - 1);
        let file = match Destination::open(&at, options) {
            Ok(destination) => destination.get(&rows_name(log, number)).await,
            Err(error) => Err(error),
        };
        let (wrong, why) = match file {
            Ok(Some(rows)) if segment.root.is_some() && root_of(&rows) == segment.root => continue,
            Ok(Some(_)) => (Wrong::Rewritten, format!("the file of segment {number} in {at} does not give its root")),
            Ok(None) => (Wrong::Removed, format!("the file of segment {number} is not in {at}")),
            Err(error) => (Wrong::Removed, format!("the file of segment {number} cannot be read: {error}")),
        };
        findings.push(Finding { wrong, from, to, why });
    }
    Ok(findings)
}
