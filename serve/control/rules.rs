//! `POST /control/rules`: the server that owns the store answers what the operator asks about rules and jobs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use crate::house::House;
use crate::http::problem::Problem;
use crate::rules::RuleWish;

/// Answers a wish.
pub async fn answer(State(house): State<Arc<House>>, Json(wish): Json<RuleWish>) -> Result<Json<Value>, Problem> {
    Ok(Json(house.rules(&wish).await?))
}
