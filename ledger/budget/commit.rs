//! Group commit: everything that waits becomes durable in one transaction. What a window gains or loses follows from the
//! rows that really changed, so a batch whose fate is unknown (the connection broke while it committed) is run again
//! without counting anything twice.
//!
//! Every transaction locks in one order: its node, reservations by key, budgets by id, windows, slices.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::state::Transaction;
use engine::{Error, Result, Value};

use super::book::{Batch, Denied, Leg, Outcome, Slot};
use super::node::Budgets;
use super::request::{Key, State};
use super::rows;

/// What one batch does to a window.
#[derive(Debug, Default, Clone)]
struct Delta {
    ends_us: i64,
    unit: String,
    spent: i64,
    reserved: i64,
    /// What leaves this node's slice: spent from it, or given back.
    from_slice: i64,
    overrun: i64,
    charges: i64,
    refusals: i64,
}

type Deltas = BTreeMap<(Arc<str>, i64), Delta>;

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub inserted: HashSet<Key>,
    /// Written by an earlier attempt at the same batch.
    pub kept: HashSet<Key>,
    pub settled: HashSet<Key>,
    /// This node's slices as they are now.
    pub slices: Vec<((Arc<str>, i64), i64)>,
    pub whole: bool,
    pub denied: Vec<(Slot, Option<Denied>)>,
}

impl Written {
    /// Whether a reservation is durable as this node's.
    pub fn has(&self, key: &Key) -> bool {
        self.inserted.contains(key) || self.kept.contains(key) || self.settled.contains(key)
    }
}

const RENEW: &str = "UPDATE budget_node SET expires_at = $1 WHERE node = $2 RETURNING node";
const INSERT_RESERVATIONS: &str = "INSERT INTO budget_reservation
    (tenant, request_id, node, state, amounts, posted, legs, reserved_at, expires_at, settled_at)";
const NEW_ONLY: &str = "ON CONFLICT (tenant, request_id) DO NOTHING RETURNING tenant, request_id";
const MINE: &str = "SELECT request_id FROM budget_reservation
    WHERE tenant = $1 AND request_id = $2 AND node = $3 AND state = 'open'";
const SETTLE: &str = "ON CONFLICT (tenant, request_id) DO UPDATE SET
    state = excluded.state, posted = excluded.posted, settled_at = excluded.settled_at
    WHERE budget_reservation.state = 'open' AND budget_reservation.node = excluded.node
    RETURNING tenant, request_id";
const INSERT_WINDOWS: &str = "INSERT INTO budget_window (budget_id, starts_at, ends_at, tenant, budget, unit,
    spent_units, reserved_units, granted_units, overrun_units, charges, refusals, updated_at)";
const ADD_TO_WINDOWS: &str = "ON CONFLICT (budget_id, starts_at) DO UPDATE SET
    spent_units = budget_window.spent_units + excluded.spent_units,
    reserved_units = budget_window.reserved_units + excluded.reserved_units,
    granted_units = budget_window.granted_units + excluded.granted_units,
    overrun_units = budget_window.overrun_units + excluded.overrun_units,
    charges = budget_window.charges + excluded.charges,
    refusals = budget_window.refusals + excluded.refusals,
    updated_at = excluded.updated_at";
const INSERT_SLICES: &str = "INSERT INTO budget_slice (budget_id, starts_at, node, granted_units)";
const ADD_TO_SLICES: &str = "ON CONFLICT (budget_id, starts_at, node) DO UPDATE SET
    granted_units = budget_slice.granted_units + excluded.granted_units
    RETURNING budget_id, starts_at, granted_units";
const INSERT_DAYS: &str = "INSERT INTO budget_day (budget_id, starts_at, spent_units)";
const ADD_TO_DAYS: &str =
    "ON CONFLICT (budget_id, starts_at) DO UPDATE SET spent_units = budget_day.spent_units + excluded.spent_units";
const LOCK_BUDGET: &str = "UPDATE budget SET grants = grants + 1 WHERE id = $1 RETURNING limit_units, span";
/// How a window stands; of a rolling one every bucket that still counts.
const STANDING: &str = "SELECT CAST(COALESCE(SUM(spent_units + billed_units), 0) AS BIGINT) AS spent,
    CAST(COALESCE(SUM(reserved_units), 0) AS BIGINT) AS reserved,
    CAST(COALESCE(SUM(granted_units), 0) AS BIGINT) AS granted,
    MIN(CASE WHEN spent_units + billed_units > 0 THEN ends_at END) AS frees
    FROM budget_window WHERE budget_id = $1 AND ((starts_at = $2 AND $3 = 'one') OR (ends_at > $2 AND $3 = 'all'))";

/// Adds to windows; the rows are sorted by their keys.
pub(super) async fn add_to_windows(transaction: &mut Transaction, rows: &[Vec<Value>]) -> Result<()> {
    rows::insert(transaction, INSERT_WINDOWS, rows, ADD_TO_WINDOWS).await.map(|_| ())
}

/// Adds to days.
pub(super) async fn add_to_days(transaction: &mut Transaction, rows: &[Vec<Value>]) -> Result<()> {
    rows::insert(transaction, INSERT_DAYS, rows, ADD_TO_DAYS).await.map(|_| ())
}

impl Budgets {
    /// Writes one batch as `node`. `None`: the node's lease had ended, and nothing was written.
    pub(super) async fn write(
        &self,
        node: &str,
        batch: &Batch,
        wanted: &BTreeMap<Slot, i64>,
        now_us: i64,
    ) -> Result<Option<Written>> {
        let ids = self.book().ids.clone();
        let mut transaction = self.state.transaction().await?;
        let expires_us = now_us + self.lease_us();
        if transaction.fetch(RENEW, &[Value::Time(expires_us), node.into()]).await?.is_empty() {
            return Ok(None);
        }
        let mut written = Written { whole: batch.read_slices || !batch.noticed.is_empty(), ..Written::default() };
        self.write_reservations(&mut transaction, node, batch, &ids, now_us, &mut written).await?;
        // What another node settled shrank this node's slice, and only the database knows by how much.
        written.whole |= batch.settling.iter().any(|settling| !written.settled.contains(&settling.held.key));
        let mut deltas = deltas(batch, &written, &ids);
        let mut locked = Vec::new();
        for (slot, want) in by_id(wanted, &ids) {
            let id = &ids[slot.0 as usize];
            let row = transaction.fetch(LOCK_BUDGET, &[id.as_ref().into()]).await?.pop();
            let row =
                row.map(|row| Ok::<_, Error>((row.get("limit_units")?, row.get::<String>("span")?))).transpose()?;
            locked.push((slot, want, row));
        }
        for (slot, (count, refusal)) in &batch.refusals {
            let delta = deltas.entry((Arc::clone(&ids[slot.0 as usize]), slot.1)).or_default();
            delta.refusals += count;
            delta.unit = refusal.unit.to_string();
        }
        self.write_windows(&mut transaction, node, &deltas, now_us, &mut written).await?;
        self.grant(&mut transaction, node, &ids, locked, now_us, &mut written).await?;
        self.write_days(&mut transaction, batch, &written, &ids).await?;
        self.write_told(&mut transaction, batch, &written, &ids, now_us).await?;
        for (tenant, request) in &batch.noticed {
            let seen = "DELETE FROM budget_notice WHERE node = $1 AND tenant = $2 AND request_id = $3";
            transaction.execute(seen, &[node.into(), tenant.as_ref().into(), request.as_ref().into()]).await?;
        }
        if written.whole {
            let all = "SELECT budget_id, starts_at, granted_units FROM budget_slice WHERE node = $1";
            written.slices = slices(&transaction.fetch(all, &[node.into()]).await?)?;
        }
        transaction.commit().await?;
        Ok(Some(written))
    }

    async fn write_reservations(
        &self,
        transaction: &mut Transaction,
        node: &str,
        batch: &Batch,
        ids: &[Arc<str>],
        now_us: i64,
        written: &mut Written,
    ) -> Result<()> {
        let settling: HashSet<&Key> = batch.settling.iter().map(|settling| &settling.held.key).collect();
        let mut open: BTreeMap<&Key, Vec<Value>> = BTreeMap::new();
        // One that is settled in the same batch is written once, as it ends.
        for reserving in batch.reserving.iter().filter(|reserving| !settling.contains(&reserving.held.key)) {
            open.insert(&reserving.held.key, reserving.held.row(node, State::Open, None, ids, None));
        }
        let open: Vec<Vec<Value>> = open.into_values().collect();
        for row in rows::insert(transaction, INSERT_RESERVATIONS, &open, NEW_ONLY).await? {
            written.inserted.insert(rows::key(&row)?);
        }
        if batch.read_slices {
            for reserving in batch.reserving.iter().filter(|r| !written.inserted.contains(&r.held.key)) {
                let (tenant, request) = &reserving.held.key;
                let values = [tenant.as_ref().into(), request.as_ref().into(), node.into()];
                if !transaction.fetch(MINE, &values).await?.is_empty() {
                    written.kept.insert(reserving.held.key.clone());
                }
            }
        }
        let mut ended: BTreeMap<&Key, Vec<Value>> = BTreeMap::new();
        for settling in &batch.settling {
            let posted = match settling.state {
                State::Expired => Some(settling.held.amounts.json()),
                _ => settling.posted.as_ref().map(super::unit::Amounts::json),
            };
            let row = settling.held.row(node, settling.state, posted, ids, Some(now_us));
            ended.insert(&settling.held.key, row);
        }
        let ended: Vec<Vec<Value>> = ended.into_values().collect();
        for row in rows::insert(transaction, INSERT_RESERVATIONS, &ended, SETTLE).await? {
            written.settled.insert(rows::key(&row)?);
        }
        Ok(())
    }

    async fn write_windows(
        &self,
        transaction: &mut Transaction,
        node: &str,
        deltas: &Deltas,
        now_us: i64,
        written: &mut Written,
    ) -> Result<()> {
        let windows: Vec<Vec<Value>> = deltas.iter().map(|(at, delta)| window_row(at, delta, 0, now_us)).collect();
        add_to_windows(transaction, &windows).await?;
        let mine = deltas.iter().filter(|(_, delta)| delta.from_slice != 0);
        let mine: Vec<_> = mine.map(|(at, delta)| slice_row(at, node, -delta.from_slice)).collect();
        written.slices.extend(slices(&rows::insert(transaction, INSERT_SLICES, &mine, ADD_TO_SLICES).await?)?);
        Ok(())
    }

    /// Gives this node more of what nobody has: what waits for it, or its share of what is left.
    async fn grant(
        &self,
        transaction: &mut Transaction,
        node: &str,
        ids: &[Arc<str>],
        locked: Vec<(Slot, i64, Option<(i64, String)>)>,
        now_us: i64,
        written: &mut Written,
    ) -> Result<()> {
        for (slot, want, row) in locked {
            let id = &ids[slot.0 as usize];
            // A budget that is no more has no room; the next edition of the plan leaves it out.
            let (limit, span) = row.unwrap_or_default();
            let rows = if span == "rolling" { "all" } else { "one" };
            let standing = transaction.fetch(STANDING, &[id.as_ref().into(), Value::Time(slot.1), rows.into()]).await?;
            let standing = standing.first().ok_or_else(|| Error::new(engine::Kind::Internal, "a sum has a row"))?;
            let (spent, granted): (i64, i64) = (standing.get("spent")?, standing.get("granted")?);
            let headroom = limit.saturating_sub(spent).saturating_sub(granted).max(0);
            let share =
                i64::try_from(i128::from(headroom) * i128::from(self.options.share_percent) / 100).unwrap_or(headroom);
            let give = want.max(share).min(headroom);
            let is_short = give < want;
            if give > 0 || is_short {
                let ends_us = self.book().accounts.get(&slot).map_or(slot.1, |account| account.ends_us);
                let at = (Arc::clone(id), slot.1);
                let unit = self.book().line(slot.0).map(|line| line.budget().unit.to_string()).unwrap_or_default();
                let row = window_row(&at, &Delta { ends_us, unit, ..Delta::default() }, give, now_us);
                add_to_windows(transaction, &[row]).await?;
                if is_short && !self.options.sole {
                    let hungry = "UPDATE budget_window SET wanted_at = $1 WHERE budget_id = $2 AND starts_at = $3";
                    transaction
                        .execute(hungry, &[Value::Time(now_us), id.as_ref().into(), Value::Time(slot.1)])
                        .await?;
                }
                let mine = [slice_row(&at, node, give)];
                written.slices.extend(slices(&rows::insert(transaction, INSERT_SLICES, &mine, ADD_TO_SLICES).await?)?);
            }
            let denied = Denied {
                at_us: now_us,
                headroom: headroom - give,
                limit,
                spent,
                reserved: standing.get("reserved")?,
                frees_us: standing.get::<Option<i64>>("frees")?.unwrap_or(now_us),
            };
            written.denied.push((slot, is_short.then_some(denied)));
        }
        Ok(())
    }

    async fn write_days(
        &self,
        transaction: &mut Transaction,
        batch: &Batch,
        written: &Written,
        ids: &[Arc<str>],
    ) -> Result<()> {
        let mut days: BTreeMap<(Arc<str>, i64), i64> = BTreeMap::new();
        for settling in batch.settling.iter().filter(|settling| written.settled.contains(&settling.held.key)) {
            for (leg, (spent, _)) in settling.held.legs.iter().zip(&settling.parts).filter(|(_, (spent, _))| *spent > 0)
            {
                *days.entry((Arc::clone(&ids[leg.number as usize]), leg.day_us)).or_default() += spent;
            }
        }
        let days: Vec<Vec<Value>> = days
            .into_iter()
            .map(|((id, day_us), spent)| vec![id.as_ref().into(), Value::Time(day_us), spent.into()])
            .collect();
        add_to_days(transaction, &days).await
    }
}

/// What the rows that changed do to their windows.
fn deltas(batch: &Batch, written: &Written, ids: &[Arc<str>]) -> Deltas {
    let mut deltas = Deltas::new();
    let mut at = |leg: &Leg, change: &mut dyn FnMut(&mut Delta)| {
        let delta = deltas.entry((Arc::clone(&ids[leg.number as usize]), leg.starts_us)).or_default();
        delta.ends_us = leg.ends_us;
        delta.unit = leg.unit.to_string();
        change(delta);
    };
    for reserving in batch.reserving.iter().filter(|reserving| written.inserted.contains(&reserving.held.key)) {
        reserving.held.legs.iter().for_each(|leg| at(leg, &mut |delta| delta.reserved += leg.units));
    }
    for settling in batch.settling.iter().filter(|settling| written.settled.contains(&settling.held.key)) {
        // One that is reserved and settled in the same batch was never among the reserved.
        let was_reserved = settling.held.is_written.load(Ordering::Acquire);
        for (leg, (spent, from_slice)) in settling.held.legs.iter().zip(&settling.parts) {
            at(leg, &mut |delta| {
                delta.spent += spent;
                delta.from_slice += from_slice;
                delta.reserved -= if was_reserved { leg.units } else { 0 };
                delta.overrun += (spent - leg.units).max(0);
                delta.charges += i64::from(settling.state != State::Voided);
            });
        }
    }
    for ((number, starts_us), units) in &batch.returning {
        let delta = deltas.entry((Arc::clone(&ids[*number as usize]), *starts_us)).or_default();
        delta.from_slice += units;
    }
    deltas
}

/// Slots in the order of their ids.
fn by_id(wanted: &BTreeMap<Slot, i64>, ids: &[Arc<str>]) -> Vec<(Slot, i64)> {
    let mut slots: Vec<(Slot, i64)> = wanted.iter().map(|(slot, want)| (*slot, *want)).collect();
    slots.sort_by(|(a, _), (b, _)| (&ids[a.0 as usize], a.1).cmp(&(&ids[b.0 as usize], b.1)));
    slots
}

fn window_row(at: &(Arc<str>, i64), delta: &Delta, granted: i64, now_us: i64) -> Vec<Value> {
    let (id, starts_us) = at;
    let (tenant, budget) = rows::names(id);
    vec![
        id.as_ref().into(),
        Value::Time(*starts_us),
        Value::Time(delta.ends_us),
        tenant.into(),
        budget.into(),
        delta.unit.as_str().into(),
        delta.spent.into(),
        delta.reserved.into(),
        (granted - delta.from_slice).into(),
        delta.overrun.into(),
        delta.charges.into(),
        delta.refusals.into(),
        Value::Time(now_us),
    ]
}

fn slice_row((id, starts_us): &(Arc<str>, i64), node: &str, units: i64) -> Vec<Value> {
    vec![id.as_ref().into(), Value::Time(*starts_us), node.into(), units.into()]
}

fn slices(rows: &[engine::state::Row]) -> Result<Vec<((Arc<str>, i64), i64)>> {
    let one = |row: &engine::state::Row| {
        let id: String = row.get("budget_id")?;
        Ok(((id.into(), row.get("starts_at")?), row.get("granted_units")?))
    };
    rows.iter().map(one).collect()
}

impl super::book::Held {
    /// Its row in the state database.
    pub(super) fn row(
        &self,
        node: &str,
        state: State,
        posted: Option<String>,
        ids: &[Arc<str>],
        settled_us: Option<i64>,
    ) -> Vec<Value> {
        vec![
            self.key.0.as_ref().into(),
            self.key.1.as_ref().into(),
            node.into(),
            state.as_str().into(),
            self.amounts.json().into(),
            posted.into(),
            rows::legs_json(&self.legs, ids).into(),
            Value::Time(self.reserved_us),
            Value::Time(self.expires_us),
            settled_us.map_or(Value::Null, Value::Time),
        ]
    }
}

/// Tells whoever waits what became of his part of a batch.
pub(super) fn answer(batch: Batch, written: Option<&Written>) {
    let outcome = |done: bool| match written {
        None => Outcome::Fenced,
        Some(_) if done => Outcome::Done,
        Some(_) => Outcome::Elsewhere,
    };
    for reserving in batch.reserving {
        let key = &reserving.held.key;
        let done = written.is_some_and(|w| w.has(key));
        reserving.done.map(|waiting| waiting.send(outcome(done)));
    }
    for settling in batch.settling {
        let done = written.is_some_and(|w| w.settled.contains(&settling.held.key));
        settling.done.map(|waiting| waiting.send(outcome(done)));
    }
}
