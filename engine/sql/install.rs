//! Puts the SQL surface into a session: functions, aggregates, planners and options.

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::planner::ExprPlanner;

use crate::sql::functions;
use crate::sql::grouping;
use crate::sql::lateral;
use crate::sql::planner::Planner;
use crate::sql::types::Types;

/// Registers everything of this room with a session that already has the stock features.
pub fn install(mut builder: SessionStateBuilder) -> SessionStateBuilder {
    let mut config = builder.config().take().unwrap_or_default();
    let options = config.options_mut();
    // `parse` has put every name into its spelling; a second normalisation would undo it.
    options.sql_parser.enable_ident_normalization = false;
    // `BilledCost * 1.19` is money times an exact number.
    options.sql_parser.parse_float_as_decimal = true;
    options.execution.time_zone = Some("UTC".to_owned());
    *builder.config() = Some(config);

    // The first planner that answers wins, so ours stands before the stock ones.
    let planners: &mut Vec<Arc<dyn ExprPlanner>> = builder.expr_planners().get_or_insert_with(Vec::new);
    planners.insert(0, Arc::new(Planner));
    // A later function takes the place of a stock one of its name.
    builder.scalar_functions().get_or_insert_with(Vec::new).extend(functions::scalars());
    builder.aggregate_functions().get_or_insert_with(Vec::new).extend(functions::aggregates());
    builder.with_analyzer_rule(lateral::rule()).with_optimizer_rule(grouping::rule()).with_type_planner(Arc::new(Types))
}
