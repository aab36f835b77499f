//! What a check found, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::rule::Severity;

/// Places of one failed rule that are named; all are counted.
pub const EXAMPLES_MAX: usize = 5;

/// What became of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It holds.
    Passed,
    /// It is broken.
    Failed,
    /// This file does not show whether it holds.
    Skipped,
}

/// One rule and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The rule's id.
    pub id: String,
    /// What FOCUS says.
    pub title: String,
    /// How binding it is.
    pub severity: Severity,
    /// What became of it.
    pub state: State,
    /// How often it is broken.
    pub count: u64,
    /// Where, for the first few.
    pub examples: Vec<String>,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The SQL that was asked, over the file as table `t`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
}

/// What the check of one file found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The file.
    pub file: String,
    /// `CostAndUsage`, `InvoiceDetail` …
    pub dataset: String,
    /// FOCUS version that it was checked against.
    pub version: String,
    /// Rows in the file, those that cannot be read among them.
    pub rows: u64,
    /// Every rule, in the order of the columns.
    pub rules: Vec<Finding>,
}

impl Report {
    /// Whether no MUST is broken.
    pub fn is_conformant(&self) -> bool {
        !self.rules.iter().any(|r| r.state == State::Failed && r.severity == Severity::Error)
    }

    /// How many rules ended in this state.
    pub fn count(&self, state: State) -> usize {
        self.rules.iter().filter(|r| r.state == state).count()
    }

    /// The finding of a rule.
    pub fn rule(&self, id: &str) -> Option<&Finding> {
        self.rules.iter().find(|r| r.id == id)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} {}, {} rows", self.file, self.dataset, self.version, self.rows)?;
        for finding in self.rules.iter().filter(|r| r.state == State::Failed) {
            let word = if finding.severity == Severity::Error { "FAIL" } else { "warn" };
            writeln!(f, "{word} {}: {} ({})", finding.id, finding.title, finding.count)?;
            for example in &finding.examples {
                writeln!(f, "       {example}")?;
            }
        }
        let skipped: Vec<&Finding> = self.rules.iter().filter(|r| r.state == State::Skipped).collect();
        for finding in skipped.iter().filter(|r| r.reason.as_ref().is_some_and(|why| !why.starts_with("no column"))) {
            writeln!(f, "skip {}: {}", finding.id, finding.reason.as_deref().unwrap_or_default())?;
        }
        let absent =
            skipped.iter().filter(|r| r.reason.as_ref().is_some_and(|why| why.starts_with("no column"))).count();
        if absent > 0 {
            writeln!(f, "skip {absent} rules of columns that the file does not have")?;
        }
        let verdict = if self.is_conformant() { "conformant" } else { "NOT conformant" };
        write!(
            f,
            "{verdict}: {} rules, {} passed, {} failed, {} skipped",
            self.rules.len(),
            self.count(State::Passed),
            self.count(State::Failed),
            self.count(State::Skipped)
        )
    }
}
