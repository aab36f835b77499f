//! What a caller of `POST /sql` said, parsed once.

use axum::body::Body;
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use engine::{Error, Kind, Question};
use serde::Deserialize;

use crate::http::problem::Problem;
use crate::output::Format;

/// Bytes of a question with its parameters.
const QUESTION_BYTES_MAX: usize = 1 << 20;

/// A question and the format of its answer.
#[derive(Debug)]
pub struct Asked {
    /// The question.
    pub question: Question,
    /// The answer's format.
    pub format: Format,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    sql: String,
    #[serde(default)]
    params: Vec<serde_json::Value>,
    format: Option<String>,
}

impl Asked {
    /// Reads the request: the text of the question, or a JSON document `{"sql", "params", "format"}`.
    pub async fn read(headers: &HeaderMap, query: Option<&str>, body: Body) -> Result<Asked, Problem> {
        let wish = Wish::of(query)?;
        let body = axum::body::to_bytes(body, QUESTION_BYTES_MAX).await.map_err(unread)?;
        let text = std::str::from_utf8(&body).map_err(|_| Error::invalid("the question is not UTF-8"))?;
        let (question, format) = match is_json(headers) {
            true => parsed(text)?,
            false => (Question { sql: text.to_owned(), params: Vec::new() }, None),
        };
        let mut question = question;
        question.params.extend(wish.params);
        if question.sql.trim().is_empty() {
            return Err(Error::invalid("the question is empty: send a SELECT as the body").into());
        }
        let format = match wish.format.or(format) {
            Some(name) => named(&name)?,
            None => accepted(headers)?,
        };
        Ok(Asked { question, format })
    }
}

/// What the URL says.
#[derive(Default)]
struct Wish {
    format: Option<String>,
    params: Vec<String>,
}

impl Wish {
    fn of(query: Option<&str>) -> Result<Wish, Error> {
        let uri = Uri::builder().path_and_query(format!("/?{}", query.unwrap_or_default())).build();
        let pairs = uri.ok().and_then(|uri| Query::<Vec<(String, String)>>::try_from_uri(&uri).ok());
        let Query(pairs) = pairs.ok_or_else(|| Error::invalid("the URL's query does not parse"))?;
        let mut wish = Wish::default();
        for (name, value) in pairs {
            match name.as_str() {
                "format" => wish.format = Some(value),
                "param" => wish.params.push(value),
                _ => return Err(Error::invalid(format!("/sql knows ?format= and ?param=, not {name}"))),
            }
        }
        Ok(wish)
    }
}

fn unread(error: axum::Error) -> Problem {
    let text = error.to_string();
    if text.contains("length limit") {
        return Error::new(Kind::TooLarge, format!("a question may have {QUESTION_BYTES_MAX} bytes")).into();
    }
    Problem::new(StatusCode::REQUEST_TIMEOUT, "invalid", format!("the question did not arrive: {text}"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

fn parsed(text: &str) -> Result<(Question, Option<String>), Error> {
    let form = r#"{"sql": "SELECT …", "params": ["…"], "format": "json"}"#;
    let document: Document =
        serde_json::from_str(text).map_err(|e| Error::invalid(format!("the JSON of a question is {form}: {e}")))?;
    let param = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        serde_json::Value::Bool(yes) => Ok(yes.to_string()),
        other => Err(Error::invalid(format!("a parameter is a text, a number or a truth value, not {other}"))),
    };
    let params = document.params.into_iter().map(param).collect::<Result<_, _>>()?;
    Ok((Question { sql: document.sql, params }, document.format))
}

fn named(name: &str) -> Result<Format, Error> {
    Format::named(name).ok_or_else(|| {
        Error::invalid(format!("there is no format {name}; there are json, jsonl, csv, arrow, parquet, table"))
    })
}

/// The best format of the `Accept` header; JSON where the caller takes anything.
fn accepted(headers: &HeaderMap) -> Result<Format, Problem> {
    let mut wishes: Vec<(u32, Format)> = Vec::new();
    let mut asked = false;
    for value in headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()) {
        for range in value.split(',') {
            asked = true;
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/json" | "application/*" | "*/*" => Format::Json,
                "application/x-ndjson" | "application/jsonl" | "application/x-jsonlines" => Format::Jsonl,
                "text/csv" => Format::Csv,
                "application/vnd.apache.arrow.stream" => Format::Arrow,
                "application/vnd.apache.parquet" | "application/x-parquet" => Format::Parquet,
                "text/plain" | "text/*" => Format::Table,
                _ => continue,
            };
            let weight = parts.find_map(|p| p.strip_prefix("q=")).and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0);
            wishes.push(((weight.clamp(0.0, 1.0) * 1000.0) as u32, format));
        }
    }
    // The first of equal weight wins, hence the reversal before a maximum that keeps the last.
    let best = wishes.into_iter().rev().filter(|(weight, _)| *weight > 0).max_by_key(|(weight, _)| *weight);
    match best {
        Some((_, format)) => Ok(format),
        None if !asked => Ok(Format::Json),
        None => Err(Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            "invalid",
            "an answer is application/json, application/x-ndjson, text/csv, application/vnd.apache.arrow.stream or application/vnd.apache.parquet",
        )),
    }
}
