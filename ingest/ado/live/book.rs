//! What the store has of an organization, and how rows get there: only those that differ, with what is gone, and the cursor
//! in the same frame.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use engine::arrow::array::{Array, BooleanArray, RecordBatch, StringArray};
use engine::arrow::compute::{cast, filter_record_batch};
use engine::arrow::datatypes::DataType;
use engine::arrow::row::{RowConverter, SortField};
use engine::reject::{REJECT, Reject};
use engine::{Error, Frame, Kind, Limits, Result, Scope, Store, Table, Value as Cell};
use futures::TryStreamExt;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::super::origin::{Origin, Told};
use super::cursor::{ADO_CURSOR, Cursor};
use crate::files::Reading;
use crate::sources::Silent;

/// The source of every row that was asked for.
const SOURCE: &str = "ado/rest";
/// The beginning of the source of rows that a hook told of.
const BY_HOOK: &str = "ado/hook";
/// Rows of one frame.
const FRAME_ROWS: usize = 20_000;

/// A key within its table, or a row's content.
pub type Hash = [u8; 16];

/// What a table has.
#[derive(Debug, Clone)]
pub struct Known {
    pub hash: Hash,
    /// Cells of the key, without the organization.
    pub key: Vec<(&'static str, Cell)>,
    pub project_id: Option<String>,
    /// A hook told of it last, so that it may lack what only asking tells.
    pub by_hook: bool,
}

impl Known {
    /// A cell of the key, as text.
    pub fn text(&self, column: &str) -> String {
        match self.key.iter().find(|(name, _)| *name == column).map(|(_, cell)| cell) {
            Some(Cell::Text(text)) => text.clone(),
            Some(Cell::Int(number)) => number.to_string(),
            _ => String::new(),
        }
    }
}

/// Keys that were among the rows of a [`Book::keep`], by table.
pub type Listed = HashMap<&'static str, HashSet<Hash>>;

/// The store, for one organization.
pub struct Book {
    store: Arc<Store>,
    scope: Scope,
    tenant: String,
    organization: String,
    /// Content of what was written, so that what did not change is not written again.
    written: Mutex<HashMap<(&'static str, Hash), Hash>>,
    /// What each table had when this pass first asked.
    known: Mutex<HashMap<&'static str, Arc<Vec<Known>>>>,
    /// Where each stream and part of it stood when this pass first asked.
    positions: Mutex<Option<HashMap<(String, String), String>>>,
    refused: Mutex<HashSet<Hash>>,
}

impl Book {
    /// For this organization.
    pub fn new(store: Arc<Store>, scope: Scope, tenant: String, organization: String) -> Book {
        Book {
            store,
            scope,
            tenant,
            organization,
            written: Mutex::default(),
            known: Mutex::default(),
            positions: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// A pass begins: what tables have is asked anew.
    pub fn begin(&self) {
        self.known.lock().clear();
        *self.positions.lock() = None;
    }

    /// Where rows stand that were asked for at this time.
    pub fn origin(&self, asked_us: i64) -> Origin {
        Origin {
            tenant: self.tenant.clone(),
            organization: self.organization.clone(),
            version: Some(asked_us),
            ..Origin::default()
        }
    }

    /// Makes rows durable that differ from what is there, with the cursor that they stand for. Returns the keys of all rows
    /// and how many were written.
    pub async fn keep(&self, told: Told, cursor: Option<&Cursor>, asked_us: i64) -> Result<(Listed, u64)> {
        let (mut listed, mut fresh, mut frame) = (Listed::new(), Vec::new(), Frame::new(SOURCE));
        for batch in told.finish() {
            let (keys, contents) =
                (hashes(&batch.rows, key_columns(batch.table))?, hashes(&batch.rows, content_columns(batch.table))?);
            let by_hook = self.by_hook(batch.table).await?;
            let mut mask = Vec::with_capacity(keys.len());
            {
                let written = self.written.lock();
                for (key, content) in keys.iter().zip(&contents) {
                    let same = written.get(&(batch.table.name, *key)) == Some(content);
                    mask.push(!same || by_hook.contains(key));
                }
            }
            fresh.extend(keys.iter().zip(&contents).map(|(key, content)| ((batch.table.name, *key), *content)));
            let rows = filter_record_batch(&batch.rows, &BooleanArray::from(mask));
            frame.push(batch.table, rows.map_err(|e| Error::unavailable("leave out rows that did not change", e))?);
            listed.entry(batch.table.name).or_default().extend(keys);
        }
        let changed = frame.rows() as u64;
        if let Some(cursor) = cursor {
            let mut rows = engine::Rows::new(&ADO_CURSOR);
            cursor.write(&self.origin(asked_us), &mut rows).map_err(|why| Error::new(Kind::Internal, why))?;
            frame.push_rows(&mut rows);
        }
        self.append(frame).await?;
        self.written.lock().extend(fresh);
        Ok((listed, changed))
    }

    async fn append(&self, frame: Frame) -> Result<()> {
        let reading =
            Reading { kind: "ado", extensions: &[], store: &self.store, scope: &self.scope, progress: &Silent };
        if frame.rows() <= FRAME_ROWS {
            if frame.rows() > 0 {
                reading.append(frame).await?;
            }
            return Ok(());
        }
        // The cursor stands in the last batch: it is durable after all that it stands for.
        for batch in frame.batches {
            for at in (0..batch.rows.num_rows()).step_by(FRAME_ROWS) {
                let mut part = Frame::new(SOURCE);
                part.push(batch.table, batch.rows.slice(at, FRAME_ROWS.min(batch.rows.num_rows() - at)));
                reading.append(part).await?;
            }
        }
        Ok(())
    }

    /// Keeps resources that did not become rows, each once.
    pub async fn refuse(&self, rejects: Vec<Reject>) -> Result<()> {
        let mut frame = Frame::new(SOURCE);
        let mut rows = engine::Rows::new(&REJECT);
        for reject in rejects {
            let digest = Sha256::digest(&reject.body);
            let hash: Hash = digest[..16].try_into().expect("a SHA-256 has 32 bytes");
            if self.refused.lock().insert(hash) {
                reject.write(&self.tenant, &mut rows);
            }
        }
        frame.push_rows(&mut rows);
        self.append(frame).await
    }

    /// Ends the rows that were not listed although they lie where the listing looked. Returns how many.
    pub async fn sweep(
        &self,
        table: &'static Table,
        listed: &Listed,
        asked_us: i64,
        within: &(dyn Fn(&Known) -> bool + Sync),
    ) -> Result<u64> {
        let known = self.known(table).await?;
        let there = listed.get(table.name);
        let gone = known.iter().filter(|k| within(k) && !there.is_some_and(|there| there.contains(&k.hash)));
        let gone: Vec<&Known> = gone.collect();
        self.forget(table, &gone, asked_us).await?;
        Ok(gone.len() as u64)
    }

    /// Ends these rows.
    pub async fn forget(&self, table: &'static Table, gone: &[&Known], asked_us: i64) -> Result<()> {
        let mut rows = engine::Rows::new(table);
        let origin = self.origin(asked_us);
        for known in gone {
            rows.set("tenant", origin.tenant.as_str()).set("organization", origin.organization.as_str());
            for (column, cell) in &known.key {
                rows.set(column, cell.clone());
            }
            if table.position("version").is_some() {
                rows.set("version", asked_us);
            } else if table.version == Some("rev") {
                // Destroyed: no later revision can follow, for numbers are not given twice.
                rows.set("rev", i64::MAX);
            }
            rows.end_delete()?;
            self.written.lock().remove(&(table.name, known.hash));
        }
        let mut frame = Frame::new(SOURCE);
        frame.push_rows(&mut rows);
        self.append(frame).await
    }

    async fn by_hook(&self, table: &'static Table) -> Result<HashSet<Hash>> {
        Ok(self.known(table).await?.iter().filter(|k| k.by_hook).map(|k| k.hash).collect())
    }

    /// What a table had of this organization when the pass first asked.
    pub async fn known(&self, table: &'static Table) -> Result<Arc<Vec<Known>>> {
        if let Some(known) = self.known.lock().get(table.name) {
            return Ok(Arc::clone(known));
        }
        let keys = key_columns(table);
        let has_project = table.position("project_id").is_some();
        let project = if has_project { "project_id" } else { "CAST(NULL AS VARCHAR)" };
        let columns: Vec<String> = keys.iter().map(|k| format!("\"{k}\"")).collect();
        let sql = format!(
            "SELECT {}, {project} AS in_project, source AS told_by FROM {} WHERE tenant = ? AND organization = ?",
            columns.join(", "),
            table.name
        );
        let mut found = Vec::new();
        for batch in self.ask(sql).await? {
            let hashes = hashes(&batch.project(&(0..keys.len()).collect::<Vec<_>>()).map_err(broken)?, keys.clone())?;
            let cells: Vec<Vec<Cell>> = (0..keys.len()).map(|i| cells(&batch, i)).collect::<Result<_>>()?;
            let (projects, sources) = (texts(&batch, keys.len())?, texts(&batch, keys.len() + 1)?);
            for (row, hash) in hashes.into_iter().enumerate() {
                let key = keys.iter().zip(&cells).map(|(name, column)| (*name, column[row].clone()));
                found.push(Known {
                    hash,
                    key: key.filter(|(name, _)| *name != "organization").collect(),
                    project_id: projects.is_valid(row).then(|| projects.value(row).to_owned()),
                    by_hook: sources.is_valid(row) && sources.value(row).starts_with(BY_HOOK),
                });
            }
        }
        let found = Arc::new(found);
        self.known.lock().insert(table.name, Arc::clone(&found));
        Ok(found)
    }

    /// Approvals of a project that were pending when they were told of last.
    pub async fn pending_approvals(&self, project_id: &str) -> Result<Vec<String>> {
        let sql = "SELECT id FROM ado_approval WHERE tenant = ? AND organization = ? AND status = 'pending' AND project_id = ?";
        let params = vec![self.tenant.clone(), self.organization.clone(), project_id.to_owned()];
        let mut found = Vec::new();
        for batch in self.query(sql.to_owned(), params).await? {
            found.extend(texts(&batch, 0)?.iter().flatten().map(str::to_owned));
        }
        Ok(found)
    }

    /// Work items that are marked as lying in the recycle bin.
    pub async fn binned(&self) -> Result<HashSet<String>> {
        let sql = "SELECT CAST(id AS VARCHAR) FROM ado_work_item WHERE tenant = ? AND organization = ? AND is_deleted";
        let mut found = HashSet::new();
        for batch in self.ask(sql.to_owned()).await? {
            found.extend(texts(&batch, 0)?.iter().flatten().map(str::to_owned));
        }
        Ok(found)
    }

    /// Where a stream goes on. All cursors are read when the pass first asks for one.
    pub async fn position(&self, stream: &str, part: &str) -> Result<Option<String>> {
        let key = (stream.to_owned(), part.to_owned());
        if let Some(positions) = self.positions.lock().as_ref() {
            return Ok(positions.get(&key).cloned());
        }
        let sql = "SELECT stream, part, position FROM ado_cursor WHERE tenant = ? AND organization = ?";
        let mut found = HashMap::new();
        for batch in self.ask(sql.to_owned()).await? {
            let (streams, parts, positions) = (texts(&batch, 0)?, texts(&batch, 1)?, texts(&batch, 2)?);
            for row in (0..batch.num_rows()).filter(|row| positions.is_valid(*row)) {
                let key = (streams.value(row).to_owned(), parts.value(row).to_owned());
                found.insert(key, positions.value(row).to_owned());
            }
        }
        let position = found.get(&key).cloned();
        *self.positions.lock() = Some(found);
        Ok(position)
    }

    async fn ask(&self, sql: String) -> Result<Vec<RecordBatch>> {
        self.query(sql, vec![self.tenant.clone(), self.organization.clone()]).await
    }

    async fn query(&self, sql: String, params: Vec<String>) -> Result<Vec<RecordBatch>> {
        let answer = self.store.query(&self.scope, engine::Question { sql, params }, Limits::default()).await?;
        answer.stream.try_collect().await.map_err(|e| Error::unavailable("read what is known of the organization", e))
    }
}

fn broken(error: engine::arrow::error::ArrowError) -> Error {
    Error::unavailable("compare rows with what is known", error)
}

fn key_columns(table: &'static Table) -> Vec<&'static str> {
    table.key.to_vec()
}

/// All that says something: not when it was told, nor which project was named beside it.
fn content_columns(table: &'static Table) -> Vec<&'static str> {
    table.columns.iter().map(|c| c.name).filter(|name| *name != "version").collect()
}

fn hashes(rows: &RecordBatch, columns: Vec<&'static str>) -> Result<Vec<Hash>> {
    let mut plain = Vec::with_capacity(columns.len());
    for name in columns {
        let column =
            rows.column_by_name(name).ok_or_else(|| Error::new(Kind::Internal, format!("rows lack {name}")))?;
        plain.push(match column.data_type() {
            DataType::Dictionary(_, values) => cast(column, values).map_err(broken)?,
            _ => Arc::clone(column),
        });
    }
    let fields = plain.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let converted = RowConverter::new(fields).map_err(broken)?.convert_columns(&plain).map_err(broken)?;
    let hash = |row: engine::arrow::row::Row<'_>| -> Hash {
        Sha256::digest(row.as_ref())[..16].try_into().expect("a SHA-256 has 32 bytes")
    };
    Ok(converted.iter().map(hash).collect())
}

fn texts(rows: &RecordBatch, at: usize) -> Result<StringArray> {
    let plain = cast(rows.column(at), &DataType::Utf8).map_err(broken)?;
    Ok(plain.as_any().downcast_ref::<StringArray>().expect("it was cast to text").clone())
}

/// A column of a key as cells: whole numbers, times, texts.
fn cells(rows: &RecordBatch, at: usize) -> Result<Vec<Cell>> {
    let kind = rows.column(at).data_type().clone();
    let numbers = || -> Result<Vec<Option<i64>>> {
        let plain = cast(rows.column(at), &DataType::Int64).map_err(broken)?;
        let plain = plain.as_any().downcast_ref::<engine::arrow::array::Int64Array>().expect("it was cast to Int64");
        Ok(plain.iter().collect())
    };
    match kind {
        DataType::Int64 => Ok(numbers()?.into_iter().map(|n| n.map_or(Cell::Null, Cell::Int)).collect()),
        DataType::Timestamp(_, _) => Ok(numbers()?.into_iter().map(|n| n.map_or(Cell::Null, Cell::Time)).collect()),
        _ => {
            let plain = texts(rows, at)?;
            Ok(plain.iter().map(|text| text.map_or(Cell::Null, Cell::from)).collect())
        }
    }
}
