//! `/retention`, `/holds` and `/erasures`: what is kept, what is held, and what is erased. The platform's alone; who plans,
//! approves and runs is whoever the key says, and who asked for an erasure does not approve it.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::{Extension, Json};
use engine::{Error, Kind, Result};
use ledger::erase::{ErasureEntry, ErasureWish, Proof};
use ledger::principal::Caller;
use ledger::retention::HoldOrder;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::problem::Problem;
use crate::auth::presented;
use crate::house::House;
use crate::reach::keep::KeepWish;

/// Whoever asks: the caller, and the key that it came with.
#[derive(Debug)]
pub struct Asker {
    caller: Caller,
    key: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Extension::<Caller>::from_request_parts(parts, state).await;
        let Extension(caller) = caller.map_err(|e| Error::new(Kind::Internal, e.body_text()))?;
        if caller.scope.tenants.named().is_some() {
            let why = "what is kept and erased is the platform's matter: ask without x-stellwerk-tenant";
            return Err(Error::new(Kind::Denied, why).into());
        }
        Ok(Asker { caller, key: presented(&parts.headers) })
    }
}

/// The rows that are to be held.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// A table's name, with a `*` at its end or without; every table unless said.
    #[serde(default = "every_table")]
    tables: String,
    /// Only this tenant's rows.
    #[serde(default)]
    tenant: Option<String>,
    /// Only rows that hold one of these values.
    #[serde(default)]
    subject: Vec<String>,
    /// The matter that it is for.
    reason: String,
}

fn every_table() -> String {
    "*".to_owned()
}

/// Why a hold ends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// In words.
    reason: String,
}

/// Whose data is to be erased.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// The names and addresses of the subject.
    subject: Vec<String>,
    /// Only this tenant's rows.
    #[serde(default)]
    tenant: Option<String>,
    /// The request that it answers.
    reason: String,
}

/// What was done, and what a search of every byte found afterwards.
#[derive(Debug, Serialize)]
pub struct Proven {
    id: String,
    state: String,
    /// Whether nothing is left that could have gone.
    holds: bool,
    commitment: String,
    ended_at: Option<String>,
    proof: Proof,
}

fn read<T>(what: &str, body: Result<Json<T>, JsonRejection>) -> Result<T> {
    body.map(|Json(body)| body).map_err(|e| Error::invalid(format!("{what}: {}", e.body_text())))
}

type Shown = Result<Json<Value>, Problem>;

/// `GET /retention`: how every table stands, looked at anew.
pub async fn retention(State(house): State<Arc<House>>, asker: Asker) -> Shown {
    Ok(Json(house.keep(KeepWish::RetentionStatus, &asker.caller).await?))
}

/// `POST /retention/run`: what is past its time goes now.
pub async fn run_retention(State(house): State<Arc<House>>, asker: Asker) -> Shown {
    to_its_end(house, KeepWish::RetentionRun, asker.caller).await
}

/// `GET /holds`: every hold, released ones too.
pub async fn holds(State(house): State<Arc<House>>, asker: Asker) -> Shown {
    Ok(Json(house.keep(KeepWish::ListHolds, &asker.caller).await?))
}

/// `POST /holds`: rows stay from now on.
pub async fn hold(
    State(house): State<Arc<House>>,
    asker: Asker,
    body: Result<Json<Hold>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Hold { tables, tenant, subject, reason } = read("the hold", body)?;
    let wish = KeepWish::AddHold(HoldOrder { tables, tenant, subject, reason });
    Ok((StatusCode::CREATED, Json(house.keep(wish, &asker.caller).await?)))
}

/// `POST /holds/{id}/release`: its rows may go.
pub async fn release(
    State(house): State<Arc<House>>,
    asker: Asker,
    Path(id): Path<String>,
    body: Result<Json<Release>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Release { reason } = read("the release", body)?;
    house.keep(KeepWish::ReleaseHold { id, reason }, &asker.caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /erasures`: every erasure, oldest first.
pub async fn erasures(State(house): State<Arc<House>>, asker: Asker) -> Shown {
    Ok(Json(house.keep(KeepWish::ListErasures, &asker.caller).await?))
}

/// `POST /erasures`: a subject's data is looked for everywhere; nothing is changed.
pub async fn plan(
    State(house): State<Arc<House>>,
    asker: Asker,
    body: Result<Json<Erasure>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Erasure { subject, tenant, reason } = read("the erasure", body)?;
    let wish = KeepWish::PlanErasure { wish: ErasureWish { subject, tenant, reason }, key: asker.key };
    Ok((StatusCode::CREATED, Json(house.keep(wish, &asker.caller).await?)))
}

/// `GET /erasures/{id}`: its plan and its proof.
pub async fn erasure(State(house): State<Arc<House>>, asker: Asker, Path(id): Path<String>) -> Shown {
    Ok(Json(house.keep(KeepWish::ShowErasure { id }, &asker.caller).await?))
}

/// `POST /erasures/{id}/approve`: by somebody else than who asked.
pub async fn approve(State(house): State<Arc<House>>, asker: Asker, Path(id): Path<String>) -> Shown {
    Ok(Json(house.keep(KeepWish::ApproveErasure { id, key: asker.key }, &asker.caller).await?))
}

/// `POST /erasures/{id}/run`: what was approved is done. The salt of the commitment is told in this answer and never again.
pub async fn run(State(house): State<Arc<House>>, asker: Asker, Path(id): Path<String>) -> Shown {
    to_its_end(house, KeepWish::RunErasure { id, key: asker.key }, asker.caller).await
}

/// `POST /erasures/{id}/cancel`: given up, its values go.
pub async fn cancel(State(house): State<Arc<House>>, asker: Asker, Path(id): Path<String>) -> Shown {
    Ok(Json(house.keep(KeepWish::CancelErasure { id, key: asker.key }, &asker.caller).await?))
}

/// `GET /erasures/{id}/proof`: what a run left behind it.
pub async fn proof(
    State(house): State<Arc<House>>,
    asker: Asker,
    Path(id): Path<String>,
) -> Result<Json<Proven>, Problem> {
    let shown = house.keep(KeepWish::ShowErasure { id: id.clone() }, &asker.caller).await?;
    let broken = |e: serde_json::Error| Error::new(Kind::Internal, format!("read the erasure {id}: {e}"));
    let ErasureEntry { state, commitment, ended_at, proof, .. } = serde_json::from_value(shown).map_err(broken)?;
    let missing = || Error::new(Kind::NotFound, format!("the erasure {id} is {state}: a proof comes with its run"));
    let proof = proof.ok_or_else(missing)?;
    Ok(Json(Proven { id, state, holds: proof.holds(), commitment, ended_at, proof }))
}

/// Grants a wish that goes on when whoever asked has gone: half of it would have to be done again.
async fn to_its_end(house: Arc<House>, wish: KeepWish, caller: Caller) -> Shown {
    let doing = tokio::spawn(async move { house.keep(wish, &caller).await });
    let done = doing.await.map_err(|e| Error::new(Kind::Internal, format!("what was asked for broke off: {e}")))?;
    Ok(Json(done?))
}
