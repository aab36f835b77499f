//! What the bill adds: the lines of `cost_line` in a budget's scope and window count as spent. Asked whenever the ledger
//! changed, as the budget's tenant.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, SecondsFormat};
use engine::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use engine::datafusion::physical_plan::common::collect;
use engine::sql::session::from_datafusion;
use engine::{Error, Kind, Limits, Question, Result, Scope, Store, Value};

use super::calendar::DAY_US;
use super::definition::EVERYBODY;
use super::forecast::DAYS_MAX;
use super::node::Budgets;
use super::plan::Line;
use super::unit::Unit;
use crate::cost_line::COST_LINE;
use crate::decimal;

/// Of the time that asking takes, so many times as long nothing is asked.
const REST: i64 = 4;
/// Longest that a changed ledger is not asked.
const REST_US_MAX: i64 = 60_000_000;

const BEFORE: &str = "SELECT units FROM budget_billed WHERE budget_id = $1 AND starts_at = $2 AND home = $3";
const NOW: &str = "INSERT INTO budget_billed (budget_id, starts_at, home, units) VALUES ($1, $2, $3, $4)
    ON CONFLICT (budget_id, starts_at, home) DO UPDATE SET units = excluded.units";
const ADD: &str =
    "INSERT INTO budget_window (budget_id, starts_at, ends_at, tenant, budget, unit, billed_units, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (budget_id, starts_at) DO UPDATE SET
    billed_units = budget_window.billed_units + excluded.billed_units, updated_at = excluded.updated_at";
const LATE: &str = "INSERT INTO budget_event (id, tenant, budget, budget_id, window_start, kind, happened_at,
    event_count, unit, limit_units, spent_units, reserved_units, details)
    VALUES ($1, $2, $3, $4, $5, 'overrun', $6, 1, $7, $8, $9, 0, $10) ON CONFLICT (id) DO NOTHING";

impl Budgets {
    /// Asks the ledger if it changed since.
    pub async fn read_ledger(&self, store: &Store) -> Result<()> {
        let now_us = self.clock.now_us();
        let plan = self.plan();
        let status = store.status();
        let table = status.tables.iter().find(|table| table.table == COST_LINE.name);
        let Some(table) = table.filter(|table| table.tail_rows + table.fragments > 0) else { return Ok(()) };
        // A window that begins makes another mark, and so does another edition of the budgets.
        let hour = now_us / (DAY_US / 24);
        let mark = format!("{}/{}/{}/{}/{hour}", table.version, table.tail_rows, table.commits, plan.edition);
        {
            let seen = self.seen();
            if seen.ledger_mark == mark || now_us < seen.ledger_due_us {
                return Ok(());
            }
        }
        for line in &plan.lines {
            let budget = line.budget();
            let Some(scope) = line.ledger_scope().filter(|_| budget.life.0 <= now_us && now_us < budget.life.1) else {
                continue;
            };
            self.read_line(store, line, &scope, now_us)
                .await
                .map_err(|e| e.context(&format!("budget {}", line.stored.id)))?;
        }
        let took_us = self.clock.now_us() - now_us;
        let mut seen = self.seen();
        seen.ledger_mark = mark;
        seen.ledger_due_us = now_us + took_us + (took_us * REST).min(REST_US_MAX);
        seen.make_forecasts();
        Ok(())
    }

    async fn read_line(&self, store: &Store, line: &Line, scope: &str, now_us: i64) -> Result<()> {
        let budget = line.budget();
        let (starts_us, ends_us) = budget.window.span(now_us, budget.zone, budget.life)?;
        let since_us = starts_us.min(now_us - (i64::try_from(DAYS_MAX).unwrap_or(56) + 2) * DAY_US).max(0);
        let days = by_day(store, line, scope, since_us, ends_us).await?;
        let within = total(store, line, scope, starts_us, ends_us).await?;
        self.seen().ledger_days.insert(line.stored.id.clone(), days);
        let place = budget.window.place(now_us, budget.zone, budget.life)?;
        let id = line.stored.id.as_ref();
        let home = self.options.home.as_str();
        let at = [id.into(), Value::Time(place.starts_us), home.into()];
        let mut transaction = self.state.transaction().await?;
        let before = transaction.fetch(BEFORE, &at).await?.pop();
        let before = before.map_or(Ok(0), |row| row.get::<i64>("units"))?;
        // Of a rolling window, the bucket of now stands for all of it: what an earlier one said counts no more.
        let others = match budget.window {
            super::calendar::Window::Rolling { .. } => self.earlier(&mut transaction, line, place.starts_us).await?,
            _ => 0,
        };
        let more = within - before - others;
        if more == 0 {
            return Ok(());
        }
        transaction
            .execute(NOW, &[id.into(), Value::Time(place.starts_us), home.into(), (before + more).into()])
            .await?;
        let add = [
            id.into(),
            Value::Time(place.starts_us),
            Value::Time(place.ends_us),
            budget.tenant.as_ref().into(),
            budget.name.as_ref().into(),
            budget.unit.to_string().into(),
            more.into(),
            Value::Time(now_us),
        ];
        transaction.execute(ADD, &add).await?;
        if within > budget.limit {
            let event = [
                format!("{id}/{}/overrun/ledger/{}", place.starts_us, budget.limit).into(),
                budget.tenant.as_ref().into(),
                budget.name.as_ref().into(),
                id.into(),
                Value::Time(place.starts_us),
                Value::Time(now_us),
                budget.unit.to_string().into(),
                budget.limit.into(),
                within.into(),
                r#"{"by": "ledger"}"#.into(),
            ];
            transaction.execute(LATE, &event).await?;
        }
        transaction.commit().await
    }

    /// What buckets of a rolling window that still count were given by this ledger before.
    async fn earlier(&self, transaction: &mut engine::state::Transaction, line: &Line, starts_us: i64) -> Result<i64> {
        let sql = "SELECT CAST(COALESCE(SUM(b.units), 0) AS BIGINT) AS units FROM budget_billed b
            JOIN budget_window w ON w.budget_id = b.budget_id AND w.starts_at = b.starts_at
            WHERE b.budget_id = $1 AND b.home = $2 AND b.starts_at < $3 AND w.ends_at > $3";
        let values = [line.stored.id.as_ref().into(), self.options.home.as_str().into(), Value::Time(starts_us)];
        transaction.fetch(sql, &values).await?.pop().map_or(Ok(0), |row| row.get("units"))
    }
}

/// What is added up, and which lines have it.
fn measure(line: &Line) -> (String, String) {
    let budget = line.budget();
    match &budget.unit {
        Unit::Money(code) => (format!("\"{}\"", budget.cost.name()), format!("\"BillingCurrency\" = '{code}'")),
        Unit::Tokens => ("\"ConsumedQuantity\"".to_owned(), "lower(\"ConsumedUnit\") = 'tokens'".to_owned()),
        Unit::Requests => ("\"ConsumedQuantity\"".to_owned(), "lower(\"ConsumedUnit\") = 'requests'".to_owned()),
    }
}

fn written(at_us: i64) -> String {
    let at = DateTime::from_timestamp_micros(at_us).unwrap_or(DateTime::UNIX_EPOCH);
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn lines(line: &Line, scope: &str, from_us: i64, to_us: i64) -> String {
    let (_, having) = measure(line);
    let (from, to) = (written(from_us), written(to_us));
    format!(
        "FROM cost_line WHERE {having} AND \"ChargePeriodStart\" >= '{from}' AND \"ChargePeriodStart\" < '{to}' AND ({scope})"
    )
}

async fn ask(store: &Store, line: &Line, sql: &str) -> Result<Vec<engine::arrow::array::RecordBatch>> {
    let scope = match line.budget().tenant.as_ref() {
        EVERYBODY => Scope::platform("budgets"),
        tenant => Scope::tenant(tenant, "budgets"),
    };
    let answer = store.query(&scope, Question::from(sql), Limits::default()).await?;
    collect(answer.stream).await.map_err(from_datafusion)
}

async fn total(store: &Store, line: &Line, scope: &str, from_us: i64, to_us: i64) -> Result<i64> {
    let (what, _) = measure(line);
    let sql = format!("SELECT CAST(sum({what}) AS VARCHAR) AS total {}", lines(line, scope, from_us, to_us));
    let mut total = 0;
    for batch in ask(store, line, &sql).await? {
        for text in texts(batch.column(0))?.iter().flatten() {
            total += units(&line.budget().unit, text)?;
        }
    }
    Ok(total)
}

async fn by_day(store: &Store, line: &Line, scope: &str, from_us: i64, to_us: i64) -> Result<BTreeMap<NaiveDate, i64>> {
    let (what, _) = measure(line);
    let sql = format!(
        "SELECT substr(CAST(\"ChargePeriodStart\" AS VARCHAR), 1, 10) AS day, CAST(sum({what}) AS VARCHAR) AS total {} GROUP BY 1",
        lines(line, scope, from_us, to_us)
    );
    let mut days = BTreeMap::new();
    for batch in ask(store, line, &sql).await? {
        let (day, total) = (texts(batch.column(0))?, texts(batch.column(1))?);
        for at in (0..batch.num_rows()).filter(|at| !total.is_null(*at)) {
            if let Ok(day) = day.value(at).parse() {
                *days.entry(day).or_default() += units(&line.budget().unit, total.value(at))?;
            }
        }
    }
    Ok(days)
}

/// A column of texts, in whichever form the question answered it.
fn texts(column: &ArrayRef) -> Result<StringArray> {
    let plain = engine::arrow::compute::cast(column, &engine::arrow::datatypes::DataType::Utf8);
    let plain = plain.map_err(|e| Error::new(Kind::Internal, format!("read sums of the bill: {e}")))?;
    Ok(plain.as_string::<i32>().clone())
}

/// Units of a sum of the ledger, which may be negative: credits are.
fn units(unit: &Unit, text: &str) -> Result<i64> {
    let number =
        decimal::parse(text).map_err(|why| Error::new(Kind::Corrupt, format!("a sum of the bill: {text:?} {why}")))?;
    let whole = decimal::ONE / i128::from(unit.scale());
    let rounded = decimal::scaled(number.units, 1, whole);
    rounded
        .and_then(|units| i64::try_from(units).ok())
        .ok_or_else(|| Error::new(Kind::Limit, format!("{text} {unit} are more than a budget can count")))
}
