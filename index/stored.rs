//! The tables of this room: chunks as they were cut, what a model wrote to place them, and vectors by model and content.
//! Everything else of a search is derived from them and may be thrown away.

use std::collections::HashMap;

use engine::arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use engine::arrow::compute::cast;
use engine::arrow::datatypes::{DataType, Float32Type, Int64Type};
use engine::datafusion::physical_plan::common::collect;
use engine::sql::session::from_datafusion;
use engine::{Column, Error, Index, Kind, Limits, Question, Result, Scope, Store, Table, Type};

use crate::text::TextKind;

/// Pieces of documents.
pub static CHUNK: Table = Table {
    key: &["document", "ordinal"],
    time: "ingested_at",
    indexes: &[Index::BTree("document"), Index::BTree("hash")],
    acl: Some("acl"),
    derived: true,
    ..Table::new(
        "chunk",
        "Pieces of documents, work items and other texts, as searches find them: `search()` ranks them. Cut anew when their text changes; `as_of` shows earlier ones.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the row.").required(),
            Column::new("document", Type::Text, "The document: the table it stands in and its key there.").required(),
            Column::new("ordinal", Type::Int, "Place among the document's chunks, from 0.").required(),
            Column::new("hash", Type::Text, "Hash of all that a model reads of it: title, heading, prefix and text.")
                .required(),
            Column::new("material", Type::Name, "What the document is: `document` and other kinds of text.").required(),
            Column::new("title", Type::Text, "The document's title."),
            Column::new("path", Type::Text, "The document's path within where it comes from."),
            Column::new("uri", Type::Text, "Where the document lies."),
            Column::new("heading", Type::Text, "Headings, keys or symbols that it stands under: `A > B`."),
            Column::new("language", Type::Name, "Language: `de`, `en`; of code `rust`, `python` and others."),
            Column::new("text_kind", Type::Name, "`prose`, `code`, `log` or `config`.").required(),
            Column::new("span_start", Type::Int, "Where it begins in the document's text.").unit("bytes").required(),
            Column::new("span_end", Type::Int, "Where it ends there.").unit("bytes").required(),
            Column::new("text", Type::Text, "What it says.").required(),
            Column::new("acl", Type::Json, "Groups that may see it, a list; null where everybody of the tenant may."),
            Column::new("document_hash", Type::Text, "Hash of the content that it was cut from."),
            Column::new("document_version", Type::Int, "Version of the document that it was cut from."),
            Column::new("document_seq", Type::Int, "`_seq` of the row that it was cut from.").required(),
            Column::new("cut_by", Type::Name, "How it was cut: tokens of a chunk, and whose tokens they are.")
                .required(),
            Column::new(
                "prefix",
                Type::Text,
                "What a model wrote to place it within its document: searched in front of the text, and no part of what the document says.",
            ),
            Column::new(
                "prefix_by",
                Type::Name,
                "The model that was asked for the prefix, and the version of the question; null where none was.",
            ),
        ],
    )
};

/// What a model wrote about chunks. Its texts pass the redactor; from here they go into `chunk`.
pub static CHUNK_PREFIX: Table = Table {
    key: &["document", "hash"],
    time: "ingested_at",
    indexes: &[Index::BTree("hash")],
    acl: Some("acl"),
    ..Table::new(
        "chunk_prefix",
        "Sentences of a model that place chunks within their documents, by model and content: what was asked once is not asked again. `chunk.prefix` holds those in use.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the row.").required(),
            Column::new("document", Type::Text, "The document that it was written for, as `chunk` names it.")
                .required(),
            Column::new("hash", Type::Text, "Hash of the model's name and of all that it was shown.").required(),
            Column::new("model", Type::Name, "The model, and the version of the question.").required(),
            Column::new("prefix", Type::Text, "The sentences; null where the model had nothing to say."),
            Column::new(
                "acl",
                Type::Json,
                "An empty list: nobody but the operator reads this table, since lists of documents change.",
            ),
        ],
    )
};

/// The columns of a table of vectors.
const fn columns(width: u16) -> [Column; 5] {
    [
        Column::new("tenant", Type::Name, "Tenant of the row.").required(),
        Column::new("model", Type::Name, "The model and what tells its weights apart.").required(),
        Column::new("hash", Type::Text, "`hash` of the chunks that it stands for.").required(),
        Column::new("width", Type::Int, "Numbers of the model's vectors; what follows them is zero.").required(),
        Column::new("vector", Type::Vector(width), "The vector, of length one.").required(),
    ]
}

static COLUMNS_384: [Column; 5] = columns(384);
static COLUMNS_1024: [Column; 5] = columns(1024);
static COLUMNS_3072: [Column; 5] = columns(3072);

const fn embedding(name: &'static str, doc: &'static str, columns: &'static [Column]) -> Table {
    Table {
        key: &["model", "hash"],
        time: "ingested_at",
        indexes: &[Index::BTree("hash")],
        derived: true,
        ..Table::new(name, doc, columns)
    }
}

/// Vectors of at most 384 numbers. One table a width: a narrower vector is filled up with zeros, which changes no angle.
pub static EMBEDDING: Table = embedding(
    "embedding",
    "Vectors of chunks by model and content, of at most 384 numbers: what was embedded once is not embedded again.",
    &COLUMNS_384,
);

/// Vectors of at most 1,024 numbers.
pub static EMBEDDING_1024: Table =
    embedding("embedding_1024", "As `embedding`, for vectors of 385 to 1,024 numbers.", &COLUMNS_1024);

/// Vectors of at most 3,072 numbers.
pub static EMBEDDING_3072: Table =
    embedding("embedding_3072", "As `embedding`, for vectors of 1,025 to 3,072 numbers.", &COLUMNS_3072);

/// Every table of this room.
pub const TABLES: &[&Table] = &[&CHUNK, &CHUNK_PREFIX, &EMBEDDING, &EMBEDDING_1024, &EMBEDDING_3072];

/// The tables of vectors, by width.
const WIDTHS: &[(usize, &Table)] = &[(384, &EMBEDDING), (1024, &EMBEDDING_1024), (3072, &EMBEDDING_3072)];

/// The table for a model's vectors, and its width.
pub fn table_of(width: usize) -> Result<(&'static Table, usize)> {
    let found = WIDTHS.iter().find(|(most, _)| width <= *most && width > 0);
    found.map(|(most, table)| (*table, *most)).ok_or_else(|| {
        Error::invalid(format!("a model with vectors of {width} numbers cannot be used; at most 3072 are kept"))
    })
}

/// A kind of text as its column spells it.
pub fn kind_name(kind: TextKind) -> &'static str {
    match kind {
        TextKind::Prose => "prose",
        TextKind::Code => "code",
        TextKind::Log => "log",
        TextKind::Config => "config",
    }
}

/// The kind that a name stands for.
pub fn kind_of(name: &str) -> Option<TextKind> {
    [TextKind::Prose, TextKind::Code, TextKind::Log, TextKind::Config].into_iter().find(|kind| kind_name(*kind) == name)
}

/// The kind that somebody names.
pub fn kind_named(name: &str) -> Result<TextKind> {
    let unknown = || Error::invalid(format!("{name} is no kind of text; there are prose, code, log and config"));
    kind_of(name).ok_or_else(unknown)
}

/// The rows of an answer.
pub async fn ask(store: &Store, scope: &Scope, sql: &str, params: &[&str]) -> Result<Vec<RecordBatch>> {
    let question = Question { sql: sql.to_owned(), params: params.iter().map(|param| (*param).to_owned()).collect() };
    let limits = Limits { rows_max: usize::MAX, ..Limits::default() };
    let answer = store.query(scope, question, limits).await?;
    collect(answer.stream).await.map_err(from_datafusion)
}

/// The columns of a batch by name, read as texts, numbers and vectors.
#[derive(Debug)]
pub struct Cells {
    rows: usize,
    texts: HashMap<String, StringArray>,
    numbers: HashMap<String, Int64Array>,
    batch: RecordBatch,
}

impl Cells {
    /// The cells of a batch.
    pub fn of(batch: &RecordBatch) -> Result<Cells> {
        let broken = |e| Error::unavailable("read the rows of an answer", e);
        let (mut texts, mut numbers) = (HashMap::new(), HashMap::new());
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            match column.data_type() {
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
                    let plain = cast(column, &DataType::Utf8).map_err(broken)?;
                    texts.insert(field.name().clone(), plain.as_string::<i32>().clone());
                }
                kind if kind.is_integer() => {
                    let plain = cast(column, &DataType::Int64).map_err(broken)?;
                    numbers.insert(field.name().clone(), plain.as_primitive::<Int64Type>().clone());
                }
                _ => {}
            }
        }
        Ok(Cells { rows: batch.num_rows(), texts, numbers, batch: batch.clone() })
    }

    /// Rows of the batch.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// A text; `None` where it is null or there is no such column.
    pub fn text(&self, column: &str, row: usize) -> Option<&str> {
        self.texts.get(column).filter(|cells| cells.is_valid(row)).map(|cells| cells.value(row))
    }

    /// A text that every row has.
    pub fn required(&self, column: &str, row: usize) -> Result<&str> {
        self.text(column, row).ok_or_else(|| Error::new(Kind::Internal, format!("a row has no {column}")))
    }

    /// A number; `None` where it is null or there is no such column.
    pub fn number(&self, column: &str, row: usize) -> Option<i64> {
        self.numbers.get(column).filter(|cells| cells.is_valid(row)).map(|cells| cells.value(row))
    }

    /// The first `width` numbers of a vector.
    pub fn vector(&self, column: &str, row: usize, width: usize) -> Option<Vec<f32>> {
        let cells = self.batch.column_by_name(column)?.as_fixed_size_list_opt()?;
        let numbers = cells.is_valid(row).then(|| cells.value(row))?;
        let numbers = numbers.as_primitive_opt::<Float32Type>()?;
        numbers.values().get(..width).map(<[f32]>::to_vec)
    }
}
