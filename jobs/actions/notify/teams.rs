//! A web hook of Microsoft Teams: an adaptive card in the envelope that workflows and connectors take.

use serde_json::{Value, json};

use super::told::{Told, shortened};
use crate::queue::Ended;

/// Characters of the text; a whole message may have 28 KB.
const TEXT_CHARS: usize = 5_000;
const TITLE_CHARS: usize = 200;

pub fn body(told: &Told) -> Value {
    let colour = if told.is_over() { "Good" } else { "Attention" };
    let mut facts = vec![json!({ "title": "Rule", "value": escaped(&told.rule) })];
    if let Some(transition) = told.transition {
        facts.push(json!({ "title": "State", "value": transition.name() }));
    }
    if let Some(route) = &told.route {
        facts.push(json!({ "title": "Priority", "value": escaped(route) }));
    }
    let text = shortened(&escaped(&told.text()), TEXT_CHARS);
    let mut body = json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": [
                    { "type": "TextBlock", "size": "Medium", "weight": "Bolder", "color": colour, "wrap": true, "text": shortened(&escaped(&told.title()), TITLE_CHARS) },
                    // One line break is none in a card's Markdown.
                    { "type": "TextBlock", "wrap": true, "text": text.replace('\n', "\n\n") },
                    { "type": "FactSet", "facts": facts },
                ],
            },
        }],
    });
    if let Some(link) = &told.acknowledge {
        let open = json!([{ "type": "Action.OpenUrl", "title": "Acknowledge", "url": link }]);
        body["attachments"][0]["content"]["actions"] = open;
    }
    body
}

/// Connectors answer 200 to what they could not deliver, and say so in the body.
pub fn believe(ended: Ended) -> Ended {
    match ended {
        Ended::Done { target, response } if response.contains("Webhook message delivery failed") => {
            let again = ["HTTP error 429", "HTTP error 5"].iter().any(|sign| response.contains(sign));
            let error = format!("{target} answered {response}");
            if again { Ended::Failed { error, retry_after: None } } else { Ended::Refused { error } }
        }
        other => other,
    }
}

/// A card's Markdown would make links of what rows say.
fn escaped(text: &str) -> String {
    text.replace('[', "\\[").replace(']', "\\]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_says_what_happened_and_rows_make_no_links() {
        let told = Told::of(&json!({
            "rule": "shop/pods", "transition": "resolved", "key": [1], "route": "P2",
            "with": { "channel": "c", "message": "one\n[x](https://evil)" },
        }));
        let card = body(&told)["attachments"][0]["content"].clone();
        assert_eq!((&card["type"], &card["body"][0]["color"]), (&json!("AdaptiveCard"), &json!("Good")));
        assert_eq!(card["body"][0]["text"], "\\[P2\\] shop/pods (resolved)");
        assert_eq!(card["body"][1]["text"], "one\n\n\\[x\\](https://evil)");
        assert_eq!(card["body"][2]["facts"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn an_answer_of_200_may_say_that_nothing_was_delivered() {
        let done = |response: &str| Ended::Done { target: "channel t".to_owned(), response: response.to_owned() };
        let said = "200 OK Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error";
        assert!(matches!(believe(done(&format!("{said} 429"))), Ended::Failed { .. }));
        assert!(matches!(believe(done(&format!("{said} 403"))), Ended::Refused { .. }));
        assert_eq!(believe(done("202 Accepted ")), done("202 Accepted "));
    }
}
