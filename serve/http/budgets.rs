//! `POST /budgets/reserve`, `/budgets/post` and `/budgets/void`: spending in two phases. A refusal is no error of the
//! caller's request; it is told as one (402 where the budget is spent, 429 where waiting helps), with the budget's name
//! and when it begins anew.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use engine::clock::rfc3339;
use engine::{Error, Kind, Result, Scope, Tenants};
use ledger::budget::{
    Allowed, Amounts, Attributes, Author, Change, OverQuota, Reason, Refusal, Request, Room, Settled, Verdict,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::house::House;

/// The tenant of callers who name none.
const TENANT: &str = "default";

/// Somebody wants to spend.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// The same request has the same id, however often it is sent.
    pub request_id: String,
    /// Who pays; a tenant's key speaks for itself.
    #[serde(default)]
    pub tenant: Option<String>,
    /// What the request says about itself, by the ledger's column names.
    #[serde(default)]
    pub attributes: Map<String, Value>,
    /// An upper bound of what it takes, by unit: `{"USD": "0.05", "tokens": 1200}`.
    #[serde(default)]
    pub amounts: Map<String, Value>,
    /// How long the reservation holds, in seconds.
    #[serde(default)]
    pub ttl_s: Option<u64>,
    /// How long to wait where only other reservations are in the way, in milliseconds.
    #[serde(default)]
    pub wait_ms: Option<u64>,
}

/// Somebody says what a request took.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settle {
    /// The request.
    pub request_id: String,
    /// Who pays.
    #[serde(default)]
    pub tenant: Option<String>,
    /// What it took, by unit; what is not named took what was reserved.
    #[serde(default)]
    pub amounts: Map<String, Value>,
}

/// What is asked of budgets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Wish {
    /// Put the budgets of a file in place.
    Apply {
        /// The file's text.
        text: String,
        /// Only say what would change.
        dry_run: bool,
        /// Who does.
        by: String,
    },
    /// Take a budget or quota away.
    Delete {
        /// Whose.
        tenant: String,
        /// Which.
        name: String,
        /// Who does.
        by: String,
    },
    /// Bring what is told up to date.
    Refresh,
    /// Reserve.
    Reserve(Reserve),
    /// Say what it took.
    Post(Settle),
    /// Give it back.
    Void(Settle),
}

/// What comes of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "is", content = "of", rename_all = "snake_case")]
pub enum Answer {
    /// What changed.
    Changes(Vec<Change>),
    /// It is up to date.
    Fresh,
    /// It is reserved, or settled: a JSON document.
    Done(Value),
    /// It is refused: the document of the refusal.
    Refused(Value),
}

/// Does what is wished for the operator.
pub async fn act(house: &House, wish: Wish) -> Result<Answer> {
    let scope = Scope::platform("operator");
    Ok(match wish {
        Wish::Apply { text, dry_run, by } => {
            Answer::Changes(house.budgets.apply(&text, &Author { name: by, tenant: None }, dry_run).await?)
        }
        Wish::Delete { tenant, name, by } => {
            Answer::Changes(house.budgets.delete(&tenant, &name, &Author { name: by, tenant: None }).await?)
        }
        Wish::Refresh => {
            house.budgets.tick().await?;
            house.budgets.read_ledger(&house.store).await?;
            house.budgets.evaluate().await?;
            Answer::Fresh
        }
        Wish::Reserve(wish) => match reserved(house, &scope, &wish).await? {
            Verdict::Allowed(allowed) => Answer::Done(allowed_json(&wish.request_id, &allowed)),
            Verdict::Refused(refusal) => Answer::Refused(refusal_json(&refusal, &scope)),
            Verdict::OverQuota(over) => Answer::Refused(quota_json(&over)),
        },
        Wish::Post(wish) => Answer::Done(settled_json(&wish.request_id, settled(house, &scope, &wish, true).await?)),
        Wish::Void(wish) => Answer::Done(settled_json(&wish.request_id, settled(house, &scope, &wish, false).await?)),
    })
}

/// Whose money it is: a tenant's caller spends its own.
fn payer<'a>(scope: &'a Scope, named: Option<&'a str>) -> Result<&'a str> {
    match (&scope.tenants, named) {
        (Tenants::One(own), Some(named)) if own.as_ref() != named => {
            Err(Error::new(Kind::Denied, "the key belongs to another tenant"))
        }
        (Tenants::One(own), _) => Ok(own),
        (Tenants::Several(_), Some(named)) if scope.tenants.covers(named) => Ok(named),
        (Tenants::Several(_), Some(_)) => Err(Error::new(Kind::Denied, "the key may not spend for this tenant")),
        (Tenants::Several(_), None) => Err(Error::invalid("the key speaks for several tenants: say whose money it is")),
        (Tenants::All, named) => Ok(named.unwrap_or(TENANT)),
    }
}

fn amounts(object: &Map<String, Value>) -> Result<Amounts> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(Error::invalid(format!("an amount is a number or its digits, not {other}"))),
    };
    let pairs = object.iter().map(|(unit, value)| Ok((unit.clone(), text(value)?))).collect::<Result<Vec<_>>>()?;
    Amounts::parse(pairs.iter().map(|(unit, text)| (unit.as_str(), text.as_str())))
}

async fn reserved(house: &House, scope: &Scope, wish: &Reserve) -> Result<Verdict> {
    let tenant = payer(scope, wish.tenant.as_deref())?;
    let attributes = Attributes::parse(&wish.attributes)?;
    let mut request = Request::new(tenant, &wish.request_id, attributes, amounts(&wish.amounts)?)?;
    if let Some(seconds) = wish.ttl_s {
        request.ttl = Duration::from_secs(seconds);
    }
    request.wait = Duration::from_millis(wish.wait_ms.unwrap_or(0));
    house.budgets.reserve(&request).await
}

async fn settled(house: &House, scope: &Scope, wish: &Settle, posts: bool) -> Result<Settled> {
    let tenant = payer(scope, wish.tenant.as_deref())?;
    let key = (Arc::from(tenant), Arc::from(wish.request_id.as_str()));
    match posts {
        true => house.budgets.post(&key, &amounts(&wish.amounts)?).await,
        false => house.budgets.void(&key).await,
    }
}

fn allowed_json(request_id: &str, allowed: &Allowed) -> Value {
    let budgets: Vec<String> = allowed.budgets.iter().map(|(tenant, name)| format!("{tenant}/{name}")).collect();
    json!({
        "verdict": "allowed", "request_id": request_id, "repeated": allowed.repeated, "budgets": budgets,
        "expires_at": rfc3339(allowed.expires_us),
    })
}

fn settled_json(request_id: &str, settled: Settled) -> Value {
    json!({"request_id": request_id, "repeated": settled == Settled::Before})
}

/// The refusal; figures of a budget that is not the caller's own are not told.
fn refusal_json(refusal: &Refusal, scope: &Scope) -> Value {
    let own = scope.tenants.covers(&refusal.tenant);
    let text = |units: i64| refusal.unit.text(units);
    let mut told = json!({
        "type": "insufficient_quota", "title": "The budget has no room for this request", "code": "budget_exceeded",
        "status": refusal_status(refusal).as_u16(), "detail": refusal.to_string(), "error": refusal.to_string(), "kind": "limit",
        "verdict": "refused", "reason": refusal.reason.as_str(), "budget": refusal.budget, "tenant": refusal.tenant,
        "param": refusal.budget, "unit": refusal.unit.to_string(), "resets_at": refusal.resets_us.map(rfc3339),
        "retry_after_s": refusal.retry_after_us.map(seconds),
    });
    if own {
        told["limit"] = text(refusal.limit).into();
        told["spent"] = text(refusal.spent).into();
        told["reserved"] = text(refusal.reserved).into();
        told["asked"] = text(refusal.asked).into();
    }
    told
}

fn quota_json(over: &OverQuota) -> Value {
    let text = format!("quota {}: too many {}", over.name, over.what);
    json!({
        "type": "rate_limit_exceeded", "title": "Too much at once", "code": "rate_limit_exceeded", "status": 429,
        "detail": text, "error": text, "kind": "limit", "verdict": "refused", "reason": over.what, "quota": over.name, "param": over.name,
        "retry_after_s": over.retry_after_us.map(seconds), "retry_after_ms": over.retry_after_us.map(milliseconds),
    })
}

/// Whole seconds, never too few.
fn seconds(us: i64) -> i64 {
    (us + 999_999) / 1_000_000
}

/// Whole milliseconds, never too few.
fn milliseconds(us: i64) -> i64 {
    (us + 999) / 1_000
}

fn refusal_status(refusal: &Refusal) -> StatusCode {
    match refusal.reason {
        Reason::Spent => StatusCode::PAYMENT_REQUIRED,
        Reason::Reserved => StatusCode::TOO_MANY_REQUESTS,
    }
}

/// A refusal as problem+json.
fn refused(status: StatusCode, told: Value, retry_after_us: Option<i64>, helps: bool) -> Response {
    let mut response = (status, Json(told)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(us) = retry_after_us {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(us)));
        headers.insert(HeaderName::from_static("retry-after-ms"), HeaderValue::from(milliseconds(us)));
    }
    let should = HeaderValue::from_static(if helps { "true" } else { "false" });
    headers.insert(HeaderName::from_static("x-should-retry"), should);
    response
}

fn room_headers(headers: &mut HeaderMap, rooms: (Option<Room>, Option<Room>)) {
    for (what, room) in [("requests", rooms.0), ("tokens", rooms.1)] {
        let Some(room) = room else { continue };
        let reset_ms = milliseconds(room.reset_us);
        for (name, value) in [("limit", room.limit), ("remaining", room.remaining), ("reset", reset_ms)] {
            let name = HeaderName::try_from(format!("x-ratelimit-{name}-{what}"));
            let text = if name.as_ref().is_ok_and(|n| n.as_str().contains("reset")) {
                format!("{value}ms")
            } else {
                value.to_string()
            };
            if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(text)) {
                headers.insert(name, value);
            }
        }
    }
}

/// `POST /budgets/reserve`.
pub async fn reserve(
    State(house): State<Arc<House>>,
    Extension(scope): Extension<Scope>,
    Json(wish): Json<Reserve>,
) -> Result<Response, Problem> {
    Ok(match reserved(&house, &scope, &wish).await? {
        Verdict::Allowed(allowed) => {
            let mut response = Json(allowed_json(&wish.request_id, &allowed)).into_response();
            room_headers(response.headers_mut(), allowed.rooms);
            response
        }
        Verdict::Refused(refusal) => {
            let helps = refusal.reason == Reason::Reserved;
            refused(refusal_status(&refusal), refusal_json(&refusal, &scope), refusal.retry_after_us, helps)
        }
        Verdict::OverQuota(over) => {
            let helps = over.retry_after_us.is_some() || over.what == "concurrency";
            refused(StatusCode::TOO_MANY_REQUESTS, quota_json(&over), over.retry_after_us, helps)
        }
    })
}

/// `POST /budgets/post`.
pub async fn post(
    State(house): State<Arc<House>>,
    Extension(scope): Extension<Scope>,
    Json(wish): Json<Settle>,
) -> Result<Json<Value>, Problem> {
    let done = settled(&house, &scope, &wish, true).await?;
    Ok(Json(settled_json(&wish.request_id, done)))
}

/// `POST /budgets/void`.
pub async fn void(
    State(house): State<Arc<House>>,
    Extension(scope): Extension<Scope>,
    Json(wish): Json<Settle>,
) -> Result<Json<Value>, Problem> {
    let done = settled(&house, &scope, &wish, false).await?;
    Ok(Json(settled_json(&wish.request_id, done)))
}
