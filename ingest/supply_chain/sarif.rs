//! SARIF 2.1.0: results of any tool, with rules of its driver and extensions, taxonomies, suppressions, fingerprints. A
//! result at several locations is as many findings, and what passed is none.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::advisory;
use super::finding::Finding;
use super::lenient::{float, instant, int, items, owned, text, texts};
use super::report::Report;
use super::severity::{Rating, Severity, of_score};
use crate::json::{Reason, at};

mod message;
mod taxon;

/// Lines of trivy's and grype's messages and help texts that name the package.
static PACKAGE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^\s*Package: *(\S+) *$").expect("the pattern of package lines is valid"));
static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^\s*(?:Installed )?Version: *(\S+) *$").expect("the pattern of version lines is valid")
});
static FIXED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^\s*Fix(?:ed)? Version: *(\S.*?) *$").expect("the pattern of lines about fixes is valid")
});
/// Tools whose results are secrets, whatever their rules are called.
const SECRET_TOOLS: &[&str] =
    &["gitleaks", "trufflehog", "detect-secrets", "ggshield", "noseyparker", "betterleaks", "kingfisher"];

/// Whether a document is of this format.
pub fn is(document: &Value) -> bool {
    let schema = text(document, &["$schema"]).is_some_and(|schema| schema.to_lowercase().contains("sarif"));
    let version = text(document, &["version"]).is_some_and(|version| version.starts_with("2."));
    document.get("runs").is_some_and(|runs| runs.is_array() || runs.is_null()) && (schema || version)
        || (schema && version)
}

/// Reads one log: a report for each run.
pub fn read(document: &Value) -> Vec<Report> {
    let version = owned(document, &["version"]);
    items(document, &["runs"]).iter().map(|run| Report { format_version: version.clone(), ..read_run(run) }).collect()
}

fn read_run(run: &Value) -> Report {
    let driver = at(run, &["tool", "driver"]).unwrap_or(&Value::Null);
    let mut report = Report::of("SARIF", text(driver, &["name"]).unwrap_or("sarif"));
    let version = owned(driver, &["version"]).or_else(|| owned(driver, &["semanticVersion"]));
    report.tool_version = version.or_else(|| owned(driver, &["dottedQuadFileVersion"]));
    report.category = owned(run, &["automationDetails", "id"]).unwrap_or_default();
    let last = items(run, &["invocations"]).last().unwrap_or(&Value::Null);
    report.observed_us = instant(last, &["endTimeUtc"]).or_else(|| instant(last, &["startTimeUtc"]));
    let repository = items(run, &["versionControlProvenance"]).iter().find_map(|one| owned(one, &["repositoryUri"]));
    let image = owned(run, &["properties", "imageName"]);
    report.target_kind =
        image.as_ref().map(|_| "container_image").or(repository.as_ref().map(|_| "repository")).map(str::to_owned);
    let root = || items_of(run, "originalUriBaseIds").find_map(|base| owned(base, &["uri"]));
    report.target = image.or(repository).or_else(root).unwrap_or_default();
    for (i, result) in items(run, &["results"]).iter().enumerate() {
        match read_result(run, &report.tool, result) {
            Ok(findings) => report.findings.extend(findings),
            Err(reason) => report.refuse(reason, format!("results[{i}]"), &without_content(result)),
        }
    }
    report
}

/// The members of an object, in order.
fn items_of<'a>(value: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(member).and_then(Value::as_object).into_iter().flat_map(|object| object.values())
}

/// A result without snippets, which may be the secrets that it is about.
fn without_content(result: &Value) -> Value {
    let mut result = result.clone();
    if let Some(members) = result.as_object_mut() {
        for member in ["locations", "relatedLocations", "codeFlows", "properties", "partialFingerprints", "fixes"] {
            members.remove(member);
        }
    }
    result
}

/// Where a run describes a rule: the driver's rules, else those of an extension.
fn rule<'a>(run: &'a Value, result: &'a Value) -> &'a Value {
    let reference = result.get("rule").unwrap_or(&Value::Null);
    let id = text(result, &["ruleId"]).or_else(|| text(reference, &["id"]));
    let extension = int(reference, &["toolComponent", "index"]).and_then(|index| usize::try_from(index).ok());
    let component = match extension {
        Some(index) => items(run, &["tool", "extensions"]).get(index),
        None => at(run, &["tool", "driver"]),
    };
    let index = int(result, &["ruleIndex"]).or_else(|| int(reference, &["index"]));
    let by_index = index.and_then(|index| items(component?, &["rules"]).get(usize::try_from(index).ok()?));
    // An index that points at another rule is the tool's mistake; the id counts.
    let fits = |rule: &&Value| id.is_none_or(|id| text(rule, &["id"]).is_some_and(|of| id == of || is_below(id, of)));
    if let Some(rule) = by_index.filter(fits) {
        return rule;
    }
    let all = at(run, &["tool", "driver"]).into_iter().chain(items(run, &["tool", "extensions"]));
    let rules: Vec<&Value> = all.flat_map(|component| items(component, &["rules"])).collect();
    let exact = rules.iter().find(|rule| id.is_some() && text(rule, &["id"]) == id);
    let above = || rules.iter().find(|rule| fits(*rule) && id.is_some());
    exact.or_else(above).copied().unwrap_or(&Value::Null)
}

/// `CA1000/1` is described by `CA1000`.
fn is_below(id: &str, rule: &str) -> bool {
    id.strip_prefix(rule).is_some_and(|rest| rest.starts_with('/'))
}

fn read_result(run: &Value, tool: &str, result: &Value) -> Result<Vec<Finding>, Reason> {
    if !result.is_object() {
        return Err("a result is not an object".to_owned());
    }
    // Only what fails is a finding: `pass`, `notApplicable`, `informational`, `open` and `review` are not.
    if text(result, &["kind"]).is_some_and(|kind| kind != "fail") {
        return Ok(Vec::new());
    }
    let rule = rule(run, result);
    let id = owned(result, &["ruleId"]).or_else(|| owned(result, &["rule", "id"])).or_else(|| owned(rule, &["id"]));
    let said = message::of_result(run, rule, result);
    let described = ["fullDescription", "shortDescription"].iter().find_map(|kind| message::of(rule, kind));
    // A result may come without any rule; then its message is all there is to tell it by.
    let id = id.or_else(|| said.clone()).or_else(|| described.clone());
    let mut finding = Finding::of("code", id, "ruleId and message")?;
    finding.title = said.clone().or_else(|| message::of(rule, "shortDescription")).or_else(|| owned(rule, &["name"]));
    finding.title = finding.title.or_else(|| Some(finding.rule_id.clone())).map(|title| one_line(&title));
    finding.description = described.or(said.clone());
    finding.url = owned(rule, &["helpUri"]);
    finding.remediation = items(result, &["fixes"]).iter().find_map(|fix| message::of(fix, "description"));
    grade(run, rule, result, &mut finding);
    classify(run, tool, rule, result, &mut finding);
    if finding.kind == "vulnerability" {
        // Messages of such tools are lists of facts; what the vulnerability is stands at the rule.
        let named = message::of(rule, "shortDescription").map(|title| one_line(&title));
        finding.title = named.or(finding.title);
        let help = message::of(rule, "help").unwrap_or_default();
        let texts = format!("{}\n{help}", said.unwrap_or_default());
        let line = |pattern: &Regex| pattern.captures(&texts).map(|found| found[1].to_owned());
        finding.component = line(&PACKAGE).or_else(|| owned(result, &["properties", "component"]));
        finding.version = line(&VERSION).or_else(|| owned(result, &["properties", "componentVersion"]));
        finding.fixed_version = line(&FIXED);
        finding.purl = owned(result, &["properties", "purl"]).or_else(|| texts_purl(rule));
    }
    suppress(result, &mut finding);
    finding.own_fingerprint = fingerprint(result);
    finding.first_seen_us = instant(result, &["provenance", "firstDetectionTimeUtc"]);
    finding.occurrences = int(result, &["occurrenceCount"]).unwrap_or(1);
    Ok(locate(run, result, finding))
}

fn texts_purl(rule: &Value) -> Option<String> {
    texts(rule, &["properties", "purls"]).into_iter().next()
}

/// Severity: the rule's `security-severity`, else the result's level, else the rule's, else `warning`.
fn grade(run: &Value, rule: &Value, result: &Value, finding: &mut Finding) {
    let score = float(rule, &["properties", "security-severity"])
        .or_else(|| float(result, &["properties", "security-severity"]));
    let configured = message::override_level(run, rule);
    let level = owned(result, &["level"]).or(configured).or_else(|| owned(rule, &["defaultConfiguration", "level"]));
    let level = level.unwrap_or_else(|| "warning".to_owned());
    finding.severity = Severity::of(Some(&level));
    if let Some(score) = score.filter(|score| (0.0..=10.0).contains(score)) {
        finding.severity = Severity { normal: Some(of_score(score)), original: Some(level) };
        finding.rating = Rating::of(None, Some(score));
    }
    let vector =
        ["cvssV3_vector", "cvssv3_vector", "cvss_vector"].iter().find_map(|name| owned(rule, &["properties", name]));
    finding.rating = Rating::better(finding.rating.take(), Rating::of(vector.as_deref(), None));
}

/// Which kind of finding it is, by what names it: a CVE is a vulnerability, a secret scanner's result a secret.
fn classify(run: &Value, tool: &str, rule: &Value, result: &Value, finding: &mut Finding) {
    let tags = texts(rule, &["properties", "tags"]).join(" ").to_lowercase();
    let names = [finding.rule_id.as_str(), text(rule, &["name"]).unwrap_or_default()].join(" ");
    let mut aliases = advisory::named_in(&names);
    aliases.retain(|alias| *alias != finding.rule_id);
    let advised = !aliases.is_empty() || !advisory::named_in(&finding.rule_id).is_empty();
    let secret =
        SECRET_TOOLS.iter().any(|known| tool.contains(known)) || names.contains("Secret") && tags.contains("secret");
    finding.kind = match () {
        () if secret => "secret",
        () if advised => "vulnerability",
        () if tags.contains("misconfiguration") || names.contains("Misconfiguration") => "misconfiguration",
        () => "code",
    };
    finding.aliases = aliases;
    let (mut weaknesses, taxa) = taxon::of(run, rule, result);
    finding.taxa = taxa;
    weaknesses.extend(advisory::weaknesses_in(&tags));
    for of in [rule, result] {
        weaknesses.extend(texts(of, &["properties", "cwe"]).iter().flat_map(|text| advisory::weaknesses_in(text)));
    }
    weaknesses.sort();
    weaknesses.dedup();
    finding.cwes = weaknesses;
}

/// A result is suppressed when a suppression is accepted; a state that is not named is accepted. `absent` is fixed.
fn suppress(result: &Value, finding: &mut Finding) {
    let accepted = |one: &&Value| {
        let state = text(one, &["state"]).or_else(|| text(one, &["status"])).unwrap_or("accepted");
        state.eq_ignore_ascii_case("accepted")
    };
    let suppressions = items(result, &["suppressions"]);
    // Until one is accepted, the result stands; one that is rejected or under review keeps it open.
    if let Some(suppression) =
        suppressions.iter().find(accepted).filter(|_| suppressions.iter().all(|one| accepted(&one)))
    {
        finding.state = Some("suppressed");
        let kind = text(suppression, &["kind"]).unwrap_or("external");
        let why = text(suppression, &["justification"]).map_or_else(|| kind.to_owned(), |why| format!("{kind}: {why}"));
        finding.suppression = Some(why);
    }
    if text(result, &["baselineState"]) == Some("absent") {
        finding.state = Some("fixed");
    }
}

/// The tool's own fingerprints, as one text; flat or, as some write them, nested.
fn fingerprint(result: &Value) -> Option<String> {
    let of = |member: &str| {
        let values = result.get(member)?.as_object().filter(|values| !values.is_empty())?;
        let mut parts: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
        parts.sort();
        Some(parts.join("\n"))
    };
    of("fingerprints").or_else(|| of("partialFingerprints"))
}

/// One finding a location.
fn locate(run: &Value, result: &Value, finding: Finding) -> Vec<Finding> {
    let locations = items(result, &["locations"]);
    if locations.is_empty() {
        return vec![finding];
    }
    let one = |location: &Value| {
        let physical = location.get("physicalLocation").unwrap_or(&Value::Null);
        let artifact = physical.get("artifactLocation").unwrap_or(&Value::Null);
        let by_index = || {
            let index = usize::try_from(int(artifact, &["index"])?).ok()?;
            owned(items(run, &["artifacts"]).get(index)?, &["location", "uri"])
        };
        let logical = || items(location, &["logicalLocations"]).iter().find_map(|l| owned(l, &["fullyQualifiedName"]));
        Finding {
            file: owned(artifact, &["uri"]).or_else(by_index),
            line: int(physical, &["region", "startLine"]),
            end_line: int(physical, &["region", "endLine"]),
            resource: logical(),
            ..finding.clone()
        }
    };
    locations.iter().map(one).collect()
}

fn one_line(text: &str) -> String {
    const TITLE_CHARS_MAX: usize = 200;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(TITLE_CHARS_MAX).collect()
}
