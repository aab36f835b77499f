//! Azure Cost Management's `manifest.json`: what a run of an export consists of, and whether all of it is there.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::instant;
use super::layout::Form;
use super::parser::Part;

/// The parts of a manifest that say something.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    #[serde(default)]
    byte_count: Option<u64>,
    #[serde(default)]
    blob_count: Option<usize>,
    #[serde(default)]
    data_row_count: Option<u64>,
    export_config: ExportConfig,
    run_info: RunInfo,
    #[serde(default)]
    blobs: Vec<Blob>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExportConfig {
    #[serde(default)]
    export_name: Option<String>,
    #[serde(default)]
    resource_id: Option<String>,
    #[serde(rename = "type", default)]
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunInfo {
    run_id: String,
    #[serde(default)]
    submitted_time: Option<String>,
    #[serde(default)]
    start_date: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blob {
    blob_name: String,
    #[serde(default)]
    byte_count: Option<u64>,
    #[serde(default)]
    data_row_count: Option<u64>,
}

/// Why a run may not replace anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// A part is missing or not what the manifest says: wait for the rest.
    Torn(String),
    /// It is whole, but nothing that the ledger takes.
    Refused(String),
}

impl Manifest {
    /// Reads a manifest. None: a JSON file of another kind (AWS writes a `Manifest.json` too).
    pub fn read(path: &Path) -> Result<Option<Manifest>, String> {
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
        let value: serde_json::Value =
            serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|e| format!("is no JSON: {e}"))?;
        if value.get("exportConfig").is_none() && value.get("runInfo").is_none() {
            return Ok(None);
        }
        serde_json::from_value(value).map(Some).map_err(|e| format!("is no manifest of an Azure cost export: {e}"))
    }

    /// The export: its resource id, else its name.
    pub fn export(&self) -> String {
        let config = &self.export_config;
        let id = config.resource_id.as_deref().or(config.export_name.as_deref()).unwrap_or("azure-export");
        id.trim().to_lowercase()
    }

    /// The run's id.
    pub fn run_id(&self) -> &str {
        &self.run_info.run_id
    }

    /// When the run started, in microseconds since 1970.
    pub fn submitted(&self) -> Option<i64> {
        self.run_info.submitted_time.as_deref().and_then(|t| instant::parse(t).ok()).map(|t| t.micros)
    }

    /// Start of the month that the run delivers.
    pub fn period(&self) -> Option<i64> {
        let start = self.run_info.start_date.as_deref().and_then(|t| instant::parse(t).ok());
        start.map(|t| instant::month_start(t.micros))
    }

    /// What the export says it delivers, where the columns alone do not tell.
    pub fn form(&self) -> Option<Form> {
        match self.kind().as_str() {
            "actualcost" | "usage" => Some(Form::AzureActual),
            "amortizedcost" => Some(Form::AzureAmortized),
            _ => None,
        }
    }

    fn kind(&self) -> String {
        self.export_config.kind.as_deref().unwrap_or("FocusCost").trim().to_lowercase()
    }

    /// The run's files, if all are there and as large as the manifest says. Whether the rows are as many is seen while reading.
    /// `root` is the folder that was given: a manifest comes from outside and reaches nothing beyond it.
    pub fn parts(&self, manifest: &Path, root: &Path) -> Result<Vec<Part>, Unfit> {
        if !matches!(self.kind().as_str(), "focuscost" | "actualcost" | "amortizedcost" | "usage") {
            let kind = self.export_config.kind.as_deref().unwrap_or_default();
            return Err(Unfit::Refused(format!(
                "an export of type {kind}: the ledger takes FocusCost, ActualCost and AmortizedCost"
            )));
        }
        let torn = |why: String| Err(Unfit::Torn(why));
        if self.blob_count.is_some_and(|count| count != self.blobs.len()) {
            return torn(format!(
                "the manifest says {} blobs and names {}",
                self.blob_count.unwrap_or(0),
                self.blobs.len()
            ));
        }
        if self.blobs.is_empty() && self.data_row_count != Some(0) {
            return torn("the manifest names no blob".to_owned());
        }
        let mut parts = Vec::new();
        let mut bytes = 0;
        for blob in &self.blobs {
            let name = blob.blob_name.split('/').map(str::trim).collect::<Vec<_>>().join("/");
            let Some(path) = find(manifest, root, &name) else { return torn(format!("blob {name} is missing")) };
            let size = std::fs::metadata(&path).map_or(0, |m| m.len());
            bytes += size;
            if let Some(said) = blob.byte_count.filter(|said| *said != size) {
                return torn(format!("blob {name} has {size} bytes where the manifest says {said}"));
            }
            parts.push(Part { path, label: name, rows: blob.data_row_count });
        }
        if let Some(said) = self.byte_count.filter(|said| *said != bytes) {
            return torn(format!("the blobs have {bytes} bytes where the manifest says {said}"));
        }
        let rows: Option<u64> = self.blobs.iter().map(|b| b.data_row_count).sum();
        match (self.data_row_count, rows) {
            (Some(said), Some(sum)) if said != sum => torn(format!("the manifest says {said} rows, its blobs {sum}")),
            _ => Ok(parts),
        }
    }

    /// The rows that the run must have.
    pub fn rows(&self) -> Option<u64> {
        self.data_row_count
    }
}

/// A blob's name begins at the container, and the container may have been copied from any folder on: the file is looked
/// for from the manifest's folder upwards, as far as `root`, and last beside the manifest under its own name.
fn find(manifest: &Path, root: &Path, blob: &str) -> Option<PathBuf> {
    let relative = Path::new(blob.trim_start_matches('/'));
    if relative.components().any(|c| !matches!(c, std::path::Component::Normal(_))) {
        return None;
    }
    let folder = manifest.parent()?;
    let upwards = folder.ancestors().take_while(|above| above.starts_with(root)).map(|above| above.join(relative));
    let beside = relative.file_name().map(|name| folder.join(name));
    upwards.chain(beside).find(|path| path.is_file())
}
