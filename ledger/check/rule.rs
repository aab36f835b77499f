//! A rule: what FOCUS says, and the SQL that finds what breaks it.

use serde::Serialize;

/// How binding a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// MUST: the file does not conform if it fails.
    Error,
    /// SHOULD: worth knowing.
    Warning,
}

/// How a rule is tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// A condition over one row that is true where the row breaks the rule.
    Row(String),
    /// A query over all rows, `t`; each row of its answer breaks the rule, and its first column says what and where.
    Rows(String),
    /// Tested outside SQL, while the file is opened and read; the count is filled in there.
    File,
    /// Cannot be seen from this file, for this reason.
    Unseen(&'static str),
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The id in the FOCUS validator's model (`EffectiveCost-C-005-C`) where there is one, else the column and what is asked.
    pub id: String,
    /// What FOCUS says.
    pub title: String,
    /// How binding it is.
    pub severity: Severity,
    /// Columns that the file must have for the rule to say anything.
    pub columns: Vec<&'static str>,
    /// How it is tested.
    pub test: Test,
}

impl Rule {
    /// A rule over one row.
    pub fn row(
        id: impl Into<String>,
        title: impl Into<String>,
        columns: &[&'static str],
        violates: impl Into<String>,
    ) -> Rule {
        Rule {
            id: id.into(),
            title: title.into(),
            severity: Severity::Error,
            columns: columns.to_vec(),
            test: Test::Row(violates.into()),
        }
    }

    /// A rule over all rows.
    pub fn rows(
        id: impl Into<String>,
        title: impl Into<String>,
        columns: &[&'static str],
        query: impl Into<String>,
    ) -> Rule {
        Rule { test: Test::Rows(query.into()), ..Rule::row(id, title, columns, "") }
    }

    /// A rule that this file alone does not show.
    pub fn unseen(id: impl Into<String>, title: impl Into<String>, reason: &'static str) -> Rule {
        Rule { test: Test::Unseen(reason), ..Rule::row(id, title, &[], "") }
    }

    /// A rule that is tested while the file is read.
    pub fn file(id: impl Into<String>, title: impl Into<String>) -> Rule {
        Rule { test: Test::File, ..Rule::row(id, title, &[], "") }
    }

    /// The same rule as a warning.
    pub fn warning(mut self) -> Rule {
        self.severity = Severity::Warning;
        self
    }

    /// The SQL that returns what breaks the rule, for a reader.
    pub fn sql(&self) -> Option<String> {
        match &self.test {
            Test::Row(violates) => Some(format!("SELECT x_source_row FROM t WHERE {violates}")),
            Test::Rows(query) => Some(query.clone()),
            Test::File | Test::Unseen(_) => None,
        }
    }
}
