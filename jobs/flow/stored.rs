//! A flow's rows in the state database. Everything that follows from one event is one transaction, which counts only while
//! its job is still ours and nothing has happened that the decision did not see.

use std::sync::Arc;

use engine::state::{Row, Transaction};
use engine::{Column, Error, Kind, Result, State as Database, StateTable, Type, Value as Cell};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::machine::{Advance, End, Next, Write};
use super::rows::{Decision, Ending, Facts, Instance, Signal, StepRow, StepState, UndoState};
use crate::queue::{Claimed, FLOW, NewJob, Queue, Terms, insert, wake};

/// An instant after everything: what waits for no time.
pub(super) const NEVER_US: i64 = 9_000_000_000_000_000;

/// Steps of flows.
pub static STEP: StateTable = StateTable {
    name: "step",
    doc: "Steps of flows: checkpoints, and how each is undone, written down before it was done. Seen by the platform only.",
    columns: &[
        Column::new("job", Type::Text, "The flow's job.").required(),
        Column::new("round", Type::Int, "Which time the flow ran.").required(),
        Column::new("name", Type::Text, "The step.").required(),
        Column::new("place", Type::Int, "Its place in the flow, from 0.").required(),
        Column::new("kind", Type::Text, "`call`, `action`, `sleep`, `signal`, `child` or `approval`.").required(),
        Column::new("state", Type::Text, "`running`, `retrying`, `waiting`, `unknown` (somebody must say whether it was done), `done`, `failed` or `cancelled`.")
            .required(),
        Column::new("attempt", Type::Int, "Times it was begun.").required(),
        Column::new("run_at", Type::Time, "When it goes on: the next attempt, the end of a sleep, a deadline."),
        Column::new("input", Type::Json, "What it got.").required(),
        Column::new("output", Type::Json, "What it came to."),
        Column::new("error", Type::Text, "Why the last attempt failed."),
        Column::new("undo", Type::Json, "What undoes it."),
        Column::new("undo_state", Type::Text, "`recorded`, `running`, `retrying`, `done` or `failed`; null where nothing undoes it."),
        Column::new("undo_attempt", Type::Int, "Times that was begun.").required(),
        Column::new("undo_run_at", Type::Time, "When it is tried again."),
        Column::new("undo_error", Type::Text, "Why the last attempt to undo it failed."),
        Column::new("began_at", Type::Time, "When it began.").required(),
        Column::new("ended_at", Type::Time, "When it ended."),
    ],
    hidden: &[],
    tenant: None,
};

/// Signals to flows.
pub static SIGNAL: StateTable = StateTable {
    name: "signal",
    doc: "Signals that flows were sent, and which step took each. Seen by the platform only.",
    columns: &[
        Column::new("id", Type::Text, "Its id: a second signal of this id is none.").required(),
        Column::new("job", Type::Text, "The flow's job.").required(),
        Column::new("name", Type::Text, "Its name.").required(),
        Column::new("payload", Type::Json, "What it says.").required(),
        Column::new("sender", Type::Text, "Who sent it.").required(),
        Column::new("at", Type::Time, "When it came.").required(),
        Column::new("step", Type::Text, "The step that took it."),
    ],
    hidden: &[],
    tenant: None,
};

/// A flow that is being driven.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The flow with its steps.
    pub instance: Instance,
    /// What is known of what happened outside.
    pub facts: Facts,
    /// Whose matter it is.
    pub tenant: Option<String>,
    /// Who wants it.
    pub requester: Option<String>,
    /// The flow that waits for it.
    pub parent: Option<String>,
    /// The declared flow.
    pub flow: String,
    /// What it follows from.
    pub cause: Option<String>,
    /// The step of another flow that waits for it: its job, its round, its name.
    pub waits: Option<(String, i64, String)>,
    /// When it was made.
    pub created_us: i64,
    attempt: i64,
    /// How much of what happened outside the facts hold.
    wakes: i64,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is durable.
    Durable,
    /// Something happened that the decision did not see: nothing is written.
    Stale,
    /// The job is no longer ours: nothing is written.
    Lost,
}

/// Where rows are read: the database as it is, or a transaction under way.
pub trait Reads: Send {
    /// The rows of one SELECT.
    fn rows<'a>(&'a mut self, sql: &'static str, values: &'a [Cell]) -> BoxFuture<'a, Result<Vec<Row>>>;
}

impl Reads for &Database {
    fn rows<'a>(&'a mut self, sql: &'static str, values: &'a [Cell]) -> BoxFuture<'a, Result<Vec<Row>>> {
        self.fetch(sql, values).boxed()
    }
}

impl Reads for Transaction {
    fn rows<'a>(&'a mut self, sql: &'static str, values: &'a [Cell]) -> BoxFuture<'a, Result<Vec<Row>>> {
        self.fetch(sql, values).boxed()
    }
}

/// Reads a flow that was claimed; `None` where it is no longer ours.
pub async fn load(from: &mut impl Reads, job: &Claimed) -> Result<Option<Seat>> {
    // The count of what happened comes first: what happens while the facts are read is seen at the next look.
    let head = "SELECT arguments, dedupe, round, tenant, requester, parent, wakes, paused, cancel, cause, created_at FROM job \
                WHERE id = $1 AND attempt = $2 AND state = 'running'";
    let rows = from.rows(head, &[job.id.as_str().into(), Cell::Int(job.attempt)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (arguments, round) = (json_of(row, "arguments")?, row.get("round")?);
    let instance = Instance {
        job: job.id.clone(),
        dedupe: row.get("dedupe")?,
        round,
        input: input_of(&arguments),
        steps: steps(from, &job.id, Some(round)).await?.into_iter().map(|(_, row)| row).collect(),
    };
    let facts = Facts { cancel: row.get("cancel")?, paused: row.get("paused")?, ..facts(from, &instance).await? };
    Ok(Some(Seat {
        instance,
        facts,
        tenant: row.get("tenant")?,
        requester: row.get("requester")?,
        parent: row.get("parent")?,
        flow: name_of(&arguments),
        cause: row.get("cause")?,
        waits: waits(&arguments),
        created_us: row.get("created_at")?,
        attempt: job.attempt,
        wakes: row.get("wakes")?,
    }))
}

/// The flow that a job's arguments name: started by hand, or by an action of a rule.
pub fn name_of(arguments: &Value) -> String {
    let named = arguments["flow"].as_str().or_else(|| arguments["with"]["flow"].as_str());
    named.unwrap_or_default().to_owned()
}

fn waits(arguments: &Value) -> Option<(String, i64, String)> {
    let of = &arguments["of"];
    Some((of["job"].as_str()?.to_owned(), of["round"].as_i64()?, of["step"].as_str()?.to_owned()))
}

/// The input of a flow: what it was started with, or the row of the rule that started it.
pub fn input_of(arguments: &Value) -> Value {
    let input = [&arguments["input"], &arguments["row"]].into_iter().find(|value| value.is_object());
    input.cloned().unwrap_or_else(|| json!({}))
}

/// What happened outside.
async fn facts(from: &mut impl Reads, instance: &Instance) -> Result<Facts> {
    let mut facts = Facts::default();
    let untaken = "SELECT id, name, payload FROM signal WHERE job = $1 AND step IS NULL ORDER BY at, id";
    for row in from.rows(untaken, &[instance.job.as_str().into()]).await? {
        let signal = Signal { id: row.get("id")?, name: row.get("name")?, payload: json_of(&row, "payload")? };
        facts.signals.push(signal);
    }
    for step in instance.steps.iter().filter(|step| step.state == StepState::Waiting) {
        let of_step = [instance.job.as_str().into(), Cell::Int(instance.round), step.name.as_str().into()];
        match step.kind.as_str() {
            "child" => {
                if let Some(ending) = ending(from, &instance.key(&step.name, false)).await? {
                    facts.children.insert(step.name.clone(), ending);
                }
            }
            "approval" => {
                let decided = "SELECT decision, reason FROM approval WHERE job = $1 AND round = $2 AND step = $3 \
                               AND decision IS NOT NULL";
                if let Some(row) = from.rows(decided, &of_step).await?.first() {
                    let approved = row.get::<String>("decision")? == "approved";
                    let reason = row.get::<Option<String>>("reason")?.unwrap_or_default();
                    facts.decisions.insert(step.name.clone(), Decision { approved, reason });
                }
            }
            _ => {}
        }
    }
    Ok(facts)
}

/// How a child ended, if it has.
async fn ending(from: &mut impl Reads, dedupe: &str) -> Result<Option<Ending>> {
    let ended = "SELECT state, output, error FROM job_done WHERE dedupe = $1";
    if let Some(row) = from.rows(ended, &[dedupe.into()]).await?.first() {
        let error: Option<String> = row.get("error")?;
        return Ok(Some(match row.get::<String>("state")?.as_str() {
            "done" => Ending::Done(json_of(row, "output").unwrap_or_default()),
            _ => Ending::Failed(error.unwrap_or_else(|| "it was cancelled".to_owned())),
        }));
    }
    let dead = "SELECT error FROM job WHERE dedupe = $1 AND state = 'dead'";
    let rows = from.rows(dead, &[dedupe.into()]).await?;
    let row = rows.first().map(|row| row.get::<Option<String>>("error")).transpose()?;
    Ok(row.map(|error| Ending::Failed(error.unwrap_or_else(|| "it is dead".to_owned()))))
}

/// Steps of a flow with their rounds: of one round, or of all.
pub async fn steps(from: &mut impl Reads, job: &str, round: Option<i64>) -> Result<Vec<(i64, StepRow)>> {
    let sql = "SELECT round, name, place, kind, state, attempt, run_at, input, output, error, undo, undo_state, undo_attempt, \
               undo_run_at, undo_error, began_at, ended_at FROM step WHERE job = $1 AND ($2 = 0 OR round = $2) ORDER BY round, place";
    let rows = from.rows(sql, &[job.into(), Cell::Int(round.unwrap_or(0))]).await?;
    rows.iter().map(|row| Ok((row.get("round")?, step_of(row)?))).collect()
}

fn step_of(row: &Row) -> Result<StepRow> {
    let broken = |what: &str, word: &str| Error::new(Kind::Corrupt, format!("a step of a flow has the {what} {word}"));
    let (state, undo_state): (String, Option<String>) = (row.get("state")?, row.get("undo_state")?);
    let undo_state = undo_state.map(|word| UndoState::parse(&word).ok_or_else(|| broken("undo_state", &word)));
    Ok(StepRow {
        name: row.get("name")?,
        place: row.get("place")?,
        kind: row.get("kind")?,
        state: StepState::parse(&state).ok_or_else(|| broken("state", &state))?,
        attempt: row.get("attempt")?,
        run_us: row.get("run_at")?,
        input: json_of(row, "input")?,
        output: optional_json(row, "output")?,
        error: row.get("error")?,
        undo: optional_json(row, "undo")?,
        undo_state: undo_state.transpose()?,
        undo_attempt: row.get("undo_attempt")?,
        undo_run_us: row.get("undo_run_at")?,
        undo_error: row.get("undo_error")?,
        began_us: row.get("began_at")?,
        ended_us: row.get("ended_at")?,
    })
}

fn json_of(row: &Row, column: &str) -> Result<Value> {
    optional_json(row, column).map(Option::unwrap_or_default)
}

fn optional_json(row: &Row, column: &str) -> Result<Option<Value>> {
    let text: Option<String> = row.get(column)?;
    let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
    parsed.map_err(|e| Error::new(Kind::Corrupt, format!("{column} of a flow is no JSON: {e}")))
}

fn time(at: Option<i64>) -> Cell {
    at.map_or(Cell::Null, Cell::Time)
}

fn json_cell(value: &Option<Value>) -> Cell {
    value.as_ref().map_or(Cell::Null, |value| value.to_string().into())
}

impl Seat {
    /// Makes what follows from an event durable, together with whatever else waits.
    pub async fn commit(&mut self, queue: &Queue, advance: &Advance, now_us: i64) -> Result<Kept> {
        let shared = Arc::new((self.clone(), advance.clone()));
        let kept = queue.together(None, move |open| {
            let shared = Arc::clone(&shared);
            async move { Ok((shared.0.put(open, &shared.1, now_us).await?, Vec::new())) }.boxed()
        });
        let kept = kept.await?;
        if kept == Kept::Durable {
            self.settle(advance);
        }
        Ok(kept)
    }

    /// Writes what follows from an event, and lets the job go where nothing is to be done next. Durable with the transaction.
    pub(super) async fn put(&self, open: &mut Transaction, advance: &Advance, now_us: i64) -> Result<Kept> {
        let fence = "UPDATE job SET wakes = wakes WHERE id = $1 AND attempt = $2 AND state = 'running' RETURNING wakes";
        let held = open.fetch(fence, &[self.instance.job.as_str().into(), Cell::Int(self.attempt)]).await?;
        match held.first().map(|row| row.get::<i64>("wakes")).transpose()? {
            None => return Ok(Kept::Lost),
            Some(wakes) if wakes != self.wakes => return Ok(Kept::Stale),
            Some(_) => {}
        }
        let mut at_once = false;
        for write in &advance.writes {
            at_once |= !self.write(open, write, now_us).await?;
        }
        self.go(open, &advance.next, now_us).await?;
        if at_once {
            wake(open, &self.instance.job, now_us).await?;
        }
        Ok(Kept::Durable)
    }

    /// What was written is what is known from now on.
    pub(super) fn settle(&mut self, advance: &Advance) {
        self.instance = advance.instance.clone();
        let taken = |id: &str| advance.writes.iter().any(|w| matches!(w, Write::Take { signal, .. } if signal == id));
        self.facts.signals.retain(|signal| !taken(&signal.id));
    }

    /// Writes one change; false where what it waits for has an end already, which nobody will tell of again.
    async fn write(&self, open: &mut Transaction, write: &Write, now_us: i64) -> Result<bool> {
        let job = self.instance.job.as_str();
        let (sql, values): (&'static str, Vec<Cell>) = match write {
            Write::Step(row) => return upsert_step(open, job, self.instance.round, row).await.map(|()| true),
            Write::Intend { key, step, attempt, class, request_hash } => (
                "INSERT INTO effect (dedupe, job, step, attempt, class, target, request_hash, state, at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, 'intent', $8) ON CONFLICT (dedupe) DO UPDATE SET \
                 attempt = excluded.attempt, at = excluded.at, request_hash = excluded.request_hash, \
                 state = CASE WHEN effect.state = 'failed' THEN 'intent' ELSE effect.state END \
                 WHERE effect.state <> 'done'",
                vec![
                    key.as_str().into(),
                    job.into(),
                    step.as_str().into(),
                    Cell::Int(*attempt),
                    class.name().into(),
                    self.flow.as_str().into(),
                    request_hash.as_str().into(),
                    Cell::Time(now_us),
                ],
            ),
            Write::Settle { key, state, target, response } => {
                let target = target.as_deref().unwrap_or_default();
                (
                    "UPDATE effect SET state = $2, target = CASE WHEN $3 = '' THEN target ELSE $3 END, response = $4, at = $5 \
                     WHERE dedupe = $1 AND state <> 'done'",
                    vec![
                        key.as_str().into(),
                        (*state).into(),
                        target.into(),
                        response.as_str().into(),
                        Cell::Time(now_us),
                    ],
                )
            }
            Write::Take { signal, step } => (
                "UPDATE signal SET step = $2 WHERE id = $1 AND step IS NULL",
                vec![signal.as_str().into(), step.as_str().into()],
            ),
            Write::Child { step, flow, input } => return self.begin_child(open, step, flow, input, now_us).await,
            Write::CancelChild { step } => (
                "UPDATE job SET cancel = COALESCE(cancel, 'the flow that waits for it ended'), wakes = wakes + 1, \
                 run_at = CASE WHEN state = 'waiting' THEN $2 ELSE run_at END, \
                 state = CASE WHEN state = 'waiting' THEN 'ready' ELSE state END \
                 WHERE dedupe = $1 AND cancel IS NULL",
                vec![self.instance.key(step, false).into(), Cell::Time(now_us)],
            ),
            Write::Ask { step, ask, voters, quorum, deadline_us } => {
                return self.ask(open, [step, ask, voters], *quorum, [*deadline_us, now_us]).await;
            }
            Write::Decide { step, decision, reason } => (
                "UPDATE approval SET decision = $4, reason = $5, decided_at = $6 \
                 WHERE job = $1 AND round = $2 AND step = $3 AND decision IS NULL",
                vec![
                    job.into(),
                    Cell::Int(self.instance.round),
                    step.as_str().into(),
                    (*decision).into(),
                    reason.as_str().into(),
                    Cell::Time(now_us),
                ],
            ),
        };
        open.execute(sql, &values).await.map(|_| true)
    }

    /// Asks people, unless they were asked before.
    async fn ask(
        &self,
        open: &mut Transaction,
        [step, ask, voters]: [&String; 3],
        quorum: i64,
        [deadline_us, now_us]: [i64; 2],
    ) -> Result<bool> {
        let values = [
            uuid::Uuid::now_v7().to_string().into(),
            self.instance.job.as_str().into(),
            Cell::Int(self.instance.round),
            step.as_str().into(),
            self.tenant.as_deref().into(),
            ask.as_str().into(),
            voters.as_str().into(),
            Cell::Int(quorum),
            self.requester.as_deref().unwrap_or("platform").into(),
            Cell::Time(deadline_us),
            Cell::Time(now_us),
        ];
        let sql = "INSERT INTO approval (id, job, round, step, tenant, ask, voters, quorum, requester, deadline, created_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (job, round, step) DO NOTHING";
        open.execute(sql, &values).await.map(|_| true)
    }

    /// Makes the job of another flow, or lets a dead one of the same name go on.
    async fn begin_child(
        &self,
        open: &mut Transaction,
        step: &str,
        flow: &str,
        input: &Value,
        now_us: i64,
    ) -> Result<bool> {
        let (job, dedupe) = (self.instance.job.as_str(), self.instance.key(step, false));
        let child = NewJob {
            id: uuid::Uuid::now_v7().to_string(),
            kind: FLOW.to_owned(),
            arguments: json!({
                "flow": flow, "input": input, "of": { "job": job, "round": self.instance.round, "step": step },
            }),
            dedupe: dedupe.clone(),
            cause: format!("flow {} ({job}), step {step}", self.flow),
            run_us: now_us,
            created_us: now_us,
            terms: Terms {
                tenant: self.tenant.clone(),
                parent: Some(job.to_owned()),
                requester: self.requester.clone(),
                ..Terms::default()
            },
        };
        if insert(open, &child).await? {
            return Ok(true);
        }
        let again = "UPDATE job SET state = 'ready', run_at = $2, wakes = wakes + 1 WHERE dedupe = $1 AND state = 'dead' \
                     RETURNING id, round";
        let dead = open.fetch(again, &[dedupe.into(), Cell::Time(now_us)]).await?;
        for row in &dead {
            reopen(open, &row.get::<String>("id")?, row.get("round")?).await?;
        }
        Ok(false)
    }

    /// Where the job goes.
    async fn go(&self, open: &mut Transaction, next: &Next, now_us: i64) -> Result<()> {
        let job = self.instance.job.as_str();
        let (state, output, error) = match next {
            Next::Call(_) => return Ok(()),
            Next::Park { until_us } => {
                let sql =
                    "UPDATE job SET state = 'waiting', run_at = $2, lease_until = NULL, owner = NULL WHERE id = $1";
                return open.execute(sql, &[job.into(), Cell::Time(until_us.unwrap_or(NEVER_US))]).await.map(|_| ());
            }
            Next::End(End::Dead(error)) => {
                let sql = "UPDATE job SET state = 'dead', error = $2, lease_until = NULL, owner = NULL WHERE id = $1";
                open.execute(sql, &[job.into(), error.as_str().into()]).await?;
                return self.wake_parent(open, now_us).await;
            }
            Next::End(End::Done(output)) => ("done", Some(output.to_string()), None),
            Next::End(End::Cancelled(reason)) => ("cancelled", None, Some(reason.clone())),
        };
        let moved = "INSERT INTO job_done (id, queue, kind, arguments, state, attempt, dedupe, cause, created_at, ended_at, tenant, parent, requester, round) \
                     SELECT id, queue, kind, arguments, $2, attempt, dedupe, cause, created_at, $3, tenant, parent, requester, round \
                     FROM job WHERE id = $1";
        open.execute(moved, &[job.into(), state.into(), Cell::Time(now_us)]).await?;
        let told = "UPDATE job_done SET output = $2, error = $3 WHERE id = $1";
        open.execute(told, &[job.into(), output.as_deref().into(), error.as_deref().into()]).await?;
        open.execute("DELETE FROM job WHERE id = $1", &[job.into()]).await?;
        self.wake_parent(open, now_us).await
    }

    async fn wake_parent(&self, open: &mut Transaction, now_us: i64) -> Result<()> {
        match &self.parent {
            Some(parent) => wake(open, parent, now_us).await.map(|_| ()),
            None => Ok(()),
        }
    }
}

async fn upsert_step(open: &mut Transaction, job: &str, round: i64, row: &StepRow) -> Result<()> {
    let values = [
        job.into(),
        Cell::Int(round),
        row.name.as_str().into(),
        Cell::Int(row.place),
        row.kind.as_str().into(),
        row.state.word().into(),
        Cell::Int(row.attempt),
        time(row.run_us),
        row.input.to_string().into(),
        json_cell(&row.output),
        row.error.as_deref().into(),
        json_cell(&row.undo),
        row.undo_state.map(UndoState::word).into(),
        Cell::Int(row.undo_attempt),
        time(row.undo_run_us),
        row.undo_error.as_deref().into(),
        Cell::Time(row.began_us),
        time(row.ended_us),
    ];
    let sql = "INSERT INTO step (job, round, name, place, kind, state, attempt, run_at, input, output, error, undo, undo_state, \
               undo_attempt, undo_run_at, undo_error, began_at, ended_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
               ON CONFLICT (job, round, name) DO UPDATE SET state = excluded.state, attempt = excluded.attempt, run_at = excluded.run_at, \
               output = excluded.output, error = excluded.error, undo_state = excluded.undo_state, \
               undo_attempt = excluded.undo_attempt, undo_run_at = excluded.undo_run_at, undo_error = excluded.undo_error, \
               ended_at = excluded.ended_at";
    open.execute(sql, &values).await.map(|_| ())
}

/// Makes a dead flow ready to go on, as a part of the transaction that replays its job. Where nothing was undone, it goes on
/// at the step that failed; where all was, it begins anew; where undoing failed, that goes on.
pub(crate) async fn reopen(open: &mut Transaction, job: &str, round: i64) -> Result<()> {
    let of_round = [job.into(), Cell::Int(round)];
    let failed = "UPDATE step SET undo_state = 'recorded', undo_attempt = 0, undo_error = NULL WHERE job = $1 AND round = $2 \
                  AND undo_state = 'failed'";
    if open.execute(failed, &of_round).await? > 0 {
        return Ok(());
    }
    let undone = "SELECT name FROM step WHERE job = $1 AND round = $2 AND undo_state = 'done' LIMIT 1";
    if !open.fetch(undone, &of_round).await?.is_empty() {
        return open.execute("UPDATE job SET round = round + 1 WHERE id = $1", &[job.into()]).await.map(|_| ());
    }
    // An approval that was denied is asked for anew with its step.
    let asked = "DELETE FROM vote WHERE approval IN (SELECT id FROM approval WHERE job = $1 AND round = $2 AND decision <> 'approved')";
    open.execute(asked, &of_round).await?;
    let asked = "DELETE FROM approval WHERE job = $1 AND round = $2 AND decision <> 'approved'";
    open.execute(asked, &of_round).await?;
    let again = "DELETE FROM step WHERE job = $1 AND round = $2 AND state <> 'done'";
    open.execute(again, &of_round).await.map(|_| ())
}
