//! Commit messages: subject and body, trailers, conventional commits, work items.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

static CONVENTIONAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^([A-Za-z][A-Za-z0-9_-]*)(?:\(([^()\r\n]+)\))?(!)?: +(\S.*)$")
        .expect("the pattern of conventional subjects is valid")
});
static TRAILER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(BREAKING[ -]CHANGE|[A-Za-z][A-Za-z0-9-]*)(?:: +| #)(\S.*)$")
        .expect("the pattern of trailers is valid")
});
static WORK_ITEM: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?:^|[^\w/&#])(AB)?#(\d{1,10})\b").expect("the pattern of work items is valid"));

/// What a message says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// First line.
    pub subject: String,
    /// The rest, trailers included.
    pub body: Option<String>,
    /// Trailers by name, in order.
    pub trailers: BTreeMap<String, Vec<String>>,
    /// Type of a conventional commit, in small letters.
    pub kind: Option<String>,
    /// Its scope.
    pub scope: Option<String>,
    /// Whether it breaks something.
    pub breaking: bool,
    /// `AB#12`, `#34`.
    pub work_items: Vec<String>,
}

impl Message {
    /// Reads a message.
    pub fn read(text: &str) -> Message {
        let text = text.trim();
        let (subject, rest) = text.split_once('\n').unwrap_or((text, ""));
        let (subject, body) = (subject.trim_end(), rest.trim());
        let trailers = trailers(body);
        let conventional = CONVENTIONAL.captures(subject);
        let part = |at: usize| conventional.as_ref()?.get(at).map(|found| found.as_str().to_owned());
        let footer = trailers.keys().any(|name| name.starts_with("BREAKING"));
        let noted =
            body.lines().any(|line| line.starts_with("BREAKING CHANGE:") || line.starts_with("BREAKING-CHANGE:"));
        let mut work_items: Vec<String> = Vec::new();
        for found in WORK_ITEM.captures_iter(text) {
            let item = format!("{}#{}", found.get(1).map_or("", |ab| ab.as_str()), &found[2]);
            if !work_items.contains(&item) {
                work_items.push(item);
            }
        }
        Message {
            subject: subject.to_owned(),
            body: Some(body.to_owned()).filter(|body| !body.is_empty()),
            kind: part(1).map(|kind| kind.to_lowercase()),
            scope: part(2),
            breaking: part(3).is_some() || footer || noted,
            trailers,
            work_items,
        }
    }

    /// The values of a trailer, whatever its letters.
    pub fn trailer(&self, name: &str) -> Vec<String> {
        let of = self.trailers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        of.flat_map(|(_, values)| values.clone()).collect()
    }
}

/// The last paragraph, where each of its lines is a trailer or goes on with one.
fn trailers(body: &str) -> BTreeMap<String, Vec<String>> {
    let paragraph = body.rsplit("\n\n").next().unwrap_or_default();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut last: Option<String> = None;
    for line in paragraph.lines().filter(|line| !line.trim().is_empty()) {
        match (TRAILER.captures(line), last.clone()) {
            (Some(trailer), _) => {
                found.entry(trailer[1].to_owned()).or_default().push(trailer[2].trim().to_owned());
                last = Some(trailer[1].to_owned());
            }
            (None, Some(name)) if line.starts_with([' ', '\t']) => {
                if let Some(value) = found.get_mut(&name).and_then(|values| values.last_mut()) {
                    value.push(' ');
                    value.push_str(line.trim());
                }
            }
            (None, _) => return BTreeMap::new(),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_in_parts() {
        let read = Message::read(
            "feat(api)!: drop v1 (AB#12)\n\nIt closes #34 and http://x/#56.\n\nSigned-off-by: A <a@b>\nCo-authored-by: B\n  <b@c>\nBREAKING CHANGE: gone\n",
        );
        assert_eq!((read.kind.as_deref(), read.scope.as_deref(), read.breaking), (Some("feat"), Some("api"), true));
        assert_eq!(read.work_items, ["AB#12", "#34"]);
        assert_eq!(read.trailer("signed-off-by"), ["A <a@b>"]);
        assert_eq!(read.trailer("Co-authored-by"), ["B <b@c>"]);
        let plain = Message::read("Merge branch 'x'\n\nnothing: here\nis a trailer");
        assert_eq!((plain.kind, plain.trailers.len(), plain.breaking), (None, 0, false));
        assert_eq!(Message::read("fix: x").kind.as_deref(), Some("fix"));
    }
}
