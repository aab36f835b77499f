//! `GET /scorecards?scorecard=&tenant=&entity=`: how everybody stands whom the caller may see, as the view `score` has it.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::{Extension, Json};
use engine::Scope;
use serde_json::{Value, json};

use super::problem::Problem;
use crate::house::House;
use crate::scores::About;

/// The rows of `score` that the parameters and the scope leave.
pub async fn list(
    State(house): State<Arc<House>>,
    Extension(scope): Extension<Scope>,
    Query(about): Query<About>,
) -> Result<Json<Value>, Problem> {
    let scores = house.standings(&scope, &about).await?;
    Ok(Json(json!({ "scores": scores })))
}
