//! `make bench`: the real binary and its peers, side by side on this machine. Every suite is one file and one line of
//! [`SUITES`]; what it finds is data (`results/<suite>.json`), and one page is rendered from that data.
//!
//! `make bench ARGS="logs start"` runs two suites, `ARGS=--list` names them, `ARGS=--quick` runs everything at a tenth
//! of the size and leaves the tracked results alone. Figures count on a quiet machine only; the driver says when it is
//! not.

mod ado;
#[allow(dead_code)]
#[path = "../tests/simulated/kubernetes.rs"]
mod api_server;
mod audit;
mod budget;
mod bytes;
mod clickbench;
mod data;
mod decoded;
mod embed;
mod focus;
mod growth;
#[allow(dead_code)]
#[path = "../tests/harness.rs"]
mod harness;
mod jobs;
mod kubernetes;
mod ledger;
mod load;
mod logs;
mod machine;
mod needle;
#[allow(dead_code)]
#[path = "../tests/simulated/ado"]
mod organization {
    pub mod clock;
    mod date;
    pub mod door;
    pub mod world;
}
mod page;
mod peer;
mod policy;
mod postgres;
mod questions;
mod redaction;
mod report;
mod retrieval;
mod search;
mod signals;
mod start;
mod takers;
mod traffic;
mod ways;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use report::Report;

/// One thing to measure.
pub struct Suite {
    /// Name on the command line and of its file.
    pub name: &'static str,
    /// What its figures show.
    pub shows: &'static str,
    run: fn(&Context) -> Report,
}

/// Every suite, in the order of the page.
pub const SUITES: &[Suite] = &[
    Suite { name: "logs", shows: "durable OTLP logs: rate, server CPU and time to the ack", run: logs::run },
    Suite { name: "signals", shows: "durable spans and metric points, against logs by bytes", run: signals::run },
    Suite { name: "questions", shows: "20 dashboard and needle questions over logs and spans", run: questions::run },
    Suite {
        name: "clickbench",
        shows: "ClickBench's 43 questions on generated rows of its schema",
        run: clickbench::run,
    },
    Suite { name: "bytes", shows: "bytes on disk a log row, data and indexes", run: bytes::run },
    Suite { name: "focus", shows: "FOCUS rows: load, and the commonest questions about cost", run: focus::run },
    Suite {
        name: "ledger",
        shows: "FOCUS rows against the rules; 1,000 nodes over 30 days spread over who used them",
        run: ledger::run,
    },
    Suite { name: "needle", shows: "looking up a trace while logs arrive at half capacity", run: needle::run },
    Suite {
        name: "growth",
        shows: "acks after 10,000 flushes, memory under dashboards, start with age",
        run: growth::run,
    },
    Suite { name: "budget", shows: "reserve and post a second, durable; how long a decision takes", run: budget::run },
    Suite {
        name: "jobs",
        shows: "durable jobs, workflows and web hooks a second; schedules, rules and restarts in time",
        run: jobs::run,
    },
    Suite { name: "policy", shows: "10,000 pods by every policy: seconds on one core, memory", run: policy::run },
    Suite {
        name: "redaction",
        shows: "redaction: rate, recall and precision, and what ingest pays for it",
        run: redaction::run,
    },
    Suite {
        name: "kubernetes",
        shows: "25,000 pods listed and watched: memory, first full table, time to visible",
        run: kubernetes::run,
    },
    Suite {
        name: "ado",
        shows: "35,000 entities of Azure DevOps from nothing: the budget used, time, memory",
        run: ado::run,
    },
    Suite {
        name: "audit",
        shows: "the audit log's tree: rows a second, alone and durable in the state database",
        run: audit::run,
    },
    Suite {
        name: "embed",
        shows: "tokens a second embedded on the processor, and what int8 costs in quality",
        run: embed::run,
    },
    Suite {
        name: "retrieval",
        shows: "full text, vectors and fusion on one core, beside seven peers",
        run: retrieval::run,
    },
    Suite { name: "search", shows: "documents indexed by the real binary, and questions over HTTP", run: search::run },
    Suite { name: "start", shows: "ready after kill -9 with a long log to read again", run: start::run },
];

/// A tenth of the size: enough to see that everything works, too little to quote.
const QUICK_SCALE: f64 = 0.1;

/// What every suite is given.
pub struct Context {
    /// A trial run: its figures are not kept.
    pub quick: bool,
    /// Share of the full size, 1 or [`QUICK_SCALE`].
    pub scale: f64,
    /// A folder on the disk that is measured, kept between runs.
    pub folder: PathBuf,
    /// The interpreter that has the Python peers, if they could be installed.
    pub python: Option<PathBuf>,
    /// The interpreter that has LiteLLM, which does not go together with the other peers.
    pub litellm: Option<PathBuf>,
    /// The folder with the peers' binaries.
    pub peers: PathBuf,
}

impl Context {
    fn new(quick: bool) -> Context {
        let cache = cache();
        let name = if quick { "bench-quick" } else { "bench" };
        let folder = cache.join(name);
        std::fs::create_dir_all(&folder).expect("the folder for measurements can be made");
        let of = |venv: &str| Some(cache.join(venv).join("bin/python")).filter(|path| path.exists());
        let (python, litellm) = (of("bench-venv"), of("litellm-venv"));
        let scale = if quick { QUICK_SCALE } else { 1.0 };
        Context { quick, scale, folder, python, litellm, peers: cache.join("peers/bin") }
    }

    /// Progress, on stderr.
    pub fn say(&self, what: impl std::fmt::Display) {
        eprintln!("bench: {what}");
    }

    /// A whole number of things at this run's size, at least one.
    pub fn scaled(&self, full: usize) -> usize {
        // Sizes are far below 2^52.
        ((full as f64 * self.scale).round() as usize).max(1)
    }

    /// The binary of a peer, if it was installed.
    pub fn peer(&self, name: &str) -> Option<PathBuf> {
        Some(self.peers.join(name)).filter(|path| path.exists())
    }
}

/// Where `deploy/setup` puts what it installs.
fn cache() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = || set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    set("STELLWERK_CACHE").or_else(|| user().map(|user| user.join("stellwerk"))).expect("HOME is set")
}

/// Where results are written: the tracked folder, or for a trial the build's own.
fn results(quick: bool) -> PathBuf {
    if quick {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-quick")
    } else {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results")
    }
}

/// What the command line asks for.
struct Wanted {
    quick: bool,
    list: bool,
    suites: Vec<&'static Suite>,
}

impl Wanted {
    fn parse(args: impl Iterator<Item = String>) -> Result<Wanted, String> {
        let mut wanted = Wanted { quick: false, list: false, suites: Vec::new() };
        for arg in args {
            match arg.as_str() {
                // Cargo adds this one.
                "--bench" => {}
                "--quick" => wanted.quick = true,
                "--list" => wanted.list = true,
                name => wanted.suites.push(find(name)?),
            }
        }
        if wanted.suites.is_empty() {
            wanted.suites = SUITES.iter().collect();
        }
        Ok(wanted)
    }
}

fn find(name: &str) -> Result<&'static Suite, String> {
    let names = || SUITES.iter().map(|suite| suite.name).collect::<Vec<_>>().join(", ");
    SUITES
        .iter()
        .find(|suite| suite.name == name)
        .ok_or_else(|| format!("{name} is no suite: --quick, --list, {}", names()))
}

/// Runs one suite and writes what it found; false when it broke.
fn measure(suite: &Suite, context: &Context, folder: &Path) -> bool {
    context.say(format_args!("=== {}: {}", suite.name, suite.shows));
    machine::warn_if_busy();
    let begun = Instant::now();
    let Ok(report) = catch_unwind(AssertUnwindSafe(|| (suite.run)(context))) else {
        harness::skipped(&format!("suite {}", suite.name), "it broke, see above; its last results stay as they were");
        return false;
    };
    let document = report.document(suite, context, begun.elapsed());
    let path = folder.join(format!("{}.json", suite.name));
    std::fs::write(&path, format!("{document:#}\n")).expect("the results folder takes a file");
    eprint!("{}", page::verdicts(&document));
    context.say(format_args!("{} took {:.0} s: {}", suite.name, begun.elapsed().as_secs_f64(), path.display()));
    true
}

fn main() -> ExitCode {
    let wanted = match Wanted::parse(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(why) => {
            eprintln!("bench: {why}");
            return ExitCode::from(2);
        }
    };
    if wanted.list {
        SUITES.iter().for_each(|suite| println!("{:<11} {}", suite.name, suite.shows));
        return ExitCode::SUCCESS;
    }
    let context = Context::new(wanted.quick);
    let folder = results(wanted.quick);
    std::fs::create_dir_all(&folder).expect("the results folder can be made");
    let whole = wanted.suites.iter().filter(|suite| !measure(suite, &context, &folder)).count() == 0;
    let page = folder.join("README.md");
    std::fs::write(&page, page::render(&folder)).expect("the results folder takes a file");
    context.say(format_args!("the page: {}", page.display()));
    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
