#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::shown::{data, rows};

fn parse(body: &[u8]) -> Parsed {
    let origin =
        write::Origin { word: "sarif", tenant: "t", owner: "all:", hash: files::content_hash(body), target: None };
    let mut whole = Parsed::default();
    for unit in units(body, &origin) {
        whole.accepted += unit.accepted;
        whole.batches.extend(unit.batches);
        whole.rejects.extend(unit.rejects);
    }
    whole
}

fn findings(document: &Value) -> Vec<Value> {
    let parsed = parse(document.to_string().as_bytes());
    assert!(parsed.rejects.is_empty(), "{:?}", parsed.rejects);
    rows(&parsed, &SECURITY_FINDING)
}

/// `expected` must hold every member of its own; the row may have more.
fn check(row: &Value, expected: Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(row.get(name).unwrap_or(&Value::Null), value, "{name} of {row}");
    }
}

#[test]
fn cyclonedx_in_depth() {
    let document = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": "urn:uuid:1", "version": 2,
        "metadata": {"timestamp": "2026-01-01T00:00:00Z", "tools": {"components": [{"name": "syft", "version": "1.0"}]},
            "component": {"name": "shop", "version": "1.4", "type": "application", "bom-ref": "root"}},
        "components": [{"type": "library", "name": "a", "version": "1", "purl": "pkg:npm/a@1", "bom-ref": "a",
            "licenses": [{"license": {"id": "MIT"}}, {"expression": "GPL-2.0 OR BSD-3-Clause"}],
            "components": [{"type": "library", "name": "b", "bom-ref": "b", "hashes": [{"alg": "SHA-1", "content": "ff"}]}]},
            {"type": "library"}],
        "services": [{"name": "pay", "bom-ref": "s", "provider": {"name": "Acme"}}],
        "dependencies": [{"ref": "root", "dependsOn": ["a"]}, {"ref": "a", "dependsOn": ["b", "b"]}],
        "vulnerabilities": [{"id": "CVE-2024-1", "ratings": [{"method": "CVSSv31", "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}],
            "affects": [{"ref": "a"}, {"ref": "b"}], "analysis": {"state": "not_affected", "justification": "code_not_reachable", "detail": "unused"}}]});
    let parsed = parse(document.to_string().as_bytes());
    assert_eq!(parsed.rejects.iter().map(|r| r.reason.as_str()).collect::<Vec<_>>(), ["a component has no name"]);
    let components = rows(&parsed, &SBOM_COMPONENT);
    assert_eq!(components.len(), 3);
    check(
        &components[0],
        json!({"package": "pkg:npm/a", "licences": "MIT AND (GPL-2.0 OR BSD-3-Clause)", "bom_link": "urn:cdx:1/2#a"}),
    );
    check(&components[1], json!({"parent_ref": "a", "hashes": "{\"SHA-1\":\"ff\"}"}));
    check(&components[2], json!({"component_type": "service", "supplier": "Acme"}));
    assert_eq!(rows(&parsed, &SBOM_DEPENDENCY).len(), 2);
    check(
        &rows(&parsed, &SBOM)[0],
        json!({"subject": "shop", "subject_version": "1.4", "components": 3, "spec_version": "1.5"}),
    );
    let found = rows(&parsed, &SECURITY_FINDING);
    assert_eq!(found.len(), 2);
    check(
        &found[0],
        json!({"severity": "high", "cvss_score": 7.5, "state": "suppressed", "vex_status": "not_affected",
        "vex_justification": "code_not_reachable", "component_purl": "pkg:npm/a@1", "vulnerability": "CVE-2024-1", "tool": "syft"}),
    );
    assert_eq!(rows(&parsed, &VEX_STATEMENT).len(), 2);
}

#[test]
fn sarif_of_every_shape() {
    let document = json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Lint", "rules": [
            {"id": "R1", "defaultConfiguration": {"level": "error"}, "messageStrings": {"m": {"text": "{0} is odd"}},
             "relationships": [{"target": {"id": "79", "toolComponent": {"name": "CWE"}}}]},
            {"id": "R2", "properties": {"security-severity": "9.8", "tags": ["external/cwe/cwe-089"]}}]},
            "extensions": [{"name": "more", "rules": [{"id": "X", "shortDescription": {"text": "from an extension"}}]}]},
        "artifacts": [{"location": {"uri": "src/b.c"}}],
        "results": [
            {"ruleId": "R1/sub", "ruleIndex": 0, "message": {"id": "m", "arguments": ["a"]},
             "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a.c"}, "region": {"startLine": 7}}},
                           {"physicalLocation": {"artifactLocation": {"index": 0}}}]},
            {"ruleId": "R2", "message": {"text": "injection"}, "suppressions": [{"kind": "inSource", "justification": "tested"}]},
            {"ruleId": "X", "message": {"text": "x"}, "level": "note", "suppressions": [{"kind": "external", "state": "rejected"}]},
            {"ruleId": "R1", "kind": "pass", "message": {"text": "fine"}},
            {"message": {"text": "without a rule"}, "baselineState": "absent"}]}]});
    let found = findings(&document);
    assert_eq!(found.len(), 5);
    check(
        &found[0],
        json!({"title": "a is odd", "severity": "high", "file": "a.c", "line": 7, "cwe_ids": "[\"CWE-79\"]", "finding_kind": "code"}),
    );
    check(&found[1], json!({"file": "src/b.c", "line": null}));
    check(
        &found[2],
        json!({"severity": "critical", "severity_original": "warning", "state": "suppressed", "suppression": "inSource: tested", "cwe_ids": "[\"CWE-89\"]"}),
    );
    check(&found[3], json!({"severity": "info", "state": "open", "description": "from an extension"}));
    check(&found[4], json!({"rule_id": "without a rule", "state": "fixed", "severity": "medium"}));
}

#[test]
fn trivy_and_grype_agree() {
    let trivy = json!({"SchemaVersion": 2, "ArtifactName": "shop:1", "ArtifactType": "container_image", "CreatedAt": "2026-01-01T00:00:00Z",
        "Results": [{"Target": "shop:1 (debian 12)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [
            {"VulnerabilityID": "CVE-2024-1", "PkgName": "openssl", "InstalledVersion": "3.0-1", "FixedVersion": "3.0-2", "Severity": "HIGH",
             "PkgIdentifier": {"PURL": "pkg:deb/debian/openssl@3.0-1?arch=amd64"}, "CVSS": {"nvd": {"V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", "V3Score": 7.5}}}]}]});
    let of_match = json!({"vulnerability": {"id": "CVE-2024-1", "severity": "High", "fix": {"versions": ["3.0-2"], "state": "fixed"}},
        "artifact": {"name": "openssl", "version": "3.0-1", "purl": "pkg:deb/debian/openssl@3.0-1?distro=debian-12", "locations": [{"path": "/var/lib/dpkg/status"}]}});
    let grype = json!({"matches": [of_match, of_match], "descriptor": {"name": "grype", "version": "1"},
        "source": {"type": "image", "target": {"userInput": "shop:1"}}});
    let (one, two) = (findings(&trivy), findings(&grype));
    assert_eq!((one.len(), two.len()), (1, 1));
    assert_eq!(one[0]["fingerprint"], two[0]["fingerprint"]);
    check(&one[0], json!({"target": "shop:1", "fixed_version": "3.0-2", "cvss_score": 7.5, "file": null}));
    check(&two[0], json!({"target": "shop:1", "occurrences": 2, "tool": "grype"}));
}

#[test]
fn secrets_reach_no_table() {
    let leak = |file: &str| json!({"RuleID": "aws-access-token", "Description": "AWS", "StartLine": 3, "Secret": "hunter2hunter2", "Match": "key=hunter2hunter2", "File": file, "Commit": "c"});
    let mut odd = leak("x");
    odd.as_object_mut().unwrap().remove("RuleID");
    odd["rule"] = json!("");
    odd["offender"] = json!("hunter2hunter2");
    let trivy = json!({"SchemaVersion": 2, "ArtifactName": "r", "Results": [{"Target": "a", "Secrets": [{"RuleID": "r", "Severity": "HIGH", "Match": "hunter2hunter2"}, {"Match": "hunter2hunter2"}]}]});
    let sarif = json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "gitleaks"}}, "results": [{"ruleId": "r", "message": {"text": "found"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a"}, "region": {"startLine": 1, "snippet": {"text": "hunter2hunter2"}}}}]}]}]});
    let csv = "RuleID,Commit,File,Secret,Match,StartLine\nr,c,a,hunter2hunter2,hunter2hunter2,1\nr,hunter2hunter2\n"
        .to_owned();
    let broken = "[{\"RuleID\": \"r\", \"File\": \"a\", \"Secret\": \"hunter2hunter2".to_owned();
    let list = json!([leak("a"), leak("a"), leak("b"), odd]);
    for (body, accepted) in
        [(list.to_string(), 2), (trivy.to_string(), 1), (sarif.to_string(), 1), (csv, 1), (broken, 0)]
    {
        let parsed = parse(body.as_bytes());
        assert_eq!(parsed.accepted, accepted, "{body}");
        let kept = format!(
            "{parsed:?}{:?}",
            parsed.rejects.iter().map(|r| String::from_utf8_lossy(&r.body).into_owned()).collect::<Vec<_>>()
        );
        assert!(!kept.contains("hunter2"), "{kept}");
    }
}

#[test]
fn vex_of_three_formats() {
    let openvex = json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "v", "author": "a", "timestamp": "2026-01-01T00:00:00Z", "statements": [
        {"vulnerability": {"name": "CVE-2024-1"}, "products": [{"@id": "pkg:npm/a@1?x=y"}, {"@id": "shop", "subcomponents": [{"@id": "pkg:npm/b@2"}]}],
         "status": "not_affected", "justification": "component_not_present"},
        {"vulnerability": {"name": "CVE-2024-2"}, "status": "odd", "products": [{"@id": "x"}]}]});
    let parsed = parse(openvex.to_string().as_bytes());
    let said = rows(&parsed, &VEX_STATEMENT);
    assert_eq!((said.len(), parsed.rejects.len()), (2, 1));
    check(
        &said[0],
        json!({"product_key": "pkg:npm/a@1", "vex_status": "not_affected", "issued_at": "2026-01-01T00:00:00Z"}),
    );
    check(&said[1], json!({"product_key": "shop", "subcomponent_key": "pkg:npm/b@2"}));
    let csaf = json!({"document": {"category": "csaf_vex", "csaf_version": "2.0", "tracking": {"id": "T"}, "publisher": {"name": "P"}},
        "product_tree": {"branches": [{"branches": [{"product": {"product_id": "p1", "name": "A", "product_identification_helper": {"purl": "pkg:npm/a@1"}}}]}]},
        "vulnerabilities": [{"cve": "CVE-2024-1", "product_status": {"known_not_affected": ["p1"], "fixed": ["p2"]},
            "flags": [{"label": "vulnerable_code_not_present", "product_ids": ["p1"]}]}]});
    let said = rows(&parse(csaf.to_string().as_bytes()), &VEX_STATEMENT);
    assert_eq!(said.len(), 2);
    let of_p1 = said.iter().find(|row| row["product"] == "pkg:npm/a@1").unwrap();
    check(
        of_p1,
        json!({"vex_status": "not_affected", "vex_justification": "vulnerable_code_not_present", "author": "P"}),
    );
}

#[test]
fn every_format_is_told_by_its_content() {
    let bench = json!({"id": "1", "text": "t", "node_type": "master", "tests": [{"desc": "d", "results": [
        {"test_number": "1.1", "status": "FAIL"}, {"test_number": "1.2", "status": "WARN"}, {"test_number": "1.3", "status": "PASS"},
        {"test_number": "1.4", "status": "WARN", "reason": "Test marked as a manual test"}]}]});
    let asff = json!({"AwsAccountId": "1", "GeneratorId": "g", "Title": "t", "Severity": {"Label": "HIGH"}, "Resources": [{"Id": "r"}]});
    let operator = json!({"apiVersion": "aquasecurity.github.io/v1alpha1", "kind": "ConfigAuditReport", "metadata": {"name": "n"},
        "report": {"checks": [{"checkID": "KSV014", "severity": "LOW", "success": false}, {"checkID": "KSV015", "success": true}]}});
    for (document, format, findings, components) in [
        (json!({"Controls": [bench]}), "kube-bench", 2, 0),
        (json!([bench]), "kube-bench", 2, 0),
        (
            json!({"AuditResultName": "A", "ResourceKind": "Pod", "ResourceName": "p", "level": "error"}),
            "kubeaudit",
            1,
            0,
        ),
        (json!({"Findings": [asff]}), "ASFF", 1, 0),
        (json!([asff]), "ASFF", 1, 0),
        (operator.clone(), "trivy-operator", 1, 0),
        (json!({"kind": "List", "items": [operator]}), "trivy-operator", 1, 0),
        (
            json!({"configauditreports.aquasecurity.github.io": [operator], "sbomreports.aquasecurity.github.io": []}),
            "trivy-operator",
            1,
            0,
        ),
        (
            json!({"summaryDetails": {"controls": {"C-1": {"scoreFactor": 8}}}, "resources": [], "results": [{"resourceID": "r", "controls": [
            {"controlID": "C-1", "name": "n", "status": {"status": "failed"}, "rules": [{"name": "a", "status": "failed"}, {"name": "b", "status": "passed"}]}]}]}),
            "kubescape",
            1,
            0,
        ),
        (
            json!({"version": "15.0", "scan": {"type": "sast", "scanner": {"id": "s"}}, "vulnerabilities": [{"identifiers": [{"type": "s", "name": "X", "value": "X"}], "severity": "High"}]}),
            "GitLab",
            1,
            0,
        ),
        (
            json!([{"check_name": "c", "description": "d", "severity": "major", "location": {"path": "p", "lines": {"begin": 3}}}]),
            "Code Climate",
            1,
            0,
        ),
        (json!({"findings": [{"title": "t", "severity": "High", "cve": "CVE-2024-1"}]}), "DefectDojo generic", 1, 0),
        (
            json!({"imageDigest": "sha256:1", "vulnerabilities": [{"vuln": "CVE-2024-1", "package": "a-1", "severity": "Low"}]}),
            "anchore",
            1,
            0,
        ),
        (
            json!({"artifacts": [{"id": "1", "name": "a", "version": "1", "licenses": ["MIT"]}], "descriptor": {"name": "syft"}, "schema": {"version": "16"}}),
            "syft",
            0,
            1,
        ),
        (
            json!({"detector": {"name": "d"}, "manifests": {"f": {"resolved": {"a": {"package_url": "pkg:npm/a@1"}}}}}),
            "GitHub snapshot",
            0,
            1,
        ),
        (
            json!({"sbom": {"spdxVersion": "SPDX-2.3", "name": "x", "packages": [{"SPDXID": "p", "name": "a"}]}}),
            "SPDX",
            0,
            1,
        ),
        (json!([{"Target": "a", "Vulnerabilities": null}]), "trivy", 0, 0),
        (
            json!({"ClusterName": "", "Resources": [{"Kind": "Pod", "Name": "p", "Results": [{"Target": "Pod/p", "Misconfigurations": [{"ID": "KSV001"}]}]}]}),
            "trivy",
            1,
            0,
        ),
        (
            json!({"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Target": "t", "ExperimentalModifiedFindings": [
            {"Type": "vulnerability", "Status": "not_affected", "Statement": "s", "Finding": {"VulnerabilityID": "CVE-2024-1", "PkgName": "p"}}]}]}),
            "trivy",
            1,
            1,
        ),
    ] {
        let parsed = parse(document.to_string().as_bytes());
        assert!(parsed.rejects.is_empty(), "{format}: {:?}", parsed.rejects);
        let report = rows(&parsed, &SECURITY_REPORT);
        check(&report[0], json!({"format": format, "findings": findings, "components": components}));
        assert_eq!(rows(&parsed, &SECURITY_FINDING).len(), findings, "{format}");
    }
    let generic = "Date,Title,CweId,Severity,Description,Active\n2026-01-01,T,79,High,d,False\n";
    let found = rows(&parse(generic.as_bytes()), &SECURITY_FINDING);
    check(&found[0], json!({"title": "T", "severity": "high", "cwe_ids": "[\"CWE-79\"]", "state": "suppressed"}));
}

#[test]
fn every_report_of_the_data_parses() {
    for path in data("sbom") {
        let name = path.to_string_lossy().into_owned();
        let fits = EXTENSIONS.iter().any(|end| name.ends_with(&format!(".{end}")));
        // One record of this sample has neither an id nor a severity.
        let known =
            ["expected_counts.json", "legacy_trivy_mix.json", "junit_simple.xml"].iter().any(|end| name.ends_with(end));
        if fits && !known {
            let parsed = parse(&std::fs::read(&path).unwrap());
            assert!(parsed.rejects.is_empty(), "{name}: {} {:?}", parsed.rejects[0].reason, parsed.rejects[0].place);
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read(body in "[\\[\\]{}:,\"a-zA-Z0-9 \n.-]{0,200}") {
        let _ = parse(body.as_bytes());
    }
}
