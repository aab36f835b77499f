//! The columns that a resource and a scope give to all their records: worked out once for each, written in runs.

use engine::arrow::array::ArrayRef;
use engine::{Column, Type};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::cells::{Cell, Name, join};
use super::promote::{Promotion, columns, find, promote};
use super::{Arrival, value};

/// What a resource attribute becomes. The first five are the platform's standard labels.
const RESOURCE: [Promotion; 13] = [
    promote(
        "tenant",
        Type::Name,
        "tenant",
        &["tenant.id"],
        "Tenant that the row belongs to: the caller's own; for a platform caller the resource attribute `tenant` or `tenant.id`, else `default`.",
    ),
    promote(
        "env",
        Type::Name,
        "deployment.environment.name",
        &["deployment.environment", "env"],
        "Deployment environment: resource attribute `deployment.environment.name`, else `deployment.environment`, else `env`.",
    ),
    promote(
        "app",
        Type::Name,
        "app",
        &["service.namespace", "service.name"],
        "Application: resource attribute `app`, else `service.namespace`, else `service.name`.",
    ),
    promote(
        "service_version",
        Type::Name,
        "service.version",
        &["version"],
        "Version of the service, the standard label `version`.",
    ),
    promote(
        "cost_center",
        Type::Name,
        "cost_center",
        &["cost-center", "cost.center"],
        "Cost centre: resource attribute `cost_center`, else `cost-center`, else `cost.center`.",
    ),
    promote("service_name", Type::Name, "service.name", &[], "Logical name of the service."),
    promote("service_instance_id", Type::Name, "service.instance.id", &[], "The instance of the service."),
    promote("host_name", Type::Name, "host.name", &[], "Name of the host."),
    promote("k8s_cluster_name", Type::Name, "k8s.cluster.name", &[], "Kubernetes cluster."),
    promote("k8s_namespace_name", Type::Name, "k8s.namespace.name", &[], "Kubernetes namespace."),
    promote("k8s_pod_name", Type::Name, "k8s.pod.name", &[], "Kubernetes pod."),
    promote(
        "k8s_container_name",
        Type::Name,
        "k8s.container.name",
        &[],
        "Container, by its name in the pod's specification.",
    ),
    promote("k8s_node_name", Type::Name, "k8s.node.name", &[], "Kubernetes node."),
];
const TENANT: usize = 0;

/// What a scope and the envelope add.
const SCOPE: [Column; 6] = [
    Column::new(
        "resource_attributes",
        Type::Name,
        "The resource's other attributes, a JSON object with their types kept; null when there are none.",
    ),
    Column::new("resource_schema_url", Type::Name, "Schema URL of the resource."),
    Column::new("scope_name", Type::Name, "Instrumentation scope: the library or module that made the record."),
    Column::new("scope_version", Type::Name, "Version of the instrumentation scope."),
    Column::new("scope_attributes", Type::Name, "The scope's attributes, a JSON object; null when there are none."),
    Column::new("scope_schema_url", Type::Name, "Schema URL of the scope's records."),
];

/// Columns that every OpenTelemetry table ends with.
pub(super) const SHARED_COLUMNS: [Column; RESOURCE.len() + SCOPE.len()] = {
    let mut shared: [Column; RESOURCE.len() + SCOPE.len()] = join(&[&columns(&RESOURCE), &SCOPE]);
    shared[TENANT] = shared[TENANT].required();
    shared
};

/// The cells of the shared columns for all records of one scope.
#[derive(Debug, Clone, Default)]
pub(super) struct Labels {
    cells: Vec<Option<String>>,
}

impl Labels {
    /// What the resource says.
    pub fn of_resource(resource: &Resource, schema_url: &str, arrival: &Arrival<'_>) -> Self {
        let mut found = Vec::new();
        find(&RESOURCE, &resource.attributes, &mut found);
        let value_at = |at: usize| resource.attributes[at].value.as_ref();
        let mut cells: Vec<Option<String>> =
            found.iter().map(|found| found.and_then(|found| value::label(value_at(found.at)))).collect();
        let owner =
            arrival.scope.owner(cells[TENANT].as_deref().filter(|t| !t.is_empty()).or(arrival.tenant)).to_owned();
        cells[TENANT] = Some(owner);
        let exact = |at: usize| {
            let key = &resource.attributes[at].key;
            let promoted = RESOURCE.iter().zip(&cells).find(|(promotion, _)| promotion.key == key);
            promoted.is_some_and(|(_, cell)| is_text(&resource.attributes[at], cell.as_deref()))
        };
        let mut rest = String::new();
        value::write_pairs(&mut rest, &resource.attributes, exact);
        cells.push((rest != "{}").then_some(rest));
        cells.push(text(schema_url));
        Labels { cells }
    }

    /// The resource's labels with those of one of its scopes.
    pub fn with_scope(&self, scope: &InstrumentationScope, schema_url: &str) -> Self {
        let mut cells = self.cells.clone();
        cells.push(text(&scope.name));
        cells.push(text(&scope.version));
        cells.push((!scope.attributes.is_empty()).then(|| {
            let mut attributes = String::new();
            value::write_object(&mut attributes, &scope.attributes);
            attributes
        }));
        cells.push(text(schema_url));
        Labels { cells }
    }
}

/// Whether an attribute is exactly this text: what a column already says need not be said again.
fn is_text(attribute: &KeyValue, cell: Option<&str>) -> bool {
    match attribute.value.as_ref().and_then(|v| v.value.as_ref()) {
        Some(Value::StringValue(text)) => cell == Some(text),
        _ => false,
    }
}

fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

/// The shared columns under construction.
pub(super) struct Shared {
    columns: Vec<Name>,
}

impl Default for Shared {
    fn default() -> Self {
        Shared { columns: SHARED_COLUMNS.iter().map(|_| Name::default()).collect() }
    }
}

impl Shared {
    /// Gives `rows` more rows these labels.
    pub fn repeat(&mut self, labels: &Labels, rows: usize) {
        if rows == 0 {
            return;
        }
        for (column, cell) in self.columns.iter_mut().zip(&labels.cells) {
            column.repeat(cell.as_deref(), rows);
        }
    }

    pub fn finish(&mut self) -> Vec<ArrayRef> {
        self.columns.iter_mut().map(Cell::finish).collect()
    }
}
