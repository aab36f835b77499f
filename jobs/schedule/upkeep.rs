//! Upkeep of the tables by one process among those that share them: whoever holds the lease maintains.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::state::Lease;
use engine::{Result, Store};

use super::beat::Sweep;

/// Name of the lease.
const LEASE: &str = "maintain";
/// How long a process that died keeps the others waiting.
const LEASE_TTL: Duration = Duration::from_secs(60);
/// How often the holder renews: two may fail before it is lost.
const LEASE_EVERY: Duration = Duration::from_secs(20);
/// How often the tables are maintained.
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Upkeep {
    store: Arc<Store>,
    /// New with every start, so that an epoch never has two holders.
    holder: String,
    held: Mutex<Option<Lease>>,
}

impl Upkeep {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Upkeep { store, holder: uuid::Uuid::now_v7().to_string(), held: Mutex::new(None) }
    }

    /// Takes the lease, renews it, or learns that another process holds it.
    pub(super) async fn keep_lease(&self) -> Result<()> {
        let now_us = self.store.clock().now_us();
        let lease = self.store.state().lease(LEASE, &self.holder, LEASE_TTL, now_us).await?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if lease.is_some() != held.is_some() {
            tracing::info!(holder = self.holder, held = lease.is_some(), "the maintenance lease changed hands");
        }
        *held = lease;
        Ok(())
    }

    async fn maintain(&self) -> Result<()> {
        let now_us = self.store.clock().now_us();
        let holds = self.held.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|l| now_us < l.expires_at_us);
        if holds { self.store.maintain().await } else { Ok(()) }
    }

    /// Lets another process take over at once.
    pub(super) async fn release(&self) {
        let lease = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(lease) = lease
            && let Err(error) = self.store.state().release(&lease).await
        {
            tracing::warn!(%error, "the maintenance lease was not given back; it expires by itself");
        }
    }
}

/// The sweeps of one store.
pub(super) fn sweeps(upkeep: &Arc<Upkeep>) -> Vec<Sweep> {
    let (renewing, maintaining) = (Arc::clone(upkeep), Arc::clone(upkeep));
    vec![
        Sweep::new("lease", LEASE_EVERY, move || {
            let upkeep = Arc::clone(&renewing);
            async move { upkeep.keep_lease().await }
        }),
        Sweep::new("maintain", MAINTAIN_EVERY, move || {
            let upkeep = Arc::clone(&maintaining);
            async move { upkeep.maintain().await }
        }),
    ]
}
