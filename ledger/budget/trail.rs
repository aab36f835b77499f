//! The port through which decisions about budgets reach the audit log. A budget knows when it has something to say; what
//! an entry looks like, and how refusals are sampled, is the log's matter.

use async_trait::async_trait;
use engine::Result;
use engine::state::Transaction;

use super::register::{Author, Change};
use super::request::{Key, Refusal};

/// Whoever keeps the trail.
#[async_trait]
pub trait Trail: Send + Sync + std::fmt::Debug {
    /// Budgets or quotas are about to change; called last before the commit of the transaction that changes them, so that
    /// a change without its entry does not happen.
    async fn changed(&self, transaction: &mut Transaction, changes: &[Change], author: &Author) -> Result<()>;

    /// A request was refused. Never fails: who is refused stays refused.
    async fn refused(&self, request: &Key, refusal: &Refusal);
}
