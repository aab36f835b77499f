//! Cells of tables as texts that people read and models cut: objects as YAML, fields without the tags of their editor.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// Bytes of an object's text; what is longer is cut, and says so.
const BYTES_MAX: usize = 64 << 10;
/// Objects within objects that are followed.
const DEPTH_MAX: usize = 24;
/// Letters of one value; certificates and scripts in values are longer.
const VALUE_CHARS_MAX: usize = 4_000;

/// Keys of a Kubernetes object that say nothing to a reader, whatever they hold.
const LEFT_OUT: &[&str] = &[
    "status",
    "managedFields",
    "creationTimestamp",
    "resourceVersion",
    "uid",
    "generation",
    "selfLink",
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
];

/// Ends of lines in the HTML that editors of fields write.
static BREAKS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)<(?:br|hr)\s*/?>|</(?:p|div|li|tr|h[1-6]|ul|ol|table|pre|blockquote)>")
        .expect("a valid expression")
});
/// Items of lists.
static ITEMS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?i)<li[^>]*>").expect("a valid expression"));
/// Every other tag that such editors write; what is none of them is the writer's own `<`.
static TAGS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)</?(?:p|div|span|b|i|u|s|strong|em|ul|ol|table|thead|tbody|tr|td|th|h[1-6]|a|img|font|pre|code|blockquote|sub|sup|section|article|center|small|style|html|body|head|meta|o:p)(?:\s[^<>]*)?/?>")
        .expect("a valid expression")
});

/// A cell as its text; `format` is the one that the source says.
pub fn text<'a>(format: Option<&str>, cell: &'a str) -> Cow<'a, str> {
    match format {
        Some("work_item") if cell.contains('<') || cell.contains('&') => Cow::Owned(without_tags(cell)),
        Some("yaml") if cell.trim_start().starts_with('{') => match serde_json::from_str::<Value>(cell) {
            Ok(object) => Cow::Owned(yaml(&object)),
            Err(_) => Cow::Borrowed(cell),
        },
        _ => Cow::Borrowed(cell),
    }
}

/// A field without the tags of its editor.
fn without_tags(text: &str) -> String {
    let text = BREAKS.replace_all(text, "\n");
    let text = ITEMS.replace_all(&text, "\n- ");
    let text = TAGS.replace_all(&text, "");
    let mut text = text.into_owned();
    for (entity, letter) in
        [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
    {
        if text.contains(entity) {
            text = text.replace(entity, letter);
        }
    }
    let mut out = String::with_capacity(text.len());
    for line in text.lines().map(str::trim_end) {
        // Tags leave empty lines behind; one parts paragraphs.
        if line.trim().is_empty() && (out.is_empty() || out.ends_with("\n\n")) {
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out
}

/// An object as YAML, without what a reader does not ask for.
pub fn yaml(object: &Value) -> String {
    let mut out = String::new();
    node(object, 0, &mut out);
    if out.len() > BYTES_MAX {
        let end = (0..=BYTES_MAX).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
        out.truncate(end);
        out.push_str("\n# the object goes on\n");
    }
    out
}

fn node(value: &Value, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth);
    match value {
        _ if depth > DEPTH_MAX || out.len() > BYTES_MAX => {}
        Value::Object(members) => {
            for (key, value) in
                members.iter().filter(|(key, value)| !LEFT_OUT.contains(&key.as_str()) && !is_empty(value))
            {
                member(&format!("{pad}{}:", word(key)), value, depth, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                member(&format!("{pad}-"), item, depth, out);
            }
        }
        scalar => {
            let _ = writeln!(out, "{pad}{}", words(scalar, depth));
        }
    }
}

/// `key: value`, or the key above its members.
fn member(head: &str, value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(_) if head.ends_with('-') => {
            let mut inner = String::new();
            node(value, depth + 1, &mut inner);
            // The first member stands behind its item's dash.
            out.push_str(head);
            out.push(' ');
            out.push_str(inner.trim_start());
            if inner.trim().is_empty() {
                out.push_str("{}\n");
            }
        }
        Value::Object(_) | Value::Array(_) => {
            let _ = writeln!(out, "{head}");
            node(value, depth + 1, out);
        }
        scalar => {
            let _ = writeln!(out, "{head} {}", words(scalar, depth + 1));
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// A scalar; text of several lines stands as a block.
fn words(value: &Value, depth: usize) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let text: String = text.chars().take(VALUE_CHARS_MAX).collect();
    if text.trim_end().contains('\n') {
        let pad = "  ".repeat(depth);
        let lines: Vec<String> = text.trim_end().lines().map(|line| format!("{pad}{line}")).collect();
        return format!("|\n{}", lines.join("\n"));
    }
    word(text.trim_end())
}

/// A text as YAML reads it back: in quotes where it would be taken for something else.
fn word(text: &str) -> String {
    let first = text.chars().next();
    let plain = first.is_some_and(|c| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '$' | '('))
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && !text.ends_with(' ')
        && text.parse::<f64>().is_err()
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_lowercase().as_str());
    if plain { text.to_owned() } else { Value::String(text.to_owned()).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_yaml() {
        let object = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","labels":{"app":"shop"},"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}"},"resourceVersion":"7"},
            "spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"web","image":"nginx:1.27","args":["--port=80","yes"],"command":["sh","-c","a\nb"]}]}},"empty":{}},"status":{"readyReplicas":2}}"#;
        let text = text(Some("yaml"), object);
        for line in [
            "apiVersion: apps/v1",
            "metadata:",
            "  name: web",
            "    app: shop",
            "  replicas: 2",
            "        - name: web",
            "          image: nginx:1.27",
            "            - \"--port=80\"",
            "            - \"yes\"",
        ] {
            assert!(text.lines().any(|found| found.trim_end() == line), "{line:?} in\n{text}");
        }
        assert!(
            !text.contains("readyReplicas") && !text.contains("resourceVersion") && !text.contains("empty"),
            "{text}"
        );
        assert!(!text.contains("last-applied"), "{text}");
    }

    #[test]
    fn fields_lose_their_tags_and_keep_their_words() {
        let cell = "Title: a < b\nDescription: <div><b>Steps</b>&nbsp;&amp; more<br>next</div><ul><li>one</li><li>two</li></ul>";
        assert_eq!(text(Some("work_item"), cell), "Title: a < b\nDescription: Steps & more\nnext\n\n- one\n\n- two");
        assert_eq!(text(Some("markdown"), "<b>kept</b>"), "<b>kept</b>");
        assert_eq!(text(Some("yaml"), "a: 1"), "a: 1");
    }

    #[test]
    fn large_objects_are_cut() {
        let object = Value::Array((0..20_000).map(|n| Value::String(format!("item {n}"))).collect());
        let text = yaml(&object);
        assert!(text.len() < BYTES_MAX + 100 && text.ends_with("# the object goes on\n"));
    }
}
