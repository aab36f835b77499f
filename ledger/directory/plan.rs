//! What applying documents would change. Pure: decided from what is wanted and what is there; checked as a whole before
//! anything happens.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use engine::Result;
use engine::query_log::PLATFORM;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::RESERVED;
use super::document::{Faults, Place, Read, Reference};
use super::entity::{EntityKey, EntityKind, PLAIN_MEMBER};

/// What is done to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is new.
    Create,
    /// It is otherwise.
    Change,
    /// It goes.
    Delete,
}

impl Action {
    /// The word in the history.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Change => "change",
            Action::Delete => "delete",
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What is done.
    pub action: Action,
    /// To what.
    #[serde(flatten)]
    pub key: EntityKey,
    /// As it was.
    pub before: Option<Json>,
    /// As it will be.
    pub after: Option<Json>,
    /// The fields that differ, as paths.
    pub fields: Vec<String>,
}

/// What is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Only this tenant's: what else is there is left alone, and documents of others are refused.
    pub within: Option<String>,
    /// What is there and not wanted goes.
    pub prune: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What would be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The version that it was made over.
    pub over_version: i64,
    /// SHA-256 over what is wanted.
    pub hash: String,
    /// What is done, in order.
    pub changes: Vec<Change>,
    /// What is wanted and is so already.
    pub unchanged: usize,
    /// What is there, is not wanted and stays, because nothing is pruned.
    pub kept: Vec<EntityKey>,
}

impl Plan {
    /// How many changes are of a kind.
    pub fn count(&self, action: Action) -> i64 {
        i64::try_from(self.changes.iter().filter(|change| change.action == action).count()).unwrap_or(i64::MAX)
    }
}

/// The whole directory as it would be afterwards, beside the plan that leads there.
pub(super) struct Planned {
    pub plan: Plan,
    pub after: Vec<Read>,
}

/// Decides what to do; refuses documents that make no sense together, all reasons at once. `known` are tenants
/// that are there without a document.
pub(super) fn plan(
    wanted: Vec<Read>,
    there: Vec<Read>,
    known: &BTreeSet<String>,
    version: i64,
    wish: &Wish,
) -> Result<Planned> {
    let mut faults = Faults::default();
    let mut by_key: BTreeMap<EntityKey, Read> = BTreeMap::new();
    for read in wanted {
        let key = read.entity.key.clone();
        names(&read, wish, &mut faults);
        if let Some(first) = by_key.get(&key) {
            faults.add(&read.place, format!("{key} stands in {}:{} already", first.place.file, first.place.line));
            continue;
        }
        by_key.insert(key, read);
    }
    let hash = hash(by_key.values());
    let (mut changes, mut unchanged, mut kept) = (Vec::new(), 0, Vec::new());
    let mut known_here: BTreeSet<EntityKey> = BTreeSet::new();
    let mut after: BTreeMap<EntityKey, Read> = BTreeMap::new();
    for read in there {
        let key = read.entity.key.clone();
        known_here.insert(key.clone());
        let before = read.entity.content();
        match by_key.get(&key).map(|read| read.entity.content()) {
            Some(content) if content == before => unchanged += 1,
            Some(content) => changes.push(change(Action::Change, key, Some(before), Some(content))),
            None if wish.within.as_ref().is_some_and(|tenant| *tenant != key.tenant) => drop(after.insert(key, read)),
            None if wish.prune => changes.push(change(Action::Delete, key, Some(before), None)),
            None => {
                kept.push(key.clone());
                after.insert(key, read);
            }
        }
    }
    for (key, read) in by_key {
        if !known_here.contains(&key) {
            changes.push(change(Action::Create, key.clone(), None, Some(read.entity.content())));
        }
        after.insert(key, read);
    }
    let mut after: Vec<Read> = after.into_values().collect();
    children(&mut after, &mut faults);
    references(&after, known, &mut faults);
    cycles(&after, &mut faults);
    faults.none()?;
    changes.sort_by(|a, b| order(a).cmp(&order(b)));
    Ok(Planned { plan: Plan { over_version: version, hash, changes, unchanged, kept }, after })
}

/// Tenants first when they come, last when they go; then by name.
fn order(change: &Change) -> (u8, EntityKind, &EntityKey) {
    let stage = match (change.action, change.key.kind) {
        (Action::Delete, EntityKind::Tenant) => 3,
        (Action::Delete, _) => 2,
        (_, EntityKind::Tenant) => 0,
        _ => 1,
    };
    (stage, change.key.kind, &change.key)
}

fn change(action: Action, key: EntityKey, before: Option<Json>, after: Option<Json>) -> Change {
    let mut fields = Vec::new();
    if let (Some(before), Some(after)) = (&before, &after) {
        differences("", before, after, &mut fields);
    }
    Change { action, key, before, after, fields }
}

fn differences(at: &str, before: &Json, after: &Json, fields: &mut Vec<String>) {
    if before == after {
        return;
    }
    let (Some(a), Some(b)) = (before.as_object(), after.as_object()) else { return fields.push(at.to_owned()) };
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    for name in names {
        let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        differences(&path, a.get(name).unwrap_or(&Json::Null), b.get(name).unwrap_or(&Json::Null), fields);
    }
}

fn hash<'a>(wanted: impl Iterator<Item = &'a Read>) -> String {
    let mut hasher = Sha256::new();
    for read in wanted {
        // Fields stand in their declared order: the same documents have the same hash however they are written.
        hasher.update(read.entity.key.to_string());
        hasher.update([0]);
        hasher.update(read.entity.content().to_string());
        hasher.update([0]);
    }
    hex::encode(hasher.finalize())
}

fn names(read: &Read, wish: &Wish, faults: &mut Faults) {
    let key = &read.entity.key;
    if key.kind == EntityKind::Tenant && RESERVED.contains(&key.id.as_str()) {
        faults.add(&read.place, format!("the name {} is reserved: no tenant may have it", key.id));
    } else if key.tenant != PLATFORM && RESERVED.contains(&key.tenant.as_str()) {
        faults.add(&read.place, format!("the namespace {} is reserved: no tenant has it", key.tenant));
    } else if key.tenant == PLATFORM && !key.kind.may_be_shared() {
        faults.add(&read.place, format!("a {} belongs to a tenant, not to the platform", key.kind.as_str()));
    }
    if let Some(tenant) = wish.within.as_ref().filter(|tenant| **tenant != key.tenant) {
        faults.add(&read.place, format!("{key} does not belong to the tenant {tenant}"));
    }
}

/// A team that calls another one its child is its parent. What is afterwards is in the order of its keys.
fn children(after: &mut [Read], faults: &mut Faults) {
    let mut claims: Vec<(EntityKey, Reference, EntityKey)> = Vec::new();
    for read in after.iter() {
        for child in &read.children {
            let tenant = child.tenant.clone().unwrap_or_else(|| read.entity.key.tenant.clone());
            claims.push((
                EntityKey { tenant, kind: EntityKind::Team, id: child.id.clone() },
                child.clone(),
                read.entity.key.clone(),
            ));
        }
    }
    for (child, said, parent) in claims {
        let Ok(at) = after.binary_search_by(|read| read.entity.key.cmp(&child)) else {
            faults.add(&said.place, format!("children: there is no {child}"));
            continue;
        };
        let read = &mut after[at];
        match &read.parent {
            None => {
                read.parent = Some(Reference { field: "children", id: parent.id, tenant: Some(parent.tenant), ..said })
            }
            Some(known) if known.id == parent.id => {}
            Some(known) => faults.add(&said.place, format!("children: {child} has the parent {} already", known.id)),
        }
    }
}

fn references(after: &[Read], known: &BTreeSet<String>, faults: &mut Faults) {
    let keys: BTreeSet<&EntityKey> = after.iter().map(|read| &read.entity.key).collect();
    let has = |tenant: &str, kind: EntityKind, id: &str| {
        keys.contains(&EntityKey { tenant: tenant.to_owned(), kind, id: id.to_owned() })
    };
    let is_tenant = |tenant: &str| known.contains(tenant) || has(tenant, EntityKind::Tenant, tenant);
    for read in after {
        let own = &read.entity.key;
        if own.kind != EntityKind::Tenant && own.tenant != PLATFORM && !is_tenant(&own.tenant) {
            faults.add(&read.place, format!("{own}: there is no tenant {}", own.tenant));
        }
        for reference in read.references.iter().chain(&read.parent) {
            let found = reference.kinds.iter().any(|kind| match (&reference.tenant, kind) {
                (None, EntityKind::Tenant) => is_tenant(&reference.id),
                (Some(tenant), kind) => has(tenant, *kind, &reference.id),
                (None, kind) => has(&own.tenant, *kind, &reference.id) || has(PLATFORM, *kind, &reference.id),
            });
            if !found {
                let kinds = reference.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" or ");
                let place = reference.tenant.as_deref().unwrap_or(&own.tenant);
                let of = if kinds == "Tenant" { String::new() } else { format!(" in {place}") };
                faults.add(&reference.place, format!("{}: there is no {kinds} {}{of}", reference.field, reference.id));
            }
        }
    }
}

/// Teams whose parents lead back to them: each cycle once.
fn cycles(after: &[Read], faults: &mut Faults) {
    let mut parents: HashMap<(String, String), (&Read, (String, String))> = HashMap::new();
    for read in after.iter().filter(|read| read.entity.key.kind == EntityKind::Team) {
        if let Some(parent) = &read.parent {
            let tenant = parent.tenant.clone().unwrap_or_else(|| read.entity.key.tenant.clone());
            let own = (read.entity.key.tenant.clone(), read.entity.key.id.clone());
            parents.insert(own, (read, (tenant, parent.id.clone())));
        }
    }
    let mut told = BTreeSet::new();
    let mut begins: Vec<&(String, String)> = parents.keys().collect();
    begins.sort();
    for begin in begins {
        let mut path = vec![begin];
        let mut at = begin;
        while let Some((_, next)) = parents.get(at) {
            if let Some(from) = path.iter().position(|seen| *seen == next) {
                let cycle = &path[from..];
                if cycle.iter().all(|team| told.insert((*team).clone())) {
                    let names: Vec<&str> = cycle.iter().chain([&next]).map(|(_, team)| team.as_str()).collect();
                    let place: &Place = &parents[next].0.parent.as_ref().expect("it has a parent").place;
                    faults.add(place, format!("parent: the teams are their own ancestors: {}", names.join(" → ")));
                }
                break;
            }
            path.push(next);
            at = next;
        }
    }
}

/// Members of teams, by tenant: told by the team or by the member.
pub(super) fn team_members(after: &[Read], tenant: &str) -> BTreeMap<(String, String), String> {
    let mut members = BTreeMap::new();
    for read in after.iter().filter(|read| read.entity.key.tenant == tenant) {
        for team in &read.member_of {
            members.entry((team.clone(), read.entity.key.id.clone())).or_insert_with(|| PLAIN_MEMBER.to_owned());
        }
    }
    for read in after.iter().filter(|read| read.entity.key.tenant == tenant) {
        // What the team says of a role wins.
        members.extend(
            read.members.iter().map(|(member, role)| ((read.entity.key.id.clone(), member.clone()), role.clone())),
        );
    }
    members
}
