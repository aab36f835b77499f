//! Names in any case. The planner compares names byte by byte, so every identifier of a statement is put into one
//! spelling first: the declared one, else the one that the statement itself gives an alias, else lower case.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, PipeOperator,
    Query, RenameSelectItem, Select, SelectItem, SelectItemQualifiedWildcardKind, Statement as Sql, TableAlias,
    TableFactor, TableWithJoins, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use crate::sql::names::Names;

/// Puts every identifier into its one spelling; function names become lower case.
pub(crate) fn rewrite(statement: &mut Statement, names: &Names) {
    match statement {
        Statement::Statement(inner) => rewrite_sql(inner, names),
        Statement::Explain(explain) => rewrite(&mut explain.statement, names),
        Statement::CopyTo(_) | Statement::CreateExternalTable(_) | Statement::Reset(_) => {}
    }
}

fn rewrite_sql(statement: &mut Sql, names: &Names) {
    let mut aliases = Aliases::default();
    let _: ControlFlow<()> =
        statement.visit(&mut Walk { depth: 0, each: &mut |ident, site, depth| aliases.see(ident, site, depth) });
    let _: ControlFlow<()> =
        statement.visit(&mut Walk { depth: 0, each: &mut |ident, _, _| aliases.spell(ident, names) });
}

/// What an identifier does where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Site {
    /// It gives a name: a column's or table's alias, a CTE.
    Gives,
    /// It uses one.
    Uses,
}

/// The names that the statement gives itself.
#[derive(Debug, Default)]
struct Aliases {
    quoted: HashSet<String>,
    /// Lower case → spelling and the depth of the query that gives it; the outermost wins, it is what the reader sees.
    by_lower: HashMap<String, (String, usize)>,
}

impl Aliases {
    fn see(&mut self, ident: &mut Ident, site: Site, depth: usize) {
        if site == Site::Uses {
            return;
        }
        if ident.quote_style.is_some() {
            self.quoted.insert(ident.value.clone());
        }
        let entry = self.by_lower.entry(ident.value.to_lowercase()).or_insert_with(|| (ident.value.clone(), depth));
        if depth < entry.1 {
            *entry = (ident.value.clone(), depth);
        }
    }

    fn spell(&self, ident: &mut Ident, names: &Names) {
        let lower = ident.value.to_lowercase();
        let spelling = if let Some(declared) = names.declared(&ident.value) {
            declared.to_owned()
        } else if self.quoted.contains(&ident.value) {
            return;
        } else if let Some((given, _)) = self.by_lower.get(&lower) {
            given.clone()
        } else if ident.quote_style.is_some() {
            return;
        } else {
            lower
        };
        ident.value = spelling;
    }
}

/// Calls `each` for every identifier that names a column, table or alias.
struct Walk<'a> {
    depth: usize,
    each: &'a mut dyn FnMut(&mut Ident, Site, usize),
}

impl Walk<'_> {
    fn ident(&mut self, ident: &mut Ident, site: Site) {
        (self.each)(ident, site, self.depth);
    }

    fn name(&mut self, name: &mut ObjectName) {
        for part in &mut name.0 {
            if let ObjectNamePart::Identifier(ident) = part {
                self.ident(ident, Site::Uses);
            }
        }
    }

    fn alias(&mut self, alias: &mut Option<TableAlias>) {
        if let Some(alias) = alias {
            self.table_alias(alias);
        }
    }

    fn table_alias(&mut self, alias: &mut TableAlias) {
        self.ident(&mut alias.name, Site::Gives);
        for column in &mut alias.columns {
            self.ident(&mut column.name, Site::Gives);
        }
    }

    fn items(&mut self, items: &mut [SelectItem]) {
        for item in items {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => self.ident(alias, Site::Gives),
                SelectItem::ExprWithAliases { aliases, .. } => {
                    for alias in aliases {
                        self.ident(alias, Site::Gives);
                    }
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    if let SelectItemQualifiedWildcardKind::ObjectName(name) = kind {
                        self.name(name);
                    }
                    self.wildcard(options);
                }
                SelectItem::Wildcard(options) => self.wildcard(options),
                SelectItem::UnnamedExpr(_) => {}
            }
        }
    }

    fn wildcard(&mut self, options: &mut WildcardAdditionalOptions) {
        match &mut options.opt_exclude {
            Some(ExcludeSelectItem::Single(name)) => self.name(name),
            Some(ExcludeSelectItem::Multiple(names)) => names.iter_mut().for_each(|name| self.name(name)),
            None => {}
        }
        if let Some(except) = &mut options.opt_except {
            self.ident(&mut except.first_element, Site::Uses);
            except.additional_elements.iter_mut().for_each(|ident| self.ident(ident, Site::Uses));
        }
        if let Some(replace) = &mut options.opt_replace {
            replace.items.iter_mut().for_each(|item| self.ident(&mut item.column_name, Site::Uses));
        }
        let renames = match &mut options.opt_rename {
            Some(RenameSelectItem::Single(one)) => std::slice::from_mut(one),
            Some(RenameSelectItem::Multiple(many)) => many.as_mut_slice(),
            None => &mut [],
        };
        for rename in renames {
            self.ident(&mut rename.ident, Site::Uses);
            self.ident(&mut rename.alias, Site::Gives);
        }
    }

    fn joins(&mut self, tables: &mut [TableWithJoins]) {
        for join in tables.iter_mut().flat_map(|table| &mut table.joins) {
            if let Some(JoinConstraint::Using(columns)) = constraint(join) {
                columns.iter_mut().for_each(|column| self.name(column));
            }
        }
    }
}

fn constraint(join: &mut Join) -> Option<&mut JoinConstraint> {
    match &mut join.join_operator {
        JoinOperator::Join(c)
        | JoinOperator::Inner(c)
        | JoinOperator::Left(c)
        | JoinOperator::LeftOuter(c)
        | JoinOperator::Right(c)
        | JoinOperator::RightOuter(c)
        | JoinOperator::FullOuter(c)
        | JoinOperator::Semi(c)
        | JoinOperator::LeftSemi(c)
        | JoinOperator::RightSemi(c)
        | JoinOperator::Anti(c)
        | JoinOperator::LeftAnti(c)
        | JoinOperator::RightAnti(c) => Some(c),
        _ => None,
    }
}

impl VisitorMut for Walk<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        if let Some(with) = &mut query.with {
            with.cte_tables.iter_mut().for_each(|cte| self.table_alias(&mut cte.alias));
        }
        for operator in &mut query.pipe_operators {
            match operator {
                PipeOperator::Select { exprs } | PipeOperator::Extend { exprs } => self.items(exprs),
                PipeOperator::As { alias } => self.ident(alias, Site::Gives),
                PipeOperator::Aggregate { full_table_exprs, group_by_expr } => {
                    let all = full_table_exprs.iter_mut().chain(group_by_expr);
                    all.filter_map(|e| e.expr.alias.as_mut()).for_each(|alias| self.ident(alias, Site::Gives));
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.items(&mut select.projection);
        self.joins(&mut select.from);
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        self.name(relation);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::NestedJoin { table_with_joins, alias } => {
                self.joins(std::slice::from_mut(table_with_joins));
                self.alias(alias);
            }
            TableFactor::UNNEST { alias, with_offset_alias, .. } => {
                self.alias(alias);
                if let Some(offset) = with_offset_alias {
                    self.ident(offset, Site::Gives);
                }
            }
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::JsonTable { alias, .. }
            | TableFactor::Pivot { alias, .. }
            | TableFactor::Unpivot { alias, .. } => self.alias(alias),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    // The name of a table function was spelled as a relation; it is looked up in lower case.
    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => lower(name),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => self.ident(ident, Site::Uses),
            Expr::CompoundIdentifier(idents) => idents.iter_mut().for_each(|ident| self.ident(ident, Site::Uses)),
            Expr::QualifiedWildcard(name, _) => self.name(name),
            Expr::Function(function) => lower(&mut function.name),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn lower(name: &mut ObjectName) {
    for part in &mut name.0 {
        if let ObjectNamePart::Identifier(ident) = part {
            ident.value = ident.value.to_lowercase();
        }
    }
}
