//! The line editor: history in the data directory, completion of tables, columns, functions and words of SQL, several
//! lines until `;`.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use engine::{Error, Result};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Helper};

use super::statement::is_complete;
use crate::reference::Reference;

/// Name of the history in a data directory. It holds what was typed, so only its owner may read it.
pub const HISTORY: &str = "shell_history";
const HISTORY_LINES_MAX: usize = 10_000;

const WORDS: &[&str] = &[
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FILTER",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "RIGHT",
    "SELECT",
    "SHOW",
    "THEN",
    "TRUE",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
    "abs",
    "avg",
    "coalesce",
    "concat",
    "count",
    "date_part",
    "date_trunc",
    "first_value",
    "last_value",
    "lower",
    "max",
    "min",
    "now",
    "nullif",
    "regexp_like",
    "replace",
    "round",
    "row_number",
    "split_part",
    "sum",
    "to_timestamp",
    "trim",
    "upper",
];

/// One entry of the person at the keyboard.
pub enum Line {
    /// Questions or a command.
    Text(String),
    /// Nothing, or a line given up with Ctrl-C.
    Empty,
    /// Ctrl-D.
    End,
}

/// The editor over one history file.
pub struct Editor {
    lines: rustyline::Editor<Words, FileHistory>,
    history: PathBuf,
}

impl Editor {
    /// Opens the editor; a history that cannot be read is left out.
    pub fn open(history: &Path, reference: &Reference) -> Result<Editor> {
        let config = Config::builder().max_history_size(HISTORY_LINES_MAX).map_err(broken)?;
        let config =
            config.history_ignore_space(true).completion_type(CompletionType::List).auto_add_history(true).build();
        let mut lines = rustyline::Editor::with_config(config).map_err(broken)?;
        lines.set_helper(Some(Words::of(reference)));
        // Made by us, so that it has its mode before the first line is in it.
        let made = OpenOptions::new().create(true).append(true).mode(0o600).open(history);
        if made.is_ok() {
            let _ = lines.load_history(history);
        }
        Ok(Editor { lines, history: history.to_owned() })
    }

    /// The next entry.
    pub fn read(&mut self) -> Result<Line> {
        match self.lines.readline("stellwerk> ") {
            Ok(text) if text.trim().is_empty() => Ok(Line::Empty),
            Ok(text) => Ok(Line::Text(text)),
            Err(ReadlineError::Interrupted) => Ok(Line::Empty),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(broken(error)),
        }
    }

    /// Keeps the history.
    pub fn close(mut self) {
        if let Err(error) = self.lines.save_history(&self.history) {
            tracing::warn!(%error, "the history was not kept");
        }
    }
}

fn broken(error: ReadlineError) -> Error {
    Error::unavailable("read from the terminal", error)
}

/// Everything that Tab may complete to.
struct Words {
    tables: Vec<String>,
    others: Vec<String>,
}

impl Words {
    fn of(reference: &Reference) -> Words {
        let tables: Vec<String> = reference.tables.iter().map(|t| t.name.clone()).collect();
        let mut others: Vec<String> = WORDS.iter().map(|w| (*w).to_owned()).collect();
        others.extend(reference.tables.iter().flat_map(|t| t.columns.iter().map(|c| c.name.clone())));
        others.extend(reference.functions.iter().map(|f| f.name.clone()));
        others.extend(tables.iter().cloned());
        others.sort_by_key(|word| word.to_lowercase());
        others.dedup();
        Words { tables, others }
    }

    /// What the word before the cursor may become; behind FROM and JOIN only tables.
    fn candidates(&self, line: &str, at: usize) -> (usize, Vec<Pair>) {
        let before = &line[..at];
        let start = before
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
        let (left, word) = (&before[..start], &before[start..]);
        let previous = left.split_whitespace().last().unwrap_or_default();
        let wants_table = left.ends_with(char::is_whitespace)
            && ["from", "join", "\\d", "describe"].iter().any(|w| previous.eq_ignore_ascii_case(w));
        let pool = if wants_table { &self.tables } else { &self.others };
        if word.is_empty() && !wants_table {
            return (start, Vec::new());
        }
        let fits =
            |candidate: &&String| candidate.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        let pair = |text: &String| Pair { display: text.clone(), replacement: text.clone() };
        (start, pool.iter().filter(fits).map(pair).collect())
    }
}

impl Completer for Words {
    type Candidate = Pair;
    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(self.candidates(line, at))
    }
}

impl Validator for Words {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        let done = text.trim().is_empty() || text.trim_start().starts_with('\\') || is_complete(text);
        Ok(if done { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Hinter for Words {
    type Hint = String;
}
impl Highlighter for Words {}
impl Helper for Words {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tab_knows_what_may_stand_here() {
        let table = |name: &str| {
            serde_json::json!({"name": name, "kind": "table", "doc": "", "columns": [
            {"name": "BilledCost", "type": "DECIMAL", "required": true, "doc": ""}]})
        };
        let reference = serde_json::json!({"tables": [table("cost_line"), table("k8s_pod")], "functions": []});
        let reference: Reference = serde_json::from_value(reference).expect("a reference");
        let words = Words::of(&reference);
        let complete =
            |line: &str| words.candidates(line, line.len()).1.into_iter().map(|p| p.replacement).collect::<Vec<_>>();
        assert_eq!(complete("SELECT * FROM "), ["cost_line", "k8s_pod"]);
        assert_eq!(complete("SELECT * FROM CO"), ["cost_line"]);
        assert_eq!(complete("SELECT bill"), ["BilledCost"]);
        assert_eq!(complete("SELECT sum(bil"), ["BilledCost"]);
        assert_eq!(complete("select * from cost_line wh"), ["WHEN", "WHERE"]);
        assert_eq!(complete("SELECT 'ä"), Vec::<String>::new());
        assert_eq!(complete("SELECT "), Vec::<String>::new());
    }
}
