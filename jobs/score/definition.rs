//! A scorecard's file: who is scored, the levels, and the checks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::{Error, Result, parse_span};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::rule::{BYTES_MAX, volatile};

/// How a scorecard's file ends.
pub const FILE_ENDINGS: &[&str] = &["yaml", "yml"];
/// What stands for the place in the log from which on rows are new to a check.
pub const SINCE: &str = "$since";
/// Checks of one scorecard.
const CHECKS_MAX: usize = 200;
/// Levels of one scorecard.
const LEVELS_MAX: usize = 10;
/// How often a scorecard is evaluated that does not say.
const EVERY: Duration = Duration::from_secs(15 * 60);

/// A scorecard as its file says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scorecard {
    /// Its name, for good.
    pub name: String,
    /// SHA-256 of its file.
    pub version: String,
    /// Its name for people.
    pub title: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it exists.
    pub why: Option<String>,
    /// How often it is evaluated.
    pub every: Duration,
    /// The levels from the lowest, which carries no checks, to the highest.
    pub levels: Vec<String>,
    /// What is scored, in one word.
    pub entity_kind: String,
    /// Who is scored: `tenant`, `entity`, and whatever filters need.
    pub entity_sql: String,
    /// The checks.
    pub checks: Vec<Check>,
    /// The whole file.
    pub text: String,
}

/// One check.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Its name within the scorecard, for good.
    pub id: String,
    /// What it asks, for people.
    pub title: String,
    /// Why it is asked.
    pub why: Option<String>,
    /// The place of its level, from 1.
    pub level: usize,
    /// How much it counts.
    pub weight: i64,
    /// Whom it is about: an expression over the columns of the entities' SELECT; everybody without it.
    pub filter: Option<String>,
    /// A fact that is older says nothing.
    pub max_age: Option<Duration>,
    /// The facts: `tenant`, `entity`, `passed`, and perhaps `evidence` and `observed_at`.
    pub sql: String,
    /// Entities whose facts are new since a place in the log; without it all are looked at every time.
    pub changed: Option<String>,
    /// Changes with whatever decides: history stays comparable within a version.
    pub version: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    title: String,
    owner: String,
    #[serde(default)]
    why: Option<String>,
    #[serde(default)]
    every: Option<String>,
    levels: Vec<String>,
    entity: EntityText,
    checks: Vec<CheckText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntityText {
    kind: String,
    sql: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckText {
    id: String,
    title: String,
    #[serde(default)]
    why: Option<String>,
    level: String,
    #[serde(default = "one")]
    weight: i64,
    #[serde(default)]
    filter: Option<String>,
    #[serde(default)]
    max_age: Option<String>,
    sql: String,
    #[serde(default)]
    changed: Option<String>,
}

fn one() -> i64 {
    1
}

impl Scorecard {
    /// Reads a scorecard; everything that is wrong comes back at once.
    pub fn parse(text: &str) -> std::result::Result<Scorecard, Vec<String>> {
        if text.len() > BYTES_MAX {
            return Err(vec![format!("the file is larger than {BYTES_MAX} bytes")]);
        }
        let file: File = serde_yaml_ng::from_str(text).map_err(|e| vec![e.to_string()])?;
        let mut faults = Vec::new();
        faults.extend(named("name", &file.name));
        faults.extend(levels(&file.levels));
        let every = match file.every.as_deref().map(parse_span) {
            None => EVERY,
            Some(Ok(every)) if every >= Duration::from_secs(1) => every,
            Some(Ok(_)) => {
                faults.push("`every` is less than a second".to_owned());
                EVERY
            }
            Some(Err(wrong)) => {
                faults.push(format!("every: {wrong}"));
                EVERY
            }
        };
        faults.extend(fixed(&file.entity.sql).map(|wrong| format!("the entities' SELECT: {wrong}")));
        if file.checks.is_empty() || file.checks.len() > CHECKS_MAX {
            faults.push(format!("there are {} checks; one to {CHECKS_MAX} are possible", file.checks.len()));
        }
        let mut seen = BTreeSet::new();
        let mut checks = Vec::with_capacity(file.checks.len());
        for check in file.checks {
            if !seen.insert(check.id.clone()) {
                faults.push(format!("two checks are called {}", check.id));
            }
            match check.parse(&file.levels) {
                Ok(check) => checks.push(check),
                Err(wrong) => faults.extend(wrong),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Scorecard {
            name: file.name,
            version: hex::encode(Sha256::digest(text.as_bytes())),
            title: file.title,
            owner: file.owner,
            why: file.why,
            every,
            levels: file.levels,
            entity_kind: file.entity.kind,
            entity_sql: select(&file.entity.sql),
            checks,
            text: text.to_owned(),
        })
    }
}

impl CheckText {
    fn parse(self, levels: &[String]) -> std::result::Result<Check, Vec<String>> {
        let mut faults: Vec<String> = named("id", &self.id).into_iter().collect();
        let level = levels.iter().position(|level| *level == self.level);
        match level {
            Some(0) => {
                faults.push(format!("{} is the lowest level, where everybody is: it carries no checks", self.level))
            }
            Some(_) => {}
            None => faults.push(format!("{} is no level; there are {}", self.level, levels.join(", "))),
        }
        if !(1..=1_000).contains(&self.weight) {
            faults.push(format!("`weight` is {}; 1 to 1000 are possible", self.weight));
        }
        let max_age = match self.max_age.as_deref().map(parse_span).transpose() {
            Ok(max_age) => max_age,
            Err(wrong) => {
                faults.push(format!("max_age: {wrong}"));
                None
            }
        };
        faults.extend(fixed(&self.sql));
        faults.extend(self.filter.iter().flat_map(|filter| fixed(filter)));
        if let Some(changed) = &self.changed {
            faults.extend(fixed(&since(changed, 0)));
            if !changed.to_ascii_lowercase().contains(SINCE) {
                faults.push(format!("`changed` does not say {SINCE}, the place in the log from which on rows are new"));
            }
        }
        let id = self.id;
        if !faults.is_empty() {
            return Err(faults.into_iter().map(|wrong| format!("check {id}: {wrong}")).collect());
        }
        let mut hash = Sha256::new();
        let age = max_age.map(|age| age.as_secs().to_string()).unwrap_or_default();
        let weight = self.weight.to_string();
        let filter = self.filter.as_deref().unwrap_or_default();
        for part in [self.level.as_str(), &weight, filter, &age, &self.sql] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Ok(Check {
            id,
            title: self.title,
            why: self.why,
            level: level.unwrap_or_default(),
            weight: self.weight,
            filter: self.filter,
            max_age,
            sql: select(&self.sql),
            changed: self.changed.map(|changed| select(&changed)),
            version: hex::encode(&hash.finalize()[..8]),
        })
    }
}

/// A SELECT as a part of another one.
fn select(sql: &str) -> String {
    sql.trim().trim_end_matches(';').to_owned()
}

/// A SELECT over rows that are new, with the place in the log in it.
pub(super) fn since(sql: &str, seq: i64) -> String {
    sql.replace(SINCE, &seq.to_string())
}

/// What would answer otherwise every time.
fn fixed(sql: &str) -> impl Iterator<Item = String> {
    volatile(sql, 1).into_iter().map(|fault| fault.what)
}

fn named(what: &str, name: &str) -> Option<String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let wrong = name.is_empty() || name.len() > 64 || !name.chars().all(good);
    wrong.then(|| format!("`{what}` is {name:?}: write small letters, digits and hyphens; it stays for good"))
}

fn levels(levels: &[String]) -> Option<String> {
    let different: BTreeSet<&String> = levels.iter().collect();
    if !(2..=LEVELS_MAX).contains(&levels.len()) {
        return Some(format!(
            "there are {} levels; 2 to {LEVELS_MAX} are possible, the lowest without checks",
            levels.len()
        ));
    }
    (different.len() != levels.len() || levels.iter().any(String::is_empty))
        .then(|| "`levels` names one twice, or none".to_owned())
}

/// The files of scorecards that paths mean: themselves, or those in a folder; with their texts.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<(PathBuf, String)>> {
    let doing = |path: &Path, e: std::io::Error| Error::invalid(format!("read the scorecard {}: {e}", path.display()));
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        for entry in std::fs::read_dir(path).map_err(|e| doing(path, e))? {
            let path = entry.map_err(|e| doing(path, e))?.path();
            let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned());
            if path.is_file() && ending.is_some_and(|ending| FILE_ENDINGS.contains(&ending.as_str())) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).map_err(|e| doing(&path, e))?;
            Ok((path, text))
        })
        .collect()
}
