//! What the tables hold of one kind in one cluster, as short as it can be said: a few words an object.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use engine::arrow::array::{Array, ArrayRef, AsArray};
use engine::arrow::datatypes::DataType;
use engine::sql::session::from_datafusion;
use engine::{Error, Limits, Question, Result, Store};
use futures::StreamExt;

use super::Cluster;
use super::discovery::Resource;
use crate::kubernetes::unit::{Identity, Trace, parts_of};

/// Stands between the names of an object's parts; no name has it.
const BETWEEN: char = '\n';

/// A version of an object. API servers count them up; a word that is no number can only be equal or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Number(u64),
    Word(u64),
}

impl Version {
    /// Of a text.
    pub fn parse(text: &str) -> Version {
        text.parse().map(Version::Number).unwrap_or_else(|_| {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            Version::Word(hasher.finish())
        })
    }

    /// Whether this one is certainly not newer than the other.
    pub fn is_stale_beside(self, other: Version) -> bool {
        match (self, other) {
            (Version::Number(own), Version::Number(other)) => own <= other,
            (own, other) => own == other,
        }
    }
}

/// What is known of one object.
#[derive(Debug)]
struct Entry {
    version: Version,
    /// The listing that named it last.
    listing: u32,
    tenant: Arc<str>,
    /// Names of its parts in its kind's table, with `BETWEEN` behind each.
    parts: Box<str>,
}

/// Every object of one kind that the tables hold, by `namespace/name`.
#[derive(Debug, Default)]
pub struct Known {
    entries: HashMap<Box<str>, Entry>,
    /// Tenants are few.
    tenants: HashMap<Box<str>, Arc<str>>,
    listing: u32,
}

fn key(namespace: &str, name: &str) -> Box<str> {
    format!("{namespace}/{name}").into()
}

impl Known {
    /// What the store holds, from a process before this one.
    pub async fn load(store: &Store, cluster: &Cluster, resource: &Resource) -> Result<Known> {
        let mut known = Known::default();
        let of_kind = "SELECT tenant, namespace, name, resource_version FROM k8s_object WHERE cluster = $1 AND api_group = $2 AND kind = $3";
        let params = [&*cluster.name, &resource.api_group, &resource.kind].map(str::to_owned);
        ask::<4>(store, cluster, of_kind.to_owned(), params.to_vec(), |cells| {
            let [tenant, namespace, name, version] = cells;
            let tenant = known.tenant(tenant.unwrap_or_default());
            let version = Version::parse(version.unwrap_or_default());
            let entry = Entry { version, listing: 0, tenant, parts: "".into() };
            known.entries.insert(key(namespace.unwrap_or_default(), name.unwrap_or_default()), entry);
        })
        .await?;
        let Some((table, name, part)) = parts_of(&resource.api_group, &resource.kind) else { return Ok(known) };
        // A part may be a word of SQL, as a limit range's `limit` is.
        let part = part.map_or("''".to_owned(), |part| format!("\"{part}\""));
        let (mut sql, mut params) = (
            format!("SELECT tenant, namespace, \"{name}\", {part} FROM {} WHERE cluster = $1", table.name),
            params.to_vec(),
        );
        if table.position("api_group").is_some() {
            sql.push_str(" AND api_group = $2 AND kind = $3");
        } else {
            params.truncate(1);
        }
        let mut parts: HashMap<Box<str>, String> = HashMap::new();
        ask::<4>(store, cluster, sql, params, |[_, namespace, name, part]| {
            let of = parts.entry(key(namespace.unwrap_or_default(), name.unwrap_or_default())).or_default();
            of.push_str(part.unwrap_or_default());
            of.push(BETWEEN);
        })
        .await?;
        for (key, entry) in &mut known.entries {
            match parts.remove(key) {
                Some(parts) => entry.parts = parts.into(),
                // A table that is younger than the object: its row is to be written whatever the version.
                None => entry.version = Version::Word(0),
            }
        }
        Ok(known)
    }

    fn tenant(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.tenants.get(name) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = name.into();
        self.tenants.insert(name.into(), Arc::clone(&shared));
        shared
    }

    /// Objects.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The version of an object.
    pub fn version(&self, namespace: &str, name: &str) -> Option<Version> {
        self.entries.get(&*key(namespace, name)).map(|entry| entry.version)
    }

    /// A list of all objects begins.
    pub fn begin_listing(&mut self) {
        self.listing += 1;
    }

    /// The list names an object that is known already.
    pub fn mark(&mut self, namespace: &str, name: &str) {
        if let Some(entry) = self.entries.get_mut(&*key(namespace, name)) {
            entry.listing = self.listing;
        }
    }

    /// An object has this version now and left this; answers what it had left before.
    pub fn put(&mut self, namespace: &str, name: &str, version: Version, trace: &Trace) -> Option<Trace> {
        let mut parts = String::new();
        trace.parts.iter().for_each(|part| parts.extend([part.as_str(), "\n"]));
        let entry = Entry { version, listing: self.listing, tenant: self.tenant(&trace.tenant), parts: parts.into() };
        self.entries.insert(key(namespace, name), entry).map(Entry::into_trace)
    }

    /// An object is gone; answers what it had left.
    pub fn take(&mut self, namespace: &str, name: &str) -> Option<Trace> {
        self.entries.remove(&*key(namespace, name)).map(Entry::into_trace)
    }

    /// Takes an object that the last list did not name.
    pub fn take_unlisted(&mut self, resource: &Resource, most: usize) -> Vec<(Identity, Trace)> {
        let listing = self.listing;
        let unlisted = self.entries.iter().filter(|(_, entry)| entry.listing != listing);
        let keys: Vec<Box<str>> = unlisted.take(most).map(|(key, _)| key.clone()).collect();
        let mut taken = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(entry) = self.entries.remove(&key) else { continue };
            let (namespace, name) = key.split_once('/').unwrap_or(("", &key));
            let identity = Identity {
                api_group: resource.api_group.as_str().into(),
                kind: resource.kind.as_str().into(),
                namespace: namespace.into(),
                name: name.into(),
            };
            taken.push((identity, entry.into_trace()));
        }
        taken
    }
}

impl Entry {
    fn into_trace(self) -> Trace {
        let parts = self.parts.split_terminator(BETWEEN).map(str::to_owned).collect();
        Trace { tenant: self.tenant.to_string(), parts }
    }
}

/// Asks, and hands on each row's cells as text.
pub async fn ask<const N: usize>(
    store: &Store,
    cluster: &Cluster,
    sql: String,
    params: Vec<String>,
    mut row: impl FnMut([Option<&str>; N]),
) -> Result<()> {
    let mut answer = store.query(&cluster.scope, Question { sql, params }, Limits::default()).await?;
    while let Some(batch) = answer.stream.next().await {
        let batch = batch.map_err(from_datafusion)?;
        let text = |column: &ArrayRef| {
            engine::arrow::compute::cast(column, &DataType::Utf8)
                .map_err(|e| Error::unavailable("read what is known of a cluster", e))
        };
        let columns: Vec<ArrayRef> = batch.columns().iter().map(text).collect::<Result<_>>()?;
        for at in 0..batch.num_rows() {
            row(std::array::from_fn(|column| {
                let cells = columns[column].as_string::<i32>();
                cells.is_valid(at).then(|| cells.value(at))
            }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up_or_are_equal() {
        let of = Version::parse;
        assert!(of("7").is_stale_beside(of("7")) && of("7").is_stale_beside(of("12")));
        assert!(!of("12").is_stale_beside(of("7")));
        assert!(of("a").is_stale_beside(of("a")) && !of("a").is_stale_beside(of("b")));
    }

    #[test]
    fn what_a_list_does_not_name_is_taken() {
        let mut known = Known::default();
        let trace =
            |parts: &[&str]| Trace { tenant: "t".to_owned(), parts: parts.iter().map(|p| (*p).to_owned()).collect() };
        known.begin_listing();
        assert_eq!(known.put("d", "a", Version::Number(1), &trace(&["x", "y"])), None);
        assert_eq!(known.put("d", "b", Version::Number(2), &trace(&[""])), None);
        assert_eq!(known.put("", "c", Version::Number(3), &trace(&[])), None);
        assert_eq!(known.put("d", "a", Version::Number(4), &trace(&["x"])), Some(trace(&["x", "y"])));
        known.begin_listing();
        known.mark("d", "a");
        let resource = Resource {
            api_group: String::new(),
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            plural: "pods".to_owned(),
        };
        let mut taken = known.take_unlisted(&resource, 10);
        taken.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        let names: Vec<_> = taken.iter().map(|(id, t)| (&*id.namespace, &*id.name, t.parts.len())).collect();
        assert_eq!(names, [("d", "b", 1), ("", "c", 0)]);
        assert_eq!(known.len(), 1);
    }
}
