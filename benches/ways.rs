//! Ways of taking the same records (ours, a peer, another setting), measured in turns over several rounds.

use serde_json::{Value, json};

use crate::Context;
use crate::load::Measured;
use crate::report::{Report, Spread, figure};
use crate::traffic::RECORDS;

/// What one round of one way measured.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Records a CPU-second of the server.
    pub per_cpu_s: f64,
    /// Records a second of the clock.
    pub per_s: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Requests that were told to come back.
    pub refused: usize,
}

impl Round {
    /// Of requests with [`RECORDS`] records each.
    pub fn of(measured: &Measured) -> Round {
        let records = RECORDS as f64;
        Round {
            per_cpu_s: measured.per_cpu_s() * records,
            per_s: measured.per_s() * records,
            p50_ms: measured.ack_ms(0.5),
            p99_ms: measured.ack_ms(0.99),
            refused: measured.refused,
        }
    }
}

/// One way, over all its rounds.
pub struct Way {
    pub name: String,
    pub clients: usize,
    /// What an answer means there.
    ack: &'static str,
    pub rounds: Vec<Round>,
    missing: bool,
}

impl Way {
    /// The spread of one figure over the rounds; none without rounds.
    pub fn spread(&self, of: fn(&Round) -> f64) -> Option<Spread> {
        Spread::maybe(&self.rounds.iter().map(of).collect::<Vec<_>>())
    }
}

/// All ways of a suite, in the order in which they were first measured.
#[derive(Default)]
pub struct Ways(Vec<Way>);

impl Ways {
    /// Files a round under its way; a peer that is not there is named once.
    pub fn add(
        &mut self,
        context: &Context,
        report: &mut Report,
        (name, clients, ack): (&str, usize, &'static str),
        round: Result<Round, String>,
    ) {
        let known = self.0.iter().position(|way| way.name == name && way.clients == clients);
        let at = known.unwrap_or_else(|| {
            self.0.push(Way { name: name.to_owned(), clients, ack, rounds: Vec::new(), missing: false });
            self.0.len() - 1
        });
        match round {
            Ok(round) => {
                let (cpu, wall) = (figure(round.per_cpu_s), figure(round.per_s));
                let acks = format!("p50 {:.1} ms, p99 {:.1} ms", round.p50_ms, round.p99_ms);
                context.say(format_args!("{name}, {clients} clients: {cpu} a CPU-second, {wall} a second, {acks}"));
                self.0[at].rounds.push(round);
            }
            Err(why) => {
                if !std::mem::replace(&mut self.0[at].missing, true) {
                    report.missing(name, &why);
                }
            }
        }
    }

    /// A way that was measured.
    pub fn find(&self, name: &str, clients: usize) -> Option<&Way> {
        self.0.iter().find(|way| way.name == name && way.clients == clients && !way.rounds.is_empty())
    }

    /// Adds the table of all ways; `fsync_us` is what a bare fsync takes on this disk.
    pub fn table(&self, report: &mut Report, title: &str, fsync_us: f64) {
        let columns = [
            "way",
            "an answer means",
            "clients",
            "records a CPU-second",
            "records a second",
            "p50 ms",
            "p99 ms",
            "syncs' worth",
        ];
        let row = |way: &Way| {
            let cell = |of: fn(&Round) -> f64| way.spread(of).map(|spread| spread.to_string()).unwrap_or_default();
            let requests_per_s = way.spread(|round| round.per_s).map_or(0.0, |spread| spread.median / RECORDS as f64);
            vec![
                way.name.clone(),
                way.ack.to_owned(),
                way.clients.to_string(),
                cell(|round| round.per_cpu_s),
                cell(|round| round.per_s),
                cell(|round| round.p50_ms),
                cell(|round| round.p99_ms),
                format!("{:.2}", requests_per_s * fsync_us / 1e6),
            ]
        };
        report.table(title, &columns, self.0.iter().filter(|way| !way.rounds.is_empty()).map(row).collect());
        report.note(format!(
            "Syncs' worth: requests a second over what a bare loop of 4 KiB and fdatasync reaches on this disk ({} a second); \
             above 1, one sync carries several requests.",
            figure(1e6 / fsync_us)
        ));
        let refused: usize = self.0.iter().flat_map(|way| way.rounds.iter().map(|round| round.refused)).sum();
        report
            .note(format!("{refused} requests were told to come back, over all rounds and ways; each was sent again."));
    }

    /// Every round of every way.
    pub fn json(&self) -> Value {
        let round = |round: &Round| {
            json!({
                "per_cpu_s": round.per_cpu_s, "per_s": round.per_s, "p50_ms": round.p50_ms, "p99_ms": round.p99_ms,
                "refused": round.refused,
            })
        };
        let way = |way: &Way| {
            let rounds: Vec<Value> = way.rounds.iter().map(round).collect();
            json!({"way": way.name, "clients": way.clients, "rounds": rounds})
        };
        self.0.iter().map(way).collect()
    }
}
