//! `POST /v1/embeddings`: vectors of texts, as OpenAI's interface gives them, by the model that this server has.
//!
//! One thing is added: `input_type` says whether a text asks (`query`) or is to be found (`passage`, the default), which some
//! models read differently.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use engine::{Embedder, Error, Kind, Purpose};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::problem::Problem;
use crate::house::House;

/// Texts of one request.
const TEXTS_MAX: usize = 2_048;
/// Bytes of all texts of a request.
const TEXT_BYTES_MAX: usize = 8 << 20;

/// What a caller may say; what else OpenAI's clients send (`user`) means nothing here.
#[derive(Debug, Deserialize)]
pub struct Wish {
    input: Value,
    model: Option<String>,
    encoding_format: Option<String>,
    dimensions: Option<u64>,
    input_type: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Vectors {
    object: &'static str,
    data: Vec<Vector>,
    model: String,
    usage: Usage,
}

#[derive(Debug, Serialize)]
struct Vector {
    object: &'static str,
    index: usize,
    embedding: Cells,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Cells {
    Numbers(Vec<f32>),
    Base64(String),
}

#[derive(Debug, Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

/// Embeds the texts of a request.
pub async fn embed(State(house): State<Arc<House>>, body: Bytes) -> Result<Json<Vectors>, Problem> {
    // The one that questions use, once there is an index: another may have been turned to since the start.
    let in_use = house.search.opened().and_then(|searcher| searcher.embedder());
    let embedder = in_use.or_else(|| house.embedder.clone()).ok_or_else(|| {
        let text =
            "this server has no model that embeds: `stellwerk model pull multilingual-e5-small`, then start it again";
        Error::new(Kind::NotFound, text)
    })?;
    let wish: Wish =
        serde_json::from_slice(&body).map_err(|e| Error::invalid(format!("the body of /v1/embeddings: {e}")))?;
    let in_base64 = wish.checked(embedder.as_ref())?;
    let purpose = wish.purpose()?;
    let texts = texts(wish.input)?;
    let slices: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = embedder.embed(&slices, purpose).await?;
    let model = embedder.model().to_owned();
    let counting = tokio::task::spawn_blocking(move || {
        let most = embedder.tokens_max();
        texts.iter().map(|text| embedder.tokens(text).min(most)).sum()
    });
    let tokens = counting.await.map_err(|e| Error::unavailable("count the tokens", e))?;
    let vector = |(index, cells): (usize, Vec<f32>)| Vector {
        object: "embedding",
        index,
        embedding: if in_base64 { Cells::Base64(base64(&cells)) } else { Cells::Numbers(cells) },
    };
    let data = vectors.into_iter().enumerate().map(vector).collect();
    let usage = Usage { prompt_tokens: tokens, total_tokens: tokens };
    Ok(Json(Vectors { object: "list", data, model, usage }))
}

impl Wish {
    /// Refuses what the model cannot do; whether the answer is wanted in base64.
    fn checked(&self, embedder: &dyn Embedder) -> Result<bool, Problem> {
        let own = embedder.model();
        let short = own.split('@').next().unwrap_or(own);
        if let Some(model) =
            self.model.as_deref().filter(|m| !m.eq_ignore_ascii_case(own) && !m.eq_ignore_ascii_case(short))
        {
            let text = format!("this server does not embed by {model} but by {short}");
            return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", text));
        }
        if let Some(other) = self.dimensions.filter(|wanted| usize::try_from(*wanted) != Ok(embedder.width())) {
            let width = embedder.width();
            return Err(Error::invalid(format!("vectors of {short} have {width} numbers, not {other}")).into());
        }
        match self.encoding_format.as_deref() {
            None | Some("float") => Ok(false),
            Some("base64") => Ok(true),
            Some(other) => Err(Error::invalid(format!("encoding_format {other}: there are float and base64")).into()),
        }
    }

    fn purpose(&self) -> Result<Purpose, Problem> {
        match self.input_type.as_deref() {
            Some("query") => Ok(Purpose::Query),
            None | Some("passage" | "document") => Ok(Purpose::Passage),
            Some(other) => Err(Error::invalid(format!("input_type {other}: there are query and passage")).into()),
        }
    }
}

/// The texts of a request's `input`.
fn texts(input: Value) -> Result<Vec<String>, Problem> {
    let tokens = "input holds token numbers, which mean nothing to this model: send texts";
    let refuse = |why: &str| Err(Problem::from(Error::invalid(why)));
    let texts = match input {
        Value::String(text) => vec![text],
        Value::Array(items) if items.is_empty() => return refuse("input is an empty list"),
        Value::Array(items) if items.len() > TEXTS_MAX => {
            let text = format!("{} texts in one request, at most {TEXTS_MAX} are taken", items.len());
            return Err(Error::new(Kind::TooLarge, text).into());
        }
        Value::Array(items) => {
            let mut texts = Vec::with_capacity(items.len());
            for item in items {
                match item {
                    Value::String(text) => texts.push(text),
                    Value::Number(_) | Value::Array(_) => return refuse(tokens),
                    _ => return refuse("input holds something that is no text"),
                }
            }
            texts
        }
        _ => return refuse("input is a text or a list of texts"),
    };
    if let Some(at) = texts.iter().position(|text| text.trim().is_empty()) {
        return refuse(&format!("text {at} of input is empty"));
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    if bytes > TEXT_BYTES_MAX {
        let text = format!("{bytes} bytes of text in one request, at most {TEXT_BYTES_MAX} are taken");
        return Err(Error::new(Kind::TooLarge, text).into());
    }
    Ok(texts)
}

/// Single precision, the low byte first, as OpenAI writes it.
fn base64(cells: &[f32]) -> String {
    let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_le_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests;
