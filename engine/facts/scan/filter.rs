//! What a scan filters by. The tenant comes first, then which rows are current and whom they admit, and only on those rows what the asker
//! wrote: nothing that it does, not even an error, can tell of another tenant's rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::{Int32Type, Schema, SchemaRef};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{Expr, ident, lit};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr::{PhysicalExpr, conjunction};
use datafusion::physical_expr_common::physical_expr::{snapshot_generation, snapshot_physical_expr};
use datafusion::physical_optimizer::pruning::PruningPredicate;

use super::{acl, outside};
use crate::facts::current::Visible;
use crate::facts::zones::Zones;
use crate::scope::Tenants;
use crate::table::{Index, Table};

/// What zones can decide of a scan's filters, at one moment.
pub struct Pruning {
    /// See [`Filters::generation`].
    pub generation: u64,
    predicates: Vec<PruningPredicate>,
}

impl Pruning {
    /// Which zones can hold a row that the filters keep.
    pub fn kept(&self, zones: &Zones) -> DfResult<Vec<usize>> {
        let mut kept = vec![true; zones.count];
        for predicate in &self.predicates {
            let may = predicate.prune(zones)?;
            kept.iter_mut().zip(may).for_each(|(keep, may)| *keep &= may);
        }
        Ok((0..zones.count).filter(|zone| kept[*zone]).collect())
    }
}

/// The filters of one scan.
#[derive(Debug, Clone)]
pub struct Filters {
    pub table: &'static Table,
    pub tenants: Tenants,
    /// The column of the access list and the groups of the asker, where they decide.
    pub acl: Option<(&'static str, Arc<[String]>)>,
    /// What the asker wrote, and what a TopK or a join above has found so far, over columns of the table by name.
    pub asked: Vec<Arc<dyn PhysicalExpr>>,
}

impl Filters {
    /// Columns that [`Filters::rows`] reads, beside those of what is visible; without the tenant where every row is known to
    /// be the asker's.
    pub fn columns(&self, all_mine: bool) -> BTreeSet<String> {
        let asked = self.asked.iter().flat_map(collect_columns).map(|column| column.name().to_owned());
        let tenant = (self.tenants != Tenants::All && !all_mine).then(|| self.table.tenant.to_owned());
        let acl = self.acl.as_ref().map(|(column, _)| (*column).to_owned());
        asked.chain(tenant).chain(acl).collect()
    }

    /// The tenant as a predicate that Lance evaluates, too.
    pub fn tenant(&self) -> Option<Expr> {
        match &self.tenants {
            Tenants::All => None,
            Tenants::One(tenant) => Some(self.is(tenant)),
            Tenants::Several(tenants) => tenants.iter().map(|tenant| self.is(tenant)).reduce(Expr::or),
        }
    }

    fn is(&self, tenant: &str) -> Expr {
        ident(self.table.tenant).eq(lit(tenant))
    }

    /// What the asker wrote, over the columns of `schema`.
    pub fn bind(&self, schema: &Schema) -> DfResult<Option<Arc<dyn PhysicalExpr>>> {
        if self.asked.is_empty() {
            return Ok(None);
        }
        reassign_expr_columns(conjunction(self.asked.iter().cloned()), schema).map(Some)
    }

    /// The rows of a batch that the scan shows. `bound` comes from [`Filters::bind`] on the batch's schema.
    pub fn rows(
        &self,
        rows: RecordBatch,
        visible: &Visible,
        bound: Option<&Arc<dyn PhysicalExpr>>,
    ) -> DfResult<RecordBatch> {
        let rows = self.admitted(rows, Some(visible))?;
        match self.asked(&rows, bound)? {
            None => Ok(rows),
            Some(keep) => Ok(filter_record_batch(&rows, &keep)?),
        }
    }

    /// The rows that the asker may see at all; without `visible` every row is known to be the asker's, and current.
    pub fn admitted(&self, mut rows: RecordBatch, visible: Option<&Visible>) -> DfResult<RecordBatch> {
        if let Some(visible) = visible {
            rows = visible.rows(self.mine(rows)?).map_err(outside)?;
        }
        match &self.acl {
            Some((column, groups)) => acl::admitted(rows, column, groups),
            None => Ok(rows),
        }
    }

    /// Which of these rows the asker asked for; `None` is all of them.
    pub fn asked(&self, rows: &RecordBatch, bound: Option<&Arc<dyn PhysicalExpr>>) -> DfResult<Option<BooleanArray>> {
        let Some(asked) = bound.filter(|_| rows.num_rows() > 0) else { return Ok(None) };
        let keep = asked.evaluate(rows)?.into_array(rows.num_rows())?;
        let keep = keep.as_boolean();
        let keep = if keep.null_count() > 0 { prep_null_mask_filter(keep) } else { keep.clone() };
        Ok((keep.true_count() < rows.num_rows()).then_some(keep))
    }

    /// The rows of the scope's tenants.
    fn mine(&self, rows: RecordBatch) -> DfResult<RecordBatch> {
        if self.tenants == Tenants::All {
            return Ok(rows);
        }
        let column = rows.column_by_name(self.table.tenant).expect("every row names its tenant");
        let dictionary = column.as_dictionary::<Int32Type>();
        let values = dictionary.values().as_string::<i32>();
        let wanted: Vec<bool> =
            (0..values.len()).map(|i| values.is_valid(i) && self.tenants.covers(values.value(i))).collect();
        if wanted.iter().all(|mine| *mine) && dictionary.null_count() == 0 {
            return Ok(rows);
        }
        let keep: BooleanArray =
            dictionary.keys().iter().map(|k| Some(k.is_some_and(|k| wanted[k as usize]))).collect();
        Ok(filter_record_batch(&rows, &keep)?)
    }

    /// Whether the asker's filters look at a column.
    pub fn reads(&self, name: &str) -> bool {
        self.asked.iter().any(|filter| collect_columns(filter).iter().any(|column| column.name() == name))
    }

    /// Changes when a filter that grows while the question runs has grown.
    pub fn generation(&self) -> u64 {
        self.asked.iter().map(snapshot_generation).fold(0, u64::wrapping_add)
    }

    /// The filters that zones can decide, as they stand now. `schema` is the whole table's.
    pub fn pruning(&self, schema: &SchemaRef) -> DfResult<Pruning> {
        let indexed = |name: &str| self.table.indexes.iter().any(|Index::BTree(column)| *column == name);
        let known = |name: &str| name == self.table.time || indexed(name);
        let generation = self.generation();
        let mut predicates = Vec::new();
        for filter in &self.asked {
            if collect_columns(filter).iter().any(|column| known(column.name())) {
                let filter = snapshot_physical_expr(reassign_expr_columns(filter.clone(), schema)?)?;
                predicates.push(PruningPredicate::try_new(filter, schema.clone())?);
            }
        }
        Ok(Pruning { generation, predicates })
    }
}
