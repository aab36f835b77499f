//! What a rule would do: now, or at the ticks of a time that has passed. The same evaluator and the same state machine as a
//! run; only nothing is written.

use std::collections::BTreeMap;

use engine::{Error, Kind, Result, Scope, Store};
use serde_json::Value;

use crate::evaluate::{At, evaluate};
use crate::rows::{Difference, Move, Tracked, difference};
use crate::rule::Rule;

/// Ticks of one backtest.
pub const TICKS_MAX: usize = 10_000;

/// What a rule would do at a tick.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// The tick.
    pub tick: i64,
    /// Rows of its SELECT.
    pub rows: usize,
    /// What would happen, or why nothing would.
    pub difference: std::result::Result<Difference, String>,
}

/// An action as it would be done.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Wish {
    /// Its name.
    pub action: String,
    /// What it would get.
    pub arguments: Vec<Value>,
    /// Its name once and for all.
    pub dedupe: String,
}

/// The actions of a transition.
pub fn wishes(rule: &Rule, moved: &Move) -> Vec<Wish> {
    let calls = rule.header.on(moved.transition).iter().enumerate();
    let wish = |(at, call): (usize, &crate::rule::Call)| Wish {
        action: call.action.clone(),
        arguments: call.render(&moved.data),
        dedupe: moved.dedupe(&rule.name, at),
    };
    calls.map(wish).collect()
}

/// What a rule would do at a tick, over the rows that it tracks.
pub async fn preview(
    store: &Store,
    scope: &Scope,
    rule: &Rule,
    tracked: &BTreeMap<String, Tracked>,
    tick: i64,
    first: bool,
) -> Result<Preview> {
    let rows = match evaluate(store, scope, rule, tick, At::Now).await {
        Ok(evaluated) => evaluated.rows,
        Err(error) => return silent(tick, error),
    };
    let seen = rows.len();
    let difference = difference(&rule.header, tracked, rows, tick, first, false).map_err(|stop| stop.to_string());
    Ok(Preview { tick, rows: seen, difference })
}

/// What a rule would have done at every tick of a time, over what was there then. Calls `each` with every tick's outcome.
/// Ends with an error where the look back is refused.
pub async fn backtest(
    store: &Store,
    scope: &Scope,
    rule: &Rule,
    from_us: i64,
    to_us: i64,
    each: &mut (dyn FnMut(&Preview) + Send),
) -> Result<usize> {
    let ticks = ticks(rule, from_us, to_us)?;
    let mut tracked: BTreeMap<String, Tracked> = BTreeMap::new();
    let mut first = true;
    for tick in &ticks {
        let rows = match evaluate(store, scope, rule, *tick, At::Then).await {
            Ok(evaluated) => evaluated.rows,
            Err(error) => {
                each(&silent(*tick, error)?);
                continue;
            }
        };
        let seen = rows.len();
        let outcome = difference(&rule.header, &tracked, rows, *tick, first, false);
        first = false;
        if let Ok(difference) = &outcome {
            take(&mut tracked, difference);
        }
        each(&Preview { tick: *tick, rows: seen, difference: outcome.map_err(|stop| stop.to_string()) });
    }
    Ok(ticks.len())
}

/// A tick at which the rule can say nothing, as its tables are not fresh; any other failure stays one.
fn silent(tick: i64, error: Error) -> Result<Preview> {
    match error.kind() {
        Kind::Unavailable => Ok(Preview { tick, rows: 0, difference: Err(error.to_string()) }),
        _ => Err(error),
    }
}

/// The ticks of a rule within a time, the ends among them.
pub fn ticks(rule: &Rule, from_us: i64, to_us: i64) -> Result<Vec<i64>> {
    let (mut ticks, mut after) = (Vec::new(), from_us - 1);
    while let Some(tick) = rule.header.timing.next(&rule.name, after).filter(|tick| *tick <= to_us) {
        if ticks.len() == TICKS_MAX {
            return Err(Error::invalid(format!(
                "the time holds more than {TICKS_MAX} ticks of the rule; take less of it"
            )));
        }
        ticks.push(tick);
        after = tick;
    }
    if ticks.is_empty() {
        return Err(Error::invalid("the rule has no tick in this time; give it `every` or `cron`, or take more time"));
    }
    Ok(ticks)
}

fn take(tracked: &mut BTreeMap<String, Tracked>, difference: &Difference) {
    tracked.extend(difference.tracked.iter().cloned());
    for key in &difference.forgotten {
        tracked.remove(key);
    }
}
