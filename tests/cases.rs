//! Known answers: every suite found under a folder laid out like `shared/data`, run with the real binary. What is there
//! is discovered, so cases that were held back run the same way. `make cases DATA=DIR`.

mod ado_answers;
mod ado_devlake;
mod ado_events;
mod api_lists;
mod budget_reset;
mod codeowners;
mod compare;
mod focus_queries;
mod focus_totals;
mod increments;
mod labelled;
mod llm_prices;
mod month_to_date;
mod opencost;
mod policy_suites;
mod provider_raw;
mod recognizers;
mod retrieval;
mod supply_chain;

use std::fs;
use std::path::{Path, PathBuf};

/// What came of a suite.
#[derive(Default)]
pub struct Tally {
    pub passed: usize,
    pub total: usize,
    /// What else a reader wants to know.
    pub note: String,
    /// One for each case that failed.
    pub failures: Vec<String>,
}

impl Tally {
    /// Counts one case.
    pub fn case(&mut self, name: &str, outcome: Result<(), String>) {
        self.total += 1;
        match outcome {
            Ok(()) => self.passed += 1,
            Err(why) => self.failures.push(format!("{name}: {why}")),
        }
    }

    /// Counts one case that holds when the two are equal.
    pub fn equal<T: PartialEq + std::fmt::Debug>(&mut self, name: &str, got: &T, expected: &T) {
        self.case(name, if got == expected { Ok(()) } else { Err(format!("got {got:?}, expected {expected:?}")) });
    }
}

/// A suite runs in the folder that it found, and is absent where the folder has nothing for it.
type Suite = fn(&Path) -> Option<Tally>;

const SUITES: &[(&str, Suite)] = &[
    ("cost/focus_queries", focus_queries::run),
    ("cost/azure_export", month_to_date::run),
    ("cost/focus_samples", focus_totals::run),
    ("cost/provider_raw", provider_raw::run),
    ("cost/focus_spec_examples", provider_raw::corrections),
    ("cost/llm_prices", llm_prices::run),
    ("cost/llm_budget_reset", budget_reset::run),
    ("cost/opencost", opencost::run),
    ("ado/service_hooks", ado_events::run),
    ("ado/specs", ado_answers::examples),
    ("ado/rest_samples", ado_answers::captured),
    ("ado/devlake_e2e", ado_devlake::run),
    ("k8s/api_lists", api_lists::run),
    ("policies/gatekeeper-library", policy_suites::run),
    ("pii/presidio-de-recognizers", recognizers::run),
    ("pii/synthetic-de", labelled::run),
    ("codeowners", codeowners::run),
    ("retrieval/ocp-docs", increments::run),
    ("sbom/cyclonedx", supply_chain::run),
    ("sbom/spdx", supply_chain::run),
    ("sbom/trivy", supply_chain::run),
    ("sbom/grype", supply_chain::run),
    ("sbom/gitleaks", supply_chain::run),
    ("sbom/sarif", supply_chain::run),
    ("sbom/defectdojo", supply_chain::defectdojo),
    ("retrieval", retrieval::run),
];

/// Runs every suite under `STELLWERK_CASES`; a line each, then what failed.
#[test]
#[ignore = "needs a folder of known answers: make cases DATA=DIR"]
fn known_answers() {
    let data = PathBuf::from(
        std::env::var_os("STELLWERK_CASES").expect("STELLWERK_CASES names a folder: make cases DATA=DIR"),
    );
    let data = fs::canonicalize(&data).unwrap_or_else(|cause| panic!("{}: {cause}", data.display()));
    let (mut found, mut failures) = (0, Vec::new());
    for (name, suite) in SUITES {
        let Some(tally) = suite(&data.join(name)).filter(|tally| tally.total > 0) else { continue };
        found += 1;
        println!("{name} {}/{}{}", tally.passed, tally.total, tally.note);
        failures.extend(tally.failures.into_iter().map(|failure| format!("{name}: {failure}")));
    }
    assert!(found > 0, "no suite of known answers under {}", data.display());
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
}

/// Files below `dir` whose name ends in `ending`, sorted.
pub fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("paths of cases are UTF-8")
}

/// What travels in the repository is held to the same answers, so that CI needs no folder.
#[test]
fn fixtures_have_known_answers() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let suites: &[(&str, Suite)] = &[
        ("cost/azure_mtd", month_to_date::run),
        ("cost", focus_totals::run),
        ("ado", ado_events::run),
        ("pii/vectors", recognizers::run),
        ("pii/labelled", labelled::run),
        ("sbom/cyclonedx", supply_chain::run),
        ("sbom/spdx", supply_chain::run),
        ("sbom/trivy", supply_chain::run),
        ("sbom/grype", supply_chain::run),
        ("sbom/gitleaks", supply_chain::run),
        ("sbom/sarif", supply_chain::run),
        ("sbom/defectdojo", supply_chain::defectdojo),
        ("cost/corrections", provider_raw::corrections),
        ("cost/llm_prices", llm_prices::run),
        ("cost/llm_budget_reset", budget_reset::run),
        ("cost/opencost", opencost::run),
    ];
    let tallies = suites.iter().filter_map(|(name, suite)| Some((name, suite(&fixtures.join(name))?)));
    for (name, tally) in tallies {
        assert!(tally.total > 0, "{name} holds no case");
        assert!(tally.failures.is_empty(), "{name}: {}", tally.failures.join("\n"));
    }
}
