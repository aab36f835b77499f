//! Back-pressure: while jobs wait too long for their turn, senders are told to come back later, and nothing is piled up
//! that nobody would get to in time.

use std::time::{Duration, Instant};

use engine::Result;
use jobs::queue::Queue;
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
    pub async fn come_back(&self, queue: &Queue, most: Duration, now_us: i64) -> Result<Option<Duration>> {
        let mut seen = self.seen.lock().await;
        let age = match *seen {
            Some((at, age)) if at.elapsed() < LOOK_EVERY => age,
            _ => {
                let age = queue.oldest_age(now_us).await?;
                *seen = Some((Instant::now(), age));
                age
            }
        };
        Ok((age > most).then(|| (age - most).clamp(COME_BACK.0, COME_BACK.1)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use engine::State;

    use super::*;

    #[tokio::test]
    async fn senders_wait_while_a_ready_job_does() {
        let folder = tempfile::tempdir().unwrap();
        let state = Arc::new(State::open(&engine::Settings::new(folder.path())).await.unwrap());
        let queue = Queue::new(Arc::clone(&state), "test");
        let most = Duration::from_secs(10);
        let ask = async |now_s: i64| Pressure::default().come_back(&queue, most, now_s * 1_000_000).await.unwrap();
        assert_eq!(ask(100).await, None);
        let sql = "INSERT INTO job (id, queue, kind, arguments, state, priority, run_at, attempt, attempts_max, dedupe, created_at) \
                   VALUES ('1', 'default', 'notify', '{}', $1, 100, 50000000, 0, 12, 'd', 0)";
        state.execute(sql, &["ready".into()]).await.unwrap();
        for (now_s, wanted) in [(40, None), (60, None), (61, Some(1)), (75, Some(15)), (1_000, Some(60))] {
            assert_eq!(ask(now_s).await, wanted.map(Duration::from_secs), "{now_s}");
        }
        // What stands still by somebody's wish holds nobody back.
        state.execute("UPDATE job SET paused = $1", &[true.into()]).await.unwrap();
        assert_eq!(ask(1_000).await, None);
        state.execute("UPDATE job SET paused = $1, state = 'running'", &[false.into()]).await.unwrap();
        assert_eq!(ask(1_000).await, None);
    }
}
