//! A rule held against the tables: what would fail in production fails here, before anything acts.

use engine::arrow::datatypes::SchemaRef;
use engine::datafusion::sql::sqlparser::ast::{SelectItem, SetExpr, Statement};
use engine::datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use engine::datafusion::sql::sqlparser::parser::Parser;
use engine::{Scope, Store};

use crate::evaluate::{columns, place_of};
use crate::rule::{Fault, NOW, Rule};
use crate::{actions, rule};

/// Everything that is wrong with a rule over these tables.
pub async fn check(store: &Store, scope: &Scope, rule: &Rule) -> Vec<Fault> {
    let mut faults = rule::volatile(&rule.sql, rule.sql_line);
    let schema = match columns(store, scope, rule).await {
        Ok(schema) => schema,
        Err(error) => {
            faults.push(Fault::at(rule.sql_line, error.to_string()));
            return faults;
        }
    };
    faults.extend(check_columns(rule, &schema));
    faults.extend(not_there_yet(rule));
    faults.extend(moving_keys(rule));
    faults.extend(stale_decisions(rule));
    for table in &rule.header.timing.on {
        let known = store.catalogue().tables.iter().any(|declared| declared.name == table);
        if !known {
            faults.push(Fault::at(rule.header.line("on"), format!("`on` names {table}, which is no table of facts")));
        }
    }
    for fresh in &rule.header.fresh {
        if !store.catalogue().tables.iter().any(|declared| declared.name == fresh.table) {
            let what = format!("`fresh` names {}, which is no table of facts", fresh.table);
            faults.push(Fault::at(rule.header.line("fresh"), what));
        }
    }
    faults
}

fn check_columns(rule: &Rule, schema: &SchemaRef) -> Vec<Fault> {
    let mut faults = Vec::new();
    let grouped = rule.header.group.as_ref().map_or(&[][..], |group| &group.by);
    for (field, names) in [("key", &rule.header.key[..]), ("watch", &rule.header.watch[..]), ("group", grouped)] {
        let missing = names.iter().filter_map(|name| place_of(schema, name).err());
        faults.extend(missing.map(|error| Fault::at(rule.header.line(field), format!("`{field}`: {error}"))));
    }
    let mut names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
    names.sort();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        faults.push(Fault::at(rule.sql_line, format!("two columns are called {}: give one another name", twice[0])));
    }
    let is_number = |name: &str| {
        let place = schema.fields().iter().position(|field| field.name() == name)?;
        Some(schema.field(place).data_type().is_integer())
    };
    for (transition, call) in rule.header.calls() {
        let line = rule.header.line(transition.name());
        faults.extend(actions::check(call, &is_number).into_iter().map(|what| Fault::at(line, what)));
    }
    faults
}

/// What a rule may say and this program cannot do yet: it would act without what was asked for.
fn not_there_yet(rule: &Rule) -> Vec<Fault> {
    use crate::rule::Overlap;
    let mut faults = Vec::new();
    if matches!(rule.header.overlap, Overlap::Allow | Overlap::Replace) {
        faults.push(Fault::at(rule.header.line("overlap"), "runs of a rule never overlap here: write skip or queue"));
    }
    faults
}

/// A decision that nobody takes rows out of would hold for ever.
fn stale_decisions(rule: &Rule) -> Vec<Fault> {
    let mut faults = Vec::new();
    for call in rule.header.new.iter().filter(|call| call.action == actions::MATERIALIZE.name) {
        for (field, calls) in [("changed", &rule.header.changed), ("resolved", &rule.header.resolved)] {
            let needed = field == "resolved" || !rule.header.watch.is_empty();
            if needed && !calls.iter().any(|other| other.action == call.action && other.arguments == call.arguments) {
                let what = format!(
                    "`{}` stands under `new` only: write it under `{field}`, too, or the decision is not what holds",
                    call.text
                );
                faults.push(Fault::at(rule.header.line("new"), what));
            }
        }
    }
    faults
}

/// A key that moves with the clock would make every row new at every tick.
fn moving_keys(rule: &Rule) -> Vec<Fault> {
    let Ok(statements) = Parser::parse_sql(&PostgreSqlDialect {}, &rule.sql) else { return Vec::new() };
    let Some(Statement::Query(query)) = statements.first() else { return Vec::new() };
    let SetExpr::Select(select) = query.body.as_ref() else { return Vec::new() };
    let mut faults = Vec::new();
    for item in &select.projection {
        if let SelectItem::ExprWithAlias { expr, alias } = item
            && expr.to_string().to_ascii_lowercase().contains(NOW)
            && rule.header.key.iter().any(|key| key.eq_ignore_ascii_case(&alias.value))
        {
            let what = format!(
                "`key` holds {}, which moves with {NOW}: every row would be another one at every tick",
                alias.value
            );
            faults.push(Fault::at(rule.header.line("key"), what));
        }
    }
    faults
}
