//! How good the search is by vectors of the card.

use std::path::{Path, PathBuf};

use index::embed::{Device, LocalEmbedder, Options};
use index::evaluate::law::left_out;
use index::evaluate::{EvalSettings, Report, dataset, evaluate};
use index::fuse::Weights;
use serde_json::{Value, json};

use super::{Asked, Done};

/// Every judged collection of a folder, by vectors of the card, and the fusion's law on them.
pub fn measure(asked: &Asked, folder: &Path) -> Done<()> {
    let gpu = LocalEmbedder::load(&asked.model, Options { device: Device::Gpu(0), ..Options::default() })?;
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    folders.retain(|folder| dataset::is_collection(folder));
    folders.sort();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measure = |folder: &PathBuf| -> Done<Report> {
        let collection = dataset::read(folder)?;
        let settings = EvalSettings::default();
        let report = runtime.block_on(evaluate(&collection, Some(&gpu), &settings, &|_, _, _| ()))?;
        println!("{}: {}", report.name, report.json());
        Ok(report)
    };
    let measured: Vec<Done<Report>> = std::thread::scope(|scope| {
        let work = |folder| {
            scope.spawn({
                let measure = &measure;
                move || measure(folder).map_err(|e| e.to_string())
            })
        };
        let started: Vec<_> = folders.iter().map(work).collect();
        let ended = started.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("it panicked".to_owned())));
        ended.map(|report| report.map_err(Into::into)).collect()
    });
    let reports: Vec<Report> = measured.into_iter().collect::<Done<_>>()?;
    let law = left_out(&reports, &Weights::default());
    for one in &law {
        println!("{one:?}");
    }
    if let Some(path) = &asked.out {
        let sets: Vec<Value> = reports.iter().map(Report::json).collect();
        std::fs::write(path, serde_json::to_string_pretty(&json!({ "sets": sets, "leave_one_out": law }))?)?;
    }
    Ok(())
}
