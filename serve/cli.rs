//! The command line: one file a command.

mod ado;
mod answer;
mod approval;
mod audit;
mod backup;
mod budget;
mod codeowners;
mod completions;
pub mod context;
mod cost;
pub mod embedder;
mod erase;
mod eval;
pub mod exit;
mod flow;
mod hold;
mod hook;
mod index;
mod ingest;
mod job;
mod key;
mod listing;
mod live;
mod logging;
mod model;
mod place;
mod policy;
mod price;
pub mod print;
mod redact;
mod retention;
mod rule;
mod sbom;
mod score;
mod search;
mod serve;
mod silence;
mod sql;
pub mod tables;
mod tenant;
mod upkeep;

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
    /// Answer a question from documents, work items and telemetry, with citations.
    Answer(answer::Answer),
    /// Find pieces of documents by words and by meaning.
    Search(search::Search),
    /// Look after the index of the search.
    #[command(subcommand)]
    Index(index::Index),
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
    /// Measure how good the search is on judged questions.
    #[command(subcommand)]
    Eval(eval::Eval),
    /// Fetch, list and check models that embed or answer.
    #[command(subcommand)]
    Model(model::Model),
    /// Put budgets in place, see how they stand, and spend of them.
    #[command(subcommand)]
    Budget(budget::Budget),
    /// Show every table, view and function, with its documentation.
    Tables(tables::Tables),
    /// Try the redaction of personal data and secrets on a text or on stored rows.
    #[command(subcommand)]
    Redact(redact::Redact),
    /// Register the service hooks of an Azure DevOps organization.
    #[command(subcommand)]
    Ado(ado::Ado),
    /// Rules: SELECTs whose rows decide.
    #[command(subcommand)]
    Rule(rule::Rule),
    /// Scorecards: what should be, as checks in SQL, by level.
    #[command(subcommand)]
    Score(score::Score),
    /// Jobs that follow from rules.
    #[command(subcommand, visible_alias = "jobs")]
    Job(job::Job),
    /// Flows: jobs of several steps.
    #[command(subcommand)]
    Flow(flow::Flow),
    /// What people are asked before something is done.
    #[command(subcommand)]
    Approval(approval::Approval),
    /// Tell nobody of some rows for a while.
    #[command(subcommand)]
    Silence(silence::Silence),
    /// Web hooks of others: what was delivered, and telling rules of it once more.
    #[command(subcommand)]
    Hook(hook::Hook),
    /// Make, list, rotate and end API keys.
    #[command(subcommand)]
    Key(key::Key),
    /// Apply and show what the directory says about tenants, teams and what they own.
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// Prove, export and recompute the audit log.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// See how long rows are kept, and delete what is past its time.
    #[command(subcommand)]
    Retention(retention::Retention),
    /// Place, list and release legal holds.
    #[command(subcommand)]
    Hold(hold::Hold),
    /// Erase a subject's data: plan it, have it approved, run it, keep the proof.
    #[command(subcommand)]
    Erase(erase::Erase),
    /// Back the store up, check backups, restore one.
    #[command(subcommand)]
    Backup(backup::Backup),
    /// Print the completion script of a shell.
    Completions(completions::Completions),
    /// Print the version.
    Version,
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse_from(erase::spelled_out(std::env::args_os().collect())) {
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
            Command::Answer(answer) => answer.run().await,
            Command::Search(search) => search.run().await,
            Command::Index(index) => index.run().await,
            Command::Ingest(ingest) => ingest.run().await,
            Command::Cost(cost) => cost.run().await,
            Command::Policy(policy) => policy.run().await,
            Command::Codeowners(codeowners) => codeowners.run(),
            Command::Sbom(sbom) => sbom.run().await,
            Command::Price(price) => price.run().await,
            Command::Eval(eval) => eval.run().await,
            Command::Model(model) => model.run().await,
            Command::Budget(budget) => budget.run().await,
            Command::Tables(tables) => tables.run().await,
            Command::Redact(redact) => redact.run().await,
            Command::Ado(ado) => ado.run().await,
            Command::Rule(rule) => rule.run().await,
            Command::Score(score) => score.run().await,
            Command::Job(job) => job.run().await,
            Command::Flow(flow) => flow.run().await,
            Command::Approval(approval) => approval.run().await,
            Command::Silence(silence) => silence.run().await,
            Command::Hook(hook) => hook.run().await,
            Command::Key(key) => key.run().await,
            Command::Tenant(tenant) => tenant.run().await,
            Command::Audit(audit) => audit.run().await,
            Command::Retention(retention) => retention.run().await,
            Command::Hold(hold) => hold.run().await,
            Command::Erase(erase) => erase.run().await,
            Command::Backup(backup) => backup.run().await,
            Command::Completions(completions) => completions.run(),
            Command::Version => print::text(&format!("stellwerk {}\n", env!("CARGO_PKG_VERSION"))),
        };
        done.map_or_else(|error| exit::report(&error), |exit| ExitCode::from(exit.0))
    }
}

#[cfg(test)]
mod tests;
