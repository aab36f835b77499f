//! JSON documents as text: `->`, `->>`, and the functions under the names that BigQuery, MySQL, PostgreSQL, DuckDB,
//! Snowflake and Trino give them. What is no JSON, or has no such value, is NULL, never an error.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringArray, new_null_array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{HashMap, HashSet, Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use serde_json::value::RawValue;

use crate::sql::functions::FunctionDoc;
use crate::sql::json_column::{Column, OrderedKeys};
use crate::sql::json_places::{At, Keys, Paths};
use crate::sql::path::{self, Step, is_container, kind_of};
use crate::sql::types::is_text;

/// So many rows are looked at to see whether documents repeat,
const SAMPLE_ROWS: usize = 256;
/// which they do if each is there so often on average.
const SAMPLE_REPEATS: usize = 4;

/// What a function makes of the values that its paths lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Make {
    /// The value as JSON text.
    Json,
    /// An object or array as JSON text.
    Container,
    /// The value as text.
    Text,
    /// A value that is neither object nor array, as text.
    Scalar,
    /// Whether every path leads to a value.
    Exists,
    /// MySQL's `json_contains_path(json, 'one' | 'all', path, …)`.
    ContainsPath,
    /// Number of an array's elements.
    Length,
    /// An object's keys.
    Keys,
    /// An array's elements as JSON texts.
    Elements,
    /// An array's elements as texts.
    Texts,
    /// A JSON string as text; other text stays.
    Unquote,
    /// `object`, `array`, `string`, `number`, `boolean` or `null`.
    Type,
    /// Whether the text is JSON.
    Valid,
}

/// One JSON function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Json {
    name: &'static str,
    aliases: Vec<String>,
    make: Make,
    keys: Keys,
    signature: Signature,
}

/// Name, aliases, result, arguments; then signature, sentence and example for the SQL reference.
type Entry = (&'static str, &'static [&'static str], Make, Keys, &'static str, &'static str, &'static str);

const ENTRIES: &[Entry] = &[
    (
        "json_get",
        &["get_path"],
        Make::Json,
        Keys::Chain,
        "json_get(json, key …), json -> key",
        "The value of a key or index, as JSON.",
        "Tags -> 'team'",
    ),
    (
        "json_as_text",
        &["json_get_str", "json_extract_path_text"],
        Make::Text,
        Keys::Chain,
        "json_as_text(json, key …), json ->> key, json['key']",
        "The value of a key or index, as text.",
        "Tags ->> 'team'",
    ),
    (
        "json_extract",
        &["json_extract_path"],
        Make::Json,
        Keys::Paths,
        "json_extract(json, path)",
        "The value at a path, as JSON.",
        "json_extract(SkuPriceDetails, '$.CoreCount')",
    ),
    (
        "json_query",
        &[],
        Make::Container,
        Keys::Paths,
        "json_query(json, path)",
        "The object or array at a path, as JSON.",
        "json_query(ContractApplied, '$.Elements')",
    ),
    (
        "json_extract_string",
        &["get_json_object"],
        Make::Text,
        Keys::Paths,
        "json_extract_string(json, path)",
        "The value at a path, as text.",
        "json_extract_string(Tags, '$.team')",
    ),
    (
        "json_value",
        &["json_extract_scalar"],
        Make::Scalar,
        Keys::Paths,
        "json_value(json, path)",
        "The string, number or boolean at a path, as text.",
        "json_value(SkuPriceDetails, '$.CoreCount')",
    ),
    (
        "json_exists",
        &["json_contains"],
        Make::Exists,
        Keys::Paths,
        "json_exists(json, path)",
        "Whether there is a value at a path.",
        "json_exists(Tags, '$.team')",
    ),
    (
        "json_contains_path",
        &[],
        Make::ContainsPath,
        Keys::OneOrAll,
        "json_contains_path(json, 'one' | 'all', path …)",
        "Whether there is a value at one, or at all, of the paths.",
        "json_contains_path(Tags, 'all', '$.team', '$.env')",
    ),
    (
        "json_array_length",
        &["json_length"],
        Make::Length,
        Keys::Paths,
        "json_array_length(json [, path])",
        "Number of an array's elements.",
        "json_array_length(ContractApplied, '$.Elements')",
    ),
    (
        "json_object_keys",
        &["json_keys"],
        Make::Keys,
        Keys::Paths,
        "json_object_keys(json [, path])",
        "The keys of an object, as a list.",
        "json_object_keys(Tags)",
    ),
    (
        "json_extract_array",
        &["json_query_array", "json_get_array"],
        Make::Elements,
        Keys::Paths,
        "json_extract_array(json [, path])",
        "The elements of an array as a list of JSON texts, for UNNEST.",
        "UNNEST(json_extract_array(ContractApplied, '$.Elements'))",
    ),
    (
        "json_value_array",
        &["json_extract_string_array"],
        Make::Texts,
        Keys::Paths,
        "json_value_array(json [, path])",
        "The elements of an array as a list of texts.",
        "json_value_array('[\"a\", \"b\"]')",
    ),
    (
        "from_json",
        &[],
        Make::Elements,
        Keys::Ignored,
        "from_json(json, '[\"JSON\"]')",
        "The elements of an array as a list of JSON texts (DuckDB's spelling).",
        "UNNEST(from_json(json_extract(ContractApplied, '$.Elements'), '[\"JSON\"]'))",
    ),
    (
        "json_unquote",
        &[],
        Make::Unquote,
        Keys::Ignored,
        "json_unquote(json)",
        "A JSON string as text; any other text stays as it is.",
        "json_unquote(json_extract(Tags, '$.team'))",
    ),
    (
        "json_type",
        &["json_typeof"],
        Make::Type,
        Keys::Paths,
        "json_type(json [, path])",
        "object, array, string, number, boolean or null.",
        "json_type(Tags)",
    ),
    (
        "json_valid",
        &["is_json"],
        Make::Valid,
        Keys::Ignored,
        "json_valid(text)",
        "Whether a text is JSON.",
        "json_valid(Tags)",
    ),
    (
        "parse_json",
        &["try_parse_json", "to_json_string"],
        Make::Json,
        Keys::Ignored,
        "parse_json(text)",
        "The text if it is JSON, else NULL.",
        "parse_json(Tags)",
    ),
];

static FUNCTIONS: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| ENTRIES.iter().map(function).collect());

fn function(entry: &Entry) -> Arc<ScalarUDF> {
    let (name, aliases, make, keys, ..) = *entry;
    Arc::new(ScalarUDF::from(Json {
        name,
        aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
        make,
        keys,
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

/// The JSON functions, for a session's registry.
pub(crate) fn all() -> Vec<Arc<ScalarUDF>> {
    FUNCTIONS.clone()
}

/// Their entries in the SQL reference.
pub(crate) fn docs() -> impl Iterator<Item = FunctionDoc> {
    ENTRIES.iter().map(|&(name, _, _, _, signature, sentence, example)| FunctionDoc {
        name,
        signature,
        sentence,
        example,
    })
}

/// The function behind `->`.
pub(crate) fn get() -> Arc<ScalarUDF> {
    FUNCTIONS[0].clone()
}

/// The function behind `->>` and `json['key']`.
pub(crate) fn get_text() -> Arc<ScalarUDF> {
    FUNCTIONS[1].clone()
}

impl ScalarUDFImpl for Json {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let Some((document, keys)) = types.split_first() else { return plan_err!("{} takes a JSON text", self.name) };
        let document = match document {
            DataType::Null => DataType::Utf8,
            kind if is_text(kind) => kind.clone(),
            other => return plan_err!("{} takes a JSON text, not {other}", self.name),
        };
        let keys = keys.iter().map(|key| match key {
            DataType::Null => Ok(DataType::Utf8),
            kind if kind.is_integer() => Ok(DataType::Int64),
            kind if is_text(kind) => Ok(DataType::Utf8),
            other => plan_err!("a key or path of {} is a text or a whole number, not {other}", self.name),
        });
        std::iter::once(Ok(document)).chain(keys).collect()
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [document, keys @ ..] = args.args.as_slice() else { return exec_err!("{} takes a JSON text", self.name) };
        let constant = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(_));
        let all_constant = args.args.iter().all(constant);
        let rows = if all_constant { 1 } else { args.number_rows };
        let documents = document.to_array(rows)?;
        // Few distinct documents: look into each once.
        let result = match documents.as_any_dictionary_opt() {
            Some(dictionary) if keys.iter().all(constant) => {
                let values = self.column(dictionary.values(), keys)?;
                take(&values, dictionary.keys(), None)?
            }
            None if keys.iter().all(constant) => match repeated(&documents)? {
                Some((values, places)) => take(&self.column(&values, keys)?, &places, None)?,
                None => self.column(&documents, keys)?,
            },
            _ => self.column(&documents, keys)?,
        };
        if all_constant {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
        } else {
            Ok(ColumnarValue::Array(result))
        }
    }
}

impl Json {
    fn result(&self) -> DataType {
        match self.make {
            Make::Json | Make::Container | Make::Text | Make::Scalar | Make::Unquote | Make::Type => DataType::Utf8,
            Make::Exists | Make::ContainsPath | Make::Valid => DataType::Boolean,
            Make::Length => DataType::Int64,
            Make::Keys | Make::Elements | Make::Texts => {
                DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
            }
        }
    }

    fn column(&self, documents: &ArrayRef, keys: &[ColumnarValue]) -> Result<ArrayRef> {
        let rows = documents.len();
        let documents = cast(documents, &DataType::Utf8)?;
        let documents = documents.as_string::<i32>();
        let Some(mut paths) = Paths::new(self.keys, keys, rows)? else {
            return Ok(new_null_array(&self.result(), rows));
        };
        let mut out = Column::new(&self.result(), rows);
        for row in 0..rows {
            let at = if documents.is_valid(row) { paths.row(row) } else { None };
            match at {
                Some(at) => self.value(documents.value(row), at, &mut out),
                None => out.null(),
            }
        }
        Ok(out.finish())
    }

    /// Puts one row's result.
    fn value(&self, document: &str, at: &At, out: &mut Column) {
        match self.make {
            Make::Unquote => return out.text(Some(unquote(document).as_ref())),
            Make::Valid => return out.bool(path::find(document, &[]).is_some()),
            Make::ContainsPath => {
                let mut hits = at.paths.iter().map(|p| path::find(document, p).is_some_and(|found| !found.is_empty()));
                return out.bool(if at.one { hits.any(|hit| hit) } else { hits.all(|hit| hit) });
            }
            _ => {}
        }
        let no_steps = Vec::new();
        let steps = at.paths.first().unwrap_or(&no_steps);
        let Some(found) = path::find(document, steps) else { return out.null() };
        let first = found.first().copied();
        match self.make {
            Make::Exists => out.bool(first.is_some()),
            Make::Json if steps.contains(&Step::Every) => {
                let all: Vec<&str> = found.iter().map(|value| value.get()).collect();
                out.text(Some(&format!("[{}]", all.join(","))));
            }
            Make::Json => out.text(first.map(RawValue::get)),
            Make::Container => out.text(first.filter(|v| is_container(v)).map(RawValue::get)),
            Make::Text => out.text(first.and_then(path::text).as_deref()),
            Make::Scalar => out.text(first.filter(|v| !is_container(v)).and_then(path::text).as_deref()),
            Make::Length => out.int(first.and_then(|v| elements(v, steps, &found)).map(|all| all.len() as i64)),
            Make::Elements => match first.and_then(|v| elements(v, steps, &found)) {
                Some(all) => out.list(all.iter().map(|v| Some(v.get().into()))),
                None => out.null(),
            },
            Make::Texts => match first.and_then(|v| elements(v, steps, &found)) {
                Some(all) => out.list(all.iter().map(|v| path::text(v))),
                None => out.null(),
            },
            Make::Keys => match first.and_then(|v| serde_json::from_str::<OrderedKeys>(v.get()).ok()) {
                Some(OrderedKeys(keys)) => out.list(keys.into_iter().map(|key| Some(key.into()))),
                None => out.null(),
            },
            Make::Type => out.text(first.map(kind_of)),
            Make::Unquote | Make::Valid | Make::ContainsPath => out.null(),
        }
    }
}

/// The different documents of a column and the place of each row's, if the first rows show that they repeat: tags and
/// properties do, and finding a text again costs a fraction of looking into it.
fn repeated(documents: &ArrayRef) -> Result<Option<(ArrayRef, Int32Array)>> {
    if documents.len() < SAMPLE_ROWS {
        return Ok(None);
    }
    let documents = cast(documents, &DataType::Utf8)?;
    let documents = documents.as_string::<i32>();
    let sample: HashSet<Option<&str>> = documents.iter().take(SAMPLE_ROWS).collect();
    if sample.len() * SAMPLE_REPEATS > SAMPLE_ROWS {
        return Ok(None);
    }
    let (mut found, mut values) = (HashMap::new(), Vec::new());
    let place = |document| {
        *found.entry(document).or_insert_with(|| {
            values.push(document);
            values.len() as i32 - 1
        })
    };
    let places: Int32Array = documents.iter().map(place).map(Some).collect();
    Ok(Some((Arc::new(StringArray::from(values)), places)))
}

/// The elements of the array that was found, or of all that a wildcard found.
fn elements<'a>(first: &'a RawValue, steps: &[Step], found: &[&'a RawValue]) -> Option<Vec<&'a RawValue>> {
    if steps.contains(&Step::Every) { Some(found.to_vec()) } else { serde_json::from_str(first.get()).ok() }
}

fn unquote(text: &str) -> std::borrow::Cow<'_, str> {
    match text.trim_start().starts_with('"') {
        true => serde_json::from_str::<String>(text).map_or(text.into(), Into::into),
        false => text.into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn documents_that_repeat_are_looked_into_once() {
        let texts = |different: usize| -> ArrayRef {
            let text = |row: usize| (row % 7 > 0).then(|| format!(r#"{{"n": "{}"}}"#, row % different));
            Arc::new((0..SAMPLE_ROWS * 3).map(text).collect::<StringArray>())
        };
        let (values, places) = repeated(&texts(5)).unwrap().unwrap();
        assert_eq!(values.len(), 6, "five documents and none");
        let again = take(&values, &places, None).unwrap();
        assert_eq!(&again, &texts(5));
        assert!(repeated(&texts(SAMPLE_ROWS * 3)).unwrap().is_none());
        assert!(repeated(&texts(5).slice(0, SAMPLE_ROWS - 1)).unwrap().is_none());
    }
}
