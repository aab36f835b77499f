//! Answers about scorecards as people read them.

use std::fmt::Write;

use serde_json::Value;

fn text(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn list_of(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn percent(value: &Value) -> String {
    value.as_f64().map_or_else(|| "–".to_owned(), |percent| format!("{percent:.0} %"))
}

/// What is wrong, a line each.
pub fn checks(answer: &Value) -> String {
    let (mut out, mut wrong) = (String::new(), 0);
    for file in list_of(answer) {
        let faults = list_of(&file["faults"]);
        wrong += usize::from(!faults.is_empty());
        for fault in faults {
            let _ = writeln!(out, "{}: {}", text(&file["file"]), text(fault));
        }
    }
    let _ = writeln!(out, "{} scorecards, {wrong} of them wrong", list_of(answer).len());
    out
}

/// What evaluations found, a line each.
pub fn runs(answer: &Value) -> String {
    let mut out = String::new();
    for run in list_of(answer) {
        if let Some(error) = run["error"].as_str() {
            let _ = writeln!(out, "{:<24} ERROR, nothing changed: {error}", text(&run["scorecard"]));
            continue;
        }
        let level = |level: &Value| format!("{} {}", text(&level["entities"]), text(&level["level"]));
        let levels: Vec<String> = list_of(&run["levels"]).iter().map(level).collect();
        let _ = writeln!(
            out,
            "{:<24} {} scored: {}; {} facts looked at, {} results changed",
            text(&run["scorecard"]),
            run["entities"],
            levels.join(", "),
            run["facts_asked"],
            run["results_changed"]
        );
    }
    out
}

/// Every scorecard, a line each.
pub fn list(answer: &Value) -> String {
    let mut out = String::new();
    for card in list_of(answer) {
        let _ = writeln!(
            out,
            "{:<24} {:<36} {:>6} scored, {:>5} on average, {} failed, {} unknown, {} exempt; last {}",
            text(&card["scorecard"]),
            text(&card["title"]),
            text(&card["entities"]),
            percent(&card["mean_percent"]),
            text(&card["failed"]),
            text(&card["unknown"]),
            text(&card["exempt"]),
            text(&card["last_tick"])
        );
    }
    if out.is_empty() { "no scorecard was evaluated yet: `stellwerk score run`\n".to_owned() } else { out }
}

/// How everybody stands, a line each.
pub fn standings(answer: &Value) -> String {
    let mut out = String::new();
    let mut card = "";
    for one in list_of(answer) {
        let of = one["scorecard"].as_str().unwrap_or_default();
        if of != card {
            let _ = writeln!(out, "{of}");
            card = of;
        }
        let _ = writeln!(
            out,
            "  {:<10} {:>5}  {:<16} {:<48} {} passed, {} failed, {} unknown, {} exempt",
            text(&one["level"]),
            percent(&one["score_percent"]),
            text(&one["tenant"]),
            text(&one["entity"]),
            one["passed"],
            one["failed"],
            one["unknown"],
            one["exempt"]
        );
    }
    if out.is_empty() { "nobody is scored: `stellwerk score run`\n".to_owned() } else { out }
}

/// What every check says about an entity.
pub fn explained(answer: &Value) -> String {
    let mut out = String::new();
    for one in list_of(answer) {
        let _ = writeln!(out, "{} of {}, {}", text(&one["entity"]), text(&one["tenant"]), text(&one["scorecard"]));
        let _ = writeln!(out, "  {} ({} of the weight)", text(&one["says"]), percent(&one["score_percent"]));
        for check in list_of(&one["checks"]) {
            let _ = writeln!(
                out,
                "  {:<9} {:<15} {:<18} {}",
                text(&check["level"]),
                text(&check["result"]),
                text(&check["check_id"]),
                text(&check["title"])
            );
            let since = text(&check["result_last_change"]);
            let _ = writeln!(out, "            {}, since {since}", text(&check["evidence"]));
            if let Some(why) =
                check["why"].as_str().filter(|_| matches!(check["result"].as_str(), Some("fail" | "unknown")))
            {
                let _ = writeln!(out, "            why it is asked: {why}");
            }
            if let Some(until) = check["exempt_until"].as_str() {
                let _ = writeln!(out, "            exempt until {until} ({})", text(&check["exemption"]));
            }
        }
    }
    out
}

/// What changed, a line each.
pub fn history(answer: &Value) -> String {
    let mut out = String::new();
    for change in list_of(answer) {
        let what = match change["check_id"].as_str() {
            Some("") | None => "level".to_owned(),
            Some(check) => format!("check {check}"),
        };
        let _ = writeln!(
            out,
            "{:<28} {} {} {what}: {} → {}  {}",
            text(&change["happened_at"]),
            text(&change["scorecard"]),
            text(&change["entity"]),
            text(&change["was"]),
            text(&change["is_now"]),
            text(&change["evidence"])
        );
    }
    if out.is_empty() { "nothing changed yet\n".to_owned() } else { out }
}

/// A request that was taken.
pub fn asked(answer: &Value) -> String {
    let id = text(&answer["exemption"]);
    format!(
        "asked for: {id}; it holds once somebody else runs\n  stellwerk score exempt approve {id} --by NAME --data DIR\n"
    )
}

/// That people are asked.
pub fn people_asked(answer: &Value) -> String {
    let id = text(&answer["exemption"]);
    format!("people are asked for {id} while a server runs; they see it with\n  stellwerk approval list --data DIR\n")
}

/// Exemptions, a line each.
pub fn exemptions(answer: &Value) -> String {
    let mut out = String::new();
    for one in list_of(answer) {
        let _ = writeln!(
            out,
            "{} {:<9} {} {} {} of {}: {} (asked by {}, decided by {}, until {})",
            text(&one["id"]),
            text(&one["state"]),
            text(&one["scorecard"]),
            text(&one["check_id"]),
            text(&one["entity"]),
            text(&one["tenant"]),
            text(&one["reason"]),
            text(&one["requester"]),
            text(&one["approver"]),
            text(&one["expires_at"])
        );
    }
    if out.is_empty() { "there is no exemption\n".to_owned() } else { out }
}
