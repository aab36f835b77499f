//! Functions of other databases as expressions that the planner knows: a template per name, units of time as texts, and
//! the clauses of ordered text aggregates in one place.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Ident, ObjectName, Value,
    VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::parser::Parser;

use crate::sql::dialect::StellwerkDialect;

/// Name, number of arguments, and what it stands for.
const TEMPLATES: &[(&str, usize, &str)] = &[
    ("if", 2, "CASE WHEN $1 THEN $2 END"),
    ("if", 3, "CASE WHEN $1 THEN $2 ELSE $3 END"),
    ("iif", 3, "CASE WHEN $1 THEN $2 ELSE $3 END"),
    ("iff", 3, "CASE WHEN $1 THEN $2 ELSE $3 END"),
    ("safe_divide", 2, "($1) / ($2)"),
    ("div0", 2, "CASE WHEN ($2) = 0 THEN 0 ELSE ($1) / ($2) END"),
    ("div0null", 2, "coalesce(($1) / ($2), 0)"),
    ("zeroifnull", 1, "coalesce($1, 0)"),
    ("nullifzero", 1, "nullif($1, 0)"),
    ("date_add", 2, "($1) + ($2)"),
    ("adddate", 2, "($1) + ($2)"),
    ("timestamp_add", 2, "($1) + ($2)"),
    ("datetime_add", 2, "($1) + ($2)"),
    ("date_sub", 2, "($1) - ($2)"),
    ("subdate", 2, "($1) - ($2)"),
    ("timestamp_sub", 2, "($1) - ($2)"),
    ("datetime_sub", 2, "($1) - ($2)"),
    ("date_add", 3, "dateadd($1, $2, $3)"),
    ("timestamp_diff", 3, "datediff($1, $2, $3)"),
    ("datetime_diff", 3, "datediff($1, $2, $3)"),
    ("add_months", 2, "dateadd('month', $2, $1)"),
    ("getdate", 0, "now()"),
    ("sysdate", 0, "now()"),
    ("countif", 1, "count(CASE WHEN $1 THEN 1 END)"),
    ("count_if", 1, "count(CASE WHEN $1 THEN 1 END)"),
    ("any_value", 1, "first_value($1)"),
    ("arbitrary", 1, "first_value($1)"),
    ("max_by", 2, "first_value($1 ORDER BY $2 DESC NULLS LAST)"),
    ("arg_max", 2, "first_value($1 ORDER BY $2 DESC NULLS LAST)"),
    ("min_by", 2, "first_value($1 ORDER BY $2 ASC NULLS LAST)"),
    ("arg_min", 2, "first_value($1 ORDER BY $2 ASC NULLS LAST)"),
    ("approx_count_distinct", 1, "approx_distinct($1)"),
    ("regexp_contains", 2, "regexp_like($1, $2)"),
    ("startswith", 2, "starts_with($1, $2)"),
    ("endswith", 2, "ends_with($1, $2)"),
    ("len", 1, "length($1)"),
    ("ucase", 1, "upper($1)"),
    ("lcase", 1, "lower($1)"),
];

/// Functions that take a unit of time, which other databases write as a bare word.
const WITH_UNIT: &[&str] = &[
    "dateadd",
    "datesub",
    "date_add",
    "timestampadd",
    "datediff",
    "date_diff",
    "timestampdiff",
    "timestamp_diff",
    "datetime_diff",
    "date_trunc",
    "timestamp_trunc",
    "datetime_trunc",
    "date_part",
    "datepart",
];

const UNITS: &[&str] = &[
    "year",
    "quarter",
    "month",
    "week",
    "isoweek",
    "day",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
    "years",
    "months",
    "weeks",
    "days",
    "hours",
    "minutes",
    "seconds",
    "dow",
    "doy",
];

/// Rewrites one function call, its arguments already rewritten.
pub(crate) fn rewrite(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let name = function.name.to_string().to_lowercase();
    units(function, &name);
    text_aggregate(function, &name);
    let count = arguments(function).map_or(0, |args| args.len());
    let Some((_, _, template)) = TEMPLATES.iter().find(|(known, n, _)| *known == name && *n == count) else { return };
    let args: Option<Vec<Expr>> = arguments(function)
        .map(|args| args.iter().map(|arg| plain(arg).cloned()).collect())
        .unwrap_or(Some(Vec::new()));
    if let Some(args) = args
        && let Some(mut filled) = fill(template, args)
    {
        // An aggregate keeps its FILTER and OVER.
        if let Expr::Function(inner) = &mut filled {
            inner.over = function.over.take();
            inner.filter = function.filter.take();
        }
        *expr = filled;
    }
}

fn arguments(function: &Function) -> Option<&Vec<FunctionArg>> {
    match &function.args {
        FunctionArguments::List(list) => Some(&list.args),
        _ => None,
    }
}

fn plain(arg: &FunctionArg) -> Option<&Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

/// The template with its arguments in place.
fn fill(template: &str, args: Vec<Expr>) -> Option<Expr> {
    struct Fill(Vec<Expr>);
    impl VisitorMut for Fill {
        type Break = ();

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Value(value) = &*expr
                && let Value::Placeholder(name) = &value.value
                && let Ok(number) = name[1..].parse::<usize>()
                && let Some(arg) = self.0.get(number.wrapping_sub(1))
            {
                *expr = arg.clone();
            }
            ControlFlow::Continue(())
        }
    }
    let mut expr = Parser::new(&StellwerkDialect).try_with_sql(template).ok()?.parse_expr().ok()?;
    let _: ControlFlow<()> = expr.visit(&mut Fill(args));
    Some(expr)
}

/// `DATE_TRUNC(t, MONTH)` becomes `date_trunc('month', t)`.
fn units(function: &mut Function, name: &str) {
    if !WITH_UNIT.contains(&name) {
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else { return };
    for arg in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg
            && let Expr::Identifier(ident) = &*expr
            && ident.quote_style.is_none()
            && UNITS.contains(&ident.value.to_lowercase().as_str())
        {
            *expr = Expr::value(Value::SingleQuotedString(ident.value.to_lowercase()));
        }
    }
    let is_text = |arg: &FunctionArg| matches!(plain(arg), Some(Expr::Value(v)) if matches!(&v.value, Value::SingleQuotedString(text) if UNITS.contains(&text.to_lowercase().as_str())));
    if name.ends_with("_trunc") {
        if list.args.len() == 2 && is_text(&list.args[1]) && !is_text(&list.args[0]) {
            list.args.swap(0, 1);
        }
        function.name = ObjectName::from(vec![Ident::new("date_trunc")]);
    }
}

/// `LISTAGG(x, ',') WITHIN GROUP (ORDER BY y)` and `GROUP_CONCAT(x SEPARATOR ',')` become `string_agg(x, ',' ORDER BY y)`.
fn text_aggregate(function: &mut Function, name: &str) {
    let listagg = matches!(name, "listagg" | "group_concat" | "string_agg");
    if !listagg && name != "array_agg" {
        return;
    }
    let order = std::mem::take(&mut function.within_group);
    let FunctionArguments::List(list) = &mut function.args else { return };
    if !order.is_empty() {
        list.clauses.push(FunctionArgumentClause::OrderBy(order));
    }
    if !listagg {
        return;
    }
    let separator = list.clauses.iter().position(|clause| matches!(clause, FunctionArgumentClause::Separator(_)));
    let separator = match separator.map(|at| list.clauses.remove(at)) {
        Some(FunctionArgumentClause::Separator(value)) => value.value,
        _ => Value::SingleQuotedString(if name == "listagg" { "" } else { "," }.to_owned()),
    };
    if list.args.len() == 1 {
        list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::value(separator))));
    }
    function.name = ObjectName::from(vec![Ident::new("string_agg")]);
}
