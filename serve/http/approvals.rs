//! `GET /approvals`, `GET /approvals/{id}` and `POST /approvals/{id}/votes`: what people are asked, and their votes. Who votes
//! is whoever the key says; a body cannot name somebody else.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
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
    wisher: Wisher,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let wish = WorkWish::Approvals { all: wanted.all };
    Ok(Json(house.work(&wish, &wisher).await?))
}

/// `GET /approvals/{id}`.
pub async fn one(
    State(house): State<Arc<House>>,
    wisher: Wisher,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(house.work(&WorkWish::Approval { id }, &wisher).await?))
}

/// `POST /approvals/{id}/votes`.
pub async fn vote(
    State(house): State<Arc<House>>,
    wisher: Wisher,
    Path(id): Path<String>,
    Json(vote): Json<Vote>,
) -> Result<Json<Value>, Problem> {
    let wish = WorkWish::Vote { id, yes: vote.approve, why: vote.why, key: None };
    Ok(Json(house.work(&wish, &wisher).await?))
}
