//! `FROM t CROSS JOIN UNNEST(f(t.x)) AS e`: the planner makes it a correlated join that no rule of the stock optimizer
//! resolves. It is an unnesting of the left side, and this rule says so.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, UnnestOptions, config::ConfigOptions};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, Projection, Unnest};
use datafusion::optimizer::AnalyzerRule;

/// Rewrites cross and inner joins with a lateral UNNEST.
#[derive(Debug)]
pub struct LateralUnnest;

impl AnalyzerRule for LateralUnnest {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|node| {
            let LogicalPlan::Join(join) = &node else { return Ok(Transformed::no(node)) };
            if join.join_type != JoinType::Inner || !join.on.is_empty() {
                return Ok(Transformed::no(node));
            }
            let Some(joined) = onto(&join.right, &join.left)? else { return Ok(Transformed::no(node)) };
            let builder = LogicalPlanBuilder::from(joined);
            let builder = match &join.filter {
                Some(filter) => builder.filter(inner(filter.clone())?)?,
                None => builder,
            };
            Ok(Transformed::yes(builder.build()?))
        })?;
        Ok(rewritten.data)
    }

    fn name(&self) -> &str {
        "lateral_unnest"
    }
}

/// The right side of the join computed over the rows of the left one: the left columns, then the right ones. `None` if
/// the right side is no chain over an UNNEST of outer columns.
fn onto(right: &LogicalPlan, left: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let mut unnests = false;
    let plan = chain(right, left, &mut unnests)?;
    Ok(plan.filter(|_| unnests))
}

fn chain(right: &LogicalPlan, left: &LogicalPlan, unnests: &mut bool) -> Result<Option<LogicalPlan>> {
    Ok(match right {
        LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => Some(left.clone()),
        LogicalPlan::Subquery(subquery) => chain(&subquery.subquery, left, unnests)?,
        LogicalPlan::Projection(Projection { expr, input, .. }) => match chain(input, left, unnests)? {
            Some(input) => {
                let own = expr.iter().cloned().map(inner).collect::<Result<Vec<_>>>()?;
                Some(LogicalPlanBuilder::from(input).project(columns(left).chain(own))?.build()?)
            }
            None => None,
        },
        LogicalPlan::Unnest(Unnest { input, exec_columns, options, .. }) => match chain(input, left, unnests)? {
            Some(input) => {
                *unnests = true;
                // An absent list has no elements; it is not one element that is NULL.
                let options = UnnestOptions { preserve_nulls: false, ..options.clone() };
                Some(
                    LogicalPlanBuilder::from(input)
                        .unnest_columns_with_options(exec_columns.clone(), options)?
                        .build()?,
                )
            }
            None => None,
        },
        LogicalPlan::Filter(filter) => match chain(&filter.input, left, unnests)? {
            Some(input) => Some(LogicalPlanBuilder::from(input).filter(inner(filter.predicate.clone())?)?.build()?),
            None => None,
        },
        LogicalPlan::SubqueryAlias(alias) => match chain(&alias.input, left, unnests)? {
            Some(input) => {
                let renamed = alias.input.schema().iter().zip(alias.schema.fields()).map(|(from, field)| {
                    Expr::Column(Column::from(from)).alias_qualified(Some(alias.alias.clone()), field.name())
                });
                Some(LogicalPlanBuilder::from(input).project(columns(left).chain(renamed))?.build()?)
            }
            None => None,
        },
        _ => None,
    })
}

fn columns(plan: &LogicalPlan) -> impl Iterator<Item = Expr> {
    let columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    columns.into_iter()
}

/// References to the outer row become references to the row itself.
fn inner(expr: Expr) -> Result<Expr> {
    let resolved = expr.transform(|node| match node {
        Expr::OuterReferenceColumn(_, column) => Ok(Transformed::yes(Expr::Column(column))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(resolved.data)
}

/// The rule, for a session.
pub fn rule() -> Arc<LateralUnnest> {
    Arc::new(LateralUnnest)
}
