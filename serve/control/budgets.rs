//! `POST /control/budgets`: what the operator asks of budgets.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::house::House;
use crate::http::budgets::{Answer, Wish, act};
use crate::http::problem::Problem;

/// Does it.
pub async fn ask(State(house): State<Arc<House>>, Json(wish): Json<Wish>) -> Result<Json<Answer>, Problem> {
    Ok(Json(act(&house, wish).await?))
}
