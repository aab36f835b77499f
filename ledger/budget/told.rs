//! Events that come with a batch: refusals, sampled and counted exactly, and charges beyond what was reserved.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::state::Transaction;
use engine::{Result, Value};

use super::book::{Batch, Slot};
use super::commit::Written;
use super::node::Budgets;
use super::rows;

/// Refusals of so long are one row, which counts them and shows the first.
const SAMPLE_US: i64 = 60_000_000;

const PUT: &str = "INSERT INTO budget_event (id, tenant, budget, budget_id, window_start, kind, happened_at,
    event_count, unit, limit_units, spent_units, reserved_units, details)";
const COUNT: &str = "ON CONFLICT (id) DO UPDATE SET
    event_count = budget_event.event_count + excluded.event_count, happened_at = excluded.happened_at";

impl Budgets {
    /// Writes what a batch has to tell.
    pub(super) async fn write_told(
        &self,
        transaction: &mut Transaction,
        batch: &Batch,
        written: &Written,
        ids: &[Arc<str>],
        now_us: i64,
    ) -> Result<()> {
        let minute = now_us / SAMPLE_US;
        let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for ((number, starts_us), (count, refusal)) in &batch.refusals {
            let id = &ids[*number as usize];
            let details = serde_json::json!({
                "reason": refusal.reason.as_str(), "asked": refusal.unit.text(refusal.asked), "minute": minute,
            });
            let sums = [refusal.limit, refusal.spent, refusal.reserved];
            let row =
                row(id, *starts_us, "refused", minute, *count, (now_us, &refusal.unit.to_string()), sums, &details);
            told.insert(format!("{id}/{starts_us}/refused/{minute}"), row);
        }
        let mut overruns: BTreeMap<Slot, (i64, i64, String)> = BTreeMap::new();
        for settling in batch.settling.iter().filter(|settling| written.settled.contains(&settling.held.key)) {
            for (leg, (spent, _)) in settling.held.legs.iter().zip(&settling.parts).filter(|(l, (s, _))| *s > l.units) {
                let entry = overruns.entry(leg.slot()).or_insert_with(|| (0, 0, leg.unit.to_string()));
                entry.0 += 1;
                entry.1 += spent - leg.units;
            }
        }
        for ((number, starts_us), (count, units, unit)) in overruns {
            let id = &ids[number as usize];
            let limit = self.book().line(number).map_or(0, |line| line.budget().limit);
            let details = serde_json::json!({"by": "calls", "overrun_units": units, "minute": minute});
            let row = row(id, starts_us, "overrun", minute, count, (now_us, &unit), [limit, 0, 0], &details);
            told.insert(format!("{id}/{starts_us}/overrun/{minute}"), row);
        }
        let told: Vec<Vec<Value>> = told.into_values().collect();
        rows::insert(transaction, PUT, &told, COUNT).await.map(|_| ())
    }
}

#[allow(clippy::too_many_arguments)]
fn row(
    id: &str,
    starts_us: i64,
    kind: &str,
    minute: i64,
    count: i64,
    (now_us, unit): (i64, &str),
    [limit, spent, reserved]: [i64; 3],
    details: &serde_json::Value,
) -> Vec<Value> {
    let (tenant, budget) = rows::names(id);
    vec![
        format!("{id}/{starts_us}/{kind}/{minute}").into(),
        tenant.into(),
        budget.into(),
        id.into(),
        Value::Time(starts_us),
        kind.into(),
        Value::Time(now_us),
        count.into(),
        unit.into(),
        limit.into(),
        spent.into(),
        reserved.into(),
        details.to_string().into(),
    ]
}
