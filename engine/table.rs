//! A table is declared once, as data: the Arrow schema, the Lance encoding, the SQL reference, the comments of
//! `information_schema` and `stellwerk tables` all come from the declaration.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// What a column holds. The list is short on purpose: it is what Lance, DataFusion and our clients agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Text of few distinct values (service, namespace, currency): `Dictionary(Int32, Utf8)`.
    Name,
    /// Text of many distinct values: `Utf8`.
    Text,
    /// A JSON document as text: `Utf8`, read with `->`, `->>` and the `json_*` functions.
    Json,
    /// `Boolean`.
    Bool,
    /// `Int64`.
    Int,
    /// `Float64`; never money.
    Float,
    /// Money, prices and quantities: `Decimal128(38, 18)`.
    Decimal,
    /// An instant in microseconds: `Timestamp(Microsecond, "UTC")`, good for every year that ISO 8601 writes.
    Time,
    /// An instant in nanoseconds: `Timestamp(Nanosecond, "UTC")`, years 1677 to 2262; OpenTelemetry's resolution.
    TimeNs,
    /// `Binary`.
    Bytes,
    /// A vector of so many numbers: `FixedSizeList(Float32)`, as Lance's clients search it.
    Vector(u16),
}

/// Digits of the ledger's decimals: 20 before the point, 18 after it.
pub const DECIMAL_PRECISION: u8 = 38;
/// Digits after the point of the ledger's decimals.
pub const DECIMAL_SCALE: i8 = 18;

impl Type {
    /// The Arrow type of this column, in memory and on disk.
    pub fn arrow(self) -> DataType {
        match self {
            Type::Name => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Type::Text | Type::Json => DataType::Utf8,
            Type::Bool => DataType::Boolean,
            Type::Int => DataType::Int64,
            Type::Float => DataType::Float64,
            Type::Decimal => DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
            Type::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Type::TimeNs => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Type::Bytes => DataType::Binary,
            Type::Vector(width) => {
                let item = Field::new("item", DataType::Float32, true);
                DataType::FixedSizeList(Arc::new(item), i32::from(width))
            }
        }
    }

    /// The type's name in the SQL reference.
    pub fn sql(self) -> &'static str {
        match self {
            Type::Name | Type::Text => "VARCHAR",
            Type::Json => "JSON (VARCHAR)",
            Type::Bool => "BOOLEAN",
            Type::Int => "BIGINT",
            Type::Float => "DOUBLE",
            Type::Decimal => "DECIMAL(38,18)",
            Type::Time => "TIMESTAMP(6) UTC",
            Type::TimeNs => "TIMESTAMP(9) UTC",
            Type::Bytes => "BYTEA",
            Type::Vector(_) => "FLOAT[]",
        }
    }
}

/// One column: its name is the field's standard spelling, its doc is the column's documentation everywhere.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Standard spelling (FOCUS `BilledCost`, OTel `service_name`), unit last where there is one (`duration_ns`).
    pub name: &'static str,
    /// What it holds.
    pub kind: Type,
    /// One sentence for the reader of the SQL reference.
    pub doc: &'static str,
    /// Unit of measure, where the name does not already say it.
    pub unit: Option<&'static str>,
    /// A row without it is refused. Columns added later must not be required.
    pub required: bool,
    /// Its cells are names or addresses of people, which no pattern finds.
    pub personal: bool,
}

impl Column {
    /// A nullable column.
    pub const fn new(name: &'static str, kind: Type, doc: &'static str) -> Self {
        Column { name, kind, doc, unit: None, required: false, personal: false }
    }

    /// The same column, refused when null.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same column, marked as names or addresses of people: the redactor's policy treats its cells as a whole.
    pub const fn personal(mut self) -> Self {
        self.personal = true;
        self
    }

    /// The same column with its unit.
    pub const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self
    }
}

/// A secondary index that maintenance keeps over the flushed fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// Exact lookup; for ids.
    BTree(&'static str),
}

/// A table of facts. `columns` are the declared ones; the store adds its own behind them: the source, the ingest time,
/// `_seq` (the row's place in the log) and, where rows can be superseded, `_op` (hidden from SQL).
#[derive(Debug)]
pub struct Table {
    /// Name in SQL, snake case.
    pub name: &'static str,
    /// One or two sentences for the SQL reference.
    pub doc: &'static str,
    /// The declared columns, the tenant among them.
    pub columns: &'static [Column],
    /// Identity within a tenant. Empty: rows are only ever added. Otherwise the newest row per key is the current one.
    pub key: &'static [&'static str],
    /// Column (`Int` or `Time`) that says which row of a key is newer where they do not arrive in order: the greater one,
    /// and among equals the later one. Null counts as older than any. Without it the later row is the newer one.
    pub version: Option<&'static str>,
    /// Column that names a replaceable set of rows (a month of one export) within a tenant. A `Replace` mark supersedes
    /// what the set of its tenant held.
    pub set: Option<&'static str>,
    /// The column that says when the fact happened; pruning (by zones of rows) and retention go by it.
    pub time: &'static str,
    /// The column that names the tenant.
    pub tenant: &'static str,
    /// Name of the store's own column with the door or file a row came through.
    pub source: &'static str,
    /// Name of the store's own column with the time of the ack, `Timestamp(Microsecond, UTC)`.
    pub ingested_at: &'static str,
    /// Secondary indexes.
    pub indexes: &'static [Index],
    /// Rows older than this, by `time`, are deleted by maintenance. `None` keeps them.
    pub retention_days: Option<u32>,
    /// Column (`Json`) with the groups that may see a row, a list of names; null is everybody of the tenant. A scope of all
    /// tenants sees every row.
    pub acl: Option<&'static str>,
    /// Its texts were taken from other tables of this store, and were redacted there: what is cut anew stays as it is.
    pub derived: bool,
}

/// A row's place in the log, as a column of every table.
pub const SEQ: &str = "_seq";
/// What a row of a keyed or replaceable table does: null a plain row, [`OP_DELETE`], [`OP_REPLACE`].
pub const OP: &str = "_op";
/// The row deletes its key.
pub const OP_DELETE: i8 = 1;
/// The row supersedes every earlier row of its set.
pub const OP_REPLACE: i8 = 2;

impl Table {
    /// A declaration with the usual defaults; the rest by struct update syntax: `Table { key: &["uid"], ..Table::new(…) }`.
    pub const fn new(name: &'static str, doc: &'static str, columns: &'static [Column]) -> Self {
        Table {
            name,
            doc,
            columns,
            key: &[],
            version: None,
            set: None,
            time: "time",
            tenant: "tenant",
            source: "source",
            ingested_at: "ingested_at",
            indexes: &[],
            retention_days: None,
            acl: None,
            derived: false,
        }
    }

    /// Whether a newer row can supersede an older one.
    pub fn supersedes(&self) -> bool {
        !self.key.is_empty() || self.set.is_some()
    }

    /// Position of a declared column.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == column)
    }

    /// Schema of a batch as ingest hands it over: the declared columns, then `_op` where rows can be superseded.
    pub fn batch_schema(&self) -> SchemaRef {
        let mut fields: Vec<Field> = self.columns.iter().map(|c| Field::new(c.name, c.kind.arrow(), true)).collect();
        if self.supersedes() {
            fields.push(Field::new(OP, DataType::Int8, true));
        }
        Arc::new(Schema::new(fields))
    }

    /// Schema of a row as stored: the batch's columns, then source, ingest time and `_seq`.
    pub fn stored_schema(&self) -> SchemaRef {
        let mut fields: Vec<Field> = self.batch_schema().fields().iter().map(|f| f.as_ref().clone()).collect();
        fields.push(Field::new(self.source, Type::Name.arrow(), true));
        fields.push(Field::new(self.ingested_at, Type::Time.arrow(), true));
        fields.push(Field::new(SEQ, DataType::Int64, false));
        Arc::new(Schema::new(fields))
    }

    /// Schema as SQL sees it: the stored columns without `_op`.
    pub fn sql_schema(&self) -> SchemaRef {
        let stored = self.stored_schema();
        let fields: Vec<_> = stored.fields().iter().filter(|f| f.name() != OP).cloned().collect();
        Arc::new(Schema::new(fields))
    }
}

/// A named SELECT over the scoped catalogue; planned only when a query names it.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Name in SQL; FOCUS's own spelling where FOCUS names it (`CostAndUsage`).
    pub name: &'static str,
    /// One sentence for the SQL reference.
    pub doc: &'static str,
    /// The SELECT.
    pub sql: &'static str,
}
