//! Whether settings reach what a rule names: a channel that nobody knows would be found out when it is needed.

use serde_json::Map;

use super::{ACTIONS, Settings};
use crate::rule::{Argument, Fault, Rule};

/// Names in a rule's actions that the settings do not know. What a column holds is not known before it runs.
pub fn unknown_names(rule: &Rule, settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (transition, call) in rule.header.calls() {
        let Some(action) = ACTIONS.iter().find(|action| action.name == call.action) else { continue };
        for (parameter, argument) in action.parameters.iter().zip(&call.arguments) {
            let Argument::Text(template) = argument else { continue };
            if template.columns().next().is_some() {
                continue;
            }
            let name = template.render(&Map::new());
            let known = match parameter.name {
                "channel" => settings.channels.contains_key(&name) || settings.routes.contains_key(&name),
                "cluster" => settings.clusters.contains_key(&name),
                _ => true,
            };
            if !known {
                let what = format!(
                    "`{}` names the {} {name}, which the settings of actions do not have",
                    call.text, parameter.name
                );
                faults.push(Fault::at(rule.header.line(transition.name()), what));
            }
        }
    }
    faults
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::settings::Route;
    use super::*;

    #[test]
    fn a_channel_that_nobody_knows_is_named_with_its_line() {
        let text = "-- ---\n-- owner: o\n-- every: 1s\n-- key: k\n-- new: notify(\"P1\", \"x\"); notify(k, \"x\"); notify(\"{k}\", \"x\")\n\
                    -- resolved: notify(\"opps\", \"x\"); k8s_label(\"prod\", \"pods\", \"n\", \"p\", \"l\")\n-- ---\nSELECT 'a' AS k";
        let rule = Rule::parse("r", text).unwrap();
        let route = Route { channels: vec![], escalate: vec![] };
        let settings = Settings { routes: [("P1".to_owned(), route)].into(), ..Settings::default() };
        let faults = unknown_names(&rule, &settings);
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [6, 6]);
        assert!(faults[0].what.contains("channel opps") && faults[1].what.contains("cluster prod"), "{faults:?}");
    }
}
