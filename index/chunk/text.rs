//! Any other text: reStructuredText and AsciiDoc by their headings, the rest by paragraphs. A long text without headings
//! is parted at paragraphs that their own words choose, so that an edit moves only what stands before the next of them.

use super::markdown::{Heading, plain, sections};
use super::node::{Grain, Node, lines};
use super::split::cuts;

/// Bytes of a section that is parted.
const LONG_BYTES: usize = 16 << 10;
/// One paragraph of so many begins a part of a long text.
const ANCHOR_EVERY: u64 = 24;

pub(super) fn nodes(path: &str, text: &str) -> Vec<Node> {
    let end = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let headings = match end.as_str() {
        "adoc" | "asciidoc" | "asc" => asciidoc(text),
        "rst" | "rest" => restructured(text),
        _ => Vec::new(),
    };
    sections(text, 0, &headings, &|start, end| paragraphs(text, start, end))
        .into_iter()
        .flat_map(|node| parted(node, text))
        .collect()
}

/// Sections with headings that are known already, by the byte at which each one's line begins.
pub(super) fn outlined(text: &str, headings: &[Heading]) -> Vec<Node> {
    sections(text, 0, headings, &|start, end| paragraphs(text, start, end))
}

fn paragraphs(text: &str, start: usize, end: usize) -> Vec<Node> {
    let mut from = start;
    let part = |stop: usize| {
        let node = Node { grain: Grain::Sentence, ..Node::prose(from, start + stop) };
        from = start + stop;
        node
    };
    cuts(&text[start..end], Grain::Paragraph).into_iter().map(part).filter(|node| node.start < node.end).collect()
}

/// A long section in parts that begin where a paragraph's hash says so.
fn parted(node: Node, text: &str) -> Vec<Node> {
    if node.end - node.start < LONG_BYTES {
        return vec![node];
    }
    let mut parted: Vec<Node> = Vec::new();
    let whole = |part: &Node| Node { label: node.label.clone(), ..Node::prose(part.start, part.start) };
    let (label_start, mut open) = (node.start, false);
    for part in node.parts.iter().flat_map(|part| fine(part, text)) {
        let anchor = part.start > label_start && chosen(&text[part.start..part.end]);
        if !open || anchor {
            parted.push(whole(&part));
            open = true;
        }
        let last = parted.last_mut().expect("one was pushed before");
        last.end = part.end;
        last.parts.push(part);
    }
    parted
}

/// A paragraph as it is; one that is a long text itself by its lines, or its sentences.
fn fine(part: &Node, text: &str) -> Vec<Node> {
    if part.end - part.start < LONG_BYTES {
        return vec![part.clone()];
    }
    let stretch = &text[part.start..part.end];
    let by_line = cuts(stretch, Grain::Line);
    let ends = if by_line.len() > 8 { by_line } else { cuts(stretch, Grain::Sentence) };
    let mut from = part.start;
    let piece = |end: usize| {
        let node = Node { start: from, end: part.start + end, ..part.clone() };
        from = part.start + end;
        node
    };
    ends.into_iter().map(piece).collect()
}

/// Whether a paragraph begins a part: by its own words alone, so that the same text is parted alike wherever it stands.
fn chosen(paragraph: &str) -> bool {
    let words = paragraph.trim();
    // FNV-1a, whose low bits are mixed well enough for a choice among so few.
    let hash = words.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    !words.is_empty() && (hash >> 20) % ANCHOR_EVERY == 0
}

fn asciidoc(text: &str) -> Vec<Heading> {
    let mut found = Vec::new();
    let mut fence: Option<&str> = None;
    for (at, line) in lines(text) {
        let words = line.trim_end();
        if matches!(words, "----" | "...." | "++++" | "```" | "////") {
            fence = if fence == Some(words) { None } else { fence.or(Some(words)) };
            continue;
        }
        let level = words.bytes().take_while(|b| *b == b'=').count();
        if fence.is_none() && (1..=6).contains(&level) && words[level..].starts_with(' ') {
            found.push(Heading { level, title: plain(&words[level..]), start: at, body: at + line.len() });
        }
    }
    found
}

fn restructured(text: &str) -> Vec<Heading> {
    let mut found: Vec<Heading> = Vec::new();
    let mut styles: Vec<(char, bool)> = Vec::new();
    let all: Vec<(usize, &str)> = lines(text).collect();
    for i in 1..all.len() {
        let (title_at, title) = all[i - 1];
        let Some(mark) = rule(all[i].1).filter(|_| rule(title).is_none()) else { continue };
        let words = title.trim();
        let long_enough = all[i].1.trim_end().chars().count() >= words.chars().count();
        if words.is_empty() || !long_enough || title.starts_with([' ', '\t']) {
            continue;
        }
        let over = i >= 2 && rule(all[i - 2].1) == Some(mark);
        let level = styles.iter().position(|known| *known == (mark, over)).unwrap_or_else(|| {
            styles.push((mark, over));
            styles.len() - 1
        });
        let start = if over { all[i - 2].0 } else { title_at };
        found.push(Heading { level: level + 1, title: plain(words), start, body: all[i].0 + all[i].1.len() });
    }
    found
}

/// The character of a line that is one mark of punctuation, repeated.
fn rule(line: &str) -> Option<char> {
    let line = line.trim_end();
    let mark = line.chars().next().filter(char::is_ascii_punctuation)?;
    (line.len() >= 3 && line.chars().all(|c| c == mark)).then_some(mark)
}
