//! Who asks, as the store needs to know it: whose rows may be seen, and by which groups a search admits a text.

use std::sync::Arc;

/// Whose rows a scope covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Tenants {
    /// Every tenant: the platform's own operators and jobs.
    All,
    /// Exactly this tenant.
    One(Arc<str>),
    /// These tenants, sorted; never none. Their rows may be seen; what is written needs one of them to be named.
    Several(Arc<[Arc<str>]>),
}

impl Tenants {
    /// The tenants of a list: `None` where it is empty, for nobody's rows are no scope.
    pub fn of<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Option<Tenants> {
        let mut names: Vec<Arc<str>> = names.into_iter().map(|name| Arc::from(name.as_ref())).collect();
        names.sort();
        names.dedup();
        match names.len() {
            0 => None,
            1 => names.pop().map(Tenants::One),
            _ => Some(Tenants::Several(names.into())),
        }
    }

    /// Whether a tenant's rows are among them.
    pub fn covers(&self, tenant: &str) -> bool {
        self.named().is_none_or(|names| names.iter().any(|name| name.as_ref() == tenant))
    }

    /// The tenants by name; `None` stands for every one.
    pub fn named(&self) -> Option<&[Arc<str>]> {
        match self {
            Tenants::All => None,
            Tenants::One(tenant) => Some(std::slice::from_ref(tenant)),
            Tenants::Several(tenants) => Some(tenants),
        }
    }
}

/// Who asks. Made by `serve/auth` from a verified credential and by the process for itself; never from a request's words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Whose rows.
    pub tenants: Tenants,
    /// The caller's name in `query_log` and the audit log.
    pub principal: Arc<str>,
    groups: Option<Arc<[String]>>,
}

impl Scope {
    /// The platform's own scope.
    pub fn platform(principal: &str) -> Self {
        Scope { tenants: Tenants::All, principal: principal.into(), groups: None }
    }

    /// One tenant's scope, in no group.
    pub fn tenant(tenant: &str, principal: &str) -> Self {
        Scope::of(Tenants::One(tenant.into()), principal)
    }

    /// A scope over some tenants' rows, in no group.
    pub fn of(tenants: Tenants, principal: &str) -> Self {
        let groups = (tenants != Tenants::All).then(|| Arc::from([]));
        Scope { tenants, principal: principal.into(), groups }
    }

    /// The same scope for somebody in these groups.
    pub fn in_groups(self, groups: impl IntoIterator<Item = String>) -> Self {
        Scope { groups: Some(groups.into_iter().collect()), ..self }
    }

    /// The groups that the caller is in: a text that names groups is shown to those in one of them. `None` is the
    /// platform, which sees all.
    pub fn groups(&self) -> Option<&[String]> {
        self.groups.as_deref()
    }

    /// The same caller over one of its tenants; `None` where that tenant is not among them.
    pub fn narrowed(&self, tenant: &str) -> Option<Self> {
        let narrowed = || Scope { tenants: Tenants::One(tenant.into()), ..self.clone() };
        self.tenants.covers(tenant).then(narrowed)
    }

    /// The tenant that a row written under this scope belongs to: the scope's own, else the one the record names,
    /// else `default`. A tenant's caller can never write for another; one of several tenants writes for the one that is
    /// named, else for the first.
    pub fn owner<'a>(&'a self, named: Option<&'a str>) -> &'a str {
        let named = named.filter(|t| !t.is_empty());
        match &self.tenants {
            Tenants::One(tenant) => tenant,
            Tenants::Several(tenants) => named.filter(|t| self.tenants.covers(t)).unwrap_or(&tenants[0]),
            Tenants::All => named.unwrap_or("default"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_sorted_once_and_never_none() {
        assert_eq!(Tenants::of(Vec::<String>::new()), None);
        assert_eq!(Tenants::of(["a", "a"]), Some(Tenants::One("a".into())));
        let several = Tenants::of(["b", "a", "b"]).expect("two");
        assert_eq!(several, Tenants::Several([Arc::from("a"), Arc::from("b")].into()));
        assert!(several.covers("a") && !several.covers("c") && Tenants::All.covers("c"));
    }

    #[test]
    fn a_scope_narrows_and_keeps_its_groups() {
        let several = Tenants::of(["acme", "globex"]).expect("two");
        let scope = Scope::of(several, "ana").in_groups(["web".to_owned()]);
        let acme = scope.narrowed("acme").expect("its own");
        assert_eq!((acme.owner(Some("globex")), acme.groups()), ("acme", Some(&["web".to_owned()][..])));
        assert_eq!(scope.narrowed("rival"), None);
        assert_eq!(
            (scope.owner(Some("globex")), scope.owner(Some("rival")), scope.owner(None)),
            ("globex", "acme", "acme")
        );
        assert_eq!(Scope::platform("ops").groups(), None);
        assert_eq!(Scope::platform("ops").narrowed("acme").and_then(|s| s.groups().map(<[_]>::len)), None);
        assert_eq!(Scope::tenant("acme", "ci").groups(), Some(&[][..]));
    }
}
