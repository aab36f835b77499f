//! The whole state database as lines of JSON, and back: the same lines on SQLite and on PostgreSQL, so that one can be
//! restored as the other. Read inside one transaction, so that it is one moment.

use std::io::{BufRead, Write};

use serde_json::{Value as Json, json};
use sqlx::AssertSqlSafe;

use super::cells::Row;
use super::database::{Database, Open};
use super::{State, Transaction};
use crate::error::{Error, Kind, Result};
use crate::rows::Value;

/// Rows of one INSERT.
const CHUNK_ROWS: usize = 64;
/// What the migrations of the database wrote of themselves.
const MIGRATIONS: &str = "_sqlx_migrations";

const SQLITE_TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
    ORDER BY rowid";
/// In the order in which they were made: what is referred to stands before what refers to it.
const POSTGRES_TABLES: &str = "SELECT CAST(c.relname AS TEXT) AS name FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname = current_schema() ORDER BY c.oid";
const POSTGRES_BOOLEANS: &str = "SELECT CAST(table_name AS TEXT) AS name, CAST(column_name AS TEXT) AS column_name
    FROM information_schema.columns WHERE data_type = 'boolean' AND table_schema = current_schema()";

/// The database at one moment.
pub struct Snapshot {
    open: Open,
    log_rows: i64,
}

/// A line of a dump as it is read.
pub enum Line<'a> {
    /// A table begins.
    Table {
        /// Its name.
        name: &'a str,
        /// Its columns, in the order of the cells.
        columns: &'a [String],
    },
    /// A row of it, as one line of JSON.
    Row(String),
}

/// A dump to be loaded, and which of its tables are wanted.
pub struct Part<'a> {
    /// Its lines.
    pub lines: Box<dyn BufRead + Send + 'a>,
    /// Whether a table is wanted.
    pub wants: &'a (dyn Fn(&str) -> bool + Sync),
}

/// How much a dump holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Dumped {
    /// Tables that hold rows.
    pub tables: u64,
    /// Rows over all of them.
    pub rows: u64,
}

impl State {
    /// The database as it is now; what is written later does not show in it.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let (open, log_rows) = self.database.begin_reading().await?;
        Ok(Snapshot { open, log_rows })
    }

    /// The names of all tables, in the order in which they were made.
    pub async fn table_names(&self) -> Result<Vec<String>> {
        let sql = if self.is_sqlite() { SQLITE_TABLES } else { POSTGRES_TABLES };
        let rows = self.fetch(sql, &[]).await?;
        let names: Vec<String> = rows.iter().map(|row| row.get("name")).collect::<Result<_>>()?;
        Ok(names.into_iter().filter(|name| name != MIGRATIONS).collect())
    }

    /// Whether it is the file in the data directory.
    pub fn is_sqlite(&self) -> bool {
        matches!(self.database, Database::Sqlite { .. })
    }

    /// Puts a dump in place of what a new database holds. Refused where the database was used before.
    pub async fn load(&self, dump: Box<dyn BufRead + Send + '_>) -> Result<Dumped> {
        let loaded = self.load_parts(vec![Part { lines: dump, wants: &|_| true }]).await?;
        Ok(loaded.into_iter().next().expect("one dump has one count"))
    }

    /// The same of several dumps, of each the tables that are wanted. Answers how much each of them holds, wanted or not.
    pub async fn load_parts(&self, parts: Vec<Part<'_>>) -> Result<Vec<Dumped>> {
        let used = self.fetch("SELECT size FROM audit_head WHERE size > 0", &[]).await?.len();
        if used > 0 || !self.fetch("SELECT id FROM api_key LIMIT 1", &[]).await?.is_empty() {
            let why = "the state database is in use: restore into a new one";
            return Err(Error::new(Kind::Conflict, why));
        }
        let known = self.table_names().await?;
        let booleans = match self.is_sqlite() {
            true => Vec::new(),
            false => {
                let rows = self.fetch(POSTGRES_BOOLEANS, &[]).await?;
                rows.iter().map(|row| Ok((row.get("name")?, row.get("column_name")?))).collect::<Result<Vec<_>>>()?
            }
        };
        let mut transaction = self.transaction().await?;
        // Migrations seed some tables, and what refers to others goes first.
        for table in known.iter().rev() {
            transaction.execute(AssertSqlSafe(format!("DELETE FROM \"{table}\"")), &[]).await?;
        }
        let mut loaded = Vec::with_capacity(parts.len());
        for part in parts {
            loaded.push(load_lines(&mut transaction, part, &known, &booleans).await?);
        }
        transaction.commit().await?;
        Ok(loaded)
    }
}

async fn load_lines(
    transaction: &mut Transaction,
    Part { lines: mut dump, wants }: Part<'_>,
    known: &[String],
    booleans: &[(String, String)],
) -> Result<Dumped> {
    let torn = |why: String| Error::new(Kind::Corrupt, format!("read the dump of the state database: {why}"));
    let mut dumped = Dumped::default();
    let mut into: Option<(String, Vec<String>, Vec<bool>)> = None;
    let mut waiting: Vec<Vec<Value>> = Vec::new();
    let mut is_wanted = false;
    let mut line = String::new();
    loop {
        line.clear();
        let read =
            dump.read_line(&mut line).map_err(|e| Error::unavailable("read the dump of the state database", e))?;
        if read == 0 {
            return Err(torn("it has no end; it was cut off".to_owned()));
        }
        match serde_json::from_str::<Json>(&line).map_err(|e| torn(e.to_string()))? {
            Json::Array(cells) => {
                let (_, columns, is_bool) =
                    into.as_ref().ok_or_else(|| torn("a row stands before its table".to_owned()))?;
                let cells: Option<Vec<Value>> = cells.into_iter().zip(is_bool).map(|(c, b)| cell_of(c, *b)).collect();
                let cells = cells.filter(|cells| cells.len() == columns.len());
                let cells = cells.ok_or_else(|| torn("a row does not fit its columns".to_owned()))?;
                dumped.rows += 1;
                if is_wanted {
                    waiting.push(cells);
                }
                if waiting.len() == CHUNK_ROWS {
                    insert(transaction, into.as_ref(), &mut waiting).await?;
                }
            }
            Json::Object(head) => {
                insert(transaction, into.as_ref(), &mut waiting).await?;
                if let Some(rows) = head.get("end") {
                    let wanted = rows.as_u64() == Some(dumped.rows);
                    return wanted.then_some(dumped).ok_or_else(|| torn("rows are missing".to_owned()));
                }
                let table = head.get("table").and_then(Json::as_str).unwrap_or_default().to_owned();
                if !known.contains(&table) {
                    let why = format!("it holds a table {table:?}, which this program does not know: use a newer one");
                    return Err(torn(why));
                }
                let columns: Option<Vec<String>> = head
                    .get("columns")
                    .and_then(Json::as_array)
                    .map(|columns| columns.iter().filter_map(Json::as_str).map(str::to_owned).collect());
                let columns = columns.ok_or_else(|| torn(format!("table {table} has no columns")))?;
                let is_bool = columns.iter().map(|c| booleans.iter().any(|(t, b)| *t == table && b == c)).collect();
                dumped.tables += 1;
                is_wanted = wants(&table);
                into = Some((table, columns, is_bool));
            }
            _ => return Err(torn("a line is neither a table nor a row".to_owned())),
        }
    }
}

async fn insert(
    transaction: &mut Transaction,
    into: Option<&(String, Vec<String>, Vec<bool>)>,
    waiting: &mut Vec<Vec<Value>>,
) -> Result<()> {
    let Some((table, columns, _)) = into.filter(|_| !waiting.is_empty()) else { return Ok(()) };
    let names: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    let row = |row: usize| {
        let places: Vec<String> = (1..=columns.len()).map(|at| format!("${}", row * columns.len() + at)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..waiting.len()).map(row).collect();
    let sql = format!("INSERT INTO \"{table}\" ({}) VALUES {}", names.join(", "), rows.join(", "));
    let values: Vec<Value> = waiting.drain(..).flatten().collect();
    transaction.execute(AssertSqlSafe(sql), &values).await.map(|_| ())
}

impl Snapshot {
    /// How many rows the audit log had then.
    pub fn log_rows(&self) -> i64 {
        self.log_rows
    }

    /// Writes every table.
    pub async fn write(self, sqlite: bool, sink: &mut (dyn Write + Send)) -> Result<Dumped> {
        let failed = |e| Error::unavailable("write a dump of the state database", e);
        let take = &mut |line: Line<'_>| match line {
            Line::Table { name, columns } => {
                writeln!(sink, "{}", json!({"table": name, "columns": columns})).map_err(failed)
            }
            Line::Row(row) => writeln!(sink, "{row}").map_err(failed),
        };
        let dumped = self.lines(sqlite, &|_| true, take).await?;
        writeln!(sink, "{}", json!({"end": dumped.rows})).and_then(|()| sink.flush()).map_err(failed)?;
        Ok(dumped)
    }

    /// Hands over the tables that are wanted and hold rows, line by line.
    pub async fn lines(
        mut self,
        sqlite: bool,
        wants: &(dyn Fn(&str) -> bool + Sync),
        take: &mut (dyn FnMut(Line<'_>) -> Result<()> + Send),
    ) -> Result<Dumped> {
        let mut names = Vec::new();
        let list = if sqlite { SQLITE_TABLES } else { POSTGRES_TABLES };
        self.open.each(list, &[], &mut |row| Ok(names.push(row.get::<String>("name")?))).await?;
        let mut dumped = Dumped::default();
        for table in names.into_iter().filter(|name| name != MIGRATIONS && wants(name)) {
            let mut headed = false;
            let mut take_row = |row: Row| {
                if !headed {
                    headed = true;
                    dumped.tables += 1;
                    take(Line::Table { name: &table, columns: row.columns() })?;
                }
                dumped.rows += 1;
                let cells: Vec<Json> = row.into_cells().into_iter().map(json_of).collect();
                take(Line::Row(Json::Array(cells).to_string()))
            };
            self.open.each(AssertSqlSafe(format!("SELECT * FROM \"{table}\"")), &[], &mut take_row).await?;
        }
        Ok(dumped)
    }
}

fn json_of(value: Value) -> Json {
    match value {
        Value::Text(text) => Json::String(text),
        Value::Bool(v) => Json::Bool(v),
        Value::Int(v) | Value::Time(v) => json!(v),
        Value::Float(v) => json!({"f": v}),
        Value::Bytes(bytes) => json!({"b": hex::encode(bytes)}),
        // The database holds neither decimals nor vectors.
        Value::Null | Value::Decimal(_) | Value::Vector(_) => Json::Null,
    }
}

/// SQLite keeps booleans as integers.
fn cell_of(cell: Json, is_bool: bool) -> Option<Value> {
    Some(match cell {
        Json::Null => Value::Null,
        Json::String(text) => Value::Text(text),
        Json::Bool(v) => Value::Bool(v),
        Json::Number(n) if is_bool => Value::Bool(n.as_i64()? != 0),
        Json::Number(n) => Value::Int(n.as_i64()?),
        Json::Object(of) => match (of.get("f"), of.get("b")) {
            (Some(f), _) => Value::Float(f.as_f64()?),
            (_, Some(b)) => Value::Bytes(hex::decode(b.as_str()?).ok()?),
            _ => return None,
        },
        Json::Array(_) => return None,
    })
}
