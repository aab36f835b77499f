//! Leases: work that one process at a time may do.

use std::time::Duration;

use super::State;
use crate::error::Result;
use crate::rows::Value;

/// A lease that its holder has until `expires_at_us`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The work.
    pub name: String,
    /// Who may do it: a name that is new with every start of a process.
    pub holder: String,
    /// Grows by one when the holder changes: a fence against what an earlier holder still writes.
    pub epoch: i64,
    /// Microseconds since 1970, UTC, by the caller's clock.
    pub expires_at_us: i64,
}

/// One statement on both databases: taken if free, renewed by its holder, stolen when expired, else untouched.
const TAKE: &str = "INSERT INTO lease (name, holder, epoch, expires_at) VALUES ($1, $2, 1, $3)
ON CONFLICT (name) DO UPDATE SET
    epoch = CASE WHEN lease.holder = excluded.holder THEN lease.epoch ELSE lease.epoch + 1 END,
    holder = excluded.holder,
    expires_at = excluded.expires_at
WHERE lease.holder = excluded.holder OR lease.expires_at <= $4
RETURNING epoch";

/// Keeps the rows, so that the epochs go on growing.
const RELEASE_ALL: &str = "UPDATE lease SET expires_at = 0 WHERE holder = $1";
/// The same for one.
const RELEASE: &str = "UPDATE lease SET expires_at = 0 WHERE name = $1 AND holder = $2";

impl State {
    /// Takes, renews or steals the lease `name` for `holder`; `None` while another holder's has not expired.
    pub async fn lease(&self, name: &str, holder: &str, ttl: Duration, now_us: i64) -> Result<Option<Lease>> {
        let expires_at_us = now_us.saturating_add(i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX));
        let values = [name.into(), holder.into(), Value::Time(expires_at_us), Value::Time(now_us)];
        let taken = self.write_returning(TAKE, &values).await?.pop();
        let lease = |epoch| Lease { name: name.to_owned(), holder: holder.to_owned(), epoch, expires_at_us };
        taken.map(|row| row.get("epoch").map(lease)).transpose()
    }

    /// Gives a lease back early; one that another holder has meanwhile is left alone.
    pub async fn release(&self, lease: &Lease) -> Result<()> {
        self.execute(RELEASE, &[lease.name.as_str().into(), lease.holder.as_str().into()]).await.map(|_| ())
    }

    /// Gives back whatever `holder` has: it ends, and who comes next need not wait.
    pub async fn release_all(&self, holder: &str) -> Result<()> {
        self.execute(RELEASE_ALL, &[holder.into()]).await.map(|_| ())
    }
}
