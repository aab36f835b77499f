//! Reads fragments of one table: only zones that can hold an answer, filter columns first, and the rest of a row only
//! when the row is shown. Reading whole bodies to show fifty of them is what makes a store slow.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef, UInt64Type};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::physical_expr::PhysicalExpr;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use lance::dataset::fragment::{FileFragment, FragReadConfig, FragmentReader};
use lance_core::ROW_ADDR;
use lance_io::scheduler::ScanScheduler;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::filter::Pruning;
use super::reader::Reader;
use super::{BATCH_ROWS, Piece, outside};
use crate::facts::zones::{Ids, Times, ZONE_ROWS, Zones, zone_range};
use crate::table::{Index, Type};

/// Batches that are read ahead.
const BATCHES_AHEAD: usize = 2;
/// Zones whose filter columns are read before the rest of their rows is.
const CHUNK_ZONES: usize = 8;
/// Of so many rows, if one is shown, the shown rows are fetched one by one; if more are, all are read. Each fetch
/// decompresses the chunk of a few hundred rows that it stands in.
const ROWS_PER_TAKE: usize = 256;
/// A narrow column costs less to read than to fetch later; so many of them do not.
const NARROW_LATER_MIN: usize = 4;

/// How one partition reads its fragments.
pub(super) struct Plan {
    reader: Reader,
    scheduler: Arc<ScanScheduler>,
    /// Columns that are read of every row.
    first: Vec<String>,
    /// Columns that are read of shown rows only.
    later: Vec<String>,
    bound: OnceLock<Option<Arc<dyn PhysicalExpr>>>,
    pruning: Mutex<Arc<Pruning>>,
}

/// One fragment that is being read.
struct Open {
    fragment: FileFragment,
    rows: u64,
    first: FragmentReader,
    later: OnceCell<FragmentReader>,
    zones: Zones,
}

impl Open {
    /// The rows of some zones, in order, neighbours joined.
    fn ranges(&self, zones: &[usize]) -> Arc<[Range<u64>]> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for range in zones.iter().map(|zone| zone_range(*zone, self.rows)) {
            match ranges.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => ranges.push(range),
            }
        }
        ranges.into()
    }
}

impl Plan {
    pub fn new(reader: Reader, scheduler: Arc<ScanScheduler>) -> DfResult<Plan> {
        let wanted: BTreeSet<String> = reader.schema.fields().iter().map(|f| f.name().clone()).collect();
        let all = reader.columns(wanted.iter().cloned());
        let (mut first, mut later) = (all, Vec::new());
        if !reader.filters.asked.is_empty() {
            let needed: BTreeSet<String> = reader.columns(std::iter::empty()).into_iter().collect();
            let rest: Vec<String> = wanted.difference(&needed).cloned().collect();
            if rest.len() >= NARROW_LATER_MIN || rest.iter().any(|name| is_wide(&reader, name)) {
                (first, later) = (needed.into_iter().collect(), rest);
            }
        }
        let pruning = Mutex::new(Arc::new(reader.filters.pruning(&reader.snapshot.table.sql_schema())?));
        Ok(Plan { reader, scheduler, first, later, bound: OnceLock::new(), pruning })
    }

    /// The rows of one piece of a fragment.
    pub async fn open(self: Arc<Self>, piece: Piece) -> DfResult<BoxStream<'static, DfResult<RecordBatch>>> {
        let fragment = FileFragment::new(self.reader.snapshot.dataset.clone(), piece.fragment);
        let rows = fragment.physical_rows().await.map_err(outside)? as u64;
        let zones = self.zones(&fragment, rows).await?;
        let mut kept = self.kept(&zones)?;
        kept.retain(|zone| piece.zones.contains(zone));
        if kept.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let config = FragReadConfig::default().with_row_address(!self.later.is_empty());
        let first = self.reader_of(&fragment, &self.first, config).await?;
        let open = Open { fragment, rows, first, later: OnceCell::new(), zones };
        match (&open.zones.times, self.reader.latest_first) {
            (Some((.., times)), Some(latest_first)) => {
                let sorted = times.sorted(kept, latest_first);
                Ok(self.in_chunks(open, &sorted))
            }
            _ if !self.later.is_empty() => Ok(self.in_chunks(open, &kept)),
            _ => self.stream(open, &kept).await,
        }
    }

    async fn reader_of(
        &self,
        fragment: &FileFragment,
        names: &[String],
        config: FragReadConfig,
    ) -> DfResult<FragmentReader> {
        let columns = fragment.schema().project(names).map_err(outside)?;
        fragment.open(&columns, config.with_scan_scheduler(self.scheduler.clone())).await.map_err(outside)
    }

    /// What the filters and the order need to know of the fragment's zones.
    async fn zones(&self, fragment: &FileFragment, rows: u64) -> DfResult<Zones> {
        let table = self.reader.snapshot.table;
        let kind = |name: &str| table.sql_schema().field_with_name(name).map(|field| field.data_type().clone());
        let mut zones = Zones { count: (rows as usize).div_ceil(ZONE_ROWS), ..Zones::default() };
        if self.reader.latest_first.is_some() || self.reader.filters.reads(table.time) {
            zones.times = Some((table.time, kind(table.time)?, self.times(fragment, rows).await?));
        }
        for Index::BTree(column) in table.indexes {
            if self.reader.filters.reads(column) {
                zones.ids.push((column, kind(column)?, self.ids(fragment, rows, column).await?));
            }
        }
        Ok(zones)
    }

    async fn times(&self, fragment: &FileFragment, rows: u64) -> DfResult<Arc<Times>> {
        let (cache, id) = (&self.reader.snapshot.zones, fragment.id() as u64);
        if let Some(times) = cache.times(id) {
            return Ok(times);
        }
        let _turn = cache.turn(id).await;
        if let Some(times) = cache.times(id) {
            return Ok(times);
        }
        let mut times = Times::default();
        self.each_zone(fragment, rows, self.reader.snapshot.table.time, |column| times.push(column)).await?;
        let times = Arc::new(times);
        cache.keep_times(id, times.clone());
        Ok(times)
    }

    async fn ids(&self, fragment: &FileFragment, rows: u64, column: &'static str) -> DfResult<Arc<Ids>> {
        let (cache, id) = (&self.reader.snapshot.zones, fragment.id() as u64);
        if let Some(ids) = cache.ids(id, column) {
            return Ok(ids);
        }
        let _turn = cache.turn(id).await;
        if let Some(ids) = cache.ids(id, column) {
            return Ok(ids);
        }
        let mut ids = Ids::default();
        self.each_zone(fragment, rows, column, |column| ids.push(column)).await?;
        let ids = Arc::new(ids);
        cache.keep_ids(id, column, ids.clone());
        Ok(ids)
    }

    /// Hands a column over, zone by zone.
    async fn each_zone(
        &self,
        fragment: &FileFragment,
        rows: u64,
        column: &str,
        mut take: impl FnMut(&ArrayRef),
    ) -> DfResult<()> {
        let config = FragReadConfig::default().with_ignore_deletions(true);
        let reader = self.reader_of(fragment, &[column.to_owned()], config).await?;
        let whole: Arc<[Range<u64>]> = Arc::new([0..rows]);
        let batches = reader.read_ranges(whole, ZONE_ROWS as u32).await.map_err(outside)?;
        let mut batches = batches.buffered(BATCHES_AHEAD);
        while let Some(batch) = batches.try_next().await.map_err(outside)? {
            take(batch.column(0));
        }
        Ok(())
    }

    /// The zones that can hold an answer, as far as is known now.
    fn kept(&self, zones: &Zones) -> DfResult<Vec<usize>> {
        self.pruning()?.kept(zones)
    }

    fn pruning(&self) -> DfResult<Arc<Pruning>> {
        let mut newest = self.pruning.lock();
        if newest.generation != self.reader.filters.generation() {
            *newest = Arc::new(self.reader.filters.pruning(&self.reader.snapshot.table.sql_schema())?);
        }
        Ok(newest.clone())
    }

    /// Every needed column of every row, filtered as it comes.
    async fn stream(
        self: Arc<Self>,
        open: Open,
        zones: &[usize],
    ) -> DfResult<BoxStream<'static, DfResult<RecordBatch>>> {
        let batches = open.first.read_ranges(open.ranges(zones), BATCH_ROWS as u32).await.map_err(outside)?;
        let shown = batches.buffered(BATCHES_AHEAD).map(move |batch| {
            let rows = self.filtered(batch.map_err(outside)?)?;
            self.reader.shape(&rows)
        });
        Ok(shown.boxed())
    }

    fn filtered(&self, rows: RecordBatch) -> DfResult<RecordBatch> {
        let bound = match self.bound.get() {
            Some(bound) => bound,
            // Every batch of the first columns has one schema.
            None => {
                let bound = self.reader.filters.bind(&rows.schema())?;
                self.bound.get_or_init(|| bound)
            }
        };
        let visible = self.reader.visible.get().expect("known before anything is read");
        self.reader.filters.rows(rows, visible, bound.as_ref())
    }

    /// Chunk by chunk, each only if it can still hold an answer by then.
    fn in_chunks(self: Arc<Self>, open: Open, zones: &[usize]) -> BoxStream<'static, DfResult<RecordBatch>> {
        let chunks: VecDeque<Vec<usize>> = zones.chunks(CHUNK_ZONES).map(<[usize]>::to_vec).collect();
        let generation = self.reader.filters.generation();
        let start = (self, open, chunks, generation, None::<BTreeSet<usize>>);
        stream::try_unfold(start, |(plan, open, mut chunks, mut generation, mut kept)| async move {
            let Some(mut chunk) = chunks.pop_front() else { return Ok::<_, DataFusionError>(None) };
            let now = plan.reader.filters.generation();
            if now != generation {
                generation = now;
                kept = Some(plan.kept(&open.zones)?.into_iter().collect());
            }
            if let Some(kept) = &kept {
                chunk.retain(|zone| kept.contains(zone));
            }
            let shown = match chunk.is_empty() {
                true => Vec::new(),
                false => plan.chunk(&open, chunk).await?,
            };
            Ok(Some((stream::iter(shown.into_iter().map(Ok)), (plan, open, chunks, generation, kept))))
        })
        .try_flatten()
        .boxed()
    }

    async fn chunk(&self, open: &Open, mut zones: Vec<usize>) -> DfResult<Vec<RecordBatch>> {
        zones.sort_unstable();
        let ranges = open.ranges(&zones);
        let read = read(&open.first, &ranges).await?;
        let mut shown = Vec::with_capacity(read.len());
        for batch in &read {
            shown.push(self.filtered(batch.clone())?);
        }
        let (all, some) = (count(&read), count(&shown));
        if some == 0 {
            return Ok(Vec::new());
        }
        if self.later.is_empty() {
            return shown.iter().map(|rows| self.reader.shape(rows)).collect();
        }
        let config = FragReadConfig::default();
        let later = open.later.get_or_try_init(|| self.reader_of(&open.fragment, &self.later, config)).await?;
        if some.saturating_mul(ROWS_PER_TAKE) <= all {
            let first = concat_batches(&shown[0].schema(), &shown)?;
            let places: Vec<u32> = addresses(&first).iter().map(|address| *address as u32).collect();
            let rest = later.take_as_batch(&places, None).await.map_err(outside)?;
            return Ok(vec![self.reader.shape(&beside(&first, &rest)?)?]);
        }
        let rest = read_all(later, &ranges, &read).await?;
        let pairs = read.iter().zip(&shown).zip(&rest).filter(|((_, shown), _)| shown.num_rows() > 0);
        pairs
            .map(|((read, shown), rest)| {
                let rest = match read.num_rows() == shown.num_rows() {
                    true => rest.clone(),
                    false => take_record_batch(rest, &positions(addresses(read), addresses(shown)))?,
                };
                self.reader.shape(&beside(shown, &rest)?)
            })
            .collect()
    }
}

/// Whether a cell of a column can be long.
fn is_wide(reader: &Reader, name: &str) -> bool {
    let column = reader.snapshot.table.columns.iter().find(|column| column.name == name);
    column.is_some_and(|column| matches!(column.kind, Type::Text | Type::Json | Type::Bytes | Type::Vector(_)))
}

async fn read(reader: &FragmentReader, ranges: &Arc<[Range<u64>]>) -> DfResult<Vec<RecordBatch>> {
    let batches = reader.read_ranges(ranges.clone(), BATCH_ROWS as u32).await.map_err(outside)?;
    batches.buffered(BATCHES_AHEAD).try_collect().await.map_err(outside)
}

/// Other columns of the same rows, cut as `like` is.
async fn read_all(
    reader: &FragmentReader,
    ranges: &Arc<[Range<u64>]>,
    like: &[RecordBatch],
) -> DfResult<Vec<RecordBatch>> {
    let rest = read(reader, ranges).await?;
    let same = rest.len() == like.len() && rest.iter().zip(like).all(|(a, b)| a.num_rows() == b.num_rows());
    if same {
        return Ok(rest);
    }
    if count(&rest) != count(like) {
        return Err(DataFusionError::Internal("two readers of one fragment disagree about its rows".to_owned()));
    }
    let whole = concat_batches(&rest[0].schema(), &rest)?;
    let mut at = 0;
    Ok(like
        .iter()
        .map(|like| {
            at += like.num_rows();
            whole.slice(at - like.num_rows(), like.num_rows())
        })
        .collect())
}

fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// Where the rows stand in the table. The lower half is the place in the fragment.
fn addresses(rows: &RecordBatch) -> &[u64] {
    let column = rows.column_by_name(ROW_ADDR).expect("the first columns come with the address");
    column.as_primitive::<UInt64Type>().values()
}

/// Where `some` stand among `all`; both grow.
fn positions(all: &[u64], some: &[u64]) -> UInt32Array {
    let mut some = some.iter().peekable();
    let places = all.iter().enumerate().filter(|(_, address)| some.next_if_eq(address).is_some());
    places.map(|(place, _)| place as u32).collect()
}

/// Two batches of the same rows as one.
fn beside(left: &RecordBatch, right: &RecordBatch) -> DfResult<RecordBatch> {
    let fields: Vec<_> = left.schema().fields().iter().chain(right.schema().fields()).cloned().collect();
    let columns = left.columns().iter().chain(right.columns()).cloned().collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new(schema, columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_rows_are_found_among_the_read_ones() {
        let places = positions(&[10, 11, 14, 15, 20], &[11, 15, 20]);
        assert_eq!(places.values(), &[1, 3, 4]);
    }
}
