//! Back-pressure: while jobs wait too long for their turn, senders are told to come back later, and nothing is piled up
//! that nobody would get to in time.

use std::time::{Duration, Instant};

use engine::{Result, State, Value};
use tokio::sync::Mutex;

/// How long an answer of the database holds.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The shortest and the longest time after which a sender is to come back.
const COME_BACK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What was last seen.
#[derive(Debug, Default)]
pub struct Pressure {
    seen: Mutex<Option<(Instant, Duration)>>,
}

impl Pressure {
    /// When a sender is to come back, if the oldest job that is ready waits longer than `most`.
    pub async fn come_back(&self, state: &State, most: Duration, now_us: i64) -> Result<Option<Duration>> {
        let mut seen = self.seen.lock().await;
        let age = match *seen {
            Some((at, age)) if at.elapsed() < LOOK_EVERY => age,
            _ => {
                let age = oldest_ready(state, now_us).await?;
                *seen = Some((Instant::now(), age));
                age
            }
        };
        Ok((age > most).then(|| (age - most).clamp(COME_BACK.0, COME_BACK.1)))
    }
}

/// For how long the oldest job that is ready waits for its turn.
async fn oldest_ready(state: &State, now_us: i64) -> Result<Duration> {
    let sql = "SELECT min(run_at) AS due FROM job WHERE state = 'ready' AND run_at <= $1";
    let rows = state.fetch(sql, &[Value::Time(now_us)]).await?;
    let due: Option<i64> = rows.first().map_or(Ok(None), |row| row.get("due"))?;
    Ok(Duration::from_micros(due.map_or(0, |due| u64::try_from(now_us - due).unwrap_or(0))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn senders_wait_while_a_ready_job_does() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&engine::Settings::new(folder.path())).await.unwrap();
        let most = Duration::from_secs(10);
        let ask = async |now_s: i64| Pressure::default().come_back(&state, most, now_s * 1_000_000).await.unwrap();
        assert_eq!(ask(100).await, None);
        let sql = "INSERT INTO job (id, queue, kind, arguments, state, priority, run_at, attempt, attempts_max, dedupe, created_at) \
                   VALUES ('1', 'default', 'notify', '{}', $1, 100, 50000000, 0, 12, 'd', 0)";
        state.execute(sql, &["ready".into()]).await.unwrap();
        for (now_s, wanted) in [(40, None), (60, None), (61, Some(1)), (75, Some(15)), (1_000, Some(60))] {
            assert_eq!(ask(now_s).await, wanted.map(Duration::from_secs), "{now_s}");
        }
        state.execute("UPDATE job SET state = $1", &["running".into()]).await.unwrap();
        assert_eq!(ask(1_000).await, None);
    }
}
