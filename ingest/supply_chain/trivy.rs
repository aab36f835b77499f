//! trivy's JSON: vulnerabilities, misconfigurations, secrets, licences and packages; the legacy list, one artefact, and
//! whole clusters.

use serde_json::Value;

use super::bom::{Bom, Component};
use super::cyclonedx::joined;
use super::finding::Finding;
use super::lenient::{float, instant, int, items, owned, text, texts};
use super::report::Report;
use super::severity::{Rating, Severity};
use super::vex;
use crate::json::{Reason, at};

/// Whether a document is of this format.
pub fn is(document: &Value) -> bool {
    let has = |member: &str| document.get(member).is_some();
    let cluster =
        has("ClusterName") && ["Resources", "Vulnerabilities", "Misconfigurations"].iter().any(|member| has(member));
    let artefact = has("SchemaVersion") && (has("Results") || has("ArtifactName"));
    cluster || artefact || document.get("Results").is_some_and(Value::is_array) && has("ArtifactName")
}

/// Whether a list is trivy's legacy report.
pub fn is_legacy(list: &[Value]) -> bool {
    list.iter().all(|result| result.get("Target").is_some()) && !list.is_empty()
}

/// Reads a report of one artefact or of a cluster.
pub fn read(document: &Value) -> Result<Report, Reason> {
    let mut report = Report::of("trivy", "trivy");
    report.tool_version = owned(document, &["Trivy", "Version"]);
    report.format_version = int(document, &["SchemaVersion"]).map(|version| version.to_string());
    report.observed_us = instant(document, &["CreatedAt"]);
    let mut bom = Bom::default();
    if document.get("ClusterName").is_some() {
        // The name of a cluster may be empty.
        report.target = owned(document, &["ClusterName"]).unwrap_or_default();
        report.target_kind = Some("kubernetes".to_owned());
        for section in ["Resources", "Vulnerabilities", "Misconfigurations"] {
            for (i, resource) in items(document, &[section]).iter().enumerate() {
                let place = format!("{section}[{i}]");
                results(items(resource, &["Results"]), named(resource).as_deref(), &place, &mut report, &mut bom);
            }
        }
    } else {
        report.target = owned(document, &["ArtifactName"]).unwrap_or_default();
        report.target_kind = owned(document, &["ArtifactType"]);
        results(items(document, &["Results"]), None, "the document", &mut report, &mut bom);
        bom.subject = Component { name: report.target.clone(), ..Component::default() };
        bom.subject.kind =
            if report.target_kind.as_deref() == Some("container_image") { "container" } else { "application" }
                .to_owned();
        bom.subject.version = texts(document, &["Metadata", "RepoDigests"]).into_iter().next();
    }
    finish(report, bom)
}

/// Reads the legacy report, a list of results.
pub fn read_legacy(list: &[Value]) -> Result<Report, Reason> {
    let mut report = Report::of("trivy", "trivy");
    let mut bom = Bom::default();
    let targets: Vec<String> = list.iter().filter_map(|result| owned(result, &["Target"])).collect();
    report.target =
        targets.first().map(|target| target.split(" (").next().unwrap_or(target).to_owned()).unwrap_or_default();
    results(list, None, "the list", &mut report, &mut bom);
    finish(report, bom)
}

/// Without a list of packages, the affected ones are what is known.
fn finish(mut report: Report, mut bom: Bom) -> Result<Report, Reason> {
    if bom.components.is_empty() {
        bom.partial = true;
        bom.components = affected(&report.findings);
    }
    bom.created_us = report.observed_us;
    bom.tools = vec!["trivy".to_owned()];
    report.bom = (!bom.components.is_empty()).then_some(bom);
    Ok(report)
}

/// Each component that a vulnerability affects, once.
pub fn affected(findings: &[Finding]) -> Vec<Component> {
    let mut seen = std::collections::HashSet::new();
    let vulnerable = findings.iter().filter(|finding| finding.kind == "vulnerability" && finding.component.is_some());
    let component = |finding: &Finding| Component {
        kind: "library".to_owned(),
        name: finding.component.clone().unwrap_or_default(),
        version: finding.version.clone(),
        purl: finding.purl.clone(),
        parent: finding.file.clone(),
        ..Component::default()
    };
    vulnerable
        .map(component)
        .filter(|c| seen.insert((c.name.clone(), c.version.clone(), c.purl.clone(), c.parent.clone())))
        .collect()
}

/// `namespace/Kind/name` of a cluster's resource.
fn named(resource: &Value) -> Option<String> {
    let parts = ["Namespace", "Kind", "Name"].iter().filter_map(|part| text(resource, &[part])).collect::<Vec<_>>();
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn results(list: &[Value], resource: Option<&str>, place: &str, report: &mut Report, bom: &mut Bom) {
    for (i, result) in list.iter().enumerate() {
        let of = Of {
            target: text(result, &["Target"]),
            class: text(result, &["Class"]),
            kind: text(result, &["Type"]),
            resource,
        };
        let readers: [(&str, fn(&Value, &Of<'_>) -> Result<Option<Finding>, Reason>); 4] = [
            ("Vulnerabilities", vulnerability),
            ("Misconfigurations", misconfiguration),
            ("Secrets", secret),
            ("Licenses", licence),
        ];
        for (section, read) in readers {
            for (n, record) in items(result, &[section]).iter().enumerate() {
                let place = || format!("{place}, Results[{i}].{section}[{n}]");
                report.take(read(record, &of), place, &without_content(record));
            }
        }
        for (n, record) in items(result, &["ExperimentalModifiedFindings"]).iter().enumerate() {
            let place = || format!("{place}, Results[{i}].ExperimentalModifiedFindings[{n}]");
            report.take(modified(record, &of), place, &Value::Null);
        }
        let packages = items(result, &["Packages"]).iter();
        for (n, record) in packages.enumerate() {
            match package(record, &of) {
                Ok(package) => {
                    let needs = texts(record, &["DependsOn"]).into_iter();
                    let from = package.reference.clone().unwrap_or_default();
                    bom.dependencies.extend(needs.map(|to| (from.clone(), to, "depends_on".to_owned())));
                    bom.components.push(package);
                }
                Err(reason) => report.refuse(reason, format!("{place}, Results[{i}].Packages[{n}]"), record),
            }
        }
    }
    bom.dependencies.sort();
    bom.dependencies.dedup();
}

/// A record without the lines of code around it, which hold what it found.
fn without_content(record: &Value) -> Value {
    let mut record = record.clone();
    if let Some(members) = record.as_object_mut() {
        ["Match", "Code", "CauseMetadata"].iter().for_each(|member| {
            members.remove(*member);
        });
    }
    record
}

/// What a record belongs to.
struct Of<'a> {
    target: Option<&'a str>,
    class: Option<&'a str>,
    kind: Option<&'a str>,
    resource: Option<&'a str>,
}

impl Of<'_> {
    /// The file within the artefact; the name of an image's packages is the image, which is no file.
    fn file(&self, record: &Value, member: &str) -> Option<String> {
        let os = self.class == Some("os-pkgs");
        owned(record, &[member]).or_else(|| self.target.filter(|_| !os).map(str::to_owned))
    }
}

fn vulnerability(record: &Value, of: &Of<'_>) -> Result<Option<Finding>, Reason> {
    let mut finding = Finding::of("vulnerability", owned(record, &["VulnerabilityID"]), "VulnerabilityID")?;
    finding.component = Some(owned(record, &["PkgName"]).ok_or("PkgName is missing")?);
    finding.version = owned(record, &["InstalledVersion"]);
    finding.purl = owned(record, &["PkgIdentifier", "PURL"])
        .or_else(|| owned(record, &["PkgRef"]).filter(|purl| purl.starts_with("pkg:")));
    finding.fixed_version = owned(record, &["FixedVersion"]);
    finding.aliases = texts(record, &["VendorIDs"]);
    finding.cwes = texts(record, &["CweIDs"]);
    finding.title = owned(record, &["Title"]);
    finding.description = owned(record, &["Description"]);
    finding.url = owned(record, &["PrimaryURL"]);
    finding.resource = of.resource.map(str::to_owned);
    finding.file = of.file(record, "PkgPath");
    let source = text(record, &["SeveritySource"]);
    finding.rating = rating(record, source);
    finding.severity = Severity::of(text(record, &["Severity"]));
    match text(record, &["Status"]) {
        Some("not_affected") => (finding.state, finding.vex_status) = (Some("suppressed"), Some("not_affected")),
        Some("under_investigation") => finding.vex_status = Some("under_investigation"),
        Some("will_not_fix" | "end_of_life" | "fix_deferred") if finding.fixed_version.is_none() => {
            finding.remediation = owned(record, &["Status"]);
        }
        _ => {}
    }
    Ok(Some(finding))
}

/// The rating of the source that gave the severity, else NVD's, else the best of the others.
fn rating(record: &Value, source: Option<&str>) -> Option<Rating> {
    let all = record.get("CVSS")?.as_object()?;
    let of = |entry: &Value| {
        let of_version = |version: &str| {
            Rating::of(text(entry, &[&format!("{version}Vector")]), float(entry, &[&format!("{version}Score")]))
        };
        of_version("V3").or_else(|| of_version("V40")).or_else(|| of_version("V2"))
    };
    let preferred = source.into_iter().chain(["nvd"]).find_map(|name| all.get(name).and_then(of));
    preferred.or_else(|| all.values().map(of).fold(None, Rating::better))
}

fn misconfiguration(record: &Value, of: &Of<'_>) -> Result<Option<Finding>, Reason> {
    // With --include-non-failures a report lists what passed, too.
    let status = text(record, &["Status"]).unwrap_or("FAIL");
    if status == "PASS" {
        return Ok(None);
    }
    let id = owned(record, &["AVDID"]).or_else(|| owned(record, &["ID"]));
    let mut finding = Finding::of("misconfiguration", id, "ID")?;
    finding.aliases = owned(record, &["ID"]).into_iter().filter(|id| *id != finding.rule_id).collect();
    finding.severity = Severity::of(text(record, &["Severity"]));
    finding.title = owned(record, &["Title"]);
    finding.description = match (text(record, &["Description"]), text(record, &["Message"])) {
        (Some(description), Some(message)) => Some(format!("{description}\n{message}")),
        (one, other) => one.or(other).map(str::to_owned),
    };
    finding.remediation = owned(record, &["Resolution"]);
    finding.url = owned(record, &["PrimaryURL"]);
    finding.resource = of.resource.map(str::to_owned).or_else(|| owned(record, &["CauseMetadata", "Resource"]));
    // In a cluster the target is the resource again, not a file.
    finding.file = of.target.filter(|_| of.resource.is_none()).map(str::to_owned);
    finding.line = int(record, &["CauseMetadata", "StartLine"]).filter(|line| *line > 0);
    finding.end_line = int(record, &["CauseMetadata", "EndLine"]).filter(|line| *line > 0);
    finding.component = of.kind.map(str::to_owned);
    if status == "EXCEPTION" {
        finding.state = Some("suppressed");
    }
    Ok(Some(finding))
}

/// A finding that an ignore file or a VEX took out of the report; with --show-suppressed it is told apart.
fn modified(record: &Value, of: &Of<'_>) -> Result<Option<Finding>, Reason> {
    let inner = record.get("Finding").unwrap_or(&Value::Null);
    let read = match text(record, &["Type"]) {
        Some("vulnerability") => vulnerability(inner, of)?,
        Some("misconfiguration") => misconfiguration(inner, of)?,
        Some("secret") => secret(inner, of)?,
        Some("license") => licence(inner, of)?,
        other => return Err(format!("{} is no kind of finding", other.unwrap_or("nothing"))),
    };
    let status = text(record, &["Status"]).and_then(vex::status);
    Ok(read.map(|finding| Finding {
        vex_status: status,
        state: match status {
            Some("affected" | "under_investigation") => None,
            other => other.and_then(vex::state).or(Some("suppressed")),
        },
        suppression: owned(record, &["Statement"]).or_else(|| owned(record, &["Source"])),
        ..finding
    }))
}

fn secret(record: &Value, of: &Of<'_>) -> Result<Option<Finding>, Reason> {
    let mut finding = Finding::of("secret", owned(record, &["RuleID"]), "RuleID")?;
    finding.severity = Severity::of(text(record, &["Severity"]));
    finding.title = owned(record, &["Title"]);
    finding.description = owned(record, &["Category"]);
    finding.resource = of.resource.map(str::to_owned);
    finding.file = of.target.map(str::to_owned);
    finding.line = int(record, &["StartLine"]);
    finding.end_line = int(record, &["EndLine"]);
    Ok(Some(finding))
}

fn licence(record: &Value, of: &Of<'_>) -> Result<Option<Finding>, Reason> {
    let mut finding = Finding::of("licence", owned(record, &["Name"]), "Name")?;
    finding.severity = Severity::of(text(record, &["Severity"]));
    finding.component = owned(record, &["PkgName"]);
    finding.description = owned(record, &["Category"]);
    finding.file = owned(record, &["FilePath"]);
    finding.url = owned(record, &["Link"]);
    finding.resource = of.resource.map(str::to_owned);
    let subject = finding.component.clone().or_else(|| finding.file.clone());
    finding.title = subject.map(|subject| format!("{} in {subject}", finding.rule_id));
    Ok(Some(finding))
}

fn package(record: &Value, of: &Of<'_>) -> Result<Component, Reason> {
    let name = owned(record, &["Name"]).ok_or("a package has no name")?;
    let version = owned(record, &["Version"]).map(|version| match text(record, &["Release"]) {
        Some(release) => format!("{version}-{release}"),
        None => version,
    });
    let kind = match of.class {
        Some("os-pkgs" | "lang-pkgs") | None => "library",
        Some(other) => other,
    };
    Ok(Component {
        reference: owned(record, &["ID"]).or_else(|| owned(record, &["Identifier", "UID"])),
        parent: of.resource.or(of.target).map(str::to_owned),
        kind: kind.to_owned(),
        name,
        version,
        purl: owned(record, &["Identifier", "PURL"]),
        licences: joined(texts(record, &["Licenses"])),
        hashes: owned(record, &["Digest"]).and_then(|digest| {
            let (algorithm, hash) = digest.split_once(':')?;
            Some(serde_json::json!({algorithm.to_uppercase(): hash}).to_string())
        }),
        publisher: owned(record, &["Maintainer"]),
        scope: at(record, &["Dev"]).and_then(Value::as_bool).filter(|dev| *dev).map(|_| "development".to_owned()),
        is_subject: text(record, &["Relationship"]) == Some("root"),
        ..Component::default()
    })
}
