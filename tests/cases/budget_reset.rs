//! When a budget's window ends, against LiteLLM's recorded answers. Where these are known to be defects, the rule of the
//! calendar holds instead, and the note counts them: `48h` ends two days on and not at the next midnight, `3mo` is a
//! quarter and no error.

use std::fs;
use std::path::Path;

use ledger::budget::{Duration, next_reset};
use serde_json::Value;

use super::{Tally, files};

/// Hours of a day: longer lengths in hours are where the recorded answers go wrong.
const DAY_HOURS: u32 = 24;

/// One recorded answer; its fields are found by what they hold.
struct Answer {
    duration: String,
    zone: chrono_tz::Tz,
    now: chrono::DateTime<chrono::Utc>,
    /// `None`: it was an error.
    reset: Option<chrono::DateTime<chrono::Utc>>,
}

/// The answers lie beside the prices.
pub fn run(suite: &Path) -> Option<Tally> {
    let folder = suite.with_file_name("llm_prices");
    let mut tally = Tally::default();
    let mut deviations = 0;
    for file in files(&folder, "budget_reset_known_answers.json") {
        let text = fs::read_to_string(&file).expect("the answers are readable");
        let document: Value = serde_json::from_str(&text).expect("the answers are JSON");
        let list = document.as_array().or_else(|| document.as_object()?.values().find_map(Value::as_array));
        for (at, case) in list.into_iter().flatten().enumerate() {
            let name = format!("{at} {case}");
            match read(case) {
                Some(answer) if is_defect(&answer) => {
                    deviations += 1;
                    tally.case(&name, sane(&answer));
                }
                Some(answer) => tally.equal(&name, &reset(&answer), &answer.reset.ok_or_else(String::new)),
                None => tally.case(&name, Err("no duration, instant and zone are found in it".to_owned())),
            }
        }
    }
    if deviations > 0 {
        tally.note = format!(" ({deviations} recorded defects, where the calendar's rule holds)");
    }
    Some(tally)
}

fn read(case: &Value) -> Option<Answer> {
    let fields = case.as_object()?;
    let texts = || fields.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    let instants: Vec<_> = texts().filter_map(|(name, text)| Some((name, instant(text)?))).collect();
    let is_answer =
        |name: &str| ["reset", "next", "expected", "answer", "result"].iter().any(|word| name.contains(word));
    Some(Answer {
        duration: texts().find(|(name, _)| name.contains("duration"))?.1.to_owned(),
        zone: texts().find_map(|(name, text)| (!name.contains("duration")).then(|| text.parse().ok())?)?,
        now: instants.iter().find(|(name, _)| !is_answer(name))?.1,
        reset: instants.iter().find(|(name, _)| is_answer(name)).map(|(_, at)| *at),
    })
}

/// An instant; one without a zone is UTC's, as it was for who recorded it.
fn instant(text: &str) -> Option<chrono::DateTime<chrono::Utc>> {
    let zoned = chrono::DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)).map(|at| at.to_utc());
    let plain = || text.replacen(' ', "T", 1).parse::<chrono::NaiveDateTime>().map(|at| at.and_utc());
    zoned.ok().or_else(|| plain().ok())
}

/// Whether the recorded answer is one of the known defects.
fn is_defect(answer: &Answer) -> bool {
    let split = answer.duration.find(|c: char| !c.is_ascii_digit()).unwrap_or(answer.duration.len());
    let (count, unit) = answer.duration.split_at(split);
    let count: u32 = count.parse().unwrap_or_default();
    let unknown = answer.duration.parse::<Duration>().is_err();
    unknown || answer.reset.is_none() || (unit == "h" && count > DAY_HOURS) || (unit == "mo" && count > 1)
}

fn reset(answer: &Answer) -> Result<chrono::DateTime<chrono::Utc>, String> {
    let duration: Duration = answer.duration.parse().map_err(|e: engine::Error| e.to_string())?;
    next_reset(duration, answer.now, answer.zone).map_err(|e| e.to_string())
}

/// In place of a defect: a length that is none is refused, any other ends later than now, at a midnight of its zone where
/// it is days or months.
fn sane(answer: &Answer) -> Result<(), String> {
    use chrono::Timelike;
    let Ok(duration) = answer.duration.parse::<Duration>() else { return Ok(()) };
    let end = next_reset(duration, answer.now, answer.zone).map_err(|e| e.to_string())?;
    let clock = end.with_timezone(&answer.zone).time();
    let at_midnight = clock.num_seconds_from_midnight() == 0;
    match duration {
        _ if end <= answer.now => Err(format!("{end} is not later than {}", answer.now)),
        Duration::Days(_) | Duration::Months(_) if !at_midnight => Err(format!("{end} is no midnight")),
        _ => Ok(()),
    }
}
