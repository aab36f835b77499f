//! A route: a name, such as `P1`, that stands for channels, and for those that are told later if nobody answers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::Channel;

/// Several channels under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Told at once, and told when it is over.
    pub channels: Vec<String>,
    /// Told later, in this order, while a row fires and nobody has acknowledged it.
    pub escalate: Vec<Escalation>,
}

/// Who is told later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// How long after the row was told; each is counted from there.
    pub after: Duration,
    /// The channels.
    pub to: Vec<String>,
}

/// A route as its file says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    channels: Vec<String>,
    #[serde(default)]
    escalate: Vec<EscalationWords>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EscalationWords {
    after: String,
    to: Vec<String>,
}

impl Words {
    pub(super) fn read(self, channels: &BTreeMap<String, Channel>) -> Result<Route, String> {
        let known = |names: Vec<String>| match names.iter().find(|name| !channels.contains_key(*name)) {
            Some(unknown) => Err(format!("there is no channel {unknown}")),
            None if names.is_empty() => Err("a list of channels is empty".to_owned()),
            None => Ok(names),
        };
        let mut escalate: Vec<Escalation> = Vec::new();
        for words in self.escalate {
            let step = Escalation { after: engine::parse_span(&words.after)?, to: known(words.to)? };
            if step.after.is_zero() || escalate.last().is_some_and(|last| last.after >= step.after) {
                return Err("each step of escalate comes later than the one before".to_owned());
            }
            escalate.push(step);
        }
        Ok(Route { channels: known(self.channels)?, escalate })
    }
}
