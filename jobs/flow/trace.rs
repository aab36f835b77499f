//! Spans of flows in our own tables: one a flow, one a call of each of its steps, and a link from a child to the step that
//! waits for it. A flow's trace is its job's id, so that nobody has to look it up.
//!
//! Spans are told of on the side: nothing waits for them, and what is done does not hang on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::{Clock, Result, Scope, Store};
use ingest::otel::{Arrival, Encoding, Signal, parse};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, mpsc};

/// Spans that wait to be written; more are counted and left out.
const WAITING_MAX: usize = 4_096;
/// Spans that are written together.
const BATCH: usize = 512;
/// How long is waited for more of them.
const GATHER: Duration = Duration::from_millis(500);

/// One span.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The flow's job.
    pub job: String,
    /// Which time it runs.
    pub round: i64,
    /// The step's call; `None` is the flow itself.
    pub call: Option<(String, i64)>,
    /// What it is.
    pub name: String,
    /// When it began.
    pub began_us: i64,
    /// When it ended.
    pub ended_us: i64,
    /// Why it failed.
    pub error: Option<String>,
    /// What else there is to know.
    pub attributes: Vec<(&'static str, String)>,
    /// The job and the key of the step that waits for it.
    pub cause: Option<(String, i64, String)>,
    /// Whose matter it is.
    pub tenant: Option<String>,
}

/// Where spans go.
#[derive(Debug)]
pub struct Trace {
    sender: mpsc::Sender<Span>,
    receiver: Mutex<mpsc::Receiver<Span>>,
    left_out: AtomicU64,
}

impl Default for Trace {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        Trace { sender, receiver: Mutex::new(receiver), left_out: AtomicU64::new(0) }
    }
}

impl Trace {
    /// Tells of a span. Never waits.
    pub fn tell(&self, span: Span) {
        if self.sender.try_send(span).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what is told for as long as it is polled.
    pub async fn write(&self, store: &Arc<Store>, clock: &Arc<dyn Clock>) {
        let mut receiver = self.receiver.lock().await;
        let mut spans = Vec::with_capacity(BATCH);
        while receiver.recv_many(&mut spans, BATCH).await > 0 {
            tokio::time::sleep(GATHER).await;
            while spans.len() < BATCH && receiver.try_recv().map(|span| spans.push(span)).is_ok() {}
            if let Err(error) = keep(store, &spans, clock.now_us()).await {
                tracing::warn!(%error, spans = spans.len(), "spans of flows were not kept");
            }
            spans.clear();
            let left_out = self.left_out.swap(0, Ordering::Relaxed);
            if left_out > 0 {
                tracing::warn!(left_out, "spans of flows were left out: too many at once");
            }
        }
    }
}

async fn keep(store: &Arc<Store>, spans: &[Span], now_us: i64) -> Result<()> {
    let mut tenants: Vec<Option<&str>> = spans.iter().map(|span| span.tenant.as_deref()).collect();
    tenants.sort_unstable();
    tenants.dedup();
    let scope = Scope::platform("flows");
    for tenant in tenants {
        let of: Vec<&Span> = spans.iter().filter(|span| span.tenant.as_deref() == tenant).collect();
        let arrival = Arrival { scope: &scope, tenant, received_ns: now_us.saturating_mul(1_000) };
        let parsed = parse(Signal::Traces, document(&of).to_string().as_bytes(), Encoding::Json, &arrival)?;
        store.append(parsed.into_frame("flows", &scope)).await?;
    }
    Ok(())
}

/// A request of OTLP.
fn document(spans: &[&Span]) -> Value {
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let span = |span: &&Span| {
        let attributes: Vec<Value> = span.attributes.iter().map(|(key, value)| text(key, value)).collect();
        let mut told = json!({
            "traceId": trace_id(&span.job), "spanId": span.id(), "name": span.name, "kind": 1,
            "startTimeUnixNano": (span.began_us.saturating_mul(1_000)).to_string(),
            "endTimeUnixNano": (span.ended_us.saturating_mul(1_000)).to_string(),
            "attributes": attributes, "status": { "code": 1 },
        });
        if span.call.is_some() {
            told["parentSpanId"] = span_id(&span.job, span.round, "").into();
        }
        if let Some(error) = &span.error {
            told["status"] = json!({ "code": 2, "message": error });
        }
        if let Some((job, round, step)) = &span.cause {
            told["links"] = json!([{ "traceId": trace_id(job), "spanId": span_id(job, *round, step) }]);
        }
        told
    };
    json!({ "resourceSpans": [{
        "resource": { "attributes": [text("service.name", "stellwerk")] },
        "scopeSpans": [{ "scope": { "name": "stellwerk.flow" }, "spans": spans.iter().map(span).collect::<Vec<_>>() }],
    }] })
}

impl Span {
    fn id(&self) -> String {
        match &self.call {
            None => span_id(&self.job, self.round, ""),
            Some((step, attempt)) => span_id(&self.job, self.round, &format!("{step}#{attempt}")),
        }
    }
}

/// A job's id is a UUID, and a trace's as long; of one that is none, a hash.
pub fn trace_id(job: &str) -> String {
    match uuid::Uuid::parse_str(job) {
        Ok(id) => id.simple().to_string(),
        Err(_) => hex::encode(&Sha256::digest(job.as_bytes())[..16]),
    }
}

fn span_id(job: &str, round: i64, call: &str) -> String {
    hex::encode(&Sha256::digest(format!("{job}@{round}/{call}").as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_linked_to_the_step_that_waits_for_it() {
        let (parent, child) = ("0198c0de-0000-7000-8000-000000000001", "0198c0de-0000-7000-8000-000000000002");
        let span = |job: &str, call: Option<(&str, i64)>, cause: Option<(&str, &str)>| Span {
            job: job.to_owned(),
            round: 1,
            call: call.map(|(step, attempt)| (step.to_owned(), attempt)),
            name: "x".to_owned(),
            began_us: 1,
            ended_us: 3,
            error: Some("no".to_owned()),
            attributes: vec![("stellwerk.flow", "f".to_owned())],
            cause: cause.map(|(job, step)| (job.to_owned(), 1, step.to_owned())),
            tenant: None,
        };
        let (waits, begun) = (span(parent, Some(("kid", 1)), None), span(child, None, Some((parent, "kid#1"))));
        let told = document(&[&waits, &begun]);
        let spans = &told["resourceSpans"][0]["scopeSpans"][0]["spans"];
        assert_eq!(spans[0]["traceId"], "0198c0de000070008000000000000001");
        assert_eq!(spans[1]["links"][0]["spanId"], spans[0]["spanId"]);
        assert_eq!((spans[0]["endTimeUnixNano"].as_str(), &spans[0]["status"]["code"]), (Some("3000"), &json!(2)));
        let (scope, body) = (Scope::platform("x"), told.to_string());
        let arrival = Arrival { scope: &scope, tenant: None, received_ns: 0 };
        let parsed = parse(Signal::Traces, body.as_bytes(), Encoding::Json, &arrival);
        assert!(parsed.is_ok_and(|parsed| parsed.accepted == 2 && parsed.rejects.is_empty()));
    }
}
