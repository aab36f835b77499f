//! The store of a running server, through its control socket: the HTTP door over a Unix stream.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use axum::http::{Method, Request, Response, header};
use bytes::Bytes;
use engine::arrow::array::RecordBatch;
use engine::arrow::buffer::Buffer;
use engine::arrow::ipc::reader::StreamDecoder;
use engine::{Error, Kind, Question, Result};
use futures::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use index::chat::event_stream::Events;
use index::search::IndexStatus;
use ingest::ado::live::{self, Outcome, Watch};
use ingest::{FileOptions, Progress, Summary};
use ledger::policy::AuditReport;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::trust::Trust;
use super::{AnswerEvents, AuditWish, BuildWish, DropWish, FindWish, Reach};
use crate::answers::{AnswerWish, ChatOptions};
use crate::auth::TENANT_HEADER;
use crate::control::ingest::{Report, Wish};
use crate::control::place;
use crate::cost::{CostAnswer, CostWish};
use crate::house::Found;
use crate::http::budgets;
use crate::http::problem::Problem;
use crate::http::sql::{ERROR_TRAILER, QUERY_ID};
use crate::output::Format;
use crate::reference::Reference;
use crate::rules::RuleWish;
use crate::scores::ScoreWish;
use crate::work::WorkWish;

/// A running server.
pub struct Socket {
    path: PathBuf,
}

fn lost(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::unavailable("talk to the running server", cause)
}

impl Socket {
    /// The server that owns `data`, if one runs.
    pub async fn find(data: &Path) -> Result<Option<Socket>> {
        let Some(path) = place::find(data) else { return Ok(None) };
        Ok(place::connect(&path).await?.map(|_| Socket { path }))
    }

    /// Sends one request on a connection of its own; an answer that is no success becomes its error.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        let stream = place::connect(&self.path).await?;
        let stream = stream.ok_or_else(|| Error::new(Kind::Unavailable, "the running server has gone"))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        // Ends with the answer's body, or when it is dropped: that cancels the question on the other side.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(lost)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.into_body().collect().await.map_err(lost)?.to_bytes();
        let problem: Result<Problem, _> = serde_json::from_slice(&body);
        Err(problem.map_or_else(
            |_| Error::new(Kind::Internal, format!("the running server answered {status}")),
            Problem::into_error,
        ))
    }

    async fn call<B: Serialize, A: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&B>) -> Result<A> {
        let body = body.map(|b| serde_json::json!(b).to_string()).unwrap_or_default();
        let response = self.send(request(method, path, body)).await?;
        let body = response.into_body().collect().await.map_err(lost)?.to_bytes();
        serde_json::from_slice(&body).map_err(lost)
    }
}

fn request(method: Method, path: &str, body: String) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header(header::HOST, "control");
    let request = request.header(header::CONTENT_TYPE, "application/json").body(Full::from(body));
    request.expect("every path of the control socket is a valid URI")
}

/// Narrows a request to one tenant.
fn for_tenant(tenant: Option<&str>, request: &mut Request<Full<Bytes>>) -> Result<()> {
    let Some(tenant) = tenant else { return Ok(()) };
    let value = header::HeaderValue::from_str(tenant);
    let value = value.map_err(|_| Error::invalid("a tenant's id is printable ASCII"))?;
    request.headers_mut().insert(TENANT_HEADER, value);
    Ok(())
}

/// An answer being heard: server-sent events, whose data is JSON.
struct Hearing {
    body: Incoming,
    events: Events,
    ready: std::vec::IntoIter<(String, String)>,
}

impl Hearing {
    async fn next(&mut self) -> Result<Option<serde_json::Value>> {
        loop {
            if let Some((name, data)) = self.ready.next() {
                let data: serde_json::Value = serde_json::from_str(&data).map_err(lost)?;
                if name == "error" {
                    let problem: Problem = serde_json::from_value(data).map_err(lost)?;
                    return Err(problem.into_error());
                }
                return Ok(Some(serde_json::json!({"event": name, "data": data})));
            }
            let Some(frame) = self.body.frame().await.transpose().map_err(lost)? else { return Ok(None) };
            self.ready = self.events.push(&frame.into_data().unwrap_or_default())?.into_iter();
        }
    }
}

/// What the server reports while it works, a JSON document a line.
struct Reports {
    body: Incoming,
    waiting: Vec<u8>,
}

impl Reports {
    fn of(answer: Response<Incoming>) -> Reports {
        Reports { body: answer.into_body(), waiting: Vec::new() }
    }

    /// The next report; `None` where the answer ends.
    async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        loop {
            if let Some(end) = self.waiting.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.waiting.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).map_err(lost);
            }
            let Some(frame) = self.body.frame().await.transpose().map_err(lost)? else { return Ok(None) };
            self.waiting.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
    }
}

#[async_trait]
impl Reach for Socket {
    async fn ask(&self, question: Question, tenant: Option<&str>) -> Result<Found> {
        let body = serde_json::json!({"sql": question.sql, "params": question.params, "format": Format::Arrow});
        let mut request = request(Method::POST, "/sql", body.to_string());
        request.headers_mut().insert(ERROR_TRAILER, header::HeaderValue::from_static("trailer"));
        request.headers_mut().insert(header::TE, header::HeaderValue::from_static("trailers"));
        for_tenant(tenant, &mut request)?;
        let response = self.send(request).await?;
        let query_id = response.headers().get(QUERY_ID).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let mut reading =
            Reading { body: response.into_body(), decoder: StreamDecoder::new(), rest: Buffer::from(&[]) };
        let first = reading.next().await?;
        let schema = reading
            .decoder
            .schema()
            .ok_or_else(|| Error::new(Kind::Internal, "the running server's answer has no schema"))?;
        let rest = futures::stream::unfold(Some(reading), |reading| async {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(batch)) => Some((Ok(batch), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        let ended = first.is_none();
        let first = futures::stream::iter(first.map(Ok));
        let batches = if ended { first.fuse().boxed() } else { first.chain(rest).fuse().boxed() };
        Ok(Found { query_id, schema, batches })
    }

    async fn answer(&self, wish: &AnswerWish, _: &ChatOptions, tenant: Option<&str>) -> Result<AnswerEvents> {
        let wish = AnswerWish { stream: true, ..wish.clone() };
        let mut request = request(Method::POST, "/answer", serde_json::json!(wish).to_string());
        for_tenant(tenant, &mut request)?;
        let hearing = Hearing {
            body: self.send(request).await?.into_body(),
            events: Events::default(),
            ready: Vec::new().into_iter(),
        };
        let events = futures::stream::unfold(Some(hearing), |hearing| async {
            let mut hearing = hearing?;
            match hearing.next().await {
                Ok(Some(event)) => Some((Ok(event), Some(hearing))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(events.boxed())
    }

    async fn ingest(&self, kind: &str, path: &Path, options: &FileOptions, progress: &dyn Progress) -> Result<Summary> {
        let path = match kind == "git" && ingest::git::is_remote(path) {
            true => path.to_owned(),
            false => path.canonicalize().map_err(|e| Error::invalid(format!("read {}: {e}", path.display())))?,
        };
        let wish = Wish { kind: kind.to_owned(), path, options: options.clone() };
        let request = request(Method::POST, "/control/ingest", serde_json::json!(wish).to_string());
        let mut reports = Reports::of(self.send(request).await?);
        while let Some(report) = reports.next().await? {
            match report {
                Report::Begin { path, bytes } => progress.begin(&path, bytes),
                Report::Advance { bytes } => progress.advance(bytes),
                Report::Summary(summary) => return Ok(summary),
                Report::Failed(problem) => return Err(problem.into_error()),
            }
        }
        Err(Error::new(
            Kind::Unavailable,
            "the running server stopped before the file was read; reading it again is safe",
        ))
    }

    async fn audit(&self, wish: &AuditWish) -> Result<AuditReport> {
        self.call(Method::POST, "/control/policy/audit", Some(wish)).await
    }

    async fn cost(&self, wish: &CostWish) -> Result<CostAnswer> {
        self.call(Method::POST, "/control/cost", Some(wish)).await
    }

    async fn read_ado(&self, wish: &live::Wish, watch: &dyn Watch) -> Result<Outcome> {
        use crate::control::ado::Report;
        let request = request(Method::POST, "/control/ado", serde_json::json!(wish).to_string());
        let mut reports = Reports::of(self.send(request).await?);
        while let Some(report) = reports.next().await? {
            match report {
                Report::Stream { name, project, count } => watch.stream(&name, project.as_deref(), count),
                Report::Pass(outcome) => watch.pass(&outcome),
                Report::Again(problem) => watch.failed(&problem.into_error()),
                Report::Done(outcome) => return Ok(outcome),
                Report::Failed(problem) => return Err(problem.into_error()),
            }
        }
        Err(Error::new(Kind::Unavailable, "the running server stopped; reading again goes on where it was"))
    }

    async fn find(&self, wish: &FindWish) -> Result<index::search::Found> {
        self.call(Method::POST, "/control/search", Some(wish)).await
    }

    async fn index_status(&self) -> Result<IndexStatus> {
        self.call(Method::GET, "/control/index", None::<&()>).await
    }

    async fn index_build(
        &self,
        wish: &BuildWish,
        tell: &(dyn for<'s> Fn(&'s IndexStatus) + Send + Sync),
    ) -> Result<IndexStatus> {
        use crate::control::search::Report;
        let request = request(Method::POST, "/control/index/build", serde_json::json!(wish).to_string());
        let mut reports = Reports::of(self.send(request).await?);
        while let Some(report) = reports.next().await? {
            match report {
                Report::Status(status) => tell(&status),
                Report::Done(status) => return Ok(status),
                Report::Failed(problem) => return Err(problem.into_error()),
            }
        }
        Err(Error::new(Kind::Unavailable, "the running server stopped; building again goes on where it was"))
    }

    async fn index_drop(&self, wish: &DropWish) -> Result<u64> {
        self.call(Method::POST, "/control/index/drop", Some(wish)).await
    }

    async fn work(&self, wish: &WorkWish) -> Result<serde_json::Value> {
        self.call(Method::POST, "/control/work", Some(wish)).await
    }

    async fn rules(&self, wish: &RuleWish) -> Result<serde_json::Value> {
        self.call(Method::POST, "/control/rules", Some(wish)).await
    }

    async fn scores(&self, wish: &ScoreWish) -> Result<serde_json::Value> {
        self.call(Method::POST, "/control/scores", Some(wish)).await
    }

    async fn budgets(&self, wish: budgets::Wish) -> Result<budgets::Answer> {
        self.call(Method::POST, "/control/budgets", Some(&wish)).await
    }

    async fn reference(&self, rows: bool) -> Result<Reference> {
        self.call(Method::GET, if rows { "/tables?rows=true" } else { "/tables" }, None::<&()>).await
    }

    async fn trust(&self, wish: &Trust) -> Result<serde_json::Value> {
        self.call(Method::POST, "/control/trust", Some(wish)).await
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// An answer being read: bytes become batches.
struct Reading {
    body: Incoming,
    decoder: StreamDecoder,
    rest: Buffer,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            while !self.rest.is_empty() {
                if let Some(batch) = self.decoder.decode(&mut self.rest).map_err(lost)? {
                    return Ok(Some(batch));
                }
            }
            let Some(frame) = self.body.frame().await.transpose().map_err(lost)? else {
                self.decoder.finish().map_err(lost)?;
                return Ok(None);
            };
            match frame.into_data() {
                Ok(data) => self.rest = Buffer::from(data),
                Err(frame) => failed_in(&frame)?,
            }
        }
    }
}

/// The error that a trailer tells of.
fn failed_in(frame: &hyper::body::Frame<Bytes>) -> Result<()> {
    let told = frame.trailers_ref().and_then(|trailers| trailers.get(ERROR_TRAILER));
    let Some(told) = told else { return Ok(()) };
    let problem: Result<Problem, _> = serde_json::from_slice(told.as_bytes());
    Err(problem.map_or_else(|_| Error::new(Kind::Internal, "the answer broke off"), Problem::into_error))
}
