//! `/control/keys`: keys are made, listed and ended by the operator.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::house::House;
use crate::http::problem::Problem;
use crate::reach::{KeyEntry, KeyWish, NewKey};

/// Makes a key.
pub async fn create(State(house): State<Arc<House>>, Json(wish): Json<KeyWish>) -> Result<Json<NewKey>, Problem> {
    Ok(Json(house.create_key(&wish).await?))
}

/// Every key.
pub async fn list(State(house): State<Arc<House>>) -> Result<Json<Vec<KeyEntry>>, Problem> {
    Ok(Json(house.directory.list(None).await?.into_iter().map(KeyEntry::from).collect()))
}

/// The key to end.
#[derive(Debug, Deserialize)]
pub struct Named {
    id: String,
}

/// Ends a key.
pub async fn revoke(
    State(house): State<Arc<House>>,
    Json(named): Json<Named>,
) -> Result<Json<serde_json::Value>, Problem> {
    house.directory.revoke(&named.id).await?;
    Ok(Json(serde_json::json!({"revoked": named.id})))
}
