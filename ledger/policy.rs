//! Policy: does an object keep the rules of the platform? Gatekeeper's templates and constraints, evaluated here, so that
//! doors, jobs and the audit share one answer.
//!
//! One rule stands above the rest: **what cannot be evaluated denies.** A template that says what our engines read
//! otherwise than OPA, an error, a time-out, an inventory that is not there: each is a violation with its reason.

mod audit;
mod cel;
mod constraint;
mod document;
mod glob;
mod inventory;
mod matching;
mod rego;
mod review;
mod reviewer;
mod selector;
mod set;
mod suite;
mod tables;
mod template;

use serde::{Deserialize, Serialize};

pub use audit::{AuditOptions, AuditReport, BrokenConstraint, ClusterReport, audit};
pub use constraint::{Constraint, Point};
pub use inventory::Inventory;
pub use matching::Match;
pub use review::Review;
pub use reviewer::Reviewer;
pub use set::PolicySet;
pub use suite::{CaseOutcome, CaseReport, SuiteReport, TestReport, run as run_suite, suites};
pub use tables::{POLICY_AUDIT, POLICY_VIOLATION};
pub use template::Template;

/// Which engine evaluates a template that has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Rego; CEL where a template has no Rego.
    #[default]
    Rego,
    /// CEL; Rego where a template has no CEL.
    Cel,
    /// Each that a template has; where they differ, that is a violation too.
    Both,
}

/// What a template found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In words.
    pub message: String,
    /// What else the template says about it.
    pub details: Option<serde_json::Value>,
}

/// One rule that an object breaks, or that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Kind of the constraint.
    pub constraint_kind: String,
    /// Name of the constraint.
    pub constraint_name: String,
    /// Name of the template.
    pub template: String,
    /// `deny`, `warn`, `dryrun`, or what else the constraint names.
    pub enforcement_action: String,
    /// In words.
    pub message: String,
    /// What else the template says about it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub details: Option<serde_json::Value>,
    /// `rego` or `cel`.
    pub engine: String,
    /// Whether the rule could not be evaluated, which counts as broken.
    pub is_failure: bool,
}

/// What came of a review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether no constraint whose action is `deny` is broken or could not be evaluated.
    pub allowed: bool,
    /// Everything that is broken.
    pub violations: Vec<Violation>,
    /// One sentence for who asked; empty if nothing is broken.
    pub why: String,
    /// Constraints that the object was held against.
    pub evaluated: usize,
}

impl Verdict {
    /// The verdict over these violations.
    pub fn of(violations: Vec<Violation>, evaluated: usize) -> Verdict {
        let denies = |v: &&Violation| v.enforcement_action == "deny";
        let denying: Vec<String> =
            violations.iter().filter(denies).map(|v| format!("[{}] {}", v.constraint_name, v.message)).collect();
        let all = || violations.iter().map(|v| format!("[{}] {}", v.constraint_name, v.message)).collect::<Vec<_>>();
        let allowed = denying.is_empty();
        let why = if allowed { all().join("; ") } else { denying.join("; ") };
        Verdict { allowed, violations, why, evaluated }
    }
}

#[cfg(test)]
mod tests;
