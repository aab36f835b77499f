//! `/tenants`: the directory as documents. Whoever reads sees its own; whoever has the scope `directory` puts its own.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use engine::{Error, Kind, Tenants};
use ledger::directory::{Applied, Documents, Wish};
use ledger::principal::Caller;
use serde::Deserialize;
use serde_json::Value;

use super::problem::Problem;
use crate::house::House;

/// How documents are applied.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Manner {
    /// What is there and not in the request goes.
    prune: bool,
    /// Only say what would be done.
    dry_run: bool,
}

/// The documents that should be there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    entities: Vec<Value>,
}

/// The directory as the caller sees it.
pub async fn list(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Documents>, Problem> {
    Ok(Json(house.directory.documents(&caller.scope.tenants).await?))
}

/// One tenant's part of it.
pub async fn one(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    Path(tenant): Path<String>,
) -> Result<Json<Documents>, Problem> {
    let missing = || Error::new(Kind::NotFound, format!("there is no tenant {tenant}"));
    if !caller.scope.tenants.covers(&tenant) {
        return Err(missing().into());
    }
    let documents = house.directory.documents(&Tenants::One(tenant.as_str().into())).await?;
    if documents.entities.is_empty() { Err(missing().into()) } else { Ok(Json(documents)) }
}

/// Makes one tenant's part of the directory what the request says.
pub async fn put(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    Path(tenant): Path<String>,
    manner: Result<Query<Manner>, axum::extract::rejection::QueryRejection>,
    wanted: Result<Json<Wanted>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<Applied>, Problem> {
    let Query(manner) = manner.map_err(|e| Error::invalid(format!("the query of /tenants: {}", e.body_text())))?;
    let Json(wanted) = wanted.map_err(|e| Error::invalid(format!("the documents: {}", e.body_text())))?;
    let wish = Wish { within: Some(tenant), prune: manner.prune, dry_run: manner.dry_run };
    Ok(Json(house.directory.apply_entities(&wanted.entities, &wish, &caller).await?))
}
