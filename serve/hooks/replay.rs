//! Deliveries replayed: what was kept is told once more, as a new delivery that names the one it repeats, so that rules act
//! on it again.

use engine::arrow::array::{Array, AsArray, RecordBatch};
use engine::arrow::compute::cast;
use engine::arrow::datatypes::DataType;
use engine::sql::session::from_datafusion;
use engine::{Error, Kind, Limits, Question, Result, Scope};
use futures::TryStreamExt;
use ingest::hook::{self, Proof, Scheme, Sender};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::house::House;

/// Deliveries that one call replays.
pub const DELIVERIES_MAX: usize = 1_000;

/// The deliveries that somebody wants again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayWish {
    /// Their ids; without any, those of the hook and the time.
    pub deliveries: Vec<String>,
    /// Only this sender's.
    pub hook: Option<String>,
    /// Received from then on, RFC 3339.
    pub since: Option<String>,
    /// Received before then, RFC 3339.
    pub until: Option<String>,
}

const COLUMNS: [&str; 9] =
    ["tenant", "hook", "scheme", "event", "delivery_id", "subject", "body", "body_bytes", "body_sha256"];

impl ReplayWish {
    fn question(&self) -> Result<Question> {
        let narrow = self.hook.is_some() && (self.since.is_some() || self.until.is_some());
        if self.deliveries.is_empty() && !narrow {
            return Err(Error::invalid("say which deliveries: their ids, or a hook with a time"));
        }
        let mut params = Vec::new();
        let mut place = |value: &String| {
            params.push(value.clone());
            format!("${}", params.len())
        };
        let mut wanted = vec!["replay_of IS NULL".to_owned()];
        if !self.deliveries.is_empty() {
            let ids: Vec<String> = self.deliveries.iter().map(&mut place).collect();
            wanted.push(format!("delivery_id IN ({})", ids.join(", ")));
        }
        if let Some(hook) = &self.hook {
            wanted.push(format!("hook = {}", place(hook)));
        }
        for (time, sign) in [(&self.since, ">="), (&self.until, "<")] {
            if let Some(time) = time {
                wanted.push(format!("received_at {sign} CAST({} AS TIMESTAMP WITH TIME ZONE)", place(time)));
            }
        }
        let columns: Vec<String> = COLUMNS.iter().map(|name| format!("CAST({name} AS VARCHAR) AS {name}")).collect();
        // How often each was replayed already names the next one.
        let replays = "(SELECT replay_of AS of_delivery, hook AS of_hook, count(*) AS replays FROM hook_event WHERE replay_of IS NOT NULL GROUP BY 1, 2)";
        let sql = format!(
            "SELECT {}, CAST(COALESCE(replays, 0) AS VARCHAR) AS replays FROM (SELECT * FROM hook_event WHERE {}) AS e \
             LEFT JOIN {replays} AS r ON of_delivery = delivery_id AND of_hook = hook ORDER BY received_at, delivery_id",
            columns.join(", "),
            wanted.join(" AND ")
        );
        Ok(Question { sql, params })
    }
}

impl House {
    /// Replays deliveries, oldest first; answers their new ids.
    pub async fn replay_hooks(&self, wish: &ReplayWish) -> Result<Value> {
        let limits = Limits { rows_max: DELIVERIES_MAX, ..Limits::default() };
        let answer = self.store.query(&Scope::platform("operator"), wish.question()?, limits).await?;
        let batches: Vec<RecordBatch> = answer.stream.try_collect().await.map_err(from_datafusion)?;
        let mut replayed = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                replayed.push(self.replay_one(&Kept { batch, row }).await?);
            }
        }
        if let Some(missing) = wish.deliveries.iter().find(|id| !replayed.iter().any(|(of, _)| of == *id)) {
            return Err(Error::new(
                Kind::NotFound,
                format!("there is no delivery {missing} that was received; `stellwerk hook list`"),
            ));
        }
        if let Some(runner) = self.runner.get() {
            runner.wake();
        }
        let list: Vec<Value> = replayed.iter().map(|(of, id)| json!({ "delivery_id": id, "replay_of": of })).collect();
        Ok(Value::Array(list))
    }

    async fn replay_one(&self, kept: &Kept<'_>) -> Result<(String, String)> {
        let scheme: Scheme = serde_json::from_value(kept.text("scheme")?.into())
            .map_err(|e| Error::new(Kind::Corrupt, format!("a kept delivery: {e}")))?;
        let sender = Sender {
            name: kept.text("hook")?,
            scheme,
            proof: Proof::Bearer(Vec::new()),
            tenant: kept.text("tenant")?,
            delivery_header: Some("id".to_owned()),
            event_header: Some("event".to_owned()),
        };
        let (of, event) = (kept.text("delivery_id")?, kept.text("event")?);
        let replays: u64 = kept.text("replays")?.parse().unwrap_or(0);
        let id = format!("{of}~{}", replays + 1);
        let bytes = kept.text("body_bytes")?.parse().unwrap_or(0);
        let body = hook::Body::kept(&kept.text("body")?, bytes, &kept.text("body_sha256")?)?;
        // What its headers said stands in its columns.
        let header = |name: &str| match name {
            "id" | "x-github-delivery" => Some(id.clone()),
            "event" | "x-github-event" => Some(event.clone()),
            _ => None,
        };
        let read = hook::read(&sender, &header, &body);
        let mut delivery = read.map_err(|e| Error::new(Kind::Corrupt, format!("the kept delivery {of}: {e}")))?;
        (delivery.replay_of, delivery.id) = (Some(of.clone()), id.clone());
        let now_us = self.store.clock().now_us();
        self.store.append(hook::frame(&sender, &delivery, &body, now_us)?).await?;
        Ok((of, id))
    }
}

/// A row of the answer.
struct Kept<'a> {
    batch: &'a RecordBatch,
    row: usize,
}

impl Kept<'_> {
    fn text(&self, column: &str) -> Result<String> {
        let broken = |what: String| Error::new(Kind::Internal, format!("read {column} of a kept delivery: {what}"));
        let cells = self.batch.column_by_name(column).ok_or_else(|| broken("it is not there".to_owned()))?;
        let cells = cast(cells, &DataType::Utf8).map_err(|e| broken(e.to_string()))?;
        let cells = cells.as_string::<i32>();
        Ok(if cells.is_null(self.row) { String::new() } else { cells.value(self.row).to_owned() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn nobody_replays_everything_by_mistake() {
        let hook = || Some("code".to_owned());
        for wrong in [ReplayWish::default(), ReplayWish { hook: hook(), ..ReplayWish::default() }] {
            assert!(wrong.question().unwrap_err().to_string().contains("which deliveries"));
        }
        let since = Some("2026-11-01T00:00:00Z".to_owned());
        let question = ReplayWish { hook: hook(), since, ..ReplayWish::default() }.question().unwrap();
        assert_eq!(question.params, ["code", "2026-11-01T00:00:00Z"]);
    }
}
