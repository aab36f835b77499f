//! By what rows are grouped and chosen.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use engine::Error;

use super::row::Row;
use super::{UNALLOCATED, UNMOUNTED};

/// A property of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// Tenant.
    Tenant,
    /// Cluster.
    Cluster,
    /// Node.
    Node,
    /// Namespace.
    Namespace,
    /// Pod.
    Pod,
    /// Container.
    Container,
    /// Kind of the controller.
    ControllerKind,
    /// Name of the controller.
    Controller,
    /// Service.
    Service,
    /// A label.
    Label(String),
    /// An annotation.
    Annotation(String),
}

impl FromStr for Property {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let of = |prefix: &str| text.strip_prefix(prefix).filter(|name| !name.is_empty()).map(str::to_owned);
        Ok(match text.to_ascii_lowercase().as_str() {
            "tenant" => Property::Tenant,
            "cluster" => Property::Cluster,
            "node" => Property::Node,
            "namespace" => Property::Namespace,
            "pod" => Property::Pod,
            "container" => Property::Container,
            "controller_kind" | "controllerkind" => Property::ControllerKind,
            "controller" => Property::Controller,
            "service" => Property::Service,
            _ => match (of("label:"), of("annotation:")) {
                (Some(name), _) => Property::Label(name),
                (_, Some(name)) => Property::Annotation(name),
                _ => {
                    return Err(Error::invalid(format!(
                        "{text:?} is no property; tenant, cluster, node, namespace, pod, container, controller_kind, controller, service, label:NAME and annotation:NAME are"
                    )));
                }
            },
        })
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Property::Tenant => "tenant",
            Property::Cluster => "cluster",
            Property::Node => "node",
            Property::Namespace => "namespace",
            Property::Pod => "pod",
            Property::Container => "container",
            Property::ControllerKind => "controller_kind",
            Property::Controller => "controller",
            Property::Service => "service",
            Property::Label(name) => return write!(f, "label:{name}"),
            Property::Annotation(name) => return write!(f, "annotation:{name}"),
        })
    }
}

impl Property {
    /// A row's value; empty if it has none.
    pub fn of<'a>(&self, row: &'a Row) -> &'a str {
        match self {
            Property::Tenant => &row.tenant,
            Property::Cluster => &row.cluster,
            Property::Node => &row.node,
            Property::Namespace => &row.namespace,
            Property::Pod => &row.pod,
            Property::Container => &row.container,
            Property::ControllerKind => &row.controller_kind,
            Property::Controller => &row.controller,
            Property::Service => &row.service,
            Property::Label(name) => named(&row.labels, name),
            Property::Annotation(name) => named(&row.annotations, name),
        }
    }
}

/// A label by its own name, or by that which Prometheus gives it (`app_kubernetes_io_name`).
fn named<'a>(labels: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    let is_called = |label: &str| {
        let plain = label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
        plain.eq(name.chars())
    };
    let found = labels.get(name).or_else(|| {
        let mut others = labels.iter().filter(|(label, _)| name.contains('_') && is_called(label));
        others.next().map(|(_, value)| value)
    });
    found.map_or("", String::as_str)
}

/// The group of a row.
pub fn key(row: &Row, by: &[Property]) -> String {
    if row.is_unmounted() {
        return UNMOUNTED.to_owned();
    }
    let word = |property: &Property| match property.of(row) {
        "" => UNALLOCATED.to_owned(),
        value => value.to_owned(),
    };
    by.iter().map(word).collect::<Vec<_>>().join("/")
}

/// Rows whose property has one of these values: `namespace=kube-system`, `label:app=a,b`. A value may end in `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// The property.
    pub property: Property,
    /// Its values.
    pub values: Vec<String>,
}

impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (property, values) = text.split_once('=').ok_or_else(|| {
            Error::invalid(format!("{text:?} chooses nothing; PROPERTY=VALUE does: namespace=kube-system"))
        })?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        Ok(Selector { property: property.parse()?, values })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.property, self.values.join(","))
    }
}

impl Selector {
    /// Whether a row is chosen.
    pub fn matches(&self, row: &Row) -> bool {
        let own = self.property.of(row);
        let own = if own.is_empty() { UNALLOCATED } else { own };
        self.values.iter().any(|value| match value.strip_suffix('*') {
            Some(start) => own.starts_with(start),
            None => own == value,
        })
    }
}
