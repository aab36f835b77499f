//! `stellwerk audit`: proves, exports and recomputes the audit log.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use engine::clock::rfc3339;
use engine::place::lock::LockMode;
use engine::{Error, Result};
use ledger::audit::siem::Format;
use ledger::audit::verify::Finding;

use super::exit::Exit;
use super::place::{Place, duration, pair};
use super::print::{self, Sink};
use crate::reach::trust::{ExportWish, LockWish, RetireWish, Verification, VerifyWish};
use crate::reach::{Reach, reach};

const AFTER: &str = "\
Roots are signed with Ed25519 by the key in DIR/audit.key, every five minutes and when the process ends, into DIR/audit; what
was exported elsewhere also finds a database and a folder that were both rewritten.

Exit code of verify: 0 nothing is wrong, 1 something is, and the lines say where.

Examples:
  stellwerk audit verify --data ./data
  stellwerk audit verify --root ./elsewhere --data ./data         compares with the roots exported there
  stellwerk audit export --to s3://bucket/audit --data ./data     signs the log as it is and puts the root there
  stellwerk audit export --to s3://bucket/audit --lock 3650d --lock-mode compliance --data ./data
  stellwerk audit export --format cef --data ./data               the rows as lines for a SIEM, on stdout
  stellwerk audit prove 17 --data ./data                          a proof that row 17 is in the log
  stellwerk audit prove --from 100 --to 200 --data ./data         a proof that the log only grew
  stellwerk audit retire --older-than 365d --to ./archive --data ./data";

/// Prove, export and recompute the audit log.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Audit {
    /// Recompute everything and compare it with the signed roots; says what was changed, and where.
    Verify(Verify),
    /// Sign the log as it is and put the root somewhere; or write rows as lines for a SIEM.
    Export(Export),
    /// Prove that a row is in the log, or that the log only grew.
    Prove(Prove),
    /// Move old segments of 4,096 rows into files; the tree keeps their roots.
    Retire(Retire),
}

/// Recompute everything.
#[derive(Debug, Args)]
pub struct Verify {
    /// A signed root, or a folder or URL with some, beside those under DIR. Repeat it for several.
    #[arg(long = "root", value_name = "PLACE")]
    roots: Vec<String>,
    /// Option of the object store, as object_store names it. Repeat it for several.
    #[arg(long = "option", value_name = "K=V", value_parser = pair)]
    options: Vec<(String, String)>,
    /// A public key that may have signed (hexadecimal); without it, that of DIR/audit.key.
    #[arg(long = "key", value_name = "HEX")]
    keys: Vec<String>,
    /// Do not compare the ledger's tables with their commits in the log.
    #[arg(long)]
    log_only: bool,
    /// Show the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// How long what is put somewhere can neither be deleted nor replaced there.
#[derive(Debug, Args)]
pub(super) struct LockFor {
    /// Lock what is put there for so long: 365d. Only s3:// has locks, in a bucket that was made with Object Lock.
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "to")]
    lock: Option<Duration>,
    /// Who may lift the lock before: whoever the bucket's owner lets bypass it, or nobody.
    #[arg(long, value_enum, default_value = "governance", requires = "lock")]
    lock_mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Whoever the bucket's owner lets bypass it may lift it.
    Governance,
    /// Nobody may lift it.
    Compliance,
}

impl LockFor {
    /// What is asked of the place.
    pub(super) fn wish(&self) -> Option<LockWish> {
        let mode = match self.lock_mode {
            Mode::Governance => LockMode::Governance,
            Mode::Compliance => LockMode::Compliance,
        };
        self.lock.map(|time| LockWish { mode, for_s: time.as_secs() })
    }
}

/// Sign the root, or write rows.
#[derive(Debug, Args)]
pub struct Export {
    /// Where the signed root goes: a folder, or the URL of an object store. Without it and without --format: DIR/audit.
    #[arg(long, value_name = "PLACE")]
    to: Option<String>,
    /// Option of the object store, as object_store names it. Repeat it for several.
    #[arg(long = "option", value_name = "K=V", value_parser = pair)]
    options: Vec<(String, String)>,
    #[command(flatten)]
    lock: LockFor,
    /// Write the rows as lines of this form.
    #[arg(long, value_enum)]
    format: Option<LineFormat>,
    /// The first row that is written.
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    from: u64,
    /// The file that the rows are written to; without it, stdout.
    #[arg(long, value_name = "FILE", requires = "format")]
    output: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LineFormat {
    Jsonl,
    Cef,
    Ocsf,
}

/// Prove something.
#[derive(Debug, Args)]
pub struct Prove {
    /// The row, by its `seq`.
    #[arg(value_name = "SEQ", required_unless_present = "from", conflicts_with = "from")]
    seq: Option<u64>,
    /// Rows of the earlier log.
    #[arg(long, value_name = "ROWS")]
    from: Option<u64>,
    /// Rows of the later log, or of the one that holds the row; without it, the whole log.
    #[arg(long, value_name = "ROWS")]
    to: Option<u64>,
    #[command(flatten)]
    place: Place,
}

/// Move old segments into files.
#[derive(Debug, Args)]
pub struct Retire {
    /// Segments whose last row is older than this: 365d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    older_than: Duration,
    /// Where they go: a folder, or the URL of an object store.
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// Option of the object store, as object_store names it. Repeat it for several.
    #[arg(long = "option", value_name = "K=V", value_parser = pair)]
    options: Vec<(String, String)>,
    #[command(flatten)]
    lock: LockFor,
    /// Only say which.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Place,
}

impl Audit {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Audit::Verify(verify) => verify.run().await,
            Audit::Export(export) => export.run().await,
            Audit::Prove(prove) => prove.run().await,
            Audit::Retire(retire) => retire.run().await,
        }
    }
}

/// A place as the server finds it, whose working folder is another.
pub(super) fn absolute(place: String) -> Result<String> {
    if place.contains("://") {
        return Ok(place);
    }
    let path = std::path::absolute(&place).map_err(|e| Error::invalid(format!("{place}: {e}")))?;
    Ok(path.display().to_string())
}

impl Verify {
    async fn run(self) -> Result<Exit> {
        let roots = self.roots.into_iter().map(absolute).collect::<Result<_>>()?;
        let wish = VerifyWish { roots, options: self.options, keys: self.keys, tables: !self.log_only };
        let reach = reach(&self.place.settings(), false).await?;
        let found = reach.verify(wish).await;
        reach.close().await?;
        let found = found?;
        print::text(&if self.json { format!("{:#}\n", serde_json::json!(found)) } else { shown(&found) })?;
        Ok(Exit(if found.is_good() { Exit::OK } else { Exit::PROBLEMS }))
    }
}

fn shown(found: &Verification) -> String {
    let log = &found.log;
    let mut text = String::new();
    let tables = found.tables.iter().flat_map(|tables| &tables.findings);
    for Finding { wrong, from, to, why } in log.findings.iter().chain(&found.retired).chain(tables) {
        let word = serde_json::json!(wrong);
        let at = if from == to { format!("row {from}") } else { format!("rows {from} to {to}") };
        text.push_str(&format!("{at}: {}: {why}\n", word.as_str().unwrap_or_default()));
    }
    if log.more > 0 {
        text.push_str(&format!("and {} more\n", log.more));
    }
    text.push_str(&format!(
        "log {}: {} rows recomputed, {} retired, {} with an erased name; {} roots of groups and {} signed roots compared, {} rows under the last one\n",
        log.log, log.rows, log.retired, log.erased, log.commits, log.signed_roots, log.signed_rows,
    ));
    if let Some(tables) = &found.tables {
        text.push_str(&format!(
            "tables: {} rows of {} commits compared, {} commits superseded since, {} rows without a commit\n",
            tables.rows, tables.commits, tables.superseded, tables.unwitnessed,
        ));
    }
    text.push_str(if found.is_good() { "nothing was changed\n" } else { "something was changed\n" });
    text
}

impl Export {
    async fn run(self) -> Result<Exit> {
        let to = self.to.map(absolute).transpose()?;
        let reach = reach(&self.place.settings(), false).await?;
        let mut said = String::new();
        let done = async {
            if to.is_some() || self.format.is_none() {
                let wish = ExportWish { to: to.clone(), options: self.options, lock: self.lock.wish() };
                let root = reach.export_root(wish).await?;
                let at = rfc3339(root.at_us);
                said = format!("{} rows, root {}, signed {at} by {}\n", root.size, root.root, root.key);
            }
            match self.format {
                Some(format) => lines(&*reach, format, self.from, self.output.as_deref()).await,
                None => Ok(()),
            }
        };
        let done = done.await;
        reach.close().await?;
        done?;
        // Lines on stdout are for a program; what was signed is then said beside them.
        if self.format.is_some() && !said.is_empty() {
            eprint!("{said}");
            return Ok(Exit(Exit::OK));
        }
        print::text(&said)
    }
}

async fn lines(reach: &dyn Reach, format: LineFormat, from: u64, output: Option<&std::path::Path>) -> Result<()> {
    let format = match format {
        LineFormat::Jsonl => Format::Jsonl,
        LineFormat::Cef => Format::Cef,
        LineFormat::Ocsf => Format::Ocsf,
    };
    let mut sink = Sink::open(output)?;
    let mut next = Some(from);
    while let Some(from) = next {
        let page = reach.events(from, format).await?;
        let text: String = page.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        if !sink.write(text.as_bytes())? {
            return Ok(());
        }
        next = page.next;
    }
    sink.finish()
}

impl Prove {
    async fn run(self) -> Result<Exit> {
        let reach = reach(&self.place.settings(), false).await?;
        let proof = match (self.seq, self.from) {
            (Some(seq), _) => reach.prove_row(seq, self.to).await.map(|proof| serde_json::json!(proof)),
            (None, from) => reach.prove_growth(from.unwrap_or(0), self.to).await.map(|proof| serde_json::json!(proof)),
        };
        reach.close().await?;
        print::text(&format!("{:#}\n", proof?))
    }
}

impl Retire {
    async fn run(self) -> Result<Exit> {
        let wish = RetireWish {
            older_than_s: self.older_than.as_secs(),
            to: absolute(self.to)?,
            options: self.options,
            lock: self.lock.wish(),
            dry_run: self.dry_run,
        };
        let reach = reach(&self.place.settings(), false).await?;
        let retired = reach.retire(wish).await;
        reach.close().await?;
        let mut text: String = retired?
            .iter()
            .map(|s| {
                format!(
                    "segment {}: rows {} to {}, complete since {}\n",
                    s.segment,
                    s.from,
                    s.to,
                    rfc3339(s.sealed_at_us)
                )
            })
            .collect();
        if text.is_empty() {
            text = "no segment is that old\n".to_owned();
        }
        print::text(&text)
    }
}
