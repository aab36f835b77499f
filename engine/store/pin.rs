//! One moment of a store, held still while it is copied: every table at a version, the state database as it was then, and the
//! idempotency keys of what is no longer in the log. Appends wait while the moment is taken, which is as long as the last
//! tails take to be flushed; copying happens beside them.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use futures::TryStreamExt;
use lance::Dataset;
use lance::dataset::files::TrackedFilesOptions;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::Store;
use crate::error::{Error, Result};
use crate::settings::WalPlace;
use crate::state::Snapshot;

/// One moment of a store.
pub struct Pinned {
    /// Every row before this place in the log is part of it.
    pub seq: u64,
    /// When it was taken, µs since 1970.
    pub at_us: i64,
    /// The state database as it was then.
    pub state: Snapshot,
    /// Idempotency keys: names and contents of files.
    pub keys: Vec<(String, Vec<u8>)>,
    /// Every table at its version.
    pub tables: PinnedTables,
    /// Nothing is cleaned while files of old versions are copied: drop it after them.
    pub still: tokio::sync::OwnedMutexGuard<()>,
}

/// Every table at a version.
pub struct PinnedTables {
    tables: Vec<(&'static str, Arc<Dataset>)>,
    objects: Arc<dyn ObjectStore>,
    base: Path,
}

/// A file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedFile {
    /// Its name below the tables' place: `cost_line.lance/data/….lance`.
    pub name: String,
    /// Where it lies in the object store behind the tables.
    pub path: Path,
}

impl Store {
    /// Takes a moment. Maintenance waits until it is dropped.
    pub async fn pin(&self) -> Result<Pinned> {
        let still = self.maintaining.clone().lock_owned().await;
        // Most of it before the world stops.
        self.flush().await?;
        self.mark_all().await?;
        let _appends = self.appending.write().await;
        self.part_log().await?;
        let seq = self.writer.next_seq();
        let state = self.state.snapshot().await?;
        let at_us = self.ports.clock.now_us();
        let tables = self.mark_all().await?;
        let keys = self.kept_keys().await?;
        let (objects, base) = (self.place.objects(), self.place.base().clone());
        let tables = PinnedTables { tables, objects, base };
        Ok(Pinned { seq, at_us, state, keys, tables, still })
    }

    /// The state database alone, as it is at a moment (µs since 1970) between two appends: every row of facts up to then was
    /// acknowledged, and none of later ones.
    pub async fn pin_state(&self) -> Result<(Snapshot, i64)> {
        let _appends = self.appending.write().await;
        let state = self.state.snapshot().await?;
        Ok((state, self.ports.clock.now_us()))
    }

    /// Every table at its newest version, which says how far the log was flushed. One table says so in any case, so that no
    /// place in the log is ever given out twice.
    async fn mark_all(&self) -> Result<Vec<(&'static str, Arc<Dataset>)>> {
        let mut tables = Vec::with_capacity(self.tables.len());
        let mut marks = false;
        for facts in self.tables.values() {
            let _turn = facts.turn_to_commit().await?;
            let empty = facts.fragments().is_empty();
            let dataset = match empty && marks {
                true => facts.snapshot().dataset,
                false => facts.mark(self.writer.next_seq()).await?,
            };
            marks = true;
            tables.push((facts.table.name, dataset));
        }
        Ok(tables)
    }

    async fn kept_keys(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut keys = Vec::new();
        match self.settings.wal {
            WalPlace::Local => {
                let failed = |e| Error::unavailable("read the keys of the log", e);
                for entry in std::fs::read_dir(self.settings.data.join("wal")).map_err(failed)? {
                    let path = entry.map_err(failed)?.path();
                    if path.extension().is_some_and(|e| e == "keys") {
                        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                        keys.push((name, std::fs::read(&path).map_err(failed)?));
                    }
                }
            }
            WalPlace::Store => {
                let failed = |e: object_store::Error| Error::unavailable("read the keys of the log", e);
                let (objects, root) = (self.place.objects(), self.place.path("wal"));
                let listed: Vec<_> = objects.list(Some(&root)).try_collect().await.map_err(failed)?;
                for object in listed.into_iter().filter(|object| object.location.extension() == Some("keys")) {
                    let name = object.location.filename().unwrap_or_default().to_owned();
                    let bytes = objects.get(&object.location).await.map_err(failed)?.bytes().await.map_err(failed)?;
                    keys.push((name, bytes.to_vec()));
                }
            }
        }
        Ok(keys)
    }
}

impl PinnedTables {
    /// The tables with their versions and the rows that each holds, superseded ones among them.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        self.tables.iter().map(|(name, dataset)| {
            let rows = dataset.fragments().iter().map(|fragment| fragment.num_rows().unwrap_or(0) as u64).sum();
            (*name, dataset.version_id(), rows)
        })
    }

    /// The store behind the tables.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        self.objects.clone()
    }

    /// Every file of every table.
    pub async fn files(&self) -> Result<Vec<PinnedFile>> {
        let mut files = Vec::new();
        for (_, dataset) in &self.tables {
            files.extend(self.files_of(dataset).await?);
        }
        Ok(files)
    }

    async fn files_of(&self, dataset: &Dataset) -> Result<Vec<PinnedFile>> {
        let failed = |e: datafusion::error::DataFusionError| Error::unavailable("list the files of a table", e);
        let version = dataset.version_id();
        let options = TrackedFilesOptions { min_version: Some(version), ..TrackedFilesOptions::default() };
        let mut listed = dataset.tracked_files_with_options(options).await;
        // The folder of the table: what its data folder lies in.
        let data = dataset.data_dir();
        let folder: Path = data.parts().take(data.parts().count() - 1).collect();
        let mut files = Vec::new();
        while let Some(batch) = listed.try_next().await.map_err(failed)? {
            let column = |name: &str, kind: &DataType| {
                let found = batch.column_by_name(name).and_then(|column| cast(column, kind).ok());
                found.expect("Lance documents the columns of this list")
            };
            let (versions, paths) = (column("version", &DataType::Int64), column("path", &DataType::Utf8));
            let (versions, paths) = (versions.as_primitive::<Int64Type>(), paths.as_string::<i32>());
            for row in (0..batch.num_rows()).filter(|row| versions.value(*row) as u64 == version) {
                let path: Path = folder.parts().chain(Path::from(paths.value(row)).parts()).collect();
                files.push(PinnedFile { name: self.below(&path), path });
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        files.dedup();
        Ok(files)
    }

    fn below(&self, path: &Path) -> String {
        match path.prefix_match(&self.base) {
            Some(parts) => parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"),
            None => path.to_string(),
        }
    }
}
