//! What people and doors do to flows: start, look, signal, cancel, and say what became of a step that nobody knows about.
//! Each change and its row in the audit log are one transaction. What they say passes the redactor before anything is written.

use std::sync::Arc;

use engine::clock::rfc3339;
use engine::state::Transaction;
use engine::{Error, Kind, Result, State as Database, Tenants, Value as Cell};
use futures::FutureExt;
use ledger::audit::{Audit, Entry};
use ledger::principal::Caller;
use serde_json::{Value, json};

use super::rows::{StepRow, StepState};
use super::stored::{self, NEVER_US, input_of, name_of};
use crate::given;
use crate::queue::{FLOW, NewJob, PRIORITY, Queue, Terms, insert, wake};

/// Flows that one listing shows.
const LISTED_MAX: i64 = 500;
/// Bytes of a flow's input, and of a signal.
const INPUT_BYTES_MAX: usize = 1 << 20;
/// Signals that wait in a flow: more are refused until it takes some.
const SIGNALS_MAX: i64 = 1_000;

/// The flow that somebody wants.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Which one.
    pub flow: String,
    /// What it needs to know.
    #[serde(default)]
    pub input: Value,
    /// Names it: the same flow of the same key is started once.
    #[serde(default)]
    pub key: Option<String>,
    /// Whose matter it is.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Lower ones run first.
    #[serde(default)]
    pub priority: Option<i64>,
}

/// Where flows are started and spoken to.
#[derive(Debug, Clone)]
pub struct Desk {
    state: Arc<Database>,
    queue: Queue,
    audit: Option<Arc<Audit>>,
}

impl Desk {
    /// A desk over the queue of this process; what is done here is audited where there is a log.
    pub fn new(queue: Queue, audit: Option<Arc<Audit>>) -> Self {
        Desk { state: Arc::clone(queue.state()), queue, audit }
    }

    /// Starts a flow; its id, and whether it was started before. `Conflict` where one of the same key has another input.
    pub async fn start(&self, start: &Start, caller: &Caller, now_us: i64) -> Result<(String, bool)> {
        let flow = super::flow(&start.flow).ok_or_else(|| {
            let known: Vec<_> = super::FLOWS.iter().map(|flow| flow.name).collect();
            Error::new(Kind::NotFound, format!("there is no flow {}; there are {}", start.flow, known.join(", ")))
        })?;
        let faults = flow.check(&start.input);
        if !faults.is_empty() {
            return Err(Error::invalid(faults.join("; ")));
        }
        bounded(&start.input)?;
        let input = given::document(&**self.state.redactor(), &start.input);
        let tenant = owned(caller, start.tenant.as_deref())?;
        let key = start.key.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        let of_tenant = tenant.as_deref().map_or_else(String::new, |tenant| format!("{tenant}/"));
        let job = NewJob {
            id: uuid::Uuid::now_v7().to_string(),
            kind: FLOW.to_owned(),
            arguments: json!({ "flow": flow.name, "input": input }),
            dedupe: format!("flow/{}/{of_tenant}{key}", flow.name),
            cause: format!("started by {}", caller.scope.principal),
            run_us: now_us,
            created_us: now_us,
            terms: Terms {
                priority: start.priority.unwrap_or(PRIORITY),
                tenant: tenant.clone(),
                parent: None,
                requester: Some(name(caller)),
            },
        };
        let entry = caller.entry("flow.start", job.id.as_str()).of_tenant(tenant.as_deref());
        let entry = entry.with(json!({ "flow": flow.name, "key": key }));
        let started = self.queue.together(self.audit.clone(), move |open| {
            let (job, entry) = (job.clone(), entry.clone());
            async move {
                match insert(open, &job).await? {
                    true => Ok((Ok((job.id, false)), vec![entry])),
                    // Nothing is written: what is wrong is an answer, and hurts nobody who shares the transaction.
                    false => match known(open, &job).await {
                        Err(error) if error.kind() != Kind::Conflict => Err(error),
                        known => Ok((known.map(|id| (id, true)), Vec::new())),
                    },
                }
            }
            .boxed()
        });
        started.await?
    }

    /// Sends a signal; `id` tells one that is sent twice. False where it was there already.
    pub async fn signal(
        &self,
        job: &str,
        signal: &str,
        payload: &Value,
        id: Option<&str>,
        caller: &Caller,
        now_us: i64,
    ) -> Result<bool> {
        bounded(payload)?;
        let payload = given::document(&**self.state.redactor(), payload);
        let mut open = self.state.transaction().await?;
        let tenant = self.hold(&mut open, job, caller, now_us).await?;
        let waiting = "SELECT count(*) AS n FROM signal WHERE job = $1 AND step IS NULL";
        let waiting: i64 = open.fetch(waiting, &[job.into()]).await?.first().map_or(Ok(0), |row| row.get("n"))?;
        if waiting >= SIGNALS_MAX {
            let kind = Kind::Overloaded { retry_after: std::time::Duration::from_secs(5) };
            return Err(Error::new(kind, format!("{SIGNALS_MAX} signals wait in the flow {job} already")));
        }
        let id = id.map_or_else(|| uuid::Uuid::now_v7().to_string(), |id| format!("{job}/{id}"));
        let values =
            [id.into(), job.into(), signal.into(), payload.to_string().into(), name(caller).into(), Cell::Time(now_us)];
        let sql = "INSERT INTO signal (id, job, name, payload, sender, at) VALUES ($1, $2, $3, $4, $5, $6) \
                   ON CONFLICT (id) DO NOTHING";
        let is_new = open.execute(sql, &values).await? == 1;
        if is_new {
            let entry = caller.entry("flow.signal", job).of_tenant(tenant.as_deref());
            self.note(&mut open, entry.with(json!({ "signal": signal }))).await?;
        }
        open.commit().await?;
        Ok(is_new)
    }

    /// Lets a flow end, once what it did is undone.
    pub async fn cancel(&self, job: &str, why: &str, caller: &Caller, now_us: i64) -> Result<()> {
        let mut open = self.state.transaction().await?;
        let tenant = self.hold(&mut open, job, caller, now_us).await?;
        let why = self.state.redactor().redact(why);
        let reason = format!("{} cancelled it: {why}", name(caller));
        let sql = "UPDATE job SET cancel = COALESCE(cancel, $2) WHERE id = $1 AND state <> 'dead'";
        if open.execute(sql, &[job.into(), reason.into()]).await? == 0 {
            let text = format!("the flow {job} is dead and undone; `stellwerk job cancel` puts it away");
            return Err(Error::new(Kind::Conflict, text));
        }
        let entry = caller.entry("flow.cancel", job).of_tenant(tenant.as_deref()).with(json!({ "why": why }));
        self.note(&mut open, entry).await?;
        open.commit().await
    }

    /// Says what became of a step that nobody knows about: it was done and came to this, or it is to be done again.
    pub async fn resolve(
        &self,
        job: &str,
        step: &str,
        output: Option<&Value>,
        caller: &Caller,
        now_us: i64,
    ) -> Result<()> {
        let mut open = self.state.transaction().await?;
        let tenant = self.hold(&mut open, job, caller, now_us).await?;
        let (state, text) = match output {
            Some(output) => (StepState::Done, given::document(&**self.state.redactor(), output).to_string()),
            None => (StepState::Retrying, String::new()),
        };
        let values = [job.into(), step.into(), state.word().into(), text.into(), Cell::Time(now_us)];
        let sql = "UPDATE step SET state = $3, output = NULLIF($4, ''), run_at = $5, error = NULL WHERE job = $1 AND name = $2 \
                   AND state = 'unknown'";
        if open.execute(sql, &values).await? == 0 {
            let text = format!("the flow {job} has no step {step} of which nobody knows whether it was done");
            return Err(Error::new(Kind::NotFound, text));
        }
        if output.is_some() {
            let told =
                "UPDATE effect SET state = 'done', response = 'somebody said so', at = $3 WHERE job = $1 AND step = $2";
            open.execute(told, &[job.into(), step.into(), Cell::Time(now_us)]).await?;
        }
        let entry = caller.entry("flow.resolve", job).of_tenant(tenant.as_deref());
        self.note(&mut open, entry.with(json!({ "step": step, "done": output.is_some() }))).await?;
        open.commit().await
    }

    /// Flows, newest first: those that have not ended, and with `ended` those that have.
    pub async fn list(&self, ended: bool, tenants: &Tenants) -> Result<Vec<Value>> {
        let live = "SELECT id, arguments, state, tenant, requester, error, created_at, paused, cancel, run_at, round FROM job \
                    WHERE kind = 'flow' ORDER BY id DESC LIMIT $1";
        let mut flows = Vec::new();
        for row in self.state.fetch(live, &[Cell::Int(LISTED_MAX)]).await? {
            let (state, paused): (String, bool) = (row.get("state")?, row.get("paused")?);
            let state = if paused { "paused".to_owned() } else { state };
            let at = self.current(&row.get::<String>("id")?, row.get("round")?).await?;
            flows.push(listed(&row, &state, at)?);
        }
        if ended {
            let done = "SELECT id, arguments, state, tenant, requester, error, created_at, ended_at FROM job_done \
                        WHERE kind = 'flow' ORDER BY id DESC LIMIT $1";
            for row in self.state.fetch(done, &[Cell::Int(LISTED_MAX)]).await? {
                let state: String = row.get("state")?;
                flows.push(listed(&row, &state, None)?);
            }
        }
        flows.retain(|flow| flow["tenant"].as_str().map_or(*tenants == Tenants::All, |tenant| tenants.covers(tenant)));
        Ok(flows)
    }

    /// The step at which a flow is.
    async fn current(&self, job: &str, round: i64) -> Result<Option<String>> {
        let sql = "SELECT name, state FROM step WHERE job = $1 AND round = $2 ORDER BY place DESC LIMIT 1";
        let rows = self.state.fetch(sql, &[job.into(), Cell::Int(round)]).await?;
        let row = rows
            .first()
            .map(|row| Ok::<_, Error>(format!("{} {}", row.get::<String>("name")?, row.get::<String>("state")?)));
        row.transpose()
    }

    /// One flow with its steps, its effects and what it asks people.
    pub async fn show(&self, job: &str, tenants: &Tenants) -> Result<Value> {
        let none =
            || Error::new(Kind::NotFound, format!("there is no flow {job}; `stellwerk flow list --all` shows them"));
        let live = "SELECT id, arguments, state, tenant, requester, error, created_at, paused, cancel, run_at, dedupe, round \
                    FROM job WHERE id = $1 AND kind = 'flow'";
        let done = "SELECT id, arguments, state, tenant, requester, error, created_at, ended_at, dedupe, round, output \
                    FROM job_done WHERE id = $1 AND kind = 'flow'";
        let mut found = None;
        for sql in [live, done] {
            if found.is_none() {
                found = self.state.fetch(sql, &[job.into()]).await?.into_iter().next();
            }
        }
        let row = found.ok_or_else(none)?;
        let state: String = row.get("state")?;
        let mut flow = listed(&row, &state, None)?;
        if !flow["tenant"].as_str().map_or(*tenants == Tenants::All, |tenant| tenants.covers(tenant)) {
            return Err(none());
        }
        let arguments: Value = serde_json::from_str(&row.get::<String>("arguments")?).unwrap_or_default();
        flow["input"] = input_of(&arguments);
        flow["key"] = row.get::<String>("dedupe")?.into();
        flow["round"] = row.get::<i64>("round")?.into();
        if let Ok(Some(output)) = row.get::<Option<String>>("output") {
            flow["output"] = serde_json::from_str(&output).unwrap_or_default();
        }
        let steps = stored::steps(&mut &*self.state, job, None).await?;
        flow["steps"] = steps.iter().map(|(round, step)| shown(*round, step)).collect();
        let effects =
            "SELECT dedupe, step, class, state, target, response FROM effect WHERE job = $1 ORDER BY at, dedupe";
        let effects = self.state.fetch(effects, &[job.into()]).await?;
        flow["effects"] = effects.iter().map(effect).collect::<Result<Value>>()?;
        let asked = "SELECT id, step, ask, decision FROM approval WHERE job = $1 ORDER BY id";
        let asked = self.state.fetch(asked, &[job.into()]).await?;
        let asked = asked.iter().map(|row| {
            let text = |name: &str| row.get::<Option<String>>(name);
            Ok(json!({ "id": text("id")?, "step": text("step")?, "ask": text("ask")?, "decision": text("decision")? }))
        });
        flow["approvals"] = asked.collect::<Result<Value>>()?;
        Ok(flow)
    }

    /// Holds a flow's job for the rest of the transaction, and notes that something happens to it. Its tenant.
    async fn hold(&self, open: &mut Transaction, job: &str, caller: &Caller, now_us: i64) -> Result<Option<String>> {
        let none = || Error::new(Kind::NotFound, format!("there is no flow {job} that has not ended"));
        if !wake(open, job, now_us).await? {
            return Err(none());
        }
        let rows = open.fetch("SELECT kind, tenant FROM job WHERE id = $1", &[job.into()]).await?;
        let row =
            rows.first().filter(|row| row.get::<String>("kind").is_ok_and(|kind| kind == FLOW)).ok_or_else(none)?;
        let tenant: Option<String> = row.get("tenant")?;
        let tenants = &caller.scope.tenants;
        let covered = tenant.as_deref().map_or(*tenants == Tenants::All, |tenant| tenants.covers(tenant));
        // What is another tenant's is not there.
        if covered { Ok(tenant) } else { Err(none()) }
    }

    async fn note(&self, open: &mut Transaction, entry: Entry) -> Result<()> {
        match &self.audit {
            Some(audit) => audit.record_in(open, vec![entry]).await.map(|_| ()),
            None => Ok(()),
        }
    }
}

/// A caller's name among those who ask and vote: with its tenant, where it has one.
pub fn name(caller: &Caller) -> String {
    match &caller.scope.tenants {
        Tenants::One(tenant) => format!("{tenant}/{}", caller.scope.principal),
        _ => caller.scope.principal.to_string(),
    }
}

/// The tenant of what a caller starts: its own, or, for the platform, the one that it names.
fn owned(caller: &Caller, named: Option<&str>) -> Result<Option<String>> {
    match (&caller.scope.tenants, named) {
        (Tenants::All, named) => Ok(named.map(str::to_owned)),
        (tenants, Some(named)) if tenants.covers(named) => Ok(Some(named.to_owned())),
        (_, Some(_)) => Err(Error::new(Kind::Denied, "the key belongs to another tenant")),
        (Tenants::One(own), None) => Ok(Some(own.to_string())),
        (Tenants::Several(_), None) => Err(Error::invalid("the key speaks for several tenants: say whose flow it is")),
    }
}

fn bounded(value: &Value) -> Result<()> {
    match value.to_string().len() {
        bytes if bytes > INPUT_BYTES_MAX => Err(Error::new(
            Kind::TooLarge,
            format!("{bytes} bytes of JSON are given to a flow, at most {INPUT_BYTES_MAX}"),
        )),
        _ => Ok(()),
    }
}

/// The job that has the name already, where it asks for the same.
async fn known(open: &mut Transaction, job: &NewJob) -> Result<String> {
    let name = [job.dedupe.as_str().into()];
    let mut rows = open.fetch("SELECT id, arguments FROM job WHERE dedupe = $1", &name).await?;
    if rows.is_empty() {
        rows = open.fetch("SELECT id, arguments FROM job_done WHERE dedupe = $1", &name).await?;
    }
    let row =
        rows.first().ok_or_else(|| Error::new(Kind::Conflict, "the flow of this key ended just now; ask again"))?;
    let arguments: Value = serde_json::from_str(&row.get::<String>("arguments")?).unwrap_or_default();
    if arguments == job.arguments {
        return row.get("id");
    }
    let text = "a flow of this key was started with another input: use another key, or the same input";
    Err(Error::new(Kind::Conflict, text))
}

fn listed(row: &engine::state::Row, state: &str, at: Option<String>) -> Result<Value> {
    let text = |name: &str| row.get::<Option<String>>(name).ok().flatten();
    let time = |name: &str| row.get::<Option<i64>>(name).ok().flatten().map(rfc3339);
    let arguments: Value = serde_json::from_str(&row.get::<String>("arguments")?).unwrap_or_default();
    let until = row.get::<Option<i64>>("run_at").ok().flatten().filter(|at| state == "waiting" && *at < NEVER_US);
    Ok(json!({
        "id": text("id"), "flow": name_of(&arguments), "state": state, "at": at, "tenant": text("tenant"),
        "requester": text("requester"), "error": text("error"), "cancel": text("cancel"), "created_at": time("created_at"),
        "ended_at": time("ended_at"), "waits_until": until.map(rfc3339),
    }))
}

fn shown(round: i64, step: &StepRow) -> Value {
    json!({
        "round": round, "step": step.name, "kind": step.kind, "state": step.state.word(), "attempt": step.attempt,
        "input": step.input, "output": step.output, "error": step.error, "run_at": step.run_us.map(rfc3339),
        "undo": step.undo, "undo_state": step.undo_state.map(|state| state.word()), "undo_error": step.undo_error,
        "began_at": rfc3339(step.began_us), "ended_at": step.ended_us.map(rfc3339),
    })
}

fn effect(row: &engine::state::Row) -> Result<Value> {
    let text = |name: &str| row.get::<Option<String>>(name);
    Ok(json!({
        "key": text("dedupe")?, "step": text("step")?, "class": text("class")?, "state": text("state")?,
        "target": text("target")?, "response": text("response")?,
    }))
}
