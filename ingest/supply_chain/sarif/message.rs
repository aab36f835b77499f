//! Messages: text of their own, or a rule's string with arguments put into its places.

use serde_json::Value;

use crate::json::at;
use crate::supply_chain::lenient::{items, owned, text};

/// The plain text of a message member (`shortDescription`, `help` …); Markdown where there is nothing else.
pub fn of(value: &Value, member: &str) -> Option<String> {
    let message = value.get(member)?;
    owned(message, &["text"]).or_else(|| owned(message, &["markdown"])).or_else(|| message.as_str().map(str::to_owned))
}

/// The message of a result.
pub fn of_result(run: &Value, rule: &Value, result: &Value) -> Option<String> {
    let message = result.get("message")?;
    let own = owned(message, &["text"]).or_else(|| owned(message, &["markdown"]));
    let template = own.or_else(|| {
        let id = text(message, &["id"])?;
        let strings = [at(rule, &["messageStrings", id]), at(run, &["tool", "driver", "globalMessageStrings", id])];
        strings.into_iter().flatten().find_map(|string| owned(string, &["text"]))
    })?;
    Some(filled(&template, items(message, &["arguments"])))
}

/// Puts arguments into `{0}`, `{1}` …; `{{` is a brace.
fn filled(template: &str, arguments: &[Value]) -> String {
    if arguments.is_empty() && !template.contains("{{") {
        return template.to_owned();
    }
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let place =
            rest[1..].split_once('}').and_then(|(inside, behind)| Some((inside.parse::<usize>().ok()?, behind)));
        match place.filter(|_| rest.starts_with('{')) {
            Some((index, behind)) => {
                match arguments.get(index) {
                    Some(Value::String(argument)) => out.push_str(argument),
                    Some(other) => out.push_str(&other.to_string()),
                    // An argument that is missing stays visible.
                    None => out.push_str(&format!("{{{index}}}")),
                }
                rest = behind;
            }
            None => {
                let double = rest.starts_with("{{") || rest.starts_with("}}");
                out.push_str(&rest[..1]);
                rest = &rest[if double { 2 } else { 1 }..];
            }
        }
    }
    out + rest
}

/// The level that a run's invocation gives a rule instead of the rule's own.
pub fn override_level(run: &Value, rule: &Value) -> Option<String> {
    let id = text(rule, &["id"])?;
    let overrides = items(run, &["invocations"]).iter().flat_map(|one| items(one, &["ruleConfigurationOverrides"]));
    let of_rule = |one: &&Value| {
        let by_id = text(one, &["descriptor", "id"]) == Some(id);
        let index = super::int(one, &["descriptor", "index"]).and_then(|index| usize::try_from(index).ok());
        let rules = items(run, &["tool", "driver", "rules"]);
        by_id || index.and_then(|index| rules.get(index)).is_some_and(|other| text(other, &["id"]) == Some(id))
    };
    overrides.filter(of_rule).find_map(|one| owned(one, &["configuration", "level"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_stand_in_their_places() {
        let arguments = [json!("a"), json!("b")];
        for (template, expected) in [
            ("{0} and {1}", "a and b"),
            ("{1}{0}{2}", "ba{2}"),
            ("{{0}} is {0}", "{0} is a"),
            ("no { place", "no { place"),
            ("ä{0}ö", "äaö"),
        ] {
            assert_eq!(filled(template, &arguments), expected, "{template}");
        }
    }
}
