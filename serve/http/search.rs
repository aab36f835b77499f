//! `POST /search`: the best pieces of documents for a question, as JSON; with `explain`, why each stands where it stands.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json};
use engine::Scope;
use index::search::{Found, SearchWish};

use super::answer::wish;
use super::problem::Problem;
use crate::house::House;

/// Searches under the caller's scope.
pub async fn search(
    State(house): State<Arc<House>>,
    Extension(scope): Extension<Scope>,
    body: Body,
) -> Result<Json<Found>, Problem> {
    let wish: SearchWish = wish(body, r#"{"query": "…", "k": 10, "explain": false}"#).await?;
    Ok(Json(house.search_as(&scope, &wish).await?))
}
