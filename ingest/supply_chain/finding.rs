//! `security_finding`: one row a finding of a report, and the fingerprint by which tools are compared.

use std::collections::HashMap;

use engine::{Column, Index, Rows, Table, Type, Value as Cell};

use super::advisory;
use super::lenient::cell;
use super::purl::{Purl, shared_name};
use super::report::Report;
use super::severity::{Rating, Severity};
use crate::files::content_hash;
use crate::json::Reason;

/// Findings as reports have them.
pub static SECURITY_FINDING: Table = Table {
    key: &["report_id", "number"],
    time: "ingested_at",
    indexes: &[Index::BTree("fingerprint"), Index::BTree("vulnerability")],
    ..Table::new(
        "security_finding",
        "One row for each finding of each report: vulnerabilities, misconfigurations, secrets, licences, results of static analysis. A secret is told by its place, never by its value. `security_finding_current` says what is open now.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the row.").required(),
            Column::new("report_id", Type::Text, "The report; see `security_report`.").required(),
            Column::new("number", Type::Int, "Which finding of its report, counted from 1.").required(),
            Column::new("fingerprint", Type::Text, "The same finding has the same one in every report and tool: for a vulnerability from its CVE (or GHSA) and the package with its version, for a secret from its place, else from rule and place or the tool's own fingerprint.").required(),
            Column::new("finding_kind", Type::Name, "`vulnerability`, `misconfiguration`, `secret`, `licence`, `code` (static analysis) or `benchmark`.").required(),
            Column::new("tool", Type::Name, "Tool that reported it, in small letters.").required(),
            Column::new("target", Type::Text, "What was looked at, as in `security_report`.").required(),
            Column::new("rule_id", Type::Text, "The tool's id of the rule or vulnerability.").required(),
            Column::new("vulnerability", Type::Text, "The id by which it is compared: its CVE, else its GHSA, else the tool's id; null where it is no vulnerability."),
            Column::new("aliases", Type::Json, "Other ids of the same vulnerability or rule, a list."),
            Column::new("cwe_ids", Type::Json, "Weaknesses, a list of `CWE-79`."),
            Column::new("taxa", Type::Json, "Other classifications of a SARIF result, a list of `taxonomy/id`."),
            Column::new("severity", Type::Name, "`critical`, `high`, `medium`, `low`, `info` or `unknown`.").required(),
            Column::new("severity_original", Type::Name, "The tool's own word."),
            Column::new("cvss_score", Type::Float, "CVSS base score, given or computed from the vector."),
            Column::new("cvss_vector", Type::Text, "CVSS vector."),
            Column::new("cvss_version", Type::Name, "Version of CVSS (`3.1`)."),
            Column::new("epss_score", Type::Float, "Probability of exploitation within 30 days, by EPSS."),
            Column::new("known_exploited", Type::Bool, "Whether the report says that it is known to be exploited."),
            Column::new("component_purl", Type::Text, "Package URL of the component, without qualifiers."),
            Column::new("component_package", Type::Text, "The same without the version."),
            Column::new("component_name", Type::Text, "Name of the component."),
            Column::new("component_version", Type::Text, "Version of the component."),
            Column::new("fixed_version", Type::Text, "Versions in which it is fixed, separated by commas."),
            Column::new("resource", Type::Text, "Cluster object or cloud resource: `namespace/Kind/name`."),
            Column::new("file", Type::Text, "File or location within the target."),
            Column::new("line", Type::Int, "First line, counted from 1."),
            Column::new("end_line", Type::Int, "Last line."),
            Column::new("title", Type::Text, "One line about it."),
            Column::new("description", Type::Text, "What it is."),
            Column::new("remediation", Type::Text, "What to do about it."),
            Column::new("reference_url", Type::Text, "Where more is written."),
            Column::new("state", Type::Name, "What the report itself says: `open`, `suppressed` or `fixed`.").required(),
            Column::new("vex_status", Type::Name, "VEX in the same document: `affected`, `not_affected`, `fixed` or `under_investigation`."),
            Column::new("vex_justification", Type::Name, "Why it is not affected, in the document's word."),
            Column::new("suppression", Type::Text, "Why it is suppressed, where the report says so."),
            Column::new("first_seen", Type::Time, "When the tool saw it first, where the report says so; a secret's commit time."),
            Column::new("last_seen", Type::Time, "When the report was made; null where it does not say."),
            Column::new("occurrences", Type::Int, "How often the report has it.").required(),
        ],
    )
};

/// One finding.
#[derive(Debug, Clone, Default)]
pub struct Finding {
    /// `vulnerability`, `misconfiguration`, `secret`, `licence`, `code`, `benchmark`.
    pub kind: &'static str,
    /// The tool's id.
    pub rule_id: String,
    /// Other ids.
    pub aliases: Vec<String>,
    /// `CWE-79` …
    pub cwes: Vec<String>,
    /// `taxonomy/id` …
    pub taxa: Vec<String>,
    /// Severity.
    pub severity: Severity,
    /// CVSS.
    pub rating: Option<Rating>,
    /// EPSS.
    pub epss: Option<f64>,
    /// Known to be exploited.
    pub known_exploited: Option<bool>,
    /// Package URL as written.
    pub purl: Option<String>,
    /// Name of the component.
    pub component: Option<String>,
    /// Version of the component.
    pub version: Option<String>,
    /// Versions that fix it.
    pub fixed_version: Option<String>,
    /// Cluster object.
    pub resource: Option<String>,
    /// File.
    pub file: Option<String>,
    /// First line.
    pub line: Option<i64>,
    /// Last line.
    pub end_line: Option<i64>,
    /// One line about it.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// What to do.
    pub remediation: Option<String>,
    /// Where more is written.
    pub url: Option<String>,
    /// `open` unless the report says otherwise.
    pub state: Option<&'static str>,
    /// VEX in the same document.
    pub vex_status: Option<&'static str>,
    /// Why it is not affected.
    pub vex_justification: Option<String>,
    /// Why it is suppressed.
    pub suppression: Option<String>,
    /// When the tool saw it first.
    pub first_seen_us: Option<i64>,
    /// The tool's own fingerprint.
    pub own_fingerprint: Option<String>,
    /// How often the report has it; 0 counts as once.
    pub occurrences: i64,
}

impl Finding {
    /// A finding of a kind and rule; a rule without a name is a reason to refuse.
    pub fn of(kind: &'static str, rule_id: Option<impl Into<String>>, what: &str) -> Result<Finding, Reason> {
        let rule_id = rule_id.map(Into::into).filter(|id| !id.trim().is_empty());
        let rule_id = rule_id.ok_or_else(|| format!("{what} is missing"))?;
        Ok(Finding { kind, rule_id, occurrences: 1, ..Finding::default() })
    }

    fn vulnerability(&self) -> Option<String> {
        (self.kind == "vulnerability").then(|| advisory::canonical(&self.rule_id, &self.aliases))
    }

    fn package(&self) -> Option<Purl> {
        let purl = Purl::read(self.purl.as_deref()?)?;
        let version = purl.version.clone().or_else(|| self.version.clone());
        Some(Purl { version, ..purl })
    }

    /// What makes it the same finding in another report or tool.
    pub fn fingerprint(&self) -> String {
        let text = |words: &Option<String>| words.clone().unwrap_or_default();
        let line = self.line.map(|line| line.to_string()).unwrap_or_default();
        let place = [text(&self.resource), place_of(&text(&self.file)), line];
        let parts: Vec<String> = match self.kind {
            "vulnerability" => {
                let package = self.package();
                let (name, version) = match &package {
                    Some(purl) => (purl.plain_name(), purl.version.clone()),
                    None => (text(&self.component), self.version.clone()),
                };
                let id = self.vulnerability().unwrap_or_default();
                // Without a component all there is is the place.
                let named = !name.is_empty();
                let place = if named { String::new() } else { place.join("\n") };
                vec![id, shared_name(&name), version.unwrap_or_default(), place]
            }
            // Rules are named differently everywhere; where a secret stands is not.
            "secret" => place.into_iter().collect(),
            "licence" => vec![self.rule_id.clone(), shared_name(&text(&self.component)), place_of(&text(&self.file))],
            _ => {
                let rule = check_id(&self.rule_id);
                match &self.own_fingerprint {
                    Some(own) => vec![rule, own.clone(), place_of(&text(&self.file))],
                    None => [vec![rule], place.to_vec(), vec![text(&self.component)]].concat(),
                }
            }
        };
        hex::encode(&content_hash(format!("{}\n{}", self.kind, parts.join("\n")).as_bytes())[..16])
    }

    /// Adds its row.
    pub fn write(
        &self,
        tenant: &str,
        report: &Report,
        report_id: &str,
        number: usize,
        rows: &mut Rows,
    ) -> Result<(), Reason> {
        let package = self.package();
        let rating = self.rating.clone().unwrap_or_default();
        let severity = self.severity.clone().or_score(rating.score);
        rows.set("tenant", tenant)
            .set("report_id", report_id)
            .set("number", i64::try_from(number).unwrap_or(i64::MAX))
            .set("fingerprint", self.fingerprint())
            .set("finding_kind", self.kind)
            .set("tool", report.tool.as_str())
            .set("target", report.target.as_str())
            .set("rule_id", self.rule_id.as_str())
            .set("vulnerability", self.vulnerability())
            .set("aliases", cell(&self.aliases))
            .set("cwe_ids", cell(&self.cwes))
            .set("taxa", cell(&self.taxa))
            .set("severity", severity.normal.unwrap_or("unknown"))
            .set("severity_original", severity.original)
            .set("cvss_score", rating.score)
            .set("cvss_vector", rating.vector)
            .set("cvss_version", rating.version)
            .set("epss_score", self.epss)
            .set("known_exploited", self.known_exploited)
            .set("component_purl", package.as_ref().map(Purl::normal))
            .set("component_package", package.as_ref().map(Purl::package))
            .set("component_name", self.component.clone().or_else(|| package.as_ref().map(Purl::plain_name)))
            .set("component_version", self.version.clone().or_else(|| package.and_then(|purl| purl.version)))
            .set("fixed_version", self.fixed_version.clone());
        self.write_place(report, rows)
    }

    fn write_place(&self, report: &Report, rows: &mut Rows) -> Result<(), Reason> {
        rows.set("resource", self.resource.clone())
            .set("file", self.file.clone())
            .set("line", self.line)
            .set("end_line", self.end_line)
            .set("title", self.title.clone())
            .set("description", self.description.clone())
            .set("remediation", self.remediation.clone())
            .set("reference_url", self.url.clone())
            .set("state", self.state.unwrap_or("open"))
            .set("vex_status", self.vex_status)
            .set("vex_justification", self.vex_justification.clone())
            .set("suppression", self.suppression.clone())
            .set("first_seen", self.first_seen_us.map(Cell::Time))
            .set("last_seen", report.observed_us.map(Cell::Time))
            .set("occurrences", self.occurrences.max(1));
        rows.end_row().map_err(|e| e.to_string())
    }
}

/// Leaves one of the findings that `key` calls the same, with a count; their order stays.
pub fn collapse<K: std::hash::Hash + Eq>(findings: Vec<(K, Finding)>) -> Vec<Finding> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut kept: Vec<Finding> = Vec::new();
    for (key, finding) in findings {
        match places.get(&key) {
            Some(place) => kept[*place].occurrences += 1,
            None => {
                places.insert(key, kept.len());
                kept.push(finding);
            }
        }
    }
    kept
}

/// A file's name without what depends on where the tool was started.
fn place_of(file: &str) -> String {
    let file = file.strip_prefix("file://").unwrap_or(file);
    file.trim_start_matches("./").trim_start_matches('/').to_owned()
}

/// Checks of trivy and its operator are written `KSV014` and `AVD-KSV-0014`.
fn check_id(rule: &str) -> String {
    let short = rule.strip_prefix("AVD-").unwrap_or(rule).replace('-', "");
    let digits = short.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let letters = &short[..short.len() - digits.len()];
    match digits.parse::<u64>() {
        Ok(number) if !letters.is_empty() && letters.len() <= 4 => format!("{}-{number}", letters.to_uppercase()),
        _ => rule.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn vulnerability(id: &str, aliases: &[&str], purl: Option<&str>, name: &str, version: &str) -> String {
        let mut finding = Finding::of("vulnerability", Some(id), "id").unwrap();
        finding.aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        finding.purl = purl.map(str::to_owned);
        finding.component = Some(name.to_owned());
        finding.version = Some(version.to_owned());
        finding.fingerprint()
    }

    #[test]
    fn tools_agree_about_a_vulnerability() {
        let trivy = vulnerability(
            "CVE-2025-66614",
            &[],
            Some("pkg:maven/org.apache.tomcat/tomcat@9.0.109"),
            "org.apache.tomcat:tomcat",
            "9.0.109",
        );
        let grype = vulnerability(
            "GHSA-fpj8-gq4v-p354",
            &["CVE-2025-66614"],
            Some("pkg:maven/org.apache.tomcat/tomcat@9.0.109?type=jar"),
            "tomcat",
            "9.0.109",
        );
        let unnamed = vulnerability("CVE-2025-66614", &[], None, "org.apache.tomcat:tomcat", "9.0.109");
        let other = vulnerability("CVE-2025-66614", &[], None, "org.apache.tomcat:tomcat", "9.0.110");
        assert_eq!((&trivy, &grype), (&grype, &unnamed));
        assert_ne!(trivy, other);
    }

    #[test]
    fn checks_and_secrets() {
        assert_eq!((check_id("KSV014"), check_id("AVD-KSV-0014")), ("KSV-14".to_owned(), "KSV-14".to_owned()));
        assert_eq!(check_id("java/sql-injection"), "java/sql-injection");
        assert_eq!(check_id("1.1.1"), "1.1.1");
        let secret = |rule: &str, file: &str| {
            let mut finding = Finding::of("secret", Some(rule), "rule").unwrap();
            finding.file = Some(file.to_owned());
            finding.line = Some(3);
            finding.fingerprint()
        };
        assert_eq!(secret("aws-access-key-id", "deploy.sh"), secret("aws-access-token", "./deploy.sh"));
    }
}
