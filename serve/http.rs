//! The HTTP door: one router that HTTP, gRPC and the control socket share, and what surrounds every request.

pub mod acknowledge;
pub mod answer;
pub mod approvals;
pub mod around;
pub mod audit;
pub mod budgets;
pub mod embeddings;
pub mod flows;
pub mod health;
pub mod keep;
pub mod keys;
pub mod listen;
pub mod opencost;
pub mod problem;
pub mod scorecards;
pub mod search;
pub mod sql;
pub mod tables;
pub mod tenants;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
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
        .route("/answer", post(answer::answer))
        .route("/search", post(search::search))
        .route("/budgets/reserve", post(budgets::reserve))
        .route("/budgets/post", post(budgets::post))
        .route("/budgets/void", post(budgets::void))
        .route("/allocation", get(opencost::allocation))
        .route("/allocation/compute", get(opencost::allocation))
        .route("/assets", get(opencost::assets))
        .route("/scorecards", get(scorecards::list))
        .route("/scorecards/exemptions", post(scorecards::ask))
        .route("/tables", get(tables::list))
        .route("/tables/{name}", get(tables::one))
        .route("/v1/embeddings", post(embeddings::embed))
        .route("/tenants", get(tenants::list))
        .route("/tenants/{tenant}", get(tenants::one).put(tenants::put))
        .route("/keys", get(keys::list).post(keys::create))
        .route("/keys/{id}", delete(keys::revoke))
        .route("/keys/{id}/rotate", post(keys::rotate))
        .route("/retention", get(keep::retention))
        .route("/retention/run", post(keep::run_retention))
        .route("/holds", get(keep::holds).post(keep::hold))
        .route("/holds/{id}/release", post(keep::release))
        .route("/erasures", get(keep::erasures).post(keep::plan))
        .route("/erasures/{id}", get(keep::erasure))
        .route("/erasures/{id}/approve", post(keep::approve))
        .route("/erasures/{id}/run", post(keep::run))
        .route("/erasures/{id}/cancel", post(keep::cancel))
        .route("/erasures/{id}/proof", get(keep::proof))
        .route("/approvals", get(approvals::list))
        .route("/approvals/{id}", get(approvals::one))
        .route("/approvals/{id}/votes", post(approvals::vote))
        .route("/flows", get(flows::list).post(flows::start))
        .route("/flows/{id}", get(flows::one))
        .route("/flows/{id}/cancel", post(flows::cancel))
        .route("/flows/{id}/signals/{name}", post(flows::signal))
        .route("/audit/root", post(audit::root))
        .route("/audit/rows/{seq}/proof", get(audit::row))
        .route("/audit/growth", get(audit::growth))
        .with_state(Arc::clone(house))
        .merge(telemetry)
        .merge(hooks::router(store))
        .merge(more)
        .route_layer(middleware::from_fn_with_state(guard, admit));
    let open = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/acknowledge/{job}/{until}/{signature}", get(acknowledge::show).post(acknowledge::acknowledge))
        .with_state(Arc::clone(house))
        .merge(hooks::named::router(house));
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
mod wisher;
