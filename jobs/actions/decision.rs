//! `materialize`: the rows of a rule that fire, as a table that everybody can ask. Each run puts one snapshot in place of
//! another; nobody sees half of one.

use std::collections::{BTreeMap, BTreeSet};

use engine::arrow::array::AsArray;
use engine::sql::session::from_datafusion;
use engine::{Column, Frame, Limits, Question, Result, Rows, Scope, Store, Table, Type, Value};
use futures::TryStreamExt;
use serde_json::Value as Json;

use super::world::{World, ended, said, with};
use crate::book::Book;
use crate::queue::{Claimed, Ended};
use crate::rows::{State, Tracked};

/// What rules decided, as it holds now.
pub static DECISION: Table = Table {
    set: Some("decision"),
    time: "decided_at",
    ..Table::new(
        "decision",
        "What rules decided, as it holds now: a row for each row of the rule that fires. `SELECT data->>'tenant' FROM decision WHERE decision = '…'`.",
        &[
            Column::new("tenant", Type::Name, "The row's own tenant, where the rule's SELECT has a column `tenant`.")
                .required(),
            Column::new("decision", Type::Name, "Name of the decision, as `materialize` has it.").required(),
            Column::new("rule", Type::Name, "The rule that decided.").required(),
            Column::new("key", Type::Json, "The row's key, a list.").required(),
            Column::new("data", Type::Json, "The row's cells, by column.").required(),
            Column::new("since", Type::Time, "The tick at which the row began to fire.").required(),
            Column::new("decided_at", Type::Time, "When the snapshot was taken.").required(),
        ],
    )
};

/// Rows of a snapshot whose tenants are looked for.
const TENANTS_MAX: usize = 100_000;

pub(super) async fn act(world: &World, job: &Claimed) -> std::result::Result<Ended, Ended> {
    let store = &world.inside()?.store;
    let (name, rule) = (with(job, "name"), said(&job.arguments, "rule"));
    let _turn = world.snapshots.lock().await;
    match swap(store, name, rule, world.now_us()).await {
        Ok(rows) => Ok(Ended::Done { target: format!("decision {name}"), response: format!("{rows} rows") }),
        Err(error) => Err(ended(&error.context(&format!("write the decision {name}")))),
    }
}

/// Takes a snapshot of what fires and puts it in place of the last one. Answers its rows.
async fn swap(store: &Store, name: &str, rule: &str, now_us: i64) -> Result<usize> {
    let scope = Scope::platform("rules");
    let tracked = Book::new(store.state().clone()).tracked(rule).await?;
    let mut tenants: BTreeMap<String, Vec<(&String, &Tracked)>> = BTreeMap::new();
    for (key, row) in tracked.iter().filter(|(_, row)| row.state != State::Pending) {
        let named = row.data.get("tenant").and_then(Json::as_str);
        tenants.entry(scope.owner(named).to_owned()).or_default().push((key, row));
    }
    let mut sets: BTreeSet<String> = tenants.keys().cloned().collect();
    // A tenant without rows any more has an empty snapshot, not its last one.
    sets.extend(holders(store, &scope, name).await?);
    let mut rows = Rows::new(&DECISION);
    for tenant in &sets {
        rows.set("tenant", tenant.as_str()).set("decision", name).set("decided_at", Value::Time(now_us));
        rows.end_replace()?;
    }
    let mut count = 0;
    for (tenant, of) in &tenants {
        for (key, row) in of {
            rows.set("tenant", tenant.as_str())
                .set("decision", name)
                .set("rule", rule)
                .set("key", key.as_str())
                .set("data", Json::Object(row.data.clone()).to_string())
                .set("since", Value::Time(row.epoch))
                .set("decided_at", Value::Time(now_us));
            rows.end_row()?;
            count += 1;
        }
    }
    let mut frame = Frame::new("rules/materialize");
    frame.push_rows(&mut rows);
    if frame.rows() > 0 {
        store.append(frame).await?;
    }
    Ok(count)
}

/// The tenants that have rows of a decision.
async fn holders(store: &Store, scope: &Scope, name: &str) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT CAST(tenant AS VARCHAR) AS tenant FROM decision WHERE decision = $1".to_owned();
    let question = Question { sql, params: vec![name.to_owned()] };
    let limits = Limits { rows_max: TENANTS_MAX, ..Limits::default() };
    let answer = store.query(scope, question, limits).await?;
    let batches: Vec<_> = answer.stream.try_collect().await.map_err(from_datafusion)?;
    let mut tenants = Vec::new();
    for batch in &batches {
        let cells = engine::arrow::compute::cast(batch.column(0), &engine::arrow::datatypes::DataType::Utf8)
            .map_err(|e| engine::Error::new(engine::Kind::Internal, format!("read tenants: {e}")))?;
        tenants.extend(cells.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(tenants)
}
