//! `stellwerk codeowners`: who owns a path, by GitHub's rules, without a store.

use std::path::PathBuf;
use std::sync::Arc;

use ::ingest::git::codeowners::Codeowners as Rules;
use clap::{Args, ValueEnum};
use engine::arrow::array::{ArrayRef, StringArray};
use engine::{Error, Result};

use super::exit::Exit;
use super::{print, tables};

const AFTER: &str = "\
The last line that matches a path decides; a line without owners takes them away.

Exit codes: 0 every path has an owner, 1 a path has none or a line of the file is no rule, 2 the file cannot be read.

Examples:
  stellwerk codeowners .github/CODEOWNERS src/main.rs docs/index.md
  git diff --name-only main | xargs stellwerk codeowners CODEOWNERS --format json";

/// Tell who owns paths by a CODEOWNERS file.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Codeowners {
    /// The CODEOWNERS file.
    file: PathBuf,
    /// Paths within the repository.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// How the owners are written.
    #[arg(long, value_enum, default_value = "table")]
    format: OwnersFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OwnersFormat {
    /// Aligned columns for people.
    Table,
    /// One JSON document.
    Json,
}

impl Codeowners {
    /// Tells.
    pub fn run(self) -> Result<Exit> {
        let text = std::fs::read_to_string(&self.file);
        let text = text.map_err(|e| Error::invalid(format!("read {}: {e}", self.file.display())))?;
        let rules = Rules::read(&text);
        for (line, words, reason) in &rules.refused {
            eprintln!("{}, line {line}: {reason}: {words}", self.file.display());
        }
        print::text(&match self.format {
            OwnersFormat::Table => table(&rules, &self.paths)?,
            OwnersFormat::Json => format!("{:#}\n", document(&rules, &self.paths)),
        })?;
        let owned = self.paths.iter().all(|path| !rules.of(path).is_empty());
        Ok(Exit(if owned && rules.refused.is_empty() { Exit::OK } else { Exit::PROBLEMS }))
    }
}

fn table(rules: &Rules, paths: &[String]) -> Result<String> {
    let cells = |cell: &dyn Fn(&str) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(paths.iter().map(|path| cell(path))))
    };
    tables::aligned(vec![
        ("path", cells(&str::to_owned)),
        ("owners", cells(&|path| rules.of(path).join(" "))),
        ("line", cells(&|path| rules.rule(path).map(|rule| rule.line.to_string()).unwrap_or_default())),
        ("pattern", cells(&|path| rules.rule(path).map(|rule| rule.pattern.clone()).unwrap_or_default())),
    ])
}

fn document(rules: &Rules, paths: &[String]) -> serde_json::Value {
    let entry = |path: &String| {
        let rule = rules.rule(path);
        serde_json::json!({
            "path": path, "owners": rules.of(path), "line": rule.map(|rule| rule.line), "pattern": rule.map(|rule| &rule.pattern),
        })
    };
    serde_json::Value::Array(paths.iter().map(entry).collect())
}
