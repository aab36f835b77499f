//! Rules fire and flows step while the process is killed or the power goes, and what they call is a real receiver, which is
//! slow, says no, and takes messages whose answers are lost. The oracle: what was acknowledged is told, each under one name;
//! no row fires without its job; no tick is without its run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::trial::{Ended, Fault, Trial};
use super::{disk, journal, kills, power, wreck};
use crate::harness::{Http, Server, csv_rows};
use crate::records::{PROTOBUF, log_records, now_ns};
use crate::rules::receiver::{Call, Receiver};

/// Each record becomes a row, each row a message.
const RULE: &str = "-- ---
-- owner: shop
-- every: 1s
-- catchup: all, 1h
-- key: [body]
-- new: notify(\"ops\", \"{body}\")
-- why: What is written down is told once, whatever happens in between.
-- ---
SELECT body FROM otel_log WHERE service_name = 'acts' GROUP BY body
";
const TICK_US: i64 = 1_000_000;
/// Kills of one trial.
const KILLS: std::ops::RangeInclusive<u32> = 1..=3;
/// By then everything that was acknowledged is told: a few attempts whose pauses double.
const SETTLED_MAX: Duration = Duration::from_secs(240);

/// A flow that was wanted.
#[derive(Debug, Clone, Default)]
struct Wanted {
    id: String,
    /// Where the journal ended when its start was acknowledged.
    acked: Option<u64>,
    /// The same of the signal that it waits for.
    signalled: Option<u64>,
}

/// What the clients know.
#[derive(Debug, Default)]
struct Known {
    /// Records that were sent, and where the journal ended when they were acknowledged.
    rows: BTreeMap<String, Option<u64>>,
    flows: BTreeMap<String, Wanted>,
}

/// What the clients of a trial share.
struct Stage {
    receiver: Receiver,
    door: Mutex<Option<(SocketAddr, String)>>,
    stop: AtomicBool,
    known: Mutex<Known>,
    journal: Option<std::path::PathBuf>,
}

impl Stage {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no client panics")
    }

    fn open(&self, server: &Server) {
        *self.door.lock().expect("no client panics") = Some((server.address, server.key.clone()));
    }

    fn close(&self) {
        *self.door.lock().expect("no client panics") = None;
    }

    fn mark(&self) -> u64 {
        self.journal.as_deref().map_or(0, disk::mark)
    }
}

/// A client with its connection.
struct Client {
    stage: Arc<Stage>,
    dice: StdRng,
    http: Option<(SocketAddr, Http)>,
}

impl Client {
    /// Sends one request to the server that there is; `None` where there is none, or it ended before it answered.
    fn post(&mut self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Option<(u16, Value)> {
        let (address, key) = self.stage.door.lock().expect("no client panics").clone()?;
        if self.http.as_ref().is_none_or(|(known, _)| *known != address) {
            self.http = Some((address, Http::new(address, &key)));
        }
        let (_, http) = self.http.as_mut().expect("it was just made");
        let reply = http.send("POST", path, headers, body).ok();
        if reply.is_none() {
            self.http = None;
        }
        let reply = reply?;
        Some((reply.status, serde_json::from_slice(&reply.body).unwrap_or_default()))
    }

    fn rest(&mut self, ms: std::ops::Range<u64>) -> bool {
        std::thread::sleep(Duration::from_millis(self.dice.random_range(ms)));
        !self.stage.stop.load(Ordering::SeqCst)
    }

    fn write_rows(&mut self, client: usize) {
        let mut number = 0;
        while self.rest(10..60) {
            if self.stage.door.lock().expect("no client panics").is_none() {
                continue;
            }
            let names: Vec<String> =
                (0..self.dice.random_range(1..4)).map(|at| format!("row {client} {number} {at}")).collect();
            number += 1;
            self.stage.known().rows.extend(names.iter().map(|name| (name.clone(), None)));
            let body = log_records(now_ns(), "acts", names.iter().map(|name| (name.clone(), 1)));
            if self.post("/v1/logs", &[("content-type", PROTOBUF)], body).is_some_and(|(status, _)| status == 200) {
                let mark = self.stage.mark();
                self.stage.known().rows.extend(names.into_iter().map(|name| (name, Some(mark))));
            }
        }
    }

    fn start_flows(&mut self) {
        let url = format!("http://{}/flow", self.stage.receiver.address());
        let mut number = 0;
        while self.rest(20..90) {
            let name = format!("flow {number}");
            let body = json!({ "flow": "callback", "input": { "url": url, "text": name }, "key": name }).to_string();
            self.stage.known().flows.entry(name.clone()).or_default();
            // Asked again under the same key until somebody says yes.
            if let Some((202, told)) = self.post("/flows", &[("content-type", "application/json")], body.into()) {
                let (id, mark) = (told["id"].as_str().unwrap_or_default().to_owned(), self.stage.mark());
                let mut known = self.stage.known();
                let flow = known.flows.entry(name).or_default();
                (flow.id, flow.acked) = (id, Some(mark));
                number += 1;
            }
        }
    }

    /// Answers flows that called, as the service that they called would.
    fn answer_flows(&mut self) {
        let (mut heard, mut waiting) = (0, BTreeMap::new());
        while self.rest(10..40) {
            let calls = self.stage.receiver.calls_since(heard);
            heard += calls.len();
            let answer = |call: &Call| call.body["answer"].as_str().unwrap_or_default().to_owned();
            let asked = calls.iter().filter(|call| call.path == "/flow");
            waiting.extend(asked.map(|call| (call.text.clone(), answer(call))));
            let known = |name: &String| self.stage.known().flows.get(name).is_some_and(|flow| flow.signalled.is_none());
            waiting.retain(|name, _| known(name));
            for (name, answer) in waiting.clone() {
                let headers = [("content-type", "application/json"), ("idempotency-key", "answer")];
                match self.post(&answer, &headers, b"{\"fine\": true}".to_vec()) {
                    // A signal whose answer was lost may have ended the flow.
                    Some((202 | 404, _)) => {
                        let mark = self.stage.mark();
                        if let Some(flow) = self.stage.known().flows.get_mut(&name) {
                            flow.signalled = Some(mark);
                        }
                    }
                    Some(_) => {}
                    None => break,
                }
            }
        }
    }
}

/// The clients of a trial, and where its rules lie.
pub(super) struct Play {
    stage: Arc<Stage>,
    clients: Vec<JoinHandle<()>>,
}

impl Play {
    /// Puts the rule and the receiver's address on the ground; every server of the trial gets them.
    pub(super) fn prepare(trial: &mut Trial<'_>) -> Play {
        let receiver = Receiver::start();
        receiver.slow(Duration::from_millis(trial.dice.random_range(0..12)), trial.dice.random_range(0..8));
        receiver.lose(trial.dice.random_range(4..12));
        let journal = trial.disk.as_ref().map(|disk| disk.journal.clone());
        if let Some(journal) = &journal {
            receiver.mark_by(journal.clone());
        }
        let (rules, actions) = (trial.ground.beside("rules"), trial.ground.beside("actions.yaml"));
        std::fs::create_dir_all(&rules).expect("a folder beside the data");
        std::fs::write(rules.join("acts.sql"), RULE).expect("a rule beside the data");
        let at = receiver.address();
        let text = format!("channels: {{ops: {{url: 'http://{at}/hook'}}}}\nhosts: ['{at}']\n");
        std::fs::write(&actions, text).expect("settings beside the data");
        for (name, path) in [("--rules", &rules), ("--actions", &actions)] {
            trial.args.extend([name.to_owned(), path.display().to_string()]);
        }
        trial.args.extend(["--index", "off"].map(str::to_owned));
        let (door, stop, known) = (Mutex::default(), AtomicBool::new(false), Mutex::default());
        Play { stage: Arc::new(Stage { receiver, door, stop, known, journal }), clients: Vec::new() }
    }

    /// Lets the clients speak to a server; starts them at the first call.
    pub(super) fn serve(&mut self, server: &Server, dice: &mut StdRng) {
        self.stage.open(server);
        if !self.clients.is_empty() {
            return;
        }
        let mut client = |speak: Box<dyn FnOnce(&mut Client) + Send>| {
            let (stage, dice) = (Arc::clone(&self.stage), StdRng::seed_from_u64(dice.random()));
            std::thread::spawn(move || speak(&mut Client { stage, dice, http: None }))
        };
        self.clients = vec![
            client(Box::new(|client| client.write_rows(0))),
            client(Box::new(|client| client.write_rows(1))),
            client(Box::new(Client::start_flows)),
            client(Box::new(Client::answer_flows)),
        ];
    }

    /// From now on the answer to every so many messages is lost.
    pub(super) fn lose(&self, every: usize) {
        self.stage.receiver.lose(every);
    }

    /// Clients wait until there is a server again.
    pub(super) fn close(&self) {
        self.stage.close();
    }

    pub(super) fn stop(&mut self) {
        self.stage.stop.store(true, Ordering::SeqCst);
        self.clients.drain(..).for_each(|client| client.join().expect("a client does not panic"));
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Kills at random moments.
pub fn kill(trial: &mut Trial<'_>) -> Ended {
    let mut play = Play::prepare(trial);
    let mut server = trial.start()?;
    play.serve(&server, &mut trial.dice);
    for _ in 0..trial.dice.random_range(KILLS) {
        trial.pass(200..1_800);
        trial.kill(&mut server);
        play.close();
        fires_with_jobs(trial, "after a kill")?;
        server = trial.start()?;
        play.serve(&server, &mut trial.dice);
    }
    trial.pass(100..600);
    play.stop();
    judge(trial, &play, &server, Since::BEGIN, "after kills")
}

/// Kills at a fail point, which must be reached.
pub fn at_point(trial: &mut Trial<'_>, point: &str, most: u32) -> Ended {
    let mut play = Play::prepare(trial);
    let nth = if trial.dice.random_bool(0.5) { 1 } else { trial.dice.random_range(1..=most) };
    let delay_ms = if trial.dice.random_bool(0.7) { 0 } else { trial.dice.random_range(0..20) };
    let fail_at = format!("{point}:{nth}:{delay_ms}");
    match trial.spawn(&trial.ground, &[("STELLWERK_FAIL_AT", &fail_at)]) {
        Ok(mut server) => {
            play.serve(&server, &mut trial.dice);
            kills::wait_for_the_end(&mut server, &fail_at)?;
            play.close();
        }
        Err(why) if why.contains("signal: 9") => {}
        Err(why) => return Err(Fault::Found(format!("{fail_at}: {why}"))),
    }
    trial.tally.kills += 1;
    fires_with_jobs(trial, &format!("after the end at {fail_at}"))?;
    let server = trial.start()?;
    play.serve(&server, &mut trial.dice);
    trial.pass(300..1_500);
    play.stop();
    judge(trial, &play, &server, Since::BEGIN, &format!("after the end at {fail_at}"))
}

/// The power goes: what a disk may hold after a cut is opened, and goes on where it stood.
pub fn power(trial: &mut Trial<'_>) -> Ended {
    trial.on_disk()?;
    let mut play = Play::prepare(trial);
    let mut server = trial.start()?;
    play.serve(&server, &mut trial.dice);
    trial.pass(1_500..3_500);
    trial.kill(&mut server);
    play.close();
    play.stop();
    let played = play.stage.receiver.calls().len();
    let records = journal::read(&trial.disk().journal);
    power::complete(trial, &records)?;
    for cut in 1..=power::CUTS {
        let at = wreck::draw_cut(&records, 0..u64::MAX, &mut trial.dice);
        let survival = wreck::draw(&mut trial.dice);
        let ground = power::rebuild(trial, &records, at, survival);
        let when = format!("power cut {cut} at byte {at} of the journal, {survival:?}");
        let since = Since { cut: at, played, before: play.stage.receiver.calls().len() };
        let server = trial.spawn(&ground, &[]).map_err(|why| format!("{when}: {why}"))?;
        judge(trial, &play, &server, since, &when)?;
    }
    Ok(())
}

/// What counts in a verdict: what was known and done before a cut, and what was done since something was opened again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    /// What came behind this place of the journal did not happen.
    cut: u64,
    /// So many calls came before the cut, or were undone by it.
    played: usize,
    /// Calls from this one on came since.
    before: usize,
}

impl Since {
    /// Nothing is undone.
    pub(super) const BEGIN: Since = Since { cut: u64::MAX, played: 0, before: 0 };

    fn counts(self, at: usize, call: &Call) -> bool {
        at >= self.before || (at < self.played && call.mark <= self.cut)
    }

    fn known(self, mark: Option<u64>) -> bool {
        mark.is_some_and(|mark| mark <= self.cut)
    }
}

/// The names under which each text was told.
fn told(play: &Play, since: Since, path: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (at, call) in play.stage.receiver.calls().into_iter().enumerate() {
        if call.path == path && since.counts(at, &call) {
            names.entry(call.text).or_default().insert(call.key);
        }
    }
    names
}

fn asked(server: &Server, sql: &str) -> Result<Vec<Vec<String>>, Fault> {
    match server.connect().try_ask(sql) {
        Ok(Ok(answer)) => Ok(answer.rows),
        Ok(Err(reply)) => Err(Fault::Found(format!("{sql}: {} {}", reply.status, reply.text()))),
        Err(why) => Err(Fault::Found(format!("{sql}: {why}\n{}", server.log()))),
    }
}

/// Waits until nothing is left to be done, and compares. Clients are gone; flows whose answer was not acknowledged get it here.
pub(super) fn judge(trial: &mut Trial<'_>, play: &Play, server: &Server, since: Since, when: &str) -> Ended {
    trial.tally.judged += 1;
    settle(play, server, since, when)?;
    let known = play.stage.known();
    let (rows, flows) = (told(play, since, "/hook"), told(play, since, "/flow"));
    let acked_rows: Vec<&String> =
        known.rows.iter().filter(|(_, mark)| since.known(**mark)).map(|(name, _)| name).collect();
    let acked_flows: Vec<(&String, &Wanted)> = known.flows.iter().filter(|(_, flow)| since.known(flow.acked)).collect();
    trial.tally.acked = trial.tally.acked.max((acked_rows.len() + acked_flows.len()) as u64);
    let mut wrong = Vec::new();
    let mut lost: Vec<String> =
        acked_rows.iter().filter(|name| !rows.contains_key(**name)).map(|name| (*name).clone()).collect();
    lost.extend(acked_flows.iter().filter(|(name, _)| !flows.contains_key(*name)).map(|(name, _)| (*name).clone()));
    let done: BTreeSet<String> =
        asked(server, "SELECT id FROM job_done WHERE kind = 'flow' AND state = 'done'")?.concat().into_iter().collect();
    lost.extend(
        acked_flows
            .iter()
            .filter(|(_, flow)| !done.contains(&flow.id))
            .map(|(name, flow)| format!("{name} ({}) has no end", flow.id)),
    );
    let doubled: Vec<_> = rows.iter().chain(&flows).filter(|(_, names)| names.len() > 1).collect();
    trial.tally.lost += lost.len() as u64;
    trial.tally.doubled += doubled.len() as u64;
    if !lost.is_empty() {
        wrong.push(format!("{} lost: {:?}", lost.len(), &lost[..lost.len().min(4)]));
    }
    if let Some(first) = doubled.first() {
        wrong.push(format!("{} told under several names: {first:?}", doubled.len()));
    }
    if let Some(name) = rows.keys().find(|name| !known.rows.contains_key(*name)) {
        wrong.push(format!("{name:?} was told and never written"));
    }
    let open = asked(server, "SELECT dedupe, state, response FROM effect WHERE state <> 'done'")?;
    if !open.is_empty() {
        wrong.push(format!("{} effects are not done: {:?}", open.len(), open[0]));
    }
    wrong.extend(ticks(server)?);
    if let Some(what) = without_job(&asked(server, FIRING)?) {
        wrong.push(what);
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Fault::Found(format!("{when}: {}", wrong.join("; ")))),
    }
}

/// Waits until no job is left but those that are for nobody.
fn settle(play: &Play, server: &Server, since: Since, when: &str) -> Ended {
    let begun = Instant::now();
    let mut http = server.connect();
    loop {
        let jobs = asked(server, "SELECT id, kind, state, attempt, error FROM job")?;
        let rows = told(play, since, "/hook");
        let missing = play
            .stage
            .known()
            .rows
            .iter()
            .filter(|(name, mark)| since.known(**mark) && !rows.contains_key(*name))
            .count();
        if jobs.is_empty() && missing == 0 {
            return Ok(());
        }
        let (took, dead) = (begun.elapsed(), jobs.iter().any(|job| job[2] == "dead"));
        if dead || took > SETTLED_MAX {
            let told = format!("{when}: after {took:?} {missing} rows are not told, and jobs are left: {jobs:?}");
            return Err(Fault::Found(told));
        }
        let waiting: BTreeSet<&str> =
            jobs.iter().filter(|job| job[2] == "waiting").map(|job| job[0].as_str()).collect();
        for (at, call) in play.stage.receiver.calls().into_iter().enumerate() {
            let flow = call.body["flow"].as_str().unwrap_or_default();
            let acked = play.stage.known().flows.get(&call.text).is_some_and(|flow| since.known(flow.signalled));
            if call.path == "/flow" && since.counts(at, &call) && waiting.contains(flow) && !acked {
                let headers = [("content-type", "application/json"), ("idempotency-key", "answer")];
                let sent = http.send("POST", &format!("/flows/{flow}/signals/answered"), &headers, "{}");
                sent.map_err(|why| format!("{when}: the signal to {flow}: {why}"))?;
            }
        }
        std::thread::sleep(Duration::from_millis(150));
    }
}

/// What is wrong with the ticks: each second from the first to the last has one run, which ended well.
fn ticks(server: &Server) -> Result<Option<String>, Fault> {
    let runs = asked(server, "SELECT tick, status, error FROM rule_run ORDER BY tick")?;
    let at = |run: &Vec<String>| chrono::DateTime::parse_from_rfc3339(&run[0]).expect("an instant").timestamp_micros();
    if let Some(run) = runs.iter().find(|run| run[1] != "done") {
        return Ok(Some(format!("a run did not end well: {run:?}")));
    }
    let gap = runs.windows(2).find(|pair| at(&pair[1]) - at(&pair[0]) != TICK_US);
    Ok(gap.map(|pair| format!("between two ticks there is no run, or one too many: {pair:?}")))
}

/// The keys of rows that fire, and the arguments of the jobs that there are and were.
const FIRING: &str = "SELECT 'row' AS what, key AS text FROM rule_row WHERE state = 'firing' \
                      UNION ALL SELECT 'job', arguments FROM job WHERE kind = 'notify' \
                      UNION ALL SELECT 'job', arguments FROM job_done WHERE kind = 'notify'";

/// A row that fires and has no job, if there is one.
fn without_job(found: &[Vec<String>]) -> Option<String> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let of = |what: &'static str| found.iter().filter(move |row| row[0] == what).map(|row| &row[1]);
    let keys: BTreeSet<String> = of("job").map(|job| parse(job)["key"].to_string()).collect();
    let lonely: Vec<&String> = of("row").filter(|key| !keys.contains(&parse(key).to_string())).collect();
    lonely.first().map(|first| format!("{} rows fire and have no job: {first}", lonely.len()))
}

/// What a process that ended left behind: no row fires without its job.
pub(super) fn fires_with_jobs(trial: &Trial<'_>, when: &str) -> Ended {
    let mut args = vec!["sql", FIRING, "--format", "csv"];
    let state = trial.args.iter().position(|arg| arg == "--state");
    args.extend(state.iter().flat_map(|at| &trial.args[*at..at + 2]).map(String::as_str));
    let found = csv_rows(&trial.ground.run(&args).ok().stdout).split_off(1);
    match without_job(&found) {
        None => Ok(()),
        Some(what) => Err(Fault::Found(format!("{when}: {what}"))),
    }
}
