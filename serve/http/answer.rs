//! `POST /answer`: a question in, an answer with its citations out; whole, or as server-sent events while it is made. What
//! fails before the first piece is a problem with its status; what fails later is an event.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use engine::{Error, Kind, Scope};
use futures::StreamExt;
use index::answer::Event;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::answers::{AnswerWish, Events};
use crate::house::House;

/// Bytes of a question with its settings.
const WISH_BYTES_MAX: usize = 64 << 10;
/// How often a silent stream says that it is alive: a model may hear a long prompt.
const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// Answers a question.
pub async fn answer(
    State(house): State<Arc<House>>,
    Extension(scope): Extension<Scope>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wish: AnswerWish = wish(body, r#"{"question": "…", "k": 8, "stream": false}"#).await?;
    let accepts = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let is_stream = wish.stream || accepts.starts_with("text/event-stream");
    let events = house.answers()?.answer(&scope, wish).await?;
    if is_stream {
        return Ok(streamed(events));
    }
    Ok(axum::Json(whole(events).await?).into_response())
}

/// The wish in a body, whatever the content type says: there is only one form.
pub(super) async fn wish<T: DeserializeOwned>(body: Body, form: &str) -> Result<T, Problem> {
    let body = axum::body::to_bytes(body, WISH_BYTES_MAX).await;
    let body = body.map_err(|_| Error::new(Kind::TooLarge, format!("a question may have {WISH_BYTES_MAX} bytes")))?;
    Ok(serde_json::from_slice(&body).map_err(|e| Error::invalid(format!("the JSON of a question is {form}: {e}")))?)
}

/// The last event of an answer.
async fn whole(mut events: Events) -> Result<Box<index::answer::Answer>, Error> {
    while let Some(event) = events.next().await.transpose()? {
        if let Event::Done(answer) = event {
            return Ok(answer);
        }
    }
    Err(Error::new(Kind::Internal, "the answer never ended"))
}

/// Each event under its name, its data as JSON.
fn streamed(events: Events) -> Response {
    let events = events.map(|event| {
        let (name, data) = match event {
            Ok(event) => {
                let mut event = serde_json::json!(event);
                let name = event["event"].as_str().unwrap_or_default().to_owned();
                (name, event["data"].take())
            }
            Err(error) => ("error".to_owned(), Problem::from(error).json()),
        };
        Ok::<_, std::convert::Infallible>(axum::response::sse::Event::default().event(name).data(data.to_string()))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE_EVERY)).into_response();
    // Proxies that gather an answer before they pass it on would hide that it streams.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    response
}
