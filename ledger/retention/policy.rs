//! The rules of a file: which tables, whose rows, how long. The first rule that fits a table and a tenant decides; what none
//! fits is kept as the table declares it, which for nearly all is for ever.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use engine::{Error, Kept, Result, Table};
use serde::Deserialize;

/// Signals, and the tables that hold them; a `*` stands at the end of a name.
pub const SIGNALS: &[(&str, &[&str])] = &[
    ("logs", &["otel_log"]),
    ("traces", &["otel_span"]),
    ("metrics", &["otel_metric"]),
    ("kubernetes", &["k8s_*"]),
    ("azure_devops", &["ado_*"]),
    ("cost", &["cost_line", "cost_run", "contract_commitment", "invoice_detail", "billing_period"]),
    ("prices", &["model_price", "resource_price", "fx_rate"]),
    ("documents", &["document", "git_*", "codeowners_rule"]),
    ("supply_chain", &["sbom*", "security_*", "vex_statement"]),
    ("policies", &["policy_*"]),
    ("queries", &["query_log", "redaction_finding", "reject"]),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    rules: Vec<Written>,
}

/// A rule as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    table: Option<String>,
    signal: Option<String>,
    tenant: Option<String>,
    keep: String,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    tables: Vec<String>,
    tenant: Option<String>,
    /// `None` is for ever.
    keep: Option<Duration>,
    /// As it was written.
    words: String,
}

/// The rules, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
}

/// Whether a table's name fits.
pub(super) fn fits(pattern: &str, table: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == table, |begin| table.starts_with(begin))
}

fn keep_of(words: &str) -> std::result::Result<Option<Duration>, String> {
    if words == "forever" {
        return Ok(None);
    }
    let wrong = || format!("{words:?} is no time: write 30d, 36h, 13w or forever");
    let (number, unit) = words.split_at(words.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let hours = match unit {
        "h" => number,
        "d" => number.saturating_mul(24),
        "w" => number.saturating_mul(24 * 7),
        _ => return Err(wrong()),
    };
    match hours {
        0 => Err(format!("{words:?} keeps nothing at all; the least is 1h")),
        // Times are told in microseconds in 64 bits.
        hours if hours > 24 * 365 * 10_000 => Err(format!("{words:?} is more than 10,000 years: write forever")),
        hours => Ok(Some(Duration::from_secs(hours * 3600))),
    }
}

impl Policy {
    /// The rules of a file, held against the tables that there are.
    pub fn read(path: &Path, tables: &[&'static Table]) -> Result<Policy> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|e| Error::invalid(format!("read the retention rules {}: {e}", path.display())))?;
        Policy::parse(&text, tables).map_err(|e| e.context(&path.display().to_string()))
    }

    /// The rules of a text.
    pub fn parse(text: &str, tables: &[&'static Table]) -> Result<Policy> {
        let document: Document = serde_yaml_ng::from_str(text).map_err(|e| Error::invalid(e.to_string()))?;
        let mut rules: Vec<Rule> = Vec::new();
        for (at, written) in document.rules.into_iter().enumerate() {
            let wrong = |why: String| Error::invalid(format!("rule {}: {why}", at + 1));
            let rule = rule_of(written).map_err(wrong)?;
            let names: Vec<&str> = tables.iter().map(|table| table.name).filter(|name| rule.fits(name)).collect();
            if names.is_empty() {
                let none = rule.tables.join(", ");
                return Err(wrong(format!("there is no table {none}; `stellwerk tables` lists them")));
            }
            let shadows = |earlier: &Rule| {
                (earlier.tenant.is_none() || earlier.tenant == rule.tenant)
                    && names.iter().all(|name| earlier.fits(name))
            };
            if let Some(earlier) = rules.iter().position(shadows) {
                return Err(wrong(format!("it never decides anything: rule {} before it fits all of it", earlier + 1)));
            }
            rules.push(rule);
        }
        Ok(Policy { rules })
    }

    /// What the rules say of a table.
    pub fn kept(&self, table: &Table) -> Kept {
        let mut tenants: BTreeMap<String, Option<Duration>> = BTreeMap::new();
        for rule in self.of(table.name) {
            match &rule.tenant {
                Some(tenant) => {
                    tenants.entry(tenant.clone()).or_insert(rule.keep);
                }
                None => return Kept { tenants, others: rule.keep, holds: Vec::new() },
            }
        }
        Kept { tenants, ..Kept::declared(table) }
    }

    fn of<'a>(&'a self, table: &'a str) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(move |rule| rule.fits(table))
    }

    /// How long in words, and who says so.
    pub fn said(&self, table: &Table) -> (String, String) {
        let declared = table.retention_days.map_or_else(|| "forever".to_owned(), |days| format!("{days}d"));
        let (mut others, mut origin) = (declared, "declared".to_owned());
        let mut own: Vec<String> = Vec::new();
        let mut numbers: Vec<String> = Vec::new();
        for (at, rule) in self.rules.iter().enumerate().filter(|(_, rule)| rule.fits(table.name)) {
            numbers.push((at + 1).to_string());
            match &rule.tenant {
                Some(tenant) => own.push(format!("{tenant}: {}", rule.words)),
                None => {
                    others.clone_from(&rule.words);
                    break;
                }
            }
        }
        if !numbers.is_empty() {
            let word = if numbers.len() == 1 { "rule" } else { "rules" };
            origin = format!("{word} {}", numbers.join(", "));
        }
        own.insert(0, others);
        (own.join("; "), origin)
    }

    /// How long in words, where a rule says it.
    pub(super) fn said_of(&self, table: &str) -> Option<String> {
        self.of(table).find(|rule| rule.tenant.is_none()).map(|rule| rule.words.clone())
    }
}

impl Rule {
    fn fits(&self, table: &str) -> bool {
        self.tables.iter().any(|pattern| fits(pattern, table))
    }
}

fn rule_of(written: Written) -> std::result::Result<Rule, String> {
    let tables: Vec<String> = match (&written.table, &written.signal) {
        (Some(table), None) => vec![table.clone()],
        (None, Some(signal)) => {
            let known = SIGNALS.iter().find(|(name, _)| name == signal);
            let known = known.ok_or_else(|| {
                let names: Vec<&str> = SIGNALS.iter().map(|(name, _)| *name).collect();
                format!("there is no signal {signal}; there are {}", names.join(", "))
            })?;
            known.1.iter().map(|table| (*table).to_owned()).collect()
        }
        _ => return Err("name a table or a signal, one of the two".to_owned()),
    };
    let keep = keep_of(written.keep.trim())?;
    Ok(Rule { tables, tenant: written.tenant, keep, words: written.keep.trim().to_owned() })
}
