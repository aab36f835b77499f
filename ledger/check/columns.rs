//! Rules that follow from the column lists of the specification: what must be there, be filled, and be of a closed list.

use engine::Type;

use super::rule::Rule;
use crate::focus::values::{CURRENCIES, SERVICE_SUBCATEGORIES};
use crate::focus::{Dataset, FocusColumn, Format, Level, Version};
use crate::rewrite::literal;

/// Every rule that the columns of a dataset bring.
pub fn rules(dataset: Dataset, version: Version) -> Vec<Rule> {
    let columns = dataset.columns().iter().filter(|c| c.is_in(version));
    let mut rules: Vec<Rule> = columns.flat_map(|c| of_column(dataset, c, version)).collect();
    if dataset == Dataset::CostAndUsage && version >= Version::V1_1 {
        rules.push(subcategory_values());
        rules.push(subcategory_parent());
    }
    rules
}

/// Id of the rule that a mandatory column is there.
pub fn present_id(dataset: Dataset, column: &str) -> String {
    format!("{}-{column}-present", dataset.id())
}

/// Id of the rule that every cell of a column can be read.
pub fn type_id(column: &str) -> String {
    format!("{column}-type")
}

fn of_column(dataset: Dataset, column: &FocusColumn, version: Version) -> Vec<Rule> {
    let FocusColumn { name, .. } = *column;
    let only: &[&'static str] = std::slice::from_ref(&column.name);
    let mut rules = Vec::new();
    match column.level {
        Level::Mandatory => {
            rules.push(Rule::file(
                present_id(dataset, name),
                format!("{name} MUST be present in FOCUS {}.", version.as_str()),
            ));
        }
        Level::Recommended => {
            let title = format!("{name} is RECOMMENDED to be present.");
            rules.push(Rule::file(present_id(dataset, name), title).warning());
        }
        // Whether a provider supports what the column describes is not in the file.
        Level::Conditional => {}
    }
    match column.kind {
        Type::Decimal => rules.push(Rule::file(type_id(name), format!("{name} MUST be a decimal number."))),
        Type::Time => rules.push(Rule::file(type_id(name), format!("{name} MUST be a date and time (ISO 8601)."))),
        _ => {}
    }
    if !column.nulls {
        rules.push(Rule::row(
            format!("{name}-not-null"),
            format!("{name} MUST NOT be null."),
            only,
            format!("\"{name}\" IS NULL"),
        ));
    }
    if !column.allowed.is_empty() {
        let title = format!("{name} MUST be one of: {}.", column.allowed.join(", "));
        rules.push(Rule::row(format!("{name}-allowed"), title, only, not_in(name, column.allowed)));
    }
    match column.format {
        Format::Any | Format::Unit => {}
        Format::NonNegative => {
            let title = format!("{name} MUST NOT be negative.");
            rules.push(Rule::row(format!("{name}-not-negative"), title, only, format!("\"{name}\" < 0")));
        }
        // A pricing currency may be virtual (tokens, credits), which no closed list names.
        Format::Currency if name == "PricingCurrency" => {}
        Format::Currency => {
            let title = format!("{name} MUST be an ISO 4217 code.");
            rules.push(Rule::row(format!("{name}-currency"), title, only, not_in(name, CURRENCIES)));
        }
        Format::KeyValue => {
            let title = format!("{name} MUST be a JSON object of keys with scalar values.");
            rules.push(Rule::row(format!("{name}-key-value"), title, only, format!("NOT focus_key_value(\"{name}\")")));
        }
        Format::JsonObject => {
            let title = format!("{name} MUST be a JSON object.");
            rules.push(Rule::row(format!("{name}-json"), title, only, format!("NOT focus_json_object(\"{name}\")")));
        }
    }
    rules
}

/// Texts as a list of SQL.
pub(crate) fn quoted<T: AsRef<str>>(values: &[T]) -> String {
    values.iter().map(|v| literal(v.as_ref())).collect::<Vec<_>>().join(", ")
}

fn not_in(column: &str, values: &[&str]) -> String {
    format!("\"{column}\" NOT IN ({})", quoted(values))
}

fn subcategory_values() -> Rule {
    let all: Vec<&str> = SERVICE_SUBCATEGORIES.iter().flat_map(|(_, subs)| subs.iter().copied()).collect();
    let title = "ServiceSubcategory MUST be one of the allowed values.";
    Rule::row("ServiceSubcategory-C-003-M", title, &["ServiceSubcategory"], not_in("ServiceSubcategory", &all))
}

fn subcategory_parent() -> Rule {
    let wrong: Vec<String> = SERVICE_SUBCATEGORIES
        .iter()
        .map(|(parent, subs)| {
            format!("(\"ServiceSubcategory\" IN ({}) AND \"ServiceCategory\" <> '{parent}')", quoted(subs))
        })
        .collect();
    let title = "ServiceSubcategory MUST have the ServiceCategory that the specification gives it.";
    Rule::row("ServiceSubcategory-C-004-M", title, &["ServiceSubcategory", "ServiceCategory"], wrong.join(" OR "))
}
