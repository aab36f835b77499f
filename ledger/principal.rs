//! Who calls, once a credential has been verified, and what it may do: the one place where that is decided. A door asks
//! [`Principal::may`].

mod permission;

use std::sync::Arc;

use engine::{Scope, Tenants};

use crate::audit::Entry;

pub use permission::{Permission, Permissions};

/// What a principal may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Operates the platform: sees and writes for every tenant.
    Platform,
    /// Speaks for exactly one tenant, and sees others where its teams or roles were granted them.
    Tenant,
    /// Has no tenant of its own: sees what its teams and roles were granted.
    Granted,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::Platform, Role::Tenant, Role::Granted];

    /// The word in the state database and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Platform => "platform",
            Role::Tenant => "tenant",
            Role::Granted => "granted",
        }
    }

    /// The role of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Role::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// A verified caller. Only its constructors make one, so a tenant's principal always has its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    role: Role,
    tenant: Option<Arc<str>>,
    name: Arc<str>,
    permissions: Permissions,
    /// Tenants that its teams and roles were granted, for reading and for writing.
    reads: Arc<[Arc<str>]>,
    writes: Arc<[Arc<str>]>,
    /// `tenant/team`, those above included; `role:name`.
    groups: Arc<[String]>,
}

impl Principal {
    /// An operator of the platform.
    pub fn platform(name: &str) -> Self {
        Principal::of(Role::Platform, None, name, Permissions::ALL)
    }

    /// Somebody who speaks for one tenant: reads and writes its rows.
    pub fn tenant_member(tenant: &str, name: &str) -> Self {
        let permissions = Permissions::of(&[Permission::Read, Permission::Write]);
        Principal::of(Role::Tenant, Some(tenant), name, permissions)
    }

    /// Somebody who sees what was granted.
    pub fn granted(name: &str) -> Self {
        Principal::of(Role::Granted, None, name, Permissions::of(&[Permission::Read]))
    }

    fn of(role: Role, tenant: Option<&str>, name: &str, permissions: Permissions) -> Self {
        let none: Arc<[Arc<str>]> = Arc::from([]);
        let groups = Arc::from([]);
        Principal {
            role,
            tenant: tenant.map(Arc::from),
            name: name.into(),
            permissions,
            reads: none.clone(),
            writes: none,
            groups,
        }
    }

    /// The same principal with these permissions, as far as its role goes.
    pub fn with_permissions(self, permissions: Permissions) -> Self {
        Principal { permissions: permissions.within(self.role), ..self }
    }

    /// The same principal in these groups (`tenant/team`, `role:name`), and the tenants that they were granted.
    pub fn with_groups<S: AsRef<str>>(self, groups: Vec<String>, reads: &[S], writes: &[S]) -> Self {
        let names = |names: &[S]| names.iter().map(|name| Arc::from(name.as_ref())).collect();
        Principal { groups: groups.into(), reads: names(reads), writes: names(writes), ..self }
    }

    /// The tenant it speaks for; `None` is the platform, or somebody who has none.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Its role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its name in logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it may do.
    pub fn permissions(&self) -> Permissions {
        self.permissions
    }

    /// Whether it may do this, for whom it speaks.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.within(self.role).has(permission)
    }

    /// Whose rows it may see.
    pub fn scope(&self) -> Option<Scope> {
        self.scope_for(Permission::Read)
    }

    /// Over whose rows it may do something; `None` where it may not at all, or where nobody's are left. Grants count for
    /// reading and writing rows; what is managed is one's own tenant's.
    pub fn scope_for(&self, permission: Permission) -> Option<Scope> {
        if !self.may(permission) {
            return None;
        }
        if self.role == Role::Platform {
            return Some(Scope::platform(&self.name));
        }
        let granted: &[Arc<str>] = match permission {
            Permission::Read => &self.reads,
            Permission::Write => &self.writes,
            _ => &[],
        };
        let tenants = Tenants::of(self.tenant.iter().chain(granted))?;
        Some(self.grouped(Scope::of(tenants, &self.name)))
    }

    /// The scope narrowed to one of its tenants; `None` where that is not among them.
    pub fn narrowed(&self, scope: &Scope, tenant: &str) -> Option<Scope> {
        let narrowed = scope.narrowed(tenant)?;
        Some(if self.role == Role::Platform { narrowed } else { self.grouped(narrowed) })
    }

    /// A team is called by its bare name among the rows of its own tenant only: a team `ops` of another tenant is another
    /// team.
    fn grouped(&self, scope: Scope) -> Scope {
        let own = match &scope.tenants {
            Tenants::One(tenant) => Some(format!("{tenant}/")),
            _ => None,
        };
        let bare = self.groups.iter().filter_map(|group| group.strip_prefix(own.as_deref()?)).map(str::to_owned);
        let groups: Vec<String> = self.groups.iter().cloned().chain(bare).collect();
        scope.in_groups(groups)
    }
}

/// Who does something now: a principal's scope, and what the request says of where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose rows, and the name.
    pub scope: Scope,
    /// Why it may: the key and its scopes, or the socket.
    pub reason: String,
    /// For whom it says it acts.
    pub on_behalf_of: Option<String>,
    /// The trace of the request.
    pub trace_id: Option<String>,
}

impl Caller {
    /// The operator of this machine.
    pub fn operator() -> Self {
        Caller::process("operator", "the operator of the data directory")
    }

    /// The process, at what it does by the clock.
    pub fn schedule() -> Self {
        Caller::process("schedule", "the server's own schedule")
    }

    /// The process itself, or somebody on this machine whom the kernel has named.
    pub fn process(name: &str, reason: &str) -> Self {
        Caller { scope: Scope::platform(name), reason: reason.to_owned(), on_behalf_of: None, trace_id: None }
    }

    /// An entry of the audit log about what it does.
    pub fn entry(&self, action: &'static str, subject: impl Into<String>) -> Entry {
        Entry::new(&self.scope, action, subject)
            .because(self.reason.as_str())
            .on_behalf_of(self.on_behalf_of.as_deref())
            .traced(self.trace_id.as_deref())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn scope_follows_role() {
        let tenant = Principal::tenant_member("acme", "ci");
        assert_eq!(tenant.role(), Role::Tenant);
        assert_eq!(tenant.scope().unwrap().tenants, Tenants::One("acme".into()));
        let platform = Principal::platform("ops");
        assert_eq!(platform.role(), Role::Platform);
        assert_eq!(platform.scope().unwrap().tenants, Tenants::All);
        assert_eq!(Principal::granted("aud").scope(), None, "nothing was granted");
    }

    #[test]
    fn words_of_roles_round_trip() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("root"), None);
    }

    #[test]
    fn a_door_asks_one_question() {
        let reader = Principal::tenant_member("acme", "ana").with_permissions(Permissions::of(&[Permission::Read]));
        assert!(reader.may(Permission::Read) && !reader.may(Permission::Write) && !reader.may(Permission::Keys));
        assert_eq!(reader.scope_for(Permission::Write), None);
        let admin = Principal::tenant_member("acme", "root").with_permissions(Permissions::ALL);
        assert!(admin.may(Permission::Directory) && admin.may(Permission::Keys), "its own tenant's");
        assert!(!admin.may(Permission::Operate), "the platform is not its own");
        assert!(Principal::platform("ops").may(Permission::Operate));
    }

    #[test]
    fn grants_widen_rows_and_not_what_is_managed() {
        let principal = Principal::tenant_member("acme", "ana").with_permissions(Permissions::ALL).with_groups(
            vec!["acme/finops".to_owned(), "role:auditor".to_owned()],
            &["globex", "initech"],
            &["initech"],
        );
        let tenants = |permission| principal.scope_for(permission).unwrap().tenants;
        assert_eq!(tenants(Permission::Read), Tenants::of(["acme", "globex", "initech"]).unwrap());
        assert_eq!(tenants(Permission::Write), Tenants::of(["acme", "initech"]).unwrap());
        assert_eq!(tenants(Permission::Directory), Tenants::One("acme".into()));
    }

    #[test]
    fn a_team_has_its_bare_name_at_home_only() {
        let principal =
            Principal::tenant_member("acme", "ana").with_groups(vec!["acme/ops".to_owned()], &["globex"], &[]);
        let wide = principal.scope().unwrap();
        assert_eq!(wide.groups(), Some(&["acme/ops".to_owned()][..]));
        let home = principal.narrowed(&wide, "acme").unwrap();
        assert_eq!(home.groups(), Some(&["acme/ops".to_owned(), "ops".to_owned()][..]));
        let away = principal.narrowed(&wide, "globex").unwrap();
        assert_eq!(away.groups(), Some(&["acme/ops".to_owned()][..]));
        assert_eq!(principal.narrowed(&wide, "rival"), None);
    }
}
