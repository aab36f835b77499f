//! Reads fragments of one table: only zones that can hold an answer, filter columns first, and the rest of a row only
//! when the row is shown. Reading whole bodies to show fifty of them is what makes a store slow.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef, UInt64Type};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::physical_expr::PhysicalExpr;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use lance::dataset::fragment::FileFragment;
use lance_core::ROW_ADDR;
use lance_io::scheduler::ScanScheduler;
use parking_lot::Mutex;

use super::Piece;
use super::filter::Pruning;
use super::reader::Reader;
use super::zoned::Zoned;
use crate::facts::owners::{Owners, Shows};
use crate::facts::zones::{Ids, Times, ZONE_ROWS, Zones};
use crate::scope::Tenants;
use crate::table::{Index, Type};

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
    /// For zones whose rows are all the asker's, and current.
    shown: Layout,
    /// For zones where that depends on the row.
    mixed: Layout,
    pruning: Mutex<Arc<Pruning>>,
}

/// Which columns are read, and when.
struct Layout {
    /// Every row is the asker's, and current: nothing is read to find that out.
    all_shown: bool,
    /// Columns that are read of every row.
    first: Vec<String>,
    /// Columns that are read of shown rows only.
    later: Vec<String>,
    /// The places of those among the first that are shown, and of the address.
    shown: Vec<usize>,
    bound: OnceLock<Option<Arc<dyn PhysicalExpr>>>,
}

impl Layout {
    fn new(reader: &Reader, all_shown: bool) -> Layout {
        let wanted: BTreeSet<String> = reader.schema.fields().iter().map(|f| f.name().clone()).collect();
        let (mut first, mut later) = (reader.columns(wanted.iter().cloned(), all_shown), Vec::new());
        if !reader.filters.asked.is_empty() {
            let needed: BTreeSet<String> = reader.columns(std::iter::empty(), all_shown).into_iter().collect();
            let rest: Vec<String> = wanted.difference(&needed).cloned().collect();
            if rest.len() >= NARROW_LATER_MIN || rest.iter().any(|name| is_wide(reader, name)) {
                (first, later) = (needed.into_iter().collect(), rest);
            }
        }
        let shown = (0..first.len()).filter(|at| wanted.contains(&first[*at]));
        let shown = shown.chain((!later.is_empty()).then_some(first.len())).collect();
        Layout { all_shown, first, later, shown, bound: OnceLock::new() }
    }
}

/// One fragment that is being read.
#[derive(Clone)]
struct Open {
    columns: Zoned,
    zones: Arc<Zones>,
}

impl Plan {
    pub fn new(reader: Reader, scheduler: Arc<ScanScheduler>) -> DfResult<Plan> {
        let (shown, mixed) = (Layout::new(&reader, true), Layout::new(&reader, false));
        let pruning = Mutex::new(Arc::new(reader.filters.pruning(&reader.snapshot.table.sql_schema())?));
        Ok(Plan { reader, scheduler, shown, mixed, pruning })
    }

    fn layout(&self, all_shown: bool) -> &Layout {
        if all_shown { &self.shown } else { &self.mixed }
    }

    /// The rows of one piece of a fragment.
    pub async fn open(self: Arc<Self>, piece: Piece) -> DfResult<BoxStream<'static, DfResult<RecordBatch>>> {
        let snapshot = &self.reader.snapshot;
        let fragment = FileFragment::new(snapshot.dataset.clone(), piece.fragment);
        let columns = Zoned::open(fragment, self.scheduler.clone(), snapshot.columns.clone()).await?;
        let zones = Arc::new(self.zones(&columns).await?);
        let mut kept = self.kept(&zones)?;
        kept.retain(|zone| piece.zones.contains(zone));
        let parts = self.by_owner(&columns, kept).await?;
        let parts = parts.into_iter().filter(|(_, zones)| !zones.is_empty()).map(Ok);
        let open = Open { columns, zones };
        let streams =
            stream::iter(parts).and_then(move |(all_shown, kept)| self.clone().part(open.clone(), all_shown, kept));
        Ok(streams.try_flatten().boxed())
    }

    /// The rows of some zones of a fragment.
    async fn part(
        self: Arc<Self>,
        open: Open,
        all_shown: bool,
        kept: Vec<usize>,
    ) -> DfResult<BoxStream<'static, DfResult<RecordBatch>>> {
        let in_chunks = !self.layout(all_shown).later.is_empty();
        match (&open.zones.times, self.reader.latest_first) {
            (Some((.., times)), Some(latest_first)) => {
                let sorted = times.sorted(kept, latest_first);
                Ok(self.in_chunks(open, all_shown, &sorted))
            }
            _ if in_chunks => Ok(self.in_chunks(open, all_shown, &kept)),
            _ => self.stream(open, all_shown, kept).await,
        }
    }

    /// Zones parted by whether all of their rows are shown (`true`) or the rows must be looked at; others show nothing.
    async fn by_owner(&self, columns: &Zoned, zones: Vec<usize>) -> DfResult<[(bool, Vec<usize>); 2]> {
        let tenants = &self.reader.filters.tenants;
        let Some(marks) = self.reader.seen().by_owner() else { return Ok([(true, Vec::new()), (false, zones)]) };
        if zones.is_empty() || (marks.is_none() && *tenants == Tenants::All) {
            return Ok([(true, zones), (false, Vec::new())]);
        }
        let owners = self.owners(columns).await?;
        let (mut shown, mut mixed) = (Vec::new(), Vec::new());
        for zone in zones {
            match owners.shows(zone, tenants, marks) {
                Shows::All => shown.push(zone),
                Shows::Some => mixed.push(zone),
                Shows::Nothing => {}
            }
        }
        Ok([(true, shown), (false, mixed)])
    }

    async fn owners(&self, columns: &Zoned) -> DfResult<Arc<Owners>> {
        let (cache, id, table) = (&self.reader.snapshot.zones, columns.id(), self.reader.snapshot.table);
        if let Some(owners) = cache.owners(id) {
            return Ok(owners);
        }
        let _turn = cache.turn(id).await;
        if let Some(owners) = cache.owners(id) {
            return Ok(owners);
        }
        let mut owners = Owners::default();
        columns.each_zone(&Owners::columns(table), |zone| owners.push(table, &zone)).await?;
        let owners = Arc::new(owners);
        cache.keep_owners(id, owners.clone());
        Ok(owners)
    }

    /// What the filters and the order need to know of the fragment's zones.
    async fn zones(&self, columns: &Zoned) -> DfResult<Zones> {
        let table = self.reader.snapshot.table;
        let kind = |name: &str| table.sql_schema().field_with_name(name).map(|field| field.data_type().clone());
        let mut zones = Zones { count: (columns.rows as usize).div_ceil(ZONE_ROWS), ..Zones::default() };
        if self.reader.latest_first.is_some() || self.reader.filters.reads(table.time) {
            zones.times = Some((table.time, kind(table.time)?, self.times(columns).await?));
        }
        for Index::BTree(column) in table.indexes {
            if self.reader.filters.reads(column) {
                zones.ids.push((column, kind(column)?, self.ids(columns, column).await?));
            }
        }
        Ok(zones)
    }

    async fn times(&self, columns: &Zoned) -> DfResult<Arc<Times>> {
        let (cache, id) = (&self.reader.snapshot.zones, columns.id());
        if let Some(times) = cache.times(id) {
            return Ok(times);
        }
        let _turn = cache.turn(id).await;
        if let Some(times) = cache.times(id) {
            return Ok(times);
        }
        let mut times = Times::default();
        columns.each_zone(&[self.reader.snapshot.table.time], |zone| times.push(zone.column(0))).await?;
        let times = Arc::new(times);
        cache.keep_times(id, times.clone());
        Ok(times)
    }

    async fn ids(&self, columns: &Zoned, column: &'static str) -> DfResult<Arc<Ids>> {
        let (cache, id) = (&self.reader.snapshot.zones, columns.id());
        if let Some(ids) = cache.ids(id, column) {
            return Ok(ids);
        }
        let _turn = cache.turn(id).await;
        if let Some(ids) = cache.ids(id, column) {
            return Ok(ids);
        }
        let mut ids = Ids::default();
        columns.each_zone(&[column], |zone| ids.push(zone.column(0))).await?;
        let ids = Arc::new(ids);
        cache.keep_ids(id, column, ids.clone());
        Ok(ids)
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
        all_shown: bool,
        zones: Vec<usize>,
    ) -> DfResult<BoxStream<'static, DfResult<RecordBatch>>> {
        let batches = open.columns.read(&self.layout(all_shown).first, zones, false).await?;
        let shown = batches.map(move |batch| {
            let shown = self.filtered(batch?, all_shown)?;
            self.reader.shape(&shown.rows)
        });
        Ok(shown.boxed())
    }

    /// The shown rows of a batch of a layout's first columns: those columns that are shown, and the rows' addresses.
    fn filtered(&self, rows: RecordBatch, all_shown: bool) -> DfResult<Shown> {
        let layout = self.layout(all_shown);
        let bound = match layout.bound.get() {
            Some(bound) => bound,
            // Every batch of a layout's first columns has one schema.
            None => {
                let bound = self.reader.filters.bind(&rows.schema())?;
                layout.bound.get_or_init(|| bound)
            }
        };
        let (filters, all) = (&self.reader.filters, rows.num_rows());
        let rows = filters.admitted(rows, (!layout.all_shown).then(|| self.reader.seen()))?;
        let keep = filters.asked(&rows, bound.as_ref())?;
        let admitted = rows.num_rows();
        let rows = rows.project(&layout.shown)?;
        let rows = match &keep {
            None => rows,
            Some(keep) => filter_record_batch(&rows, keep)?,
        };
        Ok(Shown { rows, kept: if admitted < all { Kept::Addressed } else { Kept::Asked(keep) } })
    }

    /// Chunk by chunk, each only if it can still hold an answer by then.
    fn in_chunks(
        self: Arc<Self>,
        open: Open,
        all_shown: bool,
        zones: &[usize],
    ) -> BoxStream<'static, DfResult<RecordBatch>> {
        let chunks: VecDeque<Vec<usize>> = zones.chunks(CHUNK_ZONES).map(<[usize]>::to_vec).collect();
        let generation = self.reader.filters.generation();
        let start = (self, open, chunks, generation, None::<BTreeSet<usize>>);
        stream::try_unfold(start, move |(plan, open, mut chunks, mut generation, mut kept)| async move {
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
                false => plan.chunk(&open.columns, all_shown, chunk).await?,
            };
            Ok(Some((stream::iter(shown.into_iter().map(Ok)), (plan, open, chunks, generation, kept))))
        })
        .try_flatten()
        .boxed()
    }

    async fn chunk(&self, columns: &Zoned, all_shown: bool, mut zones: Vec<usize>) -> DfResult<Vec<RecordBatch>> {
        zones.sort_unstable();
        let Layout { first, later, .. } = self.layout(all_shown);
        let read: Vec<RecordBatch> = columns.read(first, zones.clone(), !later.is_empty()).await?.try_collect().await?;
        let mut shown = Vec::with_capacity(read.len());
        for batch in &read {
            shown.push(self.filtered(batch.clone(), all_shown)?);
        }
        let (all, some) = (count(&read), shown.iter().map(|shown| shown.rows.num_rows()).sum::<usize>());
        if some == 0 {
            return Ok(Vec::new());
        }
        if later.is_empty() {
            return shown.iter().map(|shown| self.reader.shape(&shown.rows)).collect();
        }
        if some.saturating_mul(ROWS_PER_TAKE) <= all && !columns.has(later, &zones)? {
            let first: Vec<RecordBatch> = shown.into_iter().map(|shown| shown.rows).collect();
            let first = concat_batches(&first[0].schema(), &first)?;
            let places: Vec<u32> = addresses(&first).iter().map(|address| *address as u32).collect();
            let rest = columns.take(later, &places).await?;
            return Ok(vec![self.reader.shape(&beside(&first, &rest)?)?]);
        }
        let rest = alike(columns.read(later, zones, false).await?.try_collect().await?, &read)?;
        let pairs = read.iter().zip(&shown).zip(&rest).filter(|((_, shown), _)| shown.rows.num_rows() > 0);
        pairs
            .map(|((read, shown), rest)| {
                let rest = match &shown.kept {
                    Kept::Asked(None) => rest.clone(),
                    Kept::Asked(Some(keep)) => filter_record_batch(rest, keep)?,
                    Kept::Addressed => take_record_batch(rest, &positions(addresses(read), addresses(&shown.rows)))?,
                };
                self.reader.shape(&beside(&shown.rows, &rest)?)
            })
            .collect()
    }
}

/// Whether a cell of a column can be long.
fn is_wide(reader: &Reader, name: &str) -> bool {
    let column = reader.snapshot.table.columns.iter().find(|column| column.name == name);
    column.is_some_and(|column| matches!(column.kind, Type::Text | Type::Json | Type::Bytes | Type::Vector(_)))
}

/// The shown rows of a batch, and how they are told from the others.
struct Shown {
    rows: RecordBatch,
    kept: Kept,
}

/// Which rows of a batch are shown.
enum Kept {
    /// Those that were asked for; all of them without a mask.
    Asked(Option<BooleanArray>),
    /// Those whose addresses are among the shown ones.
    Addressed,
}

/// Other columns of the same rows, cut as `like` is.
fn alike(rest: Vec<RecordBatch>, like: &[RecordBatch]) -> DfResult<Vec<RecordBatch>> {
    let same = rest.len() == like.len() && rest.iter().zip(like).all(|(a, b)| a.num_rows() == b.num_rows());
    if same {
        return Ok(rest);
    }
    if count(&rest) != count(like) {
        return Err(DataFusionError::Internal("two readings of one fragment disagree about its rows".to_owned()));
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
