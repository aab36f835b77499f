//! The headings of Markdown, found by a parser: a `#` within a fence is none.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::page::Heading;

/// Headings of a text whose first line is line `begin` of its file.
pub fn outline(text: &str, begin: usize) -> Vec<Heading> {
    let mut found = Vec::new();
    let mut open: Option<Heading> = None;
    let (mut line, mut counted) = (begin, 0);
    for (event, range) in
        Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH).into_offset_iter()
    {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                // Offsets only grow, so each line is counted once.
                line += text[counted..range.start.max(counted)].matches('\n').count();
                counted = range.start.max(counted);
                open = Some(Heading { level: level as usize, title: String::new(), line });
            }
            Event::End(TagEnd::Heading(_)) => {
                found.extend(open.take().map(|heading| Heading { title: heading.title.trim().to_owned(), ..heading }))
            }
            Event::Text(words) | Event::Code(words) => {
                if let Some(heading) = &mut open {
                    heading.title.push_str(&words);
                }
            }
            Event::SoftBreak | Event::HardBreak => {
                if let Some(heading) = &mut open {
                    heading.title.push(' ');
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_and_their_lines() {
        let text = "# One `x`\n\n```\n# no\n```\n\nTwo\n---\n\n### Three *a*\n";
        let found: Vec<_> =
            outline(text, 5).into_iter().map(|h| format!("{} {} {}", h.line, h.level, h.title)).collect();
        assert_eq!(found, ["5 1 One x", "11 2 Two", "14 3 Three a"]);
    }
}
