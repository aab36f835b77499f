//! Who calls, once a credential has been verified.

use std::sync::Arc;

use engine::Scope;

/// What a principal may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Operates the platform: sees and writes for every tenant.
    Platform,
    /// Speaks for exactly one tenant.
    Tenant,
}

impl Role {
    /// The word in the state database and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Platform => "platform",
            Role::Tenant => "tenant",
        }
    }

    /// The role of a word.
    pub fn parse(word: &str) -> Option<Self> {
        [Role::Platform, Role::Tenant].into_iter().find(|role| role.as_str() == word)
    }
}

/// A verified caller. Only its constructors make one, so a tenant's principal always has its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    tenant: Option<Arc<str>>,
    name: Arc<str>,
}

impl Principal {
    /// An operator of the platform.
    pub fn platform(name: &str) -> Self {
        Principal { tenant: None, name: name.into() }
    }

    /// Somebody who speaks for one tenant.
    pub fn tenant_member(tenant: &str, name: &str) -> Self {
        Principal { tenant: Some(tenant.into()), name: name.into() }
    }

    /// The tenant it speaks for; `None` is the platform.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Its role.
    pub fn role(&self) -> Role {
        if self.tenant.is_some() { Role::Tenant } else { Role::Platform }
    }

    /// Its name in logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whose rows it may see and write.
    pub fn scope(&self) -> Scope {
        match &self.tenant {
            Some(tenant) => Scope::tenant(tenant, &self.name),
            None => Scope::platform(&self.name),
        }
    }
}

impl From<&Principal> for Scope {
    fn from(principal: &Principal) -> Scope {
        principal.scope()
    }
}

#[cfg(test)]
mod tests {
    use engine::Tenants;

    use super::*;

    #[test]
    fn scope_follows_role() {
        let tenant = Principal::tenant_member("acme", "ci");
        assert_eq!(tenant.role(), Role::Tenant);
        assert_eq!(tenant.scope().tenants, Tenants::One("acme".into()));
        let platform = Principal::platform("ops");
        assert_eq!(platform.role(), Role::Platform);
        assert_eq!(platform.scope().tenants, Tenants::All);
    }

    #[test]
    fn words_of_roles_round_trip() {
        for role in [Role::Platform, Role::Tenant] {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("root"), None);
    }
}
