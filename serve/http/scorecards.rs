//! `GET /scorecards?scorecard=&tenant=&entity=`: how everybody stands whom the caller may see, as the view `score` has it.
//! `POST /scorecards/exemptions`: people are asked whether somebody need not pass a check for a while.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use engine::Scope;
use serde_json::{Value, json};

use super::problem::Problem;
use crate::house::House;
use crate::scores::{About, Ask};
use crate::work::Wisher;

/// The rows of `score` that the parameters and the scope leave.
pub async fn list(
    State(house): State<Arc<House>>,
    Extension(scope): Extension<Scope>,
    Query(about): Query<About>,
) -> Result<Json<Value>, Problem> {
    let scores = house.standings(&scope, &about).await?;
    Ok(Json(json!({ "scores": scores })))
}

/// `POST /scorecards/exemptions`; who asks is whoever the key says. The votes go to `/approvals/{id}/votes`.
pub async fn ask(
    State(house): State<Arc<House>>,
    wisher: Wisher,
    Json(ask): Json<Ask>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(house.ask_people(&ask, &wisher).await?)))
}
