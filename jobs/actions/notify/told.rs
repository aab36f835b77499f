//! What is to be told, read from a job's arguments and written back into those of the jobs that follow.

use serde_json::{Value, json};

use super::super::notice::Row;
use super::super::world::said;
use crate::rows::Transition;

/// A message with the rows that it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// A channel, or a route.
    pub channel: String,
    /// What stands above the message, if the rule says it.
    pub title: Option<String>,
    /// The rule.
    pub rule: String,
    /// What happened to the rows.
    pub transition: Option<Transition>,
    /// The route that it came by.
    pub route: Option<String>,
    /// The rows, at least one.
    pub rows: Vec<Row>,
    /// Rows that are not among them.
    pub more: u64,
    /// Only rows that still fire, and that nobody acknowledged, are told.
    pub only_open: bool,
    /// Where somebody says that the rows are known; made anew for each attempt, and in no job's arguments.
    pub acknowledge: Option<String>,
}

impl Told {
    pub fn of(arguments: &Value) -> Told {
        let with = &arguments["with"];
        let row = |value: &Value, message: &Value| Row {
            key: value["key"].clone(),
            epoch: value["epoch"].as_i64().unwrap_or(0),
            row: value["row"].clone(),
            message: message.as_str().unwrap_or_default().to_owned(),
        };
        let rows = match arguments["rows"].as_array() {
            Some(rows) => rows.iter().map(|value| row(value, &value["message"])).collect(),
            None => vec![row(arguments, &with["message"])],
        };
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        Told {
            channel: said(with, "channel").to_owned(),
            title: text(&with["title"]),
            rule: said(arguments, "rule").to_owned(),
            transition: Transition::ALL.into_iter().find(|t| t.name() == said(arguments, "transition")),
            route: text(&arguments["route"]),
            rows,
            more: arguments["more"].as_u64().unwrap_or(0),
            only_open: arguments["only_open"].as_bool().unwrap_or(false),
            acknowledge: None,
        }
    }

    /// The arguments of a job that tells these rows.
    pub fn arguments(&self) -> Value {
        let first = self.rows.first().expect("a message is about a row");
        let mut arguments = json!({
            "rule": self.rule, "transition": self.transition.map(Transition::name), "key": first.key, "epoch": first.epoch,
            "row": first.row, "with": { "channel": self.channel, "message": first.message, "title": self.title },
            "route": self.route, "only_open": self.only_open,
        });
        if self.rows.len() > 1 || self.more > 0 {
            arguments["rows"] = self.rows.iter().map(Row::json).collect();
            arguments["more"] = self.more.into();
        }
        arguments
    }

    /// What stands above the message.
    pub fn title(&self) -> String {
        let title = self.title.as_deref().unwrap_or(&self.rule);
        let over = if self.is_over() { " (resolved)" } else { "" };
        match &self.route {
            Some(route) => format!("[{route}] {title}{over}"),
            None => format!("{title}{over}"),
        }
    }

    /// The message, a line a row.
    pub fn text(&self) -> String {
        let mut text = self.rows.iter().map(|row| row.message.as_str()).collect::<Vec<_>>().join("\n");
        if self.more > 0 {
            text.push_str(&format!("\nand {} more", self.more));
        }
        text
    }

    /// Whether the rows are gone.
    pub fn is_over(&self) -> bool {
        self.transition == Some(Transition::Resolved)
    }

    /// The message as data, for web hooks.
    pub fn json(&self) -> Value {
        let first = self.rows.first().expect("a message is about a row");
        let mut body = json!({
            "text": self.text(), "title": self.title(), "rule": self.rule, "transition": self.transition.map(Transition::name),
            "key": first.key, "row": first.row,
        });
        if let Some(link) = &self.acknowledge {
            body["acknowledge"] = link.as_str().into();
        }
        if let Some(route) = &self.route {
            body["route"] = route.as_str().into();
        }
        if self.rows.len() > 1 || self.more > 0 {
            body["rows"] = self.rows.iter().map(Row::json).collect();
            body["more"] = self.more.into();
        }
        body
    }
}

/// The beginning of a text, of so many characters.
pub fn shortened(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn arguments() -> Value {
        json!({
            "rule": "shop/pods", "transition": "new", "key": ["a"], "epoch": 7, "row": {"k": "a"},
            "with": {"channel": "ops", "message": "a is new"},
        })
    }

    #[test]
    fn what_a_job_says_comes_back_as_it_was() {
        let one = Told::of(&arguments());
        assert_eq!((one.text().as_str(), one.title().as_str()), ("a is new", "shop/pods"));
        let mut many = arguments();
        many["rows"] = json!([
            {"key": ["a"], "epoch": 7, "row": {"k": "a"}, "message": "a is new"},
            {"key": ["b"], "epoch": 7, "row": {"k": "b"}, "message": "b is new"},
        ]);
        (many["more"], many["route"], many["transition"]) = (3.into(), "P1".into(), "resolved".into());
        let many = Told::of(&many);
        assert_eq!(many.text(), "a is new\nb is new\nand 3 more");
        assert_eq!(many.title(), "[P1] shop/pods (resolved)");
        for told in [one, many] {
            assert_eq!(Told::of(&told.arguments()), told);
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…");
    }
}
