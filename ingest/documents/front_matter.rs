//! Front matter of Markdown: YAML between `---`, TOML between `+++`, JSON in braces.

use serde_json::Value;

use crate::bounded;

/// What front matter may weigh once it is read.
const WEIGHT_MAX: usize = 1 << 20;

/// Front matter, the text behind it, and the line at which that text begins, counted from 1. What does not parse stays text.
pub fn split(text: &str) -> (Option<Value>, &str, usize) {
    for (fence, read) in [("---", yaml as fn(&str) -> Option<Value>), ("+++", toml_text as fn(&str) -> Option<Value>)] {
        let Some(rest) = text.strip_prefix(fence).and_then(|rest| rest.strip_prefix('\n')) else { continue };
        let end = rest.match_indices(fence).map(|(at, _)| at).find(|at| {
            let alone = rest[at + fence.len()..].chars().next().is_none_or(|c| c == '\n' || c == ' ');
            (*at == 0 || rest[..*at].ends_with('\n')) && alone
        });
        let Some((value, end)) = end.and_then(|end| Some((read(&rest[..end])?, end))) else { continue };
        let behind = &rest[end + fence.len()..];
        let behind = behind.split_once('\n').map_or("", |(_, behind)| behind);
        let lines = text[..text.len() - behind.len()].matches('\n').count() + 1;
        return (Some(value), behind, lines);
    }
    (None, text, 1)
}

fn yaml(text: &str) -> Option<Value> {
    let value = bounded::bounded(serde_yaml_ng::Deserializer::from_str(text), WEIGHT_MAX).ok()?;
    value.is_object().then_some(value)
}

fn toml_text(text: &str) -> Option<Value> {
    let table: toml::Table = text.parse().ok()?;
    serde_json::to_value(table).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_stands_in_front() {
        for (text, front, body, line) in [
            ("---\ntitle: A\ntags: [x]\n---\n# H\n", Some(json!({"title": "A", "tags": ["x"]})), "# H\n", 5),
            ("+++\ntitle = \"A\"\n+++\nx", Some(json!({"title": "A"})), "x", 4),
            ("---\n- a\n---\nx", None, "---\n- a\n---\nx", 1),
            ("---\nno end", None, "---\nno end", 1),
            ("plain", None, "plain", 1),
        ] {
            assert_eq!(split(text), (front, body, line), "{text}");
        }
    }
}
