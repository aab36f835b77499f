//! Who wishes something of jobs, flows and approvals: what the key of a request says.

use axum::Extension;
use axum::extract::FromRequestParts;
use axum::extract::rejection::ExtensionRejection;
use axum::http::request::Parts;
use ledger::principal::{Caller, Principal};

use crate::work::Wisher;

impl<S: Send + Sync> FromRequestParts<S> for Wisher {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Extension(caller) = Extension::<Caller>::from_request_parts(parts, state).await?;
        let Extension(principal) = Extension::<Principal>::from_request_parts(parts, state).await?;
        Ok(Wisher::of(&caller, &principal))
    }
}
