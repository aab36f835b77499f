//! `GET /approvals`, `GET /approvals/{id}` and `POST /approvals/{id}/votes`: what people are asked, and their votes. Who votes
//! is whoever the key says; a body cannot name somebody else.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use ledger::principal::{Caller, Principal};
use serde::Deserialize;
use serde_json::Value;

use super::problem::Problem;
use crate::house::House;
use crate::work::{Wisher, WorkWish};

/// Which approvals.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Also those that were decided.
    #[serde(default)]
    all: bool,
}

/// A vote.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// Whether it agrees.
    approve: bool,
    /// Why.
    #[serde(default)]
    why: Option<String>,
}

/// `GET /approvals`.
pub async fn list(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    Extension(principal): Extension<Principal>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let wish = WorkWish::Approvals { all: wanted.all };
    Ok(Json(house.work(&wish, &Wisher::of(&caller, &principal)).await?))
}

/// `GET /approvals/{id}`.
pub async fn one(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    Extension(principal): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(house.work(&WorkWish::Approval { id }, &Wisher::of(&caller, &principal)).await?))
}

/// `POST /approvals/{id}/votes`.
pub async fn vote(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    Extension(principal): Extension<Principal>,
    Path(id): Path<String>,
    Json(vote): Json<Vote>,
) -> Result<Json<Value>, Problem> {
    let wish = WorkWish::Vote { id, yes: vote.approve, why: vote.why, key: None };
    Ok(Json(house.work(&wish, &Wisher::of(&caller, &principal)).await?))
}
