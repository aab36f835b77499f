//! ClickBench's `hits` as a table of ours, loaded from the Parquet file that the peers read, and asked in this process:
//! the server declares no such table, so the engine is opened with a catalogue of its own.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use engine::arrow::array::{ArrayRef, RecordBatch, StringArray};
use engine::arrow::compute::cast;
use engine::arrow::error::ArrowError;
use engine::arrow::util::display::{ArrayFormatter, FormatOptions};
use engine::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use engine::{
    Catalogue, Column, Error, Limits, Load, NoRedaction, Ports, Scope, Settings, Store, Table, Type, WallClock,
};
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Runtime;

use crate::questions::asked::Rows;
use crate::questions::engines::{Answered, Engine, MEMORY_GIB};

/// The columns that the generator writes too, each with its kind.
pub const COLUMNS: &str = include_str!("columns.txt");
const TENANT: &str = "default";
/// Rows of a batch that is loaded.
const BATCH_ROWS: usize = 32_768;

/// The table. Declared once a process, from the list of columns.
pub fn table() -> &'static Table {
    static HITS: std::sync::OnceLock<Table> = std::sync::OnceLock::new();
    HITS.get_or_init(|| {
        let mut columns = vec![Column::new("tenant", Type::Name, "Tenant of the row.").required()];
        for line in COLUMNS.lines() {
            let (name, kind) = line.split_once(' ').expect("a line is a name and a kind");
            let kind = match kind {
                "i16" | "i32" | "i64" => Type::Int,
                "text" => Type::Text,
                "name" => Type::Name,
                "time" | "date" => Type::Time,
                other => panic!("{name} is of unknown kind {other}"),
            };
            columns.push(Column::new(name, kind, "As in ClickBench."));
        }
        // As long as the process: a declaration is static.
        let columns: &'static [Column] = Box::leak(columns.into_boxed_slice());
        let table = Table::new("hits", "Page views, as ClickBench has them.", columns);
        Table { time: "EventTime", ..table }
    })
}

/// The engine in this process.
pub struct InProcess {
    runtime: Runtime,
    store: Arc<Store>,
}

impl InProcess {
    /// Opens the store; it has one table.
    pub fn open(data: &Path) -> InProcess {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let catalogue = Catalogue { tables: vec![table()], ..Catalogue::default() };
        let ports = Ports { clock: Arc::new(WallClock), redactor: Arc::new(NoRedaction) };
        let settings = Settings { memory_bytes_max: MEMORY_GIB << 30, ..Settings::new(data) };
        let opened = runtime.block_on(Store::open(settings, catalogue, ports));
        InProcess { store: opened.expect("the store of hits opens"), runtime }
    }

    /// Loads the whole file in one commit, then lets the store put itself in order.
    pub fn load(&self, parquet: &Path) -> u64 {
        let file = File::open(parquet).expect("the rows were written");
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file").with_batch_size(BATCH_ROWS);
        let batches = reader.build().expect("a Parquet file").map(|batch| shaped(&batch?));
        let batches = batches.map(|batch| batch.map_err(|cause| Error::invalid(cause.to_string())));
        let load =
            Load { table: table(), source: "clickbench".to_owned(), batches: futures::stream::iter(batches).boxed() };
        self.runtime.block_on(async {
            let loaded = self.store.load(load).await.expect("the rows load");
            self.store.maintain().await.expect("the store is maintained");
            loaded.rows
        })
    }

    /// Closes the store.
    pub fn close(self) {
        self.runtime.block_on(self.store.close()).expect("the store closes");
    }
}

/// A batch of the file as a batch of the table.
fn shaped(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = table().batch_schema();
    let columns: Result<Vec<ArrayRef>, ArrowError> = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => cast(column, field.data_type()),
            None => cast(&StringArray::from(vec![TENANT; batch.num_rows()]), field.data_type()),
        })
        .collect();
    RecordBatch::try_new(schema, columns?)
}

impl Engine for InProcess {
    fn name(&self) -> &'static str {
        "stellwerk"
    }

    fn ask(&mut self, sql: &str) -> Result<Answered, String> {
        let scope = Scope::tenant(TENANT, "bench");
        let begun = Instant::now();
        let batches: Result<Vec<RecordBatch>, String> = self.runtime.block_on(async {
            let answer = self.store.query(&scope, sql, Limits::default()).await.map_err(|cause| cause.to_string())?;
            answer.stream.try_collect().await.map_err(|cause| cause.to_string())
        });
        let ms = begun.elapsed().as_secs_f64() * 1e3;
        let rows = batches?.iter().map(rows).collect::<Result<Vec<Rows>, ArrowError>>();
        Ok(Answered { rows: rows.map_err(|cause| cause.to_string())?.concat(), ms, query_id: None })
    }
}

fn rows(batch: &RecordBatch) -> Result<Rows, ArrowError> {
    let options = FormatOptions::default();
    let columns: Result<Vec<ArrayFormatter<'_>>, ArrowError> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options)).collect();
    let columns = columns?;
    let cell = |at: usize, row: usize| {
        let valid = engine::arrow::array::Array::is_valid(batch.column(at), row);
        valid.then(|| columns[at].value(row).to_string())
    };
    Ok((0..batch.num_rows()).map(|row| (0..columns.len()).map(|at| cell(at, row)).collect()).collect())
}
