//! A constraint: a template, held against the objects that match, with parameters and with what follows.

use serde_json::Value;

use super::document::{group_version, text};
use super::matching::Match;

/// API group of constraints.
const GROUP: &str = "constraints.gatekeeper.sh";

/// Where a constraint is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Before an object is written.
    Admission,
    /// Over what is there.
    Audit,
    /// In a suite of tests.
    Test,
}

impl Point {
    fn name(self) -> &'static str {
        match self {
            Point::Admission => "validation.gatekeeper.sh",
            Point::Audit => "audit.gatekeeper.sh",
            Point::Test => "gator.gatekeeper.sh",
        }
    }
}

/// A constraint as it was given.
#[derive(Debug, Clone)]
pub struct Constraint {
    /// Kind, which names the template.
    pub kind: String,
    /// Name.
    pub name: String,
    /// The whole document.
    pub document: Value,
    /// What it is about; an error denies for every object.
    pub matching: Result<Match, String>,
    action: String,
    scoped: Vec<(String, Vec<String>)>,
}

impl Constraint {
    /// Whether a document is a constraint.
    pub fn is(document: &Value) -> bool {
        group_version(text(document, "/apiVersion")).0 == GROUP
    }

    /// Reads a constraint.
    pub fn load(document: Value) -> Result<Constraint, String> {
        let (kind, name) = (text(&document, "/kind").to_owned(), text(&document, "/metadata/name").to_owned());
        if kind.is_empty() || name.is_empty() {
            return Err("a constraint has no kind or no name".to_owned());
        }
        let matching = Match::parse(document.pointer("/spec/match"));
        let action =
            Some(text(&document, "/spec/enforcementAction")).filter(|a| !a.is_empty()).unwrap_or("deny").to_lowercase();
        let entries = document.pointer("/spec/scopedEnforcementActions").and_then(Value::as_array);
        let scoped = entries.into_iter().flatten().map(scoped).collect();
        Ok(Constraint { kind, name, matching, action, scoped, document })
    }

    /// `spec.parameters`.
    pub fn parameters(&self) -> Option<&Value> {
        self.document.pointer("/spec/parameters")
    }

    /// What follows where it is broken; empty where it is not enforced at this point.
    pub fn actions(&self, point: Point) -> Vec<String> {
        if self.action != "scoped" {
            return vec![self.action.clone()];
        }
        let holds = |points: &[String]| points.iter().any(|p| p == "*" || p == point.name());
        self.scoped.iter().filter(|(_, points)| holds(points)).map(|(action, _)| action.clone()).collect()
    }
}

fn scoped(entry: &Value) -> (String, Vec<String>) {
    let points = entry.get("enforcementPoints").and_then(Value::as_array).into_iter().flatten();
    let points = points.map(|p| text(p, "/name").to_owned()).collect();
    (text(entry, "/action").to_lowercase(), points)
}
