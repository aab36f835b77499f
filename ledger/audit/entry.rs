//! What an audit row says, and the bytes that its leaf is made of. Names of people are not among them, only commitments
//! to them: SHA-256 over a salt and the name. The salt lies apart; without it nobody can tell or guess the name, and the
//! proof still holds.

use engine::{Result, Scope};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::merkle::{Hash, hex_of, leaf_hash};
use crate::directory::Dice;

/// Bytes of a short text of an entry; what is longer is cut, and says so.
const TEXT_BYTES_MAX: usize = 2_048;
/// Bytes of the details of an entry.
const DETAIL_BYTES_MAX: usize = 65_536;
/// What a leaf's bytes begin with, so that they are never those of something else.
const LEAF_DOMAIN: &[u8] = b"stellwerk audit 1";

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was allowed and done.
    Done,
    /// It was not allowed.
    Denied,
    /// It was allowed and did not succeed.
    Failed,
}

impl Outcome {
    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Denied => "denied",
            Outcome::Failed => "failed",
        }
    }
}

/// Something that happened, on its way into the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub(super) tenant: Option<String>,
    pub(super) actor: String,
    pub(super) on_behalf_of: Option<String>,
    pub(super) personal: Option<String>,
    pub(super) action: &'static str,
    pub(super) subject: String,
    pub(super) reason: Option<String>,
    pub(super) outcome: Outcome,
    pub(super) occurrences: i64,
    pub(super) trace_id: Option<String>,
    pub(super) detail: Option<Json>,
    pub(super) exact: bool,
}

impl Entry {
    /// `scope` did `action` (a word like `key.create`) to `subject` (an id, never a person's name). The row belongs to the
    /// scope's tenant; with several or all tenants it is the platform's own, unless [`Entry::of_tenant`] says otherwise.
    pub fn new(scope: &Scope, action: &'static str, subject: impl Into<String>) -> Self {
        let tenant = match scope.tenants.named() {
            Some([one]) => Some(one.to_string()),
            _ => None,
        };
        Entry {
            tenant,
            actor: scope.principal.to_string(),
            on_behalf_of: None,
            personal: None,
            action,
            subject: subject.into(),
            reason: None,
            outcome: Outcome::Done,
            occurrences: 1,
            trace_id: None,
            detail: None,
            exact: false,
        }
    }

    /// The tenant whose matter it is, and who sees the row beside the platform.
    pub fn of_tenant(self, tenant: Option<&str>) -> Self {
        Entry { tenant: tenant.map(str::to_owned), ..self }
    }

    /// Why it was allowed, or refused.
    pub fn because(self, reason: impl Into<String>) -> Self {
        Entry { reason: Some(reason.into()), ..self }
    }

    /// How it ended; [`Outcome::Done`] unless said.
    pub fn ended(self, outcome: Outcome) -> Self {
        Entry { outcome, ..self }
    }

    /// For whom the actor says it acts.
    pub fn on_behalf_of(self, person: Option<&str>) -> Self {
        Entry { on_behalf_of: person.map(str::to_owned), ..self }
    }

    /// A personal value that the row is about, such as a member's name. It can be erased and leaves the proof intact.
    pub fn about_person(self, person: impl Into<String>) -> Self {
        Entry { personal: Some(person.into()), ..self }
    }

    /// The trace that it belongs to, as 32 hexadecimal digits.
    pub fn traced(self, trace_id: Option<&str>) -> Self {
        Entry { trace_id: trace_id.map(str::to_owned), ..self }
    }

    /// What else there is to know, as JSON without personal values.
    pub fn with(self, detail: Json) -> Self {
        Entry { detail: Some(detail), ..self }
    }

    /// What else there is to know, of numbers and hashes of ours alone: no redactor looks at it.
    pub(crate) fn with_exactly(self, detail: Json) -> Self {
        Entry { detail: Some(detail), exact: true, ..self }
    }

    pub(super) fn counted(self, occurrences: i64) -> Self {
        Entry { occurrences, ..self }
    }
}

/// A committed personal value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Committed {
    /// The value itself; `None` once it is erased.
    pub value: Option<String>,
    /// SHA-256 over salt and value.
    pub commitment: Hash,
    /// `None` once it is erased.
    pub salt: Option<[u8; 16]>,
}

impl Committed {
    fn new(field: Personal, value: String, dice: &dyn Dice) -> Result<Self> {
        let mut salt = [0; 16];
        dice.fill(&mut salt)?;
        let commitment = commitment(field, &salt, &value);
        Ok(Committed { value: Some(value), commitment, salt: Some(salt) })
    }
}

/// The columns that hold personal values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Personal {
    Actor,
    OnBehalfOf,
    Personal,
}

impl Personal {
    pub const ALL: [Personal; 3] = [Personal::Actor, Personal::OnBehalfOf, Personal::Personal];

    /// The column's name, and the salt's.
    pub fn name(self) -> &'static str {
        match self {
            Personal::Actor => "actor",
            Personal::OnBehalfOf => "on_behalf_of",
            Personal::Personal => "personal",
        }
    }
}

/// What stands in the leaf for a personal value. The field's name is in it: two values do not change places unnoticed.
pub(super) fn commitment(field: Personal, salt: &[u8; 16], value: &str) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(salt);
    hasher.update(field.name());
    hasher.update([0]);
    hasher.update(value);
    hasher.finalize().into()
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub seq: u64,
    pub at_us: i64,
    pub tenant: Option<String>,
    pub personal: [Option<Committed>; 3],
    pub action: String,
    pub subject: String,
    pub reason: Option<String>,
    pub outcome: String,
    pub occurrences: i64,
    pub trace_id: Option<String>,
    pub detail: Option<String>,
}

impl Row {
    /// The row of an entry at its place in the log. `clean` takes secrets and personal data out of free text.
    pub fn of(entry: Entry, seq: u64, at_us: i64, dice: &dyn Dice, clean: &dyn Fn(&str) -> String) -> Result<Row> {
        let text = |text: String| cut(text, TEXT_BYTES_MAX);
        let committed =
            |field, value: Option<String>| value.map(|value| Committed::new(field, text(value), dice)).transpose();
        Ok(Row {
            seq,
            at_us,
            tenant: entry.tenant,
            personal: [
                committed(Personal::Actor, Some(entry.actor))?,
                committed(Personal::OnBehalfOf, entry.on_behalf_of)?,
                committed(Personal::Personal, entry.personal)?,
            ],
            action: entry.action.to_owned(),
            subject: text(entry.subject),
            reason: entry.reason.map(|reason| text(clean(&reason))),
            outcome: entry.outcome.as_str().to_owned(),
            occurrences: entry.occurrences,
            trace_id: entry.trace_id.map(text),
            detail: entry.detail.map(|detail| {
                let detail = detail.to_string();
                bounded(if entry.exact { detail } else { clean(&detail) })
            }),
        })
    }

    /// The hash of its leaf.
    pub fn leaf(&self) -> Hash {
        self.leaf_at(self.seq)
    }

    /// The hash that its leaf would have at another place: a row that was moved is recognised by it.
    pub fn leaf_at(&self, seq: u64) -> Hash {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(LEAF_DOMAIN);
        bytes.extend_from_slice(&seq.to_be_bytes());
        bytes.extend_from_slice(&self.at_us.to_be_bytes());
        bytes.extend_from_slice(&self.occurrences.to_be_bytes());
        let mut field = |cell: Option<&[u8]>| match cell {
            None => bytes.push(0),
            Some(cell) => {
                bytes.push(1);
                // A cell has fewer than 2^32 bytes: entries are cut far below.
                bytes.extend_from_slice(&(cell.len() as u32).to_be_bytes());
                bytes.extend_from_slice(cell);
            }
        };
        field(self.tenant.as_deref().map(str::as_bytes));
        for committed in &self.personal {
            field(committed.as_ref().map(|committed| &committed.commitment[..]));
        }
        field(Some(self.action.as_bytes()));
        field(Some(self.subject.as_bytes()));
        field(self.reason.as_deref().map(str::as_bytes));
        field(Some(self.outcome.as_bytes()));
        field(self.trace_id.as_deref().map(str::as_bytes));
        field(self.detail.as_deref().map(str::as_bytes));
        leaf_hash(&bytes)
    }

    /// What is wrong with a personal value, if anything is.
    pub fn misfit(&self, field: Personal) -> Option<&'static str> {
        let committed = self.personal[field as usize].as_ref()?;
        match (&committed.value, &committed.salt) {
            (Some(value), Some(salt)) if commitment(field, salt, value) == committed.commitment => None,
            (Some(_), Some(_)) => Some("is not what was committed to"),
            (Some(_), None) => Some("has lost its salt, so nobody can tell whether it was changed"),
            (None, Some(_)) => Some("was removed, and its salt was not: that is no erasure"),
            (None, None) => None,
        }
    }

    /// Whether a personal value of it was erased.
    pub fn erased(&self) -> bool {
        self.personal.iter().flatten().any(|committed| committed.value.is_none() && committed.salt.is_none())
    }

    /// The commitment of a field, as it is stored.
    pub fn commitment_hex(&self, field: Personal) -> Option<String> {
        self.personal[field as usize].as_ref().map(|committed| hex_of(&committed.commitment))
    }
}

fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("… (cut)");
    }
    text
}

/// Details that are too long are kept as the hash of what they were: half a document would be none.
fn bounded(detail: String) -> String {
    if detail.len() <= DETAIL_BYTES_MAX {
        return detail;
    }
    let hash = hex::encode(Sha256::digest(&detail));
    serde_json::json!({"too_long_bytes": detail.len(), "sha256": hash}).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::directory::OsDice;

    fn row() -> Row {
        let entry = Entry::new(&Scope::tenant("acme", "ana"), "key.create", "k1")
            .because("scope keys")
            .on_behalf_of(Some("bo"))
            .traced(Some("0af7651916cd43dd8448eb211c80319c"))
            .with(serde_json::json!({"name": "ci"}));
        Row::of(entry, 7, 1_750_000_000_000_000, &OsDice, &str::to_owned).unwrap()
    }

    #[test]
    fn every_field_is_in_the_leaf() {
        let row = row();
        let changes: [fn(&mut Row); 12] = [
            |r| r.seq += 1,
            |r| r.at_us += 1,
            |r| r.tenant = None,
            |r| r.tenant = Some(String::new()),
            |r| r.action.push('x'),
            |r| r.subject = "k2".to_owned(),
            |r| r.reason = None,
            |r| r.outcome = "denied".to_owned(),
            |r| r.occurrences = 2,
            |r| r.trace_id = None,
            |r| r.detail = Some("{}".to_owned()),
            |r| r.personal.swap(0, 1),
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut other = row.clone();
            change(&mut other);
            assert_ne!(other.leaf(), row.leaf(), "change {n}");
        }
    }

    #[test]
    fn an_erased_name_leaves_the_leaf_as_it_was() {
        let whole = row();
        let mut erased = whole.clone();
        let name = erased.personal[1].as_mut().unwrap();
        (name.value, name.salt) = (None, None);
        assert_eq!(erased.leaf(), whole.leaf());
        assert!(erased.erased() && !whole.erased());
        assert_eq!(erased.misfit(Personal::OnBehalfOf), None);
        erased.personal[0].as_mut().unwrap().value = Some("mallory".to_owned());
        assert_eq!(erased.misfit(Personal::Actor), Some("is not what was committed to"));
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let entry =
            Entry::new(&Scope::platform("ops"), "x", "ä".repeat(TEXT_BYTES_MAX)).with("y".repeat(70_000).into());
        let row = Row::of(entry, 0, 0, &OsDice, &str::to_owned).unwrap();
        assert!(row.subject.ends_with("… (cut)") && row.subject.len() < TEXT_BYTES_MAX + 16);
        assert!(row.detail.unwrap().contains("too_long_bytes"));
    }
}
