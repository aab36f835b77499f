//! A seeded campaign of faults against the real binary, judged by an oracle outside the process: after every fault and
//! restart nothing acknowledged is missing, nothing is there twice, nothing refused comes back; and whom rules and flows call
//! is called under one name each.
//!
//! `make faults [TRIALS=n SEED=s KIND=k KILLS=n]` runs it; `make test` runs its short form. Trial `i` of a campaign draws
//! everything from `SEED + i`, so that the command that a failure prints repeats it alone. Trials of the kinds `acts-kills…` kill
//! `KILLS` times: 100, which makes 1,000 in a whole campaign.

mod acts;
mod disk;
mod disks;
mod journal;
mod kills;
mod lives;
mod made;
mod oracle;
mod owners;
mod power;
mod proof;
mod proxy;
mod report;
mod stores;
mod trial;
mod wreck;
mod writers;

use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::store_s3::{Bucket, bucket};
use report::{Line, Report};
use trial::{Ended, Fault, Trial};

/// Trials of the short form.
const TRIALS_SHORT: u64 = 31;

/// One kind of trial.
struct Kind {
    name: &'static str,
    /// Trials of a long campaign, of 200 in all.
    share: u64,
    run: fn(&mut Trial<'_>) -> Ended,
}

/// Prefix of the kinds that kill at a fail point; each point of [`kills::WAYS`] is one (`at:frame-acked`).
const AT: &str = "at:";
/// Trials of a long campaign that kill at fail points, over all points.
const AT_SHARE: u64 = 40;

const fn kind(name: &'static str, share: u64, run: fn(&mut Trial<'_>) -> Ended) -> Kind {
    Kind { name, share, run }
}

/// Every kind besides the fail points. `KIND=name` picks one.
const KINDS: &[Kind] = &[
    kind("kill", 32, kills::at_random),
    kind("power", 30, power::loss),
    kind("power-after-kill", 14, power::loss_after_kill),
    kind("power-feigned", 2, power::feigned),
    kind("disk-full", 12, disks::full),
    kind("disk-full-start", 6, disks::full_at_start),
    kind("disk-read-only", 6, disks::read_only),
    kind("disk-sync-fails", 8, disks::sync_fails),
    kind("clock-ahead", 6, disks::clock_ahead),
    kind("clock-back", 6, disks::clock_back),
    kind("two-owners", 4, owners::two),
    kind("store-fails", 7, stores::fails),
    kind("store-slow", 4, stores::slow),
    kind("store-torn", 5, stores::torn),
    kind("store-answers-lost", 6, stores::answers_lost),
    kind("store-log-kill", 6, stores::log_kill),
    kind("store-takeover", 4, stores::takeover),
    kind("store-unconditional", 2, stores::unconditional),
    kind("acts-kill", 12, acts::kill),
    kind("acts-power", 8, acts::power),
    kind("acts-kills", 12, lives::sqlite),
    kind("acts-kills-postgres", 2, lives::postgres),
];

/// What the trials of one run share.
pub struct Campaign {
    /// Kills of a trial that kills many times.
    pub kills: u64,
    bucket: OnceCell<Option<Bucket>>,
}

impl Campaign {
    /// The object store of this run, started when the first trial asks for it. `None`: there is none here, and that was said.
    pub fn bucket(&self) -> Option<&Bucket> {
        self.bucket.get_or_init(bucket).as_ref()
    }
}

/// The names of all kinds, fail points apart.
fn names(wanted: &str) -> (Vec<(&'static str, u64)>, Vec<String>) {
    let chosen = |name: &str| wanted.is_empty() || name == wanted;
    let kinds = KINDS.iter().filter(|kind| chosen(kind.name)).map(|kind| (kind.name, kind.share)).collect();
    let points = kills::WAYS.iter().map(|(point, _)| format!("{AT}{point}"));
    (kinds, points.filter(|name| chosen(name) || wanted == AT.trim_end_matches(':')).collect())
}

/// Which kind each trial has: every kind once, the rest by their shares, in an order drawn from the seed. Fail points take
/// turns, beginning anywhere.
fn plan(trials: u64, wanted: &str, seed: u64) -> Vec<String> {
    let mut dice = StdRng::seed_from_u64(seed);
    let (kinds, mut points) = names(wanted);
    assert!(!kinds.is_empty() || !points.is_empty(), "KIND={wanted} is no kind; tests/faults.rs lists them");
    points.shuffle(&mut dice);
    let mut groups: Vec<(Option<&str>, u64)> = kinds.iter().map(|(name, share)| (Some(*name), *share)).collect();
    if !points.is_empty() {
        groups.push((None, AT_SHARE));
    }
    let whole: u64 = groups.iter().map(|(_, share)| share).sum();
    let rest = trials.saturating_sub(groups.len() as u64);
    let mut turns: Vec<Option<&str>> = groups.iter().map(|(name, _)| *name).collect();
    for (name, share) in &groups {
        turns.extend((0..rest * share / whole).map(|_| *name));
    }
    // What rounding leaves goes to the fail points, else to the first kind.
    let filler = if points.is_empty() { groups[0].0 } else { None };
    turns.resize(turns.len().max(usize::try_from(trials).expect("a number of trials")), filler);
    turns.shuffle(&mut dice);
    turns.truncate(usize::try_from(trials).expect("a number of trials"));
    let mut next = points.iter().cycle();
    let named = turns
        .into_iter()
        .map(|turn| turn.map_or_else(|| next.next().expect("there are points").clone(), str::to_owned));
    named.collect()
}

fn run(campaign: &Campaign, name: &str, seed: u64) -> Line {
    let begun = Instant::now();
    let mut trial = Trial::new(campaign, seed);
    let ended = catch_unwind(AssertUnwindSafe(|| match name.strip_prefix(AT) {
        Some(point) => kills::at_point(&mut trial, point),
        None => (KINDS.iter().find(|kind| kind.name == name).expect("planned from the list").run)(&mut trial),
    }));
    let failure = match ended {
        Ok(Ok(())) => None,
        Ok(Err(Fault::Skipped)) => return Line::skipped(name, (seed, campaign.kills)),
        Ok(Err(Fault::Found(why))) => Some(why),
        Err(panic) => Some(format!("panicked: {}", report::panic_text(&*panic))),
    };
    if failure.is_some() {
        trial.keep();
    }
    Line::ran(name, (seed, campaign.kills), begun.elapsed(), trial.tally.clone(), failure)
}

fn env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// `TRIALS` trials of `KIND` (all kinds), drawn from `SEED`, of which the long ones kill `KILLS` times; a table at the end, and
/// JSON into the file `OUT` if it is set.
#[test]
fn campaign() {
    let seed = env("SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let asked = env("TRIALS");
    let trials = asked.unwrap_or(TRIALS_SHORT);
    let kills = env("KILLS").unwrap_or(if asked.is_some() { lives::KILLS_LONG } else { lives::KILLS_SHORT });
    let wanted = std::env::var("KIND").unwrap_or_default();
    let campaign = Campaign { kills, bucket: OnceCell::new() };
    let mut report = Report::new(seed, trials);
    for (at, name) in plan(trials, &wanted, seed).iter().enumerate() {
        let line = run(&campaign, name, seed + at as u64);
        report.add(line);
    }
    report.close(kills::WAYS.len());
}

#[test]
fn a_plan_has_every_kind() {
    for trials in [TRIALS_SHORT, 200] {
        let planned = plan(trials, "", 3);
        assert_eq!(planned.len() as u64, trials);
        assert!(KINDS.iter().all(|kind| planned.iter().any(|name| name == kind.name)), "{planned:?}");
    }
    let lives = plan(200, "", 3).into_iter().filter(|name| name == "acts-kills").count() as u64;
    assert!(
        lives * lives::KILLS_LONG >= 1_000,
        "a long campaign kills rules and flows {} times",
        lives * lives::KILLS_LONG
    );
    let points =
        plan(200, "", 3).into_iter().filter(|name| name.starts_with(AT)).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(points.len(), kills::WAYS.len(), "a long campaign reaches every fail point");
    assert_eq!(plan(2, "power", 3), ["power", "power"]);
    assert_eq!(plan(1, "at:frame-acked", 3), ["at:frame-acked"]);
}
