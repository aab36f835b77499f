//! CODEOWNERS by GitHub's rules: the last line that matches decides, a line without owners takes them away, `[` and `!`
//! have no meaning.

use engine::{Column, Rows, Table, Type};
use regex::Regex;

use crate::json::Reason;

/// Where the file may stand; the first that is there counts.
pub const PLACES: &[&str] = &[".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"];

/// Rules of CODEOWNERS.
pub static CODEOWNERS_RULE: Table = Table {
    key: &["repository", "ref", "line"],
    time: "ingested_at",
    ..Table::new(
        "codeowners_rule",
        "The lines of a repository's CODEOWNERS. The last line that matches a path names its owners; `git_file.owners` has them for every file.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the row.").required(),
            Column::new("repository", Type::Text, "The repository.").required(),
            Column::new("ref", Type::Text, "Branch, tag or commit.").required(),
            Column::new("path", Type::Text, "The CODEOWNERS file.").required(),
            Column::new("line", Type::Int, "Line of the rule, counted from 1.").required(),
            Column::new("pattern", Type::Text, "Pattern of paths.").required(),
            Column::new(
                "owners",
                Type::Json,
                "Users, teams and addresses, a list; empty where the line takes owners away.",
            )
            .required(),
            Column::new("content_hash", Type::Text, "Id of the file's blob.").required(),
        ],
    )
};

/// One line.
#[derive(Debug)]
pub struct Rule {
    /// Its line, counted from 1.
    pub line: usize,
    /// Its pattern.
    pub pattern: String,
    /// Its owners.
    pub owners: Vec<String>,
    regex: Regex,
}

/// A file of rules.
#[derive(Debug, Default)]
pub struct Codeowners {
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// Lines that are none, with the reason.
    pub refused: Vec<(usize, String, String)>,
}

impl Codeowners {
    /// Reads a file.
    pub fn read(text: &str) -> Codeowners {
        let mut read = Codeowners::default();
        for (i, line) in text.lines().enumerate() {
            let mut words = words(line).into_iter();
            let Some(pattern) = words.next() else { continue };
            match regex(&pattern) {
                Ok(regex) => read.rules.push(Rule { line: i + 1, pattern, owners: words.collect(), regex }),
                Err(reason) => read.refused.push((i + 1, line.to_owned(), reason)),
            }
        }
        read
    }

    /// The rule that decides about a path.
    pub fn rule(&self, path: &str) -> Option<&Rule> {
        let path = path.trim_start_matches('/');
        self.rules.iter().rev().find(|rule| rule.regex.is_match(path))
    }

    /// The owners of a path.
    pub fn of(&self, path: &str) -> &[String] {
        self.rule(path).map(|rule| rule.owners.as_slice()).unwrap_or_default()
    }

    /// Adds the rules' rows.
    pub fn write(
        &self,
        tenant: &str,
        repository: &str,
        reference: &str,
        path: &str,
        blob: &str,
        rows: &mut Rows,
    ) -> Result<u64, Reason> {
        for rule in &self.rules {
            rows.set("tenant", tenant)
                .set("repository", repository)
                .set("ref", reference)
                .set("path", path)
                .set("line", i64::try_from(rule.line).unwrap_or(i64::MAX))
                .set("pattern", rule.pattern.as_str())
                .set("owners", serde_json::json!(rule.owners).to_string())
                .set("content_hash", blob);
            rows.end_row().map_err(|e| e.to_string())?;
        }
        Ok(self.rules.len() as u64)
    }
}

/// Pattern and owners: words apart by white space, which a backslash keeps; `#` begins a comment.
fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut letters = line.trim().chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek().is_some_and(|next| next.is_whitespace() || *next == '#') => {
                word.extend(letters.next())
            }
            '#' if word.is_empty() => break,
            space if space.is_whitespace() => {
                if !word.is_empty() {
                    found.push(std::mem::take(&mut word));
                }
            }
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        found.push(word);
    }
    found
}

/// A pattern as an expression over whole paths.
fn regex(pattern: &str) -> Result<Regex, Reason> {
    if pattern.contains("***") {
        return Err("a pattern has no ***".to_owned());
    }
    let body = pattern.strip_prefix('/').unwrap_or(pattern);
    let (body, only_folders) = body.strip_suffix('/').map_or((body, false), |body| (body, true));
    if body.is_empty() {
        return Err("the pattern is empty".to_owned());
    }
    let segments: Vec<&str> = body.split('/').collect();
    // What lies below any folder lies below the folder itself.
    let only_folders = only_folders && segments.last() != Some(&"**");
    // A pattern with a slash before its end begins at the root; the others may begin in any folder.
    let anchored = pattern.starts_with('/') || segments.len() > 1;
    let mut out = String::from(if anchored { "^" } else { "^(?:.*/)?" });
    for (i, segment) in segments.iter().enumerate() {
        let (first, last) = (i == 0, i + 1 == segments.len());
        match (*segment, first, last) {
            ("**", true, true) => out.push_str(".*"),
            ("**", true, false) => out.push_str("(?:.*/)?"),
            ("**", false, true) => out.push_str(".+"),
            ("**", false, false) => out.push_str("(?:.*/)?"),
            (other, ..) => {
                translate(other, &mut out);
                out.push_str(if last { "" } else { "/" });
            }
        }
    }
    let lone_star = segments.last() == Some(&"*") && anchored;
    out.push_str(match (only_folders, lone_star) {
        (true, _) => "/.+$",
        // A last star means files of that folder, not what lies deeper.
        (false, true) => "$",
        (false, false) => "(?:/.*)?$",
    });
    Regex::new(&out).map_err(|e| e.to_string())
}

fn translate(segment: &str, out: &mut String) {
    let mut letters = segment.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '\\' => out.push_str(&regex::escape(&letters.next().unwrap_or('\\').to_string())),
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_paths() {
        for (pattern, hits, misses) in [
            ("foo", "foo foo/bar bar/foo bar/foo/baz", "foo.txt bar/baz"),
            ("/foo/", "foo/bar", "foo bar/foo/x"),
            ("foo/*", "foo/bar", "foo foo/bar/baz bar/foo/x"),
            ("/*", "a", "a/b"),
            ("**/foo/bar", "foo/bar qux/foo/bar/baz", "foo/baz/bar"),
            ("a/**/b", "a/b a/x/y/b", "c/a/b"),
            ("a/**", "a/b a/b/c", "a b/a/c"),
            ("a/**/", "a/b a/b/c", "a b/a/c"),
            ("**", "a a/b", ""),
            ("**/*", "a a/b", ""),
            ("a**b", "ab axb", "a/b"),
            ("/a/*/c", "a/b/c a/b/c/d", "a/c a/b/x/c"),
            ("/apps/[p]/f.ts", "apps/[p]/f.ts", "apps/p/f.ts"),
            ("f\\*o", "f*o", "foo"),
            ("*.rs", "a.rs x/b.rs", "a.rsx"),
        ] {
            let regex = regex(pattern).unwrap();
            hits.split(' ').for_each(|path| assert!(regex.is_match(path), "{pattern} takes {path}"));
            misses.split_whitespace().for_each(|path| assert!(!regex.is_match(path), "{pattern} leaves {path}"));
        }
    }

    #[test]
    fn the_last_line_decides() {
        let read = Codeowners::read("# all\n* @org/all\n*.md @docs a@b.de # text\n/free/\n/a\\ b/ @x\n");
        assert_eq!(read.rules.len(), 4);
        assert_eq!(read.of("x.rs"), ["@org/all"]);
        assert_eq!(read.of("x/y.md"), ["@docs", "a@b.de"]);
        assert!(read.of("free/x.rs").is_empty());
        assert_eq!(read.of("a b/c"), ["@x"]);
        assert_eq!(read.rule("x/y.md").unwrap().line, 3);
    }
}
