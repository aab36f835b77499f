//! `/audit`: proofs for somebody who does not trust this database. The rows themselves are asked in SQL, under the scope.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use engine::{Error, Kind};
use ledger::audit::proof::{ConsistencyProof, InclusionProof, prove_consistency, prove_inclusion};
use ledger::audit::root::SignedRoot;
use ledger::principal::Caller;
use serde::Deserialize;

use super::problem::Problem;
use crate::house::House;
use crate::reach::trust::ExportWish;

/// The trees that a proof is about.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sizes {
    /// Rows of the earlier tree.
    from: u64,
    /// Rows of the later tree; all of them unless said.
    to: Option<u64>,
}

/// The log as it is now, signed. The platform's alone: signing writes.
pub async fn root(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<SignedRoot>, Problem> {
    if caller.scope.tenants.named().is_some() {
        return Err(Error::new(Kind::Denied, "the root of the log is signed for the platform").into());
    }
    Ok(Json(house.export_root(&ExportWish::default(), &caller).await?))
}

/// Proves that a row is in the log. A proof holds hashes only, so that a tenant may have one of any row.
pub async fn row(
    State(house): State<Arc<House>>,
    Path(seq): Path<u64>,
    sizes: Result<Query<Sizes>, QueryRejection>,
) -> Result<Json<InclusionProof>, Problem> {
    let Query(sizes) = sizes.map_err(|e| Error::invalid(format!("the query of /audit: {}", e.body_text())))?;
    Ok(Json(prove_inclusion(house.store.state(), seq, sizes.to).await?))
}

/// Proves that the log only grew.
pub async fn growth(
    State(house): State<Arc<House>>,
    sizes: Result<Query<Sizes>, QueryRejection>,
) -> Result<Json<ConsistencyProof>, Problem> {
    let Query(sizes) = sizes.map_err(|e| Error::invalid(format!("the query of /audit: {}", e.body_text())))?;
    Ok(Json(prove_consistency(house.store.state(), sizes.from, sizes.to).await?))
}
