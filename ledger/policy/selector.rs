//! Kubernetes' label selectors.

use serde::Deserialize;
use serde_json::{Map, Value};

/// All of it must hold; an empty selector selects everything.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Selector {
    match_labels: Map<String, Value>,
    match_expressions: Vec<Expression>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expression {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Why the selector is no selector, as the API server would say.
    pub fn wrong(&self) -> Option<String> {
        let odd = self.match_labels.iter().find(|(_, value)| !value.is_string());
        if let Some((key, _)) = odd {
            return Some(format!("matchLabels.{key} is no string"));
        }
        self.match_expressions.iter().find_map(|e| {
            let needs = matches!(e.operator, Operator::In | Operator::NotIn);
            (needs == e.values.is_empty()).then(|| {
                format!("{:?} of {} must have {} values", e.operator, e.key, if needs { "some" } else { "no" })
            })
        })
    }

    /// Whether labels are selected.
    pub fn selects(&self, labels: Option<&Map<String, Value>>) -> bool {
        let label = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
        self.match_labels.iter().all(|(key, value)| label(key).is_some() && label(key) == value.as_str())
            && self.match_expressions.iter().all(|e| {
                let found = label(&e.key);
                let is_in = found.is_some_and(|found| e.values.iter().any(|v| v == found));
                match e.operator {
                    Operator::In => is_in,
                    Operator::NotIn => !is_in,
                    Operator::Exists => found.is_some(),
                    Operator::DoesNotExist => found.is_none(),
                }
            })
    }
}
