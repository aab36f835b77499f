//! `POST /control/ado`: an organization is read by the server that owns the store; the answer reports as it goes, a JSON
//! object a line. When the caller goes away, the reading stops at its next report; the cursors stand.

use std::sync::Arc;

use ::ingest::ado::live::{Count, Outcome, Watch, Wish};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use engine::Error;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::house::House;
use crate::http::problem::Problem;

/// Reports that may wait for the caller; more are left out, for the totals come with the pass.
const REPORTS_WAITING_MAX: usize = 256;

/// One line of the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// A stream was read.
    Stream { name: String, project: Option<String>, count: Count },
    /// A pass ended.
    Pass(Outcome),
    /// A pass failed and is tried again.
    Again(Problem),
    /// The end.
    Done(Outcome),
    /// The other end.
    Failed(Problem),
}

type Line = Result<Bytes, std::convert::Infallible>;

struct Told(mpsc::Sender<Line>);

impl Told {
    fn add(&self, report: &Report) {
        let _ = self.0.try_send(line(report));
    }
}

fn line(report: &Report) -> Line {
    Ok(Bytes::from(format!("{}\n", serde_json::json!(report))))
}

impl Watch for Told {
    fn stream(&self, name: &str, project: Option<&str>, count: Count) {
        self.add(&Report::Stream { name: name.to_owned(), project: project.map(str::to_owned), count });
    }

    fn pass(&self, outcome: &Outcome) {
        self.add(&Report::Pass(outcome.clone()));
    }

    fn failed(&self, error: &Error) {
        self.add(&Report::Again(Error::new(error.kind(), error.to_string()).into()));
    }
}

/// Reads, and reports.
pub async fn read(State(house): State<Arc<House>>, Json(wish): Json<Wish>) -> Response {
    let (sender, lines) = mpsc::channel::<Line>(REPORTS_WAITING_MAX);
    tokio::spawn(async move {
        let told = Told(sender.clone());
        let last = tokio::select! {
            () = sender.closed() => return tracing::info!("the caller went away; reading the organization stopped"),
            read = house.read_ado(&wish, &told) => read.map_or_else(|error| Report::Failed(error.into()), Report::Done),
        };
        let _ = sender.send(line(&last)).await;
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(ReceiverStream::new(lines))).into_response()
}
