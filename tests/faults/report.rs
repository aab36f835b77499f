//! What a campaign tells: a line a trial, a table at the end, and the same as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use super::AT;
use super::lives::{KILLS_LONG, OFTEN};
use super::trial::Tally;

/// One trial that ended.
#[derive(Debug)]
pub struct Line {
    name: String,
    seed: u64,
    /// What `KILLS` was.
    kills: u64,
    took: Duration,
    tally: Tally,
    failure: Option<String>,
    skipped: bool,
}

impl Line {
    /// A trial of this seed and of so many kills, where it is one that kills often.
    pub fn ran(name: &str, drawn: (u64, u64), took: Duration, tally: Tally, failure: Option<String>) -> Line {
        let (seed, kills) = drawn;
        Line { name: name.to_owned(), seed, kills, took, tally, failure, skipped: false }
    }

    pub fn skipped(name: &str, drawn: (u64, u64)) -> Line {
        Line { skipped: true, ..Line::ran(name, drawn, Duration::ZERO, Tally::default(), None) }
    }

    /// The command that repeats this trial alone.
    fn command(&self) -> String {
        let is_long = self.name.starts_with(OFTEN) && self.kills != KILLS_LONG;
        let kills = if is_long { format!(" KILLS={}", self.kills) } else { String::new() };
        format!("make faults KIND={} TRIALS=1 SEED={}{kills}", self.name, self.seed)
    }
}

/// Sums of one kind.
#[derive(Debug, Default)]
struct Sum {
    trials: u64,
    failed: u64,
    skipped: u64,
    tally: Tally,
}

#[derive(Debug)]
pub struct Report {
    seed: u64,
    trials: u64,
    begun: Instant,
    lines: Vec<Line>,
}

impl Report {
    pub fn new(seed: u64, trials: u64) -> Report {
        say(&format!("faults: SEED={seed} TRIALS={trials}"));
        Report { seed, trials, begun: Instant::now(), lines: Vec::new() }
    }

    /// Tells how a trial ended.
    pub fn add(&mut self, line: Line) {
        let (at, of) = (self.lines.len() + 1, self.trials);
        let Tally { acked, retried, judged, kills, .. } = line.tally;
        let took_s = line.took.as_secs_f64();
        let told = match &line.failure {
            _ if line.skipped => "skipped".to_owned(),
            None => {
                format!("ok   {took_s:5.1} s {acked:6} acked {retried:5} retried {judged:2} judged {kills:3} kills")
            }
            Some(why) => format!("FAIL {took_s:5.1} s {why}\n    repeat it: {}", line.command()),
        };
        say(&format!("{at:4}/{of} {:26} {told}", line.name));
        self.lines.push(line);
    }

    /// The table, the JSON and the verdict; panics if any trial failed.
    pub fn close(self, points: usize) {
        let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
        for line in &self.lines {
            let kind = if line.name.starts_with(AT) { AT.trim_end_matches(':') } else { &line.name };
            let sum = sums.entry(kind).or_default();
            sum.trials += 1;
            sum.skipped += u64::from(line.skipped);
            sum.failed += u64::from(line.failure.is_some());
            for (total, one) in [
                (&mut sum.tally.acked, line.tally.acked),
                (&mut sum.tally.retried, line.tally.retried),
                (&mut sum.tally.lost, line.tally.lost),
                (&mut sum.tally.doubled, line.tally.doubled),
                (&mut sum.tally.returned, line.tally.returned),
                (&mut sum.tally.torn, line.tally.torn),
                (&mut sum.tally.judged, line.tally.judged),
                (&mut sum.tally.kills, line.tally.kills),
            ] {
                *total += one;
            }
        }
        let reached: BTreeSet<&str> = self
            .lines
            .iter()
            .filter(|l| l.failure.is_none() && !l.skipped)
            .filter_map(|l| l.name.strip_prefix(AT))
            .collect();
        say(&table(&sums));
        let took = self.begun.elapsed();
        say(&format!(
            "faults: {} trials with {} kills in {:.0} s, {} of {points} fail points reached, SEED={}",
            self.lines.len(),
            self.kills(),
            took.as_secs_f64(),
            reached.len(),
            self.seed
        ));
        if let Some(path) = std::env::var_os("OUT").filter(|path| !path.is_empty()) {
            let text = format!("{:#}\n", self.document(&sums, &reached, took));
            std::fs::write(&path, text).unwrap_or_else(|cause| panic!("write {}: {cause}", path.display()));
        }
        let failed: Vec<String> = self.lines.iter().filter(|line| line.failure.is_some()).map(Line::command).collect();
        assert!(
            failed.is_empty(),
            "{} of {} trials failed:\n  {}",
            failed.len(),
            self.lines.len(),
            failed.join("\n  ")
        );
    }

    /// How often a server was ended without a warning, in all trials.
    fn kills(&self) -> u64 {
        self.lines.iter().map(|line| line.tally.kills).sum()
    }

    fn document(&self, sums: &BTreeMap<&str, Sum>, reached: &BTreeSet<&str>, took: Duration) -> serde_json::Value {
        let kinds: serde_json::Map<String, serde_json::Value> = sums
            .iter()
            .map(|(kind, sum)| {
                let Sum { trials, failed, skipped, tally } = sum;
                let Tally { acked, retried, lost, doubled, returned, torn, judged, kills } = tally;
                let told = json!({
                    "trials": trials, "failed": failed, "skipped": skipped, "kills": kills, "judged": judged, "acked": acked,
                    "retried": retried, "lost": lost, "doubled": doubled, "returned": returned, "torn": torn,
                });
                ((*kind).to_owned(), told)
            })
            .collect();
        let failures: Vec<_> = self
            .lines
            .iter()
            .filter_map(|line| line.failure.as_ref().map(|why| json!({"repeat": line.command(), "why": why})))
            .collect();
        json!({
            "seed": self.seed, "trials": self.lines.len(), "kills": self.kills(), "took_s": took.as_secs(), "fail_points_reached": reached,
            "kinds": kinds, "failures": failures,
        })
    }
}

fn table(sums: &BTreeMap<&str, Sum>) -> String {
    let mut text = format!(
        "\n{:20} {:>6} {:>6} {:>7} {:>6} {:>7} {:>8} {:>8} {:>6} {:>8} {:>9} {:>6}\n",
        "kind",
        "trials",
        "failed",
        "skipped",
        "kills",
        "judged",
        "acked",
        "retried",
        "lost",
        "doubled",
        "returned",
        "torn"
    );
    for (kind, Sum { trials, failed, skipped, tally }) in sums {
        let Tally { acked, retried, lost, doubled, returned, torn, judged, kills } = tally;
        text.push_str(&format!(
            "{kind:20} {trials:>6} {failed:>6} {skipped:>7} {kills:>6} {judged:>7} {acked:>8} {retried:>8} {lost:>6} {doubled:>8} {returned:>9} {torn:>6}\n"
        ));
    }
    text
}

/// Seen whatever the verbosity of the test run.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
