//! Keeps the declared indexes over the flushed fragments. Only fragments that compaction has done with are indexed:
//! Lance does not join fragments of different index segments. Segments are built beside flushes; only the commit waits
//! its turn.

use std::collections::BTreeSet;
use std::sync::Arc;

use lance::Dataset;
use lance::dataset::CommitBuilder;
use lance::dataset::transaction::{Operation, TransactionBuilder};
use lance::index::CreateIndexBuilder;
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::{BuiltinIndexType, ScalarIndexParams};
use lance_table::format::IndexMetadata;

use super::maintain::{FRAGMENT_ROWS, REWRITE_BYTES};
use super::{Facts, lance_error};
use crate::error::Result;
use crate::fault::{Point, reached};
use crate::table::Index;

/// Segments of one index; a look-up asks each, so more are joined.
const SEGMENTS_MAX: usize = 6;

impl Facts {
    /// Builds the declared indexes over settled fragments that lack them.
    pub(super) async fn index(&self) -> Result<()> {
        for index in self.table.indexes {
            let Index::BTree(column) = index;
            self.index_column(column).await?;
        }
        Ok(())
    }

    async fn index_column(&self, column: &str) -> Result<()> {
        let doing = || format!("index table {}", self.table.name);
        let mut dataset = self.snapshot().dataset.as_ref().clone();
        let name = index_name(column);
        let built = dataset.load_indices().await.map_err(lance_error(doing()))?;
        let segments: Vec<IndexMetadata> = built.iter().filter(|i| i.name == name).cloned().collect();
        let Some((fragments, replaced)) = due(&dataset, segments) else { return Ok(()) };
        let _memory = self.memory.take("index building", REWRITE_BYTES)?;
        reached(Point::IndexBegun);
        let params = ScalarIndexParams::for_builtin(BuiltinIndexType::BTree);
        let mut builder = CreateIndexBuilder::new(&mut dataset, &[column], IndexType::BTree, &params)
            .name(name)
            .replace(true)
            .fragments(fragments);
        let segment = builder.execute_uncommitted().await.map_err(lance_error(doing()))?;
        let version = segment.dataset_version;
        let operation = Operation::CreateIndex { new_indices: vec![segment], removed_indices: replaced };
        let _turn = self.turn_to_commit().await?;
        let transaction = TransactionBuilder::new(version, operation).build();
        let committed = CommitBuilder::new(self.snapshot().dataset).execute(transaction).await;
        let committed = committed.map_err(|e| self.doubt(&doing(), e))?;
        reached(Point::IndexCommitted);
        self.put_in_place(Arc::new(committed));
        Ok(())
    }
}

/// What the index of a column is called.
pub(super) fn index_name(column: &str) -> String {
    format!("{column}_btree")
}

/// The fragments that a new segment should cover, and the segments that it replaces. A few small segments become one
/// with the new fragments, so that none is rewritten more often than its share of the table asks for.
fn due(dataset: &Dataset, mut segments: Vec<IndexMetadata>) -> Option<(Vec<u32>, Vec<IndexMetadata>)> {
    let covers = |segment: &IndexMetadata| -> BTreeSet<u32> {
        segment.fragment_bitmap.as_ref().map(|bitmap| bitmap.iter().collect()).unwrap_or_default()
    };
    let covered: BTreeSet<u32> = segments.iter().flat_map(covers).collect();
    let settled = |rows: Option<usize>| rows.is_none_or(|rows| rows >= FRAGMENT_ROWS / 2);
    let live: BTreeSet<u32> = dataset.fragments().iter().map(|f| f.id as u32).collect();
    let mut wanted: BTreeSet<u32> =
        dataset.fragments().iter().filter(|f| settled(f.physical_rows)).map(|f| f.id as u32).collect();
    wanted.retain(|id| !covered.contains(id));
    if wanted.is_empty() {
        return None;
    }
    segments.sort_by_key(|segment| std::cmp::Reverse(covers(segment).len()));
    // The largest stay; what is no larger than the new share, or one too many, is joined to it.
    let mut replaced = Vec::new();
    while let Some(smallest) = segments.last() {
        if segments.len() < SEGMENTS_MAX && covers(smallest).len() > wanted.len() {
            break;
        }
        let smallest = segments.pop().expect("it is the last");
        wanted.extend(covers(&smallest).intersection(&live));
        replaced.push(smallest);
    }
    Some((wanted.into_iter().collect(), replaced))
}
