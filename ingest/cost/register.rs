//! `cost_run`: what was delivered before, asked before a run is applied, and what becomes of this one.

use engine::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use engine::arrow::compute::{cast, filter_record_batch};
use engine::arrow::datatypes::{DataType, TimestampMicrosecondType};
use engine::{Error, Frame, Limits, Question, Result, Rows, Scope, Store, Value};
use futures::TryStreamExt;
use ledger::COST_RUN;

use super::batch::SetTotal;

/// The rows of `cost_run` that matter to a run: those of the same export and dataset, or of the same run id.
pub struct Seen {
    batch: RecordBatch,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRun {
    /// Tenant of the rows.
    pub tenant: String,
    /// The set.
    pub set: String,
    /// The run.
    pub run_id: String,
    /// The export.
    pub export: String,
    /// The dataset.
    pub dataset: String,
    /// `applied`, `superseded`, `torn`, `refused`.
    pub state: String,
    /// Start of the set's billing period.
    pub period: Option<i64>,
    /// When the provider started it.
    pub submitted: Option<i64>,
}

impl Seen {
    /// Asks the register under the caller's own scope, so that one tenant's runs never count for another's.
    pub async fn ask(store: &Store, scope: &Scope, export: &str, run_id: &str) -> Result<Seen> {
        let names: Vec<String> = COST_RUN.columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
        let sql = format!("SELECT {} FROM cost_run WHERE export = $1 OR run_id = $2", names.join(", "));
        let params = vec![export.to_owned(), run_id.to_owned()];
        let answer = store.query(scope, Question { sql, params }, Limits::default()).await?;
        let schema = answer.stream.schema();
        let batches: Vec<RecordBatch> =
            answer.stream.try_collect().await.map_err(|e| Error::unavailable("read cost_run", e))?;
        let batch = engine::arrow::compute::concat_batches(&schema, &batches)
            .map_err(|e| Error::unavailable("read cost_run", e))?;
        Ok(Seen { batch: as_declared(&batch)? })
    }

    /// What was seen.
    pub fn runs(&self) -> Result<Vec<SeenRun>> {
        let text = |name: &str| self.text(name);
        let time = |name: &str| -> Result<_> {
            let column = self.batch.column_by_name(name).ok_or_else(|| missing(name))?;
            Ok(column.as_primitive::<TimestampMicrosecondType>().clone())
        };
        let (tenant, set, run_id, export) = (text("tenant")?, text("x_set")?, text("run_id")?, text("export")?);
        let (dataset, state) = (text("dataset")?, text("state")?);
        let (period, submitted) = (time("billing_period")?, time("submitted_at")?);
        let run = |at: usize| SeenRun {
            tenant: tenant.value(at).to_owned(),
            set: set.value(at).to_owned(),
            run_id: run_id.value(at).to_owned(),
            export: export.value(at).to_owned(),
            dataset: dataset.value(at).to_owned(),
            state: state.value(at).to_owned(),
            period: period.is_valid(at).then(|| period.value(at)),
            submitted: submitted.is_valid(at).then(|| submitted.value(at)),
        };
        Ok((0..self.batch.num_rows()).map(run).collect())
    }

    /// The same rows, applied until now, as superseded by `run_id`: those of `sets` and of another run.
    pub fn superseded(&self, sets: &[SetTotal], run_id: &str) -> Result<RecordBatch> {
        let runs = self.runs()?;
        let replaced = |run: &SeenRun| {
            let same = sets.iter().any(|set| set.name == run.set && set.tenant == run.tenant);
            same && run.state == "applied" && run.run_id != run_id
        };
        let keep: engine::arrow::array::BooleanArray = runs.iter().map(|run| Some(replaced(run))).collect();
        let rows = filter_record_batch(&self.batch, &keep).map_err(|e| Error::invalid(e.to_string()))?;
        let count = rows.num_rows();
        let with = |name: &str, text: String| -> Result<_> {
            let at = COST_RUN.position(name).ok_or_else(|| missing(name))?;
            let texts = StringArray::from(vec![text.as_str(); count]);
            Ok((at, cast(&texts, &COST_RUN.columns[at].kind.arrow()).map_err(|e| Error::invalid(e.to_string()))?))
        };
        let mut columns = rows.columns().to_vec();
        for (at, column) in
            [with("state", "superseded".to_owned())?, with("reason", format!("replaced by run {run_id}"))?]
        {
            columns[at] = column;
        }
        columns.push(engine::arrow::array::new_null_array(&DataType::Int8, count));
        RecordBatch::try_new(COST_RUN.batch_schema(), columns).map_err(|e| Error::invalid(e.to_string()))
    }

    fn text(&self, name: &str) -> Result<StringArray> {
        let column = self.batch.column_by_name(name).ok_or_else(|| missing(name))?;
        let text = cast(column, &DataType::Utf8).map_err(|e| Error::invalid(e.to_string()))?;
        Ok(text.as_string::<i32>().clone())
    }
}

fn missing(column: &str) -> Error {
    Error::new(engine::Kind::Internal, format!("cost_run declares no column {column}"))
}

/// An answer may encode texts in its own way; the table's way is what goes back.
fn as_declared(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = COST_RUN.batch_schema();
    let columns =
        COST_RUN.columns.iter().zip(batch.columns()).map(|(declared, column)| cast(column, &declared.kind.arrow()));
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| Error::invalid(e.to_string()))?;
    let schema =
        schema.project(&(0..COST_RUN.columns.len()).collect::<Vec<_>>()).map_err(|e| Error::invalid(e.to_string()))?;
    RecordBatch::try_new(schema.into(), columns).map_err(|e| Error::invalid(e.to_string()))
}

/// What this run is, for its rows of the register.
#[derive(Debug, Clone)]
pub struct Entry {
    pub export: String,
    pub run_id: String,
    pub dataset: String,
    pub schema: Option<String>,
    pub submitted: Option<i64>,
    pub path: String,
    pub rejected: u64,
}

impl Entry {
    /// Appends one row for each set to `frame`.
    pub fn push(&self, frame: &mut Frame, sets: &[SetTotal], state: &str, reason: Option<&str>) -> Result<()> {
        let mut rows = Rows::new(&COST_RUN);
        let time = |t: Option<i64>| t.map_or(Value::Null, Value::Time);
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        for set in sets {
            rows.set("tenant", set.tenant.as_str())
                .set("x_set", set.name.as_str())
                .set("run_id", self.run_id.as_str())
                .set("export", self.export.as_str())
                .set("dataset", self.dataset.as_str())
                .set("billing_period", time(set.period))
                .set("source_schema", self.schema.clone())
                .set("submitted_at", time(self.submitted))
                .set("state", state)
                .set("row_count", count(set.rows))
                .set("rejected_count", count(self.rejected))
                .set("billed_cost", set.billed.map_or(Value::Null, Value::Decimal))
                .set("billing_currency", set.currency.clone())
                .set("path", self.path.as_str())
                .set("reason", reason.map(str::to_owned));
            rows.end_row()?;
        }
        frame.push_rows(&mut rows);
        Ok(())
    }
}
