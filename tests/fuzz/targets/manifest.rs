//! Manifests of Azure exports, beside the blobs of a run: what a plan says of a run must be what its manifest says, and a
//! manifest reaches no file outside the folder that was given.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ingest::cost::{Planned, plan};
use serde_json::Value;

use super::scratch;

/// The blobs beside the manifest, and their bytes.
const BLOBS: &[(&str, usize)] =
    &[("part_0_0001.csv", 100), ("part_1_0001.csv", 7), ("empty.csv", 0), ("deep/part.csv", 9)];
/// Outside the folder that is given: no manifest may name it.
const OUTSIDE: &str = "outside.csv";

/// A folder given, with a run two folders below.
struct Ground {
    given: PathBuf,
    manifest: PathBuf,
    _all: tempfile::TempDir,
}

impl Ground {
    fn new() -> Ground {
        let all = scratch::folder();
        let given = all.path().join("given");
        let run = given.join("export/20260501-20260531/run");
        let write = |path: &Path, bytes: usize| {
            fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder for the blob");
            fs::write(path, vec![b'x'; bytes]).expect("a blob");
        };
        BLOBS.iter().for_each(|(name, bytes)| write(&run.join(name), *bytes));
        write(&given.join("export/above.csv"), 3);
        write(&all.path().join(OUTSIDE), 5);
        Ground { manifest: run.join("manifest.json"), given, _all: all }
    }
}

/// One manifest.
pub fn folder(data: &[u8]) {
    thread_local! {
        static GROUND: LazyLock<Ground> = LazyLock::new(Ground::new);
    }
    GROUND.with(|ground| {
        fs::write(&ground.manifest, data).expect("the manifest is written");
        let plan = plan(&ground.given, None).expect("a folder can be looked at");
        for run in plan.runs.iter().filter(|run| run.path == ground.manifest) {
            check(run, &ground.given, data);
        }
    });
}

/// A run whose parts are all there is what its manifest says.
fn check(run: &Planned, given: &Path, manifest: &[u8]) {
    let Ok(parts) = &run.parts else { return };
    let text = String::from_utf8_lossy(manifest);
    let said: Value =
        serde_json::from_str(text.trim_start_matches('\u{feff}')).expect("a manifest that is read is JSON");
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64);
    let blobs = said["blobs"].as_array().cloned().unwrap_or_default();
    assert_eq!(parts.len(), blobs.len(), "every blob that is named is a part");
    assert!(number(&said, "blobCount").is_none_or(|count| count == parts.len() as u64), "blobCount is kept");
    let sizes: Vec<u64> = parts.iter().map(|part| fs::metadata(&part.path).expect("a part is there").len()).collect();
    assert!(number(&said, "byteCount").is_none_or(|bytes| bytes == sizes.iter().sum::<u64>()), "byteCount is kept");
    for ((part, blob), size) in parts.iter().zip(&blobs).zip(&sizes) {
        assert!(number(blob, "byteCount").is_none_or(|bytes| bytes == *size), "{}: byteCount is kept", part.label);
        assert_eq!(part.rows, number(blob, "dataRowCount"), "{}: the rows that it promises", part.label);
        let whole = part.path.canonicalize().expect("a part is there");
        let given = given.canonicalize().expect("the folder is there");
        assert!(whole.starts_with(&given), "a manifest reached {} outside the folder given", part.path.display());
    }
    assert_eq!(run.rows, number(&said, "dataRowCount"), "the rows that the run promises");
}
