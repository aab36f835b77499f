//! Which group the writer wrote last, as a part of the group itself. Where the answer to a commit is lost, nobody but this
//! knows whether it took place.

use engine::state::Transaction;
use engine::{Result, State as Database, Value};

const PUT: &str = "INSERT INTO queue_group (owner, written) VALUES ($1, $2) \
                   ON CONFLICT (owner) DO UPDATE SET written = excluded.written";
/// Changes nothing, and waits for a commit of the group that is still under way.
const LAST: &str = "INSERT INTO queue_group (owner, written) VALUES ($1, '') \
                    ON CONFLICT (owner) DO UPDATE SET written = queue_group.written RETURNING written";
const SEEN: &str = "UPDATE queue_group SET seen_at = $2 WHERE owner = $1 OR seen_at IS NULL";
const FORGET: &str = "DELETE FROM queue_group WHERE seen_at < $1";

/// Marks the transaction as the group of a new name, which is answered.
pub(super) async fn put(open: &mut Transaction, owner: &str) -> Result<String> {
    let mark = uuid::Uuid::now_v7().to_string();
    open.execute(PUT, &[owner.into(), mark.as_str().into()]).await?;
    Ok(mark)
}

/// Whether the last group that was written is the one of this name.
pub(super) async fn is_last(state: &Database, owner: &str, mark: &str) -> Result<bool> {
    let rows = state.write_returning(LAST, &[owner.into()]).await?;
    Ok(rows.first().map(|row| row.get::<String>("written")).transpose()?.as_deref() == Some(mark))
}

/// Forgets the marks of processes that nobody has seen since `old_us`; the owner is here now.
pub(super) async fn prune(state: &Database, owner: &str, now_us: i64, old_us: i64) -> Result<()> {
    state.execute(SEEN, &[owner.into(), Value::Time(now_us)]).await?;
    state.execute(FORGET, &[Value::Time(old_us)]).await.map(|_| ())
}
