//! Drives one flow as far as it goes now: what follows is made durable, then done, and how it ended is the next event.

use std::sync::Arc;

use engine::fault::{Point, reached};
use engine::state::Transaction;
use engine::{Clock, Error, Kind, Result};
use serde_json::{Value, json};

use super::Flow;
use super::hands::{Call, Hands, Outcome};
use super::machine::{Advance, End, Event, Next, Write, advance};
use super::rows::StepRow;
use super::stored::{Kept, Seat, load};
use super::trace::{Span, Trace};
use crate::actions::Outside;
use crate::queue::{ATTEMPTS_MAX, Claimed, Ended, Queue};

/// Times that one decision is made anew because something happened meanwhile.
const STALE_MAX: usize = 100;

/// A flow with what follows first: written in the transaction in which its job was taken up.
pub(crate) struct Begun {
    seat: Seat,
    advance: Advance,
}

impl Begun {
    /// What follows when somebody takes a flow up; `None` where it is none of these, or its input is wrong.
    pub(crate) fn of(flows: &'static [&'static Flow], seat: Seat, now_us: i64) -> Option<Begun> {
        let flow = flows.iter().copied().find(|flow| flow.name == seat.flow)?;
        if !flow.check(&seat.instance.input).is_empty() {
            return None;
        }
        let advance = advance(flow, &seat.instance, &seat.facts, &Event::Look, now_us);
        Some(Begun { seat, advance })
    }

    /// Writes it.
    pub(crate) async fn write(&self, open: &mut Transaction, now_us: i64) -> Result<()> {
        match self.seat.put(open, &self.advance, now_us).await? {
            Kept::Durable => Ok(()),
            Kept::Stale | Kept::Lost => {
                let kind = Kind::Overloaded { retry_after: std::time::Duration::from_millis(10) };
                Err(Error::new(kind, "something happened to a flow while it was taken up"))
            }
        }
    }
}

/// Drives flows.
#[derive(Debug, Clone)]
pub struct Driver {
    queue: Queue,
    clock: Arc<dyn Clock>,
    flows: &'static [&'static Flow],
    hands: Option<Arc<dyn Hands>>,
    outside: Arc<dyn Outside>,
    trace: Option<Arc<Trace>>,
}

impl Driver {
    /// Drives these flows: `hands` do what their steps call for, `outside` does actions.
    pub fn new(
        queue: Queue,
        clock: Arc<dyn Clock>,
        flows: &'static [&'static Flow],
        hands: Option<Arc<dyn Hands>>,
        outside: Arc<dyn Outside>,
    ) -> Self {
        Driver { queue, clock, flows, hands, outside, trace: None }
    }

    /// The same, which tells of what it does.
    pub fn with_trace(self, trace: Arc<Trace>) -> Self {
        Driver { trace: Some(trace), ..self }
    }

    /// Drives a claimed flow until it waits or ends. How the attempt of its job ended where the flow itself could not say.
    pub async fn drive(&self, job: &Claimed) -> Option<Ended> {
        self.drive_on(job, None).await
    }

    /// The same from what was written when it was taken up.
    pub(crate) async fn drive_on(&self, job: &Claimed, begun: Option<Begun>) -> Option<Ended> {
        match self.go(job, begun).await {
            Ok(()) => None,
            Err(error) => match error.kind() {
                // Nothing of it can be decided by this program: somebody must look.
                Kind::Invalid | Kind::Corrupt | Kind::NotFound => Some(Ended::Refused { error: error.to_string() }),
                // A flow is taken up often; the pause must not grow with that.
                _ => Some(Ended::Failed {
                    error: error.to_string(),
                    retry_after: Some(std::time::Duration::from_secs(2)),
                }),
            },
        }
    }

    async fn go(&self, job: &Claimed, begun: Option<Begun>) -> Result<()> {
        let (mut seat, first) = match begun {
            Some(Begun { mut seat, advance }) => {
                seat.settle(&advance);
                (seat, Some(advance))
            }
            None => match load(&mut &**self.queue.state(), job).await? {
                Some(seat) => (seat, None),
                None => return Ok(()),
            },
        };
        let flow = self.flows.iter().copied().find(|flow| flow.name == seat.flow);
        let flow = flow.ok_or_else(|| Error::invalid(format!("this program has no flow {}", seat.flow)))?;
        if let Some(fault) = flow.check(&seat.instance.input).into_iter().next() {
            return Err(Error::invalid(fault));
        }
        let mut next = match first {
            Some(advance) => {
                reached(Point::FlowKept);
                self.tell_kept(&seat, &advance, self.clock.now_us());
                Some(advance.next)
            }
            None => self.keep(job, flow, &mut seat, &Event::Look).await?,
        };
        while let Some(now) = next {
            let Next::Call(call) = now else { return Ok(()) };
            reached(Point::FlowIntended);
            let began_us = self.clock.now_us();
            let outcome = self.act(&call).await.redacted(&**self.queue.state().redactor());
            reached(Point::FlowCalled);
            self.tell_call(&seat, &call, &outcome, began_us);
            let event = Event::Ended { step: call.step, undo: call.undo, outcome };
            next = self.keep(job, flow, &mut seat, &event).await?;
        }
        tracing::warn!(
            job = job.id,
            attempt = job.attempt,
            "a flow's result came after its lease had ended, and counts no more"
        );
        Ok(())
    }

    /// Decides what follows and makes it durable; `None` where the flow is no longer ours.
    async fn keep(&self, job: &Claimed, flow: &'static Flow, seat: &mut Seat, event: &Event) -> Result<Option<Next>> {
        for _ in 0..STALE_MAX {
            let now_us = self.clock.now_us();
            let advance = advance(flow, &seat.instance, &seat.facts, event, now_us);
            match seat.commit(&self.queue, &advance, now_us).await? {
                Kept::Durable => {
                    reached(Point::FlowKept);
                    self.tell_kept(seat, &advance, now_us);
                    return Ok(Some(advance.next));
                }
                Kept::Lost => return Ok(None),
                Kept::Stale => match load(&mut &**self.queue.state(), job).await? {
                    Some(fresh) => *seat = fresh,
                    None => return Ok(None),
                },
            }
        }
        let kind = Kind::Overloaded { retry_after: std::time::Duration::from_secs(1) };
        Err(Error::new(kind, format!("so much happens to the flow {} that nothing of it was decided", job.id)))
    }

    fn tell_call(&self, seat: &Seat, call: &Call, outcome: &Outcome, began_us: i64) {
        let Some(trace) = &self.trace else { return };
        let name = if call.undo { format!("{}/undo", call.step) } else { call.step.clone() };
        let (error, target) = match outcome {
            Outcome::Done { target, .. } => (None, Some(target.clone())),
            Outcome::Failed { error, .. } | Outcome::Refused { error } => (Some(error.clone()), None),
        };
        let mut span = span(seat, Some((name.clone(), call.attempt)), format!("{} {name}", seat.flow), began_us);
        span.attributes.extend([
            ("stellwerk.step", name),
            ("stellwerk.attempt", call.attempt.to_string()),
            ("stellwerk.effect", call.effect.name().to_owned()),
            ("stellwerk.key", call.key.clone()),
        ]);
        span.attributes.extend(target.map(|target| ("stellwerk.target", target)));
        trace.tell(Span { ended_us: self.clock.now_us(), error, ..span });
    }

    /// Tells of steps that waited, and of the flow once it has ended.
    fn tell_kept(&self, seat: &Seat, advance: &Advance, now_us: i64) {
        let Some(trace) = &self.trace else { return };
        let waited = |row: &&StepRow| row.ended_us.is_some() && row.attempt == 0;
        let rows = advance.writes.iter().filter_map(|write| match write {
            Write::Step(row) => Some(row),
            _ => None,
        });
        for row in rows.filter(waited) {
            let mut span = span(seat, Some((row.name.clone(), 0)), format!("{} {}", seat.flow, row.name), row.began_us);
            span.attributes.extend([("stellwerk.step", row.name.clone()), ("stellwerk.kind", row.kind.clone())]);
            trace.tell(Span { ended_us: now_us, error: row.error.clone(), ..span });
        }
        let error = match &advance.next {
            Next::End(End::Done(_)) => None,
            Next::End(End::Dead(error) | End::Cancelled(error)) => Some(error.clone()),
            Next::Call(_) | Next::Park { .. } => return,
        };
        let mut span = span(seat, None, format!("flow {}", seat.flow), seat.created_us);
        span.attributes.extend(seat.cause.clone().map(|cause| ("stellwerk.cause", cause)));
        // A step that waits is told of with attempt 0.
        span.cause = seat.waits.clone().map(|(job, round, step)| (job, round, format!("{step}#0")));
        trace.tell(Span { ended_us: now_us, error, ..span });
    }

    async fn act(&self, call: &Call) -> Outcome {
        if call.is_action {
            return self.act_outside(call).await;
        }
        match &self.hands {
            Some(hands) => hands.act(call).await,
            None => Outcome::Refused { error: "nothing in this process does what steps of flows call for".to_owned() },
        }
    }

    /// An action of the register as a step: the key of the step is the name of the job that it would be.
    async fn act_outside(&self, call: &Call) -> Outcome {
        let action = call.input["action"].as_str().unwrap_or_default();
        let job = Claimed {
            id: call.job.clone(),
            kind: action.to_owned(),
            arguments: call.input["arguments"].clone(),
            dedupe: call.key.clone(),
            attempt: call.attempt,
            attempts_max: ATTEMPTS_MAX,
        };
        match self.outside.act(&job).await {
            Ended::Done { target, response } => Outcome::Done { target, output: response_of(response) },
            Ended::Failed { error, retry_after } => Outcome::Failed { error, retry_after },
            Ended::Refused { error } => Outcome::Refused { error },
        }
    }
}

fn response_of(response: String) -> Value {
    json!({ "response": response })
}

/// A span of a flow, not yet ended.
fn span(seat: &Seat, call: Option<(String, i64)>, name: String, began_us: i64) -> Span {
    Span {
        job: seat.instance.job.clone(),
        round: seat.instance.round,
        call,
        name,
        began_us,
        ended_us: began_us,
        error: None,
        attributes: vec![("stellwerk.flow", seat.flow.clone()), ("stellwerk.job", seat.instance.job.clone())],
        cause: None,
        tenant: seat.tenant.clone(),
    }
}
