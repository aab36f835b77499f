//! `stellwerk serve`: opens the store, opens the doors, and closes both in order.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use engine::{Error, Result};
use index::search::room::Models;
use jobs::schedule::Sweeps;
use ledger::budget::Keeper;
use ledger::principal::Principal;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::context::ContextArgs;
use super::embedder::{EmbedderArgs, NOTHING_EMBEDS};
use super::exit::{self, Exit};
use super::place::{Place, duration};
use super::upkeep::Upkeep;
use crate::answers::ChatOptions;
use crate::auth::{Guard, bootstrap};
use crate::house::House;
use crate::http::listen::Doors;
use crate::models::Named;
use crate::{control, http, wire};

const AFTER: &str = "\
SIGTERM or Ctrl-C stops: no new requests, running ones end, everything in memory is flushed, exit code 0. A second signal
stops at once; what was acknowledged is in the log and is there after the next start.

Examples:
  stellwerk serve --data ./data                                     on 127.0.0.1:7480, keys needed
  stellwerk serve --data ./data --listen 127.0.0.1:0 --auth none    any free port, for a trial
  stellwerk serve --data ./data --listen 0.0.0.0:7480 --listen '[::]:7480'
  stellwerk serve --data ./data --kubernetes ~/.kube/config#prod    follows a cluster, too
  stellwerk serve --data ./data --store s3://bucket/prefix --store-option aws_endpoint=http://127.0.0.1:9000

The first start writes the key of the platform to DIR/bootstrap.key. `stellwerk key create` makes others.";

/// Run the server: HTTP, OTLP over HTTP and gRPC, webhooks, health and metrics.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Serve {
    /// Address to listen on, HTTP and gRPC alike; port 0 takes a free one. Repeat it for several.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:7480",
        env = "STELLWERK_LISTEN",
        value_delimiter = ','
    )]
    listen: Vec<SocketAddr>,
    /// How callers prove who they are; none is for loopback only.
    #[arg(long, value_enum, default_value = "key", env = "STELLWERK_AUTH")]
    auth: Auth,
    /// How long running requests may take to end when the server stops.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = duration, env = "STELLWERK_GRACE")]
    grace: Duration,
    /// How often tables are maintained: rows past their retention, compaction, indexes, old files.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration, env = "STELLWERK_MAINTAIN_EVERY")]
    maintain_every: Duration,
    /// Follow a Kubernetes cluster: FILE, FILE#CONTEXT or in-cluster. Repeat it for several.
    #[arg(long, value_name = "KUBECONFIG", env = "STELLWERK_KUBERNETES", value_delimiter = ',')]
    kubernetes: Vec<String>,
    /// Keep the index of the search up to date; off leaves it to `stellwerk index build`.
    #[arg(long, value_enum, default_value = "on", env = "STELLWERK_INDEX")]
    index: Switch,
    /// Run the rules of this folder, at their ticks.
    #[arg(long, value_name = "DIR", env = "STELLWERK_RULES")]
    rules: Option<PathBuf>,
    /// Whom actions of rules may reach (YAML): channels and hosts.
    #[arg(long, value_name = "FILE", env = "STELLWERK_ACTIONS")]
    actions: Option<PathBuf>,
    /// Evaluate the scorecards of this folder, as often as each says.
    #[arg(long, value_name = "DIR", env = "STELLWERK_SCORECARDS")]
    scorecards: Option<PathBuf>,
    /// Who may send web hooks to /hooks/NAME (YAML): scheme and secret of each.
    #[arg(long, value_name = "FILE", env = "STELLWERK_HOOKS")]
    hooks: Option<PathBuf>,
    /// For trials of faults: end by SIGKILL at a named point, POINT[:NTH[:DELAY_MS]].
    #[arg(long, value_name = "POINT", env = "STELLWERK_FAIL_AT", hide = true)]
    fail_at: Option<String>,
    #[command(flatten)]
    upkeep: Upkeep,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    embedder: EmbedderArgs,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    chat: ChatOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// It is done.
    On,
    /// It is not done.
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Auth {
    /// By a key: Authorization: Bearer, Basic with the key as password, or x-api-key.
    Key,
    /// Everybody is the platform's operator.
    None,
}

impl Serve {
    /// Runs until a signal.
    pub async fn run(self) -> Result<Exit> {
        if let Some(open) = self.listen.iter().find(|a| self.auth == Auth::None && !a.ip().is_loopback()) {
            return Err(Error::invalid(format!(
                "--auth none is for loopback only, and {open} is not: others would reach every tenant's rows"
            )));
        }
        self.fail_at.as_deref().map_or(Ok(()), engine::fault::arm)?;
        let mut signals = Signals::new()?;
        crate::resident::watch(self.place.settings().memory_bytes_max);
        self.context.wish()?;
        let models = Arc::new(Named::new(self.embedder.clone()).placing(self.context.clone()));
        let turned_to = index::search::remembered(&index::search::room::dir(&self.place.data));
        let embedder = models.open(None, turned_to.as_deref()).await?;
        if embedder.is_none() {
            tracing::warn!("{NOTHING_EMBEDS}");
        }
        let house = tokio::select! {
            opened = wire::open_with(self.place.settings(), models, embedder) => opened?,
            _ = signals.next() => return Ok(Exit(Exit::INTERRUPTED)),
        };
        let served = tokio::select! {
            served = self.serve(&house) => served,
            name = signals.next() => { tracing::info!(signal = name, "stopping before the doors were open"); Ok(None) }
        };
        let running = match served {
            Ok(running) => running,
            Err(error) => {
                house.close().await?;
                return Err(error);
            }
        };
        if running.is_some() {
            let name = signals.next().await;
            tracing::info!(signal = name, "stopping; a second signal stops at once");
        }
        tokio::select! {
            stopped = self.stop(&house, running) => stopped,
            name = signals.next() => {
                tracing::warn!(signal = name, "stopped at once; the log keeps what was acknowledged");
                // Not a return: that would wait for tasks that may hang.
                std::process::exit(i32::from(Exit::INTERRUPTED));
            }
        }
    }

    /// Opens every door.
    async fn serve(&self, house: &Arc<House>) -> Result<Option<Running>> {
        let data = &self.place.data;
        let guard = match self.auth {
            Auth::Key => Guard::Keys(Arc::clone(house)),
            Auth::None => Guard::Everybody(Principal::platform("anonymous")),
        };
        wire::answers(house, &self.chat)?;
        if let Some(path) = &self.hooks {
            let _ = house.senders.set(Arc::new(::ingest::hook::Senders::read(path)?));
        }
        let key = bootstrap::ensure(data, &house.directory).await?;
        let doors = Doors::new(Arc::clone(&house.metrics));
        let app = http::app(house, guard, axum::Router::new());
        let mut bound = Vec::with_capacity(self.listen.len());
        for address in &self.listen {
            let (listener, address) = Doors::bind(*address).await?;
            bound.push(address);
            doors.serve_tcp(listener, app.clone());
            if !address.ip().is_loopback() {
                tracing::warn!(%address, "keys travel in the clear to this address: put TLS in front of it");
            }
        }
        let socket = control::serve(house, data, &doors)?;
        let mut following = tokio::task::JoinSet::new();
        for word in &self.kubernetes {
            following.spawn(follow(Arc::clone(house), word.clone()));
        }
        match self.index {
            Switch::On => house.search.follow(),
            Switch::Off => house.search.leave(),
        }
        self.start_rules(house, &mut following).await?;
        house.budgets.begin().await?;
        let budgets = house.budgets.keep(&house.store);
        let sweeps = Sweeps::start(Arc::clone(&house.store), self.maintain_every).await?;
        let mut sweeps = vec![sweeps, Sweeps::run(self.upkeep.sweeps(house)).await?];
        sweeps.extend(super::score::keep(house, self.scorecards.as_deref()).await?);
        self.announce(&bound, key.as_ref(), house);
        Ok(Some(Running { doors, socket, sweeps, budgets, following }))
    }

    /// Loads the rules, says which of them are wrong, and runs the others from now on.
    async fn start_rules(&self, house: &Arc<House>, running: &mut tokio::task::JoinSet<()>) -> Result<()> {
        let settings = self.actions.as_deref().map(jobs::actions::Settings::read).transpose()?;
        let settings = settings.unwrap_or_default();
        house.set_hands(&settings)?;
        if let Some(links) = &settings.acknowledge {
            let _ = house.links.set(links.clone());
        }
        let found = self.rules.as_deref().map(jobs::rule::read_folder).transpose()?;
        for rule in found.iter().flatten().filter_map(|found| found.rule.as_ref().ok()) {
            for fault in jobs::actions::unknown_names(rule, &settings) {
                tracing::warn!(rule = rule.name, line = fault.line, "{}", fault.what);
            }
        }
        let runner = house.new_runner(Arc::new(house.world(settings)?));
        let runner = Arc::clone(house.runner.get_or_init(|| runner));
        if let Some(found) = found {
            for refused in runner.load(found).await? {
                tracing::error!(rule = refused, "a rule is wrong and does not run");
            }
        }
        // A SQLite database belongs to the owner of its data directory.
        let alone = house.store.settings().state.is_none();
        running.spawn(async move { runner.run(alone).await });
        Ok(())
    }

    /// Says where the doors are. The key itself is shown on a terminal only: pipes end in logs.
    fn announce(&self, bound: &[SocketAddr], key: Option<&bootstrap::Bootstrap>, house: &House) {
        let mut text: String = bound.iter().map(|address| format!("listening on http://{address}\n")).collect();
        text.push_str(
            "  POST /sql                              questions (JSON, CSV, Arrow, Parquet)\n  \
               POST /search /answer                   documents, and answers from them with citations\n  \
               GET  /tables                           the SQL reference\n  \
               POST /v1/traces /v1/logs /v1/metrics   OTLP over HTTP; over gRPC on the same port\n  \
               POST /budgets/reserve /post /void      spending in two phases\n  \
               GET  /scorecards                       how everybody stands\n  \
               GET  /retention /holds /erasures       what is kept, held and erased\n  \
               POST /hooks/ado                        Azure DevOps service hooks\n  \
               GET  /flows /approvals                 flows and what people are asked; POST .../votes\n  \
               POST /hooks/NAME                       web hooks of the senders in --hooks\n  \
               GET  /healthz /readyz /metrics         for the operator, without a key\n",
        );
        text.push_str(&match (self.auth, key) {
            (Auth::None, _) => "  no key is needed: everybody on this machine is the operator\n".to_owned(),
            (Auth::Key, Some(bootstrap::Bootstrap { fresh: Some(key), .. })) if std::io::stdout().is_terminal() => {
                format!("  key, shown this once: {key}\n")
            }
            (Auth::Key, Some(key)) => format!("  the platform's key lies in {}\n", key.path.display()),
            (Auth::Key, None) => "  the bootstrap key was revoked; `stellwerk key list` shows the others\n".to_owned(),
        });
        text.push_str(&match &house.embedder {
            Some(embedder) => format!("  POST /v1/embeddings                    vectors by {}\n", embedder.model()),
            None => format!("  {NOTHING_EMBEDS}\n"),
        });
        text.push_str(&format!("  shell: stellwerk sql --data {}\n", self.place.data.display()));
        let mut stdout = std::io::stdout();
        // Nobody may be reading; the server runs all the same.
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }

    async fn stop(&self, house: &House, running: Option<Running>) -> Result<Exit> {
        if let Some(Running { doors, socket, sweeps, budgets, mut following }) = running {
            following.shutdown().await;
            if let Err(late) = doors.close(self.grace).await {
                exit::say(&late);
            }
            drop(socket);
            for sweeps in sweeps {
                sweeps.stop().await;
            }
            budgets.stop().await;
        }
        house.close().await?;
        tracing::info!("stopped");
        Ok(Exit(Exit::OK))
    }
}

/// What runs until the server stops.
struct Running {
    doors: Doors,
    socket: control::place::Bound,
    sweeps: Vec<Sweeps>,
    budgets: Keeper,
    /// Clusters that are followed.
    following: tokio::task::JoinSet<()>,
}

/// How long a cluster waits that could not be followed at all: its kubeconfig is not there, the disk is full.
const FOLLOW_PAUSE: Duration = Duration::from_secs(10);

/// Follows a cluster for as long as the server runs.
async fn follow(house: Arc<House>, word: String) {
    let (home, wish) = super::live::home(&word);
    let options = ::ingest::FileOptions { live: Some(wish), ..Default::default() };
    loop {
        if let Err(error) = house.ingest("k8s", &home, &options, &::ingest::sources::Silent).await {
            tracing::error!(%error, cluster = word, "the cluster is not followed; it is tried again");
        }
        tokio::time::sleep(FOLLOW_PAUSE).await;
    }
}

/// The two signals that stop a server.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        let listen = |kind| signal(kind).map_err(|e| Error::unavailable("listen for signals", e));
        Ok(Signals { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
