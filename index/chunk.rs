//! Documents cut into chunks: pieces that a model can read whole and that a reader can be sent to. Pure: the same text gives
//! the same chunks.
//!
//! A chunker of each kind says how a text falls into parts (headings, keys, symbols, fields, records), as a tree of nodes;
//! `pack` fills the budget from that tree. A chunk's text is the stretch of the document that its span names; of HTML it is
//! what a reader sees of that stretch. A text that fits as a whole is one chunk; in any other no chunk crosses a heading, so
//! that an edit changes the chunks of its own section.

mod code;
mod html;
mod item;
mod log;
mod markdown;
mod node;
mod pack;
mod split;
#[cfg(test)]
mod tests;
mod text;
mod yaml;

use sha2::{Digest, Sha256};

pub use crate::text::TextKind;

/// Bytes of a document that are cut; what stands behind them is left out, and the caller says so.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;
/// What stands between the parts of a heading path.
pub const PATH_MARK: &str = " > ";
/// Bytes of a heading path.
const HEADING_BYTES_MAX: usize = 240;
/// Characters of a text by which its language is guessed.
const GUESS_CHARS: usize = 2_000;

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkKind {
    /// Markdown, by its headings.
    Markdown,
    /// HTML, by its headings.
    Html,
    /// YAML, by document and key path.
    Yaml,
    /// Source code, by symbol; the language is told by the path.
    Code,
    /// A work item: `Field: value`, by field.
    WorkItem,
    /// A log, by record and pattern.
    Log,
    /// Any other text (reStructuredText and AsciiDoc by their headings, told by the path): paragraphs and sentences.
    Text,
}

impl ChunkKind {
    /// How to read a document, by its format where one is known (`markdown`, `html` …), else by the end of its path.
    pub fn of(format: Option<&str>, path: &str) -> ChunkKind {
        match format {
            // The text of the last two was made as Markdown when they were read.
            Some("markdown" | "pdf" | "docx") => return ChunkKind::Markdown,
            Some("html") => return ChunkKind::Html,
            Some("yaml") => return ChunkKind::Yaml,
            Some("log") => return ChunkKind::Log,
            Some("work_item") => return ChunkKind::WorkItem,
            Some("code") => return ChunkKind::Code,
            Some("text" | "asciidoc" | "restructuredtext") => return ChunkKind::Text,
            _ => {}
        }
        let end = path.rsplit(['/', '.']).next().unwrap_or_default().to_ascii_lowercase();
        match end.as_str() {
            "md" | "markdown" | "mdown" | "mkd" | "mdx" => ChunkKind::Markdown,
            "html" | "htm" | "xhtml" => ChunkKind::Html,
            "yaml" | "yml" => ChunkKind::Yaml,
            "log" => ChunkKind::Log,
            _ if code::is_code(path) => ChunkKind::Code,
            _ => ChunkKind::Text,
        }
    }
}

/// A document to be cut.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// How it is read.
    pub kind: ChunkKind,
    /// Its path or name; its end tells a programming language.
    pub path: &'a str,
    /// Its title, which stands in front of every chunk that a model reads.
    pub title: &'a str,
    /// Its text.
    pub text: &'a str,
    /// Its language (`de`, `en`), where it is known; otherwise it is guessed.
    pub language: Option<&'a str>,
}

/// What a chunk may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Tokens of a chunk together with its title and headings.
    pub tokens_max: usize,
    /// Tokens that a chunk repeats of the one before it, where a paragraph had to be cut.
    pub overlap_tokens: usize,
}

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its place in the document, from 0.
    pub ordinal: usize,
    /// Where it begins in the document's text, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The headings, keys or symbols that it stands under, `A > B`.
    pub heading: String,
    /// What it says.
    pub text: String,
    /// What places it within its document, by a model; empty where none wrote anything.
    pub prefix: String,
    /// Who was asked for that, whether there was an answer or not.
    pub prefix_by: Option<String>,
    /// Its language: `de`, `en`; of code `rust`, `python` …
    pub language: Option<String>,
    /// What kind of text it is.
    pub kind: TextKind,
    /// Hash of all that a model reads of it: title, heading, prefix and text.
    pub hash: String,
}

impl Chunk {
    /// What a model reads of it.
    pub fn input(&self, title: &str) -> String {
        input(title, &self.heading, &self.prefix, &self.text)
    }

    /// The same chunk behind what places it within its document.
    pub fn placed(mut self, title: &str, prefix: &str, by: &str) -> Chunk {
        prefix.clone_into(&mut self.prefix);
        self.prefix_by = Some(by.to_owned());
        self.hash = hash(&self.input(title));
        self
    }
}

/// What a model reads of a chunk: title and headings, each once, and what places it, in front of the text.
pub fn input(title: &str, heading: &str, prefix: &str, text: &str) -> String {
    let context = context(title, heading);
    let mut front = String::new();
    for part in [context.as_str(), prefix].into_iter().filter(|part| !part.is_empty()) {
        front.push_str(part);
        front.push_str("\n\n");
    }
    front + text
}

/// Title and headings as one line; a heading that says what the title says is left out.
pub fn context(title: &str, heading: &str) -> String {
    let title = title.trim();
    let mut parts: Vec<&str> = if title.is_empty() { vec![] } else { vec![title] };
    parts.extend(heading.split(PATH_MARK).filter(|part| !part.is_empty() && !part.eq_ignore_ascii_case(title)));
    parts.join(PATH_MARK)
}

/// Cuts a document. `tokens` counts as the model does. Everything but white space and front matter is in some chunk; no
/// chunk is over the budget unless a single character is.
pub fn chunks(source: &Source<'_>, budget: &Budget, tokens: &dyn Fn(&str) -> usize) -> Vec<Chunk> {
    let text = whole_characters(source.text, DOCUMENT_BYTES_MAX);
    let packer = pack::Packer { budget, title: source.title, tokens };
    let packed = match source.kind {
        ChunkKind::Html => {
            let seen = html::seen(text);
            let packed = packer.pack(&seen.text, &html::nodes(&seen), true);
            let cut = |piece: pack::Packed| {
                let words = seen.text[piece.start..piece.end].to_owned();
                let (start, end) = seen.span(piece.start, piece.end);
                (pack::Packed { start, end, ..piece }, words)
            };
            packed.into_iter().map(cut).collect()
        }
        kind => {
            let nodes = nodes(kind, source.path, text);
            let packed = packer.pack(text, &nodes, matches!(kind, ChunkKind::Markdown | ChunkKind::Text)).into_iter();
            packed.map(|piece| (text[piece.start..piece.end].to_owned(), piece)).map(|(t, p)| (p, t)).collect()
        }
    };
    finish(source, text, packed)
}

/// A heading that was found when the text was read, where the text itself no longer shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Outlined {
    /// 1 is the highest.
    pub level: usize,
    /// Its words.
    pub title: String,
    /// Its line, counted from 1.
    pub line: usize,
}

/// Cuts a document by headings that are known already.
pub fn chunks_by_outline(
    source: &Source<'_>,
    outline: &[Outlined],
    budget: &Budget,
    tokens: &dyn Fn(&str) -> usize,
) -> Vec<Chunk> {
    let text = whole_characters(source.text, DOCUMENT_BYTES_MAX);
    let lines: Vec<(usize, &str)> = node::lines(text).collect();
    let heading = |entry: &Outlined| {
        let (start, line) = *lines.get(entry.line.checked_sub(1)?)?;
        Some(markdown::Heading { level: entry.level, title: entry.title.clone(), start, body: start + line.len() })
    };
    let mut headings: Vec<markdown::Heading> = outline.iter().filter_map(heading).collect();
    headings.sort_by_key(|heading| heading.start);
    headings.dedup_by_key(|heading| heading.start);
    let packer = pack::Packer { budget, title: source.title, tokens };
    let packed = packer.pack(text, &text::outlined(text, &headings), true).into_iter();
    finish(
        source,
        text,
        packed.map(|piece| (text[piece.start..piece.end].to_owned(), piece)).map(|(t, p)| (p, t)).collect(),
    )
}

fn nodes(kind: ChunkKind, path: &str, text: &str) -> Vec<node::Node> {
    match kind {
        ChunkKind::Markdown => markdown::nodes(text),
        ChunkKind::Yaml => yaml::nodes(text),
        ChunkKind::Code => code::nodes(path, text),
        ChunkKind::WorkItem => item::nodes(text),
        ChunkKind::Log => log::nodes(text),
        ChunkKind::Text | ChunkKind::Html => text::nodes(path, text),
    }
}

fn finish(source: &Source<'_>, text: &str, packed: Vec<(pack::Packed, String)>) -> Vec<Chunk> {
    let spoken = source.language.map(str::to_owned).or_else(|| guess(text));
    let coded = (source.kind == ChunkKind::Code).then(|| code::language_name(source.path)).flatten();
    let chunk = |(ordinal, (piece, text)): (usize, (pack::Packed, String))| {
        let language = match piece.kind {
            TextKind::Code => coded.map(str::to_owned),
            TextKind::Prose => spoken.clone(),
            TextKind::Log | TextKind::Config => None,
        };
        let hash = hash(&input(source.title, &piece.heading, "", &text));
        let pack::Packed { start, end, heading, kind } = piece;
        Chunk { ordinal, start, end, heading, text, prefix: String::new(), prefix_by: None, language, kind, hash }
    };
    packed.into_iter().enumerate().map(chunk).collect()
}

/// The first half of a SHA-256, in hexadecimal: enough that no two texts share it.
pub fn hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..16])
}

/// The language of a text, where it can be told.
pub fn guess(text: &str) -> Option<String> {
    let head: String = text.chars().take(GUESS_CHARS).collect();
    let found = whatlang::detect(&head).filter(whatlang::Info::is_reliable)?;
    let code = match found.lang() {
        whatlang::Lang::Deu => "de",
        whatlang::Lang::Eng => "en",
        whatlang::Lang::Fra => "fr",
        whatlang::Lang::Spa => "es",
        whatlang::Lang::Ita => "it",
        whatlang::Lang::Nld => "nl",
        whatlang::Lang::Por => "pt",
        whatlang::Lang::Pol => "pl",
        other => other.code(),
    };
    Some(code.to_owned())
}

/// As much of a text as fits into so many bytes.
fn whole_characters(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
