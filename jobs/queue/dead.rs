//! Dead letters: jobs that failed too often or were refused. They stay until somebody replays or cancels them.

use engine::{Error, Kind, Result, Value};

use super::{FLOW, Queue};

/// Dead jobs that one listing shows.
const LISTED_MAX: i64 = 1_000;

/// Which dead jobs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// This one.
    One(String),
    /// Those of a kind.
    Kind(String),
    /// All of them.
    All,
}

/// A dead job.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DeadJob {
    /// Its id.
    pub id: String,
    /// The action.
    pub kind: String,
    /// Its name once and for all.
    pub dedupe: String,
    /// What it follows from.
    pub cause: Option<String>,
    /// Times it was begun.
    pub attempt: i64,
    /// Why it is dead.
    pub error: Option<String>,
    /// When it was made.
    pub created_us: i64,
}

impl Queue {
    /// Dead jobs, oldest first; of a kind, or all.
    pub async fn dead(&self, kind: Option<&str>) -> Result<Vec<DeadJob>> {
        let sql = "SELECT id, kind, dedupe, cause, attempt, error, created_at FROM job WHERE state = 'dead' \
                   AND ($1 = '' OR kind = $1) ORDER BY id LIMIT $2";
        let rows = self.state.fetch(sql, &[kind.unwrap_or_default().into(), Value::Int(LISTED_MAX)]).await?;
        let dead = |row: &engine::state::Row| {
            Ok(DeadJob {
                id: row.get("id")?,
                kind: row.get("kind")?,
                dedupe: row.get("dedupe")?,
                cause: row.get("cause")?,
                attempt: row.get("attempt")?,
                error: row.get("error")?,
                created_us: row.get("created_at")?,
            })
        };
        rows.iter().map(dead).collect()
    }

    /// Makes dead jobs ready again, under their old names, so that whoever did them already knows them. A flow goes on where
    /// it failed; one whose steps were undone begins anew. Answers how many. `NotFound` where a named one is not dead.
    pub async fn replay(&self, which: &Which, now_us: i64) -> Result<u64> {
        let (id, kind) = match which {
            Which::One(id) => (id.as_str(), ""),
            Which::Kind(kind) => ("", kind.as_str()),
            Which::All => ("", ""),
        };
        let mut open = self.state.transaction().await?;
        // The rows are held, so that of two replays at once one finds nothing.
        let sql = "UPDATE job SET state = 'ready', attempt = 0, run_at = $3, wakes = wakes + 1 WHERE state = 'dead' \
                   AND ($1 = '' OR id = $1) AND ($2 = '' OR kind = $2) RETURNING id, kind, round";
        let rows = open.fetch(sql, &[id.into(), kind.into(), Value::Time(now_us)]).await?;
        for row in &rows {
            if row.get::<String>("kind")? == FLOW {
                crate::flow::stored::reopen(&mut open, &row.get::<String>("id")?, row.get("round")?).await?;
            }
        }
        open.commit().await?;
        match which {
            Which::One(id) if rows.is_empty() => {
                Err(Error::new(Kind::NotFound, format!("there is no dead job {id}; `stellwerk job dead` lists them")))
            }
            _ => Ok(rows.len() as u64),
        }
    }

    /// [`Queue::replay`] of one, or of all.
    pub async fn retry(&self, id: Option<&str>, now_us: i64) -> Result<u64> {
        self.replay(&id.map_or(Which::All, |id| Which::One(id.to_owned())), now_us).await
    }
}
