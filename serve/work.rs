//! What commands and doors ask about jobs, flows and approvals, and the answers: one wish, one reply, the same over HTTP,
//! over the operator's socket and over a store opened here.

use std::sync::Arc;
use std::time::Duration;

use engine::clock::rfc3339;
use engine::{Error, Kind, Result, write_span};
use jobs::actions::Settings;
use jobs::approval::{Approvals, Verdict};
use jobs::flow::{Desk, FLOWS, RealHands, Start};
use jobs::queue::{Limit, LimitRow, Which};
use ledger::directory::Refusal;
use ledger::principal::{Caller, Permission, Principal};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::house::House;

/// What somebody wants to know or to happen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "wish", rename_all = "snake_case")]
pub enum WorkWish {
    /// How the queue stands.
    Top,
    /// Dead jobs, of a kind or all.
    Dead {
        /// The kind.
        kind: Option<String>,
    },
    /// Tries dead jobs again.
    Replay {
        /// Which.
        which: Which,
    },
    /// Lets a job stand still, or go on.
    Pause {
        /// The job.
        job: String,
        /// Whether it stands still.
        paused: bool,
    },
    /// Lets all jobs of a kind, a tenant or both stand still, or go on.
    Hold {
        /// The kind.
        kind: Option<String>,
        /// The tenant.
        tenant: Option<String>,
        /// Whether they stand still.
        paused: bool,
    },
    /// Sets or lifts a limit.
    Limit(Limit),
    /// Every limit.
    Limits,
    /// Changes how urgent a job is.
    Prioritize {
        /// The job.
        job: String,
        /// Lower ones run first.
        priority: i64,
    },
    /// The flows that can be started.
    Flows,
    /// Starts a flow.
    Start(Start),
    /// Flows that were started.
    List {
        /// Also those that have ended.
        ended: bool,
    },
    /// One flow.
    Show {
        /// Its id.
        flow: String,
    },
    /// Sends a flow a signal.
    Signal {
        /// Its id.
        flow: String,
        /// The signal.
        signal: String,
        /// What it says.
        payload: Value,
        /// Tells one that is sent twice.
        id: Option<String>,
    },
    /// Lets a flow end.
    Cancel {
        /// Its id.
        flow: String,
        /// Why.
        why: String,
    },
    /// Says what became of a step.
    Resolve {
        /// The flow.
        flow: String,
        /// The step.
        step: String,
        /// What it came to; none to do it again.
        output: Option<Value>,
    },
    /// What people are asked.
    Approvals {
        /// Also what was decided.
        all: bool,
    },
    /// One approval.
    Approval {
        /// Its id.
        id: String,
    },
    /// A vote.
    Vote {
        /// The approval.
        id: String,
        /// Whether it agrees.
        yes: bool,
        /// Why.
        why: Option<String>,
        /// The voter's key; without one it is whoever asks.
        #[serde(default)]
        key: Option<String>,
    },
}

/// Who wishes: a caller, and whether it operates the platform.
#[derive(Debug, Clone)]
pub struct Wisher {
    /// Who.
    pub caller: Caller,
    /// Whether it operates the platform.
    pub operates: bool,
}

impl Wisher {
    /// The operator of this machine.
    pub fn operator() -> Self {
        Wisher { caller: Caller::operator(), operates: true }
    }

    /// A caller and its principal.
    pub fn of(caller: &Caller, principal: &Principal) -> Self {
        Wisher { caller: caller.clone(), operates: principal.may(Permission::Operate) }
    }
}

impl House {
    /// Answers a wish about jobs, flows and approvals. What only the operator may is asked for by its own doors alone.
    pub async fn work(&self, wish: &WorkWish, wisher: &Wisher) -> Result<Value> {
        let (now, tenants) = (self.store.clock().now_us(), &wisher.caller.scope.tenants);
        let runner = self.runner();
        let queue = runner.queue();
        match wish {
            WorkWish::Top => Ok(json!(queue.figures(now).await?)),
            WorkWish::Dead { kind } => {
                let dead = queue.dead(kind.as_deref()).await?;
                Ok(dead.iter().map(|job| with_time(json!(job), "created_us", "created_at")).collect())
            }
            WorkWish::Limits => Ok(queue.limits().await?.iter().map(limit_shown).collect()),
            WorkWish::Flows => Ok(FLOWS.iter().map(|flow| flow_shown(flow)).collect()),
            WorkWish::List { ended } => self.desk().list(*ended, tenants).await.map(Value::Array),
            WorkWish::Show { flow } => self.desk().show(flow, tenants).await,
            WorkWish::Approvals { all } => self.approvals().list(*all, tenants).await.map(Value::Array),
            WorkWish::Approval { id } => self.approvals().show(id, tenants).await,
            changing => {
                let answer = self.change_work(changing, wisher, now).await?;
                runner.wake();
                Ok(answer)
            }
        }
    }

    async fn change_work(&self, wish: &WorkWish, wisher: &Wisher, now: i64) -> Result<Value> {
        let (runner, caller) = (self.runner(), &wisher.caller);
        let queue = runner.queue();
        match wish {
            WorkWish::Replay { which } => {
                let replayed = queue.replay(which, now).await?;
                self.note(caller, "job.replay", which_shown(which), json!({ "jobs": replayed })).await?;
                Ok(json!({ "replayed": replayed }))
            }
            WorkWish::Pause { job, paused } => {
                queue.pause(job, *paused, now).await?;
                self.note(caller, "job.pause", job.clone(), json!({ "paused": paused })).await?;
                Ok(json!({ "job": job, "paused": paused }))
            }
            WorkWish::Hold { kind, tenant, paused } => {
                queue.hold(kind.as_deref(), tenant.as_deref(), *paused, now).await?;
                let detail = json!({ "kind": kind, "tenant": tenant, "paused": paused });
                self.note(caller, "job.hold", "jobs".to_owned(), detail.clone()).await?;
                Ok(detail)
            }
            WorkWish::Limit(limit) => {
                queue.limit(limit, now).await?;
                let rate = limit.rate.map(|(count, per)| format!("{count}/{}", write_span(per)));
                let detail = json!({ "kind": limit.kind, "tenant": limit.tenant, "rate": rate });
                self.note(caller, "job.limit", "jobs".to_owned(), detail.clone()).await?;
                Ok(detail)
            }
            WorkWish::Prioritize { job, priority } => {
                queue.prioritize(job, *priority).await?;
                self.note(caller, "job.prioritize", job.clone(), json!({ "priority": priority })).await?;
                Ok(json!({ "job": job, "priority": priority }))
            }
            WorkWish::Start(start) => {
                let (id, repeated) = self.desk().start(start, caller, now).await?;
                Ok(json!({ "id": id, "flow": start.flow, "repeated": repeated }))
            }
            WorkWish::Signal { flow, signal, payload, id } => {
                let is_new = self.desk().signal(flow, signal, payload, id.as_deref(), caller, now).await?;
                Ok(json!({ "flow": flow, "signal": signal, "repeated": !is_new }))
            }
            WorkWish::Cancel { flow, why } => {
                self.desk().cancel(flow, why, caller, now).await?;
                Ok(json!({ "flow": flow, "cancel": why }))
            }
            WorkWish::Resolve { flow, step, output } => {
                self.desk().resolve(flow, step, output.as_ref(), caller, now).await?;
                Ok(json!({ "flow": flow, "step": step, "done": output.is_some() }))
            }
            WorkWish::Vote { id, yes, why, key } => {
                let voter = match key {
                    Some(key) => self.known(key).await?,
                    None => wisher.clone(),
                };
                self.vote(id, *yes, why.as_deref(), &voter, now).await
            }
            _ => Err(Error::new(Kind::Internal, "a wish that changes nothing came where changes are made")),
        }
    }

    async fn vote(&self, id: &str, yes: bool, why: Option<&str>, voter: &Wisher, now: i64) -> Result<Value> {
        let cast = self.approvals().cast(id, yes, why, &voter.caller, voter.operates, now).await;
        if let Err(refused) = &cast
            && refused.kind() == Kind::Denied
        {
            self.audit.denied(voter.caller.entry("approval.vote", id).because(refused.to_string())).await;
        }
        let decision = match cast? {
            Verdict::Approved => "approved",
            Verdict::Denied => "denied",
            Verdict::Open => "open",
            Verdict::Again => "voted before",
        };
        Ok(json!({ "approval": id, "decision": decision, "voter": jobs::flow::desk::name(&voter.caller) }))
    }

    /// Who a key belongs to.
    pub async fn known(&self, key: &str) -> Result<Wisher> {
        let refused = |refusal: Refusal| Error::new(Kind::Denied, format!("the key is not good: {}", refusal.as_str()));
        let principal = self.directory.examine(key).await?.map_err(refused)?;
        let lacks = || Error::new(Kind::Denied, format!("the key has not the scope {}", Permission::Write.as_str()));
        let scope = principal.scope_for(Permission::Write).ok_or_else(lacks)?;
        let reason = "a key that the operator was given".to_owned();
        let caller = Caller { scope, reason, on_behalf_of: None, trace_id: None };
        Ok(Wisher::of(&caller, &principal))
    }

    async fn note(&self, caller: &Caller, action: &'static str, subject: String, detail: Value) -> Result<()> {
        self.audit.record(caller.entry(action, subject).with(detail)).await.map(|_| ())
    }

    /// Where flows are started and spoken to.
    pub fn desk(&self) -> Desk {
        Desk::new(self.runner().queue().clone(), Some(Arc::clone(&self.audit)))
    }

    fn approvals(&self) -> Approvals {
        Approvals::new(Arc::clone(self.store.state()), Some(Arc::clone(&self.audit)))
    }

    /// Lets runners made from now on do the steps of flows, as far as these settings reach; the first call counts.
    pub fn set_hands(&self, settings: &Settings) -> Result<()> {
        let hands = RealHands::new(settings, &self.store.settings().data, Arc::clone(self.store.state()))?;
        let _ = self.hands.set(Arc::new(hands));
        Ok(())
    }
}

fn with_time(mut value: Value, from: &str, to: &str) -> Value {
    let at = value.as_object_mut().and_then(|object| object.remove(from)).and_then(|us| us.as_i64());
    value[to] = at.map(rfc3339).into();
    value
}

fn which_shown(which: &Which) -> String {
    match which {
        Which::One(id) => id.clone(),
        Which::Kind(kind) => format!("kind {kind}"),
        Which::All => "all".to_owned(),
    }
}

fn limit_shown(row: &LimitRow) -> Value {
    let rate = row.beat.map(|(interval_us, burst)| {
        // The interval is a whole number of microseconds, so that up to one a call was cut off.
        let least = u64::try_from(interval_us.saturating_mul(burst)).unwrap_or(0);
        let most = least.saturating_add(u64::try_from(burst - 1).unwrap_or(0));
        let seconds = most / 1_000_000 * 1_000_000;
        let per = Duration::from_micros(if seconds >= least { seconds } else { most });
        format!("{burst}/{}", write_span(per))
    });
    let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    json!({ "kind": name(&row.kind), "tenant": name(&row.tenant), "rate": rate, "paused": row.paused })
}

fn flow_shown(flow: &jobs::flow::Flow) -> Value {
    let parameters = flow.parameters.iter().map(|p| json!({ "name": p.name, "optional": p.optional, "doc": p.doc }));
    let steps = flow
        .steps
        .iter()
        .map(|s| json!({ "name": s.name, "kind": s.act.kind(), "doc": s.doc, "undone": s.undo.is_some() }));
    json!({
        "flow": flow.name, "doc": flow.doc, "parameters": parameters.collect::<Vec<_>>(), "steps": steps.collect::<Vec<_>>(),
    })
}
