//! The log as it is stored: rows page by page, segments, commits.

use engine::state::Row as Cells;
use engine::{Error, Kind, Result, State, Value};

use super::entry::{Committed, Personal, Row};
use super::merkle::{Hash, Nodes, SEGMENT_LEAVES, from_hex};

/// Rows of one page.
pub(super) const PAGE_ROWS: usize = 4_096;

const PAGE: &str =
    "SELECT seq, at, tenant, actor, on_behalf_of, personal, action, subject, reason, outcome, occurrences,
    trace_id, detail, actor_commitment, on_behalf_commitment, personal_commitment, leaf_hash
    FROM audit WHERE seq >= $1 AND seq <= $2 ORDER BY seq LIMIT 4096";
const SALTS: &str = "SELECT seq, field, salt FROM audit_salt WHERE seq >= $1 AND seq <= $2 ORDER BY seq, field";
const COMMITS: &str = "SELECT size, root FROM audit_commit WHERE size > $1 ORDER BY size LIMIT 4096";
const SEGMENTS: &str = "SELECT segment, root, sealed_at, retired_at, retired_to FROM audit_segment ORDER BY segment";
const LEAVES: &str = "SELECT seq, leaf_hash FROM audit WHERE seq >= $1 AND seq < $2 ORDER BY seq";

/// A row as it is stored, whether or not it makes sense.
#[derive(Debug, Clone)]
pub(super) struct StoredRow {
    /// Its place as the database has it.
    pub seq: i64,
    /// What it says; the reason why it says nothing.
    pub row: Result<Row, String>,
    /// The leaf's hash beside it, if it is one.
    pub leaf: Option<Hash>,
}

/// A sealed segment.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub number: i64,
    pub root: Option<Hash>,
    pub sealed_at_us: i64,
    pub retired_to: Option<String>,
}

/// The rows from a place to a place (both are in), at most [`PAGE_ROWS`].
pub(super) async fn page(state: &State, from: i64, to: i64) -> Result<Vec<StoredRow>> {
    let rows = state.fetch(PAGE, &[from.into(), to.into()]).await?;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
    let (first, last): (i64, i64) = (first.get("seq")?, last.get("seq")?);
    let salts = state.fetch(SALTS, &[first.into(), last.into()]).await?;
    let salts: Vec<(i64, String, String)> =
        salts.iter().map(|s| Ok((s.get("seq")?, s.get("field")?, s.get("salt")?))).collect::<Result<_>>()?;
    let mut at = 0;
    let mut read = Vec::with_capacity(rows.len());
    for cells in &rows {
        let seq: i64 = cells.get("seq")?;
        at += salts[at..].iter().take_while(|(of, ..)| *of < seq).count();
        let own = salts[at..].iter().take_while(|(of, ..)| *of == seq);
        let own: Vec<(&str, &str)> = own.map(|(_, field, salt)| (field.as_str(), salt.as_str())).collect();
        let leaf = cells.get::<String>("leaf_hash").ok().and_then(|leaf| from_hex(&leaf));
        read.push(StoredRow { seq, row: row(cells, &own), leaf });
    }
    Ok(read)
}

/// The columns of the commitments, in the order of [`Personal::ALL`].
const COMMITMENTS: [&str; 3] = ["actor_commitment", "on_behalf_commitment", "personal_commitment"];

fn row(cells: &Cells, salts: &[(&str, &str)]) -> Result<Row, String> {
    let wrong = |e: Error| e.to_string();
    let seq: i64 = cells.get("seq").map_err(wrong)?;
    let mut personal = [None, None, None];
    for (field, column) in Personal::ALL.into_iter().zip(COMMITMENTS) {
        let value: Option<String> = cells.get(field.name()).map_err(wrong)?;
        let commitment: Option<String> = cells.get(column).map_err(wrong)?;
        let salt = salts.iter().find(|(name, _)| *name == field.name()).map(|(_, salt)| *salt);
        personal[field as usize] = match commitment {
            None if value.is_none() => None,
            None => return Err(format!("{} has a value and no commitment", field.name())),
            Some(commitment) => {
                let commitment = from_hex(&commitment).ok_or_else(|| format!("{column} is no hash"))?;
                let salt = salt.map(salt_of).transpose()?;
                Some(Committed { value, commitment, salt })
            }
        };
    }
    Ok(Row {
        seq: u64::try_from(seq).map_err(|_| "its place is negative".to_owned())?,
        at_us: cells.get("at").map_err(wrong)?,
        tenant: cells.get("tenant").map_err(wrong)?,
        personal,
        action: cells.get("action").map_err(wrong)?,
        subject: cells.get("subject").map_err(wrong)?,
        reason: cells.get("reason").map_err(wrong)?,
        outcome: cells.get("outcome").map_err(wrong)?,
        occurrences: cells.get("occurrences").map_err(wrong)?,
        trace_id: cells.get("trace_id").map_err(wrong)?,
        detail: cells.get("detail").map_err(wrong)?,
    })
}

fn salt_of(text: &str) -> Result<[u8; 16], String> {
    let mut salt = [0; 16];
    hex::decode_to_slice(text, &mut salt).map_err(|_| "a salt is not 16 hexadecimal bytes".to_owned())?;
    Ok(salt)
}

/// The next commits behind a size.
pub(super) async fn commits(state: &State, behind: i64) -> Result<Vec<(i64, String)>> {
    let rows = state.fetch(COMMITS, &[behind.into()]).await?;
    rows.iter().map(|row| Ok((row.get("size")?, row.get("root")?))).collect()
}

/// Every segment.
pub(super) async fn segments(state: &State) -> Result<Vec<Segment>> {
    let rows = state.fetch(SEGMENTS, &[]).await?;
    let segment = |row: &Cells| -> Result<Segment> {
        Ok(Segment {
            number: row.get("segment")?,
            root: from_hex(&row.get::<String>("root")?),
            sealed_at_us: row.get("sealed_at")?,
            retired_to: row.get::<Option<i64>>("retired_at")?.map_or(Ok(None), |_| row.get("retired_to"))?,
        })
    };
    rows.iter().map(segment).collect()
}

/// The hashes that some proofs need: the roots of sealed segments, and the leaves of those that are looked into.
pub(super) struct Kept {
    roots: Vec<Hash>,
    /// First place, leaves.
    open: Vec<(u64, Vec<Hash>)>,
}

impl Kept {
    /// Reads the roots of the segments, and the leaves of the segments that these places are in.
    pub async fn read(state: &State, places: &[u64], size: u64) -> Result<Kept> {
        let mut roots = Vec::new();
        for (number, segment) in (0..).zip(segments(state).await?) {
            let root = segment.root.filter(|_| segment.number == number);
            roots.push(
                root.ok_or_else(|| Error::new(Kind::Corrupt, format!("segment {number} of the audit log is damaged")))?,
            );
        }
        let mut numbers: Vec<u64> = places.iter().map(|place| place / SEGMENT_LEAVES).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut open = Vec::new();
        for number in numbers {
            let (from, to) = (number * SEGMENT_LEAVES, ((number + 1) * SEGMENT_LEAVES).min(size));
            let bounds = [super::append::place(from), super::append::place(to)];
            let mut leaves = Vec::new();
            for (at, row) in (from..).zip(state.fetch(LEAVES, &bounds).await?) {
                let leaf = from_hex(&row.get::<String>("leaf_hash")?);
                let leaf =
                    leaf.filter(|_| row.get::<i64>("seq").is_ok_and(|seq| Value::Int(seq) == super::append::place(at)));
                leaves.push(leaf.ok_or_else(|| {
                    Error::new(
                        Kind::Corrupt,
                        format!("row {at} of the audit log is damaged; `stellwerk audit verify` says more"),
                    )
                })?);
            }
            open.push((from, leaves));
        }
        Ok(Kept { roots, open })
    }
}

impl Nodes for Kept {
    fn kept(&self, from: u64, to: u64) -> Option<Hash> {
        if to - from == SEGMENT_LEAVES && from.is_multiple_of(SEGMENT_LEAVES) {
            return self.roots.get(usize::try_from(from / SEGMENT_LEAVES).ok()?).copied();
        }
        if to - from != 1 {
            return None;
        }
        let (first, leaves) = self.open.iter().find(|(first, _)| (*first..first + SEGMENT_LEAVES).contains(&from))?;
        leaves.get(usize::try_from(from - first).ok()?).copied()
    }
}
