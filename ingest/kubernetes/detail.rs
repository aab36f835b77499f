//! The register of kinds that have a table of their own beside `k8s_object`, and what all of these tables share: how a
//! row is begun, how its end is marked.

use engine::{Rows, Table, Value as Cell};

use super::cells::Cells;
use super::meta::{Meta, Origin};
use super::{access, batch, event, namespace, network, node, pod, quota, scaling, storage, workload};
use crate::json::{self, Reason};

/// A kind with a table of its own.
#[derive(Debug)]
pub struct Detail {
    /// Its table.
    pub table: &'static Table,
    /// API groups and kinds that it holds.
    pub kinds: &'static [(&'static str, &'static str)],
    /// How an object becomes rows.
    pub write: Write,
}

/// How an object becomes rows.
#[derive(Debug, Clone, Copy)]
pub enum Write {
    /// One row; the columns that all objects share are set already.
    One(fn(&Meta<'_>, &mut Cells<'_, '_>) -> Result<(), Reason>),
    /// One row with columns of its own making, ended by the function.
    Own(fn(&Meta<'_>, Origin<'_>, &mut Rows) -> Result<(), Reason>),
    /// A row for each part.
    Parts {
        /// The columns of the object's name and of the part's.
        columns: (&'static str, &'static str),
        /// Writes the rows.
        write: fn(&Meta<'_>, Origin<'_>, &mut Parts<'_>),
    },
    /// What happened stays when the object goes.
    Kept(fn(&Meta<'_>, Origin<'_>, &mut Rows) -> Result<(), Reason>),
}

/// Rows of one object's parts under construction.
pub struct Parts<'r> {
    pub rows: &'r mut Rows,
    /// Names of the parts that have a row now.
    pub written: &'r mut Vec<String>,
    /// Why other parts have none.
    pub refused: Vec<Reason>,
}

impl Parts<'_> {
    /// Ends a part's row, or says why there is none; `place` is where the part stands.
    pub fn end(&mut self, part: &str, place: &str, filled: Result<(), Reason>) {
        let ended = filled.and_then(|()| self.rows.end_row().map_err(|e| e.to_string()));
        match ended {
            Ok(()) => self.written.push(part.to_owned()),
            Err(reason) => {
                self.rows.abandon_row();
                self.refused.push(if place.is_empty() { reason } else { format!("{place}: {reason}") });
            }
        }
    }
}

/// Every kind with a table of its own.
pub const DETAILS: &[&Detail] = &[
    &pod::POD,
    &node::NODE,
    &event::EVENT,
    &workload::DEPLOYMENT,
    &workload::REPLICA_SET,
    &workload::STATEFUL_SET,
    &workload::DAEMON_SET,
    &batch::JOB,
    &batch::CRON_JOB,
    &network::SERVICE,
    &network::INGRESS,
    &network::NETWORK_POLICY,
    &quota::RESOURCE_QUOTA,
    &quota::LIMIT_RANGE,
    &access::ROLE_BINDING,
    &storage::PERSISTENT_VOLUME,
    &storage::PERSISTENT_VOLUME_CLAIM,
    &scaling::HORIZONTAL_POD_AUTOSCALER,
    &namespace::NAMESPACE,
];

/// The detail of a kind, if it has one.
pub fn of(api_group: &str, kind: &str) -> Option<&'static Detail> {
    DETAILS.iter().find(|detail| detail.kinds.contains(&(api_group, kind))).copied()
}

impl Detail {
    /// Adds the object's rows; answers why parts of it have none. The names of what was written go to `written`.
    pub fn put(&self, meta: &Meta<'_>, origin: Origin<'_>, rows: &mut Rows, written: &mut Vec<String>) -> Vec<Reason> {
        let one = match self.write {
            Write::Parts { write, .. } => {
                let mut parts = Parts { rows, written, refused: Vec::new() };
                write(meta, origin, &mut parts);
                return parts.refused;
            }
            Write::One(write) => begin(meta, origin, rows)
                .and_then(|()| write(meta, &mut Cells::new(meta.object, rows)))
                .and_then(|()| rows.end_row().map_err(|e| e.to_string())),
            Write::Own(write) | Write::Kept(write) => write(meta, origin, rows),
        };
        match one {
            Ok(()) => {
                if !matches!(self.write, Write::Kept(_)) {
                    written.push(String::new());
                }
                Vec::new()
            }
            Err(reason) => {
                rows.abandon_row();
                vec![reason]
            }
        }
    }

    /// Adds the marks that these parts of an object are gone.
    pub fn end(&self, gone: Gone<'_>, parts: &[String], rows: &mut Rows) -> Result<(), Reason> {
        let (name, part) = match self.write {
            Write::Parts { columns: (name, part), .. } => (name, Some(part)),
            Write::One(_) | Write::Own(_) => ("name", None),
            Write::Kept(_) => return Ok(()),
        };
        for written in parts {
            rows.set("tenant", gone.tenant)
                .set("cluster", gone.cluster)
                .set("namespace", gone.namespace)
                .set(name, gone.name);
            if let Some(part) = part {
                rows.set(part, written.as_str());
            }
            rows.end_delete().map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

/// An object that is gone.
#[derive(Debug, Clone, Copy)]
pub struct Gone<'a> {
    pub tenant: &'a str,
    pub cluster: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

/// Sets the columns of `object_columns`.
pub fn begin(meta: &Meta<'_>, origin: Origin<'_>, rows: &mut Rows) -> Result<(), Reason> {
    meta.set(origin, rows);
    rows.set("name", meta.name)
        .set("uid", meta.uid)
        .set("resource_version", json::text(meta.object, &["metadata", "resourceVersion"])?)
        .set("creation_timestamp", meta.creation_timestamp.map(Cell::Time))
        .set("deletion_timestamp", meta.deletion_timestamp.map(Cell::Time))
        .set("owner_kind", meta.owner_kind)
        .set("owner_name", meta.owner_name)
        .set("labels", json::document(meta.object, &["metadata", "labels"]))
        .set("annotations", json::document(meta.object, &["metadata", "annotations"]));
    Ok(())
}
