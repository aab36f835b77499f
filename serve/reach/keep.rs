//! What commands ask about what is kept: retention, holds, erasures, backups. Sent as a part of [`Trust`].

use engine::Result;
use ledger::erase::ErasureWish;
use ledger::retention::HoldOrder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Reach;
use super::trust::{LockWish, Trust};

/// A wish.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepWish {
    /// How every table stands; answers a list of [`ledger::retention::TableStatus`].
    RetentionStatus,
    /// Delete what is past its time now; answers the same.
    RetentionRun,
    /// Place a hold; answers a [`ledger::retention::HoldEntry`].
    AddHold(HoldOrder),
    /// Every hold; answers a list of the same.
    ListHolds,
    /// Release a hold; answers null.
    ReleaseHold { id: String, reason: String },
    /// Write the rows of a hold to a place; answers a [`ledger::retention::HoldCopy`].
    CopyHold { id: String, to: String, options: Vec<(String, String)>, lock: Option<LockWish> },
    /// Every copy; answers a list of the same.
    ListHoldCopies,
    /// Read a copy back; answers a [`ledger::retention::CheckedCopy`].
    CheckHoldCopy { id: String, options: Vec<(String, String)> },
    /// Plan an erasure; answers an [`ledger::erase::ErasureEntry`], as all below.
    PlanErasure { wish: ErasureWish, key: Option<String> },
    /// Approve one.
    ApproveErasure { id: String, key: Option<String> },
    /// Run one.
    RunErasure { id: String, key: Option<String> },
    /// Give one up.
    CancelErasure { id: String, key: Option<String> },
    /// Every erasure; answers a list.
    ListErasures,
    /// One erasure.
    ShowErasure { id: String },
    /// Back the store up; answers an [`engine::backup::Summary`].
    Backup { to: String, options: Vec<(String, String)> },
    /// Put the state database alone beside the backups; answers an [`engine::backup::Shipped`].
    BackupState { to: String, options: Vec<(String, String)> },
}

impl dyn Reach + '_ {
    /// Grants a wish; the answer is what the wish says.
    pub async fn keep<A: DeserializeOwned>(&self, wish: KeepWish) -> Result<A> {
        self.granted(Trust::Keep(wish)).await
    }
}
