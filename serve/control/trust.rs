//! `/control/trust`: the directory, keys and the audit log, for the operator.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use ledger::principal::Caller;

use crate::house::House;
use crate::http::problem::Problem;
use crate::reach::trust::Trust;

/// Grants a wish.
pub async fn grant(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    Json(wish): Json<Trust>,
) -> Result<Json<serde_json::Value>, Problem> {
    Ok(Json(house.trust(wish, &caller).await?))
}
