//! Columns of one fragment, zone by zone: from memory where an earlier question has unpacked them, else from Lance.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::{DataFusionError, Result as DfResult};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use lance::dataset::fragment::{FileFragment, FragReadConfig, FragmentReader};
use lance_core::ROW_ADDR;
use lance_io::scheduler::ScanScheduler;

use super::{BATCH_ROWS, outside};
use crate::columns::TableColumns;
use crate::facts::zones::{ZONE_ROWS, zone_range};

/// Batches that are read ahead.
const BATCHES_AHEAD: usize = 2;
// A batch that is read is a zone.
const _: () = assert!(BATCH_ROWS == ZONE_ROWS);

/// One fragment's columns.
#[derive(Clone)]
pub(super) struct Zoned {
    fragment: FileFragment,
    /// Rows of the fragment, deleted ones among them.
    pub rows: u64,
    scheduler: Arc<ScanScheduler>,
    /// `None` where rows were deleted, for a zone then depends on the version, and where there is no whole zone: maintenance
    /// soon joins what is that small.
    kept: Option<TableColumns>,
}

impl Zoned {
    /// Opens a fragment.
    pub async fn open(fragment: FileFragment, scheduler: Arc<ScanScheduler>, kept: TableColumns) -> DfResult<Zoned> {
        let rows = fragment.physical_rows().await.map_err(outside)? as u64;
        let is_kept = fragment.metadata().deletion_file.is_none() && rows >= ZONE_ROWS as u64;
        let kept = is_kept.then_some(kept);
        Ok(Zoned { fragment, rows, scheduler, kept })
    }

    /// The fragment's number.
    pub fn id(&self) -> u64 {
        self.fragment.id() as u64
    }

    /// Columns of some zones, which must grow, in the order of `names`; with the rows' addresses behind them if `addressed`.
    /// Without deleted rows a batch is a zone.
    pub async fn read(
        &self,
        names: &[String],
        zones: Vec<usize>,
        addressed: bool,
    ) -> DfResult<BoxStream<'static, DfResult<RecordBatch>>> {
        let Some(kept) = &self.kept else {
            let config = FragReadConfig::default().with_row_address(addressed);
            let (names, read) = (names.to_vec(), self.stream(names, &zones, config).await?);
            let address = addressed.then(|| ROW_ADDR.to_owned());
            let order: Vec<String> = names.into_iter().chain(address).collect();
            return Ok(read.map(move |batch| in_order(&batch?, &order)).boxed());
        };
        let fields = self.fields(names)?;
        let found: Vec<Option<Vec<ArrayRef>>> =
            fields.iter().map(|field| kept.get(self.id(), *field, &zones)).collect();
        let lacking = names.iter().zip(&found).filter(|(_, found)| found.is_none());
        let lacking: Vec<String> = lacking.map(|(name, _)| name.clone()).collect();
        let read = match lacking.is_empty() {
            true => stream::iter(zones.clone()).map(|_| Ok(None)).boxed(),
            false => self.stream(&lacking, &zones, FragReadConfig::default()).await?.map_ok(Some).boxed(),
        };
        let (zoned, kept, names) = (self.clone(), kept.clone(), names.to_vec());
        let mut schema: Option<SchemaRef> = None;
        let shown = read.enumerate().map(move |(at, read)| {
            let (read, zone) = (read?, zones.get(at).copied());
            let zone = zone.ok_or_else(|| disagree(&zoned.fragment))?;
            let range = zone_range(zone, zoned.rows);
            let mut columns: Vec<ArrayRef> = Vec::with_capacity(names.len() + 1);
            for ((name, field), found) in names.iter().zip(&fields).zip(&found) {
                columns.push(match (found, &read) {
                    (Some(zones), _) => zones[at].clone(),
                    (None, Some(read)) if read.num_rows() as u64 == range.end - range.start => {
                        let cells = read.column_by_name(name).ok_or_else(|| disagree(&zoned.fragment))?;
                        kept.keep(zoned.id(), *field, zone, cells);
                        cells.clone()
                    }
                    _ => return Err(disagree(&zoned.fragment)),
                });
            }
            if addressed {
                columns.push(zoned.addresses(range));
            }
            let schema = schema.get_or_insert_with(|| schema_of(&names, &columns));
            Ok(RecordBatch::try_new(schema.clone(), columns)?)
        });
        Ok(shown.boxed())
    }

    /// Whether these columns of these zones need not be read.
    pub fn has(&self, names: &[String], zones: &[usize]) -> DfResult<bool> {
        let Some(kept) = &self.kept else { return Ok(false) };
        Ok(self.fields(names)?.into_iter().all(|field| kept.has(self.id(), field, zones)))
    }

    /// Some rows, by their places in the fragment.
    pub async fn take(&self, names: &[String], places: &[u32]) -> DfResult<RecordBatch> {
        let reader = self.reader(names, FragReadConfig::default()).await?;
        reader.take_as_batch(places, None).await.map_err(outside)
    }

    /// Hands columns of every zone over, deleted rows among them.
    pub async fn each_zone(&self, names: &[&str], mut take: impl FnMut(RecordBatch)) -> DfResult<()> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let zones: Vec<usize> = (0..(self.rows as usize).div_ceil(ZONE_ROWS)).collect();
        let mut batches = match &self.kept {
            Some(_) => self.read(&names, zones, false).await?,
            None => self.stream(&names, &zones, FragReadConfig::default().with_ignore_deletions(true)).await?,
        };
        while let Some(batch) = batches.try_next().await? {
            take(batch);
        }
        Ok(())
    }

    async fn stream(
        &self,
        names: &[String],
        zones: &[usize],
        config: FragReadConfig,
    ) -> DfResult<BoxStream<'static, DfResult<RecordBatch>>> {
        let reader = self.reader(names, config).await?;
        let batches = reader.read_ranges(self.ranges(zones), BATCH_ROWS as u32).await.map_err(outside)?;
        Ok(batches.buffered(BATCHES_AHEAD).map(|batch| batch.map_err(outside)).boxed())
    }

    async fn reader(&self, names: &[String], config: FragReadConfig) -> DfResult<FragmentReader> {
        let columns = self.fragment.schema().project(names).map_err(outside)?;
        self.fragment.open(&columns, config.with_scan_scheduler(self.scheduler.clone())).await.map_err(outside)
    }

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

    fn fields(&self, names: &[String]) -> DfResult<Vec<i32>> {
        let schema = self.fragment.schema();
        let field = |name: &String| schema.field(name).map(|field| field.id).ok_or_else(|| disagree(&self.fragment));
        names.iter().map(field).collect()
    }

    fn addresses(&self, rows: Range<u64>) -> ArrayRef {
        let first = self.id() << 32;
        Arc::new(UInt64Array::from_iter_values(rows.map(|row| first | row)))
    }
}

fn schema_of(names: &[String], columns: &[ArrayRef]) -> SchemaRef {
    let named = names.iter().zip(columns).map(|(name, column)| Field::new(name, column.data_type().clone(), true));
    let address = (columns.len() > names.len()).then(|| Field::new(ROW_ADDR, DataType::UInt64, true));
    Arc::new(Schema::new(named.chain(address).collect::<Vec<_>>()))
}

fn in_order(rows: &RecordBatch, names: &[String]) -> DfResult<RecordBatch> {
    let schema = rows.schema();
    let places = names.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<usize>, _>>()?;
    Ok(rows.project(&places)?)
}

fn disagree(fragment: &FileFragment) -> DataFusionError {
    DataFusionError::Internal(format!("what is read of fragment {} is not what was asked for", fragment.id()))
}
