//! gator's suites: a template, a constraint, objects, and what is expected of each.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ::regex::Regex;
use engine::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::constraint::Point;
use super::document::{self, group_version, text};
use super::{Engine, Inventory, PolicySet, Review, Verdict, Violation};

const GROUP: &str = "test.gatekeeper.sh";

/// A suite as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Suite {
    #[serde(default)]
    skip: bool,
    #[serde(default)]
    tests: Vec<Test>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test {
    #[serde(default)]
    name: String,
    #[serde(default)]
    template: String,
    #[serde(default)]
    constraint: String,
    #[serde(default)]
    expansion: String,
    #[serde(default)]
    invalid: bool,
    #[serde(default)]
    skip: bool,
    #[serde(default)]
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    #[serde(default)]
    name: String,
    #[serde(default)]
    object: String,
    #[serde(default)]
    inventory: Vec<String>,
    #[serde(default)]
    assertions: Vec<Assertion>,
    #[serde(default)]
    skip: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assertion {
    violations: Option<Value>,
    message: Option<String>,
}

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaseOutcome {
    /// As expected.
    Passed,
    /// Not as expected.
    Failed,
    /// It could not be evaluated, and so denies.
    Denied,
    /// Left out, because the suite or the caller says so.
    Skipped,
}

/// One case and what became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: CaseOutcome,
    /// Why, where it did not pass.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub why: String,
    /// What was found on its object.
    pub violations: Vec<Violation>,
    /// How long it took.
    pub duration_ms: f64,
}

/// One test: a template and a constraint with their cases.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TestReport {
    /// Its name.
    pub name: String,
    /// The worst of its cases.
    pub outcome: CaseOutcome,
    /// Why, where it could not begin.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub why: String,
    /// Its cases.
    pub cases: Vec<CaseReport>,
    /// How long it took.
    pub duration_ms: f64,
}

/// One suite.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SuiteReport {
    /// Its file.
    pub path: PathBuf,
    /// The worst of its tests.
    pub outcome: CaseOutcome,
    /// Its tests.
    pub tests: Vec<TestReport>,
    /// How long it took.
    pub duration_ms: f64,
}

impl SuiteReport {
    /// Its cases that ended so.
    pub fn count(&self, outcome: CaseOutcome) -> usize {
        self.tests.iter().flat_map(|t| &t.cases).filter(|c| c.outcome == outcome).count()
    }
}

/// Every suite in a file or below a folder.
pub fn suites(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for file in document::files(path)? {
        // Most files of such a folder are no suites; those need not be YAML we read.
        let said =
            std::fs::read_to_string(&file).map_err(|e| Error::invalid(format!("read {}: {e}", file.display())))?;
        if said.contains(GROUP) && document::read(&file)?.iter().any(is_suite) {
            found.push(file);
        }
    }
    Ok(found)
}

fn is_suite(document: &Value) -> bool {
    text(document, "/kind") == "Suite" && group_version(text(document, "/apiVersion")).0 == GROUP
}

/// Runs the suites of a file; tests and cases that the pattern `wanted` does not fit are skipped.
pub fn run(path: &Path, engine: Engine, wanted: Option<&str>) -> Result<SuiteReport> {
    let begun = Instant::now();
    let wanted =
        wanted.map(Regex::new).transpose().map_err(|e| Error::invalid(format!("what to run is no pattern: {e}")))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut tests = Vec::new();
    for document in document::read(path)?.into_iter().filter(is_suite) {
        let failed = |e: serde_json::Error| Error::invalid(format!("read {}: {e}", path.display()));
        let suite: Suite = serde_json::from_value(document).map_err(failed)?;
        let runner = Runner { folder, engine, wanted: wanted.as_ref() };
        tests.extend(suite.tests.iter().map(|test| runner.test(test, suite.skip)));
    }
    let outcome = worst(tests.iter().map(|t| t.outcome));
    Ok(SuiteReport { path: path.to_owned(), outcome, tests, duration_ms: ms(begun) })
}

/// Failed before denied before passed before skipped.
fn worst(outcomes: impl Iterator<Item = CaseOutcome>) -> CaseOutcome {
    let rank = |o: &CaseOutcome| match o {
        CaseOutcome::Skipped => 0,
        CaseOutcome::Passed => 1,
        CaseOutcome::Denied => 2,
        CaseOutcome::Failed => 3,
    };
    outcomes.max_by_key(rank).unwrap_or(CaseOutcome::Passed)
}

fn ms(begun: Instant) -> f64 {
    (begun.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

struct Runner<'a> {
    folder: &'a Path,
    engine: Engine,
    wanted: Option<&'a Regex>,
}

impl Runner<'_> {
    fn test(&self, test: &Test, skip: bool) -> TestReport {
        let begun = Instant::now();
        let wants = |name: &str| self.wanted.is_none_or(|wanted| wanted.is_match(name));
        let is_wanted = wants(&test.name) || test.cases.iter().any(|c| wants(&c.name));
        let (outcome, why, cases) = match skip || test.skip || !is_wanted {
            true => (CaseOutcome::Skipped, String::new(), Vec::new()),
            false => match (self.set(test), test.invalid) {
                (Err(_), true) => (CaseOutcome::Passed, String::new(), Vec::new()),
                (Ok(_), true) => (CaseOutcome::Failed, "the template and constraint are valid".to_owned(), Vec::new()),
                (Err(why), false) => (CaseOutcome::Failed, why, Vec::new()),
                (Ok(set), false) => {
                    let all = wants(&test.name);
                    let run = |case: &Case| self.case(&set, case, !all && !wants(&case.name));
                    let cases: Vec<CaseReport> = test.cases.iter().map(run).collect();
                    (worst(cases.iter().map(|c| c.outcome)), String::new(), cases)
                }
            },
        };
        TestReport { name: test.name.clone(), outcome, why, cases, duration_ms: ms(begun) }
    }

    fn set(&self, test: &Test) -> Result<PolicySet, String> {
        if !test.expansion.is_empty() {
            return Err("expansion templates cannot be evaluated here".to_owned());
        }
        let mut set = PolicySet::default();
        set.add_template(&self.one(&test.template, "template")?)?;
        set.add_constraint(self.one(&test.constraint, "constraint")?)?;
        let constraint = &set.constraints[0];
        let Some(template) = set.template(&constraint.kind) else {
            return Err(format!("the constraint is of kind {}, which the template does not define", constraint.kind));
        };
        let reasons = template.reasons();
        match &constraint.matching {
            Err(why) if test.invalid => Err(why.clone()),
            Ok(_) if test.invalid && !reasons.is_empty() => Err(reasons.join("; ")),
            _ => Ok(set),
        }
    }

    fn case(&self, set: &PolicySet, case: &Case, skip: bool) -> CaseReport {
        let begun = Instant::now();
        let report = |outcome, why: String, violations| CaseReport {
            name: case.name.clone(),
            outcome,
            why,
            violations,
            duration_ms: ms(begun),
        };
        if skip || case.skip {
            return report(CaseOutcome::Skipped, String::new(), Vec::new());
        }
        let verdict = match self.verdict(set, case) {
            Ok(verdict) => verdict,
            Err(why) => return report(CaseOutcome::Failed, why, Vec::new()),
        };
        let failures: Vec<String> =
            verdict.violations.iter().filter(|v| v.is_failure).map(|v| v.message.clone()).collect();
        if !failures.is_empty() {
            return report(CaseOutcome::Denied, failures.join("; "), verdict.violations);
        }
        let mut wrong: Vec<String> =
            case.assertions.iter().filter_map(|a| a.check(&verdict.violations).err()).collect();
        if case.assertions.is_empty() {
            wrong.push("the case asserts nothing".to_owned());
        }
        let outcome = if wrong.is_empty() { CaseOutcome::Passed } else { CaseOutcome::Failed };
        report(outcome, wrong.join("; "), verdict.violations)
    }

    fn verdict(&self, set: &PolicySet, case: &Case) -> Result<Verdict, String> {
        let review = Review::of_document(self.one(&case.object, "object")?)?;
        let mut inventory = Inventory::default();
        for file in &case.inventory {
            for object in self.all(file)? {
                inventory.add(&object)?;
            }
        }
        let mut reviewer = set.reviewer(self.engine, Some(&inventory));
        Ok(reviewer.review(review, Point::Test))
    }

    fn all(&self, file: &str) -> Result<Vec<Value>, String> {
        document::read(&self.folder.join(file)).map_err(|e| e.to_string())
    }

    /// The only document of a file.
    fn one(&self, file: &str, what: &str) -> Result<Value, String> {
        if file.is_empty() {
            return Err(format!("no {what} is named"));
        }
        let mut documents = self.all(file)?;
        match documents.len() {
            1 => Ok(documents.swap_remove(0)),
            count => Err(format!("{file} holds {count} documents, not the one {what}")),
        }
    }
}

impl Assertion {
    fn check(&self, violations: &[Violation]) -> Result<(), String> {
        let pattern = self.message.as_deref().filter(|m| !m.is_empty());
        let fits =
            pattern.map(Regex::new).transpose().map_err(|e| format!("the message {pattern:?} is no pattern: {e}"))?;
        let count = violations.iter().filter(|v| fits.as_ref().is_none_or(|f| f.is_match(&v.message))).count();
        let holds = match &self.violations {
            None | Some(Value::Null | Value::Bool(true)) => count > 0,
            Some(Value::Bool(false)) => count == 0,
            Some(Value::Number(wanted)) => wanted.as_u64() == Some(count as u64),
            Some(Value::String(word)) => match word.as_str() {
                "yes" => count > 0,
                "no" => count == 0,
                number => {
                    number.parse::<usize>().map_err(|_| format!("violations is {word:?}, not yes, no or a number"))?
                        == count
                }
            },
            Some(other) => return Err(format!("violations is {other}, not yes, no or a number")),
        };
        if holds {
            return Ok(());
        }
        let wanted = self
            .violations
            .as_ref()
            .map_or("yes".to_owned(), |w| w.as_str().map_or_else(|| w.to_string(), str::to_owned));
        let with = pattern.map(|p| format!(" with a message like {p:?}")).unwrap_or_default();
        let got: Vec<&str> = violations.iter().map(|v| v.message.as_str()).collect();
        Err(format!("expected violations{with}: {wanted}, got {count}: {got:?}"))
    }
}
