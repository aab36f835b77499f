//! Erasing in an open store: what an order finds, the fragments written anew, the log emptied of what is flushed, old versions
//! cleaned, and every file searched for bytes that are still there.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};
use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};

use super::{MAINTENANCE_LEASE, Store};
use crate::erase::{ErasedTable, Order, Seen, ranges};
use crate::error::{Error, Kind, Result};
use crate::facts::floor::{Floor, Note};
use crate::facts::{Facts, rewrite::Look};
use crate::needles::Needles;
use crate::table::Table;

/// Bytes of a file that are searched at a time.
const PIECE_BYTES: usize = 4 << 20;
/// Files that are named; more are counted.
const FILES_NAMED_MAX: usize = 100;

/// What an order finds in the tables.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// By table and column.
    pub columns: Vec<Seen>,
    /// By table: what would be done to it.
    pub tables: Vec<ErasedTable>,
    /// Rows that were deleted before, whose bytes are still in the files.
    pub dead_rows: u64,
    /// Rows of other tenants that hold a value: no part of the order.
    pub elsewhere_rows: u64,
    /// Places in the log of rows that go or are masked.
    pub places: RoaringTreemap,
}

/// What a search of every file found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanned {
    /// Files and objects that were read to their end.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that hold a value, the first of them.
    pub holding: Vec<String>,
    /// How many hold one.
    pub holding_count: u64,
}

impl Scanned {
    fn note(&mut self, name: String) {
        self.holding_count += 1;
        if self.holding.len() < FILES_NAMED_MAX {
            self.holding.push(name);
        }
    }
}

impl Store {
    /// Looks through every stored row, superseded and deleted ones among them; nothing is changed but that the tails are
    /// flushed.
    pub async fn look(&self, order: Order) -> Result<Found> {
        self.flush().await?;
        let mut found = Found::default();
        let order = Arc::new(order);
        for facts in self.tables.values().filter(|facts| order.wants(facts.table)) {
            let mut columns: BTreeMap<String, (u64, u64)> = BTreeMap::new();
            let mut planned = ErasedTable { table: facts.table.name.to_owned(), ..ErasedTable::default() };
            let mut places = RoaringTreemap::new();
            for fragment in facts.fragments() {
                let (of, order) = (facts.clone(), order.clone());
                let look = self.background.run(async move { of.look(&order, &fragment).await }).await?;
                found.dead_rows += look.dead;
                found.elsewhere_rows += look.elsewhere;
                planned.fragments += u64::from(look.is_touched());
                planned.rows_deleted += look.gone.len();
                planned.rows_masked += look.masked.len();
                places |= &look.gone;
                places |= &look.masked;
                for (column, (rows, gone)) in look.columns {
                    let seen = columns.entry(column).or_default();
                    *seen = (seen.0 + rows, seen.1 + gone);
                }
            }
            if planned.fragments > 0 {
                found.tables.push(ErasedTable { ranges: ranges(places.iter()), ..planned });
            }
            found.places |= places;
            let table = facts.table;
            let seen = |(column, (rows, rows_deleted)): (String, (u64, u64))| Seen {
                table: table.name.to_owned(),
                is_personal: table.columns.iter().any(|c| c.name == column && c.personal),
                column,
                rows,
                rows_deleted,
            };
            found.columns.extend(columns.into_iter().filter(|(_, (rows, _))| *rows > 0).map(seen));
        }
        Ok(found)
    }

    /// Hands the stored rows of a table over, superseded ones among them, with these columns. What waits in the tail is not
    /// among them: flush first.
    pub async fn each_stored(
        &self,
        table: &Table,
        columns: &[&str],
        each: &mut (dyn FnMut(&RecordBatch) -> Result<()> + Send),
    ) -> Result<()> {
        self.facts(table.name)?.each_stored(columns, each).await
    }

    /// Takes what an order names out of the tables, fragment by fragment; each is one commit, so that a run that was cut off
    /// is simply run again. No look back reaches behind it in the tables that held something.
    pub async fn erase(&self, order: Order) -> Result<Vec<ErasedTable>> {
        let _alone = self.maintaining.lock().await;
        self.own_maintenance().await?;
        self.part_log().await?;
        let order = Arc::new(order);
        let mut done = Vec::new();
        for facts in self.tables.values().filter(|facts| order.wants(facts.table)) {
            let (erased, places) = self.erase_table(facts, &order).await?;
            if erased.fragments > 0 {
                done.push(ErasedTable { ranges: ranges(places.iter()), ..erased });
            }
        }
        Ok(done)
    }

    async fn erase_table(&self, facts: &Arc<Facts>, order: &Arc<Order>) -> Result<(ErasedTable, RoaringTreemap)> {
        let mut erased = ErasedTable { table: facts.table.name.to_owned(), ..ErasedTable::default() };
        let mut places = RoaringTreemap::new();
        for fragment in facts.fragments() {
            let (of, wanted, looked_at) = (facts.clone(), order.clone(), fragment.clone());
            let look: Look = self.background.run(async move { of.look(&wanted, &looked_at).await }).await?;
            if !look.is_touched() {
                continue;
            }
            if erased.fragments == 0 {
                let (us, seq) = (self.ports.clock.now_us(), self.writer.next_seq());
                facts.note_floors(&[Note { floor: Floor::Erased, tenant: order.tenant.clone(), seq, us }]).await?;
                facts.drop_indexes().await?;
            }
            erased.fragments += 1;
            erased.rows_deleted += look.gone.len();
            erased.rows_masked += look.masked.len();
            places |= &look.gone;
            places |= &look.masked;
            let (store, of, wanted) = (self.shared(), facts.clone(), order.clone());
            let next = self.writer.next_seq();
            let rewriting = async move { of.rewrite(wanted, &fragment, &look, next, store.writer.still_owner()).await };
            self.background.run(rewriting).await?;
        }
        if erased.fragments > 0 {
            let (of, next) = (facts.clone(), self.writer.next_seq());
            self.background.run(async move { of.clean_all(next).await }).await?;
        }
        Ok((erased, places))
    }

    /// Deletes old versions and whatever no version refers to, in every table: what a crash left, too.
    pub async fn clean_all(&self) -> Result<()> {
        let _alone = self.maintaining.lock().await;
        self.own_maintenance().await?;
        for facts in self.tables.values() {
            let (of, next) = (facts.clone(), self.writer.next_seq());
            self.background.run(async move { of.clean_all(next).await }).await?;
        }
        Ok(())
    }

    /// Leaves nothing in the log of what was written so far: it is flushed first.
    pub async fn part_log(&self) -> Result<()> {
        self.writer.part().await?;
        self.flush().await?;
        self.writer.part().await?;
        let bytes = self.writer.truncate().await?;
        self.wal_bytes.store(bytes, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    /// Fails where another process maintains this store: it would work on what is written anew here.
    pub(super) async fn own_maintenance(&self) -> Result<()> {
        // Tables in the data directory have one owner, by its lock; the lease may still be that of a process that was killed.
        if self.settings.store.is_none() {
            return Ok(());
        }
        let work = format!("maintain {}", self.place.url());
        let lease = self.state.lease(&work, &self.holder, MAINTENANCE_LEASE, self.ports.clock.now_us()).await?;
        let taken = || Error::new(Kind::Conflict, "another process maintains this store; try again in five minutes");
        lease.map(|_| ()).ok_or_else(taken)
    }

    /// Searches every file of the data directory and of the tables, as bytes. What is compressed inside is not seen here, and
    /// is what [`Store::look`] reads. `but` names files of the data directory that are left out.
    pub async fn scan_files(&self, needles: &Needles, but: &[&str]) -> Result<Scanned> {
        let mut folders = vec![self.settings.data.clone()];
        let here = self.place.folder();
        folders.extend(here.iter().filter(|folder| !folder.starts_with(&self.settings.data)).cloned());
        let (wanted, left_out) =
            (needles.clone(), but.iter().map(|name| self.settings.data.join(name)).collect::<Vec<_>>());
        let scanning = move || {
            let mut scanned = Scanned::default();
            folders.iter().try_for_each(|folder| scan_folder(folder, &wanted, &left_out, &mut scanned))?;
            Ok::<_, std::io::Error>(scanned)
        };
        let scanned = tokio::task::spawn_blocking(scanning).await.expect("searching files never panics");
        let mut scanned = scanned.map_err(|e| Error::unavailable("search the store's files", e))?;
        if here.is_none() {
            self.scan_objects(needles, &mut scanned).await?;
        }
        Ok(scanned)
    }

    async fn scan_objects(&self, needles: &Needles, scanned: &mut Scanned) -> Result<()> {
        let objects = self.place.objects();
        let failed = |e: object_store::Error| Error::unavailable("search the store's objects", e);
        let mut listed = objects.list(Some(self.place.base()));
        while let Some(object) = listed.try_next().await.map_err(failed)? {
            let got = match objects.get(&object.location).await {
                Ok(got) => got,
                // Cleaned meanwhile.
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(e) => return Err(failed(e)),
            };
            let (mut rest, mut held, mut pieces) = (Vec::new(), false, got.into_stream());
            while let Some(piece) = pieces.next().await.transpose().map_err(failed)? {
                scanned.bytes += piece.len() as u64;
                rest.extend_from_slice(&piece);
                held |= needles.is_in(&rest);
                rest.drain(..rest.len().saturating_sub(needles.overlap_bytes()));
            }
            scanned.files += 1;
            if held {
                scanned.note(object.location.to_string());
            }
        }
        Ok(())
    }
}

fn scan_folder(folder: &FilePath, needles: &Needles, but: &[PathBuf], scanned: &mut Scanned) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let (path, kind) = {
            let entry = entry?;
            (entry.path(), entry.file_type()?)
        };
        if but.contains(&path) {
            continue;
        }
        if kind.is_dir() {
            scan_folder(&path, needles, but, scanned)?;
        } else if kind.is_file() {
            match holds(&path, needles, scanned) {
                Ok(true) => scanned.note(path.display().to_string()),
                Ok(false) => {}
                // Flushed or cleaned meanwhile.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}

fn holds(path: &FilePath, needles: &Needles, scanned: &mut Scanned) -> std::io::Result<bool> {
    use std::io::Read;
    let mut file = std::fs::File::open(path)?;
    scanned.files += 1;
    let (mut piece, mut kept, mut held) = (vec![0; PIECE_BYTES], 0, false);
    loop {
        let read = file.read(&mut piece[kept..])?;
        if read == 0 {
            return Ok(held);
        }
        scanned.bytes += read as u64;
        let end = kept + read;
        held |= needles.is_in(&piece[..end]);
        kept = needles.overlap_bytes().min(end);
        piece.copy_within(end - kept..end, 0);
    }
}
