//! Answers about rules as people read them.

use std::fmt::Write;
use std::path::PathBuf;

use jobs::rule::FIELDS;
use serde_json::Value;

/// Rows that a text shows of a transition.
const MOVES_MAX: usize = 20;
/// Signs of the small chart of a backtest.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What is wrong, as `file:line: what`.
pub fn checks(checks: &[(PathBuf, Value)]) -> String {
    let mut out = String::new();
    let mut wrong = 0;
    for (path, check) in checks {
        let faults = check["faults"].as_array().map_or(&[][..], Vec::as_slice);
        wrong += usize::from(!faults.is_empty());
        for fault in faults {
            let _ = writeln!(out, "{}:{}: {}", path.display(), fault["line"], text(&fault["what"]));
        }
    }
    let _ = writeln!(out, "{} rules, {} of them wrong", checks.len(), wrong);
    out
}

fn moves(out: &mut String, tick: &Value) {
    let moves = tick["moves"].as_array().map_or(&[][..], Vec::as_slice);
    for moved in moves.iter().take(MOVES_MAX) {
        let _ = writeln!(out, "  {:<9} {}", text(&moved["transition"]), text(&moved["key"]));
        for action in moved["actions"].as_array().into_iter().flatten() {
            let arguments: Vec<String> =
                action["arguments"].as_array().into_iter().flatten().map(Value::to_string).collect();
            let _ = writeln!(out, "            → {}({})", text(&action["action"]), arguments.join(", "));
        }
    }
    let all = tick["moves_in_all"].as_u64().unwrap_or(0) as usize;
    if all > moves.len().min(MOVES_MAX) {
        let _ = writeln!(out, "  … and {} more", all - moves.len().min(MOVES_MAX));
    }
}

/// What a rule would do now.
pub fn preview(answer: &Value) -> String {
    let mut out = format!("at {}: {} rows\n", text(&answer["tick"]), answer["rows"]);
    match answer["stop"].as_str() {
        Some(stop) => {
            let _ = writeln!(out, "  nothing would change: {stop}");
        }
        None if answer["moves"].as_array().is_some_and(Vec::is_empty) => out.push_str("  nothing would be done\n"),
        None => moves(&mut out, answer),
    }
    out
}

/// What a rule would have done: a line a tick at which something happened, and a chart of the rows.
pub fn backtest(answer: &Value) -> String {
    let ticks = answer["ticks"].as_array().map_or(&[][..], Vec::as_slice);
    let mut out = String::new();
    let mut counts = [0_u64; 3];
    for tick in ticks {
        for moved in tick["moves"].as_array().into_iter().flatten() {
            let place = ["new", "changed", "resolved"].iter().position(|name| moved["transition"] == **name);
            counts[place.unwrap_or(0)] += 1;
        }
        if let Some(stop) = tick["stop"].as_str() {
            let _ = writeln!(out, "{}  {} rows, nothing would change: {stop}", text(&tick["tick"]), tick["rows"]);
        } else if tick["moves"].as_array().is_some_and(|moves| !moves.is_empty()) {
            let _ = writeln!(out, "{}  {} rows", text(&tick["tick"]), tick["rows"]);
            moves(&mut out, tick);
        }
    }
    let rows: Vec<u64> = ticks.iter().map(|tick| tick["rows"].as_u64().unwrap_or(0)).collect();
    let _ = writeln!(out, "{} ticks: {} new, {} changed, {} resolved", ticks.len(), counts[0], counts[1], counts[2]);
    let _ = writeln!(out, "rows {}  most {}", chart(&rows), rows.iter().max().unwrap_or(&0));
    out
}

/// A line of bars, one for as many ticks as fit.
fn chart(rows: &[u64]) -> String {
    const WIDTH: usize = 60;
    let most = rows.iter().copied().max().unwrap_or(0).max(1);
    let each = rows.len().div_ceil(WIDTH).max(1);
    let height = |part: &[u64]| part.iter().copied().max().unwrap_or(0);
    rows.chunks(each)
        .map(|part| match height(part) {
            0 => ' ',
            rows => BARS[usize::try_from(rows * 7 / most).unwrap_or(7).min(7)],
        })
        .collect()
}

/// What a run did.
pub fn run(answer: &Value) -> String {
    match answer["error"].as_str() {
        Some(error) => {
            format!("{} at {}: {}: {error}\n", text(&answer["rule"]), text(&answer["tick"]), text(&answer["status"]))
        }
        None => format!(
            "{} at {}: {} rows, {} new, {} changed, {} resolved; {} attempts of jobs\n",
            text(&answer["rule"]),
            text(&answer["tick"]),
            answer["rows"],
            answer["new"],
            answer["changed"],
            answer["resolved"],
            answer["attempts"]
        ),
    }
}

/// Every rule, a line each.
pub fn list(answer: &Value) -> String {
    let mut out = String::new();
    for rule in answer.as_array().into_iter().flatten() {
        let state = match (rule["held"].as_str(), rule["enabled"].as_bool()) {
            (Some(held), _) => format!("HELD: {held}"),
            (None, Some(true)) => format!("next {}", text(&rule["next"])),
            _ => "by hand".to_owned(),
        };
        let _ = writeln!(
            out,
            "{:<40} {:<16} last {:<22} {state}",
            text(&rule["rule"]),
            text(&rule["owner"]),
            text(&rule["last"])
        );
    }
    if out.is_empty() { "there is no rule yet\n".to_owned() } else { out }
}

/// The runs of a rule, a line each.
pub fn history(answer: &Value) -> String {
    let mut out = String::new();
    for run in answer.as_array().into_iter().flatten() {
        let _ = write!(out, "{:<28} {:<6} {:>7} rows", text(&run["tick"]), text(&run["status"]), run["rows"]);
        let _ =
            write!(out, "  {} new {} changed {} resolved", run["rows_new"], run["rows_changed"], run["rows_resolved"]);
        match run["error"].as_str() {
            Some(error) => drop(writeln!(out, "  {error}")),
            None => out.push('\n'),
        }
    }
    if out.is_empty() { "it never ran\n".to_owned() } else { out }
}

/// Why a row is where it is.
pub fn explain(answer: &Value) -> String {
    let mut out = format!("{} {}: {}\n", text(&answer["rule"]), text(&answer["key"]), text(&answer["says"]));
    if let Some(why) = answer["why"].as_str() {
        let _ = writeln!(out, "  why the rule exists: {why}");
    }
    for (name, what) in [("now", "the SELECT has now"), ("tracked", "is tracked")] {
        if !answer[name].is_null() {
            let _ = writeln!(out, "  {what}: {}", answer[name]);
        }
    }
    out
}

/// An answer of one field.
pub fn plain(answer: &Value) -> String {
    let fields = answer.as_object().into_iter().flatten();
    fields.map(|(name, value)| format!("{name}: {}\n", text(value))).collect()
}

/// The fields and the actions.
pub fn fields() -> String {
    let mut out = String::from("Fields of the front matter:\n");
    for (name, doc) in FIELDS {
        let _ = writeln!(out, "  {name:<10} {doc}");
    }
    out.push_str("\nActions:\n");
    for action in jobs::actions::ACTIONS {
        let _ = writeln!(out, "  {}\n      {} ({})", action.signature(), action.doc, action.effect.name());
    }
    out.push_str("\nSettings of actions, `--actions FILE`; secrets stand elsewhere:\n");
    for line in jobs::actions::SETTINGS_EXAMPLE.lines() {
        let _ = writeln!(out, "  {line}");
    }
    out
}
