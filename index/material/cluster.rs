//! Kubernetes as texts: what somebody declared, as YAML, and what went wrong, an object and a reason at a time.

use super::{MaterialSource, Pace};

/// Objects that people declare. What controllers make of them (pods, replica sets, endpoints) comes and goes too fast to be
/// read, and says the same; secrets are not texts at all.
pub const OBJECT: MaterialSource = MaterialSource {
    name: "k8s_object",
    doc: "Kubernetes objects that nobody owns, as YAML without their status; no secrets, pods or endpoints.",
    tables: &["k8s_object"],
    sql: include_str!("object.sql"),
    pace: Pace::SOON,
    is_written: true,
};

/// Warnings, together by object and reason.
pub const EVENT: MaterialSource = MaterialSource {
    name: "k8s_event",
    doc: "Warnings of Kubernetes, one text for an object and a reason, with how often it happened.",
    tables: &["k8s_event"],
    sql: include_str!("event.sql"),
    pace: Pace::SOON,
    is_written: false,
};
