//! HTML, AsciiDoc and reStructuredText: their headings, attributes and what a reader sees.

use serde_json::{Map, Value};

use super::page::{Heading, Page};
use crate::markup::{Piece, attribute, pieces};

/// Elements of HTML behind which a line ends.
const BLOCKS: &[&str] = &[
    "p", "div", "li", "tr", "br", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "pre", "table", "ul", "ol",
    "dt", "dd",
];
/// Elements of HTML that no reader sees.
const UNSEEN: &[&str] = &["script", "style", "head", "template", "noscript", "svg"];

/// Reads HTML.
pub fn html(text: &str) -> Page {
    let mut page = Page::default();
    let mut meta = Map::new();
    let (mut unseen, mut in_title) = (0_usize, false);
    let mut heading: Option<(usize, usize)> = None;
    for piece in pieces(text) {
        match piece {
            Piece::Open { name, attributes, is_empty } => {
                let name = name.to_ascii_lowercase();
                match name.as_str() {
                    "title" => in_title = true,
                    "html" => {
                        meta.extend(attribute(attributes, "lang").map(|lang| ("lang".to_owned(), Value::String(lang))))
                    }
                    "meta" => {
                        let key = attribute(attributes, "name").or_else(|| attribute(attributes, "property"));
                        meta.extend(
                            key.zip(attribute(attributes, "content")).map(|(key, value)| (key, Value::String(value))),
                        );
                    }
                    _ => {}
                }
                unseen += usize::from(!is_empty && UNSEEN.contains(&name.as_str()));
                if let Some(level) = level(&name).filter(|_| unseen == 0) {
                    end_line(&mut page.text);
                    heading = Some((level, page.text.len()));
                }
            }
            Piece::Close { name } => {
                let name = name.to_ascii_lowercase();
                in_title &= name != "title";
                unseen = unseen.saturating_sub(usize::from(UNSEEN.contains(&name.as_str())));
                if let Some((level, from)) = heading.take_if(|_| self::level(&name).is_some()) {
                    let line = page.text[..from].matches('\n').count() + 1;
                    page.outline.push(Heading { level, title: page.text[from..].trim().to_owned(), line });
                }
                if BLOCKS.contains(&name.as_str()) {
                    end_line(&mut page.text);
                }
            }
            Piece::Text(words) if in_title => page.title.push_str(words.trim()),
            Piece::Text(_) if unseen > 0 => {}
            Piece::Text(words) => add_words(&words, &mut page.text),
        }
    }
    page.text = page.text.trim_end().to_owned();
    page.front_matter = (!meta.is_empty()).then_some(Value::Object(meta));
    page
}

fn level(name: &str) -> Option<usize> {
    let digit = name.strip_prefix('h')?.parse().ok()?;
    (1..=6).contains(&digit).then_some(digit)
}

fn end_line(text: &mut String) {
    let kept = text.trim_end_matches(' ').len();
    text.truncate(kept);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}

/// Words as a browser shows them: white space is one space.
fn add_words(words: &str, text: &mut String) {
    let apart = |text: &str| !text.is_empty() && !text.ends_with([' ', '\n']);
    if words.starts_with(char::is_whitespace) && apart(text) {
        text.push(' ');
    }
    for (i, word) in words.split_whitespace().enumerate() {
        if i > 0 && apart(text) {
            text.push(' ');
        }
        text.push_str(word);
    }
    if words.ends_with(char::is_whitespace) && apart(text) {
        text.push(' ');
    }
}

/// Reads AsciiDoc: `= Title`, `:attribute: value`, `== Section`.
pub fn asciidoc(text: &str) -> Page {
    let mut page = Page { text: text.to_owned(), ..Page::default() };
    let mut attributes = Map::new();
    let mut fence: Option<&str> = None;
    for (i, line) in text.lines().enumerate() {
        let trimmed = line.trim_end();
        // Listings and literals hold what looks like headings.
        if matches!(trimmed, "----" | "...." | "++++" | "```" | "====" | "****" | "____" | "////") {
            fence = if fence == Some(trimmed) { None } else { fence.or(Some(trimmed)) };
            continue;
        }
        if fence.is_some_and(|fence| matches!(fence, "----" | "...." | "++++" | "```" | "////")) {
            continue;
        }
        let marks = trimmed.chars().take_while(|c| *c == '=').count();
        if (1..=6).contains(&marks) && trimmed[marks..].starts_with(' ') {
            page.outline.push(Heading { level: marks, title: trimmed[marks..].trim().to_owned(), line: i + 1 });
        } else if page.outline.len() <= 1
            && let Some((name, value)) = trimmed.strip_prefix(':').and_then(|rest| rest.split_once(':'))
            && !name.is_empty()
            && !name.contains(' ')
        {
            attributes.insert(name.to_owned(), Value::String(value.trim().to_owned()));
        }
    }
    page.front_matter = (!attributes.is_empty()).then_some(Value::Object(attributes));
    page
}

/// Reads reStructuredText: a title is underlined, and the order of the underlines gives the levels.
pub fn restructured(text: &str) -> Page {
    let mut page = Page { text: text.to_owned(), ..Page::default() };
    let mut fields = Map::new();
    let mut styles: Vec<(char, bool)> = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let title = if i == 0 { "" } else { lines[i - 1].trim_end() };
        let underlined = rule(line).filter(|_| !title.is_empty() && rule(title).is_none() && !title.starts_with(' '));
        if let Some(mark) = underlined.filter(|_| line.trim_end().chars().count() >= title.trim().chars().count()) {
            let over = i >= 2 && rule(lines[i - 2]) == Some(mark);
            let style = (mark, over);
            let level = styles.iter().position(|known| *known == style).unwrap_or_else(|| {
                styles.push(style);
                styles.len() - 1
            });
            page.outline.push(Heading { level: level + 1, title: title.trim().to_owned(), line: i });
        } else if page.outline.len() <= 1
            && let Some((name, value)) = line.strip_prefix(':').and_then(|rest| rest.split_once(": "))
            && !name.contains('`')
        {
            fields.insert(name.to_lowercase(), Value::String(value.trim().to_owned()));
        }
    }
    page.front_matter = (!fields.is_empty()).then_some(Value::Object(fields));
    page
}

/// The character of a line that is nothing but one mark of punctuation, repeated.
fn rule(line: &str) -> Option<char> {
    let line = line.trim_end();
    let mark = line.chars().next().filter(char::is_ascii_punctuation)?;
    (line.len() >= 3 && line.chars().all(|c| c == mark)).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(page: &Page) -> Vec<String> {
        page.outline.iter().map(|h| format!("{} {} {}", h.line, h.level, h.title)).collect()
    }

    #[test]
    fn html_as_a_reader_sees_it() {
        let page = html(
            "<html lang=de><head><title>T &amp; x</title><meta name=author content='A B'><style>p{}</style></head><body><h1>One</h1><p>a  <b>b</b>\n c.</p><h2>Two</h2>d</body>",
        );
        assert_eq!((page.title.as_str(), page.text.as_str()), ("T & x", "One\na b c.\nTwo\nd"));
        assert_eq!(outline(&page), ["1 1 One", "3 2 Two"]);
        assert_eq!(page.front_matter, Some(serde_json::json!({"lang": "de", "author": "A B"})));
    }

    #[test]
    fn asciidoc_and_restructured_text() {
        let page = asciidoc("= Title\n:author: A\n\n----\n== no\n----\n\n== Section\n");
        assert_eq!(outline(&page), ["1 1 Title", "8 2 Section"]);
        assert_eq!(page.front_matter, Some(serde_json::json!({"author": "A"})));
        let page =
            restructured("=====\nTitle\n=====\n:date: 2026-01-01\n\nPart\n----\ntext\n\nSub\n~~~\n\nOther\n-----\n");
        assert_eq!(outline(&page), ["2 1 Title", "6 2 Part", "10 3 Sub", "13 2 Other"]);
    }
}
