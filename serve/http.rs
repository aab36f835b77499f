//! The HTTP door: one router that HTTP, gRPC and the control socket share, and what surrounds every request.

pub mod around;
pub mod health;
pub mod listen;
pub mod problem;
pub mod sql;
pub mod tables;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;

use crate::auth::{Guard, admit};
use crate::house::House;
use crate::{hooks, otlp};
use problem::Problem;

/// Bytes of a request's body, as sent; doors that need less say so themselves.
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// Everything that a listener answers: `more` are routes of its own (the control socket's).
pub fn app(house: &Arc<House>, guard: Guard, more: Router) -> Router {
    let store: Arc<dyn otlp::Durable> = house.store.clone();
    let telemetry = otlp::router(otlp::Doors::new(store.clone(), house.store.clock().clone(), house.metrics.clone()));
    let doors = Router::new()
        .route("/sql", post(sql::ask))
        .route("/tables", get(tables::list))
        .route("/tables/{name}", get(tables::one))
        .with_state(Arc::clone(house))
        .merge(telemetry)
        .merge(hooks::router(store))
        .merge(more)
        .route_layer(middleware::from_fn_with_state(guard, admit));
    let open = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .with_state(Arc::clone(house));
    let load = around::Load::new(Arc::clone(&house.metrics));
    doors
        .merge(open)
        .fallback(nowhere)
        .method_not_allowed_fallback(not_so)
        .layer(CatchPanicLayer::custom(around::panicked))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(around::with_body_deadline))
        .layer(Extension(Arc::clone(&house.metrics)))
        .layer(middleware::from_fn_with_state(load, around::account))
}

async fn nowhere(uri: axum::http::Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is nothing at {}", uri.path()))
}

async fn not_so(method: axum::http::Method, uri: axum::http::Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "invalid", format!("{} does not take {method}", uri.path()))
}

#[cfg(test)]
mod tests;
