//! Rules that ship, and rules' own tests: what needs no store of anybody.

use std::path::PathBuf;

use clap::Args;
use engine::{Error, Result};
use jobs::rule::Rule;
use jobs::shipped::RULES;
use jobs::trial;
use serde_json::{Value, json};

use super::super::exit::Exit;
use super::super::print;
use crate::wire;

/// Rules that ship.
#[derive(Debug, Args)]
pub struct Shipped {
    /// Only this one, with its file.
    #[arg(value_name = "RULE")]
    rule: Option<String>,
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

/// Where they are copied to.
#[derive(Debug, Args)]
pub struct Init {
    /// The folder; it is made if it is not there, and no file in it is overwritten.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Rules with their tests.
#[derive(Debug, Args)]
pub struct Test {
    /// Files, or folders that hold `.sql` files at any depth; without any, the rules that ship.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only rules whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

impl Shipped {
    pub fn run(self) -> Result<Exit> {
        if let Some(name) = &self.rule {
            let found = RULES.iter().find(|rule| rule.name == name);
            let found = found.ok_or_else(|| {
                Error::invalid(format!("no rule {name} ships; `stellwerk rule shipped` lists those that do"))
            })?;
            return match self.json {
                true => print::text(&format!("{:#}\n", json!({ "rule": name, "file": found.sql, "test": found.test }))),
                false => print::text(found.sql),
            };
        }
        let rules: Vec<(&str, Rule)> =
            RULES.iter().filter_map(|shipped| Some((shipped.name, shipped.rule().ok()?))).collect();
        if self.json {
            let list: Value = rules
                .iter()
                .map(|(name, rule)| json!({ "rule": name, "owner": rule.header.owner, "why": rule.header.why }))
                .collect();
            return print::text(&format!("{list:#}\n"));
        }
        let line =
            |(name, rule): &(&str, Rule)| format!("{name:<34} {}\n", rule.header.why.as_deref().unwrap_or_default());
        print::text(&rules.iter().map(line).collect::<String>())
    }
}

impl Init {
    pub fn run(self) -> Result<Exit> {
        let (written, kept) = jobs::shipped::write_rules(&self.folder)?;
        let folder = self.folder.display();
        let mut text = format!("{} files were written to {folder}", written.len());
        if !kept.is_empty() {
            text.push_str(&format!(", {} were there already and stay as they are", kept.len()));
        }
        text.push_str(&format!(
            "\nEdit them, then:\n  stellwerk rule test {folder}\n  stellwerk serve --rules {folder} --actions actions.yaml --data DIR\n"
        ));
        print::text(&text)
    }
}

/// A rule with the text of its test, or why there is none.
struct Tested {
    rule: Rule,
    test: std::result::Result<String, String>,
}

impl Test {
    pub async fn run(self) -> Result<Exit> {
        let mut tested = self.rules()?;
        if let Some(only) = &self.only {
            tested.retain(|one| one.rule.name.contains(only.as_str()));
        }
        if tested.is_empty() {
            return Err(Error::invalid("there is no rule to test: a file that ends with .sql"));
        }
        let catalogue = wire::catalogue();
        let (mut answers, mut passed, mut wrong) = (Vec::new(), 0, 0);
        for one in tested {
            let verdicts = match one.test.and_then(|text| trial::parse(&text)) {
                Ok(cases) => trial::run(&catalogue, &one.rule, &cases).await?,
                Err(why) => vec![trial::Verdict { case: "its test".to_owned(), wrong: vec![why] }],
            };
            for verdict in &verdicts {
                match verdict.wrong.is_empty() {
                    true => passed += 1,
                    false => wrong += 1,
                }
            }
            answers.push(json!({ "rule": one.rule.name, "cases": verdicts }));
        }
        match self.json {
            true => print::text(&format!("{:#}\n", Value::Array(answers)))?,
            false => print::text(&told(&answers, passed, wrong))?,
        };
        Ok(Exit(if wrong == 0 { Exit::OK } else { Exit::PROBLEMS }))
    }

    fn rules(&self) -> Result<Vec<Tested>> {
        let refuse = |name: &str, faults: Vec<jobs::rule::Fault>| {
            let lines = faults.iter().map(|fault| format!("{name}:{}: {}", fault.line, fault.what));
            Error::invalid(lines.collect::<Vec<_>>().join("\n"))
        };
        let mut tested = Vec::new();
        if self.paths.is_empty() {
            for shipped in RULES {
                let rule = shipped.rule().map_err(|faults| refuse(shipped.name, faults))?;
                tested.push(Tested { rule, test: Ok(shipped.test.to_owned()) });
            }
        }
        for path in &self.paths {
            if !path.exists() {
                return Err(Error::invalid(format!("there is no {}", path.display())));
            }
            for found in jobs::rule::read_folder(path)? {
                let rule = found.rule.map_err(|faults| refuse(&found.path.display().to_string(), faults))?;
                let beside = trial::beside(&found.path);
                let missing = |e: std::io::Error| format!("the rule has no test: {}: {e}", beside.display());
                tested.push(Tested { rule, test: std::fs::read_to_string(&beside).map_err(missing) });
            }
        }
        Ok(tested)
    }
}

fn told(answers: &[Value], passed: usize, wrong: usize) -> String {
    let mut text = String::new();
    for answer in answers {
        let rule = answer["rule"].as_str().unwrap_or_default();
        for case in answer["cases"].as_array().into_iter().flatten() {
            let faults: Vec<&str> = case["wrong"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let mark = if faults.is_empty() { "ok   " } else { "WRONG" };
            text.push_str(&format!("{mark} {rule}: {}\n", case["case"].as_str().unwrap_or_default()));
            text.extend(faults.iter().map(|fault| format!("      {fault}\n")));
        }
    }
    text.push_str(&format!("{passed} cases passed, {wrong} are wrong\n"));
    text
}
