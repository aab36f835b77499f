//! Commits of the ledger's tables as rows of the audit log, and their comparison with what the tables hold now. A commit's
//! row says which places in the log it took and what SHA-256 its rows have; so a row of cost that was changed below
//! everything, in the files themselves, is found, too.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use engine::arrow::array::{AsArray, RecordBatch};
use engine::arrow::datatypes::Int64Type;
use engine::table::SEQ;
use engine::{Commit, ErasedTable, Error, Kind, Limits, Result, RowDigest, Scope, State, Store, Table, Witness};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::Audit;
use super::entry::Entry;
use super::verify::{Finding, Wrong};

/// The action of a commit's row.
pub const COMMIT: &str = "commit";
/// Commits of one page.
const PAGE: &str =
    "SELECT seq, subject, detail FROM audit WHERE action = 'commit' AND seq > $1 ORDER BY seq LIMIT 1000";

/// Writes the commits of the ledger's tables into the audit log.
#[derive(Debug)]
pub struct Book {
    audit: Arc<Audit>,
}

impl Book {
    /// Over this log.
    pub fn new(audit: Arc<Audit>) -> Self {
        Book { audit }
    }
}

#[async_trait]
impl Witness for Book {
    fn wants(&self, table: &Table) -> bool {
        crate::TABLES.iter().any(|known| known.name == table.name)
    }

    async fn committed(&self, commit: Commit) {
        let detail = Detail { ranges: commit.ranges, rows: commit.rows, sha256: hex::encode(commit.sha256) };
        let entry = Entry::new(&Scope::platform("store"), COMMIT, commit.table)
            .because(format!("written by {}", commit.source))
            .with_exactly(serde_json::json!(detail));
        if let Err(error) = self.audit.record(entry).await {
            tracing::error!(table = commit.table, rows = commit.rows, %error, "a commit is missing in the audit log");
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Detail {
    ranges: Vec<(u64, u64)>,
    rows: u64,
    sha256: String,
}

/// What came of comparing the tables with the commits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Commits whose rows are all there and were compared.
    pub commits: u64,
    /// Their rows.
    pub rows: u64,
    /// Commits of which rows were superseded or have outlived their retention: they cannot be compared.
    pub superseded: u64,
    /// Commits of which rows were erased, by a row of this log: they cannot be compared either.
    #[serde(default)]
    pub erased: u64,
    /// Rows of the ledger that no commit in the log names: written before there was one, or by a process that was killed
    /// between the two.
    pub unwitnessed: u64,
    /// What is wrong; `from` and `to` are places of the commit's row in the audit log.
    pub findings: Vec<Finding>,
}

/// A commit, while its rows are read.
struct Reading {
    seq: u64,
    detail: Detail,
    digest: RowDigest,
}

/// Reads the ledger's tables and compares them with the commits in the log.
pub async fn compare(store: &Store) -> Result<Compared> {
    let mut compared = Compared::default();
    let mut commits = commits(store.state()).await?;
    let erased = erased(store.state()).await?;
    for table in crate::TABLES {
        let of = commits.remove(table.name).unwrap_or_default();
        let gone = erased.get(table.name).map_or(&[][..], Vec::as_slice);
        compare_table(store, table, of, gone, &mut compared).await?;
    }
    Ok(compared)
}

async fn commits(state: &State) -> Result<BTreeMap<String, Vec<Reading>>> {
    let mut commits: BTreeMap<String, Vec<Reading>> = BTreeMap::new();
    let mut behind: i64 = -1;
    loop {
        let rows = state.fetch(PAGE, &[behind.into()]).await?;
        if rows.is_empty() {
            return Ok(commits);
        }
        for row in rows {
            behind = row.get("seq")?;
            // What is no commit any more was changed, and is found by the tree.
            let detail = row.get::<String>("detail").ok().and_then(|detail| serde_json::from_str(&detail).ok());
            if let (Ok(seq), Some(detail)) = (u64::try_from(behind), detail) {
                let reading = Reading { seq, detail, digest: RowDigest::default() };
                commits.entry(row.get("subject")?).or_default().push(reading);
            }
        }
    }
}

/// Places in the log of rows that an erasure deleted or masked, by table, as the log itself says.
async fn erased(state: &State) -> Result<BTreeMap<String, Vec<(u64, u64)>>> {
    let mut erased: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    let sql = "SELECT detail FROM audit WHERE action = 'erase.rows' ORDER BY seq";
    for row in state.fetch(sql, &[]).await? {
        let detail: Option<String> = row.get("detail")?;
        let table = detail.and_then(|detail| serde_json::from_str::<ErasedTable>(&detail).ok());
        if let Some(table) = table {
            erased.entry(table.table).or_default().extend(table.ranges);
        }
    }
    Ok(erased)
}

async fn compare_table(
    store: &Store,
    table: &Table,
    mut commits: Vec<Reading>,
    erased: &[(u64, u64)],
    compared: &mut Compared,
) -> Result<()> {
    // By the first place of each range, the commit that it is of.
    let mut ranges = BTreeMap::new();
    for (at, commit) in commits.iter().enumerate() {
        ranges.extend(commit.detail.ranges.iter().map(|(from, to)| (*from, (*to, at))));
    }
    let sql = format!("SELECT * FROM \"{}\" ORDER BY {SEQ}", table.name);
    let limits = Limits { rows_max: usize::MAX, ..Limits::default() };
    let answer = store.query(&Scope::platform("audit"), sql.as_str(), limits).await?;
    let mut batches = answer.stream;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(engine::sql::session::from_datafusion)?;
        let mut from = 0;
        for run in runs(&batch, &ranges)? {
            let part = batch.slice(from, run.rows);
            from += run.rows;
            match run.commit {
                Some(at) => commits[at].digest.add(table, &part)?,
                None => compared.unwitnessed += run.rows as u64,
            }
        }
    }
    for Reading { seq, detail, digest } in commits {
        let (wanted, seen) = (detail.rows, digest.rows());
        let fits = hex::encode(digest.finish()) == detail.sha256;
        let overlaps = |(from, to): &(u64, u64)| erased.iter().any(|(begin, end)| from < end && begin < to);
        let oldest = detail.ranges.iter().map(|(from, _)| *from).min().unwrap_or(0);
        let (wrong, why) = match () {
            () if seen == wanted && fits => {
                compared.commits += 1;
                compared.rows += seen;
                continue;
            }
            () if seen <= wanted && detail.ranges.iter().any(overlaps) => {
                compared.erased += 1;
                continue;
            }
            () if seen == wanted => (Wrong::Changed, "rows of its commit are not what was written".to_owned()),
            () if seen > wanted => (Wrong::Inserted, format!("{} rows stand where its commit wrote {wanted}", seen)),
            () if table.supersedes() || oldest < store.retention_floor(table.name) => {
                compared.superseded += 1;
                continue;
            }
            () => (Wrong::Removed, format!("{} of the {wanted} rows of its commit are missing", wanted - seen)),
        };
        compared.findings.push(Finding { wrong, from: seq, to: seq, why: format!("{}: {why}", table.name) });
    }
    Ok(())
}

/// Rows of a batch that follow each other and are of one commit.
struct Run {
    commit: Option<usize>,
    rows: usize,
}

fn runs(batch: &RecordBatch, ranges: &BTreeMap<u64, (u64, usize)>) -> Result<Vec<Run>> {
    let missing = || Error::new(Kind::Internal, "rows of the ledger have no place in the log");
    let seqs = batch.column_by_name(SEQ).ok_or_else(missing)?.as_primitive::<Int64Type>();
    let mut runs: Vec<Run> = Vec::new();
    for seq in seqs.values() {
        let seq = u64::try_from(*seq).unwrap_or(u64::MAX);
        let commit = ranges.range(..=seq).next_back().filter(|(_, (to, _))| seq < *to).map(|(_, (_, at))| *at);
        match runs.last_mut().filter(|run| run.commit == commit) {
            Some(run) => run.rows += 1,
            None => runs.push(Run { commit, rows: 1 }),
        }
    }
    Ok(runs)
}
