//! What a scan report, an SBOM or a VEX document says, whatever its format: the readers of the formats make this, and only
//! this becomes rows.

use engine::{Column, Rows, Table, Type, Value as Cell};

use super::bom::Bom;
use super::finding::Finding;
use super::vex::Statement;
use crate::json::Reason;

/// Every document that was read: what makes a finding that a later report no longer has a fixed one.
pub static SECURITY_REPORT: Table = Table {
    key: &["report_id"],
    time: "ingested_at",
    ..Table::new(
        "security_report",
        "Every scan report, SBOM and VEX document that was read, also one without findings. A later report of the same tool and target says what is fixed.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the rows.").required(),
            Column::new(
                "report_id",
                Type::Text,
                "Identity of the document: from the SHA-256 of its bytes and its place in the file.",
            )
            .required(),
            Column::new(
                "format",
                Type::Name,
                "Format that was recognised by content: `CycloneDX`, `SPDX`, `SARIF`, `trivy`, `grype`, `gitleaks` …",
            )
            .required(),
            Column::new("format_version", Type::Name, "Version of the format, as the document names it."),
            Column::new("tool", Type::Name, "Tool that made it, in small letters.").required(),
            Column::new("tool_version", Type::Name, "Version of the tool."),
            Column::new(
                "target",
                Type::Text,
                "What was looked at: image, repository, host, cluster object; empty where the document does not say.",
            )
            .required(),
            Column::new(
                "target_kind",
                Type::Name,
                "Kind of the target: `container_image`, `repository`, `filesystem`, `Deployment` …",
            ),
            Column::new(
                "category",
                Type::Name,
                "What tells several scans of one target by one tool apart: SARIF's `automationDetails.id`, else empty.",
            )
            .required(),
            Column::new(
                "observed_at",
                Type::Time,
                "When the tool looked; null where the document does not say, then `ingested_at` counts.",
            ),
            Column::new("findings", Type::Int, "Findings in it.").required(),
            Column::new("components", Type::Int, "Components in it.").required(),
            Column::new("statements", Type::Int, "VEX statements in it.").required(),
            Column::new("rejected", Type::Int, "Records of it that did not parse; they are in `reject`.").required(),
        ],
    )
};

/// A record that did not parse, without what must not be kept.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// Where in the document it stood.
    pub place: String,
    /// The record.
    pub body: String,
}

/// One document.
#[derive(Debug, Default)]
pub struct Report {
    /// Name of the format.
    pub format: &'static str,
    /// Version of the format.
    pub format_version: Option<String>,
    /// Tool that made it.
    pub tool: String,
    /// Version of the tool.
    pub tool_version: Option<String>,
    /// What was looked at.
    pub target: String,
    /// Kind of the target.
    pub target_kind: Option<String>,
    /// Which of several scans.
    pub category: String,
    /// When the tool looked, in microseconds since 1970.
    pub observed_us: Option<i64>,
    /// Findings, without repetitions within the document.
    pub findings: Vec<Finding>,
    /// Components, if it lists any.
    pub bom: Option<Bom>,
    /// VEX statements.
    pub statements: Vec<Statement>,
    /// Records that did not parse.
    pub refused: Vec<Refused>,
}

impl Report {
    /// A report of a tool without anything in it yet.
    pub fn of(format: &'static str, tool: &str) -> Report {
        Report { format, tool: tool.trim().to_lowercase(), ..Report::default() }
    }

    /// Adds what a reader made of one record, or refuses the record.
    pub fn take(
        &mut self,
        read: Result<Option<Finding>, Reason>,
        place: impl FnOnce() -> String,
        record: &serde_json::Value,
    ) {
        match read {
            Ok(finding) => self.findings.extend(finding),
            Err(reason) => self.refuse(reason, place(), record),
        }
    }

    /// Keeps a record that did not parse.
    pub fn refuse(&mut self, reason: Reason, place: String, record: &serde_json::Value) {
        self.refused.push(Refused { reason, place, body: record.to_string() });
    }

    /// Adds the document's row.
    pub fn write(&self, tenant: &str, report_id: &str, rows: &mut Rows) -> Result<(), Reason> {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        rows.set("tenant", tenant)
            .set("report_id", report_id)
            .set("format", self.format)
            .set("format_version", self.format_version.clone())
            .set("tool", self.tool.as_str())
            .set("tool_version", self.tool_version.clone())
            .set("target", self.target.as_str())
            .set("target_kind", self.target_kind.clone())
            .set("category", self.category.as_str())
            .set("observed_at", self.observed_us.map(Cell::Time))
            .set("findings", count(self.findings.len()))
            .set("components", count(self.bom.as_ref().map_or(0, |bom| bom.components.len())))
            .set("statements", count(self.statements.len()))
            .set("rejected", count(self.refused.len()));
        rows.end_row().map_err(|e| e.to_string())
    }
}
