//! What happens next in a flow: a pure function of its rows, of what happened outside, of how the last call ended, and of
//! the time. What it answers is data; it can be computed again and again and is the same.

use serde_json::{Value, json};

use super::hands::{Call, Outcome};
use super::rows::{Ending, Facts, Instance, StepRow, StepState, UndoState};
use super::{Act, Flow, Known, RETRY, Retry, Step};
use crate::actions::Effect;
use crate::queue::{backoff_within, hash};

/// Characters of an answer that the effect ledger keeps.
const RESPONSE_CHARS: usize = 300;

/// What the flow is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Somebody took it up, and nothing of it is being done.
    Look,
    /// A call that it asked for has ended.
    Ended {
        /// The step.
        step: String,
        /// Whether the step was undone.
        undo: bool,
        /// How.
        outcome: Outcome,
    },
}

/// One change of rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// A step as it stands now.
    Step(StepRow),
    /// A call is about to be made.
    Intend {
        /// Its key.
        key: String,
        /// The step.
        step: String,
        /// Which attempt.
        attempt: i64,
        /// What a second call does.
        class: Effect,
        /// Hash of what is asked for.
        request_hash: String,
    },
    /// A call has ended for good.
    Settle {
        /// Its key.
        key: String,
        /// `done`, `failed` or `unknown`.
        state: &'static str,
        /// Whom it reached.
        target: Option<String>,
        /// What was answered, shortened.
        response: String,
    },
    /// A step takes a signal.
    Take {
        /// The signal.
        signal: String,
        /// The step.
        step: String,
    },
    /// Another flow begins, and this one waits for it.
    Child {
        /// The step that waits.
        step: String,
        /// The flow.
        flow: String,
        /// Its input.
        input: Value,
    },
    /// That flow is to end.
    CancelChild {
        /// The step that waits.
        step: String,
    },
    /// People are asked.
    Ask {
        /// The step that waits.
        step: String,
        /// What they are asked.
        ask: String,
        /// Who may vote.
        voters: String,
        /// How many must agree.
        quorum: i64,
        /// No answer until then is a no.
        deadline_us: i64,
    },
    /// Nobody is asked any more.
    Decide {
        /// The step that waited.
        step: String,
        /// `denied` or `withdrawn`.
        decision: &'static str,
        /// Why.
        reason: String,
    },
}

/// What is to be done once the writes are durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// This call; its end is the next event.
    Call(Box<Call>),
    /// Nothing, until something happens or it is this late.
    Park {
        /// When it goes on by itself.
        until_us: Option<i64>,
    },
    /// Nothing more.
    End(End),
}

/// How a flow ends.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// It is done, and came to this.
    Done(Value),
    /// It failed; what could be undone is.
    Dead(String),
    /// It was cancelled; what could be undone is.
    Cancelled(String),
}

/// What follows from an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Advance {
    /// The flow afterwards.
    pub instance: Instance,
    /// How its rows get there.
    pub writes: Vec<Write>,
    /// What is done then.
    pub next: Next,
}

/// What follows from an event.
pub fn advance(flow: &'static Flow, instance: &Instance, facts: &Facts, event: &Event, now_us: i64) -> Advance {
    let mut walk = Walk { flow, instance: instance.clone(), facts, now_us, writes: Vec::new() };
    if let Event::Ended { step, undo, outcome } = event {
        walk.end(step, *undo, outcome);
    }
    let next = walk.go_on();
    Advance { instance: walk.instance, writes: walk.writes, next }
}

struct Walk<'a> {
    flow: &'static Flow,
    instance: Instance,
    facts: &'a Facts,
    now_us: i64,
    writes: Vec<Write>,
}

impl Walk<'_> {
    fn go_on(&mut self) -> Next {
        if self.facts.paused {
            return Next::Park { until_us: None };
        }
        loop {
            let ends = |row: &StepRow| matches!(row.state, StepState::Failed | StepState::Cancelled);
            if self.facts.cancel.is_some() || self.instance.steps.iter().any(ends) {
                return self.undo();
            }
            let flow = self.flow;
            let is_done = |step: &Step| self.instance.step(step.name).is_some_and(|row| row.state == StepState::Done);
            let Some((place, step)) = flow.steps.iter().enumerate().find(|(_, step)| !is_done(step)) else {
                let output = self.instance.steps.last().and_then(|row| row.output.clone());
                return Next::End(End::Done(output.unwrap_or_default()));
            };
            if let Some(next) = self.take_step(place, step) {
                return next;
            }
        }
    }

    /// Brings a step as far as it goes now; `None` where it came to its end.
    fn take_step(&mut self, place: usize, step: &'static Step) -> Option<Next> {
        let Some(row) = self.instance.step(step.name).cloned() else { return self.begin(place, step) };
        match row.state {
            // Its process ended while it was being done.
            StepState::Running if step.act.effect(&row.input) == Some(Effect::Once) => {
                let error =
                    Some("its process ended while it was being done, and doing it twice would be seen".to_owned());
                self.put(StepRow { state: StepState::Unknown, error, ..row });
                Some(Next::Park { until_us: None })
            }
            StepState::Running if row.attempt >= step.retry.attempts => {
                let error = format!("its process ended while it was being done, {} times", row.attempt);
                self.fail(row, error);
                None
            }
            StepState::Running => Some(self.call(step, row)),
            StepState::Retrying => match row.run_us.filter(|at| *at > self.now_us) {
                Some(at) => Some(Next::Park { until_us: Some(at) }),
                None => Some(self.call(step, row)),
            },
            StepState::Waiting => self.wait(step, row),
            StepState::Unknown => Some(Next::Park { until_us: None }),
            StepState::Done | StepState::Failed | StepState::Cancelled => None,
        }
    }

    fn begin(&mut self, place: usize, step: &'static Step) -> Option<Next> {
        let (job, dedupe) = (self.instance.job.clone(), self.instance.dedupe.clone());
        let steps = self.instance.steps.clone();
        let known = Known {
            job: &job,
            dedupe: &dedupe,
            round: self.instance.round,
            input: &self.instance.input,
            steps: &steps,
        };
        let input = step.act.input(&known);
        let undo = step.undo.map(|make| make(&known)).transpose();
        let (input, undo, fault) = match (input, undo) {
            (Ok(input), Ok(undo)) => (input, undo, None),
            (Err(fault), _) | (_, Err(fault)) => (Value::Null, None, Some(fault)),
        };
        let row = StepRow {
            name: step.name.to_owned(),
            place: i64::try_from(place).unwrap_or(i64::MAX),
            kind: step.act.kind().to_owned(),
            state: StepState::Waiting,
            attempt: 0,
            run_us: None,
            undo_state: undo.as_ref().map(|_| UndoState::Recorded),
            input,
            output: None,
            error: None,
            undo,
            undo_attempt: 0,
            undo_run_us: None,
            undo_error: None,
            began_us: self.now_us,
            ended_us: None,
        };
        match fault.map_or_else(|| self.open(step, row.clone()), Err) {
            Ok(next) => next,
            Err(fault) => {
                // Nothing was done, so there is nothing to undo.
                self.fail(StepRow { undo: None, undo_state: None, ..row }, fault);
                None
            }
        }
    }

    /// Begins what a step does; an error says what its input lacks.
    fn open(&mut self, step: &'static Step, row: StepRow) -> Result<Option<Next>, String> {
        let number = |name: &str| {
            let lacks = || format!("the step {} was made without {name}", step.name);
            row.input[name].as_i64().filter(|n| *n > 0).ok_or_else(lacks)
        };
        let text = |name: &str| {
            let lacks = || format!("the step {} was made without {name}", step.name);
            row.input[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(lacks)
        };
        let at = |us: i64| Some(self.now_us.saturating_add(us));
        let row = match &step.act {
            Act::Call { .. } | Act::Action { .. } => return Ok(Some(self.call(step, row))),
            Act::Sleep { .. } => StepRow { run_us: at(row.input["us"].as_i64().unwrap_or(0).max(0)), ..row },
            Act::Signal { .. } => StepRow { run_us: row.input["deadline_us"].as_i64().and_then(at), ..row },
            Act::Child { .. } => {
                let (flow, input) = (text("flow")?, row.input["input"].clone());
                self.put(row.clone());
                self.writes.push(Write::Child { step: row.name.clone(), flow, input });
                return Ok(Some(Next::Park { until_us: None }));
            }
            Act::Approval { .. } => {
                let (ask, voters, quorum) = (text("ask")?, text("voters")?, number("quorum")?);
                let deadline_us = self.now_us.saturating_add(number("deadline_us")?);
                let row = StepRow { run_us: Some(deadline_us), ..row };
                self.put(row.clone());
                self.writes.push(Write::Ask { step: row.name, ask, voters, quorum, deadline_us });
                return Ok(Some(Next::Park { until_us: Some(deadline_us) }));
            }
        };
        self.put(row.clone());
        Ok(self.wait(step, row))
    }

    /// Looks whether what a step waits for has happened.
    fn wait(&mut self, step: &'static Step, row: StepRow) -> Option<Next> {
        let is_late = row.run_us.is_some_and(|at| at <= self.now_us);
        let park = Some(Next::Park { until_us: row.run_us });
        match &step.act {
            Act::Sleep { .. } if !is_late => return park,
            Act::Sleep { .. } => self.finish(row, Value::Null),
            Act::Signal { name, .. } => {
                let signal = self.facts.signals.iter().filter(|signal| signal.name == *name).nth(self.taken_of(name));
                match signal {
                    Some(signal) => {
                        self.writes.push(Write::Take { signal: signal.id.clone(), step: row.name.clone() });
                        self.finish(row, signal.payload.clone());
                    }
                    None if is_late => self.fail(row, format!("the signal {name} did not come in time")),
                    None => return park,
                }
            }
            Act::Child { .. } => match self.facts.children.get(&row.name) {
                None => return park,
                Some(Ending::Done(output)) => self.finish(row, output.clone()),
                Some(Ending::Failed(error)) => self.fail(row, error.clone()),
            },
            Act::Approval { .. } => match self.facts.decisions.get(&row.name) {
                Some(decision) if decision.approved => self.finish(row, json!({ "reason": decision.reason })),
                Some(decision) => self.fail(row, format!("it was denied: {}", decision.reason)),
                None if is_late => {
                    let reason = "too few agreed until the deadline".to_owned();
                    let step = row.name.clone();
                    self.writes.push(Write::Decide { step, decision: "denied", reason: reason.clone() });
                    self.fail(row, format!("it was denied: {reason}"));
                }
                None => return park,
            },
            Act::Call { .. } | Act::Action { .. } => self.fail(row, "a call does not wait".to_owned()),
        }
        None
    }

    /// How many signals of a name this walk has taken already.
    fn taken_of(&self, name: &str) -> usize {
        let taken = self.writes.iter().filter_map(|write| match write {
            Write::Take { signal, .. } => Some(signal),
            _ => None,
        });
        taken.filter(|id| self.facts.signals.iter().any(|signal| signal.id == **id && signal.name == name)).count()
    }

    /// Ends what is open, then walks the compensations from the newest to the oldest.
    fn undo(&mut self) -> Next {
        let reason = self.reason();
        for row in self.instance.steps.clone() {
            let is_open =
                matches!(row.state, StepState::Running | StepState::Retrying | StepState::Waiting | StepState::Unknown);
            if !is_open {
                continue;
            }
            if row.kind == "child" && !self.facts.children.contains_key(&row.name) {
                self.writes.push(Write::CancelChild { step: row.name.clone() });
                return Next::Park { until_us: None };
            }
            if row.kind == "approval" && !self.facts.decisions.contains_key(&row.name) {
                let (step, reason) = (row.name.clone(), reason.clone());
                self.writes.push(Write::Decide { step, decision: "withdrawn", reason });
            }
            let error = Some(row.error.clone().unwrap_or_else(|| reason.clone()));
            let ended_us = Some(self.now_us);
            self.put(StepRow { state: StepState::Cancelled, error, run_us: None, ended_us, ..row });
        }
        for row in self.instance.steps.clone().into_iter().rev() {
            let Some(state) = row.undo_state else { continue };
            match state {
                UndoState::Done => {}
                UndoState::Retrying if row.undo_run_us.is_some_and(|at| at > self.now_us) => {
                    return Next::Park { until_us: row.undo_run_us };
                }
                UndoState::Running if row.undo_attempt >= RETRY.attempts => {
                    let error =
                        Some(format!("its process ended while it was being undone, {} times", row.undo_attempt));
                    self.put(StepRow { undo_state: Some(UndoState::Failed), undo_error: error, ..row.clone() });
                    return self.stuck(&row.name);
                }
                UndoState::Failed => return self.stuck(&row.name),
                UndoState::Recorded | UndoState::Running | UndoState::Retrying => return self.call_undo(row, reason),
            }
        }
        match self.facts.cancel.clone().filter(|_| !self.instance.steps.iter().any(|r| r.state == StepState::Failed)) {
            Some(cancel) => Next::End(End::Cancelled(cancel)),
            None => Next::End(End::Dead(reason)),
        }
    }

    /// Why the flow is undone.
    fn reason(&self) -> String {
        let failed = self.instance.steps.iter().find(|row| row.state == StepState::Failed);
        match failed {
            Some(row) => {
                format!("the step {} failed: {}", row.name, row.error.as_deref().unwrap_or("nobody knows why"))
            }
            None => self.facts.cancel.clone().unwrap_or_else(|| "it was cancelled".to_owned()),
        }
    }

    fn stuck(&self, step: &str) -> Next {
        let why = self.instance.step(step).and_then(|row| row.undo_error.as_deref()).unwrap_or_default();
        Next::End(End::Dead(format!("{}; and the step {step} could not be undone: {why}", self.reason())))
    }

    fn call(&mut self, step: &'static Step, row: StepRow) -> Next {
        let effect = step.act.effect(&row.input).unwrap_or(Effect::Once);
        let row = StepRow { state: StepState::Running, attempt: row.attempt + 1, run_us: None, ..row };
        let call = self.intend(&row, false, effect, row.input.clone(), row.attempt);
        self.put(row);
        call
    }

    fn call_undo(&mut self, row: StepRow, reason: String) -> Next {
        let attempt = row.undo_attempt + 1;
        let row = StepRow { undo_state: Some(UndoState::Running), undo_attempt: attempt, undo_run_us: None, ..row };
        let asked = row.undo.clone().unwrap_or_default();
        // What undoes must be able to happen twice: the process may end in between.
        let next = self.intend(&row, true, Effect::Natural, asked, attempt);
        self.put(row);
        match next {
            Next::Call(call) => Next::Call(Box::new(Call { reason: Some(reason), ..*call })),
            other => other,
        }
    }

    fn intend(&mut self, row: &StepRow, undo: bool, effect: Effect, input: Value, attempt: i64) -> Next {
        let key = self.instance.key(&row.name, undo);
        self.writes.push(Write::Intend {
            key: key.clone(),
            step: row.name.clone(),
            attempt,
            class: effect,
            request_hash: hash(&input),
        });
        Next::Call(Box::new(Call {
            flow: self.flow.name,
            job: self.instance.job.clone(),
            step: row.name.clone(),
            undo,
            is_action: !undo && row.kind == "action",
            key,
            attempt,
            input,
            output: row.output.clone().filter(|_| undo),
            reason: None,
            effect,
            began_us: row.began_us,
        }))
    }

    /// Takes the end of a call in.
    fn end(&mut self, name: &str, undo: bool, outcome: &Outcome) {
        let Some(row) = self.instance.step(name).cloned() else { return };
        let runs = if undo { row.undo_state == Some(UndoState::Running) } else { row.state == StepState::Running };
        if !runs {
            return;
        }
        let key = self.instance.key(name, undo);
        let retry = self.flow.steps.iter().find(|step| step.name == name).map_or(RETRY, |step| step.retry);
        let retry = if undo { RETRY } else { retry };
        let attempt = if undo { row.undo_attempt } else { row.attempt };
        match outcome {
            Outcome::Done { target, output } => {
                self.settle(&key, "done", Some(target.clone()), &output.to_string());
                match undo {
                    true => self.put(StepRow { undo_state: Some(UndoState::Done), undo_error: None, ..row }),
                    false => self.finish(row, output.clone()),
                }
            }
            Outcome::Failed { error, retry_after } if attempt < retry.attempts => {
                let wait = retry_after.unwrap_or_else(|| pause(&key, attempt, retry));
                let at = self.now_us.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
                let (error, at) = (Some(error.clone()), Some(at));
                match undo {
                    true => self.put(StepRow {
                        undo_state: Some(UndoState::Retrying),
                        undo_run_us: at,
                        undo_error: error,
                        ..row
                    }),
                    false => self.put(StepRow { state: StepState::Retrying, run_us: at, error, ..row }),
                }
            }
            Outcome::Failed { error, .. } | Outcome::Refused { error } => {
                let state = if matches!(outcome, Outcome::Refused { .. }) { "failed" } else { "unknown" };
                self.settle(&key, state, None, error);
                match undo {
                    true => {
                        let (undo_state, undo_error) = (Some(UndoState::Failed), Some(error.clone()));
                        self.put(StepRow { undo_state, undo_error, ..row });
                    }
                    false => self.fail(row, error.clone()),
                }
            }
        }
    }

    fn settle(&mut self, key: &str, state: &'static str, target: Option<String>, response: &str) {
        let response = response.chars().take(RESPONSE_CHARS).collect();
        self.writes.push(Write::Settle { key: key.to_owned(), state, target, response });
    }

    fn finish(&mut self, row: StepRow, output: Value) {
        let (output, ended_us) = (Some(output), Some(self.now_us));
        self.put(StepRow { state: StepState::Done, output, error: None, run_us: None, ended_us, ..row });
    }

    fn fail(&mut self, row: StepRow, error: String) {
        let (error, ended_us) = (Some(error), Some(self.now_us));
        self.put(StepRow { state: StepState::Failed, error, run_us: None, ended_us, ..row });
    }

    fn put(&mut self, row: StepRow) {
        // The last word on a step is the one that counts.
        self.writes.retain(|write| !matches!(write, Write::Step(before) if before.name == row.name));
        self.writes.push(Write::Step(row.clone()));
        self.instance.put(row);
    }
}

fn pause(key: &str, attempt: i64, retry: Retry) -> std::time::Duration {
    backoff_within(key, attempt, retry.first, retry.longest)
}

#[cfg(test)]
mod tests;
