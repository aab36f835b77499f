//! `POST /control/ingest`: a file is read by the server that owns the store; the answer reports as it goes, a JSON
//! object a line. When the caller goes away, the reading stops; what is durable stays, and reading again adds nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::ingest::{FileOptions, Progress, Summary};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use engine::Result;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::house::House;
use crate::http::problem::Problem;

/// How often the caller hears of the bytes read.
const REPORT_EVERY: Duration = Duration::from_millis(100);
/// Reports that may wait for the caller; reading waits when it does not listen.
const REPORTS_WAITING_MAX: usize = 16;

/// What is to be read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Wish {
    /// The word on the command line.
    pub kind: String,
    /// An absolute path.
    pub path: PathBuf,
    /// What the caller says about it.
    #[serde(default)]
    pub options: FileOptions,
}

/// One line of the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// A file begins.
    Begin { path: PathBuf, bytes: u64 },
    /// This many more bytes are read.
    Advance { bytes: u64 },
    /// The end.
    Summary(Summary),
    /// The other end.
    Failed(Problem),
}

/// Collects what the source tells until it is reported.
#[derive(Default)]
struct Told(Mutex<Vec<Report>>);

impl Told {
    fn add(&self, report: Report) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (told.last_mut(), report) {
            (Some(Report::Advance { bytes }), Report::Advance { bytes: more }) => *bytes += more,
            (_, report) => told.push(report),
        }
    }

    fn take(&self) -> Vec<Report> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Progress for Told {
    fn begin(&self, path: &Path, bytes: u64) {
        self.add(Report::Begin { path: path.to_owned(), bytes });
    }
    fn advance(&self, bytes: u64) {
        self.add(Report::Advance { bytes });
    }
}

type Line = Result<Bytes, std::convert::Infallible>;

fn line(report: &Report) -> Line {
    Ok(Bytes::from(format!("{}\n", serde_json::json!(report))))
}

/// Reads, and reports.
pub async fn ingest(State(house): State<Arc<House>>, Json(wish): Json<Wish>) -> Result<Response, Problem> {
    crate::house::source(&wish.kind)?;
    let (sender, lines) = mpsc::channel::<Line>(REPORTS_WAITING_MAX);
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => tracing::info!(kind = wish.kind, "the caller went away; reading stopped"),
            () = read(&house, &wish, &sender) => {}
        }
    });
    let body = Body::from_stream(ReceiverStream::new(lines));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

async fn read(house: &House, wish: &Wish, sender: &mpsc::Sender<Line>) {
    let told = Told::default();
    let reading = house.ingest(&wish.kind, &wish.path, &wish.options, &told);
    tokio::pin!(reading);
    let mut tick = tokio::time::interval(REPORT_EVERY);
    let last = loop {
        tokio::select! {
            read = &mut reading => break read.map_or_else(|error| Report::Failed(error.into()), Report::Summary),
            _ = tick.tick() => for report in told.take() {
                let _ = sender.send(line(&report)).await;
            },
        }
    };
    for report in told.take().into_iter().chain([last]) {
        let _ = sender.send(line(&report)).await;
    }
}
