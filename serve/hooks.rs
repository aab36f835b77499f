//! The doors of service hooks and of clusters: `POST /hooks/ado` (also `/ingest/ado`) and `POST /ingest/k8s?cluster=NAME`;
//! and, for senders that sign instead of bringing a key, `POST /hooks/NAME` (`named`).
//!
//! Azure DevOps stops a subscription whose receiver answers with errors, and what happens meanwhile is lost. So its door
//! says 200 to an event that is durable, now or before, 202 to what is no event and lies in `reject`, 503 when it should
//! come again, and never 500.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use bytes::Bytes;
use engine::{Error, Kind, Receipt, Result, Scope};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ingest::{Parsed, Summary, ado, files, kubernetes};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::problem::Problem;
use crate::metrics::Metrics;
use crate::otlp::Durable;

pub mod named;
mod pressure;
mod proof;
pub mod replay;
#[cfg(test)]
mod tests;

/// Bytes of a body, as sent and as unpacked. Azure DevOps sends at most 2 MB.
pub const BODY_BYTES_MAX: usize = 25 << 20;
/// Bytes of bodies that are read at the same time; more is told to come back.
const IN_FLIGHT_BYTES_MAX: usize = 128 << 20;
/// One permit stands for so many bytes.
const PERMIT_BYTES: usize = 1 << 10;
/// Reasons that an answer names; `reject` has all.
const REASONS_MAX: usize = 5;
/// Headers in which a sender may give a delivery its own key.
const KEY_HEADERS: [&str; 2] = ["x-idempotency-key", "idempotency-key"];
/// When to come back to a full door.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the doors share.
struct Doors {
    store: Arc<dyn Durable>,
    in_flight: Semaphore,
}

/// The routes. Every request must carry the caller's [`Scope`] as an extension; [`Metrics`] are counted if they are there.
pub fn router(store: Arc<dyn Durable>) -> Router {
    let doors = Arc::new(Doors::new(store));
    Router::new()
        .route("/hooks/ado", post(take_event))
        .route("/ingest/ado", post(take_event))
        .route("/ingest/k8s", post(take_objects))
        // The doors have a limit of their own, with an answer of its own.
        .layer(DefaultBodyLimit::disable())
        .with_state(doors)
}

/// What became of a body.
#[derive(Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Taken {
    /// Records that became rows.
    pub accepted: u64,
    /// Records kept in `reject`.
    pub rejected: u64,
    /// Place in the log of the first row; null if there is none.
    pub seq: Option<u64>,
    /// Everything was there already: nothing was added.
    pub repeated: bool,
    /// Why records were refused, the first few reasons.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reasons: BTreeSet<String>,
}

/// Where objects come from.
#[derive(Debug, Deserialize)]
struct Origin {
    cluster: Option<String>,
}

async fn take_event(
    State(doors): State<Arc<Doors>>,
    Extension(scope): Extension<Scope>,
    metrics: Option<Extension<Arc<Metrics>>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let taken = async {
        let (body, _permit) = doors.read(&headers, body).await?;
        let caller = scope.clone();
        let key = delivery_key(&headers).map(str::to_owned);
        let parsed = aside(body.len(), move || ado::event(&body, &caller, key.as_deref())).await??;
        doors.keep_event(parsed, &scope).await
    };
    match taken.await {
        Ok(taken) => {
            count(metrics, "ado", &taken);
            let status = if taken.accepted == 0 && !taken.repeated { StatusCode::ACCEPTED } else { StatusCode::OK };
            (status, Json(taken)).into_response()
        }
        Err(error) => Problem::from(never_500(error)).into_response(),
    }
}

async fn take_objects(
    State(doors): State<Arc<Doors>>,
    Extension(scope): Extension<Scope>,
    metrics: Option<Extension<Arc<Metrics>>>,
    Query(origin): Query<Origin>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let cluster = origin.cluster.filter(|name| !name.is_empty());
    let cluster =
        cluster.ok_or_else(|| Error::invalid("say which cluster the objects are of: /ingest/k8s?cluster=NAME"))?;
    let (body, _permit) = doors.read(&headers, body).await?;
    let caller = scope.clone();
    let key = delivery_key(&headers).map(str::to_owned);
    let units = aside(body.len(), move || kubernetes::units(&body, &caller, &cluster, key.as_deref())).await?;
    let mut whole = Taken { repeated: true, ..Taken::default() };
    for unit in units {
        whole.add(doors.keep("k8s/http", unit, &scope).await?);
    }
    count(metrics, "k8s", &whole);
    // Kept in `reject` all the same; but a sender of objects is a person or a script, and should see that it went wrong.
    let nothing = whole.accepted == 0 && whole.rejected > 0 && !whole.repeated;
    let status = if nothing { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok((status, Json(whole)).into_response())
}

impl Doors {
    fn new(store: Arc<dyn Durable>) -> Self {
        Doors { store, in_flight: Semaphore::new(IN_FLIGHT_BYTES_MAX / PERMIT_BYTES) }
    }

    /// A body, unpacked, and the room that it takes.
    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<(Vec<u8>, SemaphorePermit<'_>)> {
        let (packed, permit) = self.read_raw(headers, body).await?;
        Ok((files::unpack(packed.as_ref(), BODY_BYTES_MAX as u64)?, permit))
    }

    /// A body as it came, and the room that it takes.
    async fn read_raw(&self, headers: &HeaderMap, body: Body) -> Result<(Bytes, SemaphorePermit<'_>)> {
        let claimed = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        if claimed.is_some_and(|bytes| bytes > BODY_BYTES_MAX) {
            return Err(too_large());
        }
        let permits = claimed.unwrap_or(BODY_BYTES_MAX).div_ceil(PERMIT_BYTES).max(1);
        let permits = u32::try_from(permits).expect("the body's limit has been checked");
        let permit = self.in_flight.try_acquire_many(permits).map_err(|_| {
            Error::new(Kind::Overloaded { retry_after: RETRY_AFTER }, "too many bodies are being read already")
        })?;
        match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(whole) => Ok((whole.to_bytes(), permit)),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(error) => Err(Error::invalid(format!("the body ended early: {error}"))),
        }
    }

    async fn keep(&self, source: &str, parsed: Parsed, scope: &Scope) -> Result<Taken> {
        let mut taken = Taken::of(&parsed);
        let frame = parsed.into_frame(source, scope);
        if frame.batches.is_empty() {
            return Ok(taken);
        }
        let receipt = self.store.append(frame).await?;
        taken.settle(receipt);
        Ok(taken)
    }

    /// A delivery that comes again with another body (a publisher may write its texts anew) is kept beside the first:
    /// a refusal would only put the subscription on probation.
    async fn keep_event(&self, parsed: Parsed, scope: &Scope) -> Result<Taken> {
        let mut taken = Taken::of(&parsed);
        let mut frame = parsed.into_frame("ado/hook", scope);
        let receipt = match self.store.append(frame.clone()).await {
            Err(error) if error.kind() == Kind::Conflict => {
                frame.idempotency = frame.idempotency.as_ref().map(ado::key_of_another_body);
                self.store.append(frame).await?
            }
            durable => durable?,
        };
        taken.settle(receipt);
        Ok(taken)
    }
}

impl Taken {
    fn of(parsed: &Parsed) -> Taken {
        let reasons = parsed.rejects.iter().map(|r| r.reason.clone()).take(REASONS_MAX).collect();
        Taken { accepted: parsed.accepted, rejected: parsed.rejects.len() as u64, seq: None, repeated: false, reasons }
    }

    fn settle(&mut self, receipt: Receipt) {
        self.seq = Some(receipt.seq);
        self.repeated = receipt.repeated;
    }

    /// Adds the next part of the same body.
    fn add(&mut self, part: Taken) {
        self.accepted += part.accepted;
        self.rejected += part.rejected;
        self.seq = self.seq.or(part.seq);
        self.repeated &= part.repeated;
        self.reasons.extend(part.reasons);
        while self.reasons.len() > REASONS_MAX {
            self.reasons.pop_last();
        }
    }
}

/// Runs what takes long beside the threads that answer.
async fn aside<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    const SHORT_BYTES: usize = 64 << 10;
    if bytes <= SHORT_BYTES {
        return Ok(work());
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::new(Kind::Internal, format!("the body was not read to its end: {e}")))
}

fn delivery_key(headers: &HeaderMap) -> Option<&str> {
    let given = KEY_HEADERS.iter().find_map(|name| headers.get(*name)?.to_str().ok());
    given.filter(|key| !key.is_empty())
}

/// What is our fault may be right again when the delivery comes back.
fn never_500(error: Error) -> Error {
    match error.kind() {
        Kind::Internal | Kind::Corrupt => Error::new(Kind::Overloaded { retry_after: RETRY_AFTER }, error.to_string()),
        _ => error,
    }
}

fn too_large() -> Error {
    Error::new(Kind::TooLarge, format!("a body of more than {BODY_BYTES_MAX} bytes is not taken"))
}

fn count(metrics: Option<Extension<Arc<Metrics>>>, kind: &str, taken: &Taken) {
    let Some(Extension(metrics)) = metrics else { return };
    let (accepted, rejected) = if taken.repeated { (0, 0) } else { (taken.accepted, taken.rejected) };
    let summary = Summary { accepted, rejected, repeated: u64::from(taken.repeated), ..Summary::default() };
    metrics.ingested(kind, &summary);
}
