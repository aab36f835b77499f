//! What lies under a path: manifests are runs, the files they name belong to them, every other cost file is a run of its own.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use engine::{Error, Result};

use super::layout::Form;
use super::manifest::{Manifest, Unfit};
use super::parser::Part;

/// Folders within folders that are walked; a link that leads back up ends here.
const DEPTH_MAX: usize = 32;
const FILE_ENDS: [&str; 9] =
    [".csv", ".csv.gz", ".csv.zst", ".csv.gzip", ".tsv", ".tsv.gz", ".parquet", ".parq", ".snappy.parquet"];

/// One run to be applied.
#[derive(Debug)]
pub struct Planned {
    /// The export.
    pub export: String,
    /// The run's id, where a manifest says it; else the hash of its bytes.
    pub run_id: Option<String>,
    /// When the provider started it, in microseconds since 1970.
    pub submitted: Option<i64>,
    /// Start of the month that it delivers, where the provider says it.
    pub period: Option<i64>,
    /// Azure's own form, where the manifest or the name says it.
    pub hint: Option<Form>,
    /// Its files, or why it may not replace anything.
    pub parts: std::result::Result<Vec<Part>, Unfit>,
    /// Rows that it must have.
    pub rows: Option<u64>,
    /// What it was read from.
    pub path: PathBuf,
}

/// What was found under a path.
#[derive(Debug, Default)]
pub struct Plan {
    /// Runs, oldest first where they say when they were submitted.
    pub runs: Vec<Planned>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Looks at a path. `export` names the export of files without a manifest.
pub fn plan(path: &Path, export: Option<&str>) -> Result<Plan> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::unavailable(&format!("read {}", path.display()), e))?;
    let mut plan = Plan::default();
    if metadata.is_file() && !is_manifest(path) {
        plan.runs.push(single(path, export.map_or_else(|| full_name(path), str::to_owned)));
        return Ok(plan);
    }
    let mut files = Vec::new();
    let walked = if metadata.is_file() {
        files.push(path.to_path_buf());
        Ok(())
    } else {
        walk(path, 0, &mut files)
    };
    walked.map_err(|e| Error::unavailable(&format!("read folder {}", path.display()), e))?;
    let root = if metadata.is_file() { path.parent().unwrap_or(path) } else { path };
    let mut taken = HashSet::new();
    for manifest in files.iter().filter(|f| is_manifest(f)) {
        plan.add_manifest(manifest, root, &mut taken);
    }
    // A run's own folder holds nothing but the run: a blob that its manifest does not name is no run of its own.
    let folders: HashSet<PathBuf> = plan.runs.iter().filter_map(|r| r.path.parent().map(Path::to_path_buf)).collect();
    let in_run = |file: &Path| file.ancestors().skip(1).any(|folder| folders.contains(folder));
    let mut by_period: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for file in files.into_iter().filter(|f| is_cost_file(f)) {
        if taken.contains(&file) || in_run(&file) {
            continue;
        }
        match file.ancestors().skip(1).find(|folder| billing_period(folder).is_some()) {
            Some(_) => by_period.entry(file.parent().unwrap_or(path).to_path_buf()).or_default().push(file),
            None => {
                let name = match (export, file.strip_prefix(path)) {
                    (Some(export), Ok(relative)) => format!("{export}/{}", relative.display()),
                    _ => full_name(&file),
                };
                plan.runs.push(single(&file, name));
            }
        }
    }
    for (folder, files) in by_period {
        plan.runs.push(of_period(&folder, files, export));
    }
    plan.runs.sort_by_key(|run| run.submitted);
    if plan.runs.is_empty() && metadata.is_file() {
        return Err(Error::invalid(format!("{}: is no manifest of a cost export", path.display())));
    }
    if plan.runs.is_empty() {
        plan.notes.push(format!(
            "{}: no manifest.json and no file that ends in {}",
            path.display(),
            FILE_ENDS.join(", ")
        ));
    }
    Ok(plan)
}

impl Plan {
    fn add_manifest(&mut self, path: &Path, root: &Path, taken: &mut HashSet<PathBuf>) {
        match Manifest::read(path) {
            Ok(None) => {}
            // Its files are no runs of their own, and nobody knows what they replace.
            Err(reason) => self.runs.push(Planned {
                export: full_name(path),
                run_id: Some("unreadable manifest".to_owned()),
                submitted: None,
                period: None,
                hint: None,
                rows: None,
                parts: Err(Unfit::Refused(reason)),
                path: path.to_path_buf(),
            }),
            Ok(Some(manifest)) => {
                let parts = manifest.parts(path, root);
                taken.extend(parts.iter().flatten().map(|part| part.path.clone()));
                self.runs.push(Planned {
                    export: manifest.export(),
                    run_id: Some(manifest.run_id().to_owned()),
                    submitted: manifest.submitted(),
                    period: manifest.period(),
                    hint: manifest.form(),
                    rows: manifest.rows(),
                    parts,
                    path: path.to_path_buf(),
                });
            }
        }
    }
}

/// A file without a manifest.
fn single(path: &Path, export: String) -> Planned {
    let label = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let hint = hint(&label);
    let part = Part { path: path.to_path_buf(), label, rows: None };
    Planned {
        export,
        run_id: None,
        submitted: None,
        period: None,
        hint,
        parts: Ok(vec![part]),
        rows: None,
        path: path.to_path_buf(),
    }
}

/// The files of one delivery of AWS Data Exports: `EXPORT/data/BILLING_PERIOD=2026-05/[EXECUTION/]*`. Executions' names
/// begin with their time, so that folders come in their order.
fn of_period(folder: &Path, files: Vec<PathBuf>, export: Option<&str>) -> Planned {
    let period_folder = folder.ancestors().find(|f| billing_period(f).is_some()).unwrap_or(folder);
    let home = period_folder.ancestors().skip(1).find(|f| !f.ends_with("data")).unwrap_or(period_folder);
    let label = |f: &Path| f.strip_prefix(home).unwrap_or(f).display().to_string();
    let parts = files.into_iter().map(|path| Part { label: label(&path), path, rows: None }).collect();
    Planned {
        export: export.map_or_else(|| full_name(home), str::to_owned),
        run_id: None,
        submitted: None,
        period: billing_period(period_folder),
        hint: None,
        parts: Ok(parts),
        rows: None,
        path: folder.to_path_buf(),
    }
}

fn billing_period(folder: &Path) -> Option<i64> {
    let name = folder.file_name()?.to_str()?;
    let (key, month) = name.split_once('=')?;
    let first = key.eq_ignore_ascii_case("BILLING_PERIOD").then(|| super::instant::parse(&format!("{month}-01")))?;
    first.ok().map(|at| at.micros)
}

/// Azure's own forms have the same columns; people tell them apart by the file's name, and so do we.
fn hint(name: &str) -> Option<Form> {
    let name: String = name.to_lowercase().chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    if name.contains("amortized") || name.contains("amortised") {
        Some(Form::AzureAmortized)
    } else if name.contains("actual") {
        Some(Form::AzureActual)
    } else {
        None
    }
}

/// A file is known by where it lies; a copy of the same bytes elsewhere is seen by their hash.
fn full_name(path: &Path) -> String {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string()
}

fn is_manifest(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("manifest.json"))
}

fn is_cost_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    FILE_ENDS.iter().any(|end| name.ends_with(end))
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.collect::<std::io::Result<_>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if path.is_dir() && !hidden {
            walk(&path, depth + 1, files)?;
        } else if path.is_file() && !hidden {
            files.push(path);
        }
    }
    Ok(())
}
