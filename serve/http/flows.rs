//! `GET /flows`, `POST /flows`, `GET /flows/{id}`, `POST /flows/{id}/cancel` and `POST /flows/{id}/signals/{name}`: flows
//! started and spoken to. To start one is the platform's matter; a signal is its tenant's, too.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use engine::{Error, Kind};
use jobs::flow::Start;
use serde::Deserialize;
use serde_json::Value;

use super::problem::Problem;
use crate::house::House;
use crate::work::{Wisher, WorkWish};

/// Tells a request that is sent twice.
const KEY_HEADER: &str = "idempotency-key";

/// Which flows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Also those that have ended.
    #[serde(default)]
    all: bool,
}

/// Why a flow is to end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// In words.
    why: String,
}

fn key(headers: &HeaderMap) -> Option<String> {
    headers.get(KEY_HEADER).and_then(|value| value.to_str().ok()).filter(|key| !key.is_empty()).map(str::to_owned)
}

fn operates(wisher: &Wisher, what: &str) -> Result<(), Problem> {
    match wisher.operates {
        true => Ok(()),
        false => Err(Error::new(Kind::Denied, format!("the key has not the scope operate, which {what} needs")).into()),
    }
}

/// Too much to do is the caller's to wait for: 429, with the time to come back.
fn come_back(error: Error) -> Problem {
    match error.kind() {
        Kind::Overloaded { .. } => Problem::from(error).with_status(StatusCode::TOO_MANY_REQUESTS),
        _ => Problem::from(error),
    }
}

/// `GET /flows`.
pub async fn list(
    State(house): State<Arc<House>>,
    wisher: Wisher,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let wish = WorkWish::List { ended: wanted.all };
    Ok(Json(house.work(&wish, &wisher).await?))
}

/// `POST /flows`; the `Idempotency-Key` names the flow where the body does not.
pub async fn start(
    State(house): State<Arc<House>>,
    wisher: Wisher,
    headers: HeaderMap,
    Json(start): Json<Start>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    operates(&wisher, "the start of a flow")?;
    let now = house.store.clock().now_us();
    house.runner().queue().take_more(now).await.map_err(come_back)?;
    let start = Start { key: start.key.clone().or_else(|| key(&headers)), ..start };
    Ok((StatusCode::ACCEPTED, Json(house.work(&WorkWish::Start(start), &wisher).await?)))
}

/// `GET /flows/{id}`.
pub async fn one(
    State(house): State<Arc<House>>,
    wisher: Wisher,
    Path(flow): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(house.work(&WorkWish::Show { flow }, &wisher).await?))
}

/// `POST /flows/{id}/cancel`.
pub async fn cancel(
    State(house): State<Arc<House>>,
    wisher: Wisher,
    Path(flow): Path<String>,
    Json(cancel): Json<Cancel>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    operates(&wisher, "the end of a flow")?;
    let wish = WorkWish::Cancel { flow, why: cancel.why };
    Ok((StatusCode::ACCEPTED, Json(house.work(&wish, &wisher).await?)))
}

/// `POST /flows/{id}/signals/{name}`; the body is what the signal says, the `Idempotency-Key` tells one that is sent twice.
pub async fn signal(
    State(house): State<Arc<House>>,
    wisher: Wisher,
    Path((flow, signal)): Path<(String, String)>,
    headers: HeaderMap,
    Json(payload): Json<Value>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let wish = WorkWish::Signal { flow, signal, payload, id: key(&headers) };
    Ok((StatusCode::ACCEPTED, Json(house.work(&wish, &wisher).await?)))
}
