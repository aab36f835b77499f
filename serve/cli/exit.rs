//! How a command ends.

use std::process::ExitCode;

use engine::{Error, Kind};

use crate::http::problem::in_one_line;

/// A command's exit code when it could do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// Done, nothing wrong.
    pub const OK: u8 = 0;
    /// Done, but the thing asked about has problems.
    pub const PROBLEMS: u8 = 1;
    /// Wrong usage, or input that cannot be read.
    pub const USAGE: u8 = 2;
    /// The store, a server or the disk is unavailable.
    pub const UNAVAILABLE: u8 = 3;
    /// Ended by a signal of the person at the keyboard.
    pub const INTERRUPTED: u8 = 130;
}

/// Says on one line what went wrong, and answers with its exit code.
pub fn report(error: &Error) -> ExitCode {
    say(error);
    ExitCode::from(code(error))
}

/// Says on one line what went wrong.
pub fn say(error: &Error) {
    use std::io::Write;
    let line = in_one_line(error).replace('\n', " ");
    let _ = writeln!(std::io::stderr(), "stellwerk: {line}");
}

/// Says on one line what happens.
pub fn note(what: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "stellwerk: {}", what.replace('\n', " "));
}

/// The exit code of an error.
pub fn code(error: &Error) -> u8 {
    match error.kind() {
        Kind::Invalid | Kind::NotFound | Kind::Denied | Kind::TooLarge => Exit::USAGE,
        Kind::Limit => Exit::PROBLEMS,
        Kind::Conflict | Kind::Overloaded { .. } | Kind::Unavailable | Kind::Corrupt | Kind::Internal => {
            Exit::UNAVAILABLE
        }
    }
}
