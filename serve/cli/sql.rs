//! `stellwerk sql`: one question from the command line, a file or a pipe; or the shell.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use engine::{Error, Question, Result};

use super::exit::Exit;
use super::place::Place;
use super::print::{self, Sink};
use crate::output::Format;
use crate::reach::{Reach, reach};
use crate::shell;
use crate::shell::statement::statements;

const AFTER: &str = "\
Examples:
  stellwerk sql --data ./data                                  the shell, on a terminal
  stellwerk sql \"SELECT count(*) FROM otel_span\" --data ./data
  stellwerk sql --file report.sql --param 2026-09 --format csv --output report.csv --data ./data
  echo \"SELECT 1\" | stellwerk sql --data ./data --format json

Text formats write decimals exactly and instants as RFC 3339. JSON quotes decimals, so that no reader rounds them.";

/// Ask in SQL; without a question on a terminal, open the shell.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Sql {
    /// The question: one SELECT (EXPLAIN, SHOW and DESCRIBE work too).
    sql: Option<String>,
    /// Read the question from a file; - is stdin.
    #[arg(long, short, value_name = "FILE", conflicts_with = "sql")]
    file: Option<PathBuf>,
    /// Value of the next placeholder ($1, $2 … or ?). Repeat it.
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    param: Vec<String>,
    /// How the answer is written.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Write the answer to a file, which appears when it is whole.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// See only this tenant's rows.
    #[arg(long, value_name = "TENANT", env = "STELLWERK_TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl Sql {
    /// Asks, or opens the shell.
    pub async fn run(self) -> Result<Exit> {
        let Some(text) = self.text()? else {
            let reach = reach(&self.place.settings(), false).await?;
            return shell::run(reach, &self.place.data, self.format, self.tenant).await;
        };
        let asked = statements(&text);
        if asked.is_empty() {
            return Err(Error::invalid("the question is empty"));
        }
        if asked.len() > 1 && self.format != Format::Table {
            return Err(Error::invalid(format!(
                "{} questions have no one answer in this format; ask one, or use --format table",
                asked.len()
            )));
        }
        let mut sink = Sink::open(self.output.as_deref())?;
        if self.format.is_binary() && sink.is_terminal() {
            return Err(Error::invalid("this format would upset the terminal; use --output FILE or a pipe"));
        }
        let reach = reach(&self.place.settings(), false).await?;
        let done = tokio::select! {
            done = self.ask(reach.as_ref(), &asked, &mut sink) => done,
            _ = tokio::signal::ctrl_c() => Ok(Exit(Exit::INTERRUPTED)),
        };
        let closed = reach.close().await;
        if matches!(done, Ok(Exit(Exit::OK))) {
            sink.finish()?;
        }
        done.and_then(|exit| closed.map(|()| exit))
    }

    async fn ask(&self, reach: &dyn Reach, asked: &[&str], sink: &mut Sink) -> Result<Exit> {
        for sql in asked {
            let started = Instant::now();
            let question = Question { sql: (*sql).to_owned(), params: self.param.clone() };
            let found = reach.ask(question, self.tenant.as_deref()).await?;
            let rows = print::answer(found, self.format, sink).await?;
            let Some(rows) = rows else { break };
            if self.format == Format::Table {
                sink.write(print::footer(rows, started.elapsed()).as_bytes())?;
            }
        }
        Ok(Exit(Exit::OK))
    }

    /// The question; `None` asks for the shell.
    fn text(&self) -> Result<Option<String>> {
        let stdin = || {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|e| Error::invalid(format!("read the question from stdin: {e}"))).map(|_| Some(text))
        };
        match (&self.sql, &self.file) {
            (Some(sql), _) => Ok(Some(sql.clone())),
            (None, Some(path)) if path.as_os_str() == "-" => stdin(),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path);
                text.map(Some).map_err(|e| Error::invalid(format!("read the question from {}: {e}", path.display())))
            }
            (None, None) if std::io::stdin().is_terminal() => Ok(None),
            (None, None) => stdin(),
        }
    }
}
