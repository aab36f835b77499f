//! Cost data: FOCUS files and provider exports become the ledger's rows, run by run.
//!
//! A run replaces what older runs of the same export and billing period delivered, in one step, and only if all of it is
//! there; a run that was seen before changes nothing. What became of each is a row of `cost_run`.

mod apply;
mod azure;
mod batch;
mod check;
mod column;
mod identity;
mod instant;
mod labels;
mod layout;
mod manifest;
mod parser;
mod plan;
mod records;
mod register;
mod texts;

use std::path::Path;

use async_trait::async_trait;
use engine::reject::REJECT;
use engine::{Error, Result, Scope, Store, Table};

use crate::{FileOptions, Progress, Source, Summary};

pub use batch::{Origin, SetTotal};
pub use check::check_file;
pub use layout::Form;
pub use manifest::Unfit;
pub use parser::{Parser, Part};
pub use plan::{Plan, Planned, plan};

/// Reads cost files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost;

/// Runs are applied one after the other: whether a run is newer than what is there is asked and answered by separate
/// statements, and one process owns the store.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[async_trait]
impl Source for Cost {
    fn kind(&self) -> &'static str {
        "cost"
    }

    fn doc(&self) -> &'static str {
        "FOCUS 1.0 to 1.4 as CSV (plain, .gz, .zst) or Parquet; Azure Cost Management exports by manifest.json; AWS Data Exports folders"
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
        let _turn = ONE_AT_A_TIME.lock().await;
        for run in plan.runs {
            let applying = apply::Applying { store, scope, tenant: named.as_deref(), progress };
            match applying.run(run).await? {
                apply::Outcome::Applied(applied) => summary.add(applied),
                // A path that is one run fails with it; among several, one run's fault is not its neighbours'.
                apply::Outcome::Refused(reason) if one => return Err(Error::invalid(reason)),
                apply::Outcome::Refused(reason) => {
                    summary.refused += 1;
                    summary.notes.push(reason);
                }
            }
        }
        Ok(summary)
    }
}

#[cfg(test)]
mod tests;
