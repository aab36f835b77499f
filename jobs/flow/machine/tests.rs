#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::flow::rows::Signal;
use crate::flow::{RETRY, Retry};

const FEW: Retry = Retry { attempts: 3, first: Duration::from_secs(1), longest: Duration::from_secs(4) };

fn input(known: &Known<'_>) -> Result<Value, String> {
    Ok(json!({ "of": known.steps.len() }))
}

fn undo(known: &Known<'_>) -> Result<Value, String> {
    Ok(json!({ "undo": known.steps.len() }))
}

fn ten(_: &Known<'_>) -> Result<Value, String> {
    Ok(json!({ "us": 10 }))
}

const fn call(name: &'static str, undoes: bool, effect: Effect) -> Step {
    let undo: Option<crate::flow::Make> = if undoes { Some(undo) } else { None };
    Step { name, doc: "", act: Act::Call { effect, input }, retry: FEW, undo }
}

static TRIAL: Flow = Flow {
    name: "trial",
    doc: "",
    parameters: &[],
    steps: &[
        call("a", true, Effect::Natural),
        call("b", false, Effect::Keyed),
        Step { name: "c", doc: "", act: Act::Sleep { input: ten }, retry: RETRY, undo: None },
        call("d", true, Effect::Keyed),
        Step {
            name: "e",
            doc: "",
            act: Act::Signal { name: "go", deadline: Some(Duration::from_millis(1)) },
            retry: RETRY,
            undo: None,
        },
        call("f", true, Effect::Natural),
    ],
};

static ONCE: Flow = Flow { name: "once", doc: "", parameters: &[], steps: &[call("mail", false, Effect::Once)] };

fn fresh() -> Instance {
    let (job, dedupe) = ("job".to_owned(), "key".to_owned());
    Instance { job, dedupe, round: 1, input: json!({}), steps: Vec::new() }
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Failed,
    Refused,
    /// The process ends before the call, or after it and before its end is kept: who comes back cannot tell.
    Crash,
}

/// A call that was made: step, undo, attempt.
type Made = (String, bool, i64);

/// How it ended, in a word.
fn word(end: &End) -> &'static str {
    match end {
        End::Done(_) => "done",
        End::Dead(_) => "dead",
        End::Cancelled(_) => "cancelled",
    }
}

/// Runs the machine over fates; every decision is made twice, and must be the same.
fn run(fates: &[Fate], signal: bool, cancel_after: Option<usize>) -> (Vec<Made>, &'static str, Instance) {
    let (mut instance, mut facts, mut now, mut made) = (fresh(), Facts::default(), 0_i64, Vec::new());
    let mut event = Event::Look;
    for _ in 0..1_000 {
        let advance = advance(&TRIAL, &instance, &facts, &event, now);
        assert_eq!(advance, super::advance(&TRIAL, &instance, &facts, &event, now), "a decision is not its own");
        instance = advance.instance;
        match advance.next {
            Next::End(end) => return (made, word(&end), instance),
            Next::Park { until_us } => {
                let waits = instance.steps.last().is_some_and(|row| row.name == "e" && row.state == StepState::Waiting);
                if waits && signal {
                    facts.signals.push(Signal { id: "s".to_owned(), name: "go".to_owned(), payload: json!(1) });
                } else {
                    now = until_us.expect("only time is waited for").max(now);
                }
                event = Event::Look;
            }
            Next::Call(call) => {
                let key = if call.undo { format!("key/{}/undo", call.step) } else { format!("key/{}", call.step) };
                assert_eq!(call.key, key, "the key is the same at every attempt");
                let fate = fates.get(made.len()).copied().unwrap_or(Fate::Done);
                made.push((call.step.clone(), call.undo, call.attempt));
                if cancel_after.is_some_and(|count| made.len() >= count) {
                    facts.cancel = Some("enough".to_owned());
                }
                let outcome = match fate {
                    Fate::Done => Outcome::Done { target: "t".to_owned(), output: json!({}) },
                    Fate::Failed => Outcome::Failed { error: "no".to_owned(), retry_after: None },
                    Fate::Refused => Outcome::Refused { error: "never".to_owned() },
                    Fate::Crash => {
                        event = Event::Look;
                        continue;
                    }
                };
                event = Event::Ended { step: call.step, undo: call.undo, outcome };
            }
        }
    }
    panic!("it does not end: {instance:?}");
}

/// The same without rows, events or time: what was begun, undone from the newest to the oldest where one fails.
fn model(fates: &[Fate], signal: bool, cancel_after: Option<usize>) -> (Vec<Made>, &'static str) {
    let mut made: Vec<Made> = Vec::new();
    let (mut begun, mut failed) = (Vec::new(), false);
    let cancelled = |made: &[Made]| cancel_after.is_some_and(|count| made.len() >= count);
    'steps: for step in TRIAL.steps {
        begun.push(step);
        match step.act {
            Act::Sleep { .. } => continue,
            Act::Signal { .. } if signal => continue,
            Act::Signal { .. } => failed = true,
            _ => {
                for attempt in 1..=FEW.attempts {
                    let fate = fates.get(made.len()).copied().unwrap_or(Fate::Done);
                    made.push((step.name.to_owned(), false, attempt));
                    let is_last = attempt == FEW.attempts;
                    match fate {
                        Fate::Done if cancelled(&made) => break 'steps,
                        Fate::Done => continue 'steps,
                        Fate::Refused => failed = true,
                        Fate::Failed if is_last => failed = true,
                        // Nobody saw it fail: what is to end ends before it is tried again.
                        Fate::Crash if is_last && !cancelled(&made) => failed = true,
                        Fate::Failed | Fate::Crash => {}
                    }
                    if failed || cancelled(&made) {
                        break 'steps;
                    }
                }
            }
        }
        break;
    }
    if !failed && !cancelled(&made) {
        return (made, "done");
    }
    for step in begun.into_iter().rev().filter(|step| step.undo.is_some()) {
        let mut undone = false;
        for attempt in 1..=RETRY.attempts {
            let fate = fates.get(made.len()).copied().unwrap_or(Fate::Done);
            made.push((step.name.to_owned(), true, attempt));
            undone = fate == Fate::Done;
            if undone || fate == Fate::Refused {
                break;
            }
        }
        if !undone {
            return (made, "dead");
        }
    }
    (made, if failed { "dead" } else { "cancelled" })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn the_machine_does_what_the_model_does(
        fates in proptest::collection::vec(
            prop_oneof![5 => Just(Fate::Done), 2 => Just(Fate::Failed), 1 => Just(Fate::Refused), 2 => Just(Fate::Crash)], 0..24),
        signal: bool,
        cancel_after in proptest::option::of(1_usize..12),
    ) {
        let (made, end, instance) = run(&fates, signal, cancel_after);
        let (wanted, wanted_end) = model(&fates, signal, cancel_after);
        prop_assert_eq!(&made, &wanted);
        prop_assert_eq!(end, wanted_end);
        for row in &instance.steps {
            let is_open = matches!(row.state, StepState::Running | StepState::Retrying | StepState::Waiting | StepState::Unknown);
            prop_assert!(!is_open, "{} is open at the end", row.name);
            if end == "done" {
                prop_assert!(row.state == StepState::Done && row.undo_state != Some(UndoState::Done));
            }
            if end == "cancelled" {
                prop_assert!(row.undo_state.is_none_or(|state| state == UndoState::Done));
            }
        }
    }
}

#[test]
fn the_time_that_the_other_side_asks_for_wins() {
    let first = advance(&TRIAL, &fresh(), &Facts::default(), &Event::Look, 0);
    let outcome = Outcome::Failed { error: "busy".to_owned(), retry_after: Some(Duration::from_secs(77)) };
    let event = Event::Ended { step: "a".to_owned(), undo: false, outcome };
    let second = advance(&TRIAL, &first.instance, &Facts::default(), &event, 5);
    assert_eq!(second.next, Next::Park { until_us: Some(77_000_005) });
}

#[test]
fn what_would_be_seen_twice_is_not_done_twice() {
    let first = advance(&ONCE, &fresh(), &Facts::default(), &Event::Look, 0);
    assert!(matches!(first.next, Next::Call(_)));
    // Its process ends here.
    let second = advance(&ONCE, &first.instance, &Facts::default(), &Event::Look, 1);
    assert_eq!(second.next, Next::Park { until_us: None });
    assert_eq!(second.instance.step("mail").unwrap().state, StepState::Unknown);
    let third = advance(&ONCE, &second.instance, &Facts::default(), &Event::Look, 2);
    assert_eq!(third.next, Next::Park { until_us: None }, "it stays so until somebody says what became of it");
}

#[test]
fn the_compensation_is_written_before_the_call() {
    let first = advance(&TRIAL, &fresh(), &Facts::default(), &Event::Look, 0);
    let row = first.instance.step("a").unwrap();
    assert_eq!((row.undo_state, row.undo.clone()), (Some(UndoState::Recorded), Some(json!({ "undo": 0 }))));
    let kinds: Vec<bool> =
        first.writes.iter().map(|write| matches!(write, Write::Step(_) | Write::Intend { .. })).collect();
    assert_eq!(kinds, [true, true]);
}

#[test]
fn what_is_paused_begins_nothing() {
    let paused = Facts { paused: true, ..Facts::default() };
    let none = advance(&TRIAL, &fresh(), &paused, &Event::Look, 0);
    assert!(none.writes.is_empty() && none.next == Next::Park { until_us: None });
}
