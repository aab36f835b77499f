//! A template in CEL (`K8sNativeValidation`): conditions, variables and validations over an object.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kube_cel::KubeCelExt;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, Program, Value};
use serde_json::Value as Json;

use super::Finding;
use super::document::text;
use super::review::Review;

/// How the names begin that stand for `variables.x`: a map of all variables would have to be built again for each.
const VARIABLE: &str = "variables_0_";
/// What is reviewed, also where it is deleted.
const ANY_OBJECT: &str =
    "has(request.operation) && request.operation == \"DELETE\" && object == null ? oldObject : object";

/// The functions of Kubernetes; made once a thread, since there are many.
pub fn functions() -> Context<'static> {
    Context::default().with_all()
}

/// A compiled template.
#[derive(Debug)]
pub struct Cel {
    conditions: Vec<Named>,
    variables: Vec<Named>,
    validations: Vec<Validation>,
}

#[derive(Debug)]
struct Named {
    name: String,
    program: Program,
}

#[derive(Debug)]
struct Validation {
    expression: String,
    program: Program,
    message: Option<String>,
    message_program: Option<Program>,
}

impl Cel {
    /// Reads and compiles a template's source.
    pub fn load(source: &Json) -> Result<Cel, String> {
        let mut names = vec!["anyObject".to_owned(), "params".to_owned()];
        names.extend(list(source, "variables")?.iter().map(|entry| text(entry, "/name").to_owned()));
        let named = |field: &str| -> Result<Vec<Named>, String> {
            list(source, field)?.iter().map(|entry| Named::load(field, entry, &names)).collect()
        };
        let mut variables =
            vec![Named { name: "anyObject".to_owned(), program: compile("variables", ANY_OBJECT, &names)? }];
        variables.extend(named("variables")?);
        let validations = list(source, "validations")?
            .iter()
            .map(|entry| Validation::load(entry, &names))
            .collect::<Result<Vec<_>, _>>()?;
        if validations.is_empty() {
            return Err("its CEL has no validations".to_owned());
        }
        Ok(Cel { conditions: named("matchConditions")?, variables, validations })
    }

    /// What a constraint finds in a review; an error is a reason to deny.
    pub fn evaluate(
        &self,
        functions: &Context<'_>,
        review: &Review,
        constraint: &Value,
        parameters: &Value,
    ) -> Result<Vec<Finding>, String> {
        let mut context = functions.new_inner_scope();
        for (name, value) in review.for_cel() {
            context.add_variable_from_value(*name, value.clone());
        }
        context.add_variable_from_value("params", constraint.clone());
        context.add_variable_from_value(format!("{VARIABLE}params"), parameters.clone());
        context.add_variable_from_value("namespaceObject", review.namespace().map_or(Value::Null, value));
        let mut broken = BTreeMap::new();
        // A variable that cannot be computed matters only where it is read.
        for variable in &self.variables {
            let name = format!("{VARIABLE}{}", variable.name);
            match variable.program.execute(&context) {
                Ok(value) => context.add_variable_from_value(name, value),
                Err(error) => {
                    broken.insert(name, error.to_string());
                }
            }
        }
        let told = |what: &str, error: String| {
            let cause = broken.iter().find(|(name, _)| error.contains(name.as_str()));
            let cause = cause.map(|(name, why)| format!("variables.{}: {why}", &name[VARIABLE.len()..]));
            format!("{what}: {}", cause.unwrap_or(error))
        };
        for condition in &self.conditions {
            match condition.program.execute(&context) {
                Ok(Value::Bool(true)) => {}
                Ok(Value::Bool(false)) => return Ok(Vec::new()),
                Ok(_) => return Err(format!("condition {} is neither true nor false", condition.name)),
                Err(error) => return Err(told(&format!("condition {}", condition.name), error.to_string())),
            }
        }
        let mut findings = Vec::new();
        for validation in &self.validations {
            match validation.program.execute(&context) {
                Ok(Value::Bool(true)) => {}
                Ok(Value::Bool(false)) => {
                    findings.push(Finding { message: validation.message(&context), details: None })
                }
                Ok(_) => return Err(format!("`{}` is neither true nor false", validation.expression)),
                Err(error) => return Err(told(&format!("`{}`", validation.expression), error.to_string())),
            }
        }
        Ok(findings)
    }
}

impl Named {
    fn load(field: &str, entry: &Json, names: &[String]) -> Result<Named, String> {
        let name = text(entry, "/name");
        if name.is_empty() {
            return Err(format!("an entry of {field} has no name"));
        }
        Ok(Named { name: name.to_owned(), program: compile(field, text(entry, "/expression"), names)? })
    }
}

impl Validation {
    fn load(entry: &Json, names: &[String]) -> Result<Validation, String> {
        let expression = text(entry, "/expression").to_owned();
        let program = compile("validations", &expression, names)?;
        let message_expression = Some(text(entry, "/messageExpression")).filter(|t| !t.is_empty());
        let message_program = message_expression.map(|e| compile("messageExpression", e, names)).transpose()?;
        let message = Some(text(entry, "/message").to_owned()).filter(|t| !t.is_empty());
        Ok(Validation { expression, program, message, message_program })
    }

    /// The computed message, else the fixed one, else what did not hold.
    fn message(&self, context: &Context<'_>) -> String {
        let computed = self.message_program.as_ref().and_then(|program| match program.execute(context) {
            Ok(Value::String(text)) if !text.trim().is_empty() => Some(text.to_string()),
            _ => None,
        });
        computed
            .or_else(|| self.message.clone())
            .unwrap_or_else(|| format!("failed expression: {}", self.expression.trim()))
    }
}

fn list<'a>(source: &'a Json, field: &str) -> Result<&'a [Json], String> {
    match source.get(field) {
        None | Some(Json::Null) => Ok(&[]),
        Some(Json::Array(entries)) => Ok(entries),
        Some(_) => Err(format!("{field} of its CEL is no list")),
    }
}

fn compile(field: &str, expression: &str, names: &[String]) -> Result<Program, String> {
    if expression.trim().is_empty() {
        return Err(format!("an entry of {field} has no expression"));
    }
    // The parser's errors come as a panic where an expression is far from CEL.
    let compiled = std::panic::catch_unwind(|| Program::compile(&flattened(expression, names)));
    let why = match compiled {
        Ok(Ok(program)) => return Ok(program),
        Ok(Err(errors)) => errors.to_string(),
        Err(_) => "it cannot be parsed".to_owned(),
    };
    Err(format!("`{}` of {field} does not compile: {}", expression.trim(), why.lines().next().unwrap_or_default()))
}

/// Outside of strings: `variables.x` as one name; `has(variables.x)` as whether there is such a variable, since `has` asks
/// for fields; and `dyn(x)`, which only speaks to a checker of types, as `(x)`.
fn flattened(expression: &str, names: &[String]) -> String {
    let (mut out, mut rest) = (String::with_capacity(expression.len() + 16), expression);
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let is_start = !(before.is_alphanumeric() || before == '_' || before == '.');
        if let Some((is_there, after)) = declared(rest, names).filter(|_| is_start) {
            out.push_str(if is_there { "true" } else { "false" });
            (rest, before) = (after, ')');
            continue;
        }
        let begins = |r: &&str| is_start && r.starts_with(|c: char| c == '_' || c.is_alphabetic());
        if let Some(after) = rest.strip_prefix("variables.").filter(begins) {
            out.push_str(VARIABLE);
            (rest, before) = (after, '_');
            continue;
        }
        if let Some(after) = rest.strip_prefix("dyn(").filter(|_| is_start) {
            out.push('(');
            (rest, before) = (after, '(');
            continue;
        }
        let taken = if c == '"' || c == '\'' { string_bytes(rest, before, c) } else { c.len_utf8() };
        out.push_str(&rest[..taken]);
        before = c;
        rest = &rest[taken..];
    }
    out
}

/// `has(variables.x)`: whether there is such a variable, and what follows.
fn declared<'a>(rest: &'a str, names: &[String]) -> Option<(bool, &'a str)> {
    let name = rest.strip_prefix("has(")?.trim_start().strip_prefix("variables.")?;
    let end = name.find(|c: char| !(c == '_' || c.is_alphanumeric()))?;
    let after = name[end..].trim_start().strip_prefix(')')?;
    Some((names.iter().any(|known| known == &name[..end]), after))
}

/// Bytes of the string that begins here, quotes included.
fn string_bytes(rest: &str, before: char, quote: char) -> usize {
    let is_raw = matches!(before, 'r' | 'R');
    let long = [quote; 3].iter().collect::<String>();
    let end = if rest.starts_with(&long) { long } else { quote.to_string() };
    let mut at = end.len();
    while at < rest.len() {
        if rest[at..].starts_with(&end) {
            return at + end.len();
        }
        let c = rest[at..].chars().next().unwrap_or_default();
        at += c.len_utf8();
        if c == '\\' && !is_raw {
            at += rest[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    rest.len()
}

/// JSON as CEL holds it.
pub fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => Value::Int(n),
            (_, Some(n)) => Value::UInt(n),
            _ => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(value).collect())),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(k, v)| (Key::String(Arc::new(k.clone())), value(v)));
            Value::Map(Map { map: Arc::new(fields.collect::<HashMap<_, _>>()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_names_outside_of_strings() {
        let names = ["a".to_owned()];
        for (expression, expected) in [
            ("has(variables.a) && has( variables.b ) && has(variables.a.c)", "true && false && has(variables_0_a.c)"),
            ("[dyn(variables.a), mydyn(1)]", "[(variables_0_a), mydyn(1)]"),
            ("variables.a.b + variables.c", "variables_0_a.b + variables_0_c"),
            ("\"variables.a\" + variables.a", "\"variables.a\" + variables_0_a"),
            ("object.variables.a", "object.variables.a"),
            ("'it\\'s variables.a'", "'it\\'s variables.a'"),
            ("r'\\' + variables.a", "r'\\' + variables_0_a"),
        ] {
            assert_eq!(flattened(expression, &names), expected);
        }
    }
}
