//! What an erasure takes out of the search: every chunk of a document of which something goes, what a model wrote about it,
//! the vectors of these chunks, and all that lies in files. What is left is cut and embedded anew.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::erase::Fate;
use engine::store::erase::Found;
use engine::{Also, Error, Order, Result};
use ledger::erase::Derived;

use super::room::SearchRoom;
use super::switch::ACTIVE;
use crate::stored::{CHUNK, CHUNK_PREFIX, Cells, EMBEDDING, EMBEDDING_1024, EMBEDDING_3072};

/// How long questions that still read the old index are waited for.
const LET_GO: Duration = Duration::from_secs(5);
const LET_GO_PAUSE: Duration = Duration::from_millis(20);

/// A search whose files an erasure may throw away.
#[derive(Debug)]
pub struct ErasedWith(pub Arc<SearchRoom>);

#[async_trait]
impl Derived for ErasedWith {
    async fn pause(&self) -> Result<()> {
        let held = self.0.opened();
        self.0.rest().await;
        // Whoever searches now holds files open; they go with it.
        let begun = std::time::Instant::now();
        while held.as_ref().is_some_and(|held| Arc::strong_count(held) > 1) && begun.elapsed() < LET_GO {
            tokio::time::sleep(LET_GO_PAUSE).await;
        }
        Ok(())
    }

    async fn behind(&self, order: &Order, found: &Found) -> Result<Vec<Also>> {
        let (store, _) = self.0.place()?;
        let columns: Vec<&str> = order.columns(&CHUNK).into_iter().chain(["document_seq"]).collect();
        let mut documents: HashSet<String> = HashSet::new();
        let gone = |seq: Option<i64>| {
            seq.and_then(|seq| u64::try_from(seq).ok()).is_some_and(|seq| found.places.contains(seq))
        };
        let mut take = |batch: &engine::arrow::array::RecordBatch| {
            let (fates, cells) = (order.fates(&CHUNK, batch)?, Cells::of(batch)?);
            for (row, fate) in fates.rows.iter().enumerate() {
                if *fate != Fate::Stays || gone(cells.number("document_seq", row)) {
                    documents.extend(cells.text("document", row).map(str::to_owned));
                }
            }
            Ok(())
        };
        store.each_stored(&CHUNK, &columns, &mut take).await?;
        let mut hashes: HashSet<String> = HashSet::new();
        let mut take = |batch: &engine::arrow::array::RecordBatch| {
            let cells = Cells::of(batch)?;
            for row in
                (0..cells.len()).filter(|row| cells.text("document", *row).is_some_and(|d| documents.contains(d)))
            {
                hashes.extend(cells.text("hash", row).map(str::to_owned));
            }
            Ok(())
        };
        store.each_stored(&CHUNK, &["document", "hash"], &mut take).await?;
        let mut also = Vec::new();
        for table in [&EMBEDDING, &EMBEDDING_1024, &EMBEDDING_3072].into_iter().filter(|_| !hashes.is_empty()) {
            also.push(Also { table: table.name, column: "hash", cells: hashes.clone() });
        }
        if !documents.is_empty() {
            also.push(Also { table: CHUNK_PREFIX.name, column: "document", cells: documents.clone() });
            also.push(Also { table: CHUNK.name, column: "document", cells: documents });
        }
        Ok(also)
    }

    async fn renew(&self) -> Result<()> {
        let (_, dir) = self.0.place()?;
        let thrown = throw_away(&dir);
        self.0.wake();
        thrown.map_err(|e| Error::unavailable("throw the old index away", e))
    }
}

/// Empties the folder of what is derived; which model is in use says nothing about anybody.
fn throw_away(dir: &Path) -> std::io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            _ if entry.file_name() == ACTIVE => {}
            true => std::fs::remove_dir_all(entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}
