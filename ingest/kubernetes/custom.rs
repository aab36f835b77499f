//! `k8s_custom_resource`: objects of kinds that a cluster added to itself. What they have in common is flattened; what an
//! analyst asks of a known kind is picked out by paths, and a caller may name more of them.

use std::collections::BTreeMap;

use engine::{Column, Rows, Table, Type};
use serde_json::{Map, Value};

use super::cells::{Cells, condition, object_columns, plain};
use super::meta::Meta;
use super::object;
use crate::json::{Reason, at};

/// Objects of custom resources.
pub static K8S_CUSTOM_RESOURCE: Table = Table {
    key: &["cluster", "api_group", "kind", "namespace", "name"],
    time: "ingested_at",
    ..Table::new(
        "k8s_custom_resource",
        "The last seen state of every object of a custom resource (Argo CD, KEDA, Gatekeeper, External Secrets, cert-manager and any other); `k8s_object` has the object whole.",
        object_columns![
            Column::new("api_group", Type::Name, "API group (`argoproj.io`).").required(),
            Column::new("api_version", Type::Name, "Version within the group (`v1alpha1`)."),
            Column::new("kind", Type::Name, "Kind (`Application`).").required(),
            Column::new("phase", Type::Name, "Its phase or health in one word (`Healthy`, `Bound`), where it has one."),
            Column::new(
                "ready",
                Type::Bool,
                "Condition Ready, Available or Established; null where the kind has no such thing."
            ),
            Column::new("reason", Type::Name, "Reason of that condition (`SecretSyncedError`)."),
            Column::new("message", Type::Text, "Message of that condition."),
            Column::new("generation", Type::Int, "Counts changes of the desired state."),
            Column::new("observed_generation", Type::Int, "The generation that its controller has seen."),
            Column::new(
                "fields",
                Type::Json,
                "Members of the object that are picked out for its kind, by name (`fields ->> 'sync_status'`)."
            ),
            Column::new("conditions", Type::Json, "The list `status.conditions`."),
        ],
    )
};

/// Members that are picked out: group, kind (`*` is each of the group), name, path.
const FIELDS: &[(&str, &str, &str, &str)] = &[
    ("argoproj.io", "Application", "project", "spec.project"),
    ("argoproj.io", "Application", "sync_status", "status.sync.status"),
    ("argoproj.io", "Application", "health_status", "status.health.status"),
    ("argoproj.io", "Application", "revision", "status.sync.revision"),
    ("argoproj.io", "Application", "repo_url", "spec.source.repoURL"),
    ("argoproj.io", "Application", "path", "spec.source.path"),
    ("argoproj.io", "Application", "target_revision", "spec.source.targetRevision"),
    ("argoproj.io", "Application", "destination_namespace", "spec.destination.namespace"),
    ("argoproj.io", "Application", "destination_server", "spec.destination.server"),
    ("argoproj.io", "Application", "operation_phase", "status.operationState.phase"),
    ("keda.sh", "ScaledObject", "target_name", "spec.scaleTargetRef.name"),
    ("keda.sh", "ScaledObject", "min_replicas", "spec.minReplicaCount"),
    ("keda.sh", "ScaledObject", "max_replicas", "spec.maxReplicaCount"),
    ("keda.sh", "ScaledObject", "last_active_time", "status.lastActiveTime"),
    ("constraints.gatekeeper.sh", "*", "enforcement_action", "spec.enforcementAction"),
    ("constraints.gatekeeper.sh", "*", "total_violations", "status.totalViolations"),
    ("constraints.gatekeeper.sh", "*", "audit_timestamp", "status.auditTimestamp"),
    ("external-secrets.io", "ExternalSecret", "store_name", "spec.secretStoreRef.name"),
    ("external-secrets.io", "ExternalSecret", "store_kind", "spec.secretStoreRef.kind"),
    ("external-secrets.io", "ExternalSecret", "refresh_interval", "spec.refreshInterval"),
    ("external-secrets.io", "ExternalSecret", "refresh_time", "status.refreshTime"),
    ("external-secrets.io", "ExternalSecret", "target_name", "spec.target.name"),
    ("cert-manager.io", "Certificate", "secret_name", "spec.secretName"),
    ("cert-manager.io", "Certificate", "issuer_name", "spec.issuerRef.name"),
    ("cert-manager.io", "Certificate", "dns_names", "spec.dnsNames"),
    ("cert-manager.io", "Certificate", "not_after", "status.notAfter"),
    ("cert-manager.io", "Certificate", "renewal_time", "status.renewalTime"),
];

/// A member that a caller wants picked out: `Application.argoproj.io:owner=spec.project`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Field {
    /// Kind, `*` for every kind of the group.
    pub kind: String,
    /// API group.
    pub api_group: String,
    /// Its name in `fields`.
    pub name: String,
    /// Member names with dots between them.
    pub path: String,
}

impl std::str::FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Field, String> {
        let wrong = || format!("{text:?} is not KIND.GROUP:NAME=PATH (Application.argoproj.io:owner=spec.project)");
        let (of, rest) = text.split_once(':').ok_or_else(wrong)?;
        let (kind, api_group) = of.split_once('.').ok_or_else(wrong)?;
        let (name, path) = rest.split_once('=').ok_or_else(wrong)?;
        let path = path.trim_start_matches('.');
        if [kind, api_group, name, path].iter().any(|part| part.is_empty()) {
            return Err(wrong());
        }
        let own = |word: &str| word.to_owned();
        Ok(Field { kind: own(kind), api_group: own(api_group), name: own(name), path: own(path) })
    }
}

/// Whether a kind is of nobody's API but the cluster's own.
pub fn is_custom(api_group: &str) -> bool {
    api_group.contains('.') && !api_group.ends_with(".k8s.io")
}

/// Sets the cells of an object.
pub fn write(meta: &Meta<'_>, more: &[Field], rows: &mut Rows) -> Result<(), Reason> {
    let mut decisive = ["Ready", "Available", "Established"].iter().map(|kind| condition(meta.object, kind));
    let decisive = decisive.find(|c| c.status.is_some() || c.reason.is_some()).unwrap_or_default();
    let mut cells = Cells::new(meta.object, rows);
    cells
        .set("api_group", meta.api_group)
        .set("api_version", meta.api_version)
        .set("kind", meta.kind)
        .set("phase", phase(meta.object))
        .set("ready", object::ready(meta.object))
        .set("reason", decisive.reason)
        .set("message", decisive.message)
        .set("fields", fields(meta, more))
        .int("generation", "metadata.generation")?
        .json("conditions", "status.conditions")?;
    // Some controllers write it as text.
    let observed =
        at(meta.object, &["status", "observedGeneration"]).map(plain).and_then(|text| text.parse::<i64>().ok());
    cells.set("observed_generation", observed);
    Ok(())
}

/// The one word that kinds use for how they are, in the places where they put it.
fn phase(object: &Value) -> Option<&str> {
    let places: [&[&str]; 4] =
        [&["status", "phase"], &["status", "health", "status"], &["status", "state"], &["status", "status"]];
    places.iter().find_map(|path| at(object, path)?.as_str()).filter(|word| !word.is_empty())
}

fn fields(meta: &Meta<'_>, more: &[Field]) -> Option<String> {
    let is = |group: &str, kind: &str| group == meta.api_group && (kind == "*" || kind == meta.kind);
    let known = FIELDS.iter().filter(|(group, kind, ..)| is(group, kind)).map(|(.., name, path)| (*name, *path));
    let asked = more.iter().filter(|f| is(&f.api_group, &f.kind)).map(|f| (f.name.as_str(), f.path.as_str()));
    let paths: BTreeMap<&str, &str> = known.chain(asked).collect();
    let pick = |(name, path): (&str, &str)| {
        let found = at(meta.object, &path.split('.').collect::<Vec<_>>())?;
        Some((name.to_owned(), found.clone()))
    };
    let picked: Map<String, Value> = paths.into_iter().filter_map(pick).collect();
    (!picked.is_empty()).then(|| Value::Object(picked).to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_by_kind_group_and_path() {
        let field: Field = "Application.argoproj.io:owner=.spec.project".parse().unwrap();
        assert_eq!((&*field.kind, &*field.api_group), ("Application", "argoproj.io"));
        assert_eq!((&*field.name, &*field.path), ("owner", "spec.project"));
        for wrong in ["", "Application:owner=a", "Application.argoproj.io:owner", "A.b:=c", "A.b:c="] {
            assert!(wrong.parse::<Field>().is_err(), "{wrong}");
        }
    }
}
