//! Who calls: a key in a request becomes the `Scope` that every door reads as an extension. HTTP and gRPC alike.
//!
//! A key comes as `Authorization: Bearer KEY`, as the password of `Authorization: Basic`, or as `x-api-key: KEY`. A
//! platform key may narrow itself to one tenant with `x-stellwerk-tenant`; a tenant's key is that tenant's alone.

pub mod bootstrap;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use engine::{Error, Kind, Scope, Tenants};

use crate::house::House;
use crate::http::problem::Problem;

/// Narrows a platform scope to one tenant.
pub const TENANT_HEADER: &str = "x-stellwerk-tenant";
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
    /// Everybody who reaches the listener is this scope: loopback without authentication, or the control socket, whose
    /// peer the kernel has named.
    Everybody(Scope),
}

impl Guard {
    /// The caller's scope.
    pub async fn scope(&self, headers: &HeaderMap) -> Result<Scope, Refused> {
        let scope = match self {
            Guard::Everybody(scope) => scope.clone(),
            Guard::Keys(house) => {
                let key = presented(headers)
                    .ok_or(Refused::Unknown("a key is needed: send it as Authorization: Bearer KEY"))?;
                let principal = house.directory.verify(&key).await.map_err(Refused::Unavailable)?;
                principal.ok_or(Refused::Unknown("the key is not valid"))?.scope()
            }
        };
        narrowed(scope, headers)
    }
}

/// Why a caller was turned away.
#[derive(Debug)]
pub enum Refused {
    /// No key, or not a valid one; which of the two is all that is said.
    Unknown(&'static str),
    /// A tenant's key asked for another tenant.
    Denied,
    /// The directory could not be asked.
    Unavailable(Error),
}

/// The middleware: finds the caller's scope, puts it into the request's and the answer's extensions.
pub async fn admit(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    match guard.scope(request.headers()).await {
        Ok(scope) => {
            request.extensions_mut().insert(scope.clone());
            let mut response = next.run(request).await;
            response.extensions_mut().insert(scope);
            response
        }
        Err(refused) if is_grpc(request.headers()) => refused.grpc(),
        Err(refused) => refused.into_response(),
    }
}

fn narrowed(scope: Scope, headers: &HeaderMap) -> Result<Scope, Refused> {
    let Some(tenant) = headers.get(TENANT_HEADER).and_then(|v| v.to_str().ok()).filter(|t| !t.is_empty()) else {
        return Ok(scope);
    };
    match &scope.tenants {
        Tenants::All => Ok(Scope::tenant(tenant, &scope.principal)),
        Tenants::One(own) if own.as_ref() == tenant => Ok(scope),
        Tenants::One(_) => Err(Refused::Denied),
    }
}

/// The key in a request, wherever it stands.
fn presented(headers: &HeaderMap) -> Option<String> {
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
    fn grpc(self) -> Response {
        let (code, message) = match self {
            Refused::Unknown(why) => (GRPC_UNAUTHENTICATED, why),
            Refused::Denied => (GRPC_PERMISSION_DENIED, "the key belongs to another tenant"),
            Refused::Unavailable(_) => (GRPC_UNAVAILABLE, "the key could not be checked"),
        };
        let headers =
            [(header::CONTENT_TYPE.as_str(), "application/grpc"), ("grpc-status", code), ("grpc-message", message)];
        (StatusCode::OK, headers).into_response()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Refused::Unknown(why) => {
                let mut response = Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", why).into_response();
                let realm = HeaderValue::from_static("Bearer realm=\"stellwerk\", Basic realm=\"stellwerk\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
                response
            }
            Refused::Denied => {
                Problem::from(Error::new(Kind::Denied, "the key belongs to another tenant")).into_response()
            }
            Refused::Unavailable(error) => Problem::from(error.context("check the key")).into_response(),
        }
    }
}

#[cfg(test)]
mod tests;
