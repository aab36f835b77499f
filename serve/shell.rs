//! The interactive shell: SQL until `;`, backslash commands for the rest. Commands are parsed in `shell/command`, lines
//! are edited in `shell/editor`; this file runs them.

mod command;
mod editor;
pub mod statement;

use std::path::Path;
use std::time::Instant;

use engine::{Error, Question, Result};
use tokio::runtime::Handle;

use crate::cli::{exit, print, tables};
use crate::output::Format;
use crate::reach::Reach;
use crate::reference::Reference;
use command::Command;
use editor::{Editor, Line};

const GREETING: &str = "SQL ends with ;  \\? shows the commands, \\d the tables, \\q leaves.\n";

/// What a session remembers.
struct Session {
    reach: Box<dyn Reach>,
    reference: Reference,
    tenant: Option<String>,
    format: Format,
    timing: bool,
}

/// Runs the shell until its person leaves.
pub async fn run(reach: Box<dyn Reach>, data: &Path, format: Format, tenant: Option<String>) -> Result<exit::Exit> {
    let reference = reach.reference(false).await?;
    let session = Session { reach, reference, tenant, format, timing: true };
    let history = data.join(editor::HISTORY);
    // The editor blocks on the keyboard, so it lives on a thread of its own and calls the runtime from there.
    let handle = Handle::current();
    let talked = tokio::task::spawn_blocking(move || talk(session, &history, &handle)).await;
    talked.map_err(|e| Error::new(engine::Kind::Internal, format!("the shell broke: {e}")))?
}

fn talk(mut session: Session, history: &Path, handle: &Handle) -> Result<exit::Exit> {
    print::text(GREETING)?;
    let mut editor = Editor::open(history, &session.reference)?;
    loop {
        match editor.read()? {
            Line::Empty => {}
            Line::End => break,
            Line::Text(text) if text.trim_start().starts_with('\\') => {
                let ended = match Command::parse(&text) {
                    Ok(Command::Quit) => true,
                    Ok(command) => handle.block_on(session.obey(command))?,
                    Err(wrong) => {
                        exit::say(&wrong);
                        false
                    }
                };
                if ended {
                    break;
                }
            }
            Line::Text(text) => {
                for sql in statement::statements(&text) {
                    handle.block_on(session.ask(sql))?;
                }
            }
        }
    }
    editor.close();
    handle.block_on(session.reach.close())?;
    Ok(exit::Exit(exit::Exit::OK))
}

impl Session {
    /// Obeys a backslash command; `true` ends the shell.
    async fn obey(&mut self, command: Command) -> Result<bool> {
        match command {
            Command::Quit => return Ok(true),
            Command::Help => print::text(command::HELP)?,
            Command::Timing => {
                self.timing = !self.timing;
                print::text(if self.timing { "timing is on\n" } else { "timing is off\n" })?
            }
            Command::Format(format) => {
                self.format = format;
                exit::Exit(exit::Exit::OK)
            }
            Command::Tables => print::text(&tables::overview(&self.reference)?)?,
            Command::Functions => print::text(&tables::functions(&self.reference)?)?,
            Command::Describe(name) => match self.reference.table(&name) {
                Some(table) => print::text(&tables::detail(table)?)?,
                None => print::text(&format!("there is no table {name}; \\d lists them\n"))?,
            },
        };
        Ok(false)
    }

    /// Asks one question; Ctrl-C ends the question, not the shell. Errors are said, not passed on.
    async fn ask(&self, sql: &str) -> Result<()> {
        let started = Instant::now();
        let asking = async {
            let question = Question { sql: sql.to_owned(), params: Vec::new() };
            let found = self.reach.ask(question, self.tenant.as_deref()).await?;
            let mut sink = print::Sink::open(None)?;
            let rows = print::answer(found, self.format, &mut sink).await?;
            sink.finish()?;
            Ok::<_, Error>(rows)
        };
        let answered = tokio::select! {
            answered = asking => answered,
            _ = tokio::signal::ctrl_c() => {
                print::text("\ncancelled\n")?;
                return Ok(());
            }
        };
        match answered {
            Ok(Some(rows)) if self.timing && self.format == Format::Table => {
                print::text(&print::footer(rows, started.elapsed())).map(|_| ())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                exit::say(&error);
                Ok(())
            }
        }
    }
}
