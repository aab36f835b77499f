//! `POST /sql`: a question in, rows out, as they come. What fails before the first byte is a problem with its status;
//! what fails later breaks the body off, so that nobody takes half an answer for a whole one.

pub(super) mod answer;
mod request;

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use engine::{Limits, Scope};
use futures::StreamExt;

use super::problem::Problem;
use crate::house::House;
use crate::output::{self, Format};
use answer::Writing;
use request::Asked;

/// Names the question in every answer.
pub const QUERY_ID: &str = "x-stellwerk-query-id";
/// With the value `trailer`, an error behind the first byte comes as a trailer of this name. The control socket's client
/// asks for it; other callers would not look there.
pub const ERROR_TRAILER: &str = "x-stellwerk-error";

/// Answers a question.
pub async fn ask(
    State(house): State<Arc<House>>,
    Extension(scope): Extension<Scope>,
    headers: HeaderMap,
    uri: axum::http::Uri,
    body: Body,
) -> Result<Response, Problem> {
    let asked = Asked::read(&headers, uri.query(), body).await?;
    let mut found = house.ask(&scope, asked.question, Limits::default()).await?;
    let about = |error: engine::Error| Problem::from(error).of_query(&found.query_id);
    // The first batch is waited for: most questions that fail do so before it, and deserve a status.
    let first = found.batches.next().await.transpose().map_err(about)?;
    let encoder = match asked.format {
        Format::Json => output::json_document(&found.schema, &found.query_id),
        other => other.encoder(&found.schema).map_err(about)?,
    };
    let trailer = headers.get(ERROR_TRAILER).is_some_and(|v| v == "trailer");
    let mut response = Response::new(Writing::new(encoder, first, &found.query_id, found.batches, trailer).into_body());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asked.format.media_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if trailer {
        headers.insert(header::TRAILER, HeaderValue::from_static(ERROR_TRAILER));
    }
    if let Ok(id) = HeaderValue::from_str(&found.query_id) {
        headers.insert(QUERY_ID, id);
    }
    Ok(response)
}
