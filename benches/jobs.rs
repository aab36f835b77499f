//! Rules and jobs: durable jobs a second from their making to their end, workflows of one step, schedules, rules over a
//! million rows, web hooks, and how soon a job is done again after `kill -9`. Peers run on the same disk in the same run.

mod doors;
mod queue;
mod rules;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use engine::{NoRedaction, Ports, Settings, State, Store, Table, WallClock};
use jobs::queue::Queue;
use jobs::runner::Runner;
use serde_json::Value;

use crate::harness::Ground;
use crate::postgres::Postgres;
use crate::report::Report;
use crate::{Context, machine, peer};

const ROUNDS: usize = 3;

/// Runs everything of the suite.
pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let ground = Ground::under(&context.folder);
    std::fs::create_dir_all(ground.data()).expect("the folder for measurements takes a folder");
    let postgres = Postgres::start();
    if let Err(why) = &postgres {
        report.missing("PostgreSQL", why);
    }
    let postgres = postgres.ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let sync_ms = machine::fsync_us(&context.folder);
    let sync_ms = crate::report::percentile(&sync_ms, 0.5) / 1e3;
    queue::measure(context, &mut report, &runtime, postgres.as_ref(), sync_ms);
    rules::measure(context, &mut report, &runtime);
    drop(runtime);
    doors::measure(context, &mut report, postgres.as_ref().map(Postgres::url));
    report.note(format!(
        "A write of 4 KiB and its fdatasync took {} ms on this disk at the time (median); a transaction that became durable \
         took at least one. Peers are Python, with what their clients cost. Published elsewhere, not measured here: River \
         46,000 jobs/s on eight cores, 501 in a third party's harness; DBOS 14 workflows/s on SQLite and 46 on PostgreSQL, \
         Temporal's development server 6 to 10, Restate 107 to 112, on two cores.",
        crate::report::figure(sync_ms)
    ));
    report
}

/// A script among the peers, to its end; its last line is one JSON object.
fn python(context: &Context, script: &str, args: &[String]) -> Result<Value, String> {
    let python = context.python.as_ref().ok_or("the Python peers are not installed")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(script);
    peer::answer(Command::new(python).arg(script).args(args))
}

/// Tables that rules and jobs write by themselves.
const TABLES: &[&str] = &["otel_span", "query_log", "reject"];

/// What runs rules and jobs, over one database.
struct Process {
    store: Arc<Store>,
    runner: Arc<Runner>,
    running: Option<tokio::task::JoinHandle<()>>,
    _ground: Ground,
}

impl Process {
    /// Over a store of its own with these tables; nothing runs by itself.
    async fn idle(context: &Context, url: Option<&str>, tables: &[&'static Table]) -> Process {
        let ground = Ground::under(&context.folder);
        let settings = Settings { state: url.map(str::to_owned), ..Settings::new(ground.data()) };
        let mut catalogue = serve::wire::catalogue();
        catalogue.tables.retain(|table| TABLES.contains(&table.name));
        catalogue.tables.extend(tables);
        catalogue.views.clear();
        let ports = Ports { clock: Arc::new(WallClock), redactor: Arc::new(NoRedaction) };
        let store = Store::open(settings, catalogue, ports).await.expect("a store opens");
        let (outside, hands) = (Arc::<queue::Instantly>::default(), Arc::<queue::Instantly>::default());
        let runner = Runner::new(Arc::clone(&store), &format!("bench-{}", std::process::id()), outside);
        let runner = Arc::new(runner.with_hands(Some(hands)).with_flows(queue::FLOWS));
        Process { store, runner, running: None, _ground: ground }
    }

    /// The same, which does what is due.
    async fn start(context: &Context, url: Option<&str>) -> Process {
        let mut process = Process::idle(context, url, &[]).await;
        let runner = Arc::clone(&process.runner);
        process.running = Some(tokio::spawn(async move { runner.run(true).await }));
        process
    }

    fn queue(&self) -> Queue {
        self.runner.queue().clone()
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(self.store.state())
    }

    async fn stop(self) {
        if let Some(running) = self.running.as_ref() {
            running.abort();
        }
        if let Some(running) = self.running {
            let _ = running.await;
        }
        for sql in ["DELETE FROM job", "DELETE FROM job_done", "DELETE FROM effect", "DELETE FROM step"] {
            self.store.state().execute(sql, &[]).await.expect("a table is emptied");
        }
        self.store.close().await.expect("the store closes");
    }
}
