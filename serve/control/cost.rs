//! `POST /control/cost`: estimates, settlements, seals and allocations, for the operator.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::cost::{CostAnswer, CostWish};
use crate::house::House;
use crate::http::problem::Problem;

/// Does what is asked.
pub async fn answer(State(house): State<Arc<House>>, Json(wish): Json<CostWish>) -> Result<Json<CostAnswer>, Problem> {
    Ok(Json(crate::cost::answer(&house, &wish).await?))
}
