//! One frame's rows of every Kubernetes table under construction: objects go in, ends of objects go in, batches come out.

use engine::reject::Reject;
use engine::{Batch, Rows, Table};
use serde_json::Value;

use super::detail::{self, DETAILS, Detail, Gone, Write};
use super::meta::{Meta, Origin};
use super::{K8S_CUSTOM_RESOURCE, K8S_OBJECT, K8S_OBJECT_HISTORY, K8S_USAGE};
use super::{custom, documents, event, history, object, scrape, secret, usage};
use crate::Parsed;
use crate::json::Reason;

/// Which object of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub api_group: Box<str>,
    pub kind: Box<str>,
    /// Empty for what belongs to the cluster.
    pub namespace: Box<str>,
    pub name: Box<str>,
}

/// What an object left in the tables, as whoever takes it away again must know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Tenant of its rows.
    pub tenant: String,
    /// Names of its parts in the table of its kind; one empty name where that table has a row an object.
    pub parts: Vec<String>,
}

/// Rows of all tables under construction.
pub struct Unit<'a> {
    origin: Origin<'a>,
    fields: &'a [custom::Field],
    objects: Rows,
    history: Rows,
    custom: Option<Rows>,
    usage: Option<Rows>,
    /// Beside [`DETAILS`].
    details: Vec<Option<Rows>>,
    accepted: u64,
    rejects: Vec<Reject>,
    bytes: usize,
}

impl<'a> Unit<'a> {
    /// Without rows. `fields` are picked out of custom resources beside the known ones.
    pub fn new(origin: Origin<'a>, fields: &'a [custom::Field]) -> Self {
        Unit {
            origin,
            fields,
            objects: Rows::new(&K8S_OBJECT),
            history: Rows::new(&K8S_OBJECT_HISTORY),
            custom: None,
            usage: None,
            details: DETAILS.iter().map(|_| None).collect(),
            accepted: 0,
            rejects: Vec::new(),
            bytes: 0,
        }
    }

    /// Whether nothing went in.
    pub fn is_empty(&self) -> bool {
        self.accepted == 0 && self.rejects.is_empty() && self.objects.is_empty()
    }

    /// Bytes of the objects that went in, as JSON.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps what is no object.
    pub fn reject(&mut self, reason: String, place: String, body: Vec<u8>) {
        self.bytes += body.len();
        self.rejects.push(Reject { kind: "k8s", reason, place: Some(place), body });
    }

    /// Adds an object of a body, or its end.
    pub fn add(&mut self, item: documents::Item) {
        let documents::Item { place, object, deleted } = item;
        if deleted {
            self.delete(&place, object);
        } else {
            self.put(&place, object);
        }
    }

    /// Adds an object's rows. An object whose details are nonsense stays in `k8s_object`; the detail is refused with its
    /// reason. `None`: nothing of it fitted.
    pub fn put(&mut self, place: &str, mut object: Value) -> Option<Trace> {
        secret::strip(&mut object);
        let text = object.to_string();
        self.bytes += text.len();
        let written = Meta::read(&object, self.origin).and_then(|meta| self.write(&meta, &text));
        let (trace, refused) = match written {
            Ok((trace, refused)) => (Some(trace), refused),
            Err(reason) => (None, vec![reason]),
        };
        for reason in refused {
            self.rejects.push(Reject {
                kind: "k8s",
                reason,
                place: Some(place.to_owned()),
                body: text.clone().into_bytes(),
            });
        }
        trace
    }

    /// Adds the samples of a scrape.
    pub fn scrape(&mut self, text: &str) {
        self.bytes += text.len();
        let rows = self.usage.get_or_insert_with(|| Rows::new(&K8S_USAGE));
        let (written, broken) = scrape::read(text, self.origin, rows);
        self.accepted += written;
        for (line, reason) in broken {
            let body = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            self.reject(reason, format!("line {line}"), body.as_bytes().to_vec());
        }
    }

    fn write(&mut self, meta: &Meta<'_>, text: &str) -> Result<(Trace, Vec<Reason>), Reason> {
        let mut trace = Trace { tenant: meta.tenant.to_owned(), parts: Vec::new() };
        if usage::is_sample(meta) {
            let refused = usage::write(meta, self.origin, self.usage.get_or_insert_with(|| Rows::new(&K8S_USAGE)));
            self.accepted += 1;
            return Ok((trace, refused));
        }
        let kept = object::write(meta, self.origin, text, &mut self.objects);
        kept.inspect_err(|_| self.objects.abandon_row())?;
        self.accepted += 1;
        let mut refused = Vec::new();
        if !event::is_event(meta)
            && let Err(reason) = history::applied(meta, self.origin, text, &mut self.history)
        {
            self.history.abandon_row();
            refused.push(reason);
        }
        let origin = self.origin;
        if let Some((detail, rows)) = self.detail(meta.api_group, meta.kind) {
            let rows = rows.get_or_insert_with(|| Rows::new(detail.table));
            refused.extend(detail.put(meta, origin, rows, &mut trace.parts));
        } else if custom::is_custom(meta.api_group) {
            let rows = self.custom.get_or_insert_with(|| Rows::new(&K8S_CUSTOM_RESOURCE));
            let done = detail::begin(meta, origin, rows)
                .and_then(|()| custom::write(meta, self.fields, rows))
                .and_then(|()| rows.end_row().map_err(|e| e.to_string()));
            match done {
                Ok(()) => trace.parts.push(String::new()),
                Err(reason) => {
                    rows.abandon_row();
                    refused.push(reason);
                }
            }
        }
        Ok((trace, refused))
    }

    fn detail(&mut self, api_group: &str, kind: &str) -> Option<(&'static Detail, &mut Option<Rows>)> {
        let detail = detail::of(api_group, kind)?;
        let at = DETAILS.iter().position(|known| std::ptr::eq(*known, detail))?;
        Some((detail, &mut self.details[at]))
    }

    /// Adds the end of an object that says of itself what it left.
    fn delete(&mut self, place: &str, mut object: Value) {
        secret::strip(&mut object);
        let text = object.to_string();
        self.bytes += text.len();
        let ended = Meta::read(&object, self.origin).and_then(|meta| {
            let mut parts = Vec::new();
            let detail = detail::of(meta.api_group, meta.kind);
            match detail.map(|detail| (detail, detail.write)) {
                Some((detail, Write::Parts { .. })) => {
                    // Its parts have the names that they would be written under.
                    detail.put(&meta, self.origin, &mut Rows::new(detail.table), &mut parts);
                }
                Some(_) => parts.push(String::new()),
                None if custom::is_custom(meta.api_group) => parts.push(String::new()),
                None => {}
            }
            let trace = Trace { tenant: meta.tenant.to_owned(), parts };
            self.take(&meta.identity(), &trace)
        });
        if let Err(reason) = ended {
            self.reject(reason, place.to_owned(), text.into_bytes());
        }
    }

    /// Adds the end of an object and of all that it left. An event that the API server forgot still happened: only its
    /// object goes.
    pub fn take(&mut self, identity: &Identity, trace: &Trace) -> Result<(), Reason> {
        self.take_rows(identity, trace)?;
        self.accepted += 1;
        if event::is(&identity.api_group, &identity.kind) {
            return Ok(());
        }
        history::deleted(identity, &trace.tenant, self.origin.cluster, &mut self.history)
    }

    /// Adds the marks that an object's rows are gone, where the object itself lives on under another tenant.
    pub fn take_rows(&mut self, identity: &Identity, trace: &Trace) -> Result<(), Reason> {
        object::delete(identity, &trace.tenant, self.origin.cluster, &mut self.objects)?;
        self.take_parts(identity, &trace.tenant, &trace.parts)
    }

    /// Adds the marks that parts of an object are gone.
    pub fn take_parts(&mut self, identity: &Identity, tenant: &str, parts: &[String]) -> Result<(), Reason> {
        let gone = Gone { tenant, cluster: self.origin.cluster, namespace: &identity.namespace, name: &identity.name };
        if let Some((detail, rows)) = self.detail(&identity.api_group, &identity.kind) {
            return detail.end(gone, parts, rows.get_or_insert_with(|| Rows::new(detail.table)));
        }
        if custom::is_custom(&identity.api_group) && !parts.is_empty() {
            let rows = self.custom.get_or_insert_with(|| Rows::new(&K8S_CUSTOM_RESOURCE));
            rows.set("tenant", gone.tenant)
                .set("cluster", gone.cluster)
                .set("api_group", &*identity.api_group)
                .set("kind", &*identity.kind)
                .set("namespace", gone.namespace)
                .set("name", gone.name);
            return rows.end_delete().map_err(|e| e.to_string());
        }
        Ok(())
    }

    /// The batches of everything that went in.
    pub fn finish(mut self) -> Parsed {
        let mut parsed = Parsed { accepted: self.accepted, rejects: self.rejects, ..Parsed::default() };
        let shared = [Some(&mut self.objects), Some(&mut self.history), self.custom.as_mut(), self.usage.as_mut()];
        for rows in shared.into_iter().chain(self.details.iter_mut().map(Option::as_mut)).flatten() {
            if !rows.is_empty() {
                parsed.batches.push(Batch { table: rows.table(), rows: rows.finish() });
            }
        }
        parsed
    }
}

/// The table of a kind beside `k8s_object`, with its columns for an object's name and for a part's.
pub fn parts_of(api_group: &str, kind: &str) -> Option<(&'static Table, &'static str, Option<&'static str>)> {
    match detail::of(api_group, kind) {
        Some(detail) => match detail.write {
            Write::Parts { columns: (name, part), .. } => Some((detail.table, name, Some(part))),
            Write::One(_) | Write::Own(_) => Some((detail.table, "name", None)),
            Write::Kept(_) => None,
        },
        None => custom::is_custom(api_group).then_some((&K8S_CUSTOM_RESOURCE, "name", None)),
    }
}
