//! What is told about budgets: windows that begin, thresholds that are passed, forecasts. Written by whoever holds the
//! lease for it; every event has an id, so that it is there once whoever writes it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDate};
use engine::state::Row;
use engine::{Result, Value};

use super::calendar::{self, DAY_US, Window};
use super::definition::{Measure, Threshold};
use super::forecast::{DAYS_MAX, Day, Forecast, Standing, forecast};
use super::node::Budgets;
use super::plan::{Line, Plan};
use super::rows;

/// The work of evaluating, as a lease.
const LEASE: &str = "budget/evaluate";
const LEASE_TTL: Duration = Duration::from_secs(5);
/// How old a forecast may become.
const FORECAST_US: i64 = 30 * calendar::SECOND_US;
/// Days of a window that a forecast adds up.
const WINDOW_DAYS_MAX: usize = 400;
/// Windows and events that one process remembers to have written.
const REMEMBERED_MAX: usize = 100_000;
/// How long settled reservations are kept: so long is the same request known again.
const RESERVATIONS_US: i64 = 7 * DAY_US;
/// How long windows of rolling budgets are kept after they count no more.
const BUCKETS_US: i64 = DAY_US;
/// How long events are kept.
const EVENTS_US: i64 = 400 * DAY_US;

const BEGIN: &str = "INSERT INTO budget_window (budget_id, starts_at, ends_at, tenant, budget, unit, updated_at)";
const ONCE: &str = "ON CONFLICT (budget_id, starts_at) DO NOTHING RETURNING budget_id, starts_at";
const STANDINGS: &str = "SELECT budget_id, CAST(SUM(spent_units + billed_units) AS BIGINT) AS spent,
    CAST(SUM(reserved_units) AS BIGINT) AS reserved, CAST(SUM(granted_units) AS BIGINT) AS granted
    FROM budget_window WHERE starts_at <= $1 AND ends_at > $1 GROUP BY budget_id";
const PUT_EVENTS: &str = "INSERT INTO budget_event (id, tenant, budget, budget_id, window_start, kind, measure,
    happened_at, event_count, unit, threshold_units, limit_units, spent_units, reserved_units, details)";
const PUT_FORECAST: &str =
    "INSERT INTO budget_forecast (budget_id, tenant, starts_at, p50_units, p90_units, days, made_at)";
const NEWER: &str = "ON CONFLICT (budget_id) DO UPDATE SET starts_at = excluded.starts_at,
    p50_units = excluded.p50_units, p90_units = excluded.p90_units, days = excluded.days, made_at = excluded.made_at";

/// What this process has written already, and what its ledger said.
#[derive(Debug, Default)]
pub(super) struct Seen {
    begun: HashSet<(Arc<str>, i64)>,
    fired: HashSet<String>,
    /// Thresholds on forecasts that were passed at the last look; they fire when they are at the next one, too.
    passed: HashSet<String>,
    forecast_us: i64,
    forecasts: HashMap<Arc<str>, Forecast>,
    cleaned_us: i64,
    /// What the bill says by budget and day.
    pub ledger_days: HashMap<Arc<str>, BTreeMap<NaiveDate, i64>>,
    pub ledger_mark: String,
    pub ledger_due_us: i64,
}

impl Seen {
    /// What forecasts rest on changed.
    pub fn make_forecasts(&mut self) {
        self.forecast_us = 0;
    }
}

/// How a budget stands.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    spent: i64,
    reserved: i64,
    granted: i64,
}

impl Budgets {
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One look at every budget.
    pub async fn evaluate(&self) -> Result<()> {
        let now_us = self.clock.now_us();
        let plan = self.plan();
        if plan.lines.is_empty() {
            return Ok(());
        }
        let sums = self.standings(now_us).await?;
        self.return_what_is_over(&plan, &sums);
        if !self.options.sole {
            let lease = self.state.lease(LEASE, &self.options.node, LEASE_TTL, now_us).await?;
            if lease.is_none() {
                return Ok(());
            }
        }
        self.begin_windows(&plan, now_us).await?;
        if now_us - self.seen().forecast_us >= FORECAST_US {
            self.forecast_all(&plan, &sums, now_us).await?;
            self.clean(now_us).await?;
        }
        self.fire(&plan, &sums, now_us).await
    }

    async fn standings(&self, now_us: i64) -> Result<HashMap<Arc<str>, Sums>> {
        let rows = self.state.fetch(STANDINGS, &[Value::Time(now_us)]).await?;
        let one = |row: &Row| {
            let id: String = row.get("budget_id")?;
            let sums = Sums { spent: row.get("spent")?, reserved: row.get("reserved")?, granted: row.get("granted")? };
            Ok((id.into(), sums))
        };
        rows.iter().map(one).collect()
    }

    /// Where a bill or a lower limit took what was granted already, what is free of it goes back.
    fn return_what_is_over(&self, plan: &Plan, sums: &HashMap<Arc<str>, Sums>) {
        let over = |line: &&Line| {
            let at = sums.get(&line.stored.id).copied().unwrap_or_default();
            line.budget().hard && at.spent.saturating_add(at.granted) > line.budget().limit
        };
        let mut book = self.book();
        for line in plan.lines.iter().filter(over) {
            let number = book.number(&line.stored.id);
            let slots: Vec<_> = book.accounts.keys().filter(|(of, _)| *of == number).copied().collect();
            slots.into_iter().for_each(|slot| book.give_back(slot));
        }
    }

    /// Every budget has a window from its first moment on.
    async fn begin_windows(&self, plan: &Plan, now_us: i64) -> Result<()> {
        let mut begun = BTreeMap::new();
        for line in &plan.lines {
            let budget = line.budget();
            if matches!(budget.window, Window::Rolling { .. }) || now_us < budget.life.0 || now_us >= budget.life.1 {
                continue;
            }
            let place = budget.window.place(now_us, budget.zone, budget.life)?;
            let at = (Arc::clone(&line.stored.id), place.starts_us);
            if !self.seen().begun.contains(&at) {
                begun.insert(at, (line, place));
            }
        }
        if begun.is_empty() {
            return Ok(());
        }
        let mut transaction = self.state.transaction().await?;
        let windows: Vec<Vec<Value>> = begun
            .iter()
            .map(|((id, starts_us), (line, place))| {
                vec![
                    id.as_ref().into(),
                    Value::Time(*starts_us),
                    Value::Time(place.ends_us),
                    line.budget().tenant.as_ref().into(),
                    line.budget().name.as_ref().into(),
                    line.budget().unit.to_string().into(),
                    Value::Time(now_us),
                ]
            })
            .collect();
        let mut events = Vec::new();
        for row in rows::insert(&mut transaction, BEGIN, &windows, ONCE).await? {
            let at: (Arc<str>, i64) = (row.get::<String>("budget_id")?.into(), row.get("starts_at")?);
            let before = "SELECT starts_at FROM budget_window WHERE budget_id = $1 AND starts_at < $2 LIMIT 1";
            let before = transaction.fetch(before, &[at.0.as_ref().into(), Value::Time(at.1)]).await?;
            if let (false, Some((line, _))) = (before.is_empty(), begun.get(&at)) {
                let id = format!("{}/{}/reset", at.0, at.1);
                events.push(event(id, line, at.1, "reset", None, now_us, Sums::default(), None, None));
            }
        }
        rows::insert(&mut transaction, PUT_EVENTS, &events, "ON CONFLICT (id) DO NOTHING").await?;
        transaction.commit().await?;
        let mut seen = self.seen();
        if seen.begun.len() > REMEMBERED_MAX {
            seen.begun.clear();
        }
        seen.begun.extend(begun.into_keys());
        Ok(())
    }

    /// Thresholds that are passed, each once a window and amount.
    async fn fire(&self, plan: &Plan, sums: &HashMap<Arc<str>, Sums>, now_us: i64) -> Result<()> {
        let mut events = Vec::new();
        let mut fired = Vec::new();
        let mut passed = HashSet::new();
        for line in plan.lines.iter().filter(|line| !line.budget().thresholds.is_empty()) {
            let budget = line.budget();
            let at = sums.get(&line.stored.id).copied().unwrap_or_default();
            let window_us = match budget.window {
                // A rolling window has no begin; it may tell once in its length.
                Window::Rolling { length_us } => now_us.div_euclid(length_us) * length_us,
                _ => budget.window.place(now_us, budget.zone, budget.life)?.starts_us,
            };
            for threshold in &budget.thresholds {
                let id = threshold_id(line, window_us, threshold);
                let value = self.measured(line, threshold.on, at);
                if value.is_none_or(|value| value < threshold.units) || self.seen().fired.contains(&id) {
                    continue;
                }
                if threshold.on == Measure::Forecast && !self.seen().passed.contains(&id) {
                    passed.insert(id);
                    continue;
                }
                let measured = value.map(|value| budget.unit.text(value));
                let details = serde_json::json!({"measured": measured}).to_string();
                events.push(event(
                    id.clone(),
                    line,
                    window_us,
                    "threshold",
                    Some(threshold),
                    now_us,
                    at,
                    Some(details),
                    None,
                ));
                fired.push(id);
            }
        }
        self.seen().passed = passed;
        if events.is_empty() {
            return Ok(());
        }
        let mut transaction = self.state.transaction().await?;
        rows::insert(&mut transaction, PUT_EVENTS, &events, "ON CONFLICT (id) DO NOTHING").await?;
        transaction.commit().await?;
        let mut seen = self.seen();
        if seen.fired.len() > REMEMBERED_MAX {
            seen.fired.clear();
        }
        seen.fired.extend(fired);
        Ok(())
    }

    fn measured(&self, line: &Line, on: Measure, at: Sums) -> Option<i64> {
        match on {
            Measure::Actual => Some(at.spent),
            Measure::Reserved => Some(at.spent.saturating_add(at.reserved)),
            Measure::Forecast => self.seen().forecasts.get(&line.stored.id).map(|forecast| forecast.p50),
        }
    }

    /// What every window will have cost at its end.
    async fn forecast_all(&self, plan: &Plan, sums: &HashMap<Arc<str>, Sums>, now_us: i64) -> Result<()> {
        let mut made = Vec::new();
        let mut forecasts = HashMap::new();
        for line in &plan.lines {
            let budget = line.budget();
            let calendar = matches!(budget.window, Window::Calendar { .. } | Window::Fixed);
            if !calendar || now_us < budget.life.0 || now_us >= budget.life.1 {
                continue;
            }
            let spent = sums.get(&line.stored.id).copied().unwrap_or_default().spent;
            let (starts_us, ends_us) = budget.window.span(now_us, budget.zone, budget.life)?;
            let days = self.days(line, now_us).await?;
            let Some((found, count)) = forecast_of(line, &days, spent, now_us, ends_us)? else { continue };
            forecasts.insert(Arc::clone(&line.stored.id), found);
            made.push(vec![
                line.stored.id.as_ref().into(),
                budget.tenant.as_ref().into(),
                Value::Time(starts_us),
                found.p50.into(),
                found.p90.into(),
                i64::try_from(count).unwrap_or(i64::MAX).into(),
                Value::Time(now_us),
            ]);
        }
        let mut transaction = self.state.transaction().await?;
        rows::insert(&mut transaction, PUT_FORECAST, &made, NEWER).await?;
        transaction.commit().await?;
        let mut seen = self.seen();
        (seen.forecasts, seen.forecast_us) = (forecasts, now_us);
        Ok(())
    }

    /// What a budget cost by day of its zone, from calls and from the bill.
    async fn days(&self, line: &Line, now_us: i64) -> Result<BTreeMap<NaiveDate, i64>> {
        let mut days = self.seen().ledger_days.get(&line.stored.id).cloned().unwrap_or_default();
        let sql = "SELECT starts_at, spent_units FROM budget_day WHERE budget_id = $1 AND starts_at > $2";
        let since = now_us - (i64::try_from(DAYS_MAX).unwrap_or(56) + 2) * DAY_US;
        for row in self.state.fetch(sql, &[line.stored.id.as_ref().into(), Value::Time(since)]).await? {
            if let Some(day) = date(row.get("starts_at")?, line.budget().zone) {
                *days.entry(day).or_default() += row.get::<i64>("spent_units")?;
            }
        }
        Ok(days)
    }

    /// What is too old to be told.
    async fn clean(&self, now_us: i64) -> Result<()> {
        if now_us - self.seen().cleaned_us < DAY_US / 24 {
            return Ok(());
        }
        let settled = "DELETE FROM budget_reservation WHERE settled_at < $1 AND state <> 'open'";
        self.state.execute(settled, &[Value::Time(now_us - RESERVATIONS_US)]).await?;
        let buckets = "DELETE FROM budget_window WHERE ends_at < $1 AND granted_units = 0 AND reserved_units = 0
            AND budget_id IN (SELECT id FROM budget WHERE span = 'rolling')";
        self.state.execute(buckets, &[Value::Time(now_us - BUCKETS_US)]).await?;
        self.state
            .execute("DELETE FROM budget_event WHERE happened_at < $1", &[Value::Time(now_us - EVENTS_US)])
            .await?;
        self.state.execute("DELETE FROM budget_day WHERE starts_at < $1", &[Value::Time(now_us - EVENTS_US)]).await?;
        let empty = "DELETE FROM budget_slice WHERE granted_units = 0 AND node NOT IN (SELECT node FROM budget_node)";
        self.state.execute(empty, &[]).await?;
        self.seen().cleaned_us = now_us;
        Ok(())
    }
}

/// The date of an instant in a zone.
pub(super) fn date(at_us: i64, zone: chrono_tz::Tz) -> Option<NaiveDate> {
    DateTime::from_timestamp_micros(at_us).map(|at| at.with_timezone(&zone).date_naive())
}

/// The forecast of a window, and how many days it rests on.
fn forecast_of(
    line: &Line,
    days: &BTreeMap<NaiveDate, i64>,
    spent: i64,
    now_us: i64,
    ends_us: i64,
) -> Result<Option<(Forecast, usize)>> {
    let budget = line.budget();
    let Some(first) = days.keys().next() else { return Ok(None) };
    let Some(today) = date(now_us, budget.zone) else { return Ok(None) };
    let weekday = |day: NaiveDate| u8::try_from(chrono::Datelike::weekday(&day).number_from_monday()).unwrap_or(1);
    // A day without a charge is a day that cost nothing.
    let history: Vec<Day> = first
        .iter_days()
        .take_while(|day| *day < today)
        .map(|day| Day { weekday: weekday(day), units: days.get(&day).copied().unwrap_or(0) })
        .collect();
    let to_come = calendar::days(now_us, ends_us, budget.zone, WINDOW_DAYS_MAX)?;
    let to_come: Vec<u8> = to_come.iter().skip(1).map(|(_, weekday)| *weekday).collect();
    let today = Day { weekday: weekday(today), units: days.get(&today).copied().unwrap_or(0) };
    let used = history.len().min(DAYS_MAX);
    Ok(forecast(&history, &Standing { actual: spent, today, to_come: &to_come }).map(|found| (found, used)))
}

fn threshold_id(line: &Line, window_us: i64, threshold: &Threshold) -> String {
    let (id, limit) = (&line.stored.id, line.budget().limit);
    format!("{id}/{window_us}/threshold/{}/{}/{limit}", threshold.on.as_str(), threshold.units)
}

#[allow(clippy::too_many_arguments)]
fn event(
    id: String,
    line: &Line,
    window_us: i64,
    kind: &str,
    threshold: Option<&Threshold>,
    now_us: i64,
    at: Sums,
    details: Option<String>,
    count: Option<i64>,
) -> Vec<Value> {
    let budget = line.budget();
    vec![
        id.into(),
        budget.tenant.as_ref().into(),
        budget.name.as_ref().into(),
        line.stored.id.as_ref().into(),
        Value::Time(window_us),
        kind.into(),
        threshold.map(|threshold| threshold.on.as_str().to_owned()).into(),
        Value::Time(now_us),
        count.unwrap_or(1).into(),
        budget.unit.to_string().into(),
        threshold.map(|threshold| threshold.units).into(),
        budget.limit.into(),
        at.spent.into(),
        at.reserved.into(),
        details.into(),
    ]
}
