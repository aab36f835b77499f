//! What is no question: everything that writes, sets, reads files, or would be dropped in silence by the planner.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    GroupByExpr, ObjectName, Query, Select, SetExpr, Statement as Sql, TableFactor, Visit, Visitor,
};

use crate::error::{Error, Kind, Result};

/// What may be asked, for the end of a refusal.
const ALLOWED: &str = "SELECT, WITH, VALUES, EXPLAIN, SHOW TABLES, SHOW COLUMNS and DESCRIBE are what can be asked";

/// Refuses everything but reading statements.
pub(crate) fn check(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Explain(explain) => match explain.statement.as_ref() {
            Statement::Statement(inner) if matches!(inner.as_ref(), Sql::Query(_)) => walk(inner),
            _ => Err(denied("EXPLAIN takes a SELECT")),
        },
        Statement::Statement(inner) => match inner.as_ref() {
            Sql::Query(_) => walk(inner),
            Sql::ExplainTable { .. } | Sql::ShowTables { .. } | Sql::ShowColumns { .. } | Sql::ShowFunctions { .. } => {
                walk(inner)
            }
            other => Err(denied(instead(other))),
        },
        Statement::CopyTo(_) => Err(denied("COPY is off: ask with a SELECT and choose the output format at the door")),
        Statement::CreateExternalTable(_) => {
            Err(denied("external tables are off: `stellwerk ingest` brings files into the store"))
        }
        Statement::Reset(_) => Err(denied("RESET is off: a question has no settings")),
    }
}

fn denied(message: impl Into<String>) -> Error {
    Error::new(Kind::Denied, format!("{}; {ALLOWED}", message.into()))
}

/// What to use instead of a statement that is off.
fn instead(statement: &Sql) -> String {
    match statement {
        Sql::Insert(_) | Sql::Update(_) | Sql::Delete(_) | Sql::Merge(_) | Sql::Truncate(_) => {
            "rows are changed by ingest and by a rule's actions, not by SQL".to_owned()
        }
        Sql::Set(_) | Sql::ShowVariable { .. } | Sql::ShowVariables { .. } => {
            "settings are off: a question has none; limits come with the request".to_owned()
        }
        other => {
            let text = other.to_string();
            let verb: Vec<&str> = text.split_whitespace().take(2).collect();
            format!("{} is off: tables and views are declared in the program", verb.join(" "))
        }
    }
}

fn walk(statement: &Sql) -> Result<()> {
    let mut visitor = Refusals { statements: 0 };
    match statement.visit(&mut visitor) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Refusals {
    statements: usize,
}

type Flow = ControlFlow<Box<Error>>;

fn stop(error: Error) -> Flow {
    ControlFlow::Break(Box::new(error))
}

/// A clause that the planner does not look at would change the answer in silence.
fn ignored(clause: &str, instead: &str) -> Flow {
    stop(Error::invalid(format!("{clause} is not supported{}{instead}", if instead.is_empty() { "" } else { ": " })))
}

impl Visitor for Refusals {
    type Break = Box<Error>;

    // An INSERT inside WITH is a statement inside a statement.
    fn pre_visit_statement(&mut self, statement: &Sql) -> Flow {
        self.statements += 1;
        if self.statements > 1 {
            return stop(denied(instead(statement)));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        if matches!(
            query.body.as_ref(),
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_)
        ) {
            return stop(denied("rows are changed by ingest and by a rule's actions, not by SQL"));
        }
        if !query.locks.is_empty() {
            return ignored("FOR UPDATE", "a question takes no locks");
        }
        if query.for_clause.is_some() || query.format_clause.is_some() {
            return ignored("FOR JSON, FOR XML or FORMAT", "choose the output format at the door");
        }
        if query.settings.is_some() {
            return ignored("SETTINGS", "limits come with the request");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        if select.into.is_some() {
            return stop(denied("SELECT INTO is off: a question changes nothing"));
        }
        if select.prewhere.is_some() || !select.connect_by.is_empty() || !select.distribute_by.is_empty() {
            return ignored("PREWHERE, CONNECT BY or DISTRIBUTE BY", "use WHERE and WITH RECURSIVE");
        }
        if select.value_table_mode.is_some() {
            return ignored("SELECT AS STRUCT or AS VALUE", "name the columns");
        }
        if select.exclude.is_some() {
            return ignored("EXCLUDE behind the select list", "write SELECT * EXCLUDE (…)");
        }
        if let GroupByExpr::Expressions(_, modifiers) | GroupByExpr::All(modifiers) = &select.group_by
            && !modifiers.is_empty()
        {
            return ignored("GROUP BY … WITH ROLLUP, CUBE or TOTALS", "write GROUP BY ROLLUP (…) or CUBE (…)");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Flow {
        match factor {
            TableFactor::Table {
                name,
                args,
                version,
                with_ordinality,
                with_hints,
                sample,
                partitions,
                json_path,
                ..
            } => {
                if version.is_some() {
                    return ignored("a version clause", &format!("write as_of('{name}', <seq or timestamp>) in FROM"));
                }
                if sample.is_some() {
                    return ignored("TABLESAMPLE", "filter with a hash of a column");
                }
                if *with_ordinality || !with_hints.is_empty() || !partitions.is_empty() || json_path.is_some() {
                    return ignored("WITH ORDINALITY, a hint, PARTITION or a path behind a table", "");
                }
                match args {
                    Some(_) => check_table_function(name),
                    None => check_table_name(name),
                }
            }
            TableFactor::Derived { sample: Some(_), .. } => ignored("TABLESAMPLE", "filter with a hash of a column"),
            TableFactor::Function { name, .. } => check_table_function(name),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// A quoted path or URL is not a table.
fn check_table_name(name: &ObjectName) -> Flow {
    let text = name.to_string();
    if text.contains("://") || text.contains('/') || text.starts_with('\'') {
        return stop(denied(format!("{text} is a file, not a table: `stellwerk ingest` brings files into the store")));
    }
    ControlFlow::Continue(())
}

/// Functions of other programs that read files; none is registered, so this is only about a better message.
fn check_table_function(name: &ObjectName) -> Flow {
    let text = name.to_string().to_lowercase();
    if text.starts_with("read_") || text.starts_with("parquet_") || text.ends_with("_scan") || text == "glob" {
        return stop(denied(format!("{text}() reads files: `stellwerk ingest` brings files into the store")));
    }
    ControlFlow::Continue(())
}
