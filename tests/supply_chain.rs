//! Findings over time and tools, VEX, and differences of SBOMs, with the real binary.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Ground, command};

fn write(ground: &Ground, name: &str, document: &Value) -> PathBuf {
    let path = ground.beside(name);
    fs::write(&path, document.to_string()).expect("the report is written");
    path
}

fn trivy(day: u32, ids: &[&str]) -> Value {
    let finding = |id: &&str| {
        json!({"VulnerabilityID": id, "PkgName": "openssl", "InstalledVersion": "3.0-1", "Severity": "HIGH",
            "PkgIdentifier": {"PURL": "pkg:deb/debian/openssl@3.0-1?arch=amd64"}})
    };
    json!({"SchemaVersion": 2, "ArtifactName": "shop:1", "ArtifactType": "container_image", "CreatedAt": format!("2026-03-{day:02}T00:00:00Z"),
        "Results": [{"Target": "shop:1 (debian 12)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": ids.iter().map(finding).collect::<Vec<_>>()}]})
}

fn grype(day: u32, ids: &[&str]) -> Value {
    let found = |id: &&str| {
        json!({"vulnerability": {"id": id, "severity": "High"}, "artifact": {"name": "openssl", "version": "3.0-1",
            "purl": "pkg:deb/debian/openssl@3.0-1?distro=debian-12"}})
    };
    json!({"matches": ids.iter().map(found).collect::<Vec<_>>(), "descriptor": {"name": "grype", "timestamp": format!("2026-03-{day:02}T01:00:00Z")},
        "source": {"type": "image", "target": {"userInput": "shop:1"}}})
}

const CURRENT: &str = "SELECT vulnerability, state, tool_names, CAST(first_seen AS DATE), CAST(last_seen AS DATE), fixed_in IS NOT NULL, vex_status \
                       FROM security_finding_current ORDER BY vulnerability";

#[test]
fn findings_over_time_and_tools() {
    let ground = Ground::new();
    let reports = [
        write(&ground, "t1.json", &trivy(1, &["CVE-2026-0001", "CVE-2026-0002", "CVE-2026-0003"])),
        write(&ground, "g1.json", &grype(1, &["CVE-2026-0001", "CVE-2026-0002"])),
        write(&ground, "t2.json", &trivy(2, &["CVE-2026-0001", "CVE-2026-0003"])),
    ];
    for report in &reports {
        ground.run(&["ingest", "sarif", report.to_str().unwrap()]).ok();
    }
    // 0002 is gone for trivy, and still there for grype.
    let expected = [
        "CVE-2026-0001,open,grype, trivy,2026-03-01,2026-03-02,false,",
        "CVE-2026-0002,open,grype, trivy,2026-03-01,2026-03-01,false,",
        "CVE-2026-0003,open,trivy,2026-03-01,2026-03-02,false,",
    ];
    let told = |ground: &Ground| ground.ask(CURRENT).into_iter().map(|row| row.join(",")).collect::<Vec<_>>();
    assert_eq!(told(&ground), expected);

    let vex = json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "v", "timestamp": "2026-03-02T00:00:00Z", "statements": [
        {"vulnerability": {"name": "CVE-2026-0003"}, "products": [{"@id": "shop:1", "subcomponents": [{"@id": "pkg:deb/debian/openssl"}]}],
         "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path"}]});
    let later = [write(&ground, "vex.json", &vex), write(&ground, "g2.json", &grype(3, &["CVE-2026-0001"]))];
    for report in &later {
        ground.run(&["ingest", "sbom", report.to_str().unwrap()]).ok();
    }
    let expected = [
        "CVE-2026-0001,open,grype, trivy,2026-03-01,2026-03-03,false,",
        "CVE-2026-0002,fixed,grype, trivy,2026-03-01,2026-03-01,true,",
        "CVE-2026-0003,suppressed,trivy,2026-03-01,2026-03-02,false,not_affected",
    ];
    assert_eq!(told(&ground), expected);
    // The report that is named is the last one that should have had it.
    let named = ground.ask("SELECT r.tool, CAST(r.observed_at AS DATE) FROM security_finding_current f JOIN security_report r ON r.report_id = f.fixed_in");
    assert_eq!(named, [["grype", "2026-03-03"]]);
    // The same files again change nothing.
    let again = ground.run(&["ingest", "sarif", reports[0].to_str().unwrap(), "--format", "json"]).ok();
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&again["accepted"], &again["repeated"]), (&json!(0), &json!(1)));
    assert_eq!(told(&ground), expected);
}

fn sbom(version: &str, day: u32, components: &[(&str, &str, &str)]) -> Value {
    let component = |(name, version, licence): &(&str, &str, &str)| json!({"type": "library", "name": name, "version": version, "purl": format!("pkg:npm/{name}@{version}"), "licenses": [{"license": {"id": licence}}]});
    json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "metadata": {"timestamp": format!("2026-03-{day:02}T00:00:00Z"),
        "component": {"name": "shop", "version": version, "type": "application"}}, "components": components.iter().map(component).collect::<Vec<_>>()})
}

#[test]
fn two_sboms_are_compared_on_files_and_in_the_store() {
    let ground = Ground::new();
    let one = write(&ground, "one.json", &sbom("1", 1, &[("a", "1", "MIT"), ("b", "1", "MIT"), ("c", "1", "MIT")]));
    let two =
        write(&ground, "two.json", &sbom("2", 2, &[("a", "1", "BSD-3-Clause"), ("b", "2", "MIT"), ("d", "1", "MIT")]));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let differ = |before: &str, after: &str, more: &[&str]| {
        let mut diff = command(&["sbom", "diff", before, after, "--format", "json"]);
        diff.args(more);
        let done = diff.output().expect("the binary starts");
        let told: Value = serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)));
        (told["counts"].clone(), done.status.code())
    };
    let expected = json!({"added": 1, "removed": 1, "version": 1, "licence": 1});
    assert_eq!(differ(one, two, &["--exit-code"]), (expected.clone(), Some(1)));
    assert_eq!(differ(one, one, &["--exit-code"]).1, Some(0));
    ground.run(&["ingest", "sbom", one, two]).ok();
    let data = ground.data();
    assert_eq!(differ("shop@1", "shop@2", &["--data", data.to_str().unwrap()]), (expected, Some(0)));
    let rows = ground.ask(
        "SELECT change, package, version_before, version_after, licences_after FROM sbom_diff ORDER BY package, change",
    );
    let told: Vec<String> = rows.into_iter().map(|row| row.join(",")).collect();
    assert_eq!(
        told,
        [
            "licence,pkg:npm/a,1,1,BSD-3-Clause",
            "version,pkg:npm/b,1,2,MIT",
            "removed,pkg:npm/c,1,,",
            "added,pkg:npm/d,,1,MIT"
        ]
    );
}
