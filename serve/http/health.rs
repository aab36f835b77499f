//! Liveness, readiness and the process's own figures; open to everybody who reaches the listener.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::house::House;

/// `GET /healthz`: the process answers.
pub async fn alive() -> Json<serde_json::Value> {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// `GET /readyz`: the store is open and takes rows.
pub async fn ready(State(house): State<Arc<House>>) -> Response {
    match house.unready() {
        None => Json(json!({"status": "ready"})).into_response(),
        Some(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "not ready", "error": why, "kind": "unavailable"})))
                .into_response()
        }
    }
}

/// `GET /metrics`: Prometheus's text form.
pub async fn metrics(State(house): State<Arc<House>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let index = house.search.opened().map(|searcher| searcher.status());
    let text = house.metrics.text(&house.store.status(), index.as_ref());
    let loads = house.runner().queue().loads(house.store.clock().now_us()).await;
    // A database that is away must not hide what the process itself knows.
    let text = loads.map_or_else(|_| text.clone(), |loads| crate::metrics::with_queue(&text, &loads));
    ([(header::CONTENT_TYPE, kind)], text)
}
