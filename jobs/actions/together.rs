//! Which rows of a run are one job: a flood of rows is one message, a decision is one table. What is put together follows
//! from the run alone, so that looking at the same tick again names the same jobs.

use std::collections::HashMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Together, action};
use crate::preview::{Wish, wishes};
use crate::rows::{Difference, Move};
use crate::rule::Rule;

/// Rows whose cells one job carries.
pub const ROWS_MAX: usize = 200;

/// A job to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// The action.
    pub action: String,
    /// Its name once and for all.
    pub dedupe: String,
    /// What the action gets.
    pub arguments: Value,
}

/// The jobs of a difference, in the order of its moves.
pub fn bundles(rule: &Rule, difference: &Difference) -> Vec<Bundle> {
    let mut members: Vec<Vec<(&Move, Wish)>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for moved in &difference.moves {
        for (at, wish) in wishes(rule, moved).into_iter().enumerate() {
            let place = match slot(rule, moved, at, &wish) {
                Some(slot) => *places.entry(slot).or_insert(members.len()),
                None => members.len(),
            };
            if place == members.len() {
                members.push(Vec::new());
            }
            members[place].push((moved, wish));
        }
    }
    members.iter().map(|members| bundle(rule, members)).collect()
}

/// What rows have in common that are one job; `None` for a row that is one by itself.
fn slot(rule: &Rule, moved: &Move, at: usize, wish: &Wish) -> Option<String> {
    match action(&wish.action)?.together {
        Together::Never => None,
        Together::Run => Some(json!([wish.action, wish.arguments]).to_string()),
        Together::Grouped => {
            let group = rule.header.group.as_ref()?;
            let cells: Vec<&Value> = group.by.iter().map(|name| moved.data.get(name).unwrap_or(&Value::Null)).collect();
            Some(json!([moved.transition.name(), at, wish.arguments.first(), cells]).to_string())
        }
    }
}

fn bundle(rule: &Rule, members: &[(&Move, Wish)]) -> Bundle {
    let (first, wish) = members.first().expect("a bundle begins with its first member");
    let named: HashMap<&str, &Value> = match action(&wish.action) {
        Some(action) => action.parameters.iter().map(|p| p.name).zip(&wish.arguments).collect(),
        None => HashMap::new(),
    };
    let mut arguments = json!({
        "rule": rule.name, "transition": first.transition.name(), "key": key(first), "epoch": first.epoch, "row": first.data,
        "with": named,
    });
    let whole = action(&wish.action).is_some_and(|action| action.together == Together::Run);
    if members.len() > 1 && !whole {
        let most = rule.header.group.as_ref().map_or(ROWS_MAX, |group| group.most);
        let message = |wish: &Wish| wish.arguments.get(1).cloned().unwrap_or_default();
        let row = |(moved, wish): &(&Move, Wish)| json!({ "key": key(moved), "epoch": moved.epoch, "row": moved.data, "message": message(wish) });
        arguments["rows"] = members.iter().take(most).map(row).collect();
        arguments["more"] = members.len().saturating_sub(most).into();
    }
    Bundle { action: wish.action.clone(), dedupe: name(members), arguments }
}

fn key(moved: &Move) -> Value {
    serde_json::from_str(&moved.key).unwrap_or_default()
}

fn name(members: &[(&Move, Wish)]) -> String {
    match members {
        [(_, one)] => one.dedupe.clone(),
        several => {
            let mut hash = Sha256::new();
            several.iter().for_each(|(_, wish)| hash.update(wish.dedupe.as_bytes()));
            hex::encode(hash.finalize())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rows::Transition;

    fn rule(group: &str, new: &str) -> Rule {
        let text = format!(
            "-- ---\n-- owner: o\n-- every: 1s\n-- key: k\n{group}-- new: {new}\n-- ---\nSELECT 1 AS k, 'a' AS zone"
        );
        Rule::parse("r", &text).unwrap()
    }

    fn moved(k: i64, zone: &str) -> Move {
        let data = json!({ "k": k, "zone": zone }).as_object().unwrap().clone();
        Move { key: format!("[{k}]"), epoch: 7, transition: Transition::New, watch: String::new(), data }
    }

    fn check(group: &str, new: &str) -> Vec<Bundle> {
        let moves = vec![moved(1, "a"), moved(2, "b"), moved(3, "a"), moved(4, "a")];
        bundles(&rule(group, new), &Difference { moves, ..Difference::default() })
    }

    #[test]
    fn without_a_group_each_row_is_a_job_of_its_own() {
        let made = check("", "notify(\"ops\", \"{k}\")");
        assert_eq!(made.len(), 4);
        assert_eq!(made[0].dedupe, moved(1, "a").dedupe("r", 0));
        assert!(made[0].arguments["rows"].is_null() && made[0].arguments["epoch"] == 7);
    }

    #[test]
    fn rows_of_a_group_are_one_message_with_a_limit() {
        let made = check("-- group: [zone], 2\n", "notify(\"ops\", \"{k} in {zone}\")");
        let told: Vec<(usize, &Value)> =
            made.iter().map(|b| (b.arguments["rows"].as_array().map_or(1, Vec::len), &b.arguments["more"])).collect();
        assert_eq!(told, [(2, &json!(1)), (1, &Value::Null)]);
        assert_eq!(made[0].arguments["rows"][1]["message"], "3 in a");
        // Looking again names the same jobs; another row among them is another message.
        assert_eq!(made, check("-- group: [zone], 2\n", "notify(\"ops\", \"{k} in {zone}\")"));
        let channels = check("-- group: 9\n", "notify(zone, \"{k}\")");
        assert_eq!(channels.len(), 2, "what goes to different channels is different messages");
    }

    #[test]
    fn a_decision_is_one_job_a_run_and_a_ticket_never_shares_one() {
        assert_eq!(check("", "materialize(\"d\")").len(), 1);
        assert_eq!(check("-- group: 9\n", "ticket(\"p\", \"{k}\")").len(), 4);
    }
}
