//! `stellwerk sbom`: bills of materials, compared.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::ingest::supply_chain::{Change, Part, difference, parts_of_file};
use clap::{Args, Subcommand, ValueEnum};
use engine::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use engine::arrow::compute::cast;
use engine::arrow::datatypes::DataType;
use engine::{Error, Kind, Question, Result, Settings};
use futures::TryStreamExt;

use super::exit::Exit;
use super::{print, tables};
use crate::reach::{Reach, reach};

const AFTER: &str = "\
BEFORE and AFTER are files (CycloneDX, SPDX, syft, trivy, GitHub snapshots, also .gz and .zst) or, with --data, SBOMs of the
store by `sbom_id`, serial number, or `subject@version`. A package in several versions is matched version by version.

Exit codes: 0 compared, 1 with --exit-code if they differ, 2 an SBOM cannot be read.

Examples:
  stellwerk sbom diff shop-1.3.cdx.json shop-1.4.cdx.json
  stellwerk sbom diff shop-1.3.cdx.json shop-1.4.cdx.json --format json --exit-code
  stellwerk sbom diff pkg:oci/shop@1.3 pkg:oci/shop@1.4 --data ./data";

/// Compare software bills of materials.
#[derive(Debug, Subcommand)]
pub enum Sbom {
    /// Show what was added, removed, or changed its version or licence between two SBOMs.
    Diff(Diff),
}

/// Show what changed between two SBOMs.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Diff {
    /// The first SBOM.
    before: String,
    /// The second SBOM.
    after: String,
    /// How the differences are written.
    #[arg(long, value_enum, default_value = "table")]
    format: DiffFormat,
    /// End with 1 if the two differ.
    #[arg(long)]
    exit_code: bool,
    /// Data directory of the store that holds the SBOMs.
    #[arg(long, value_name = "DIR", env = "STELLWERK_DATA")]
    data: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DiffFormat {
    /// Aligned columns for people.
    Table,
    /// One JSON document.
    Json,
}

impl Sbom {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Sbom::Diff(diff) => diff.run().await,
        }
    }
}

impl Diff {
    async fn run(self) -> Result<Exit> {
        let (before, after) = (self.parts(&self.before).await?, self.parts(&self.after).await?);
        let changes = difference(&before, &after);
        print::text(&match self.format {
            DiffFormat::Table => table(&changes)?,
            DiffFormat::Json => format!("{:#}\n", document(&changes)),
        })?;
        Ok(Exit(if self.exit_code && !changes.is_empty() { Exit::PROBLEMS } else { Exit::OK }))
    }

    async fn parts(&self, named: &str) -> Result<Vec<Part>> {
        let path = Path::new(named);
        match &self.data {
            _ if path.exists() => parts_of_file(path),
            Some(data) => {
                let reach = reach(&Settings::new(data), false).await?;
                let parts = stored(reach.as_ref(), named).await;
                reach.close().await?;
                parts
            }
            None => Err(Error::invalid(format!(
                "there is no file {named}; --data DIR looks for an SBOM of that name in a store"
            ))),
        }
    }
}

/// The newest SBOM of a store that is called so.
async fn stored(reach: &dyn Reach, named: &str) -> Result<Vec<Part>> {
    let found = ask(
        reach,
        "SELECT sbom_id FROM sbom WHERE sbom_id = $1 OR serial_number = $1 OR concat(subject, '@', subject_version) = $1 \
         ORDER BY coalesce(created_at, ingested_at) DESC, _seq DESC LIMIT 1",
        named,
    )
    .await?;
    let id = found.into_iter().flatten().next().flatten();
    let id = id.ok_or_else(|| Error::new(Kind::NotFound, format!("the store holds no SBOM {named}")))?;
    let sql = "SELECT package, version, licences FROM sbom_component \
               WHERE sbom_id = $1 AND NOT is_subject AND component_type <> 'file'";
    let rows = ask(reach, sql, &id).await?;
    let part = |row: Vec<Option<String>>| {
        let mut cells = row.into_iter();
        let mut next = || cells.next().flatten();
        Part { package: next().unwrap_or_default(), version: next().unwrap_or_default(), licences: next() }
    };
    Ok(rows.into_iter().map(part).collect())
}

/// The answer's cells as texts.
async fn ask(reach: &dyn Reach, sql: &str, param: &str) -> Result<Vec<Vec<Option<String>>>> {
    let question = Question { sql: sql.to_owned(), params: vec![param.to_owned()] };
    let batches: Vec<RecordBatch> = reach.ask(question, None).await?.batches.try_collect().await?;
    let mut rows = Vec::new();
    for batch in batches {
        let plain = batch.columns().iter().map(|column| cast(column, &DataType::Utf8));
        let plain =
            plain.collect::<Result<Vec<ArrayRef>, _>>().map_err(|e| Error::unavailable("read the answer", e))?;
        for row in 0..batch.num_rows() {
            let cell =
                |column: &ArrayRef| column.is_valid(row).then(|| column.as_string::<i32>().value(row).to_owned());
            rows.push(plain.iter().map(cell).collect());
        }
    }
    Ok(rows)
}

fn table(changes: &[Change]) -> Result<String> {
    if changes.is_empty() {
        return Ok("no difference\n".to_owned());
    }
    let cells = |cell: fn(&Change) -> Option<&str>| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(changes.iter().map(|change| cell(change).unwrap_or_default())))
    };
    let rows = tables::aligned(vec![
        ("change", cells(|c| Some(c.change))),
        ("package", cells(|c| Some(c.package.as_str()))),
        ("before", cells(|c| c.version_before.as_deref())),
        ("after", cells(|c| c.version_after.as_deref())),
        ("licences before", cells(|c| c.licences_before.as_deref())),
        ("licences after", cells(|c| c.licences_after.as_deref())),
    ])?;
    let counts = KINDS.map(|kind| format!("{} {kind}", count(changes, kind)));
    Ok(format!("{rows}{}\n", counts.join(", ")))
}

const KINDS: [&str; 4] = ["added", "removed", "version", "licence"];

fn count(changes: &[Change], kind: &str) -> usize {
    changes.iter().filter(|change| change.change == kind).count()
}

fn document(changes: &[Change]) -> serde_json::Value {
    let counts: serde_json::Map<_, _> =
        KINDS.iter().map(|kind| ((*kind).to_owned(), serde_json::json!(count(changes, kind)))).collect();
    serde_json::json!({"counts": counts, "changes": changes})
}
