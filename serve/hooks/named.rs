//! `POST /hooks/NAME`: web hooks of senders that sign, or bring a credential of their own, instead of a key of ours.
//!
//! 202 says that the delivery is durable, now or before; rules follow it by `on: [hook_event]`. 401: it is not proven who
//! sends. 400: the body says nothing that the sender's scheme knows; it lies in `reject`. 409: another body under the same
//! id. 429, or 503 for the two senders that take 429 for a refusal: come back after `Retry-After`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use engine::{Error, Kind, Result, Scope};
use ingest::Summary;
use ingest::hook::{self, Scheme, Sender, Senders};
use ledger::audit::Entry;
use serde_json::json;

use super::pressure::Pressure;
use super::{Doors, aside, never_500, proof};
use crate::house::House;
use crate::http::problem::Problem;

/// What the doors share.
struct Named {
    house: Arc<House>,
    doors: Doors,
    pressure: Pressure,
}

/// The route. It asks for no key: the sender's proof is checked here.
pub fn router(house: &Arc<House>) -> Router {
    let named =
        Named { house: Arc::clone(house), doors: Doors::new(house.store.clone()), pressure: Pressure::default() };
    Router::new().route("/hooks/{name}", post(take)).layer(DefaultBodyLimit::disable()).with_state(Arc::new(named))
}

async fn take(State(named): State<Arc<Named>>, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Response {
    let senders = named.house.senders.get();
    let Some((senders, sender)) = senders.and_then(|senders| Some((senders, senders.by_name.get(&name)?))) else {
        let what = format!("there is no web hook {name}; `serve --hooks FILE` names those that there are");
        return Problem::new(StatusCode::NOT_FOUND, "not_found", what).into_response();
    };
    match named.taken(senders, sender, &headers, body).await {
        Ok(response) => response,
        Err(error) => told(sender, never_500(error)),
    }
}

impl Named {
    async fn taken(&self, senders: &Senders, sender: &Sender, headers: &HeaderMap, body: Body) -> Result<Response> {
        let now_us = self.house.store.clock().now_us();
        let runner = self.house.runner();
        if let Some(after) = self.pressure.come_back(runner.queue(), senders.oldest_ready_max, now_us).await? {
            let kind = Kind::Overloaded { retry_after: after };
            return Err(Error::new(kind, "jobs wait longer for their turn than they should; send it again later"));
        }
        let (raw, _permit) = self.doors.read_raw(headers, body).await?;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let Err(unproven) = proof::check(&sender.proof, &header, &raw, now_us) {
            let entry = Entry::new(&scope(sender), "hook.send", sender.name.as_str()).because(unproven.as_str());
            self.house.audit.denied(entry).await;
            let what = format!("it is not proven that {} sends this", sender.name);
            return Ok(Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", what).into_response());
        }
        let is_form = header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let (kept, scheme) = (raw.clone(), sender.scheme);
        let read = aside(raw.len(), move || hook::Body::read(&kept, is_form, scheme)).await?;
        let read = read.and_then(|body| hook::read(sender, &header, &body).map(|delivery| (body, delivery)));
        let (body, delivery) = match read {
            Ok(read) => read,
            Err(reason) => {
                self.house.store.append(hook::refused(sender, &reason, &raw)).await?;
                self.count(&Summary { rejected: 1, ..Summary::default() });
                return Err(Error::invalid(format!("{reason}; it is kept in the table reject")));
            }
        };
        let receipt = self.house.store.append(hook::frame(sender, &delivery, &body, now_us)?).await?;
        let (repeated, accepted) = (u64::from(receipt.repeated), u64::from(!receipt.repeated));
        self.count(&Summary { accepted, repeated, ..Summary::default() });
        if !receipt.repeated {
            runner.wake();
        }
        let taken = json!({ "delivery_id": delivery.id, "event": delivery.event, "repeated": receipt.repeated });
        Ok((StatusCode::ACCEPTED, Json(taken)).into_response())
    }

    fn count(&self, summary: &Summary) {
        self.house.metrics.ingested("hook", summary);
    }
}

fn scope(sender: &Sender) -> Scope {
    Scope::tenant(&sender.tenant, &format!("hook {}", sender.name))
}

/// An error as the sender understands it. Alertmanager gives up on 429, and Azure DevOps counts it against the subscription;
/// both come back after 503.
fn told(sender: &Sender, error: Error) -> Response {
    let Kind::Overloaded { retry_after } = error.kind() else { return Problem::from(error).into_response() };
    let mut response = Problem::from(error).into_response();
    if !matches!(sender.scheme, Scheme::Alertmanager | Scheme::Ado) {
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    }
    let seconds = retry_after.max(Duration::from_secs(1)).as_secs();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}
