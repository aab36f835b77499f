//! Markdown by its headings: a section ends where the next heading stands; in it code blocks, tables and list items stay whole
//! where they fit. Front matter is no part of the text.

use super::TextKind;
use super::node::{Grain, Node, lines};

/// A heading's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    /// 1 is the highest.
    pub(super) level: usize,
    /// Its words.
    pub(super) title: String,
    /// Where its line begins.
    pub(super) start: usize,
    /// Where the text under it begins.
    pub(super) body: usize,
}

/// The sections of a text.
pub(super) fn nodes(text: &str) -> Vec<Node> {
    let begin = front_matter(text);
    sections(text, begin, &headings(text, begin), &|start, end| blocks(text, start, end))
}

/// The sections between headings; a heading without text stands with what follows it. `parts` says what a section's text is
/// made of.
pub(super) fn sections(
    text: &str,
    begin: usize,
    headings: &[Heading],
    parts: &dyn Fn(usize, usize) -> Vec<Node>,
) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut start = begin;
    let mut section = |start: usize, body: usize, end: usize, path: &[(usize, String)]| {
        let label = path.iter().map(|(_, title)| title.clone()).collect();
        let mut parts = parts(body, end);
        // The heading's line stands with the first of its text.
        match parts.first_mut() {
            Some(first) => first.start = start,
            None => parts.push(Node::prose(start, end)),
        }
        nodes.push(Node { label, parts, ..Node::prose(start, end) });
    };
    let first = headings.first().map_or(text.len(), |heading| heading.start);
    if !text[start..first].trim().is_empty() {
        section(start, start, first, &path);
        start = first;
    }
    for (i, heading) in headings.iter().enumerate() {
        path.retain(|(level, _)| *level < heading.level);
        path.push((heading.level, heading.title.clone()));
        let end = headings.get(i + 1).map_or(text.len(), |next| next.start);
        let last = i + 1 == headings.len();
        if text[heading.body..end].trim().is_empty() && !last {
            continue;
        }
        section(start, heading.body, end, &path);
        start = end;
    }
    nodes
}

/// Where the text begins behind `---` … `---`.
fn front_matter(text: &str) -> usize {
    let mut all = lines(text);
    let Some((_, first)) = all.next() else { return 0 };
    let mark = first.trim_end();
    if mark != "---" && mark != "+++" {
        return 0;
    }
    let end = all.find(|(_, line)| line.trim_end() == mark || (mark == "---" && line.trim_end() == "..."));
    end.map_or(0, |(at, line)| at + line.len())
}

fn headings(text: &str, begin: usize) -> Vec<Heading> {
    let mut found: Vec<Heading> = Vec::new();
    let mut fence: Option<(char, usize)> = None;
    // The line before, if it may become a heading by what stands under it.
    let mut before: Option<(usize, &str)> = None;
    for (at, line) in lines(&text[begin..]).map(|(at, line)| (at + begin, line)) {
        if let Some(mark) = fence_mark(line) {
            fence = match fence {
                Some((c, n)) if c == mark.0 && mark.1 >= n => None,
                None => Some(mark),
                open => open,
            };
            before = None;
            continue;
        }
        if fence.is_some() {
            continue;
        }
        let end = at + line.len();
        let words = line.trim();
        if let Some((level, title)) = atx(line) {
            found.push(Heading { level, title, start: at, body: end });
            before = None;
        } else if let (Some(level), Some((start, title))) = (underline(words), before) {
            found.push(Heading { level, title: plain(title), start, body: end });
            before = None;
        } else {
            let text = !words.is_empty() && !line.starts_with([' ', '\t', '>', '|', '-', '*', '+']);
            before = text.then_some((at, words));
        }
    }
    found
}

/// Three or more backticks or tildes.
fn fence_mark(line: &str) -> Option<(char, usize)> {
    let inner = line.trim_start_matches([' ', '>', '\t']);
    let mark = inner.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let count = inner.chars().take_while(|c| *c == mark).count();
    (count >= 3 && !(mark == '`' && inner[count..].contains('`'))).then_some((mark, count))
}

fn atx(line: &str) -> Option<(usize, String)> {
    let inner = line.strip_prefix("   ").or_else(|| line.strip_prefix("  ")).or_else(|| line.strip_prefix(' '));
    let inner = inner.unwrap_or(line);
    let level = inner.bytes().take_while(|b| *b == b'#').count();
    let rest = inner.get(level..).filter(|_| (1..=6).contains(&level))?;
    if !rest.trim_end().is_empty() && !rest.starts_with([' ', '\t']) {
        return None;
    }
    Some((level, plain(rest.trim().trim_end_matches('#'))))
}

fn underline(words: &str) -> Option<usize> {
    let only = |mark: char| words.len() >= 2 && words.chars().all(|c| c == mark);
    if only('=') { Some(1) } else { only('-').then_some(2) }
}

/// A heading's words without marks.
pub(super) fn plain(title: &str) -> String {
    let title = title.trim();
    let title = title.rfind(" {#").filter(|_| title.ends_with('}')).map_or(title, |at| &title[..at]);
    let mut plain = String::with_capacity(title.len());
    let mut rest = title;
    while let Some(at) = rest.find(['[', ']', '`', '*', '\n']) {
        plain.push_str(&rest[..at]);
        let (mark, behind) = rest[at..].split_at(1);
        rest = behind;
        // A link's target is not read.
        if let Some(target) = behind.strip_prefix('(').filter(|_| mark == "]") {
            rest = target.find(')').map_or(behind, |end| &target[end + 1..]);
        }
        if mark == "\n" {
            plain.push(' ');
        }
    }
    plain.push_str(rest);
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a section is made of: code, tables, list items, paragraphs. They tile the stretch.
fn blocks(text: &str, start: usize, end: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut fence: Option<(char, usize)> = None;
    let mut blank = true;
    // What a paragraph ends with `:` stands with what it introduces.
    let mut introduced = false;
    for (at, line) in lines(&text[start..end]).map(|(at, line)| (at + start, line)) {
        let stop = at + line.len();
        if let Some((c, n)) = fence {
            if fence_mark(line).is_some_and(|(mark, count)| mark == c && count >= n) {
                fence = None;
            }
            grow(&mut nodes, at, stop);
            blank = false;
            continue;
        }
        let opens = fence_mark(line);
        let words = line.trim();
        if words.is_empty() {
            grow(&mut nodes, at, stop);
            blank = true;
            continue;
        }
        let kind = if opens.is_some() { Block::Code } else { shape(line) };
        let last = nodes.last().map(|node| shape_of(node, text));
        let goes_on = match kind {
            Block::Code | Block::Item => false,
            Block::Table => last == Some(Block::Table) && !blank,
            Block::Text => !blank && last != Some(Block::Table) || (line.starts_with(' ') && last == Some(Block::Item)),
        };
        if goes_on || (introduced && kind != Block::Text) {
            let joins_code = introduced && opens.is_some();
            grow(&mut nodes, at, stop);
            if let Some(node) = nodes.last_mut().filter(|_| joins_code) {
                node.grain = Grain::Line;
            }
        } else {
            nodes.push(match kind {
                Block::Code => Node::lines(at, stop, TextKind::Code),
                Block::Table => Node::lines(at, stop, TextKind::Prose),
                Block::Item | Block::Text => Node::prose(at, stop),
            });
        }
        fence = opens;
        introduced = kind == Block::Text && words.ends_with(':');
        blank = false;
    }
    nodes
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Code,
    Table,
    Item,
    Text,
}

fn shape(line: &str) -> Block {
    let inner = line.trim_start();
    if inner.starts_with('|') {
        return Block::Table;
    }
    let indent = line.len() - inner.len();
    let bullet = inner.strip_prefix(['-', '*', '+']).is_some_and(|rest| rest.starts_with([' ', '\t']));
    let digits = inner.bytes().take_while(u8::is_ascii_digit).count();
    let numbered =
        (1..=9).contains(&digits) && inner[digits..].starts_with(['.', ')']) && inner[digits + 1..].starts_with(' ');
    if indent < 2 && (bullet || numbered) { Block::Item } else { Block::Text }
}

fn shape_of(node: &Node, text: &str) -> Block {
    if node.kind == TextKind::Code {
        return Block::Code;
    }
    let first = text[node.start..node.end].lines().find(|line| !line.trim().is_empty());
    first.map_or(Block::Text, shape)
}

/// Adds a line to the last block.
fn grow(nodes: &mut Vec<Node>, at: usize, stop: usize) {
    match nodes.last_mut() {
        Some(node) => node.end = stop,
        None => nodes.push(Node::prose(at, stop)),
    }
}
