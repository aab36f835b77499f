//! `GROUP BY` over names groups by their numbers: DataFusion turns every row of a group with a dictionary in it into bytes
//! first, and hashes texts where it does not. The few groups that come out get their names back.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan, Projection};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::sql::name_codes::{NameCodes, is_name};

/// Groups by numbers of names.
#[derive(Debug)]
pub struct GroupByCode;

/// The rule.
pub fn rule() -> Arc<dyn OptimizerRule + Send + Sync> {
    Arc::new(GroupByCode)
}

impl OptimizerRule for GroupByCode {
    fn name(&self) -> &str {
        "group_by_code"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        let groups = &aggregate.group_expr;
        if groups.iter().any(|group| matches!(group, Expr::GroupingSet(_))) {
            return Ok(Transformed::no(plan));
        }
        let schema = aggregate.input.schema();
        let kinds: Vec<DataType> = groups.iter().map(|group| group.get_type(schema)).collect::<Result<_>>()?;
        let codes: Vec<Option<NameCodes>> = kinds.iter().map(|kind| is_name(kind).then(NameCodes::new)).collect();
        if codes.iter().all(Option::is_none) {
            return Ok(Transformed::no(plan));
        }
        let numbered = groups.iter().zip(&codes).enumerate().map(|(at, (group, codes))| match codes {
            // One column may be grouped by twice, under two names.
            Some(codes) => codes.code_of(group.clone().unalias()).alias(format!("__group_code_{at}")),
            None => group.clone(),
        });
        let inner = Aggregate::try_new(aggregate.input.clone(), numbered.collect(), aggregate.aggr_expr.clone())?;
        let outer = aggregate.schema.iter().zip(inner.schema.iter()).enumerate();
        let outer = outer.map(|(at, ((qualifier, field), (made_by, made)))| {
            let column = Expr::Column(Column::new(made_by.cloned(), made.name()));
            let kept = match codes.get(at).and_then(Option::as_ref) {
                Some(codes) => codes.name_of(column),
                None => column,
            };
            kept.alias_qualified(qualifier.cloned(), field.name())
        });
        let (outer, inner) = (outer.collect(), Arc::new(LogicalPlan::Aggregate(inner)));
        let outer = Projection::try_new_with_schema(outer, inner, aggregate.schema.clone())?;
        Ok(Transformed::yes(LogicalPlan::Projection(outer)))
    }
}
