//! What surrounds every request: a bound on how many run, a deadline for the body, figures, one log line, and a panic
//! that costs one answer and not the process.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::{Error, Kind, Scope};
use tokio::sync::Semaphore;
use tower_http::timeout::TimeoutBody;

use super::problem::Problem;
use crate::metrics::Metrics;

/// Requests answered at the same time, over all listeners of a router; one more is told to come back.
const REQUESTS_MAX: usize = 1_024;
/// A body that does not move for this long ends its request.
const BODY_IDLE_MAX: Duration = Duration::from_secs(30);

/// The bound, and where the figures go.
#[derive(Debug, Clone)]
pub struct Load {
    metrics: Arc<Metrics>,
    gate: Arc<Semaphore>,
}

impl Load {
    /// Room for [`REQUESTS_MAX`] requests.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Load { metrics, gate: Arc::new(Semaphore::new(REQUESTS_MAX)) }
    }
}

/// Counts and logs a request. The line names route, status, time and caller; never a body, a query or a key.
pub async fn account(State(load): State<Load>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none".to_owned(), |path| path.as_str().to_owned());
    load.metrics.requests_running.inc();
    let response = match load.gate.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => {
            let kind = Kind::Overloaded { retry_after: Duration::from_secs(1) };
            Problem::from(Error::new(kind, format!("{REQUESTS_MAX} requests are being answered already")))
                .into_response()
        }
    };
    load.metrics.requests_running.dec();
    let (status, took) = (response.status().as_u16(), started.elapsed());
    // A caller may invent methods; the figures know only the usual ones.
    let named = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].contains(&method.as_str());
    load.metrics.answered(&route, if named { method.as_str() } else { "other" }, status, took);
    let caller = response.extensions().get::<Scope>().map(|scope| scope.principal.as_ref());
    let took_ms = took.as_millis() as u64;
    match status {
        500.. => tracing::warn!(%method, route, status, took_ms, caller, "request failed"),
        _ if ["/healthz", "/readyz", "/metrics"].contains(&route.as_str()) => {
            tracing::debug!(%method, route, status, took_ms, "request")
        }
        _ => tracing::info!(%method, route, status, took_ms, caller, "request"),
    }
    response
}

/// Gives the body a deadline between its frames.
pub async fn with_body_deadline(request: Request, next: Next) -> Response {
    next.run(request.map(|body| Body::new(TimeoutBody::new(BODY_IDLE_MAX, body)))).await
}

/// The answer in place of one that panicked.
pub fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("without a text"), "a request panicked");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "a defect of ours ended this request; the log says more",
    )
    .into_response()
}
