//! DOCX: WordprocessingML as Markdown. Headings keep their levels, lists and tables their form, so that the text is cut
//! and cited as any other document's.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use serde_json::{Map, Value};
use zip::ZipArchive;

use super::markdown;
use super::page::Page;
use crate::json::Reason;
use crate::markup::{Element, Piece, attribute, xml_pieces};

/// Files in the package; Word writes some dozens.
const ENTRIES_MAX: usize = 4_096;
/// Bytes that one part may unpack to: a small package can hold gigabytes of zeros.
const PART_BYTES_MAX: u64 = 64 << 20;
/// Levels of Markdown's headings.
const LEVEL_MAX: usize = 6;
/// Levels of lists that are told apart.
const INDENT_MAX: usize = 8;
/// Tables within tables that keep their rows; deeper ones are text.
const TABLES_MAX: usize = 8;

/// Reads a DOCX.
pub fn read(body: &[u8]) -> Result<Page, Reason> {
    let mut package = ZipArchive::new(Cursor::new(body)).map_err(|e| match body.starts_with(b"\xd0\xcf\x11\xe0") {
        true => "it is encrypted, or an old binary document; save it as DOCX without a password".to_owned(),
        false => format!("it is no DOCX: {e}"),
    })?;
    if package.len() > ENTRIES_MAX {
        return Err(format!("a package of more than {ENTRIES_MAX} files is not read"));
    }
    let document = part(&mut package, "word/document.xml")?
        .ok_or("it is no DOCX: the package holds no word/document.xml".to_owned())?;
    let styles = part(&mut package, "word/styles.xml")?.map(|xml| styles(&xml)).unwrap_or_default();
    let about = part(&mut package, "docProps/core.xml")?.map(|xml| information(&xml)).unwrap_or_default();
    let text = markdown_of(&document, &styles);
    if text.is_empty() {
        return Err("it holds no text".to_owned());
    }
    let title = about.get("title").and_then(Value::as_str).unwrap_or_default().to_owned();
    let outline = markdown::outline(&text, 1);
    let front_matter = (!about.is_empty()).then_some(Value::Object(about));
    Ok(Page { title, outline, text, front_matter, ..Page::default() })
}

/// A part of the package as text; `None` where it is not there.
fn part(package: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Result<Option<String>, Reason> {
    if package.index_for_name(name).is_none() {
        return Ok(None);
    }
    let file = package.by_name(name).map_err(|e| format!("its part {name} cannot be read: {e}"))?;
    let mut bytes = Vec::new();
    let taken = file.take(PART_BYTES_MAX + 1).read_to_end(&mut bytes);
    taken.map_err(|e| format!("its part {name} cannot be unpacked: {e}"))?;
    if bytes.len() as u64 > PART_BYTES_MAX {
        return Err(format!("its part {name} unpacks to more than {PART_BYTES_MAX} bytes"));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Levels of headings by the style's id: names of styles are translated, their outline levels and English names are not.
fn styles(xml: &str) -> HashMap<String, usize> {
    let (mut found, mut open) = (HashMap::new(), None);
    for piece in xml_pieces(xml) {
        let Piece::Open { name, attributes, .. } = piece else { continue };
        match name {
            "style" => open = attribute(attributes, "styleId"),
            "name" | "outlineLvl" => {
                let value = attribute(attributes, "val").unwrap_or_default();
                let level = if name == "name" { named_level(&value) } else { outline_level(&value) };
                if let (Some(id), Some(level)) = (&open, level) {
                    found.entry(id.clone()).or_insert(level);
                }
            }
            _ => {}
        }
    }
    found
}

/// `heading 2`, `Title`.
fn named_level(name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    let digits = name.strip_prefix("heading").map(str::trim);
    let level = digits.and_then(|digits| digits.parse::<usize>().ok()).or((name == "title").then_some(1))?;
    Some(level.clamp(1, LEVEL_MAX))
}

/// Word counts from 0, and 9 is plain text.
fn outline_level(value: &str) -> Option<usize> {
    value.parse::<usize>().ok().filter(|level| *level < 9).map(|level| (level + 1).min(LEVEL_MAX))
}

fn information(xml: &str) -> Map<String, Value> {
    let Some(root) = Element::read(xml) else { return Map::new() };
    let names = [("title", "title"), ("creator", "author"), ("subject", "subject"), ("keywords", "keywords")];
    let entry = |(from, to): (&str, &str)| Some((to.to_owned(), Value::String(root.text_of(from)?)));
    names.into_iter().filter_map(entry).collect()
}

/// What a paragraph is, gathered until it ends.
#[derive(Default)]
struct Paragraph {
    words: String,
    level: Option<usize>,
    /// Depth of the list that it is an item of.
    item: Option<usize>,
    in_list: bool,
}

/// A table under construction: rows of cells.
#[derive(Default)]
struct Grid {
    rows: Vec<Vec<String>>,
    cell: String,
}

struct Writer<'a> {
    styles: &'a HashMap<String, usize>,
    text: String,
    paragraph: Paragraph,
    tables: Vec<Grid>,
    /// Whether the last paragraph was an item: items stand one below the other.
    after_item: bool,
    in_words: bool,
    /// Depth of elements whose content is another form of what stands beside them.
    unseen: usize,
}

fn markdown_of(xml: &str, styles: &HashMap<String, usize>) -> String {
    let mut writer = Writer {
        styles,
        text: String::new(),
        paragraph: Paragraph::default(),
        tables: Vec::new(),
        after_item: false,
        in_words: false,
        unseen: 0,
    };
    for piece in xml_pieces(xml) {
        match piece {
            Piece::Open { name, attributes, is_empty } => writer.open(name, attributes, is_empty),
            Piece::Close { name } => writer.close(name),
            Piece::Text(words) if writer.in_words && writer.unseen == 0 => writer.paragraph.words.push_str(&words),
            Piece::Text(_) => {}
        }
    }
    writer.end_paragraph();
    while !writer.tables.is_empty() {
        writer.end_table();
    }
    writer.text.trim_end().to_owned()
}

impl Writer<'_> {
    fn open(&mut self, name: &str, attributes: &str, is_empty: bool) {
        let value = || attribute(attributes, "val").unwrap_or_default();
        match name {
            // Older readers' form of a text box, which the newer form beside it says already.
            "Fallback" | "del" | "moveFrom" if !is_empty => self.unseen += 1,
            "t" => self.in_words = !is_empty,
            "p" if !is_empty => self.end_paragraph(),
            "pStyle" => {
                self.paragraph.level = self.paragraph.level.or_else(|| self.styles.get(value().as_str()).copied())
            }
            "outlineLvl" => self.paragraph.level = outline_level(&value()).or(self.paragraph.level),
            "numPr" => (self.paragraph.in_list, self.paragraph.item) = (true, Some(0)),
            "ilvl" if self.paragraph.in_list => {
                self.paragraph.item = value().parse::<usize>().ok().map(|depth| depth.min(INDENT_MAX))
            }
            // Number 0 takes a paragraph out of the list of its style.
            "numId" if value() == "0" => self.paragraph.item = None,
            "tab" | "br" | "cr" if self.unseen == 0 => self.paragraph.words.push(' '),
            "noBreakHyphen" => self.paragraph.words.push('-'),
            "tbl" if !is_empty && self.tables.len() < TABLES_MAX => {
                self.end_paragraph();
                self.tables.push(Grid::default());
            }
            "tr" if !is_empty => {
                if let Some(table) = self.tables.last_mut() {
                    table.rows.push(Vec::new());
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "Fallback" | "del" | "moveFrom" => self.unseen = self.unseen.saturating_sub(1),
            "t" => self.in_words = false,
            "p" => self.end_paragraph(),
            "numPr" => self.paragraph.in_list = false,
            "tc" => {
                self.end_paragraph();
                if let Some(table) = self.tables.last_mut() {
                    let cell = std::mem::take(&mut table.cell);
                    match table.rows.last_mut() {
                        Some(row) => row.push(cell),
                        None => table.rows.push(vec![cell]),
                    }
                }
            }
            "tbl" => {
                self.end_paragraph();
                self.end_table();
            }
            _ => {}
        }
    }

    fn end_paragraph(&mut self) {
        let paragraph = std::mem::take(&mut self.paragraph);
        let words = paragraph.words.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.is_empty() {
            return;
        }
        if let Some(table) = self.tables.last_mut() {
            if !table.cell.is_empty() {
                table.cell.push(' ');
            }
            table.cell.push_str(&words.replace('|', "\\|"));
            return;
        }
        let is_item = paragraph.item.is_some() && paragraph.level.is_none();
        if !self.text.is_empty() {
            self.text.push_str(if is_item && self.after_item { "\n" } else { "\n\n" });
        }
        match (paragraph.level, paragraph.item) {
            (Some(level), _) => self.text.push_str(&format!("{} {words}", "#".repeat(level))),
            (None, Some(depth)) => self.text.push_str(&format!("{}- {words}", "  ".repeat(depth))),
            // What looks like a heading of Markdown was none.
            (None, None) if words.starts_with('#') => self.text.push_str(&format!("\\{words}")),
            (None, None) => self.text.push_str(&words),
        }
        self.after_item = is_item;
    }

    fn end_table(&mut self) {
        let Some(table) = self.tables.pop() else { return };
        let rows: Vec<_> = table.rows.into_iter().filter(|row| row.iter().any(|cell| !cell.is_empty())).collect();
        let Some(width) = rows.iter().map(Vec::len).max() else { return };
        if let Some(outer) = self.tables.last_mut() {
            let cells: Vec<String> = rows.into_iter().flatten().filter(|cell| !cell.is_empty()).collect();
            if !outer.cell.is_empty() {
                outer.cell.push(' ');
            }
            outer.cell.push_str(&cells.join(", "));
            return;
        }
        if !self.text.is_empty() {
            self.text.push_str("\n\n");
        }
        for (at, mut row) in rows.into_iter().enumerate() {
            row.resize(width, String::new());
            let end = if at == 0 { format!("\n|{}", " --- |".repeat(width)) } else { String::new() };
            let begin = if at == 0 { "" } else { "\n" };
            self.text.push_str(&format!("{begin}| {} |{end}", row.join(" | ")));
        }
        self.after_item = false;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    /// A package of these parts.
    pub fn package(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut package = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in parts {
            package.start_file(*name, SimpleFileOptions::default()).unwrap();
            package.write_all(text.as_bytes()).unwrap();
        }
        package.finish().unwrap().into_inner()
    }

    /// A document with a heading of a German Word, a list, a table and what no reader sees.
    pub fn document() -> Vec<u8> {
        let styles = r#"<w:styles><w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
            <w:style w:type="paragraph" w:styleId="Eigene"><w:name w:val="Eigene"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style></w:styles>"#;
        let item = |depth: usize, words: &str| {
            format!(
                r#"<w:p><w:pPr><w:numPr><w:ilvl w:val="{depth}"/><w:numId w:val="3"/></w:numPr></w:pPr><w:r><w:t>{words}</w:t></w:r></w:p>"#
            )
        };
        let cell = |words: &str| format!("<w:tc><w:p><w:r><w:t>{words}</w:t></w:r></w:p></w:tc>");
        let body = format!(
            r#"<?xml version="1.0"?><w:document><w:body>
            <w:p><w:pPr><w:pStyle w:val="berschrift1"/></w:pPr><w:r><w:t>Notfallplan</w:t></w:r></w:p>
            <w:p><w:r><w:t xml:space="preserve">Zuerst die </w:t></w:r><w:r><w:t>Leitstelle &amp; den Dienst</w:t></w:r><w:r><w:tab/><w:t>anrufen.</w:t></w:r><w:del><w:r><w:delText>alt</w:delText></w:r></w:del></w:p>
            <w:p><w:pPr><w:pStyle w:val="Eigene"/></w:pPr><w:r><w:t>Schritte</w:t></w:r></w:p>
            {}{}
            <w:tbl><w:tr>{}{}</w:tr><w:tr>{}{}</w:tr></w:tbl>
            <mc:AlternateContent><mc:Choice><w:p><w:r><w:t># kein Titel</w:t></w:r></w:p></mc:Choice><mc:Fallback><w:p><w:r><w:t># kein Titel</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent>
            </w:body></w:document>"#,
            item(0, "Strom aus"),
            item(1, "Sicherung merken"),
            cell("Rolle"),
            cell("Ruf|nummer"),
            cell("Leitstelle"),
            cell("112"),
        );
        let core = "<cp:coreProperties><dc:title>Plan B</dc:title><dc:creator>Betrieb</dc:creator></cp:coreProperties>";
        package(&[("word/document.xml", body.as_str()), ("word/styles.xml", styles), ("docProps/core.xml", core)])
    }

    #[test]
    fn headings_lists_and_tables_become_markdown() {
        let page = read(&document()).unwrap();
        assert_eq!(
            page.text,
            "# Notfallplan\n\nZuerst die Leitstelle & den Dienst anrufen.\n\n## Schritte\n\n- Strom aus\n  - Sicherung merken\n\n\
             | Rolle | Ruf\\|nummer |\n| --- | --- |\n| Leitstelle | 112 |\n\n\\# kein Titel"
        );
        let outline: Vec<_> = page.outline.iter().map(|h| (h.level, h.title.as_str())).collect();
        assert_eq!(outline, [(1, "Notfallplan"), (2, "Schritte")]);
        assert_eq!(page.title, "Plan B");
        assert_eq!(page.front_matter, Some(serde_json::json!({"title": "Plan B", "author": "Betrieb"})));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let many: Vec<(String, &str)> = (0..ENTRIES_MAX + 1).map(|at| (at.to_string(), "")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        for (body, words) in [
            (b"PK no zip".to_vec(), "no DOCX"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(), "encrypted"),
            (package(&[("x", "y")]), "word/document.xml"),
            (package(&[("word/document.xml", "<w:document/>")]), "no text"),
            (package(&many), "files"),
        ] {
            let reason = read(&body).unwrap_err();
            assert!(reason.contains(words), "{words}: {reason}");
        }
    }

    #[test]
    fn a_bomb_is_refused_and_not_unpacked() {
        let zeros = " ".repeat(usize::try_from(PART_BYTES_MAX).unwrap() + 2);
        let bomb = package(&[("word/document.xml", zeros.as_str())]);
        assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
        assert!(read(&bomb).unwrap_err().contains("unpacks to more"));
    }

    proptest::proptest! {
        #[test]
        fn any_markup_is_read(xml in r#"(</?w:(p|r|t|tbl|tr|tc|numPr|del|pStyle|ilvl)( w:val="[0-9a-z]{0,9}")?/?>|[a-z#|& ]{0,5}){0,60}"#) {
            let styles = HashMap::from([("1".to_owned(), 1)]);
            let text = markdown_of(&xml, &styles);
            // Words are only ever moved, never made.
            let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).count();
            proptest::prop_assert!(letters(&text) <= letters(&xml));
        }

        #[test]
        fn any_bytes_are_refused_or_read(cut in 0_usize..2_000, at in 0_usize..2_000, byte in 0_u8..=255) {
            let mut body = document();
            let end = body.len();
            body[at % end] = byte;
            body.truncate(end - cut % end);
            let _ = read(&body);
        }
    }
}
