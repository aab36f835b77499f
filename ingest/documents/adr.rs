//! Architecture decision records, as Nygard's template and MADR write them: number, status, date, decision.

use serde_json::Value;

use super::page::Page;

/// Folders that hold decisions.
const FOLDERS: &[&str] =
    &["adr", "adrs", "decisions", "decision", "architecture-decisions", "decision-records", "entscheidungen"];
/// Statuses, with the words that begin them.
const STATUSES: &[(&str, &[&str])] = &[
    ("superseded", &["superseded", "supersedes by", "replaced", "ersetzt"]),
    ("accepted", &["accepted", "approved", "akzeptiert", "angenommen", "beschlossen"]),
    ("proposed", &["proposed", "draft", "vorgeschlagen", "entwurf", "in review"]),
    ("rejected", &["rejected", "declined", "abgelehnt"]),
    ("deprecated", &["deprecated", "veraltet"]),
];

/// One decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adr {
    /// Its number.
    pub number: Option<i64>,
    /// Its status.
    pub status: Option<&'static str>,
    /// Its date.
    pub date: Option<String>,
    /// What was decided.
    pub decision: Option<String>,
    /// The decision that took its place.
    pub superseded_by: Option<i64>,
}

/// The decision that a document records, if it does: it lies in a folder of decisions or has a number, and has a status or
/// a section about the decision.
pub fn read(path: &str, page: &Page) -> Option<Adr> {
    let parts: Vec<String> = path.to_lowercase().split('/').map(str::to_owned).collect();
    let (name, folders) = parts.split_last()?;
    let in_folder = folders.iter().any(|folder| FOLDERS.contains(&folder.as_str()));
    let number = number(name, &page.title);
    if !in_folder && !(name.starts_with("adr") && number.is_some()) {
        return None;
    }
    let begin = first_line(page);
    let section = |names: &'static [&'static str]| {
        page.section(&move |title: &str| names.iter().any(|name| title.starts_with(name)), begin)
    };
    let front = |name: &str| page.front_matter.as_ref()?.get(name).and_then(Value::as_str).map(str::to_owned);
    let listed = |names: &[&str]| page.text.lines().take(40).find_map(|line| labelled(line, names));
    let status_text = front("status").or_else(|| section(&["status"])).or_else(|| listed(&["status"]));
    let status = status_text.as_deref().and_then(status);
    let decision = section(&["decision outcome", "decision", "entscheidung"]);
    if status.is_none() && decision.is_none() {
        return None;
    }
    let date = front("date").or_else(|| listed(&["date", "datum"])).or_else(|| section(&["date", "datum"]));
    let superseded_by = status_text.filter(|_| status == Some("superseded")).and_then(|text| first_number(&text));
    Some(Adr { number, status, date: date.as_deref().and_then(day), decision, superseded_by })
}

/// The line of the file at which the page's text begins.
fn first_line(page: &Page) -> usize {
    // Headings are counted in the file, sections in the text: the first heading tells the two apart.
    let Some(heading) = page.outline.first() else { return 1 };
    let in_text = page.text.lines().position(|line| line.contains(heading.title.as_str())).unwrap_or(0) + 1;
    (heading.line + 1).saturating_sub(in_text).max(1)
}

/// `* Status: accepted`, `- **Date**: 2026-01-01`, `Status: x`.
fn labelled(line: &str, names: &[&str]) -> Option<String> {
    let line = line.trim_start_matches(['*', '-', ' ', '|', '>']).replace("**", "");
    let (name, value) = line.split_once(':')?;
    names.iter().any(|wanted| name.trim().eq_ignore_ascii_case(wanted)).then(|| value.trim().to_owned())
}

fn status(text: &str) -> Option<&'static str> {
    let text = text.trim().trim_start_matches(['*', '_', '~', '-', ' ']).to_lowercase();
    STATUSES.iter().find(|(_, words)| words.iter().any(|word| text.starts_with(*word))).map(|(status, _)| *status)
}

/// `0007-use-x.md`, `adr-7.md`, `ADR 7: …`, `7. Use X`.
fn number(name: &str, title: &str) -> Option<i64> {
    let leading = |text: &str| {
        let text = text.trim_start_matches("adr").trim_start_matches(['-', '_', ' ', '#']);
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    leading(name).or_else(|| leading(&title.to_lowercase()))
}

fn first_number(text: &str) -> Option<i64> {
    let from = text.find(|c: char| c.is_ascii_digit())?;
    text[from..].chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

/// A day in any of the usual forms, as `YYYY-MM-DD`.
fn day(text: &str) -> Option<String> {
    let first = text.split_whitespace().next().unwrap_or_default().trim_matches(['*', '`', '"', ',']);
    let forms = ["%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d", "%d/%m/%Y"];
    let first = first.split('T').next().unwrap_or(first);
    let day = forms.iter().find_map(|form| chrono::NaiveDate::parse_from_str(first, form).ok());
    let whole =
        || ["%B %d, %Y", "%d %B %Y"].iter().find_map(|form| chrono::NaiveDate::parse_from_str(text.trim(), form).ok());
    day.or_else(whole).map(|day| day.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn decisions_of_both_templates() {
        let nygard = Page::read("doc/adr/0007-use-lance.md", b"# 7. Use Lance\n\nDate: 2026-03-01\n\n## Status\n\nSuperseded by [9](0009-x.md)\n\n## Decision\n\nWe use Lance.\n\n## Consequences\n\nx\n").unwrap();
        let expected = Adr {
            number: Some(7),
            status: Some("superseded"),
            date: Some("2026-03-01".to_owned()),
            decision: Some("We use Lance.".to_owned()),
            superseded_by: Some(9),
        };
        assert_eq!((nygard.kind, nygard.adr), ("adr", Some(expected)));
        let madr = Page::read(
            "docs/decisions/0001-x.md",
            b"---\nstatus: accepted\ndate: 2026-04-02\n---\n# Use X\n\n## Decision Outcome\n\nChosen option: X\n",
        )
        .unwrap();
        let expected = Adr {
            number: Some(1),
            status: Some("accepted"),
            date: Some("2026-04-02".to_owned()),
            decision: Some("Chosen option: X".to_owned()),
            superseded_by: None,
        };
        assert_eq!(madr.adr, Some(expected));
        assert_eq!(Page::read("docs/adr/index.md", b"# Decisions\n").unwrap().adr, None);
        assert_eq!(Page::read("docs/0001-notes.md", b"# Notes\n\n## Status\n\nAccepted\n").unwrap().adr, None);
    }
}
