//! `GROUP BY` over several names: DataFusion groups by one dictionary column, or by several plain ones, in vectors; for
//! several columns with a dictionary among them it turns every row into bytes first. This rule groups by the texts
//! themselves and makes dictionaries of the few groups that come out.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::GroupingSet;
use datafusion::logical_expr::{Aggregate, Cast, Expr, ExprSchemable, LogicalPlan, Projection};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Groups by texts where a dictionary stands among several columns.
#[derive(Debug)]
pub struct GroupByText;

/// The rule.
pub fn rule() -> Arc<dyn OptimizerRule + Send + Sync> {
    Arc::new(GroupByText)
}

impl OptimizerRule for GroupByText {
    fn name(&self) -> &str {
        "group_by_text"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        let groups = &aggregate.group_expr;
        if groups.len() < 2 || matches!(groups[0], Expr::GroupingSet(GroupingSet::Rollup(_) | GroupingSet::Cube(_))) {
            return Ok(Transformed::no(plan));
        }
        let schema = aggregate.input.schema();
        let kinds: Vec<DataType> = groups.iter().map(|group| group.get_type(schema)).collect::<Result<_>>()?;
        let is_name = |kind: &DataType| matches!(kind, DataType::Dictionary(_, value) if **value == DataType::Utf8);
        if !kinds.iter().any(is_name) {
            return Ok(Transformed::no(plan));
        }
        let as_text = |(group, kind): (&Expr, &DataType)| match is_name(kind) {
            true => Expr::Cast(Cast::new(Box::new(group.clone()), DataType::Utf8View)),
            false => group.clone(),
        };
        let texts = groups.iter().zip(&kinds).map(as_text).collect();
        let inner = Aggregate::try_new(aggregate.input.clone(), texts, aggregate.aggr_expr.clone())?;
        let outer: Vec<Expr> = aggregate
            .schema
            .iter()
            .zip(inner.schema.iter())
            .map(|((qualifier, field), (made_by, made))| {
                let column = Expr::Column(Column::new(made_by.cloned(), made.name()));
                let kept = match field.data_type() == made.data_type() {
                    true => column,
                    false => Expr::Cast(Cast::new(Box::new(column), field.data_type().clone())),
                };
                kept.alias_qualified(qualifier.cloned(), field.name())
            })
            .collect();
        let inner = Arc::new(LogicalPlan::Aggregate(inner));
        let outer = Projection::try_new_with_schema(outer, inner, aggregate.schema.clone())?;
        Ok(Transformed::yes(LogicalPlan::Projection(outer)))
    }
}
