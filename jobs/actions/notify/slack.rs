//! An incoming web hook of Slack: blocks, within their limits. What rows say cannot mention anybody or make links.

use serde_json::{Value, json};

use super::told::{Told, shortened};

/// Characters of a header and of a section that Slack takes.
const HEADER_CHARS: usize = 150;
const SECTION_CHARS: usize = 3_000;

pub fn body(told: &Told) -> Value {
    let (title, text) = (told.title(), escaped(&told.text()));
    let mark = if told.is_over() { ":white_check_mark:" } else { ":rotating_light:" };
    let mut body = json!({
        // Shown in notifications, and where blocks are not.
        "text": shortened(&format!("{}: {text}", escaped(&title)), SECTION_CHARS),
        "blocks": [
            { "type": "header", "text": { "type": "plain_text", "text": shortened(&format!("{mark} {title}"), HEADER_CHARS), "emoji": true } },
            { "type": "section", "text": { "type": "mrkdwn", "text": shortened(&text, SECTION_CHARS), "verbatim": true } },
            { "type": "context", "elements": [{ "type": "plain_text", "text": shortened(&format!("rule {}", told.rule), HEADER_CHARS) }] },
        ],
    });
    if let (Some(link), Some(blocks)) = (&told.acknowledge, body["blocks"].as_array_mut()) {
        let text = format!("<{}|Acknowledge>", escaped(link));
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }));
    }
    body
}

/// The three signs that Slack reads as the beginning of mentions and links.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_mention_nobody_and_limits_are_kept() {
        let told = |message: &str| {
            Told::of(
                &json!({ "rule": "r", "transition": "new", "key": [1], "with": { "channel": "c", "message": message } }),
            )
        };
        let text = body(&told("<!channel> & <https://evil|x>"))["blocks"][1]["text"]["text"].clone();
        assert_eq!(text, "&lt;!channel&gt; &amp; &lt;https://evil|x&gt;");
        let long = body(&told(&"ä".repeat(9_000)));
        assert_eq!(long["blocks"][1]["text"]["text"].as_str().map(|t| t.chars().count()), Some(SECTION_CHARS));
        assert_eq!(long["blocks"][0]["text"]["text"], ":rotating_light: r");
    }
}
