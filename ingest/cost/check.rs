//! `stellwerk cost check FILE`: a file against the rules of FOCUS, read by the same door as ingest.

use std::path::Path;
use std::sync::Arc;

use engine::{Error, Result};
use ledger::check::{Check, Report};
use ledger::focus::Version;
use tokio::sync::mpsc;

use super::batch::Origin;
use super::layout::Form;
use super::parser::{Parser, Part};

/// Batches that wait for the rules.
const BATCHES_IN_FLIGHT_MAX: usize = 2;

/// Checks one file. `version` says against which FOCUS version; without it, the one that its columns show.
pub async fn check_file(path: &Path, version: Option<&str>) -> Result<Report> {
    let asked = version.map(|text| Version::parse(text).ok_or_else(|| unknown(text))).transpose()?;
    let label = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let part = Part { path: path.to_path_buf(), label: label.clone(), rows: None };
    let opened = tokio::task::spawn_blocking(move || {
        let origin = |_| Origin {
            tenant: "check".to_owned(),
            named_tenants: false,
            export: String::new(),
            run_id: String::new(),
            // One set for the whole file: how a run would be cut is no matter of its rules.
            period: Some(0),
            replaces: Vec::new(),
            seals: ledger::period::Seals::default(),
        };
        Parser::open([part].into(), None, origin, Arc::new(|_| {}))
    });
    let mut parser = opened.await.map_err(|e| Error::unavailable("open a cost file", e))??;
    let Form::Focus(dataset, seen) = parser.form() else {
        return Err(Error::invalid(format!("{label}: is {}, not FOCUS", parser.form().schema())));
    };
    let mut check = Check::new(dataset, asked.unwrap_or(seen), parser.table(), parser.column_names())?;
    let (sender, mut receiver) = mpsc::channel(BATCHES_IN_FLIGHT_MAX);
    let reading = tokio::task::spawn_blocking(move || -> Result<()> {
        loop {
            let batch = parser.next_batch()?;
            let (rejects, last) = (parser.take_rejects(), batch.is_none());
            if sender.blocking_send((batch, rejects)).is_err() || last {
                return Ok(());
            }
        }
    });
    while let Some((batch, rejects)) = receiver.recv().await {
        for reject in rejects {
            check.unreadable(reject.place.as_deref().unwrap_or_default(), &reject.reason);
        }
        if let Some(batch) = batch {
            check.rows(&batch)?;
        }
    }
    reading.await.map_err(|e| Error::unavailable("read a cost file", e))??;
    check.finish(&path.display().to_string()).await
}

fn unknown(text: &str) -> Error {
    let known: Vec<&str> = Version::ALL.iter().map(|v| v.as_str()).collect();
    Error::invalid(format!("FOCUS version {text} is not known; these are: {}", known.join(", ")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ledger::check::State;

    use super::*;

    async fn check(name: &str) -> Report {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/cost").join(name);
        check_file(&path, None).await.unwrap()
    }

    #[tokio::test]
    async fn the_real_file_breaks_what_it_is_known_to_break() {
        let report = check("focus_1.0_real_1000.csv").await;
        println!("{report}");
        assert_eq!((report.version.as_str(), report.rows, report.is_conformant()), ("1.0", 1000, false));
        let failed = |id: &str| report.rule(id).filter(|r| r.state == State::Failed).map_or(0, |r| r.count);
        assert_eq!(
            (failed("ContractedCost-not-null"), failed("custom-columns-prefix"), failed("ServiceName-C-005-C")),
            (7, 1, 1)
        );
        assert_eq!(report.rule("BilledCost-not-null").unwrap().state, State::Passed);
        assert!(report.count(State::Skipped) < 20);
    }

    #[tokio::test]
    async fn a_generated_file_says_what_it_breaks() {
        let report = check("focus_1.2_synthetic_80.csv").await;
        println!("{report}");
        assert_eq!((report.version.as_str(), report.rows), ("1.2", 80));
    }

    #[tokio::test]
    async fn cells_that_cannot_be_read_break_their_columns_type() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(&path, "BilledCost,chargecategory,Tags\nNaN,Usage,{}\n1,Fun,{\"a\":{}}\n2\n").unwrap();
        let report = check_file(&path, Some("1.2")).await.unwrap();
        let places = |id: &str| report.rule(id).unwrap().examples.clone();
        assert_eq!(places("BilledCost-type"), ["a.csv line 2: BilledCost: `NaN` is not a number"]);
        assert_eq!(places("rows-readable"), ["a.csv line 4: has 1 cells where the header has 3"]);
        assert_eq!(
            (places("ChargeCategory-allowed"), places("Tags-key-value")),
            (vec!["row 2".to_owned()], vec!["row 2".to_owned()])
        );
        assert_eq!(places("column-names-spelling"), ["chargecategory: FOCUS writes ChargeCategory"]);
        assert_eq!(places("CostAndUsage-ServiceName-present"), ["no column ServiceName"]);
        assert!(check_file(&path, Some("7")).await.is_err());
        assert!(check_file(Path::new("no such file"), None).await.is_err());
    }
}
