//! `POST /control/scores`: the server that owns the store answers what the operator asks about scorecards.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use crate::house::House;
use crate::http::problem::Problem;
use crate::scores::ScoreWish;

/// Answers a wish.
pub async fn answer(State(house): State<Arc<House>>, Json(wish): Json<ScoreWish>) -> Result<Json<Value>, Problem> {
    Ok(Json(house.scores(&wish).await?))
}
