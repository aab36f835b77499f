//! The command line: one file a command.

mod ado;
mod codeowners;
mod completions;
mod cost;
pub mod exit;
mod ingest;
mod key;
mod live;
mod logging;
mod place;
mod policy;
mod price;
pub mod print;
mod redact;
mod sbom;
mod serve;
mod sql;
pub mod tables;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Exit;

const AFTER: &str = "\
Exit codes:
  0  done, nothing wrong
  1  done, but the thing asked about has problems (violations, a refused file, a limit reached)
  2  wrong usage, or input that cannot be read
  3  the store, a server or the disk is unavailable

Examples:
  stellwerk serve --data ./data
  stellwerk ingest cost ./exports/2026-09.csv --data ./data
  stellwerk sql \"SELECT ServiceName, sum(BilledCost) FROM cost_line GROUP BY 1\" --data ./data
  stellwerk tables cost_line --data ./data
  stellwerk policy audit --policies ./policies --data ./data

STELLWERK_DATA and the other variables that the options name stand in for them. RUST_LOG sets the log level.";

/// An internal platform's signal box: one store for cost, telemetry, Kubernetes and Azure DevOps, asked in SQL.
#[derive(Debug, Parser)]
#[command(name = "stellwerk", version, after_help = AFTER, max_term_width = 110, propagate_version = true)]
pub struct Cli {
    /// How log lines on stderr look.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        env = "STELLWERK_LOG_FORMAT",
        help_heading = "Logging"
    )]
    log_format: logging::LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: HTTP, OTLP over HTTP and gRPC, webhooks, health and metrics.
    Serve(serve::Serve),
    /// Ask in SQL; without a question on a terminal, open the shell.
    Sql(sql::Sql),
    /// Read files into the store.
    Ingest(ingest::Ingest),
    /// Check cost files against FOCUS, and spread costs over who caused them.
    #[command(subcommand)]
    Cost(cost::Cost),
    /// Run suites of policies, and audit the stored objects by them.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Tell who owns paths by a CODEOWNERS file.
    Codeowners(codeowners::Codeowners),
    /// Compare software bills of materials.
    #[command(subcommand)]
    Sbom(sbom::Sbom),
    /// Read price lists, price usage, and find what has no price.
    #[command(subcommand, alias = "prices")]
    Price(price::Price),
    /// Show every table, view and function, with its documentation.
    Tables(tables::Tables),
    /// Try the redaction of personal data and secrets on a text or on stored rows.
    #[command(subcommand)]
    Redact(redact::Redact),
    /// Register the service hooks of an Azure DevOps organization.
    #[command(subcommand)]
    Ado(ado::Ado),
    /// Make, list and end API keys.
    #[command(subcommand)]
    Key(key::Key),
    /// Print the completion script of a shell.
    Completions(completions::Completions),
    /// Print the version.
    Version,
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // clap's own code for wrong usage is ours too; help and version are no errors.
            let _ = usage.print();
            return ExitCode::from(if usage.use_stderr() { Exit::USAGE } else { Exit::OK });
        }
    };
    logging::start(cli.log_format, matches!(cli.command, Command::Serve(_)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&engine::Error::unavailable("start the runtime", error)),
    };
    let code = runtime.block_on(cli.command.run());
    // A blocking read of a terminal or of stdin may still hang; it holds nothing that matters.
    runtime.shutdown_background();
    code
}

/// Planning a deep expression recurses; a worker's default of 2 MiB is soon used up in a build without optimisation.
const STACK_BYTES: usize = 16 << 20;

impl Command {
    async fn run(self) -> ExitCode {
        let done = match self {
            Command::Serve(serve) => serve.run().await,
            Command::Sql(sql) => sql.run().await,
            Command::Ingest(ingest) => ingest.run().await,
            Command::Cost(cost) => cost.run().await,
            Command::Policy(policy) => policy.run().await,
            Command::Codeowners(codeowners) => codeowners.run(),
            Command::Sbom(sbom) => sbom.run().await,
            Command::Price(price) => price.run().await,
            Command::Tables(tables) => tables.run().await,
            Command::Redact(redact) => redact.run().await,
            Command::Ado(ado) => ado.run().await,
            Command::Key(key) => key.run().await,
            Command::Completions(completions) => completions.run(),
            Command::Version => print::text(&format!("stellwerk {}\n", env!("CARGO_PKG_VERSION"))),
        };
        done.map_or_else(|error| exit::report(&error), |exit| ExitCode::from(exit.0))
    }
}

#[cfg(test)]
mod tests;
