//! Model prices: every recorded cost is what the price list of its folder gives, to 10⁻¹² where floats were recorded; a
//! model that is not in the list is an error, never free.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Tally, arg, files};
use crate::harness::{Ground, csv_rows};

/// Answers asked in one question.
const ANSWERS_MAX: usize = 500;
/// Counts as answers name them, and as a usage does.
const COUNTS: &[(&str, &str)] = &[
    ("prompt_tokens", "input_tokens"),
    ("completion_tokens", "output_tokens"),
    ("cache_read_tokens", "cache_read_tokens"),
    ("cache_write_tokens", "cache_write_tokens"),
    ("cache_write_1h_tokens", "cache_write_1h_tokens"),
    ("reasoning_tokens", "reasoning_tokens"),
    ("audio_input_tokens", "audio_input_tokens"),
];

pub fn run(suite: &Path) -> Option<Tally> {
    let answers = files(suite, "cost_known_answers.json");
    let lists: Vec<_> = files(suite, ".json").into_iter().filter(|path| named(path, "model_prices")).collect();
    if answers.is_empty() || lists.is_empty() {
        return None;
    }
    let mut tally = Tally::default();
    for list in &lists {
        tally.case(&name(list), read_twice(list));
    }
    for file in &answers {
        // Answers were computed from the lists of their own maker: `litellm_cost…` from `litellm_model_prices…`.
        let name = name(file);
        let maker = name.split('_').next().unwrap_or_default();
        let ground = Ground::new();
        for list in lists.iter().filter(|list| named(list, maker)) {
            ground.run(&["price", "import", arg(list)]);
        }
        let text = fs::read_to_string(file).expect("the answers are readable");
        let cases: Vec<Value> = serde_json::from_str(&text).expect("the answers are a JSON list");
        for (chunk, cases) in cases.chunks(ANSWERS_MAX).enumerate() {
            for (at, (case, got)) in cases.iter().zip(ask(&ground, cases)).enumerate() {
                let title = format!("{} {} {}", chunk * ANSWERS_MAX + at, word(&case["model"]), case["service_tier"]);
                tally.case(&title, got.and_then(|got| compare(case, &got)));
            }
        }
        // The command says the same, and fails where there is no price.
        for wants_error in [false, true] {
            let case = cases.iter().find(|case| case.get("error").is_some() == wants_error);
            if let Some(case) = case {
                tally.case(&format!("price cost {}", word(&case["model"])), command(&ground, case));
            }
        }
    }
    Some(tally)
}

/// A list is read, and read again changes nothing.
fn read_twice(list: &Path) -> Result<(), String> {
    let ground = Ground::new();
    let first = ground.run(&["price", "import", arg(list)]);
    let again = ground.run(&["price", "import", arg(list)]);
    match (first.code, again.stdout.contains(": 0 rows written")) {
        (Some(0), true) if !first.stdout.contains(": 0 rows") => Ok(()),
        _ => Err(format!("{}{}{}{}", first.stdout, first.stderr, again.stdout, again.stderr)),
    }
}

fn named(path: &Path, part: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(part))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn usage(case: &Value) -> Value {
    let mut usage = serde_json::json!({ "service_tier": case["service_tier"].as_str().unwrap_or_default() });
    for (theirs, ours) in COUNTS {
        // A case that is only an error gives no counts; it is an error for any.
        let none = u64::from(case.get("error").is_some() && *theirs == "prompt_tokens");
        usage[*ours] = case[*theirs].as_u64().unwrap_or(none).into();
    }
    usage
}

/// What each case costs, as the store says it.
fn ask(ground: &Ground, cases: &[Value]) -> Vec<Result<Value, String>> {
    let quoted = |text: String| format!("'{}'", text.replace('\'', "''"));
    let row = |(at, case): (usize, &Value)| {
        let texts = [word(&case["model"]), word(&case["provider"]), usage(case).to_string()];
        format!("({at}, {})", texts.map(quoted).join(", "))
    };
    let rows: Vec<String> = cases.iter().enumerate().map(row).collect();
    let sql = format!(
        "SELECT llm_cost_detail(model, provider, usage) FROM (VALUES {}) AS asked(at, model, provider, usage) ORDER BY at",
        rows.join(", ")
    );
    let file = ground.beside("asked.sql");
    fs::write(&file, sql).expect("the question is written");
    let done = ground.run(&["sql", "--file", arg(&file), "--format", "csv"]);
    let found = csv_rows(&done.stdout);
    if done.code != Some(0) || found.len() != cases.len() + 1 {
        return vec![Err(done.stderr); cases.len()];
    }
    let parse = |row: &Vec<String>| serde_json::from_str(&row[0]).map_err(|cause| format!("{}: {cause}", row[0]));
    found[1..].iter().map(parse).collect()
}

fn compare(case: &Value, got: &Value) -> Result<(), String> {
    if case.get("error").is_some() {
        return if got.get("error").is_some() { Ok(()) } else { Err(format!("it has a price: {got}")) };
    }
    for part in ["prompt_cost", "completion_cost"] {
        let cost: f64 = got[part].as_str().and_then(|text| text.parse().ok()).ok_or_else(|| got.to_string())?;
        let expected = case[part].as_f64().unwrap_or(f64::NAN);
        // An expected NaN fits nothing.
        if (cost - expected).abs() <= 1e-12 {
            continue;
        }
        return Err(format!("{part} is {cost}, expected {expected}: {got}"));
    }
    Ok(())
}

fn command(ground: &Ground, case: &Value) -> Result<(), String> {
    let usage = usage(case);
    let mut args = vec!["price", "cost", "--json", "--model"].into_iter().map(str::to_owned).collect::<Vec<_>>();
    args.extend([word(&case["model"]), "--provider".to_owned(), word(&case["provider"])]);
    for (_, count) in COUNTS {
        args.extend([format!("--{}", count.replace('_', "-")), usage[*count].to_string()]);
    }
    if let Some(tier) = case["service_tier"].as_str() {
        args.extend(["--service-tier".to_owned(), tier.to_owned()]);
    }
    let done = ground.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    match (case.get("error").is_some(), done.code) {
        (true, Some(2)) if done.stderr.contains("unpriced") => Ok(()),
        (false, Some(0)) => {
            let got = serde_json::from_str(&done.stdout).map_err(|cause| format!("{cause}: {}", done.stdout))?;
            compare(case, &got)
        }
        (_, code) => Err(format!("exit {code:?}: {}{}", done.stdout, done.stderr)),
    }
}
