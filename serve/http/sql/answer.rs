//! The answer's body: batches become bytes when the reader asks for more, never before.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use engine::arrow::array::RecordBatch;
use engine::{Error, Result};
use futures::StreamExt;
use futures::stream::BoxStream;
use http_body_util::StreamBody;
use hyper::body::Frame;

use super::ERROR_TRAILER;
use crate::http::problem::Problem;
use crate::output::{Encoder, chunks};

/// Time for the last line to leave the process before the connection is broken.
const LAST_WORD: Duration = Duration::from_millis(50);

/// An answer being written.
pub struct Writing {
    encoder: Box<dyn Encoder>,
    query_id: String,
    batches: BoxStream<'static, Result<RecordBatch>>,
    ready: VecDeque<RecordBatch>,
    trailer: bool,
    stage: Stage,
}

enum Stage {
    Beginning,
    Rows,
    Broken(Problem),
    Ended,
}

impl Writing {
    /// An answer whose first batch, if it has one, has come.
    pub fn new(
        encoder: Box<dyn Encoder>,
        first: Option<RecordBatch>,
        query_id: &str,
        batches: BoxStream<'static, Result<RecordBatch>>,
        trailer: bool,
    ) -> Self {
        let ready = first.iter().flat_map(chunks).collect();
        Writing { encoder, query_id: query_id.to_owned(), batches, ready, trailer, stage: Stage::Beginning }
    }

    /// The body. Dropping it cancels the question.
    pub fn into_body(self) -> Body {
        let frames = futures::stream::unfold(self, |mut writing| async {
            let frame = writing.next().await?;
            Some((frame, writing))
        });
        Body::new(StreamBody::new(frames))
    }

    async fn next(&mut self) -> Option<std::result::Result<Frame<Bytes>, std::io::Error>> {
        match std::mem::replace(&mut self.stage, Stage::Rows) {
            Stage::Ended => {
                self.stage = Stage::Ended;
                None
            }
            Stage::Broken(problem) => {
                // Without a pause the abort would overtake the line that explains it.
                tokio::time::sleep(LAST_WORD).await;
                self.stage = Stage::Ended;
                Some(Err(std::io::Error::other(problem.error)))
            }
            stage => {
                let beginning = matches!(stage, Stage::Beginning);
                Some(match self.bytes(beginning).await {
                    Ok(bytes) => Ok(Frame::data(bytes)),
                    Err(error) => Ok(self.broken(error)),
                })
            }
        }
    }

    /// The next bytes; the last ones move the stage on.
    async fn bytes(&mut self, beginning: bool) -> Result<Bytes> {
        let mut out = Vec::new();
        if beginning {
            self.encoder.begin(&mut out)?;
        }
        // A chunk may give no bytes yet (Parquet, a table's layout); an empty frame would be taken for an end.
        loop {
            if self.ready.is_empty() {
                match self.batches.next().await.transpose()? {
                    Some(batch) => self.ready.extend(chunks(&batch)),
                    None => {
                        self.encoder.finish(&mut out)?;
                        self.stage = Stage::Ended;
                        return Ok(out.into());
                    }
                }
            }
            if let Some(batch) = self.ready.pop_front() {
                self.encoder.batch(&batch, &mut out)?;
            }
            if !out.is_empty() {
                return Ok(out.into());
            }
        }
    }

    /// The frame that tells of an error: a trailer, a last line, or nothing but the abort that follows.
    fn broken(&mut self, error: Error) -> Frame<Bytes> {
        let problem = Problem::from(error).of_query(&self.query_id);
        if self.trailer {
            self.stage = Stage::Ended;
            let mut trailers = HeaderMap::new();
            let value = HeaderValue::from_bytes(problem.json().to_string().as_bytes());
            trailers.insert(ERROR_TRAILER, value.unwrap_or(HeaderValue::from_static("{}")));
            return Frame::trailers(trailers);
        }
        let mut out = Vec::new();
        self.encoder.failed(&problem.json(), &mut out);
        self.stage = Stage::Broken(problem);
        Frame::data(out.into())
    }
}
