//! The backslash commands.

use engine::{Error, Result};

use crate::output::Format;

/// What `\?` shows.
pub const HELP: &str = "\
SELECT …;        ask; the question may have several lines and ends with ;
\\d               the tables, state tables and views
\\d TABLE         its columns, key, indexes and retention
\\df              the functions beyond the standard ones
\\format FORMAT   table, json, jsonl or csv
\\timing          show rows and time, or stop doing so
\\q               leave (Ctrl-D too); Ctrl-C cancels a running question
";

/// One backslash command.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// `\q`
    Quit,
    /// `\?`
    Help,
    /// `\timing`
    Timing,
    /// `\format F`
    Format(Format),
    /// `\d`
    Tables,
    /// `\df`
    Functions,
    /// `\d TABLE`
    Describe(String),
}

impl Command {
    /// The command of a line that begins with a backslash.
    pub fn parse(line: &str) -> Result<Command> {
        let line = line.trim().trim_end_matches(';').trim_end();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match (word, rest.trim()) {
            ("\\q" | "\\quit" | "\\exit", "") => Ok(Command::Quit),
            ("\\?" | "\\h" | "\\help", _) => Ok(Command::Help),
            ("\\timing", "") => Ok(Command::Timing),
            ("\\d" | "\\dt" | "\\dv", "") => Ok(Command::Tables),
            ("\\df", "") => Ok(Command::Functions),
            ("\\d" | "\\d+", table) => Ok(Command::Describe(table.trim_matches('"').to_owned())),
            ("\\format", name) => match Format::named(name).filter(|f| !f.is_binary()) {
                Some(format) => Ok(Command::Format(format)),
                None => Err(Error::invalid("\\format takes table, json, jsonl or csv")),
            },
            _ => Err(Error::invalid(format!("{word} is no command here; \\? shows them"))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        for (line, expected) in [
            ("\\q", Command::Quit),
            (" \\d ", Command::Tables),
            ("\\d \"CostAndUsage\";", Command::Describe("CostAndUsage".to_owned())),
            ("\\format csv", Command::Format(Format::Csv)),
            ("\\df", Command::Functions),
            ("\\timing", Command::Timing),
            ("\\? d", Command::Help),
        ] {
            assert_eq!(Command::parse(line).unwrap(), expected, "{line}");
        }
        for wrong in ["\\format parquet", "\\format", "\\x", "\\q now"] {
            assert!(Command::parse(wrong).is_err(), "{wrong}");
        }
    }
}
