//! A template in Rego: repaired where regorus reads it otherwise than OPA, checked, compiled once, evaluated often.

mod functions;
mod lexer;
mod parser;
mod regex;
mod repair;
mod self_check;
mod sprintf;
mod syntax;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};
use serde_json::Value as Json;

use super::Finding;

/// Longest that one review by one constraint may take; a webhook's caller waits three seconds.
const EVALUATION_TIME_MAX: Duration = Duration::from_secs(3);
/// Steps between two looks at the clock.
const STEPS_BETWEEN_LOOKS: NonZeroU32 = NonZeroU32::new(256).expect("256 is not zero");

/// A compiled template. A clone shares what is compiled, and is one thread's own.
#[derive(Clone)]
pub struct Rego {
    engine: Engine,
    rule: String,
    reads_inventory: bool,
}

impl std::fmt::Debug for Rego {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rego").field("rule", &self.rule).finish_non_exhaustive()
    }
}

impl Rego {
    /// Reads, repairs, checks and compiles a template's source and its libraries. An error is the reason for which every
    /// evaluation denies.
    pub fn load(source: &str, libraries: &[String]) -> Result<Rego, String> {
        let sources: Vec<&str> = std::iter::once(source).chain(libraries.iter().map(String::as_str)).collect();
        let mut modules = Vec::with_capacity(sources.len());
        for source in &sources {
            modules.push(parser::parse(source).map_err(|why| format!("its Rego cannot be read: {why}"))?);
        }
        let reasons = self_check::reasons(&modules);
        if !reasons.is_empty() {
            return Err(reasons.join("; "));
        }
        let mut engine = Engine::new();
        engine.set_rego_v0(true);
        engine.set_strict_builtin_errors(true);
        let config = ExecutionTimerConfig { limit: EVALUATION_TIME_MAX, check_interval: STEPS_BETWEEN_LOOKS };
        engine.set_execution_timer_config(config);
        functions::register(&mut engine)?;
        for (at, (source, module)) in sources.iter().zip(&modules).enumerate() {
            let repaired = repair::repair(source, module);
            let name = if at == 0 { "template".to_owned() } else { format!("library {at}") };
            engine
                .add_policy(name, repaired)
                .map_err(|e| format!("its Rego does not compile: {}", one_line(&e.to_string())))?;
        }
        let rule = format!("data.{}.violation", modules[0].package.join("."));
        let mut rego = Rego { engine, rule, reads_inventory: self_check::reads_inventory(&modules) };
        rego.compile()?;
        Ok(rego)
    }

    /// Compiles with nothing to review, so that what is wrong shows now.
    fn compile(&mut self) -> Result<(), String> {
        self.engine.set_input(Value::new_object());
        match self.engine.eval_rule(self.rule.clone()) {
            Ok(_) => Ok(()),
            // Without an input a policy may well fail; it is compiled by then.
            Err(e) if is_of_compiling(&e.to_string()) => {
                Err(format!("its Rego does not compile: {}", one_line(&e.to_string())))
            }
            Err(_) => Ok(()),
        }
    }

    /// Whether it reads other objects than the one under review.
    pub fn reads_inventory(&self) -> bool {
        self.reads_inventory
    }

    /// The same over this inventory.
    pub fn with_inventory(&self, inventory: &Value) -> Result<Rego, String> {
        let mut engine = self.engine.clone();
        engine.clear_data();
        let data = Value::from(BTreeMap::from([(Value::from("inventory"), inventory.clone())]));
        engine.add_data(data).map_err(|e| format!("its inventory cannot be given: {}", one_line(&e.to_string())))?;
        Ok(Rego { engine, ..self.clone() })
    }

    /// What a constraint with these parameters finds in a review; an error is a reason to deny.
    pub fn evaluate(&mut self, review: &Value, parameters: &Value) -> Result<Vec<Finding>, String> {
        let input = [(Value::from("review"), review.clone()), (Value::from("parameters"), parameters.clone())];
        self.engine.set_input(Value::from(BTreeMap::from(input)));
        let found = self.engine.eval_rule(self.rule.clone()).map_err(|e| one_line(&e.to_string()))?;
        let findings: Vec<&Value> = match &found {
            Value::Set(set) => set.iter_sorted().collect(),
            Value::Array(array) => array.iter().collect(),
            Value::Undefined => Vec::new(),
            _ => return Err("`violation` is no set".to_owned()),
        };
        findings.into_iter().map(finding).collect()
    }
}

/// `{"msg": …, "details": …}`.
fn finding(value: &Value) -> Result<Finding, String> {
    let object = value.as_object().map_err(|_| "a violation is no object".to_owned())?;
    let message = object.get(&Value::from("msg")).and_then(|m| m.as_string().ok());
    let message = message.ok_or("a violation has no text `msg`")?.to_string();
    Ok(Finding { message, details: object.get(&Value::from("details")).map(json) })
}

/// regorus tells where it stopped in several lines; the last says why.
fn one_line(text: &str) -> String {
    let why = text.lines().rev().find_map(|line| line.trim().strip_prefix("error: ")).or_else(|| text.lines().last());
    why.unwrap_or(text).trim().to_owned()
}

fn is_of_compiling(text: &str) -> bool {
    [
        "unsafe",
        "could not find function",
        "cyclic",
        "recursion",
        "undefined variable",
        "not a valid rule path",
        "conflict",
    ]
    .iter()
    .any(|word| text.contains(word))
}

/// JSON as the engine holds it.
pub fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::from(*b),
        Json::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => Value::from(n),
            (_, Some(n)) => Value::from(n),
            _ => n.as_f64().map_or(Value::Undefined, Value::from),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
        Json::Object(fields) => {
            Value::from(fields.iter().map(|(k, v)| (Value::from(k.as_str()), value(v))).collect::<BTreeMap<_, _>>())
        }
    }
}

/// The same back; a set becomes a list.
fn json(value: &Value) -> Json {
    value.to_json_str().ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Json::Null)
}
