//! `GET /tables` and `GET /tables/{name}`: the SQL reference as JSON.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use engine::{Error, Kind, Scope};
use serde::Deserialize;

use super::problem::Problem;
use crate::house::House;
use crate::reference::{Reference, TableEntry, TableKind};

/// What a caller may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// Whether to count the rows that the caller sees.
    #[serde(default)]
    rows: bool,
}

/// Every table, view, state table and function.
pub async fn list(
    State(house): State<Arc<House>>,
    Extension(scope): Extension<Scope>,
    wish: Result<Query<Wish>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Reference>, Problem> {
    let Query(wish) = wish.map_err(|e| Error::invalid(format!("the query of /tables: {}", e.body_text())))?;
    Ok(Json(if wish.rows { house.counted_reference(&scope).await? } else { house.reference().clone() }))
}

/// One of them, with the rows that the caller sees.
pub async fn one(
    State(house): State<Arc<House>>,
    Extension(scope): Extension<Scope>,
    Path(name): Path<String>,
) -> Result<Json<TableEntry>, Problem> {
    let known = house.reference().table(&name).cloned();
    let mut table = known.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no table {name}")))?;
    if table.kind != TableKind::View {
        house.count(&scope, vec![&mut table]).await?;
    }
    Ok(Json(table))
}
