//! One trial: a data directory of its own, its servers, its clients, and the questions by which the oracle judges.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Campaign;
use super::disk::Disk;
use super::oracle::{Bound, Held, Verdict};
use super::writers::{self, CLUSTER, COST_SET, SERVICE, World, event, logs};
use crate::harness::{Ground, Http, Server};
use crate::records::{ADO_DOOR, PROTOBUF};

/// Small, so that a trial of seconds sees many flushes and rounds of maintenance.
const EAGER: &[&str] = &["--flush-rows", "400", "--flush-after", "200ms", "--maintain-every", "1s"];
/// Questions over old places in the log that are asked again.
const MOMENTS: usize = 3;
/// How long clients may take to get their first acknowledgement.
const FIRST_ACK_MAX: Duration = Duration::from_secs(30);

/// Why a trial ended early.
#[derive(Debug)]
pub enum Fault {
    /// Something is wrong.
    Found(String),
    /// What it needs is not here; that was said.
    Skipped,
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Fault::Found(what)
    }
}

pub type Ended = Result<(), Fault>;

/// Sums of a trial.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    pub acked: u64,
    pub retried: u64,
    pub lost: u64,
    pub doubled: u64,
    /// Refused and there all the same: counted everywhere, wrong where the disk could have taken it back.
    pub returned: u64,
    pub torn: u64,
    /// How often a store was opened again and judged.
    pub judged: u64,
    /// How often a server ended without a warning.
    pub kills: u64,
}

pub struct Trial<'c> {
    pub campaign: &'c Campaign,
    pub dice: StdRng,
    pub ground: Ground,
    pub world: Arc<World>,
    /// Arguments of every server.
    pub args: Vec<String>,
    pub disk: Option<Disk>,
    pub tally: Tally,
    /// See [`Bound::refused_may_return`].
    pub refused_may_return: bool,
    /// Whether a look back may be refused, because superseded rows go at once.
    pub look_back_may_end: bool,
    /// Whether keys are remembered: their window is a day, and a clock can jump past it.
    pub keys_kept: bool,
    clients: Vec<JoinHandle<()>>,
}

impl<'c> Trial<'c> {
    pub fn new(campaign: &'c Campaign, seed: u64) -> Trial<'c> {
        Trial {
            campaign,
            dice: StdRng::seed_from_u64(seed),
            ground: Ground::new(),
            world: Arc::new(World::new(None)),
            args: EAGER.iter().map(|arg| (*arg).to_owned()).collect(),
            disk: None,
            tally: Tally::default(),
            refused_may_return: false,
            look_back_may_end: false,
            keys_kept: true,
            clients: Vec::new(),
        }
    }

    /// How often the servers of this trial maintain their tables.
    pub fn maintain_every(&mut self, time: &str) {
        let at = self.args.iter().position(|arg| arg == "--maintain-every").expect("it is an argument of every server");
        self.args[at + 1] = time.to_owned();
    }

    /// Puts the failing disk under the data directory.
    pub fn on_disk(&mut self) -> Result<(), Fault> {
        let disk = Disk::under(&self.ground).ok_or(Fault::Skipped)?;
        self.world = Arc::new(World::new(Some(disk.journal.clone())));
        self.disk = Some(disk);
        Ok(())
    }

    /// The disk of [`Trial::on_disk`].
    pub fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("the trial has put a disk under itself")
    }

    /// Starts a server on this ground; clients do not know of it yet.
    pub fn start(&self) -> Result<Server, Fault> {
        self.spawn(&self.ground, &[]).map_err(Fault::Found)
    }

    /// Starts a server with the trial's arguments; with its disk, if it is the trial's own ground.
    pub fn spawn(&self, ground: &Ground, env: &[(&str, &str)]) -> Result<Server, String> {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let own = ground.data() == self.ground.data();
        let disk = self.disk.as_ref().filter(|_| own).map(Disk::env).unwrap_or_default();
        let env: Vec<(&str, &str)> = disk.into_iter().chain(env.iter().copied()).collect();
        Server::spawn(ground, &args, &env)
    }

    /// Lets the clients write to a server; starts them at the first call.
    pub fn serve(&mut self, server: &Server) {
        self.world.open(server, self.ground.data());
        if self.clients.is_empty() {
            let file = self.ground.beside("costs.csv");
            self.clients = writers::start(&self.world, &mut self.dice, file);
        }
    }

    /// Lets some time pass, drawn from this range.
    pub fn pass(&mut self, ms: std::ops::Range<u64>) {
        std::thread::sleep(Duration::from_millis(self.dice.random_range(ms)));
    }

    /// Waits until more is acknowledged than now: the store takes what it is given.
    pub fn wait_for_acks(&self, more: usize, what: &str) -> Ended {
        let (begun, wanted) = (Instant::now(), self.world.oracle().acks() + more);
        while self.world.oracle().acks() < wanted {
            if begun.elapsed() > FIRST_ACK_MAX {
                return Err(Fault::Found(format!("{what}: nothing was acknowledged within {FIRST_ACK_MAX:?}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// `kill -9`; clients wait.
    pub fn kill(&mut self, server: &mut Server) {
        self.tally.kills += 1;
        match &self.disk {
            Some(disk) => disk.between_changes(|| server.kill9()),
            None => server.kill9(),
        }
        self.world.close();
    }

    /// Keeps the ground of a trial that failed, if `KEEP` is set, and says where it lies.
    pub fn keep(&self) {
        if std::env::var_os("KEEP").is_some() {
            eprintln!("     kept: {}", self.ground.keep().display());
        }
    }

    /// Ends the clients; afterwards nothing is under way.
    pub fn end_clients(&mut self) {
        self.world.stop();
        self.clients.drain(..).for_each(|client| client.join().expect("a client does not panic"));
        self.tally.retried = self.world.retried.load(Ordering::Relaxed);
    }

    /// What a verdict without a power cut goes by.
    pub fn now(&self) -> Bound {
        Bound { refused_may_return: self.refused_may_return, ..Bound::NOW }
    }

    /// Asks a server what it holds, and compares. Nothing may be under way.
    pub fn judge(&mut self, server: &Server, bound: Bound, when: &str) -> Ended {
        self.tally.judged += 1;
        let mut http = server.connect();
        if self.keys_kept {
            self.repeat(&mut http, bound).map_err(|why| format!("{when}: {why}"))?;
        }
        let held = held(&mut http).map_err(|why| format!("{when}: {why}"))?;
        let (verdict, wrong) = {
            let oracle = self.world.oracle();
            (oracle.judge(&held, bound), oracle.wrong.clone())
        };
        self.count(&verdict);
        if let Some(complaint) = verdict.complaint() {
            return Err(Fault::Found(format!("{when}: {complaint}")));
        }
        if let Some(first) = wrong.first() {
            return Err(Fault::Found(format!("{when}: {} answers that nothing explains: {first}", wrong.len())));
        }
        let moments = self.world.oracle().moments(bound, MOMENTS);
        for moment in moments {
            let answer = match asked(&mut http, &moment.sql) {
                Ok(answer) => answer,
                Err(why) if self.look_back_may_end && why.contains("look back less far") => continue,
                Err(why) => return Err(Fault::Found(format!("{when}: {why}"))),
            };
            if answer != moment.answer {
                let told = format!("{when}: {} answers {answer:?}, and before {:?}", moment.sql, moment.answer);
                return Err(Fault::Found(told));
            }
        }
        Ok(())
    }

    fn count(&mut self, verdict: &Verdict) {
        self.tally.acked = self.tally.acked.max(verdict.acked);
        self.tally.lost += verdict.lost.len() as u64;
        self.tally.doubled += verdict.doubled.len() as u64;
        self.tally.returned += verdict.returned.len() as u64;
        self.tally.torn += verdict.torn.len() as u64;
    }

    /// Sends the newest acknowledged keys again: they must be known, and the verdict behind counts that nothing was added.
    fn repeat(&self, http: &mut Http, bound: Bound) -> Result<(), String> {
        let newest = |prefix| self.world.oracle().newest_acked(prefix, bound);
        if let Some(name) = newest("keyed-") {
            let headers = [("content-type", PROTOBUF), ("x-idempotency-key", name.as_str())];
            let reply = http.send("POST", "/v1/logs", &headers, logs(&name))?;
            if reply.status != 200 {
                return Err(format!(
                    "the acknowledged {name}, sent again, is answered {} {}",
                    reply.status,
                    reply.text()
                ));
            }
            let reply = http.send("POST", "/v1/logs", &headers, logs("another body"))?;
            if reply.status != 409 {
                return Err(format!("the key of {name} with another body is answered {}", reply.status));
            }
        }
        if let Some(name) = newest("00000000-") {
            let number = name.rsplit('-').next().and_then(|tail| tail.parse().ok()).expect("an event's id ends so");
            let reply = http.send("POST", ADO_DOOR, &[("content-type", "application/json")], event(number).1)?;
            let repeated = serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap_or_default();
            if repeated["repeated"] != true {
                return Err(format!("the acknowledged event {name}, sent again, is answered {}", reply.text()));
            }
        }
        Ok(())
    }

    /// The usual end: nothing is under way, the live server is judged, and at times the server after a graceful stop.
    pub fn conclude(&mut self, server: Server) -> Ended {
        self.end_clients();
        self.judge(&server, self.now(), "at the end")?;
        if self.dice.random_bool(0.25) {
            let (code, _) = server.stop();
            if code != Some(0) {
                return Err(Fault::Found(format!("the graceful stop ended with {code:?}")));
            }
            let server = self.start()?;
            self.judge(&server, self.now(), "after a graceful restart")?;
        }
        Ok(())
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.end_clients();
    }
}

fn asked(http: &mut Http, sql: &str) -> Result<Vec<Vec<String>>, String> {
    match http.try_ask(sql) {
        Ok(Ok(answer)) => Ok(answer.rows),
        Ok(Err(reply)) => Err(format!("{sql}: {} {}", reply.status, reply.text())),
        Err(why) => Err(format!("{sql}: {why}")),
    }
}

/// Everything that the clients of a trial write, as the store holds it.
pub fn held(http: &mut Http) -> Result<Held, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|cause| format!("{text}: {cause}"));
    let mut held = Held::default();
    let requests = format!(
        "SELECT body AS id, count(*) AS n, count(DISTINCT severity_number) AS d FROM otel_log \
         WHERE service_name = '{SERVICE}' GROUP BY body \
         UNION ALL SELECT event_id, count(*), 1 FROM ado_event GROUP BY event_id"
    );
    for row in asked(http, &requests)? {
        held.requests.insert(row[0].clone(), (number(&row[1])?, number(&row[2])?));
    }
    let things = format!(
        "SELECT name, resource_version AS state, count(*) AS n FROM k8s_object WHERE cluster = '{CLUSTER}' \
         GROUP BY name, resource_version \
         UNION ALL SELECT '{COST_SET}', \"SkuId\", count(*) FROM cost_line GROUP BY \"SkuId\""
    );
    for row in asked(http, &things)? {
        held.things.entry(row[0].clone()).or_default().insert(row[1].clone(), number(&row[2])?);
    }
    Ok(held)
}
