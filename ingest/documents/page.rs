//! A document's content: its text, title, headings and what stands in front of them, whatever its format.

use serde_json::Value;

use super::adr::{self, Adr};
use super::{docx, front_matter, language, markdown, pdf, plain};
use crate::json::Reason;

/// Bytes of a document that is read.
const BYTES_MAX: usize = 8 << 20;
/// Bytes of a document that holds its text packed, and pictures beside it.
const PACKED_BYTES_MAX: usize = 64 << 20;

/// Formats by the ends of files' names.
const FORMATS: &[(&str, &str)] = &[
    ("md", "markdown"),
    ("markdown", "markdown"),
    ("mdown", "markdown"),
    ("mkd", "markdown"),
    ("mdx", "markdown"),
    ("html", "html"),
    ("htm", "html"),
    ("xhtml", "html"),
    ("adoc", "asciidoc"),
    ("asciidoc", "asciidoc"),
    ("asc", "asciidoc"),
    ("rst", "restructuredtext"),
    ("rest", "restructuredtext"),
    ("txt", "text"),
    ("text", "text"),
    ("pdf", "pdf"),
    ("docx", "docx"),
];
/// Formats whose bytes are no text.
const PACKED: &[&str] = &["pdf", "docx"];
/// Files that are documents without such an end.
const NAMES: &[&str] =
    &["readme", "changelog", "changes", "license", "licence", "notice", "contributing", "authors", "security"];

/// One heading.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Heading {
    /// 1 is the highest.
    pub level: usize,
    /// Its text.
    pub title: String,
    /// Its line in the file, counted from 1.
    pub line: usize,
}

/// What a document says.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Name of the format.
    pub format: &'static str,
    /// `page`, `readme`, `adr` …
    pub kind: &'static str,
    /// Title.
    pub title: String,
    /// Headings.
    pub outline: Vec<Heading>,
    /// Front matter.
    pub front_matter: Option<Value>,
    /// Text.
    pub text: String,
    /// `de` or `en`.
    pub language: Option<&'static str>,
    /// The decision that it records.
    pub adr: Option<Adr>,
}

/// The format of a file by its name; `None` where it is no document.
pub fn format_of(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    // Lists of packages, robots' rules and the like end in .txt, too.
    if ["requirements", "constraints", "robots", "cmakelists"].iter().any(|other| name.starts_with(other))
        && name.ends_with(".txt")
    {
        return None;
    }
    match name.rsplit_once('.') {
        Some((_, end)) => FORMATS.iter().find(|(known, _)| *known == end).map(|(_, format)| *format),
        None => NAMES.contains(&name.as_str()).then_some("text"),
    }
}

/// Whether a file is a document.
pub fn is_document(path: &str) -> bool {
    format_of(path).is_some()
}

/// Whether a document's bytes are no text, so that a file of bytes may well be one.
pub fn is_packed(path: &str) -> bool {
    format_of(path).is_some_and(|format| PACKED.contains(&format))
}

impl Page {
    /// Reads a document's bytes.
    pub fn read(path: &str, body: &[u8]) -> Result<Page, Reason> {
        let format = format_of(path).unwrap_or("text");
        let bytes_max = if PACKED.contains(&format) { PACKED_BYTES_MAX } else { BYTES_MAX };
        if body.len() > bytes_max {
            return Err(format!("a document of more than {bytes_max} bytes is not read"));
        }
        let mut page = match format {
            "pdf" => pdf::read(body)?,
            "docx" => docx::read(body)?,
            _ => Page::of_text(format, body)?,
        };
        let name = path.rsplit('/').next().unwrap_or(path);
        page.format = format;
        page.kind = if is_runbook(path, page.front_matter.as_ref()) { "runbook" } else { kind(name) };
        let named = page.front_matter.as_ref().and_then(|front| front.get("title")).and_then(Value::as_str);
        let named = named.map(str::to_owned).filter(|_| page.title.is_empty());
        let first = page.outline.iter().find(|heading| heading.level == 1).or(page.outline.first());
        if page.title.is_empty() {
            page.title = named.or_else(|| first.map(|heading| heading.title.clone())).unwrap_or_else(|| stem(name));
        }
        let declared = page.front_matter.as_ref().and_then(|front| front.get("lang").or(front.get("language")));
        let declared = declared.and_then(Value::as_str).and_then(language::named);
        page.language = declared.or_else(|| language::guess(&page.text));
        page.adr = adr::read(path, &page);
        if page.adr.is_some() {
            page.kind = "adr";
        }
        Ok(page)
    }

    /// What a document of text says, before it has a title.
    fn of_text(format: &str, body: &[u8]) -> Result<Page, Reason> {
        let head = &body[..body.len().min(8_000)];
        if head.contains(&0) && !body.starts_with(&[0xff, 0xfe]) && !body.starts_with(&[0xfe, 0xff]) {
            return Err("it is no text".to_owned());
        }
        let text = text_of(body);
        Ok(match format {
            "html" => plain::html(&text),
            "asciidoc" => plain::asciidoc(&text),
            "restructuredtext" => plain::restructured(&text),
            "markdown" => {
                let (front_matter, body, lines) = front_matter::split(&text);
                let outline = markdown::outline(body, lines);
                Page { front_matter, outline, text: body.to_owned(), ..Page::default() }
            }
            _ => Page { text, ..Page::default() },
        })
    }

    /// The headings as a JSON cell.
    pub fn outline_json(&self) -> Option<String> {
        (!self.outline.is_empty()).then(|| serde_json::json!(self.outline).to_string())
    }

    /// The text of a section: what stands between its heading and the next of its level.
    pub fn section(&self, wanted: &dyn Fn(&str) -> bool, line_of_text: usize) -> Option<String> {
        let at = self.outline.iter().position(|heading| wanted(&heading.title.to_lowercase()))?;
        let heading = &self.outline[at];
        let end = self.outline[at + 1..].iter().find(|next| next.level <= heading.level).map(|next| next.line);
        let lines = self.text.lines().skip((heading.line + 1).saturating_sub(line_of_text));
        let count = end.map_or(usize::MAX, |end| end.saturating_sub(heading.line + 1));
        let text = lines.take(count).collect::<Vec<_>>().join("\n");
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }
}

/// UTF-8, UTF-16 with its mark; other bytes are replaced.
fn text_of(body: &[u8]) -> String {
    let wide = |from: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = body[2..].chunks_exact(2).map(|pair| from([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    let text = match body {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => String::from_utf8_lossy(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).into_owned(),
    };
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text }
}

fn stem(name: &str) -> String {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
}

/// Whether it tells what to do in an emergency: it says so, or lies in a folder or a file that does.
fn is_runbook(path: &str, front_matter: Option<&Value>) -> bool {
    const WORDS: &[&str] = &["runbook", "runbooks", "playbook", "playbooks", "notfallplan", "notfallpläne"];
    let declared = front_matter.and_then(|front| front.get("type").or(front.get("kind"))).and_then(Value::as_str);
    let path = path.to_lowercase();
    let mut words = path.split(|c: char| !c.is_alphanumeric());
    declared.is_some_and(|word| WORDS.contains(&word.to_lowercase().as_str()))
        || words.any(|word| WORDS.contains(&word))
}

fn kind(name: &str) -> &'static str {
    let stem = stem(name).to_lowercase();
    match stem.split(['.', '-', '_']).next().unwrap_or_default() {
        "readme" => "readme",
        "changelog" | "changes" | "history" => "changelog",
        "license" | "licence" | "copying" | "notice" => "licence",
        "contributing" => "contributing",
        _ => "page",
    }
}
