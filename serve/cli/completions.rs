//! `stellwerk completions`: the completion script of a shell, from the same declarations as the help.

use clap::{Args, CommandFactory};
use engine::Result;

use super::exit::Exit;
use super::{Cli, print};

const AFTER: &str = "\
Examples:
  stellwerk completions bash > ~/.local/share/bash-completion/completions/stellwerk
  stellwerk completions zsh > ~/.zfunc/_stellwerk";

/// Print the completion script of a shell.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Completions {
    /// Which shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl Completions {
    /// Prints it.
    pub fn run(self) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "stellwerk", &mut script);
        print::text(&String::from_utf8_lossy(&script))
    }
}
