//! What happens to a finding: by table, column and kind. Rules of a file come first, then the built-in ones, then
//! everything is masked.

use std::path::Path;

use engine::{Column, Error, Result, Table};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::personal::kind::{Kind, Kinds};

/// What is done with a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `[redacted:kind]` stands in its place.
    Mask,
    /// A keyed hash stands in its place: the same value is the same text, and nobody without the key can guess it.
    Hash,
    /// Nothing stands in its place; a cell that held nothing else becomes null where it may.
    Drop,
    /// It stays.
    Keep,
}

impl Action {
    /// Its name in settings and in `redaction_finding`.
    pub fn name(self) -> &'static str {
        match self {
            Action::Mask => "mask",
            Action::Hash => "hash",
            Action::Drop => "drop",
            Action::Keep => "keep",
        }
    }
}

/// All that a rule can name besides a kind: names and addresses of people, whole cells of columns marked for them.
pub const PERSON: &str = "person";
/// Every kind of personal data, names and addresses too.
const PERSONAL: &str = "personal";
/// Keys, tokens and passwords.
const SECRETS: &str = "secrets";

/// One built-in rule: names end or begin with a star where several are meant.
struct BuiltIn {
    table: &'static str,
    columns: &'static [&'static str],
    detect: &'static [&'static str],
    action: Action,
    /// Why, for the reader.
    _because: &'static str,
}

/// What holds unless a file says otherwise.
const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        table: "k8s_*",
        columns: &["*"],
        detect: &["ip_address", "mac_address"],
        action: Action::Keep,
        _because: "an address is how a cluster names its pods and nodes",
    },
    BuiltIn {
        table: "*",
        columns: &["*_ip", "*_ips", "ip", "*_cidr", "cidr", "*_mac"],
        detect: &["ip_address", "mac_address"],
        action: Action::Keep,
        _because: "the column was declared to hold it",
    },
    BuiltIn {
        table: "*",
        columns: &["*_email", "email", "*_unique_name", "unique_name", "*_mail", "principal", "*_principal_name"],
        detect: &["email_address"],
        action: Action::Keep,
        _because: "the column was declared to hold it, and delivery is counted by it",
    },
    BuiltIn {
        table: "*",
        columns: &["acl"],
        detect: &[PERSONAL],
        action: Action::Keep,
        _because: "names of groups are compared with those of the asker",
    },
    BuiltIn {
        table: "ado_*",
        columns: &["*"],
        detect: &[PERSON],
        action: Action::Keep,
        _because: "who reviewed and who built is what delivery is asked about; one rule of a file hashes them all",
    },
    BuiltIn {
        table: "git_*",
        columns: &["*"],
        detect: &[PERSON],
        action: Action::Keep,
        _because: "authors are who a commit is asked about",
    },
];

/// Endings of columns that hold ids of machines: what looks like a card number there is none.
const ID_ENDINGS: &[&str] = &["_id", "Id", "_uid", "_hash", "_sha", "_digest", "_oid", "_commit", "_version"];
/// The same as whole names.
const ID_NAMES: &[&str] = &["id", "uid", "digest", "delivery", "holder", "namespace"];

/// A file of rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    key_file: Option<String>,
    #[serde(default)]
    rules: Vec<Rule>,
}

/// One rule of a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default = "any")]
    table: String,
    #[serde(default = "any")]
    column: String,
    #[serde(default = "personal")]
    detect: Vec<String>,
    action: Action,
}

fn any() -> String {
    "*".to_owned()
}

fn personal() -> Vec<String> {
    vec![PERSONAL.to_owned()]
}

/// Key of the hashes.
#[derive(Clone)]
struct Key(Vec<u8>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// Fewer bytes can be guessed.
const KEY_BYTES_MIN: usize = 16;

/// What happens to findings, everywhere.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    key: Option<Key>,
}

/// What happens to findings in one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// By kind, in the order of [`Kind::ALL`].
    actions: [Action; Kind::ALL.len()],
    /// The kinds that something is done with.
    wanted: Kinds,
    /// The whole cell is a name or an address of a person.
    pub person: Option<Action>,
    /// Secrets are looked for.
    pub secrets: bool,
    /// The rules of gitleaks are among those that look.
    pub gitleaks: bool,
}

impl Plan {
    /// Everything is masked.
    pub fn mask() -> Plan {
        Plan {
            actions: [Action::Mask; Kind::ALL.len()],
            wanted: Kinds::all(),
            person: None,
            secrets: true,
            gitleaks: true,
        }
    }

    /// These kinds are masked, and nothing else is looked for.
    pub fn only(kinds: Kinds) -> Plan {
        let action = |kind| if kinds.has(kind) { Action::Mask } else { Action::Keep };
        Plan { actions: Kind::ALL.map(action), wanted: kinds, person: None, secrets: false, gitleaks: false }
    }

    /// What is done with a kind.
    pub fn action(&self, kind: Kind) -> Action {
        self.actions[kind as usize]
    }

    /// The kinds that something is done with.
    pub fn wanted(&self) -> Kinds {
        self.wanted
    }

    fn set(&mut self, detect: &str, action: Action, marked: bool) {
        match detect {
            SECRETS => (self.secrets, self.gitleaks) = (action != Action::Keep, action != Action::Keep),
            PERSON => self.person = if marked { Some(action) } else { self.person },
            PERSONAL => {
                self.actions = [action; Kind::ALL.len()];
                if marked {
                    self.person = Some(action);
                }
            }
            name => {
                if let Some(kind) = Kind::of(name) {
                    self.actions[kind as usize] = action;
                }
            }
        }
    }
}

impl Policy {
    /// Reads a file of rules.
    pub fn read(path: &Path) -> Result<Policy> {
        let what = |e: std::io::Error| Error::invalid(format!("read the redaction rules {}: {e}", path.display()));
        let text = std::fs::read_to_string(path).map_err(what)?;
        Policy::parse(&text, path.parent().unwrap_or(Path::new(".")))
            .map_err(|e| Error::invalid(format!("the redaction rules {}: {e}", path.display())))
    }

    /// Parses rules; the key's file is named from `folder`.
    pub fn parse(text: &str, folder: &Path) -> std::result::Result<Policy, String> {
        let file: File = serde_yaml_ng::from_str(text).map_err(|e| e.to_string())?;
        for rule in &file.rules {
            for name in &rule.detect {
                let known = [PERSON, PERSONAL, SECRETS].contains(&name.as_str()) || Kind::of(name).is_some();
                if !known {
                    let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
                    return Err(format!(
                        "there is no {name} to detect; there are {PERSONAL}, {PERSON}, {SECRETS}, {}",
                        kinds.join(", ")
                    ));
                }
                if name == SECRETS && !matches!(rule.action, Action::Mask | Action::Keep) {
                    return Err("secrets are masked or kept; nothing of them is worth a hash".to_owned());
                }
            }
        }
        let key = file.key_file.map(|name| {
            let path = folder.join(name);
            let key = std::fs::read(&path).map_err(|e| format!("read the key {}: {e}", path.display()))?;
            let key = key.trim_ascii().to_vec();
            if key.len() < KEY_BYTES_MIN {
                return Err(format!("the key {} has {} bytes; it needs {KEY_BYTES_MIN}", path.display(), key.len()));
            }
            Ok(Key(key))
        });
        let key = key.transpose()?;
        if key.is_none() && file.rules.iter().any(|rule| rule.action == Action::Hash) {
            return Err(
                "a rule hashes, and there is no key_file: without a key anybody could guess the values".to_owned()
            );
        }
        Ok(Policy { rules: file.rules, key })
    }

    /// What happens in a column; `None` where nothing is looked for.
    pub fn plan(&self, table: &Table, column: &Column) -> Option<Plan> {
        // It counts findings, by names of tables and kinds.
        if table.name == "redaction_finding" {
            return None;
        }
        let mut plan = Plan::mask();
        if column.personal {
            plan.person = Some(Action::Mask);
        }
        let identity = is_identity(table, column);
        if identity {
            // Two rows must not become one because their keys were masked alike.
            plan.actions = [Action::Keep; Kind::ALL.len()];
            plan.gitleaks = false;
        }
        for rule in BUILT_IN.iter().rev() {
            let applies = matches(rule.table, table.name) && rule.columns.iter().any(|name| matches(name, column.name));
            if applies {
                rule.detect.iter().for_each(|name| plan.set(name, rule.action, column.personal));
            }
        }
        for rule in self.rules.iter().rev() {
            let spelled = rule.column == column.name;
            // What tells rows apart changes only where a rule spells it.
            if matches(&rule.table, table.name) && matches(&rule.column, column.name) && (spelled || !identity) {
                // And a rule that spells a column and names people marks it.
                let marked = column.personal || (spelled && rule.detect.iter().any(|name| name == PERSON));
                rule.detect.iter().for_each(|name| plan.set(name, rule.action, marked));
            }
        }
        plan.wanted = Kind::ALL.into_iter().filter(|kind| plan.action(*kind) != Action::Keep).collect();
        Some(plan)
    }

    /// HMAC-SHA-256 of a value, its first eight bytes in hexadecimal.
    pub fn hash(&self, kind: &str, value: &str) -> Option<String> {
        let key = self.key.as_ref()?;
        // The kind is part of it, so that a number has not the same hash as a tax id and as a telephone number.
        let message = [kind.as_bytes(), &[0], value.as_bytes()].concat();
        Some(hex::encode(&hmac(&key.0, &message)[..8]))
    }
}

/// Whether rows are told apart by it, or machines number things with it.
fn is_identity(table: &Table, column: &Column) -> bool {
    let name = column.name;
    table.key.contains(&name)
        || table.tenant == name
        || table.set == Some(name)
        || ID_NAMES.contains(&name)
        || ID_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether a name fits a pattern with a star at one of its ends.
fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end),
        (None, Some(begin)) => name.starts_with(begin),
        (None, None) => pattern == name,
    }
}

/// RFC 2104 over SHA-256.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use engine::Type;

    static TABLE: Table = Table {
        key: &["login"],
        ..Table::new(
            "crm_customer",
            "Customers.",
            &[
                Column::new("tenant", Type::Name, "Tenant."),
                Column::new("login", Type::Text, "Key."),
                Column::new("full_name", Type::Text, "Name.").personal(),
                Column::new("contact_email", Type::Text, "Address."),
                Column::new("note", Type::Text, "Text."),
            ],
        )
    };

    fn plan(rules: &str, column: &str) -> Plan {
        let column = TABLE.columns.iter().find(|c| c.name == column).unwrap();
        Policy::parse(rules, Path::new(".")).unwrap().plan(&TABLE, column).unwrap()
    }

    #[test]
    fn the_first_rule_that_matches_wins() {
        let mail = Kind::EmailAddress;
        assert_eq!(plan("{}", "note").action(mail), Action::Mask);
        assert_eq!(plan("{}", "contact_email").action(mail), Action::Keep);
        assert_eq!(plan("{}", "contact_email").action(Kind::Iban), Action::Mask);
        assert_eq!(plan("{}", "login").action(mail), Action::Keep, "a key");
        assert_eq!(plan("{}", "full_name").person, Some(Action::Mask));
        assert_eq!(plan("{}", "note").person, None);
        let rules =
            "rules:\n- {table: 'crm_*', column: note, detect: [email_address], action: drop}\n- {action: keep}\n";
        assert_eq!(plan(rules, "note").action(mail), Action::Drop);
        assert_eq!(plan(rules, "note").action(Kind::Iban), Action::Keep);
        assert_eq!(plan(rules, "full_name").person, Some(Action::Keep));
        assert_eq!(plan("rules: [{column: note, detect: [person], action: mask}]", "note").person, Some(Action::Mask));
        assert_eq!(plan("rules: [{detect: [person], action: drop}]", "note").person, None, "not marked");
        assert!(!plan("rules: [{detect: [secrets], action: keep}]", "note").secrets);
    }

    #[test]
    fn wrong_rules_are_refused() {
        for (rules, why) in [
            ("rules: [{action: burn}]", "burn"),
            ("rules: [{detect: [iban_code], action: mask}]", "there is no iban_code"),
            ("rules: [{action: hash}]", "no key_file"),
            ("rules: [{detect: [secrets], action: drop}]", "masked or kept"),
            ("key_file: /no/such/key", "read the key"),
            ("rule: []", "unknown field"),
        ] {
            let error = Policy::parse(rules, Path::new(".")).unwrap_err();
            assert!(error.contains(why), "{rules}: {error}");
        }
    }

    #[test]
    fn hmac_as_rfc_4231_has_it() {
        for (key, message, expected) in [
            (&[0x0b; 20][..], &b"Hi There"[..], "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hex::encode(hmac(key, message)), expected);
        }
    }
}
