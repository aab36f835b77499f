//! HTML and XML as a row of tags and texts, read as loosely as browsers do: nothing is an error, entities are resolved.

/// One piece of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A beginning tag, its name without a prefix, in the document's letters.
    Open { name: &'a str, attributes: &'a str, is_empty: bool },
    /// An ending tag.
    Close { name: &'a str },
    /// Text between tags.
    Text(String),
}

/// Elements of HTML whose content is no markup.
const RAW: &[&str] = &["script", "style"];

/// Bytes within which a tag must end.
const TAG_BYTES_MAX: usize = 1 << 16;
/// Tags without an end, after which the rest is text.
const BROKEN_MAX: usize = 1_000;
/// Elements within elements that are followed.
const DEPTH_MAX: usize = 128;

/// The pieces of a document of HTML, in order.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    cut(text, RAW)
}

/// The pieces of a document of XML, where no element's content is anything but markup: `w:style` is no style sheet.
pub fn xml_pieces(text: &str) -> Vec<Piece<'_>> {
    cut(text, &[])
}

fn cut<'a>(text: &'a str, raw: &[&str]) -> Vec<Piece<'a>> {
    let mut found = Vec::new();
    let (mut rest, mut broken) = (text, 0);
    while let Some(at) = rest.find('<').filter(|_| broken < BROKEN_MAX) {
        push_text(&rest[..at], &mut found);
        rest = &rest[at..];
        let skipped = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"), ("<!", ">")]
            .iter()
            .find(|(begin, _)| rest.starts_with(begin));
        if let Some((begin, end)) = skipped {
            let inside = &rest[begin.len()..];
            let (content, behind) = inside.split_once(end).unwrap_or((inside, ""));
            if *begin == "<![CDATA[" {
                found.push(Piece::Text(content.to_owned()));
            }
            rest = behind;
            continue;
        }
        let is_tag = rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
        let Some(end) = tag_end(rest).filter(|_| is_tag) else {
            broken += usize::from(is_tag);
            push_text(&rest[..1], &mut found);
            rest = &rest[1..];
            continue;
        };
        let inside = &rest[1..end];
        rest = &rest[end + 1..];
        if let Some(name) = inside.strip_prefix('/') {
            found.push(Piece::Close { name: plain(name.trim()) });
            continue;
        }
        let (inside, is_empty) = inside.strip_suffix('/').map_or((inside, false), |inside| (inside, true));
        let (name, attributes) = inside.split_once(|c: char| c.is_whitespace()).unwrap_or((inside, ""));
        let name = plain(name);
        found.push(Piece::Open { name, attributes, is_empty });
        if !is_empty && raw.iter().any(|raw| name.eq_ignore_ascii_case(raw)) {
            let is_end =
                |at: &usize| rest.get(at + 2..at + 2 + name.len()).is_some_and(|end| end.eq_ignore_ascii_case(name));
            let end = rest.match_indices("</").map(|(at, _)| at).find(is_end).unwrap_or(rest.len());
            rest = &rest[end..];
        }
    }
    push_text(rest, &mut found);
    found
}

/// Where a tag ends: the first `>` outside quotes.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate().take(TAG_BYTES_MAX) {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn plain(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn push_text(text: &str, found: &mut Vec<Piece<'_>>) {
    if !text.is_empty() {
        found.push(Piece::Text(resolve(text)));
    }
}

/// The value of an attribute.
pub fn attribute(attributes: &str, name: &str) -> Option<String> {
    let mut rest = attributes;
    while let Some((before, behind)) = rest.split_once('=') {
        let key = before.trim().rsplit(char::is_whitespace).next().unwrap_or_default();
        let behind = behind.trim_start();
        let (value, after) = match behind.chars().next() {
            Some(quote @ ('"' | '\'')) => behind[1..].split_once(quote).unwrap_or((&behind[1..], "")),
            _ => behind.split_once(char::is_whitespace).unwrap_or((behind, "")),
        };
        if plain(key).eq_ignore_ascii_case(name) {
            return Some(resolve(value));
        }
        rest = after;
    }
    None
}

/// Text with its entities resolved; one that is not known stays as it is.
fn resolve(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest[1..].split_once(';').filter(|(name, _)| name.len() <= 8);
        match entity.and_then(|(name, behind)| Some((letter(name)?, behind))) {
            Some((letter, behind)) => {
                out.push(letter);
                rest = behind;
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

fn letter(name: &str) -> Option<char> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    if let Some(digits) = name.strip_prefix("#x").or(name.strip_prefix("#X")) {
        return number(digits, 16);
    }
    if let Some(digits) = name.strip_prefix('#') {
        return number(digits, 10);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "Auml" => 'Ä',
        "Ouml" => 'Ö',
        "Uuml" => 'Ü',
        "szlig" => 'ß',
        "mdash" => '—',
        "ndash" => '–',
        "hellip" => '…',
        "copy" => '©',
        "euro" => '€',
        _ => return None,
    })
}

/// An XML element with what it holds: enough for manifests of a few kilobytes.
#[derive(Debug, Default, Clone)]
pub struct Element {
    /// Name without a prefix.
    pub name: String,
    /// Attributes as written.
    pub attributes: String,
    /// Its text, trimmed.
    pub text: String,
    /// Elements within.
    pub children: Vec<Element>,
}

impl Element {
    /// The root element of a document.
    pub fn read(text: &str) -> Option<Element> {
        let mut open: Vec<Element> = vec![Element::default()];
        for piece in pieces(text) {
            match piece {
                Piece::Open { name, attributes, is_empty } if open.len() < DEPTH_MAX => {
                    open.push(Element {
                        name: name.to_owned(),
                        attributes: attributes.to_owned(),
                        ..Element::default()
                    });
                    if is_empty {
                        close(&mut open);
                    }
                }
                Piece::Open { .. } => {}
                Piece::Text(text) => open.last_mut()?.text.push_str(text.trim()),
                Piece::Close { name } if open.len() > 1 && open.last().is_some_and(|last| last.name == name) => {
                    close(&mut open)
                }
                Piece::Close { .. } => {}
            }
        }
        while open.len() > 1 {
            close(&mut open);
        }
        open.pop()?.children.into_iter().next()
    }

    /// The first child of a name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of a child.
    pub fn text_of(&self, name: &str) -> Option<String> {
        self.child(name).map(|child| child.text.clone()).filter(|text| !text.is_empty())
    }

    /// Every element below, itself included.
    pub fn all(&self) -> Vec<&Element> {
        let mut found = vec![self];
        let mut at = 0;
        while let Some(element) = found.get(at).copied() {
            found.extend(element.children.iter());
            at += 1;
        }
        found
    }
}

fn close(open: &mut Vec<Element>) {
    if let Some(done) = open.pop()
        && let Some(above) = open.last_mut()
    {
        above.children.push(done);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_html() {
        let found =
            pieces("<p class='a>b'>x &amp; y</p><!-- no --><script>if (a<b) {}</script><br/>1 < 2 &odd; &#228;");
        let texts: Vec<_> =
            found.iter().filter_map(|p| if let Piece::Text(text) = p { Some(text.as_str()) } else { None }).collect();
        assert_eq!(texts.concat(), "x & y1 < 2 &odd; ä");
        assert_eq!(attribute("name=\"description\" content='a b'", "content").as_deref(), Some("a b"));
        assert_eq!(attribute("charset=utf-8", "CHARSET").as_deref(), Some("utf-8"));
    }

    #[test]
    fn an_xml_tree() {
        let root = Element::read("<?xml version='1.0'?><a:project><b>1</b><c><b x=\"2\"/></c></a:project>").unwrap();
        assert_eq!((root.name.as_str(), root.text_of("b").as_deref()), ("project", Some("1")));
        let inner = root.child("c").unwrap().child("b").unwrap();
        assert_eq!(attribute(&inner.attributes, "x").as_deref(), Some("2"));
        assert_eq!(root.all().len(), 4);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "[<>/!?a-z&;#\"'= äß-]{0,120}") {
            let _ = Element::read(&text);
            let _ = attribute(&text, "x");
        }
    }
}
