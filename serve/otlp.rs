//! The OTLP doors: `POST /v1/logs`, `/v1/traces`, `/v1/metrics` and the three collector services of gRPC, on one
//! listener. An answer of success means that the accepted records are durable; what was refused is counted in
//! `partial_success` with the reasons, and kept in `reject`.
//!
//! The caller's `Scope` is an extension of the request, put there by the layer in front; a request without one is
//! turned away. An `x-idempotency-key` (header or metadata) makes a retry harmless: the same key and content is
//! acknowledged again, the same key with other content is a conflict.

mod answer;
mod body;
mod grpc;
mod http;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use engine::{Clock, Error, Frame, Idempotency, Kind, Receipt, Result, Scope, Store, Tenants};
use ingest::otel::{self, Arrival, Encoding, Signal};
use ingest::{Parsed, Summary};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Metrics;

/// Bytes of requests that are being read, parsed and written; beyond it callers are told to come back.
pub const IN_FLIGHT_BYTES_MAX: usize = 256 << 20;
/// Header or metadata entry with the sender's key for a delivery.
pub const IDEMPOTENCY_KEY: &str = "x-idempotency-key";

const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;
/// A caller who meets full queues comes back after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Larger bodies are parsed off the threads that serve connections.
const PARSED_INLINE_BYTES_MAX: usize = 64 << 10;
/// Different reasons that `partial_success` tells.
const REASONS_TOLD_MAX: usize = 5;
/// The unit in which bytes in flight are counted.
const PERMIT_BYTES: usize = 1 << 10;

/// What makes frames durable.
#[async_trait]
pub trait Durable: Send + Sync {
    /// When this returns well, the frame is durable and visible.
    async fn append(&self, frame: Frame) -> Result<Receipt>;
}

#[async_trait]
impl Durable for Store {
    async fn append(&self, frame: Frame) -> Result<Receipt> {
        Store::append(self, frame).await
    }
}

/// What the doors share.
pub struct Doors {
    store: Arc<dyn Durable>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    in_flight: Arc<Semaphore>,
}

impl Doors {
    /// Doors into a store.
    pub fn new(store: Arc<dyn Durable>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Doors {
            store,
            clock,
            metrics,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_BYTES_MAX / PERMIT_BYTES)),
        })
    }

    /// Room for a request of this many bytes, held until it is durable; refused when there is none.
    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes / PERMIT_BYTES + 1).unwrap_or(u32::MAX);
        Arc::clone(&self.in_flight).try_acquire_many_owned(permits).map_err(|_| {
            let full = format!("{IN_FLIGHT_BYTES_MAX} bytes of telemetry are on their way already");
            Error::new(Kind::Overloaded { retry_after: RETRY_AFTER }, full)
        })
    }

    /// Parses a delivery and makes it durable.
    async fn take(&self, delivery: Delivery) -> Result<Taken> {
        let received_ns = self.clock.now_us().saturating_mul(1000);
        let frame = if delivery.body.len() <= PARSED_INLINE_BYTES_MAX {
            delivery.parse(received_ns)
        } else {
            let parsing = tokio::task::spawn_blocking(move || delivery.parse(received_ns));
            parsing.await.map_err(|error| Error::new(Kind::Internal, format!("parse a request: {error}")))?
        };
        let (frame, taken) = frame?;
        if frame.rows() > 0 && self.store.append(frame).await?.repeated {
            self.metrics.ingested("otlp", &Summary { repeated: 1, ..Summary::default() });
        } else {
            self.metrics.ingested(
                "otlp",
                &Summary { accepted: taken.accepted, rejected: taken.rejected, ..Summary::default() },
            );
        }
        Ok(taken)
    }
}

/// One export request as it came through a door.
struct Delivery {
    source: &'static str,
    signal: Signal,
    encoding: Encoding,
    /// Decompressed.
    body: Bytes,
    scope: Scope,
    key: Option<String>,
}

/// What became of a delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Taken {
    accepted: u64,
    rejected: u64,
    /// Why, for the person who must act; empty when nothing was refused.
    reasons: String,
}

impl Delivery {
    fn parse(&self, received_ns: i64) -> Result<(Frame, Taken)> {
        let arrival = Arrival { scope: &self.scope, tenant: None, received_ns };
        let mut parsed = otel::parse(self.signal, &self.body, self.encoding, &arrival)?;
        parsed.idempotency = self.idempotency()?;
        let taken =
            Taken { accepted: parsed.accepted, rejected: parsed.rejects.len() as u64, reasons: reasons(&parsed) };
        Ok((parsed.into_frame(self.source, &self.scope), taken))
    }

    /// The sender's key, kept apart by signal and caller's tenant. The hash is of the decompressed body: a retry may be
    /// compressed differently.
    fn idempotency(&self) -> Result<Option<Idempotency>> {
        let Some(key) = &self.key else { return Ok(None) };
        if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            return Err(Error::invalid(format!("{IDEMPOTENCY_KEY} takes 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes")));
        }
        let tenant = match &self.scope.tenants {
            Tenants::All => "*",
            Tenants::One(_) | Tenants::Several(_) => self.scope.owner(None),
        };
        let key = format!("{}:{tenant}:{key}", self.signal.name());
        Ok(Some(Idempotency { key, body_hash: Sha256::digest(&self.body).into() }))
    }
}

/// The reasons of refusal, each once with its count, the most frequent first.
fn reasons(parsed: &Parsed) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    parsed.rejects.iter().for_each(|reject| *counts.entry(&reject.reason).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let more = counts.len().saturating_sub(REASONS_TOLD_MAX);
    let told: Vec<_> =
        counts.iter().take(REASONS_TOLD_MAX).map(|(reason, count)| format!("{count} × {reason}")).collect();
    match more {
        0 => told.join("; "),
        more => format!("{}; and {more} other reasons", told.join("; ")),
    }
}

/// The routes of both protocols.
pub fn router(doors: Arc<Doors>) -> Router {
    let mut router = Router::new();
    for signal in Signal::ALL {
        let over_http = move |state, request| http::export(signal, state, request);
        let over_grpc = move |state, request| grpc::export(signal, state, request);
        router =
            router.route(&format!("/v1/{}", signal.name()), post(over_http)).route(grpc::path(signal), post(over_grpc));
    }
    router.with_state(doors)
}
