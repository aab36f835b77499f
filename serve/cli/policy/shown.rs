//! Suites and audits as people read them; suites in gator's words.

use std::fmt::Write;

use ledger::policy::{AuditReport, BrokenConstraint, CaseOutcome, ClusterReport, SuiteReport};
use serde::Serialize;

/// Characters of a message that a table shows.
const MESSAGE_MAX: usize = 100;

/// Cases of all suites, by what became of them.
#[derive(Debug, Default, Serialize)]
pub struct Counts {
    suites: usize,
    tests: usize,
    cases: usize,
    passed: usize,
    failed: usize,
    denied: usize,
    skipped: usize,
}

impl Counts {
    /// Over these suites; a test that could not begin counts as one failed case.
    pub fn of(reports: &[SuiteReport]) -> Counts {
        let mut counts = Counts { suites: reports.len(), ..Counts::default() };
        for report in reports {
            counts.tests += report.tests.len();
            counts.passed += report.count(CaseOutcome::Passed);
            counts.denied += report.count(CaseOutcome::Denied);
            counts.skipped += report.count(CaseOutcome::Skipped);
            let unbegun =
                report.tests.iter().filter(|t| t.cases.is_empty() && t.outcome == CaseOutcome::Failed).count();
            counts.failed += report.count(CaseOutcome::Failed) + unbegun;
        }
        counts.cases = counts.passed + counts.failed + counts.denied + counts.skipped;
        counts
    }

    /// The last line.
    pub fn line(&self) -> String {
        let word = if self.failed + self.denied == 0 { "PASS" } else { "FAIL" };
        let mut line = format!(
            "{word}: {} suites, {} tests, {} of {} cases passed",
            self.suites, self.tests, self.passed, self.cases
        );
        for (count, what) in [
            (self.failed, "failed"),
            (self.denied, "denied because they cannot be evaluated"),
            (self.skipped, "skipped"),
        ] {
            if count > 0 {
                let _ = write!(line, ", {count} {what}");
            }
        }
        line + "\n"
    }
}

fn word(outcome: CaseOutcome) -> &'static str {
    match outcome {
        CaseOutcome::Passed => "PASS",
        CaseOutcome::Failed => "FAIL",
        CaseOutcome::Denied => "DENY",
        CaseOutcome::Skipped => "SKIP",
    }
}

fn is_bad(outcome: CaseOutcome) -> bool {
    matches!(outcome, CaseOutcome::Failed | CaseOutcome::Denied)
}

/// A line a suite, as `gator verify` writes it; what did not pass below it, or everything.
pub fn suite(report: &SuiteReport, verbose: bool) -> String {
    let mut text = String::new();
    for test in report.tests.iter().filter(|t| verbose || is_bad(t.outcome)) {
        let _ = writeln!(text, "--- {}: {}\t({:.3}s)", word(test.outcome), test.name, test.duration_ms / 1e3);
        if !test.why.is_empty() {
            let _ = writeln!(text, "    {}", test.why);
        }
        for case in test.cases.iter().filter(|c| verbose || is_bad(c.outcome)) {
            let _ = writeln!(text, "    --- {}: {}\t({:.3}s)", word(case.outcome), case.name, case.duration_ms / 1e3);
            if !case.why.is_empty() {
                let _ = writeln!(text, "        {}", case.why);
            }
            for violation in case.violations.iter().filter(|v| verbose && !v.is_failure) {
                let _ = writeln!(text, "        {}: {}", violation.engine, violation.message);
            }
        }
    }
    let sign = if is_bad(report.outcome) { "FAIL" } else { "ok" };
    let _ = writeln!(text, "{sign}\t{}\t{:.3}s", report.path.display(), report.duration_ms / 1e3);
    text
}

/// Tables of clusters and of what is broken.
pub fn audit(report: &AuditReport) -> String {
    let mut text = String::new();
    report.notes.iter().for_each(|note| text.push_str(&format!("note: {note}\n")));
    let heads = ["tenant", "cluster", "objects", "reviews", "violations", "failures", "vanished", "seconds"];
    let row = |c: &ClusterReport| {
        let counts = [c.objects, c.reviews, c.violations, c.failures, c.vanished].map(|n| n.to_string());
        let mut cells = vec![c.tenant.clone(), c.cluster.clone()];
        cells.extend(counts);
        cells.push(format!("{:.2}", c.duration_ms / 1e3));
        cells
    };
    text.push_str(&aligned(&heads, report.clusters.iter().map(row).collect()));
    if !report.broken.is_empty() {
        let heads = ["constraint", "action", "violations", "failures", "for one"];
        let row = |b: &BrokenConstraint| {
            let name = format!("{}/{}", b.constraint_kind, b.constraint_name);
            let example = crate::output::table::printable(&b.example.chars().take(MESSAGE_MAX).collect::<String>());
            vec![name, b.enforcement_action.clone(), b.violations.to_string(), b.failures.to_string(), example]
        };
        text.push('\n');
        text.push_str(&aligned(&heads, report.broken.iter().map(row).collect()));
    }
    let found: u64 = report.clusters.iter().map(|c| c.violations).sum();
    let _ = writeln!(
        text,
        "\naudit {}: {} templates, {} constraints, {found} violations, {:.2} s (table policy_violation)",
        report.audit_run,
        report.templates,
        report.constraints,
        report.duration_ms / 1e3
    );
    text
}

/// Columns as wide as their widest cell.
fn aligned(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).chain([heads[at].len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(widths.iter().copied()).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(heads.to_vec());
    rows.iter().for_each(|row| text.push_str(&line(row.iter().map(String::as_str).collect())));
    text
}
