//! What may be done, as the words that keys carry.

use engine::{Error, Result};

use super::Role;

/// Something that a door lets in or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Ask, search, read the reference.
    Read,
    /// Send records: telemetry, hooks, files.
    Write,
    /// Make, rotate and end keys of one's tenant.
    Keys,
    /// Change what the directory says about one's tenant.
    Directory,
    /// Change budgets and quotas of one's tenant.
    Budgets,
    /// Export and prove the audit log.
    Audit,
    /// Operate the platform: everything that is nobody's own.
    Operate,
}

impl Permission {
    /// Every permission, in the order of their words.
    pub const ALL: [Permission; 7] = [
        Permission::Read,
        Permission::Write,
        Permission::Keys,
        Permission::Directory,
        Permission::Budgets,
        Permission::Audit,
        Permission::Operate,
    ];

    /// The word in a key's scopes.
    pub fn as_str(self) -> &'static str {
        match self {
            Permission::Read => "read",
            Permission::Write => "write",
            Permission::Keys => "keys",
            Permission::Directory => "directory",
            Permission::Budgets => "budgets",
            Permission::Audit => "audit",
            Permission::Operate => "operate",
        }
    }
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Permissions(u8);

/// The word for all of them, as far as the role goes.
const ADMIN: &str = "admin";

impl Permissions {
    /// All of them.
    pub const ALL: Permissions = Permissions(0b111_1111);

    /// These.
    pub fn of(permissions: &[Permission]) -> Self {
        Permissions(permissions.iter().fold(0, |set, permission| set | 1 << *permission as u8))
    }

    /// Whether it is among them.
    pub fn has(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// What of them a role can have: only the platform is operated by its operators.
    pub fn within(self, role: Role) -> Self {
        match role {
            Role::Platform => self,
            Role::Tenant => Permissions(self.0 & !(1 << Permission::Operate as u8)),
            Role::Granted => Permissions(self.0 & Permissions::of(&[Permission::Read, Permission::Write]).0),
        }
    }

    /// The set of words, divided by blanks or commas. `admin` stands for all.
    pub fn parse(words: &str) -> Result<Self> {
        let mut set = Permissions::default();
        for word in words.split([' ', ',']).filter(|word| !word.is_empty()) {
            let known = Permission::ALL.into_iter().find(|permission| permission.as_str() == word);
            set.0 |= match known {
                Some(permission) => Permissions::of(&[permission]).0,
                None if word == ADMIN => Permissions::ALL.0,
                None => {
                    let words = Permission::ALL.map(Permission::as_str).join(", ");
                    return Err(Error::invalid(format!("there is no scope {word}: {words} or {ADMIN}")));
                }
            };
        }
        if set == Permissions::default() {
            return Err(Error::invalid("a key without a scope may do nothing: name one"));
        }
        Ok(set)
    }

    /// Its words, divided by blanks.
    pub fn words(self) -> String {
        if self == Permissions::ALL {
            return ADMIN.to_owned();
        }
        let words = Permission::ALL.into_iter().filter(|permission| self.has(*permission));
        words.map(Permission::as_str).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_unknown_ones_are_named() {
        for words in ["read", "read write", "keys directory budgets audit", "admin", "operate"] {
            assert_eq!(Permissions::parse(words).unwrap().words(), words);
        }
        assert_eq!(Permissions::parse("write,read").unwrap().words(), "read write");
        assert_eq!(Permissions::parse("admin read").unwrap(), Permissions::ALL);
        assert!(Permissions::parse("root").unwrap_err().to_string().contains("root"));
        assert!(Permissions::parse(" ").is_err());
        assert_eq!(Permissions::of(&Permission::ALL), Permissions::ALL);
    }
}
