//! Cost data: FOCUS files and provider exports become the ledger's rows, run by run.
//!
//! A run replaces what older runs of the same export and billing period delivered, in one step, and only if all of it is
//! there; a run that was seen before changes nothing. What became of each is a row of `cost_run`.

mod apply;
mod aws;
mod azure;
mod batch;
mod check;
mod column;
pub mod estimate;
mod identity;
mod instant;
mod labels;
mod layout;
mod manifest;
mod mapping;
mod oci;
mod parser;
mod plan;
mod records;
mod register;
mod texts;
mod views;

use std::path::Path;

use async_trait::async_trait;
use engine::reject::REJECT;
use engine::{Error, Result, Scope, Store, Table, View};

use crate::{FileOptions, Progress, Source, Summary};

pub use batch::{Origin, SetTotal};
pub use check::check_file;
pub use layout::Form;
pub use manifest::Unfit;
pub use parser::{Parser, Part};
pub use plan::{Plan, Planned, plan};

/// Views over costs and other streams.
pub const VIEWS: &[&View] = &[&views::UNIT_COST, &views::COST_WASTE];

/// Reads cost files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost;

#[async_trait]
impl Source for Cost {
    fn kind(&self) -> &'static str {
        "cost"
    }

    fn doc(&self) -> &'static str {
        "FOCUS 1.0 to 1.4 as CSV (plain, .gz, .zst) or Parquet; Azure Cost Management exports by manifest.json; AWS Data Exports folders and Cost and Usage Reports; OCI cost reports"
    }

    fn tables(&self) -> Vec<&'static Table> {
        let mut tables = ledger::TABLES.to_vec();
        tables.push(&REJECT);
        tables
    }

    async fn ingest_path(
        &self,
        store: &Store,
        scope: &Scope,
        path: &Path,
        options: &FileOptions,
        progress: &dyn Progress,
    ) -> Result<Summary> {
        let named = crate::files::tenant(scope, options)?;
        let (owned, export) = (path.to_path_buf(), options.export.clone());
        let planned = tokio::task::spawn_blocking(move || plan::plan(&owned, export.as_deref())).await;
        let plan = planned.map_err(|e| Error::unavailable("look for cost files", e))??;
        let one = plan.runs.len() == 1;
        let mut summary = Summary { notes: plan.notes, ..Summary::default() };
        // Runs are applied one after the other: whether a run is newer than what is there, and whether its period is sealed,
        // is asked and answered by separate statements, and one process owns the store.
        let _turn = ledger::period::TURN.lock().await;
        let mut touched: Option<(i64, i64)> = None;
        for run in plan.runs {
            let applying = apply::Applying { store, scope, tenant: named.as_deref(), progress };
            match applying.run(run).await? {
                apply::Outcome::Applied(applied, periods) => {
                    summary.add(applied);
                    touched = periods.into_iter().chain(touched).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
                }
                // A path that is one run fails with it; among several, one run's fault is not its neighbours'.
                apply::Outcome::Refused(reason) if one => return Err(Error::invalid(reason)),
                apply::Outcome::Refused(reason) => {
                    summary.refused += 1;
                    summary.notes.push(reason);
                }
            }
        }
        if let Some(touched) = touched {
            settle(store, touched, &mut summary).await?;
        }
        Ok(summary)
    }
}

/// Days around the billing periods that a delivery touched in which its charges may lie.
const AROUND_DAYS: i64 = 62;
const DAY_US: i64 = 86_400_000_000;

/// Bills that came may be those of estimates, and estimates that came may be billed already.
async fn settle(store: &Store, touched: (i64, i64), summary: &mut Summary) -> Result<()> {
    let window = (touched.0 - AROUND_DAYS * DAY_US, touched.1 + AROUND_DAYS * DAY_US);
    let exchange = ledger::exchange::Exchange::load(store).await?;
    let settled = ledger::estimate::settle_stored(store, window, &exchange).await?;
    if settled.rewritten > 0 {
        summary.notes.push(format!("{} estimates are billed now, {} are not yet", settled.covered, settled.open));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
