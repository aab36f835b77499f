//! Copies of held rows outside the store. Data files of a store are no place for locks: compaction and every erasure write rows
//! anew, and a locked file would keep the rows of others with those that are held. So the rows that a hold keeps are written
//! once more, as Parquet, where objects can be locked, with a list of their hashes whose own hash stands in the audit log.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::arrow::array::{ArrayRef, RecordBatch};
use engine::arrow::compute::cast;
use engine::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use engine::clock::rfc3339;
use engine::parquet::arrow::ArrowWriter;
use engine::parquet::basic::{Compression, ZstdLevel};
use engine::parquet::file::properties::WriterProperties;
use engine::place::lock::Lock;
use engine::state::Row;
use engine::{Column, Error, Kind, Result, StateTable, Store, Table, Type, Value};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::hold::{Active, Holds, fresh_id};
use crate::audit::export::{Destination, log_name};
use crate::principal::Caller;

/// What this program writes and reads.
const FORMAT: u32 = 1;
/// A file of a copy is closed at this size.
const FILE_BYTES_MAX: usize = 32 << 20;
/// The list of a copy.
const LIST: &str = "copy.json";

/// Copies of held rows.
pub static HOLD_COPY: StateTable = StateTable {
    name: "hold_copy",
    doc: "Copies of the rows that legal holds keep, outside the store: where they lie, how they are locked, and the hash that proves them. Seen by the platform only.",
    columns: &[
        Column::new("id", Type::Text, "Its id.").required(),
        Column::new("hold", Type::Text, "The hold.").required(),
        Column::new("destination", Type::Text, "The folder, or the URL of the object store.").required(),
        Column::new("path", Type::Text, "Where its list lies there.").required(),
        Column::new("sha256", Type::Text, "Hash of that list, which names the hash of every file, hexadecimal.")
            .required(),
        Column::new("stored_rows", Type::Int, "Rows in it, superseded ones among them.").required(),
        Column::new("files", Type::Int, "Files with rows.").required(),
        Column::new("size_bytes", Type::Int, "Their bytes.").required(),
        Column::new("made_by", Type::Text, "Who made it.").required(),
        Column::new("made_at", Type::Time, "When.").required(),
        Column::new("lock_mode", Type::Text, "`governance` or `compliance`; null where it is not locked."),
        Column::new("locked_until", Type::Time, "Until when the store lets nobody delete or replace it."),
    ],
    hidden: &[],
    tenant: None,
};

const INSERT: &str =
    "INSERT INTO hold_copy (id, hold, destination, path, sha256, stored_rows, files, size_bytes, made_by,
    made_at, lock_mode, locked_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const ALL: &str =
    "SELECT id, hold, destination, path, sha256, stored_rows, files, size_bytes, made_by, made_at, lock_mode,
    locked_until FROM hold_copy ORDER BY made_at, id";

/// A copy as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldCopy {
    /// Its id.
    pub id: String,
    /// The hold.
    pub hold: String,
    /// The folder, or the URL of the object store.
    pub destination: String,
    /// Where its list lies there.
    pub path: String,
    /// Hash of that list.
    pub sha256: String,
    /// Rows in it, superseded ones among them.
    pub rows: i64,
    /// Files with rows.
    pub files: i64,
    /// Their bytes.
    pub size_bytes: i64,
    /// Who made it.
    pub made_by: String,
    /// RFC 3339.
    pub made_at: String,
    /// `governance` or `compliance`.
    pub lock_mode: Option<String>,
    /// RFC 3339.
    pub locked_until: Option<String>,
}

/// What a check of a copy found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedCopy {
    /// The copy.
    pub id: String,
    /// Files that hold what was written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong, a sentence each.
    pub findings: Vec<String>,
}

/// The list of a copy.
#[derive(Debug, Serialize, Deserialize)]
struct List {
    format: u32,
    log: String,
    hold: String,
    tables: String,
    tenant: Option<String>,
    about_subject: bool,
    made_at: String,
    program: String,
    files: Vec<Listed>,
}

/// One file of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    name: String,
    table: String,
    rows: u64,
    size_bytes: u64,
    sha256: String,
}

/// The rows of a table in files of the data directory, until they were put where they belong.
struct Written {
    schema: SchemaRef,
    folder: PathBuf,
    open: Option<ArrowWriter<File>>,
    done: Vec<(PathBuf, u64)>,
    rows: u64,
}

fn cannot_write(cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::Unavailable, format!("write a copy of held rows: {cause}"))
}

/// The schema of a table with plain values: readers in other languages stumble over dictionaries.
fn plain(table: &Table) -> SchemaRef {
    let plain = |field: &Arc<Field>| match field.data_type() {
        DataType::Dictionary(_, value) => Arc::new(field.as_ref().clone().with_data_type(value.as_ref().clone())),
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(table.stored_schema().fields().iter().map(plain).collect::<Vec<_>>()))
}

impl Written {
    fn new(table: &Table, folder: &Path) -> Written {
        Written { schema: plain(table), folder: folder.to_owned(), open: None, done: Vec::new(), rows: 0 }
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let column = |field: &Arc<Field>| -> Result<ArrayRef> {
            let column = batch.column_by_name(field.name());
            cast(column.ok_or_else(|| cannot_write("a column is missing"))?, field.data_type()).map_err(cannot_write)
        };
        let columns: Vec<ArrayRef> = self.schema.fields().iter().map(column).collect::<Result<_>>()?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(cannot_write)?;
        if self.open.is_none() {
            let file = File::create_new(self.path()).map_err(cannot_write)?;
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .set_created_by(format!("stellwerk {}", env!("CARGO_PKG_VERSION")));
            let writer = ArrowWriter::try_new(file, Arc::clone(&self.schema), Some(properties.build()));
            self.open = Some(writer.map_err(cannot_write)?);
        }
        let writer = self.open.as_mut().expect("it was opened just now");
        writer.write(&batch).map_err(cannot_write)?;
        self.rows += batch.num_rows() as u64;
        match writer.bytes_written() + writer.in_progress_size() >= FILE_BYTES_MAX {
            true => self.close(),
            false => Ok(()),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!("{:05}.parquet", self.done.len()))
    }

    fn close(&mut self) -> Result<()> {
        let path = self.path();
        if let Some(writer) = self.open.take() {
            writer.close().map_err(cannot_write)?;
            self.done.push((path, std::mem::take(&mut self.rows)));
        }
        Ok(())
    }
}

fn hash(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

impl Holds {
    /// Writes the rows that a hold keeps to a place, as they are now, superseded ones among them; what is put there is locked
    /// as the place was opened. `who` makes it.
    pub async fn copy(
        &self,
        store: &Store,
        hold: &str,
        to: &Destination,
        lock: Option<Lock>,
        caller: &Caller,
        who: &str,
    ) -> Result<HoldCopy> {
        let active = self.active().await?.into_iter().find(|active| active.hold.id == hold);
        let active = active.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("no hold {hold} holds; `stellwerk hold list` shows them"))
        })?;
        let (id, log) = (fresh_id()?, log_name(self.state()).await?);
        let path = format!("holds/{log}/{hold}/{id}");
        let now_us = self.now_us();
        let folder = tempfile_in(&store.settings().data, &id)?;
        let files = copied(store, &active, to, &path, &folder.0).await?;
        drop(folder);
        let list = List {
            format: FORMAT,
            log,
            hold: hold.to_owned(),
            tables: active.tables.clone(),
            tenant: active.hold.tenant.clone(),
            about_subject: active.hold.subject.is_some(),
            made_at: rfc3339(now_us),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            files,
        };
        let text = serde_json::to_vec(&list).expect("a list of plain fields is JSON");
        let sha256 = hash(&text);
        // Last: a copy without its list is none.
        let path = format!("{path}/{LIST}");
        to.put_new(&path, text).await?;
        let sum = |of: fn(&Listed) -> u64| i64::try_from(list.files.iter().map(of).sum::<u64>()).unwrap_or(i64::MAX);
        let copy = HoldCopy {
            id,
            hold: hold.to_owned(),
            destination: to.name.clone(),
            path,
            sha256,
            rows: sum(|file| file.rows),
            files: i64::try_from(list.files.len()).unwrap_or(i64::MAX),
            size_bytes: sum(|file| file.size_bytes),
            made_by: who.to_owned(),
            made_at: rfc3339(now_us),
            lock_mode: lock.map(|lock| lock.mode.word().to_owned()),
            locked_until: lock.map(|lock| rfc3339(lock.until_us)),
        };
        self.note(&copy, now_us, lock.map(|lock| lock.until_us), active.hold.tenant.as_deref(), caller).await?;
        Ok(copy)
    }

    async fn note(
        &self,
        copy: &HoldCopy,
        now_us: i64,
        until_us: Option<i64>,
        tenant: Option<&str>,
        caller: &Caller,
    ) -> Result<()> {
        let values = [
            copy.id.as_str().into(),
            copy.hold.as_str().into(),
            copy.destination.as_str().into(),
            copy.path.as_str().into(),
            copy.sha256.as_str().into(),
            copy.rows.into(),
            copy.files.into(),
            copy.size_bytes.into(),
            copy.made_by.as_str().into(),
            Value::Time(now_us),
            copy.lock_mode.clone().into(),
            until_us.map_or(Value::Null, Value::Time),
        ];
        let mut transaction = self.state().transaction().await?;
        transaction.execute(INSERT, &values).await?;
        let detail = json!({
            "copy": copy.id, "to": copy.destination, "path": copy.path, "sha256": copy.sha256, "rows": copy.rows,
            "lock_mode": copy.lock_mode, "locked_until": copy.locked_until,
        });
        let entry = caller.entry("hold.copy", copy.hold.as_str()).of_tenant(tenant).with_exactly(detail);
        self.audit().record_in(&mut transaction, vec![entry]).await?;
        transaction.commit().await
    }

    /// Every copy, oldest first.
    pub async fn copies(&self) -> Result<Vec<HoldCopy>> {
        self.state().fetch(ALL, &[]).await?.iter().map(copy_of).collect()
    }

    /// Reads a copy back and holds every byte against what was written.
    pub async fn check_copy(&self, id: &str, options: &[(String, String)]) -> Result<CheckedCopy> {
        let copy = self.copies().await?.into_iter().find(|copy| copy.id == id).ok_or_else(|| {
            Error::new(Kind::NotFound, format!("there is no copy {id}; `stellwerk hold copies` shows them"))
        })?;
        let from = Destination::open(&copy.destination, options)?;
        let mut checked = CheckedCopy { id: copy.id, ..CheckedCopy::default() };
        let list = from.get_bytes(&copy.path).await?;
        let Some(list) = list else {
            checked.findings.push(format!("{}: it is missing", copy.path));
            return Ok(checked);
        };
        if hash(&list) != copy.sha256 {
            checked.findings.push(format!("{}: it is not what was written", copy.path));
            return Ok(checked);
        }
        let list: List = serde_json::from_slice(&list)
            .map_err(|e| Error::new(Kind::Corrupt, format!("{} is no list of a copy: {e}", copy.path)))?;
        if list.format != FORMAT {
            let why = format!("{} is of format {}, which this program does not read", copy.path, list.format);
            return Err(Error::new(Kind::Corrupt, why));
        }
        for file in list.files {
            match from.get_bytes(&file.name).await? {
                None => checked.findings.push(format!("{}: it is missing", file.name)),
                Some(content) if hash(&content) != file.sha256 => {
                    checked.findings.push(format!("{}: it is not what was written", file.name));
                }
                Some(content) => {
                    checked.files += 1;
                    checked.bytes += content.len() as u64;
                }
            }
        }
        Ok(checked)
    }
}

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tempfile_in(data: &Path, id: &str) -> Result<Folder> {
    use std::os::unix::fs::DirBuilderExt;
    let folder = data.join(format!("hold-{id}.part"));
    std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(cannot_write)?;
    Ok(Folder(folder))
}

/// Puts the held rows of every table; answers what was put.
async fn copied(store: &Store, active: &Active, to: &Destination, path: &str, folder: &Path) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    let tables: Vec<&'static Table> =
        store.catalogue().tables.iter().copied().filter(|table| active.fits(table.name)).collect();
    for table in tables {
        let mut written = Written::new(table, folder);
        store.each_held(table, &active.hold, &mut |batch| written.take(&batch)).await?;
        written.close()?;
        for (number, (file, rows)) in written.done.into_iter().enumerate() {
            let content = std::fs::read(&file).map_err(cannot_write)?;
            let name = format!("{path}/{}-{number:05}.parquet", table.name);
            let (size_bytes, sha256) = (content.len() as u64, hash(&content));
            to.put_new(&name, content).await?;
            std::fs::remove_file(&file).map_err(cannot_write)?;
            listed.push(Listed { name, table: table.name.to_owned(), rows, size_bytes, sha256 });
        }
    }
    Ok(listed)
}

fn copy_of(row: &Row) -> Result<HoldCopy> {
    Ok(HoldCopy {
        id: row.get("id")?,
        hold: row.get("hold")?,
        destination: row.get("destination")?,
        path: row.get("path")?,
        sha256: row.get("sha256")?,
        rows: row.get("stored_rows")?,
        files: row.get("files")?,
        size_bytes: row.get("size_bytes")?,
        made_by: row.get("made_by")?,
        made_at: rfc3339(row.get("made_at")?),
        lock_mode: row.get("lock_mode")?,
        locked_until: row.get::<Option<i64>>("locked_until")?.map(rfc3339),
    })
}
