//! Does a file hold to FOCUS? Rules as SQL, run by DataFusion over the file's rows, with a count and places for each.
//!
//! Rules over one row are conditions, evaluated on each batch as it comes; rules over several rows are queries over the
//! few columns that they name, kept until the file is read. So a file is read once, whatever its size.

mod charges;
mod columns;
mod functions;
mod groups;
mod report;
mod rule;
mod stored;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use engine::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use engine::arrow::compute::{cast, filter_record_batch, is_not_null};
use engine::arrow::datatypes::{DataType, Int64Type, SchemaRef};
use engine::datafusion::common::DFSchema;
use engine::datafusion::datasource::MemTable;
use engine::datafusion::physical_expr::PhysicalExpr;
use engine::datafusion::prelude::SessionContext;
use engine::{Error, Kind, Result, Table};

pub use report::{EXAMPLES_MAX, Finding, Report, State};
pub use rule::{Rule, Severity, Test};
pub use stored::{STORED_RULES, StoredRule};

use crate::focus::{Dataset, Version};

pub(crate) use columns::quoted;

/// Id of the rule that rows have as many cells as the header, and are UTF-8.
const ROWS: &str = "rows-readable";
/// Id of the rule that columns of no version begin with `x_`.
const CUSTOM: &str = "custom-columns-prefix";
/// Id of the rule that columns are written as FOCUS writes them.
const SPELLING: &str = "column-names-spelling";
/// Id of the rule that a file has no columns of another version.
const OTHER_VERSION: &str = "columns-of-version";

/// Every rule of a dataset in a version.
pub fn rules(dataset: Dataset, version: Version) -> Vec<Rule> {
    let mut rules = vec![
        Rule::file(ROWS, "Every row MUST be readable: UTF-8, with as many cells as the header."),
        Rule::file(CUSTOM, "Custom columns MUST begin with `x_`."),
        Rule::file(SPELLING, "Columns MUST be spelled as the specification does."),
        Rule::file(OTHER_VERSION, "Columns of another version MUST NOT be present.").warning(),
    ];
    rules.extend(columns::rules(dataset, version));
    if dataset == Dataset::CostAndUsage {
        rules.extend(charges::rules(version));
    }
    rules.extend(groups::rules(dataset, version));
    rules
}

/// How often a rule was broken, and where first.
#[derive(Debug, Default, Clone)]
struct Broken {
    count: u64,
    examples: Vec<String>,
}

impl Broken {
    fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example());
        }
    }
}

/// A check under way.
pub struct Check {
    dataset: Dataset,
    version: Version,
    rules: Vec<Rule>,
    present: HashSet<&'static str>,
    session: SessionContext,
    conditions: Vec<(usize, Arc<dyn PhysicalExpr>)>,
    kept_columns: Vec<usize>,
    kept: Vec<RecordBatch>,
    broken: BTreeMap<String, Broken>,
    rows: u64,
}

impl Check {
    /// A check of a file with these columns, as its header spells them, against `version`. Its rows are of `table`.
    pub fn new(dataset: Dataset, version: Version, table: &Table, header: &[String]) -> Result<Check> {
        let lower: HashSet<String> = header.iter().map(|n| n.to_lowercase()).collect();
        let all = dataset.columns().iter().map(|c| c.name);
        let present: HashSet<&'static str> = all.filter(|n| lower.contains(&n.to_lowercase())).collect();
        let session = SessionContext::new();
        functions::all().into_iter().for_each(|function| session.register_udf(function));
        let mut check = Check {
            dataset,
            version,
            rules: rules(dataset, version),
            present,
            session,
            conditions: Vec::new(),
            kept_columns: Vec::new(),
            kept: Vec::new(),
            broken: BTreeMap::new(),
            rows: 0,
        };
        check.look_at(header);
        check.plan(&table.batch_schema())?;
        Ok(check)
    }

    /// Looks at rows that could be read.
    pub fn rows(&mut self, batch: &RecordBatch) -> Result<()> {
        let numbers = batch.column_by_name("x_source_row").ok_or_else(|| failed("the rows have no x_source_row"))?;
        // The marks between the sets are no rows of the file.
        let plain = is_not_null(numbers).map_err(failed)?;
        let batch = filter_record_batch(batch, &plain).map_err(failed)?;
        self.rows += batch.num_rows() as u64;
        let numbers = batch.column_by_name("x_source_row").ok_or_else(|| failed("the rows have no x_source_row"))?;
        let numbers = numbers.as_primitive::<Int64Type>().clone();
        for (rule, condition) in &self.conditions {
            let answer = condition.evaluate(&batch).and_then(|v| v.into_array(batch.num_rows())).map_err(failed)?;
            let breaks = answer.as_boolean();
            if breaks.true_count() > 0 {
                let broken = self.broken.entry(self.rules[*rule].id.clone()).or_default();
                places(breaks, |at| broken.add(|| format!("row {}", numbers.value(at))));
            }
        }
        self.kept.push(batch.project(&self.kept_columns).map_err(failed)?);
        Ok(())
    }

    /// Notes a row that could not be read, for this reason, at this place.
    pub fn unreadable(&mut self, place: &str, reason: &str) {
        self.rows += 1;
        let column = reason.split_once(": `").map(|(column, _)| columns::type_id(column));
        let id = column.filter(|id| self.rules.iter().any(|r| r.id == *id)).unwrap_or_else(|| ROWS.to_owned());
        self.broken.entry(id).or_default().add(|| format!("{place}: {reason}"));
    }

    /// Runs what needs all rows, and reports.
    pub async fn finish(mut self, file: &str) -> Result<Report> {
        self.run_queries().await?;
        let findings = self.rules.iter().map(|rule| self.finding(rule)).collect();
        Ok(Report {
            file: file.to_owned(),
            dataset: self.dataset.id().to_owned(),
            version: self.version.as_str().to_owned(),
            rows: self.rows,
            rules: findings,
        })
    }

    /// What the header alone shows.
    fn look_at(&mut self, header: &[String]) {
        let focus = self.dataset.columns();
        let mut found: Vec<(&str, String)> = Vec::new();
        for name in header {
            let known = focus.iter().find(|c| c.name.eq_ignore_ascii_case(name));
            match known {
                Some(column) if column.name != name => {
                    found.push((SPELLING, format!("{name}: FOCUS writes {}", column.name)))
                }
                Some(column) if !column.is_in(self.version) => found.push((OTHER_VERSION, name.clone())),
                None if !name.starts_with("x_") => found.push((CUSTOM, name.clone())),
                _ => {}
            }
        }
        found.into_iter().for_each(|(id, example)| self.broken.entry(id.to_owned()).or_default().add(|| example));
        for column in focus.iter().filter(|c| c.is_in(self.version) && !self.present.contains(c.name)) {
            let id = columns::present_id(self.dataset, column.name);
            if self.rules.iter().any(|r| r.id == id) {
                self.broken.entry(id).or_default().add(|| format!("no column {}", column.name));
            }
        }
    }

    fn plan(&mut self, schema: &SchemaRef) -> Result<()> {
        let typed = DFSchema::try_from(schema.as_ref().clone()).map_err(failed)?;
        let mut kept: HashSet<&str> = HashSet::from(["x_source_row"]);
        let mut conditions = Vec::new();
        for (at, rule) in self.rules.iter().enumerate().filter(|(_, rule)| self.is_applicable(rule)) {
            match &rule.test {
                Test::Row(violates) => {
                    let name = |e| Error::new(Kind::Internal, format!("rule {}: {e}", rule.id));
                    let logical = self.session.parse_sql_expr(violates, &typed).map_err(name)?;
                    let name = |e| Error::new(Kind::Internal, format!("rule {}: {e}", rule.id));
                    let physical = self.session.create_physical_expr(logical, &typed).map_err(name)?;
                    conditions.push((at, physical));
                }
                Test::Rows(_) => kept.extend(rule.columns.iter().copied()),
                Test::File | Test::Unseen(_) => {}
            }
        }
        self.conditions = conditions;
        self.kept_columns =
            (0..schema.fields().len()).filter(|at| kept.contains(schema.field(*at).name().as_str())).collect();
        Ok(())
    }

    async fn run_queries(&mut self) -> Result<()> {
        let Some(first) = self.kept.first() else { return Ok(()) };
        let table = MemTable::try_new(first.schema(), vec![std::mem::take(&mut self.kept)]).map_err(failed)?;
        self.session.register_table("t", Arc::new(table)).map_err(failed)?;
        let applicable = self.rules.iter().filter(|rule| self.is_applicable(rule));
        let queries: Vec<(String, String)> = applicable
            .filter_map(|rule| match &rule.test {
                Test::Rows(query) => Some((rule.id.clone(), query.clone())),
                _ => None,
            })
            .collect();
        for (id, query) in queries {
            let name = |e| Error::new(Kind::Internal, format!("rule {id}: {e}"));
            let answer = self.session.sql(&query).await.map_err(name)?;
            let name = |e| Error::new(Kind::Internal, format!("rule {id}: {e}"));
            let broken = self.broken.entry(id.clone()).or_default();
            for batch in answer.collect().await.map_err(name)? {
                let what = cast(batch.column(0), &DataType::Utf8).map_err(failed)?;
                what.as_string::<i32>().iter().for_each(|text| broken.add(|| text.unwrap_or_default().to_owned()));
            }
        }
        Ok(())
    }

    fn is_applicable(&self, rule: &Rule) -> bool {
        rule.columns.iter().all(|column| self.present.contains(column))
    }

    fn finding(&self, rule: &Rule) -> Finding {
        let broken = self.broken.get(&rule.id).cloned().unwrap_or_default();
        let missing: Vec<&str> = rule.columns.iter().filter(|c| !self.present.contains(**c)).copied().collect();
        let typed = rule.id.strip_suffix("-type").filter(|column| !self.present.contains(column));
        let reason = match (&rule.test, missing.as_slice(), typed) {
            (Test::Unseen(reason), _, _) => Some((*reason).to_owned()),
            (_, _, Some(column)) => Some(format!("no column {column}")),
            (_, [], _) => None,
            (_, missing, _) => Some(format!("no column {}", missing.join(", "))),
        };
        let state = match (&reason, broken.count) {
            (Some(_), _) => State::Skipped,
            (None, 0) => State::Passed,
            (None, _) => State::Failed,
        };
        Finding {
            id: rule.id.clone(),
            title: rule.title.clone(),
            severity: rule.severity,
            state,
            count: broken.count,
            examples: broken.examples,
            sql: if state == State::Failed { rule.sql() } else { None },
            reason,
        }
    }
}

/// Calls `each` with every position that is true.
fn places(values: &BooleanArray, mut each: impl FnMut(usize)) {
    (0..values.len()).filter(|at| values.is_valid(*at) && values.value(*at)).for_each(&mut each);
}

fn failed(cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("check rules: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BILLING_PERIOD_TABLE, CONTRACT_COMMITMENT_TABLE, COST_LINE, INVOICE_DETAIL_TABLE};

    #[test]
    fn every_rule_of_every_version_is_valid_sql_with_an_id_of_its_own() {
        for (dataset, table) in [
            (Dataset::CostAndUsage, &COST_LINE),
            (Dataset::ContractCommitment, &CONTRACT_COMMITMENT_TABLE),
            (Dataset::InvoiceDetail, &INVOICE_DETAIL_TABLE),
            (Dataset::BillingPeriod, &BILLING_PERIOD_TABLE),
        ] {
            for version in Version::ALL {
                let header: Vec<String> = dataset.columns().iter().map(|c| c.name.to_owned()).collect();
                let check = Check::new(dataset, version, table, &header).expect("conditions are valid SQL");
                let ids: HashSet<&str> = check.rules.iter().map(|r| r.id.as_str()).collect();
                assert_eq!(ids.len(), check.rules.len(), "{dataset:?} {version:?}");
            }
        }
        assert!(rules(Dataset::CostAndUsage, Version::V1_2).len() > 150);
    }
}
