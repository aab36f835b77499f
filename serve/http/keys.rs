//! `/keys`: whoever has the scope `keys` makes, rotates and ends keys of its tenant; the platform those of everybody.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use engine::Error;
use ledger::principal::Caller;
use serde::Deserialize;

use super::problem::Problem;
use crate::house::House;
use crate::reach::trust::{KeyEntry, KeyWish, NewKey, RotationWish};

/// How a key is rotated.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Manner {
    /// Seconds that the old key stays good; a day unless said.
    overlap_s: Option<u64>,
    /// Seconds until the new one ends.
    expires_in_s: Option<u64>,
}

/// Seconds that an old key stays good unless something else is said.
pub const OVERLAP_S: u64 = 86_400;

/// Every key of the caller's tenant, or of all.
pub async fn list(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<KeyEntry>>, Problem> {
    let keys = house.list_keys(None).await?;
    let all = caller.scope.tenants.named().is_none();
    let own = |key: &KeyEntry| key.tenant.as_ref().is_some_and(|tenant| caller.scope.tenants.covers(tenant));
    Ok(Json(keys.into_iter().filter(|key| all || own(key)).collect()))
}

/// Makes a key. A tenant's caller need not name its tenant.
pub async fn create(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    wish: Result<Json<KeyWish>, JsonRejection>,
) -> Result<(StatusCode, Json<NewKey>), Problem> {
    let Json(mut wish) = wish.map_err(|e| Error::invalid(format!("the key: {}", e.body_text())))?;
    if let (None, Some([own])) = (&wish.tenant, caller.scope.tenants.named()) {
        wish.tenant = Some(own.to_string());
    }
    Ok((StatusCode::CREATED, Json(house.create_key(&wish, &caller).await?)))
}

/// A new key in an old one's place.
pub async fn rotate(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    manner: Result<Json<Manner>, JsonRejection>,
) -> Result<(StatusCode, Json<NewKey>), Problem> {
    let Json(manner) = manner.map_err(|e| Error::invalid(format!("the rotation: {}", e.body_text())))?;
    let overlap_s = manner.overlap_s.unwrap_or(OVERLAP_S);
    let wish = RotationWish { id, overlap_s, expires_in_s: manner.expires_in_s };
    Ok((StatusCode::CREATED, Json(house.rotate_key(&wish, &caller).await?)))
}

/// Ends a key.
pub async fn revoke(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    house.directory.revoke(&id, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}
