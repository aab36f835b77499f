//! Rules and scorecards that ship: files of the source tree inside the binary, to be copied, edited and run. Nothing of
//! them runs by itself.

use std::path::{Path, PathBuf};

use engine::{Error, Kind, Result};

use crate::rule::{Fault, Rule};

/// A rule with its test.
#[derive(Debug, Clone, Copy)]
pub struct ShippedRule {
    /// `area/name`.
    pub name: &'static str,
    /// Its file.
    pub sql: &'static str,
    /// Its test.
    pub test: &'static str,
}

/// A scorecard.
#[derive(Debug, Clone, Copy)]
pub struct ShippedScorecard {
    /// Its name.
    pub name: &'static str,
    /// Its file.
    pub yaml: &'static str,
}

macro_rules! rules {
    ($($name:literal),+ $(,)?) => {
        &[$(ShippedRule {
            name: $name,
            sql: include_str!(concat!("rules/", $name, ".sql")),
            test: include_str!(concat!("rules/", $name, ".test.yaml")),
        }),+]
    };
}

macro_rules! scorecards {
    ($($name:literal),+ $(,)?) => {
        &[$(ShippedScorecard { name: $name, yaml: include_str!(concat!("scorecards/", $name, ".yaml")) }),+]
    };
}

/// Every rule that ships.
pub const RULES: &[ShippedRule] = rules![
    "budget/forecast_over_cap",
    "budget/near_cap",
    "budget/over_cap",
    "cost/anomaly",
    "cost/idle_resource",
    "cost/unattached_volume",
    "cost/untagged",
    "delivery/failing_pipeline",
    "delivery/flaky_test",
    "delivery/slow_pipeline",
    "delivery/stale_pull_request",
    "kubernetes/foreign_registry",
    "kubernetes/image_latest",
    "kubernetes/missing_labels",
    "kubernetes/pod_without_limits",
    "platform/hook_broken",
    "platform/retention_due",
    "platform/source_stale",
    "platform/telemetry_pii",
    "platform/tenant_drift",
    "reliability/error_budget_burn",
    "security/api_key_age",
    "security/certificate_expiry",
    "security/critical_vulnerability",
    "security/secret_age",
    "security/secret_found",
];

/// Every scorecard that ships.
pub const SCORECARDS: &[ShippedScorecard] = scorecards!["cost", "delivery", "production-readiness", "security"];

impl ShippedRule {
    /// The rule of its file.
    pub fn rule(&self) -> std::result::Result<Rule, Vec<Fault>> {
        Rule::parse(self.name, self.sql)
    }
}

/// Writes the shipped rules with their tests below a folder; a file that is there already stays as it is. Answers what was
/// written and what stayed.
pub fn write_rules(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let files = RULES.iter().flat_map(|rule| {
        [(format!("{}.sql", rule.name), rule.sql), (format!("{}.{}", rule.name, crate::trial::ENDING), rule.test)]
    });
    write(folder, files)
}

/// Writes the shipped scorecards into a folder; a file that is there already stays as it is.
pub fn write_scorecards(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    write(folder, SCORECARDS.iter().map(|card| (format!("{}.yaml", card.name), card.yaml)))
}

fn write(folder: &Path, files: impl Iterator<Item = (String, &'static str)>) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut written, mut kept) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let path = folder.join(name);
        let doing = |e: std::io::Error| Error::invalid(format!("write {}: {e}", path.display()));
        if path.exists() {
            kept.push(path);
            continue;
        }
        let parent = path.parent().ok_or_else(|| Error::new(Kind::Internal, "a shipped file lies in no folder"))?;
        std::fs::create_dir_all(parent).map_err(doing)?;
        std::fs::write(&path, text).map_err(doing)?;
        written.push(path);
    }
    Ok((written, kept))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_of_the_tree_ships_and_says_who_and_why() {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let found: BTreeSet<String> =
            crate::rule::read_folder(&tree).unwrap().into_iter().map(|found| found.rule.unwrap().name).collect();
        let shipped: BTreeSet<String> = RULES.iter().map(|rule| rule.name.to_owned()).collect();
        assert_eq!(found, shipped);
        for shipped in RULES {
            let rule = shipped.rule().unwrap_or_else(|faults| panic!("{}: {faults:?}", shipped.name));
            assert!(rule.header.why.is_some(), "{} does not say why", shipped.name);
            assert!(!rule.header.new.is_empty(), "{} does nothing", shipped.name);
            crate::trial::parse(shipped.test).unwrap_or_else(|wrong| panic!("{}: {wrong}", shipped.name));
        }
    }

    #[test]
    fn files_that_somebody_edited_stay() {
        let folder = tempfile::tempdir().unwrap();
        let mine = folder.path().join("budget/near_cap.sql");
        std::fs::create_dir_all(mine.parent().unwrap()).unwrap();
        std::fs::write(&mine, "mine").unwrap();
        let (written, kept) = write_rules(folder.path()).unwrap();
        assert_eq!((written.len(), kept.len()), (2 * RULES.len() - 1, 1));
        assert_eq!(std::fs::read_to_string(&mine).unwrap(), "mine");
        assert_eq!(write_rules(folder.path()).unwrap().0.len(), 0);
    }
}
