//! HTML as a reader sees it, by its headings; every byte of that text knows where it stands in the source.

use super::markdown::Heading;
use super::node::Node;
use super::text::outlined;

/// Elements behind which a line ends.
const BLOCKS: &[&str] = &[
    "p",
    "div",
    "li",
    "tr",
    "br",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "section",
    "article",
    "pre",
    "table",
    "ul",
    "ol",
    "dt",
    "dd",
    "blockquote",
    "header",
    "footer",
    "main",
    "aside",
    "nav",
    "figure",
    "hr",
];
/// Elements that no reader sees.
const UNSEEN: &[&str] = &["script", "style", "head", "template", "noscript", "svg"];
/// Bytes of an entity's name.
const ENTITY_BYTES_MAX: usize = 12;

/// What a reader sees of a page.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The words.
    pub(super) text: String,
    /// Where runs of the words stand: place in `text`, place in the source. Between two entries both advance alike, or the
    /// source stands still.
    places: Vec<(usize, usize, usize)>,
    headings: Vec<Heading>,
}

impl Seen {
    /// The stretch of the source that shows `text[start..end]`.
    pub(super) fn span(&self, start: usize, end: usize) -> (usize, usize) {
        let first = self.places.partition_point(|(at, ..)| *at <= start).saturating_sub(1);
        let last = self.places.partition_point(|(at, ..)| *at < end).saturating_sub(1);
        let (at, source, _) = self.places.get(first).copied().unwrap_or_default();
        let (_, _, behind) = self.places.get(last).copied().unwrap_or_default();
        let next = self.places.get(last + 1).map_or(self.text.len(), |(at, ..)| *at);
        // A run that was copied byte by byte ends where it ends; an entity ends behind itself.
        let (last_at, last_source, _) = self.places.get(last).copied().unwrap_or_default();
        let copied = next - last_at == behind - last_source;
        let stop = if copied { last_source + (end - last_at) } else { behind };
        let (_, _, first_behind) = self.places.get(first).copied().unwrap_or_default();
        let next_first = self.places.get(first + 1).map_or(self.text.len(), |(at, ..)| *at);
        let begin = if next_first - at == first_behind - source { source + (start - at) } else { source };
        (begin, stop.max(begin))
    }

    fn push(&mut self, words: &str, start: usize, end: usize) {
        self.places.push((self.text.len(), start, end));
        self.text.push_str(words);
    }

    fn end_line(&mut self, at: usize) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.push("\n", at, at);
        }
    }

    /// Words as a browser shows them: white space is one space, unless the text is preformatted.
    fn words(&mut self, source: &str, start: usize, end: usize, pre: bool) {
        let mut at = start;
        while at < end {
            let rest = &source[at..end];
            let c = rest.chars().next().expect("the stretch is not at its end");
            if c == '&'
                && let Some((shown, bytes)) = entity(rest)
            {
                let mut buffer = [0; 4];
                self.push(shown.encode_utf8(&mut buffer), at, at + bytes);
                at += bytes;
            } else if c.is_whitespace() && !pre {
                let bytes = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
                if !self.text.is_empty() && !self.text.ends_with([' ', '\n']) {
                    self.push(" ", at, at + bytes);
                }
                at += bytes;
            } else {
                let stop = |c: char| c == '&' || (c.is_whitespace() && !pre);
                let bytes = rest[c.len_utf8()..].find(stop).map_or(rest.len(), |n| n + c.len_utf8());
                self.push(&rest[..bytes], at, at + bytes);
                at += bytes;
            }
        }
    }
}

/// Reads a page.
pub(super) fn seen(source: &str) -> Seen {
    let mut seen = Seen::default();
    let (mut unseen, mut pre, mut at) = (0_usize, 0_usize, 0);
    let mut heading: Option<(usize, usize)> = None;
    while at < source.len() {
        let Some(open) = source[at..].find('<').map(|n| at + n) else {
            if unseen == 0 {
                seen.words(source, at, source.len(), pre > 0);
            }
            break;
        };
        if unseen == 0 && open > at {
            seen.words(source, at, open, pre > 0);
        }
        if source[open..].starts_with("<!--") {
            at = source[open..].find("-->").map_or(source.len(), |n| open + n + 3);
            continue;
        }
        let name_at = open + 1 + usize::from(source[open + 1..].starts_with('/'));
        let letters = source[name_at..].bytes().take_while(u8::is_ascii_alphanumeric).count();
        let marked = letters > 0 || source[name_at..].starts_with(['!', '?']);
        let Some(close) = source[open..].find('>').map(|n| open + n + 1).filter(|_| marked) else {
            // A bare `<` is a word.
            if unseen == 0 {
                seen.push("<", open, open + 1);
            }
            at = open + 1;
            continue;
        };
        let name = source[name_at..name_at + letters].to_ascii_lowercase();
        let (closes, empty) = (name_at > open + 1, source[..close].ends_with("/>"));
        at = close;
        if UNSEEN.contains(&name.as_str()) && !empty {
            unseen = if closes { unseen.saturating_sub(1) } else { unseen + 1 };
            // What a script holds is no markup.
            if !closes && matches!(name.as_str(), "script" | "style") {
                let end = format!("</{name}");
                let lower = source[close..].to_ascii_lowercase();
                at = lower.find(&end).map_or(source.len(), |n| close + n);
            }
            continue;
        }
        if unseen > 0 {
            continue;
        }
        if name == "pre" {
            pre = if closes { pre.saturating_sub(1) } else { pre + 1 };
        }
        if BLOCKS.contains(&name.as_str()) {
            seen.end_line(open);
        }
        let level = name.strip_prefix('h').and_then(|digit| digit.parse().ok()).filter(|level| (1..=6).contains(level));
        match (level, closes) {
            (Some(level), false) => heading = Some((level, seen.text.len())),
            (Some(_), true) => {
                if let Some((level, start)) = heading.take() {
                    let title = seen.text.get(start..).unwrap_or_default().trim().to_owned();
                    if !title.is_empty() {
                        let body = seen.text.len();
                        seen.headings.push(Heading { level, title, start, body });
                    }
                }
            }
            _ => {}
        }
        // Paragraphs stand apart, so that they may be cut there.
        if closes
            && matches!(name.as_str(), "p" | "ul" | "ol" | "table" | "pre" | "section" | "div")
            && seen.text.ends_with('\n')
            && !seen.text.ends_with("\n\n")
        {
            seen.push("\n", close, close);
        }
    }
    seen
}

/// The sections of a page.
pub(super) fn nodes(seen: &Seen) -> Vec<Node> {
    outlined(&seen.text, &seen.headings)
}

/// The character that an entity shows, and the entity's bytes.
fn entity(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(ENTITY_BYTES_MAX).position(|b| b == b';')?;
    let name = text.get(1..end)?;
    let shown = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "mdash" => '—',
        "ndash" => '–',
        "hellip" => '…',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "Auml" => 'Ä',
        "Ouml" => 'Ö',
        "Uuml" => 'Ü',
        "szlig" => 'ß',
        _ => {
            let digits = name.strip_prefix('#')?;
            let hex = digits.strip_prefix(['x', 'X']);
            let code = hex.map_or_else(|| digits.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())?;
            char::from_u32(code)?
        }
    };
    Some((shown, end + 1))
}
