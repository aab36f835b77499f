//! Who asks, as the store needs to know it: whose rows may be seen.

use std::sync::Arc;

/// Whose rows a scope covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Tenants {
    /// Every tenant: the platform's own operators and jobs.
    All,
    /// Exactly this tenant.
    One(Arc<str>),
}

/// Who asks. Made by `serve/auth` from a verified credential and by the process for itself; never from a request's words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Whose rows.
    pub tenants: Tenants,
    /// The caller's name in `query_log` and the audit log.
    pub principal: Arc<str>,
}

impl Scope {
    /// The platform's own scope.
    pub fn platform(principal: &str) -> Self {
        Scope { tenants: Tenants::All, principal: principal.into() }
    }

    /// One tenant's scope.
    pub fn tenant(tenant: &str, principal: &str) -> Self {
        Scope { tenants: Tenants::One(tenant.into()), principal: principal.into() }
    }

    /// The tenant that a row written under this scope belongs to: the scope's own, else the one the record names,
    /// else `default`. A tenant's caller can never write for another.
    pub fn owner<'a>(&'a self, named: Option<&'a str>) -> &'a str {
        match &self.tenants {
            Tenants::One(tenant) => tenant,
            Tenants::All => named.filter(|t| !t.is_empty()).unwrap_or("default"),
        }
    }
}
