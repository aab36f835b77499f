//! One round of maintenance of one table: retention and superseded rows → compaction → indexes → cleaning. One owner runs
//! it (Lance's own conflict rules make concurrent rewrites waste their work), and flushes wait only for its commits.

use std::sync::Arc;
use std::time::Duration;

use datafusion::logical_expr::{Expr, col, ident, lit};
use futures::TryStreamExt;
use lance::Dataset;
use lance::dataset::DeleteBuilder;
use lance::dataset::cleanup::CleanupPolicy;
use lance::dataset::index::DatasetIndexRemapperOptions;
use lance::dataset::optimize::{CompactionOptions, commit_compaction, plan_compaction};

use super::current::{Base, Bound};
use super::floor::{Floor, Note};
use super::{Facts, lance_error};
use crate::error::Result;
use crate::fault::{Point, reached};
use crate::keep::Keeper;
use crate::table::{OP, SEQ};

/// Fragments smaller than this are joined.
pub(super) const FRAGMENT_ROWS: usize = 1 << 20;
/// So many small fragments make a compaction worth its writes.
const SMALL_FRAGMENTS_MIN: usize = 8;
/// Rows that one compaction reads at most; bounds its memory and its time.
const COMPACTION_ROWS_MAX: usize = 4 << 20;
/// Rows of a batch that compaction writes. Lance joins the dictionaries of batches without merging them, so that small
/// batches store the same names again and again (with 8,192 rows a log table of 76 MB became one of 94).
const REWRITE_ROWS: usize = 65_536;
/// What compaction and index building take from the memory budget: batches on their way from old files to new ones.
pub(super) const REWRITE_BYTES: usize = 32 << 20;
/// Old versions stay readable for running questions this long.
const VERSIONS_KEPT: Duration = Duration::from_secs(600);
/// How often rows past their retention or horizon are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Rows deleted by one predicate.
pub(super) const DELETE_ROWS: usize = 20_000;
impl Facts {
    /// One round. Running it twice changes nothing more. `next` is the `_seq` that the next row of the store gets.
    pub async fn maintain(&self, now_us: i64, horizon: Duration, keeper: &dyn Keeper, next: u64) -> Result<()> {
        if self.snapshot().dataset.count_fragments() == 0 {
            return Ok(());
        }
        if self.sweep_is_due(now_us) {
            // Whoever cannot say what is held must not lose it: then nothing goes for its age, and the rest is done.
            match keeper.kept(self.table).await {
                Ok(kept) => {
                    if let Some(expired) = self.expire(&kept, now_us, next).await? {
                        keeper.expired(&expired).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(table = self.table.name, %error, "what is kept is not known; nothing is deleted")
                }
            }
            self.drop_superseded(now_us, horizon).await?;
            self.inner.lock().swept_us = now_us;
        }
        self.compact().await?;
        self.index().await?;
        self.clean(now_us).await
    }

    pub(super) fn doing(&self, what: &str) -> String {
        format!("{what} table {}", self.table.name)
    }

    /// Lets the next round look for rows to delete, however short ago that was done.
    pub fn sweep_soon(&self) {
        self.inner.lock().swept_us = 0;
    }

    /// Looking for rows to delete reads every key, so it is not done at every round.
    fn sweep_is_due(&self, now_us: i64) -> bool {
        let since = now_us.saturating_sub(self.inner.lock().swept_us);
        since >= i64::try_from(SWEEP_EVERY.as_micros()).expect("an hour fits")
    }

    /// Puts a commit of maintenance in place. The caller has the turn to commit, so none came between.
    pub(super) fn put_in_place(&self, dataset: Arc<Dataset>) {
        self.inner.lock().adopt(dataset, vec![], None);
    }

    pub(crate) async fn delete(&self, filter: Expr) -> Result<u64> {
        let _turn = self.turn_to_commit().await?;
        let dataset = self.snapshot().dataset;
        let deleted = DeleteBuilder::from_expr(dataset, filter)
            .execute()
            .await
            .map_err(|e| self.doubt(&self.doing("delete from"), e))?;
        reached(Point::DeleteCommitted);
        self.put_in_place(deleted.new_dataset);
        Ok(deleted.num_deleted_rows)
    }

    /// Deletes rows that were superseded before the horizon.
    async fn drop_superseded(&self, now_us: i64, horizon: Duration) -> Result<()> {
        let until = now_us - i64::try_from(horizon.as_micros()).unwrap_or(i64::MAX);
        let dataset = self.snapshot().dataset;
        let gone = match Base::at(self.table, &dataset, Bound::Time(until)).await? {
            Base::Every => return Ok(()),
            Base::Keyed(keyed) => self.dead_keyed(&dataset, &keyed, until).await?,
            Base::Sets(marks) => marks
                .iter()
                .flat_map(|(tenant, sets)| sets.iter().map(move |(set, mark)| (tenant, set, *mark)))
                .map(|(tenant, set, mark)| {
                    let before = col(SEQ).lt(lit(i64::try_from(mark).unwrap_or(i64::MAX)));
                    let set = ident(self.table.set.expect("a table with marks has a set column")).eq(lit(set.as_str()));
                    let own = ident(self.table.tenant).eq(lit(tenant.as_str()));
                    (own.and(set).and(before).and(col(OP).is_null()), mark)
                })
                .collect(),
        };
        let (mut floor, mut found) = (0, Vec::new());
        for (filter, seq) in gone {
            if self.count(filter.clone(), None).await? > 0 {
                floor = floor.max(seq);
                found.push(filter);
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        self.note_floors(&[Note { floor: Floor::Superseded, tenant: None, seq: floor, us: until }]).await?;
        for filter in found {
            self.delete(filter).await?;
        }
        Ok(())
    }

    /// Rows acknowledged up to `until` that were not current then, as predicates with the newest `_seq` they cover.
    async fn dead_keyed(
        &self,
        dataset: &Arc<Dataset>,
        keyed: &super::current::Keyed,
        until: i64,
    ) -> Result<Vec<(Expr, u64)>> {
        let doing = || self.doing("read the log places of");
        let mut scan = dataset.scan();
        scan.project(&[SEQ]).map_err(lance_error(doing()))?;
        if let Some(filter) = Bound::Time(until).filter(self.table) {
            scan.filter_expr(filter);
        }
        let stream = scan.try_into_stream().await.map_err(lance_error(doing()))?;
        let batches: Vec<_> = stream.try_collect().await.map_err(lance_error(doing()))?;
        let (mut dead, mut newest) = (Vec::new(), 0);
        for batch in &batches {
            for seq in super::current::seqs(batch)?.values() {
                newest = newest.max(*seq as u64);
                if !keyed.is_live(*seq as u64) {
                    dead.push(*seq);
                }
            }
        }
        let in_list = |seqs: &[i64]| col(SEQ).in_list(seqs.iter().map(|s| lit(*s)).collect(), false);
        Ok(dead.chunks(DELETE_ROWS).map(|seqs| (in_list(seqs), newest)).collect())
    }

    /// Joins small fragments. The rewriting happens beside flushes, only the commit waits its turn.
    async fn compact(&self) -> Result<()> {
        let dataset = self.snapshot().dataset;
        let small = dataset
            .get_fragments()
            .iter()
            .filter(|f| f.metadata().physical_rows.unwrap_or(0) < FRAGMENT_ROWS / 2)
            .count();
        if small < SMALL_FRAGMENTS_MIN {
            return Ok(());
        }
        let options = CompactionOptions {
            target_rows_per_fragment: FRAGMENT_ROWS,
            max_source_rows: Some(COMPACTION_ROWS_MAX),
            num_threads: Some(1),
            batch_size: Some(REWRITE_ROWS),
            io_buffer_size: Some(super::scan::IO_BUFFER_BYTES),
            ..CompactionOptions::default()
        };
        let _memory = self.memory.take("compaction", REWRITE_BYTES)?;
        let doing = || self.doing("compact");
        let plan = plan_compaction(&dataset, &options).await.map_err(lance_error(doing()))?;
        let mut rewritten = Vec::with_capacity(plan.num_tasks());
        for task in plan.compaction_tasks() {
            rewritten.push(task.execute(&dataset).await.map_err(lance_error(doing()))?);
        }
        if rewritten.is_empty() {
            return Ok(());
        }
        reached(Point::CompactionRewritten);
        let _turn = self.turn_to_commit().await?;
        let mut dataset = self.snapshot().dataset.as_ref().clone();
        let remap = Arc::new(DatasetIndexRemapperOptions::default());
        let committed = commit_compaction(&mut dataset, rewritten, remap, &options).await;
        committed.map_err(|e| self.doubt(&doing(), e))?;
        reached(Point::CompactionCommitted);
        self.put_in_place(Arc::new(dataset));
        Ok(())
    }

    /// Deletes files that only old versions use. Never the newest version that says how far the log was flushed.
    async fn clean(&self, now_us: i64) -> Result<()> {
        let (dataset, marked) = {
            let inner = self.inner.lock();
            (inner.dataset.clone(), inner.marked_version)
        };
        let kept = i64::try_from(VERSIONS_KEPT.as_micros()).expect("minutes fit");
        let policy = CleanupPolicy {
            before_timestamp: chrono::DateTime::from_timestamp_micros(now_us - kept),
            before_version: Some(marked),
            ..CleanupPolicy::default()
        };
        if marked > 0 {
            reached(Point::CleanBegun);
            dataset.cleanup_with_policy(policy).await.map_err(lance_error(self.doing("clean")))?;
            reached(Point::CleanDone);
        }
        Ok(())
    }
}
