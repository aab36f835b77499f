//! `POST /control/work`: the server that owns the store answers what the operator asks about jobs, flows and approvals.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use crate::house::House;
use crate::http::problem::Problem;
use crate::work::{Wisher, WorkWish};

/// Answers a wish.
pub async fn answer(State(house): State<Arc<House>>, Json(wish): Json<WorkWish>) -> Result<Json<Value>, Problem> {
    Ok(Json(house.work(&wish, &Wisher::operator()).await?))
}
