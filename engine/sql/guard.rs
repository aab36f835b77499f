//! The second wall: no plan runs unless every scan in it carries the asker's scope.

use std::sync::Arc;

use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;

use super::provider::StateScan;
use super::table_function::FunctionScan;
use crate::error::{Error, Kind, Result};
use crate::facts::scan::FactScan;
use crate::scope::Scope;

/// Leaves that read nothing stored: constants, generated series, the working table of a recursive query, a plan's text.
const CONSTANT_LEAVES: &[&str] = &["EmptyExec", "PlaceholderRowExec", "LazyMemoryExec", "WorkTableExec", "ExplainExec"];

/// Refuses a plan with a leaf that is neither constant nor a scan of `scope`.
pub fn check(plan: &Arc<dyn ExecutionPlan>, scope: &Scope) -> Result<()> {
    let children = plan.children();
    if !children.is_empty() {
        return children.into_iter().try_for_each(|child| check(child, scope));
    }
    let plan = plan.as_ref();
    let carried = plan.downcast_ref::<FactScan>().map(FactScan::scope);
    let carried = carried.or_else(|| plan.downcast_ref::<StateScan>().map(StateScan::scope));
    let carried = carried.or_else(|| plan.downcast_ref::<FunctionScan>().map(FunctionScan::scope));
    let in_memory = plan.downcast_ref::<DataSourceExec>().is_some_and(|s| s.data_source().is::<MemorySourceConfig>());
    match carried {
        Some(carried) if carried == scope => Ok(()),
        None if in_memory || CONSTANT_LEAVES.contains(&plan.name()) => Ok(()),
        _ => Err(Error::new(
            Kind::Denied,
            format!("the plan reads through {}, which does not carry the asker's scope", plan.name()),
        )),
    }
}
