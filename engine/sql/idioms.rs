//! Idioms of other databases that FOCUS's published queries use, put into words that the planner knows. Each keeps the
//! meaning that its own database gives it.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, GroupByExpr, JsonTableColumn, LimitClause, Query, Select, SelectItem, SetExpr,
    Subscript, TableAliasColumnDef, TableFactor, TopQuantity, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::sql::dialect::StellwerkDialect;
use crate::sql::function_idioms;

/// Changes to the words before they are parsed: an alias in GROUP BY (`GROUP BY DATE(t) AS day`) says nothing and goes.
pub(crate) fn tokens(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    // The parenthesis depths at which a GROUP BY list is open.
    let mut lists: Vec<usize> = Vec::new();
    let mut depth = 0;
    let mut previous = Keyword::NoKeyword;
    let mut drop_next_word = false;
    for token in tokens {
        let keyword = match &token.token {
            Token::Word(word) if word.quote_style.is_none() => word.keyword,
            _ => Keyword::NoKeyword,
        };
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => {
                lists.retain(|list| *list < depth);
                depth = depth.saturating_sub(1);
            }
            Token::Whitespace(_) => {
                kept.push(token);
                continue;
            }
            Token::Word(_) if drop_next_word => {
                drop_next_word = false;
                continue;
            }
            _ => {}
        }
        if previous == Keyword::GROUP && keyword == Keyword::BY {
            lists.push(depth);
        } else if lists.last() == Some(&depth) && ends_group_by(keyword, &token.token) {
            lists.pop();
        } else if lists.last() == Some(&depth) && keyword == Keyword::AS {
            drop_next_word = true;
            continue;
        }
        previous = keyword;
        kept.push(token);
    }
    kept
}

fn ends_group_by(keyword: Keyword, token: &Token) -> bool {
    matches!(
        keyword,
        Keyword::HAVING
            | Keyword::ORDER
            | Keyword::LIMIT
            | Keyword::OFFSET
            | Keyword::FETCH
            | Keyword::QUALIFY
            | Keyword::WINDOW
            | Keyword::UNION
            | Keyword::EXCEPT
            | Keyword::INTERSECT
    ) || *token == Token::SemiColon
}

/// Changes to the parsed statement, before its names are spelled.
pub(crate) fn rewrite(statement: &mut Statement) {
    match statement {
        Statement::Statement(inner) => {
            let _: ControlFlow<()> = inner.visit(&mut Idioms);
        }
        Statement::Explain(explain) => rewrite(&mut explain.statement),
        Statement::CopyTo(_) | Statement::CreateExternalTable(_) | Statement::Reset(_) => {}
    }
}

struct Idioms;

impl VisitorMut for Idioms {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        limit(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        group_by_pinned(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            // The alias of an unnested list names its elements: `UNNEST(…) AS e` can be asked for `e`.
            TableFactor::UNNEST { alias: Some(alias), array_exprs, .. }
                if alias.columns.is_empty() && array_exprs.len() == 1 =>
            {
                alias.columns = vec![TableAliasColumnDef { name: alias.name.clone(), data_type: None }];
            }
            TableFactor::JsonTable { .. } => {
                if let Some(lateral) = json_table(factor) {
                    *factor = lateral;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundFieldAccess { access_chain, .. } = expr {
            access_chain.iter_mut().for_each(key_in_brackets);
        }
        function_idioms::rewrite(expr);
        ControlFlow::Continue(())
    }
}

/// `Tags["team"]` names a key, not a column.
fn key_in_brackets(access: &mut AccessExpr) {
    if let AccessExpr::Subscript(Subscript::Index { index }) = access
        && let Expr::Identifier(key) = &*index
        && key.quote_style.is_some()
    {
        *index = Expr::value(Value::SingleQuotedString(key.value.clone()));
    }
}

/// `TOP n` and `FETCH FIRST n ROWS ONLY` are LIMIT n.
fn limit(query: &mut Query) {
    let fetched = match &query.fetch {
        Some(fetch) if !fetch.with_ties && !fetch.percent => Some(fetch.quantity.clone().unwrap_or_else(|| number(1))),
        _ => None,
    };
    if let Some(rows) = fetched {
        match &mut query.limit_clause {
            None => query.limit_clause = Some(rows_only(rows)),
            Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = Some(rows),
            Some(_) => return,
        }
        query.fetch = None;
    }
    if let SetExpr::Select(select) = query.body.as_mut()
        && query.limit_clause.is_none()
        && let Some(top) = &select.top
        && !top.with_ties
        && !top.percent
    {
        let rows = match &top.quantity {
            Some(TopQuantity::Expr(expr)) => expr.clone(),
            Some(TopQuantity::Constant(rows)) => number(*rows),
            None => return,
        };
        query.limit_clause = Some(rows_only(rows));
        select.top = None;
    }
}

fn number(value: u64) -> Expr {
    Expr::value(Value::Number(value.to_string(), false))
}

fn rows_only(rows: Expr) -> LimitClause {
    LimitClause::LimitOffset { limit: Some(rows), offset: None, limit_by: Vec::new() }
}

/// A selected column that WHERE pins to one value may be missing in GROUP BY, as in MySQL: it is the same in every row,
/// so grouping by it changes no group.
fn group_by_pinned(select: &mut Select) {
    let GroupByExpr::Expressions(groups, _) = &mut select.group_by else { return };
    if groups.is_empty() {
        return;
    }
    let mut pinned = Vec::new();
    if let Some(selection) = &select.selection {
        collect_pinned(selection, &mut pinned);
    }
    for item in &select.projection {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
        let grouped = groups.iter().any(|group| same_column(group, expr));
        if !grouped && pinned.iter().any(|column| same_column(column, expr)) {
            groups.push(expr.clone());
        }
    }
}

fn collect_pinned(condition: &Expr, pinned: &mut Vec<Expr>) {
    match condition {
        Expr::Nested(inner) => collect_pinned(inner, pinned),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            collect_pinned(left, pinned);
            collect_pinned(right, pinned);
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => match (left.as_ref(), right.as_ref()) {
            (column @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_)), Expr::Value(_))
            | (Expr::Value(_), column @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_))) => {
                pinned.push(column.clone());
            }
            _ => {}
        },
        _ => {}
    }
}

fn same_column(left: &Expr, right: &Expr) -> bool {
    match (left, right) {
        (Expr::Identifier(l), Expr::Identifier(r)) => l.value.eq_ignore_ascii_case(&r.value),
        (Expr::CompoundIdentifier(l), Expr::CompoundIdentifier(r)) => {
            l.len() == r.len() && l.iter().zip(r).all(|(l, r)| l.value.eq_ignore_ascii_case(&r.value))
        }
        _ => false,
    }
}

/// `JSON_TABLE(doc, path COLUMNS (…))` as a lateral subquery over the elements of the path.
fn json_table(factor: &TableFactor) -> Option<TableFactor> {
    let TableFactor::JsonTable { json_expr, json_path, columns, alias } = factor else { return None };
    let mut items = Vec::new();
    for column in columns {
        let JsonTableColumn::Named(column) = column else { return None };
        let item = match column.exists {
            true => format!("json_exists(json_row, {}) AS {}", column.path, column.name),
            false => {
                format!("CAST(json_extract_string(json_row, {}) AS {}) AS {}", column.path, column.r#type, column.name)
            }
        };
        items.push(item);
    }
    let sql = format!(
        "SELECT {} FROM UNNEST(json_extract_array({json_expr}, {json_path})) AS json_rows(json_row)",
        items.join(", ")
    );
    let subquery = Parser::new(&StellwerkDialect).try_with_sql(&sql).ok()?.parse_query().ok()?;
    Some(TableFactor::Derived { lateral: true, subquery, alias: alias.clone(), sample: None })
}
