//! Watches an answer as it is read: counts its rows, ends it at its limits, and tells the query log how it ended.

use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use tokio::time::Instant;

use super::session::from_datafusion;
use crate::error::{Error, Kind};
use crate::store::{Limits, Logged};

/// The same answer within its limits. Its errors are ours, inside `DataFusionError::External`.
pub(crate) fn watch(answer: SendableRecordBatchStream, limits: Limits, logged: Logged) -> SendableRecordBatchStream {
    let schema = answer.schema();
    let deadline = Instant::now() + limits.time_max;
    let start = (answer, logged, false);
    let watched = futures::stream::unfold(start, move |(mut answer, mut logged, ended)| async move {
        if ended {
            return None;
        }
        let next = match tokio::time::timeout_at(deadline, answer.next()).await {
            Ok(next) => next,
            Err(_) => Some(Err(limit(format!("the question ran longer than its limit of {:?}", limits.time_max)))),
        };
        let item = match next {
            None => {
                logged.end("ok", None);
                return None;
            }
            Some(Ok(batch)) => {
                logged.entry.rows += batch.num_rows() as u64;
                match logged.entry.rows > limits.rows_max as u64 {
                    true => Err(limit(format!("the answer has more rows than its limit of {}", limits.rows_max))),
                    false => Ok(batch),
                }
            }
            Some(Err(error)) => Err(error),
        };
        let item = item.map_err(|error| {
            let error = from_datafusion(error);
            logged.end("error", Some(error.to_string()));
            DataFusionError::External(Box::new(error))
        });
        let ended = item.is_err();
        Some((item, (answer, logged, ended)))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, watched))
}

fn limit(message: String) -> DataFusionError {
    DataFusionError::External(Box::new(Error::new(Kind::Limit, message)))
}
