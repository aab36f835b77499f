//! Who calls: a key in a request becomes the `Scope`, the `Caller` and the `Principal` that every door reads as extensions.
//! HTTP and gRPC alike. What a route needs stands in [`need`]; whether the caller may is asked of its principal, here and once.
//!
//! A key comes as `Authorization: Bearer KEY`, as the password of `Authorization: Basic`, or as `x-api-key: KEY`. Whoever
//! may see several tenants' rows may narrow itself to one with `x-stellwerk-tenant`; `x-stellwerk-on-behalf-of` and
//! `traceparent` are kept in the audit log.

pub mod bootstrap;
pub mod need;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use engine::{Error, Kind, Scope};
use ledger::audit::{Audit, Entry};
use ledger::directory::{PREFIX, Refusal};
use ledger::principal::{Caller, Permission, Principal};

use crate::house::House;
use crate::http::problem::{Denied, Problem};

/// Narrows a scope to one tenant.
pub const TENANT_HEADER: &str = "x-stellwerk-tenant";
/// For whom the caller says it acts.
pub const BEHALF_HEADER: &str = "x-stellwerk-on-behalf-of";
/// Characters of that name.
const BEHALF_CHARS_MAX: usize = 256;
/// gRPC's code for a caller who is not known.
const GRPC_UNAUTHENTICATED: &str = "16";
/// gRPC's code for a caller who may not.
const GRPC_PERMISSION_DENIED: &str = "7";
/// gRPC's code for a directory that cannot be asked.
const GRPC_UNAVAILABLE: &str = "14";

/// How callers prove who they are.
#[derive(Debug, Clone)]
pub enum Guard {
    /// By a key of the directory.
    Keys(Arc<House>),
    /// Everybody who reaches the listener is this principal: loopback without authentication, or the control socket, whose
    /// peer the kernel has named.
    Everybody(Principal),
}

impl Guard {
    /// The principal of a request, and how it is known.
    async fn principal(&self, headers: &HeaderMap) -> Result<(Principal, String), Refused> {
        let house = match self {
            Guard::Everybody(principal) => return Ok((principal.clone(), "whoever reaches the listener".to_owned())),
            Guard::Keys(house) => house,
        };
        let key = presented(headers).ok_or(Refused::Unknown(Refusal::NoKey, None))?;
        let principal = house.directory.examine(&key).await.map_err(Refused::Unavailable)?;
        let id = key_id(&key);
        let principal = principal.map_err(|refusal| Refused::Unknown(refusal, id.clone()))?;
        Ok((principal, format!("key {}", id.unwrap_or_default())))
    }

    /// The caller of a request that needs a permission, and its principal.
    pub async fn caller(&self, headers: &HeaderMap, needed: Permission) -> Result<(Principal, Caller), Refused> {
        let (principal, how) = self.principal(headers).await?;
        let lacks = || Refused::Lacks(principal.clone(), needed);
        let scope = principal.scope_for(needed).ok_or_else(lacks)?;
        let scope = match value_of(headers, TENANT_HEADER) {
            None => scope,
            Some(tenant) => principal.narrowed(&scope, tenant).ok_or_else(|| Refused::Foreign(principal.clone()))?,
        };
        let behalf = value_of(headers, BEHALF_HEADER).map(|name| name.chars().take(BEHALF_CHARS_MAX).collect());
        let reason = format!("{how} has the scope {}", needed.as_str());
        let caller = Caller { scope, reason, on_behalf_of: behalf, trace_id: trace_id(headers) };
        Ok((principal, caller))
    }

    fn audit(&self) -> Option<&Audit> {
        match self {
            Guard::Keys(house) => Some(&house.audit),
            Guard::Everybody(_) => None,
        }
    }
}

/// Why a caller was turned away.
#[derive(Debug)]
pub enum Refused {
    /// No key, or not a good one; the caller is told only which of the two. With the public part of the key.
    Unknown(Refusal, Option<String>),
    /// The key may not do this.
    Lacks(Principal, Permission),
    /// The key asked for a tenant that is not its own.
    Foreign(Principal),
    /// The directory could not be asked.
    Unavailable(Error),
}

/// The middleware: finds the caller, puts scope, caller and principal into the request's extensions, the scope into the
/// answer's.
pub async fn admit(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let needed = need::needed(request.method(), request.uri().path());
    match guard.caller(request.headers(), needed).await {
        Ok((principal, caller)) => {
            let scope = caller.scope.clone();
            let what = format!("{} {}", request.method(), request.uri().path());
            let told = NOTED.contains(&request.uri().path());
            request.extensions_mut().insert(scope.clone());
            request.extensions_mut().insert(caller.clone());
            request.extensions_mut().insert(principal);
            let mut response = next.run(request).await;
            if let (Some(audit), Some(why), false) = (guard.audit(), denied_behind(&response), told) {
                audit.denied(caller.entry("door.act", what).because(why)).await;
            }
            response.extensions_mut().insert(scope);
            response
        }
        Err(refused) => {
            if let Some(audit) = guard.audit() {
                let entry = refused.entry(request.method(), request.uri().path(), request.headers());
                if let Some(entry) = entry {
                    audit.denied(entry).await;
                }
            }
            if is_grpc(request.headers()) { refused.grpc() } else { refused.into_response() }
        }
    }
}

/// Routes behind which a denial is noted with more than the door knows.
const NOTED: &[&str] = &["/sql", "/tables"];

/// Why whoever answered denied it, if that is what the answer says.
fn denied_behind(response: &Response) -> Option<String> {
    if let Some(Denied(why)) = response.extensions().get::<Denied>() {
        return Some(why.clone());
    }
    let grpc = response.headers().get("grpc-status").is_some_and(|status| status == GRPC_PERMISSION_DENIED);
    grpc.then(|| "refused over gRPC".to_owned())
}

/// The public part of a key.
fn key_id(key: &str) -> Option<String> {
    let id = key.strip_prefix(PREFIX)?.split('_').next()?;
    (!id.is_empty() && id.len() <= 32 && id.bytes().all(|b| b.is_ascii_alphanumeric())).then(|| id.to_owned())
}

fn value_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).filter(|value| !value.is_empty())
}

/// The trace of a W3C `traceparent`.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let id = value_of(headers, "traceparent")?.split('-').nth(1)?;
    let is_id = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) && id.bytes().any(|b| b != b'0');
    is_id.then(|| id.to_ascii_lowercase())
}

/// The key in a request, wherever it stands.
pub fn presented(headers: &HeaderMap) -> Option<String> {
    if let Some(key) = headers.get("x-api-key").and_then(|v| v.to_str().ok()) {
        return Some(key.trim().to_owned());
    }
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credential) = value.trim().split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credential.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(credential.trim()).ok()?;
    let (_, password) = String::from_utf8(decoded).ok()?.split_once(':').map(|(u, p)| (u.to_owned(), p.to_owned()))?;
    Some(password)
}

/// Whether the caller speaks gRPC, whose errors travel in trailers of a 200.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/grpc"))
}

impl Refused {
    /// What the audit log says of it; nothing where nobody was refused.
    fn entry(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Entry> {
        let (scope, action, subject, reason) = match self {
            Refused::Unknown(refusal, id) => {
                let id = id.clone().unwrap_or_else(|| "none".to_owned());
                (Scope::platform("unknown"), "key.use", id, refusal.as_str().to_owned())
            }
            Refused::Lacks(principal, needed) => {
                (named(principal), "door.open", format!("{method} {path}"), format!("no scope {}", needed.as_str()))
            }
            Refused::Foreign(principal) => {
                (named(principal), "door.open", format!("{method} {path}"), "another tenant's rows".to_owned())
            }
            Refused::Unavailable(_) => return None,
        };
        Some(Entry::new(&scope, action, subject).because(reason).traced(trace_id(headers).as_deref()))
    }

    fn said(&self) -> String {
        match self {
            Refused::Unknown(Refusal::NoKey, None) => {
                "a key is needed: send it as Authorization: Bearer KEY".to_owned()
            }
            Refused::Unknown(..) => "the key is not valid".to_owned(),
            Refused::Lacks(_, needed) => format!("the key does not have the scope {}", needed.as_str()),
            Refused::Foreign(_) => "the key belongs to another tenant".to_owned(),
            Refused::Unavailable(_) => "the key could not be checked".to_owned(),
        }
    }

    fn grpc(self) -> Response {
        let code = match self {
            Refused::Unknown(..) => GRPC_UNAUTHENTICATED,
            Refused::Lacks(..) | Refused::Foreign(_) => GRPC_PERMISSION_DENIED,
            Refused::Unavailable(_) => GRPC_UNAVAILABLE,
        };
        let said = self.said();
        let headers = [
            (header::CONTENT_TYPE.as_str(), "application/grpc"),
            ("grpc-status", code),
            ("grpc-message", said.as_str()),
        ];
        (StatusCode::OK, headers).into_response()
    }
}

/// The scope under whose name a refusal is noted: the tenant sees its own callers' refusals.
fn named(principal: &Principal) -> Scope {
    match principal.tenant() {
        Some(tenant) => Scope::tenant(tenant, principal.name()),
        None => Scope::platform(principal.name()),
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let said = self.said();
        match self {
            Refused::Unknown(..) => {
                let mut response = Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", said).into_response();
                let realm = HeaderValue::from_static("Bearer realm=\"stellwerk\", Basic realm=\"stellwerk\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
                response
            }
            Refused::Lacks(..) | Refused::Foreign(_) => Problem::from(Error::new(Kind::Denied, said)).into_response(),
            Refused::Unavailable(error) => Problem::from(error.context("check the key")).into_response(),
        }
    }
}

#[cfg(test)]
mod tests;
