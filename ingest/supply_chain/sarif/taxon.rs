//! Taxonomies: a reference to a taxon by name, or by its index in a taxonomy of the run.

use serde_json::Value;

use super::int;
use crate::supply_chain::advisory;
use crate::supply_chain::lenient::{items, owned};

/// A taxonomy's name, and the id of one of its taxa.
fn taxon(run: &Value, reference: &Value) -> Option<(String, String)> {
    let at = |path: &[&str]| int(reference, path).and_then(|index| usize::try_from(index).ok());
    let taxonomies = items(run, &["taxonomies"]);
    let guid = owned(reference, &["toolComponent", "guid"]);
    let by_guid = || taxonomies.iter().find(|one| guid.is_some() && owned(one, &["guid"]) == guid);
    let taxonomy = at(&["toolComponent", "index"]).and_then(|index| taxonomies.get(index)).or_else(by_guid);
    let name = owned(reference, &["toolComponent", "name"]).or_else(|| owned(taxonomy?, &["name"]));
    let listed = || owned(items(taxonomy?, &["taxa"]).get(at(&["index"])?)?, &["id"]);
    let id = owned(reference, &["id"]).or_else(listed)?;
    Some((name.unwrap_or_default(), id))
}

/// What a rule and a result are classified as: weaknesses as `CWE-79`, everything else as `taxonomy/id`.
pub fn of(run: &Value, rule: &Value, result: &Value) -> (Vec<String>, Vec<String>) {
    let (mut weaknesses, mut taxa) = (Vec::new(), Vec::new());
    let related = items(rule, &["relationships"]).iter().filter_map(|relation| relation.get("target"));
    for reference in related.chain(items(result, &["taxa"])) {
        let Some((taxonomy, id)) = taxon(run, reference) else { continue };
        let named = advisory::weaknesses_in(&id);
        match taxonomy.eq_ignore_ascii_case("cwe") {
            _ if !named.is_empty() => weaknesses.extend(named),
            true => weaknesses.extend(advisory::weaknesses_in(&format!("CWE-{id}"))),
            false if taxonomy.is_empty() => taxa.push(id),
            false => taxa.push(format!("{taxonomy}/{id}")),
        }
    }
    taxa.sort();
    taxa.dedup();
    (weaknesses, taxa)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn taxa_by_name_and_by_index() {
        let run = json!({"taxonomies": [{"name": "CWE", "guid": "g", "taxa": [{"id": "79"}]}, {"name": "Levels", "taxa": [{"id": "L1"}, {"id": "L2"}]}]});
        let rule = json!({"relationships": [{"target": {"id": "89", "toolComponent": {"name": "CWE"}}}, {"target": {"index": 1, "toolComponent": {"index": 1}}}]});
        let result = json!({"taxa": [{"index": 0, "toolComponent": {"guid": "g"}}, {"id": "CWE-22", "toolComponent": {"name": "other"}}, {"index": 9}]});
        let (weaknesses, taxa) = of(&run, &rule, &result);
        assert_eq!(
            (weaknesses, taxa),
            (vec!["CWE-89".to_owned(), "CWE-79".to_owned(), "CWE-22".to_owned()], vec!["Levels/L2".to_owned()])
        );
    }
}
