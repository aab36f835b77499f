//! The search in SQL: `search()`, `text_search()` and `vector_search()` in FROM, `embed()` and `similarity()` beside columns.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use engine::arrow::array::{
    Array, ArrayRef, AsArray, Float32Builder, Float64Array, Float64Builder, Int64Array, ListBuilder, RecordBatch,
    StringArray,
};
use engine::arrow::compute::cast;
use engine::arrow::datatypes::{DataType, Field, Float32Type, Schema, SchemaRef};
use engine::datafusion::common::{DataFusionError, Result as DfResult, ScalarValue};
use engine::datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use engine::datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use engine::sql::functions::{Function, FunctionDoc};
use engine::sql::table_function::{ScopedRows, TableFunction};
use engine::{Error, Kind, Purpose, Result, Scope};

use super::room::SearchRoom;
use super::wish::{Found, Legs, SearchHit, SearchWish};

/// Texts that a model gets at once.
const EMBEDDED_TOGETHER: usize = 256;

/// The functions in FROM.
pub fn table_functions(room: &Arc<SearchRoom>) -> Vec<TableFunction> {
    let docs = [
        (
            Legs::Both,
            FunctionDoc {
                name: "search",
                signature: "search('query', k [, '{\"source\": …, \"language\": …, \"kind\": …, \"path\": …, \"as_of\": …}'])",
                sentence: "In FROM: the best `k` chunks for a question, by words and by meaning, with document, span and text",
                example: "SELECT title, heading, text FROM search('how do I rotate a key', 10)",
            },
        ),
        (
            Legs::Text,
            FunctionDoc {
                name: "text_search",
                signature: "text_search('query', k [, options])",
                sentence: "In FROM: as `search`, by words only; words in double quotes stand side by side",
                example: "SELECT title, text FROM text_search('\"node pool\" drain', 10)",
            },
        ),
        (
            Legs::Vector,
            FunctionDoc {
                name: "vector_search",
                signature: "vector_search('query', k [, options])",
                sentence: "In FROM: as `search`, by meaning only",
                example: "SELECT title, text FROM vector_search('costs explode', 10)",
            },
        ),
    ];
    let function = |(legs, doc): (Legs, FunctionDoc)| {
        let rows = Ranked { room: Arc::downgrade(room), legs, doc };
        TableFunction { doc, rows: Arc::new(rows) }
    };
    docs.into_iter().map(function).collect()
}

/// The functions beside columns.
pub fn functions(room: &Arc<SearchRoom>) -> Vec<Function> {
    let embed = FunctionDoc {
        name: "embed",
        signature: "embed(text)",
        sentence: "The text's vector by the model in use, as a list of numbers",
        example: "embed(ServiceName)",
    };
    let similarity = FunctionDoc {
        name: "similarity",
        signature: "similarity(a, b)",
        sentence: "How near two texts, or two vectors, are: the cosine, from -1 to 1",
        example: "similarity(ServiceName, 'databases')",
    };
    let of = |doc: FunctionDoc| {
        let function = Modelled { room: ByPlace(Arc::downgrade(room)), doc, signature: signature(doc.name) };
        Function { udf: Arc::new(AsyncScalarUDF::new(Arc::new(function)).into_scalar_udf()), doc }
    };
    vec![of(embed), of(similarity)]
}

fn signature(name: &str) -> Signature {
    // Whatever is constant must not be worked out while a question is planned: a model answers later.
    Signature::any(if name == "embed" { 1 } else { 2 }, Volatility::Volatile)
}

/// Ranked chunks as rows.
#[derive(Debug)]
struct Ranked {
    room: Weak<SearchRoom>,
    legs: Legs,
    doc: FunctionDoc,
}

impl Ranked {
    fn wish(&self, arguments: &[ScalarValue]) -> Result<SearchWish> {
        let usage = || Error::invalid(format!("{} is called as {}", self.doc.name, self.doc.signature));
        let text = |value: &ScalarValue| value.try_as_str().flatten().map(str::to_owned);
        let (query, k, options) = match arguments {
            [query] => (query, 10, None),
            [query, k] => (query, number(k).ok_or_else(usage)?, None),
            [query, k, options] => (query, number(k).ok_or_else(usage)?, Some(text(options).ok_or_else(usage)?)),
            _ => return Err(usage()),
        };
        let mut wish = SearchWish { legs: self.legs, ..SearchWish::new(&text(query).ok_or_else(usage)?, k) };
        if let Some(options) = options {
            let told = |e: serde_json::Error| Error::invalid(format!("the options of {}: {e}", self.doc.name));
            // Filters, and two that are none.
            let mut options: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&options).map_err(told)?;
            let mut take = |name: &str| options.remove(name).unwrap_or_default();
            wish.language = serde_json::from_value(take("query_language")).map_err(told)?;
            wish.as_of = serde_json::from_value(take("as_of")).map_err(told)?;
            wish.filters = serde_json::from_value(options.into()).map_err(told)?;
        }
        wish.check()?;
        Ok(wish)
    }
}

fn number(value: &ScalarValue) -> Option<usize> {
    match value.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(Some(number)) => usize::try_from(number).ok().filter(|number| *number > 0),
        _ => None,
    }
}

/// The room that a function asks, while it is there.
fn room(room: &Weak<SearchRoom>) -> Result<Arc<SearchRoom>> {
    room.upgrade().ok_or_else(|| Error::new(Kind::Unavailable, "the search is closed"))
}

#[async_trait]
impl ScopedRows for Ranked {
    fn schema(&self) -> SchemaRef {
        let field = |(name, kind): &(&str, DataType)| Field::new(*name, kind.clone(), true);
        Arc::new(Schema::new(columns().iter().map(field).collect::<Vec<_>>()))
    }

    fn check(&self, arguments: &[ScalarValue]) -> Result<()> {
        self.wish(arguments).map(|_| ())
    }

    async fn rows(&self, scope: &Scope, arguments: &[ScalarValue]) -> Result<RecordBatch> {
        let wish = SearchWish { explain: true, ..self.wish(arguments)? };
        let searcher = room(&self.room)?.ready().await?;
        let found = searcher.search(scope, &wish).await?;
        for note in &found.notes {
            tracing::warn!(function = self.doc.name, note, "a search in SQL");
        }
        batch(&self.schema(), &found)
    }
}

/// The columns of a ranked answer.
fn columns() -> Vec<(&'static str, DataType)> {
    vec![
        ("rank", DataType::Int64),
        ("score", DataType::Float64),
        ("tenant", DataType::Utf8),
        ("document", DataType::Utf8),
        ("material", DataType::Utf8),
        ("title", DataType::Utf8),
        ("path", DataType::Utf8),
        ("uri", DataType::Utf8),
        ("heading", DataType::Utf8),
        ("language", DataType::Utf8),
        ("text_kind", DataType::Utf8),
        ("ordinal", DataType::Int64),
        ("span_start", DataType::Int64),
        ("span_end", DataType::Int64),
        ("text", DataType::Utf8),
        ("document_version", DataType::Int64),
        ("chunk_seq", DataType::Int64),
        ("text_rank", DataType::Int64),
        ("text_score", DataType::Float64),
        ("vector_rank", DataType::Int64),
        ("vector_score", DataType::Float64),
    ]
}

fn batch(schema: &SchemaRef, found: &Found) -> Result<RecordBatch> {
    let hits = &found.hits;
    let texts =
        |of: &dyn Fn(&SearchHit) -> Option<String>| Arc::new(hits.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let whole = |of: &dyn Fn(&SearchHit) -> Option<u64>| {
        let number = |hit: &SearchHit| of(hit).and_then(|number| i64::try_from(number).ok());
        Arc::new(hits.iter().map(number).collect::<Int64Array>()) as ArrayRef
    };
    let scores = |of: &dyn Fn(&SearchHit) -> Option<f32>| {
        Arc::new(hits.iter().map(|hit| of(hit).map(f64::from)).collect::<Float64Array>()) as ArrayRef
    };
    let leg = |hit: &SearchHit, text: bool| {
        let explained = hit.explain.as_ref()?;
        if text { explained.text } else { explained.vector }
    };
    let ranks = Int64Array::from_iter_values(1..=i64::try_from(hits.len()).unwrap_or(i64::MAX));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ranks),
        scores(&|hit| Some(hit.score)),
        texts(&|hit| Some(hit.tenant.clone())),
        texts(&|hit| Some(hit.document.clone())),
        texts(&|hit| Some(hit.source.clone())),
        texts(&|hit| Some(hit.title.clone())),
        texts(&|hit| Some(hit.path.clone())),
        texts(&|hit| hit.uri.clone()),
        texts(&|hit| Some(hit.heading.clone())),
        texts(&|hit| hit.language.clone()),
        texts(&|hit| Some(hit.kind.clone())),
        whole(&|hit| Some(u64::from(hit.ordinal))),
        whole(&|hit| Some(hit.start)),
        whole(&|hit| Some(hit.end)),
        texts(&|hit| Some(hit.text.clone())),
        whole(&|hit| hit.version.and_then(|version| u64::try_from(version).ok())),
        whole(&|hit| Some(hit.seq)),
        whole(&|hit| leg(hit, true).map(|leg| leg.rank as u64)),
        scores(&|hit| leg(hit, true).map(|leg| leg.score)),
        whole(&|hit| leg(hit, false).map(|leg| leg.rank as u64)),
        scores(&|hit| leg(hit, false).map(|leg| leg.score)),
    ];
    RecordBatch::try_new(schema.clone(), columns).map_err(|e| Error::unavailable("make rows of an answer", e))
}

/// A room that compares by its address: DataFusion compares functions.
#[derive(Debug, Clone)]
struct ByPlace(Weak<SearchRoom>);

impl PartialEq for ByPlace {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl Eq for ByPlace {}

impl std::hash::Hash for ByPlace {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.0.as_ptr() as usize).hash(state);
    }
}

/// `embed` and `similarity`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Modelled {
    room: ByPlace,
    doc: FunctionDoc,
    signature: Signature,
}

impl ScalarUDFImpl for Modelled {
    fn name(&self) -> &str {
        self.doc.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> DfResult<DataType> {
        for kind in arguments {
            if !(is_text(kind) || *kind == DataType::Null || (self.doc.name == "similarity" && is_vector(kind))) {
                return Err(DataFusionError::Plan(format!(
                    "{} takes texts{}, not {kind}",
                    self.doc.signature,
                    if self.doc.name == "similarity" { " or vectors" } else { "" }
                )));
            }
        }
        Ok(match self.doc.name {
            "embed" => DataType::List(Arc::new(Field::new_list_field(DataType::Float32, true))),
            _ => DataType::Float64,
        })
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        Err(DataFusionError::Internal(format!("{} answers later", self.doc.name)))
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Modelled {
    fn ideal_batch_size(&self) -> Option<usize> {
        Some(EMBEDDED_TOGETHER)
    }

    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let rows = args.number_rows;
        let outside = |e: Error| DataFusionError::External(Box::new(e));
        let arrays: Vec<ArrayRef> =
            args.args.into_iter().map(|value| value.into_array(rows)).collect::<DfResult<_>>()?;
        let mut vectors = Vec::with_capacity(arrays.len());
        for array in &arrays {
            vectors.push(self.vectors(array).await.map_err(outside)?);
        }
        let answer: ArrayRef = match (self.doc.name, vectors.as_slice()) {
            ("embed", [vectors]) => Arc::new(lists(vectors)),
            (_, [a, b]) => Arc::new(cosines(a, b)?),
            _ => return Err(DataFusionError::Internal("checked when it was planned".to_owned())),
        };
        Ok(ColumnarValue::Array(answer))
    }
}

type Vectors = Vec<Option<Arc<Vec<f32>>>>;

impl Modelled {
    /// The vector of each row: of a text by the model, of a list as it is.
    async fn vectors(&self, array: &ArrayRef) -> Result<Vectors> {
        let broken = |e| Error::unavailable("read the arguments of a function", e);
        if array.data_type() == &DataType::Null {
            return Ok(vec![None; array.len()]);
        }
        if is_vector(array.data_type()) {
            let kind = DataType::List(Arc::new(Field::new_list_field(DataType::Float32, true)));
            let lists = cast(array, &kind).map_err(broken)?;
            let lists = lists.as_list::<i32>();
            let of = |row: usize| {
                let numbers = lists.is_valid(row).then(|| lists.value(row))?;
                Some(Arc::new(numbers.as_primitive::<Float32Type>().values().to_vec()))
            };
            return Ok((0..lists.len()).map(of).collect());
        }
        let texts = cast(array, &DataType::Utf8).map_err(broken)?;
        let texts = texts.as_string::<i32>();
        let mut known: HashMap<&str, Arc<Vec<f32>>> = HashMap::new();
        let mut different: Vec<&str> = texts.iter().flatten().collect();
        different.sort_unstable();
        different.dedup();
        if !different.is_empty() {
            let embedder = room(&self.room.0)?.searcher().await?.embedder();
            let none = || Error::new(Kind::NotFound, "there is no model; `stellwerk model pull` fetches one");
            let embedder = embedder.ok_or_else(none)?;
            for part in different.chunks(EMBEDDED_TOGETHER) {
                let vectors = embedder.embed(part, Purpose::Query).await?;
                known.extend(part.iter().copied().zip(vectors.into_iter().map(Arc::new)));
            }
        }
        Ok(texts.iter().map(|text| text.and_then(|text| known.get(text).cloned())).collect())
    }
}

fn lists(vectors: &Vectors) -> engine::arrow::array::ListArray {
    let mut builder = ListBuilder::new(Float32Builder::new());
    for vector in vectors {
        if let Some(vector) = vector {
            builder.values().append_slice(vector);
        }
        builder.append(vector.is_some());
    }
    builder.finish()
}

fn cosines(a: &Vectors, b: &Vectors) -> DfResult<Float64Array> {
    let mut cosines = Float64Builder::with_capacity(a.len());
    for (a, b) in a.iter().zip(b) {
        let (Some(a), Some(b)) = (a, b) else {
            cosines.append_null();
            continue;
        };
        if a.len() != b.len() {
            let why = format!("vectors of {} and of {} numbers cannot be compared", a.len(), b.len());
            return Err(DataFusionError::Execution(why));
        }
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let lengths = (dot(a, a) * dot(b, b)).sqrt();
        cosines.append_option((lengths > 0.0).then(|| (dot(a, b) / lengths).clamp(-1.0, 1.0)));
    }
    Ok(cosines.finish())
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

fn is_vector(kind: &DataType) -> bool {
    match kind {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            item.data_type().is_numeric()
        }
        _ => false,
    }
}
