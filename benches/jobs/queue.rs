//! The queue alone, in this process: 64 producers, each of which waits for its job to be durable before it makes the next;
//! and flows of one step, 64 in flight and one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use engine::{Clock, State, WallClock};
use jobs::actions::{Effect, Outside};
use jobs::flow::hands::{Call, Hands, Outcome};
use jobs::flow::{Act, Flow, RETRY, Step};
use jobs::queue::{Claimed, Ended, FLOW, NewJob, Terms};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::{Process, ROUNDS, python};
use crate::Context;
use crate::postgres::Postgres;
use crate::report::{Bound, Goal, Report, Spread, figure, percentile};

const PRODUCERS: usize = 64;
const ROUND: Duration = Duration::from_secs(10);
/// Flows one behind the other.
const ALONE: usize = 400;
const PEER_JOBS: usize = 4_000;
const SQLITE_GOAL: f64 = 10_000.0;
const HUEY_RATIO_GOAL: f64 = 25.0;
const PROCRASTINATE_RATIO_GOAL: f64 = 100.0;
/// Nine times what Restate did where it was measured: 112 workflows a second.
const FLOWS_GOAL: f64 = 1_008.0;
/// Two syncs of the disk on which the goal was set.
const ALONE_MS_GOAL: f64 = 9.0;
/// How often it is looked which flows have ended.
const LOOK: Duration = Duration::from_micros(500);

/// Does everything at once.
#[derive(Debug, Default)]
pub struct Instantly(AtomicU64);

#[async_trait]
impl Outside for Instantly {
    async fn act(&self, _: &Claimed) -> Ended {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ended::Done { target: "nobody".to_owned(), response: "200".to_owned() }
    }
}

#[async_trait]
impl Hands for Instantly {
    async fn act(&self, _: &Call) -> Outcome {
        Outcome::Done { target: "nobody".to_owned(), output: json!({"answer": 42}) }
    }
}

static ONE_STEP: Flow = Flow {
    name: "one_step",
    doc: "One step that does nothing.",
    parameters: &[],
    steps: &[Step {
        name: "only",
        doc: "Nothing is done.",
        act: Act::Call { effect: Effect::Keyed, input: |known| Ok(known.input.clone()) },
        retry: RETRY,
        undo: None,
    }],
};

pub static FLOWS: &[&Flow] = &[&ONE_STEP];

fn job(kind: &str, name: String) -> NewJob {
    let now_us = WallClock.now_us();
    let arguments = match kind == FLOW {
        true => json!({"flow": ONE_STEP.name, "input": {"of": name}}),
        false => json!({"with": {"url": "http://nobody"}, "row": {"of": name}}),
    };
    NewJob {
        id: name.clone(),
        kind: kind.to_owned(),
        arguments,
        dedupe: name,
        cause: "a measurement".to_owned(),
        run_us: now_us,
        created_us: now_us,
        terms: Terms::default(),
    }
}

async fn count(state: &State, sql: &'static str) -> i64 {
    state.fetch(sql, &[]).await.expect("a count")[0].get("n").expect("a number")
}

/// What one round came to.
struct Round {
    per_s: f64,
    /// Milliseconds until a job was durable, sorted.
    ack_ms: Vec<f64>,
}

/// Jobs a second from their making to their end, all of them done when the time ends.
async fn jobs(context: &Context, url: Option<&str>, round: Duration) -> Round {
    let process = Process::start(context, url).await;
    let begun = Instant::now();
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let queue = process.queue();
            tokio::spawn(async move {
                let mut ack_ms = Vec::new();
                while begun.elapsed() < round {
                    let name = format!("job-{:08}-{producer:02}", ack_ms.len());
                    let asked = Instant::now();
                    assert!(queue.add(job("http", name)).await.expect("a job is made"));
                    ack_ms.push(asked.elapsed().as_secs_f64() * 1e3);
                }
                ack_ms
            })
        })
        .collect();
    let mut ack_ms = Vec::new();
    for producer in producers {
        ack_ms.extend(producer.await.expect("a producer ends"));
    }
    let made = i64::try_from(ack_ms.len()).expect("a count of jobs");
    while count(&process.state(), "SELECT count(*) AS n FROM job").await > 0 {
        tokio::time::sleep(LOOK).await;
    }
    let per_s = ack_ms.len() as f64 / begun.elapsed().as_secs_f64();
    let done = count(&process.state(), "SELECT count(*) AS n FROM job_done WHERE state = 'done'").await;
    assert_eq!(done, made, "what was acknowledged is done");
    let effects =
        count(&process.state(), "SELECT count(*) AS n FROM effect WHERE state = 'done' AND attempt = 1").await;
    assert_eq!(effects, made, "and once");
    process.stop().await;
    ack_ms.sort_by(f64::total_cmp);
    Round { per_s, ack_ms }
}

/// Flows a second, 64 in flight, each counted when its end is durable.
async fn flows(context: &Context, url: Option<&str>, round: Duration) -> Round {
    let process = Process::start(context, url).await;
    let waiting: Arc<Mutex<BTreeMap<String, oneshot::Sender<()>>>> = Arc::default();
    let is_over = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn({
        let (state, waiting, is_over) = (process.state(), Arc::clone(&waiting), Arc::clone(&is_over));
        async move {
            while !is_over.load(Ordering::Relaxed) {
                // Whoever waits is in the table when this begins, so that who is missing then has ended.
                let names: Vec<String> = waiting.lock().expect("no panic").keys().cloned().collect();
                let rows = state.fetch("SELECT id FROM job", &[]).await.expect("the flows that have not ended");
                let live: BTreeSet<String> = rows.iter().map(|row| row.get("id").expect("an id")).collect();
                for name in names.iter().filter(|name| !live.contains(*name)) {
                    if let Some(ended) = waiting.lock().expect("no panic").remove(name) {
                        let _ = ended.send(());
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    });
    let begun = Instant::now();
    let callers: Vec<_> = (0..PRODUCERS)
        .map(|caller| {
            let (queue, waiting) = (process.queue(), Arc::clone(&waiting));
            tokio::spawn(async move {
                let mut done_ms = Vec::new();
                while begun.elapsed() < round {
                    let name = format!("flow-{:08}-{caller:02}", done_ms.len());
                    let asked = Instant::now();
                    queue.add(job(FLOW, name.clone())).await.expect("a flow is started");
                    let (sender, ended) = oneshot::channel();
                    waiting.lock().expect("no panic").insert(name, sender);
                    ended.await.expect("the watcher lives longer");
                    done_ms.push(asked.elapsed().as_secs_f64() * 1e3);
                }
                done_ms
            })
        })
        .collect();
    let mut done_ms = Vec::new();
    for caller in callers {
        done_ms.extend(caller.await.expect("a caller ends"));
    }
    let per_s = done_ms.len() as f64 / begun.elapsed().as_secs_f64();
    is_over.store(true, Ordering::Relaxed);
    watcher.await.expect("the watcher ends");
    let steps = count(&process.state(), "SELECT count(*) AS n FROM step WHERE state = 'done' AND attempt = 1").await;
    assert_eq!(steps, i64::try_from(done_ms.len()).expect("a count"), "every step was done once");
    process.stop().await;
    done_ms.sort_by(f64::total_cmp);
    Round { per_s, ack_ms: done_ms }
}

/// Flows one behind the other; milliseconds from the start until the end is durable, sorted.
async fn alone(context: &Context, url: Option<&str>, count: usize) -> Vec<f64> {
    let process = Process::start(context, url).await;
    let (queue, state) = (process.queue(), process.state());
    let mut done_ms = Vec::with_capacity(count);
    for at in 0..count {
        let name = format!("alone-{at:06}");
        let asked = Instant::now();
        queue.add(job(FLOW, name.clone())).await.expect("a flow is started");
        let ended = "SELECT id FROM job_done WHERE id = $1";
        while state.fetch(ended, &[name.as_str().into()]).await.expect("an answer").is_empty() {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        done_ms.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    process.stop().await;
    done_ms.sort_by(f64::total_cmp);
    done_ms
}

/// Jobs a second of a peer, from their making to their end.
fn peer(report: &mut Report, name: &str, found: Result<serde_json::Value, String>) -> Option<f64> {
    match found {
        Ok(found) => {
            let per_s = found["jobs_per_s"].as_f64();
            report.raw(name, found);
            per_s
        }
        Err(why) => {
            report.missing(name, &why);
            None
        }
    }
}

/// Both databases and their peers.
pub fn measure(context: &Context, report: &mut Report, runtime: &Runtime, postgres: Option<&Postgres>, sync_ms: f64) {
    let round = ROUND.mul_f64(context.scale.max(0.2));
    let (mut table, mut flow_table) = (Vec::new(), Vec::new());
    let databases = [("SQLite", Some(None)), ("PostgreSQL", postgres.map(|server| Some(server.url())))];
    for (name, url) in databases.into_iter().filter_map(|(name, url)| url.map(|url| (name, url))) {
        let (mut rates, mut ack_ms) = (Vec::new(), Vec::new());
        for number in 1..=ROUNDS {
            context.say(format_args!("jobs on {name}, round {number} of {ROUNDS}"));
            let done = runtime.block_on(jobs(context, url, round));
            rates.push(done.per_s);
            ack_ms.extend(done.ack_ms);
        }
        ack_ms.sort_by(f64::total_cmp);
        let rate = Spread::of(&rates);
        let acks = [0.5, 0.99].map(|share| figure(percentile(&ack_ms, share)));
        table.push(vec![name.to_owned(), rate.to_string(), acks[0].clone(), acks[1].clone()]);
        report.raw(&format!("jobs_{name}"), json!({"per_s": rates, "ack_p50_ms": acks[0], "ack_p99_ms": acks[1]}));
        let count = context.scaled(PEER_JOBS);
        let (peer_name, ratio_goal, found) = match url {
            None => {
                let folder = tempfile::tempdir_in(&context.folder).expect("a folder for the peer");
                let place = folder.path().join("huey.db").display().to_string();
                ("huey 3.5.4, fsync", HUEY_RATIO_GOAL, python(context, "jobs_huey.py", &[place, count.to_string()]))
            }
            Some(url) => {
                let args = [url.to_owned(), (count / 4).max(1).to_string()];
                let found = python(context, "jobs_procrastinate.py", &args);
                ("procrastinate 3.10.0", PROCRASTINATE_RATIO_GOAL, found)
            }
        };
        let theirs = peer(report, peer_name, found);
        if url.is_none() {
            report.goal(Goal {
                what: &format!("durable jobs on {name} at {PRODUCERS} producers, from their making to their end"),
                bound: Bound::AtLeast(SQLITE_GOAL),
                unit: "jobs/s",
                value: Some(rate.median),
                ours: format!("{rate} jobs/s"),
                peer: String::new(),
            });
        }
        report.goal(Goal {
            what: &format!("durable jobs on {name}, against {peer_name}"),
            bound: Bound::AtLeast(ratio_goal),
            unit: "x",
            value: theirs.map(|theirs| rate.median / theirs),
            ours: format!("{} jobs/s", figure(rate.median)),
            peer: theirs
                .map_or_else(|| peer_name.to_owned(), |theirs| format!("{peer_name}: {} jobs/s", figure(theirs))),
        });
        flow_table.push(one_step(context, report, runtime, (name, url), round, sync_ms));
    }
    let columns = ["database", "jobs/s", "durable after, p50, ms", "p99, ms"];
    report.table(&format!("Jobs, {PRODUCERS} producers, each waits for its own"), &columns, table);
    let columns = ["database", "flows/s, 64 in flight", "p50, ms", "alone, p50, ms", "p99, ms", "syncs"];
    report.table("Flows of one step, from their start to their end", &columns, flow_table);
}

/// Flows of one step on one database.
fn one_step(
    context: &Context,
    report: &mut Report,
    runtime: &Runtime,
    (name, url): (&str, Option<&str>),
    round: Duration,
    sync_ms: f64,
) -> Vec<String> {
    let (mut rates, mut done_ms) = (Vec::new(), Vec::new());
    for number in 1..=ROUNDS {
        context.say(format_args!("flows on {name}, round {number} of {ROUNDS}"));
        let done = runtime.block_on(flows(context, url, round));
        rates.push(done.per_s);
        done_ms.extend(done.ack_ms);
    }
    done_ms.sort_by(f64::total_cmp);
    let rate = Spread::of(&rates);
    let single_ms = runtime.block_on(alone(context, url, context.scaled(ALONE)));
    let [p50, p99] = [0.5, 0.99].map(|share| percentile(&single_ms, share));
    if url.is_none() {
        report.goal(Goal {
            what: "workflows of one step on SQLite, 64 in flight",
            bound: Bound::AtLeast(FLOWS_GOAL),
            unit: "workflows/s",
            value: Some(rate.median),
            ours: format!("{rate} workflows/s"),
            peer: "Restate: 107 to 112 where it was measured".to_owned(),
        });
        report.goal(Goal {
            what: "a workflow of one step alone, median",
            bound: Bound::AtMost(ALONE_MS_GOAL),
            unit: "ms",
            value: Some(p50),
            ours: format!("{} ms, p99 {} ms, {} syncs of this disk", figure(p50), figure(p99), figure(p50 / sync_ms)),
            peer: "Restate: 6.5 to 9 ms where it was measured".to_owned(),
        });
    }
    report.raw(&format!("flows_{name}"), json!({"per_s": rates, "alone_p50_ms": p50, "alone_p99_ms": p99}));
    let in_flight = figure(percentile(&done_ms, 0.5));
    vec![name.to_owned(), rate.to_string(), in_flight, figure(p50), figure(p99), figure(p50 / sync_ms)]
}
