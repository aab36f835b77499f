//! A disk that is full, that turns read-only, whose syncs fail, and a clock that jumps.

use std::time::Duration;

use rand::Rng;

use super::trial::{Ended, Fault, Trial};

const DAY_S: i64 = 86_400;
/// As far as rows of logs are kept, less some: what is past its retention may go.
const AHEAD_DAYS_MAX: i64 = 25;
const BACK_DAYS_MAX: i64 = 400;

/// The disk fills up while clients write; when there is room again, the same process goes on.
pub fn full(trial: &mut Trial<'_>) -> Ended {
    trial.on_disk()?;
    let mut server = trial.start()?;
    trial.serve(&server);
    trial.wait_for_acks(10, "with room on the disk")?;
    trial.pass(0..400);
    let room = trial.dice.random_range(0..400_000);
    trial.disk().space(Some(room));
    trial.pass(400..1_200);
    trial.disk().space(None);
    trial.wait_for_acks(20, "with room again")?;
    if trial.dice.random_bool(0.5) {
        trial.kill(&mut server);
        server = trial.start()?;
        trial.judge(&server, trial.now(), "after the full disk and a kill")?;
        trial.serve(&server);
    }
    trial.conclude(server)
}

/// The same, but the process is killed while the disk is full, and the next start must say so or work; with room it works.
pub fn full_at_start(trial: &mut Trial<'_>) -> Ended {
    trial.on_disk()?;
    let mut server = trial.start()?;
    trial.serve(&server);
    trial.wait_for_acks(10, "with room on the disk")?;
    trial.pass(0..400);
    let room = trial.dice.random_range(0..100_000);
    trial.disk().space(Some(room));
    trial.pass(100..500);
    trial.kill(&mut server);
    if trial.dice.random_bool(0.5) {
        let room = trial.dice.random_range(0..50_000);
        trial.disk().space(Some(room));
    }
    let cramped = trial.start();
    told(cramped.map(|mut server| trial.kill(&mut server)), &["no space", "full"])?;
    trial.disk().space(None);
    let server = trial.start()?;
    trial.judge(&server, trial.now(), "after the full disk and a start on it")?;
    trial.serve(&server);
    trial.wait_for_acks(20, "with room again")?;
    trial.conclude(server)
}

/// The disk turns read-only. What was refused then may come back: nothing on the disk could be taken back.
pub fn read_only(trial: &mut Trial<'_>) -> Ended {
    trial.on_disk()?;
    trial.refused_may_return = true;
    let mut server = trial.start()?;
    trial.serve(&server);
    trial.wait_for_acks(10, "on a healthy disk")?;
    trial.pass(0..400);
    trial.disk().read_only(true);
    // Answers that were under way arrive; from then on there is no success.
    std::thread::sleep(Duration::from_millis(150));
    let before = trial.world.oracle().acks();
    trial.pass(200..600);
    let after = trial.world.oracle().acks();
    if after > before {
        return Err(Fault::Found(format!("{} requests were acknowledged on a read-only disk", after - before)));
    }
    trial.kill(&mut server);
    let refused = trial.start();
    match refused {
        Ok(_) => return Err(Fault::Found("a server started on a read-only disk".to_owned())),
        Err(error) => told(Err(error), &["read-only"])?,
    }
    trial.disk().read_only(false);
    let server = trial.start()?;
    trial.judge(&server, trial.now(), "after the read-only disk")?;
    trial.serve(&server);
    trial.wait_for_acks(20, "on a healthy disk again")?;
    trial.conclude(server)
}

/// Syncs fail: what they covered is refused, and the store goes on, perhaps after a restart.
pub fn sync_fails(trial: &mut Trial<'_>) -> Ended {
    trial.on_disk()?;
    trial.refused_may_return = true;
    let mut server = trial.start()?;
    trial.serve(&server);
    trial.wait_for_acks(10, "on a healthy disk")?;
    trial.pass(0..400);
    let count = trial.dice.random_range(1..12);
    trial.disk().fail_syncs(count);
    trial.pass(300..900);
    trial.disk().fail_syncs(0);
    trial.kill(&mut server);
    server = trial.start()?;
    trial.judge(&server, trial.now(), "after failed syncs and a kill")?;
    trial.serve(&server);
    trial.wait_for_acks(20, "on a healthy disk again")?;
    trial.conclude(server)
}

/// The clock jumps ahead by days while the process runs.
pub fn clock_ahead(trial: &mut Trial<'_>) -> Ended {
    let days = trial.dice.random_range(1..=AHEAD_DAYS_MAX);
    clock(trial, days * DAY_S)
}

/// The clock jumps back by days.
pub fn clock_back(trial: &mut Trial<'_>) -> Ended {
    let days = trial.dice.random_range(1..=BACK_DAYS_MAX);
    clock(trial, -days * DAY_S)
}

fn clock(trial: &mut Trial<'_>, offset_s: i64) -> Ended {
    trial.on_disk()?;
    // Keys are remembered for a day of the store's own clock.
    trial.keys_kept = offset_s < 0;
    let mut server = trial.start()?;
    trial.serve(&server);
    trial.wait_for_acks(10, "with the right time")?;
    trial.pass(100..700);
    trial.disk().shift_clock(offset_s);
    trial.wait_for_acks(20, "after the clock jumped")?;
    trial.pass(200..1_200);
    trial.kill(&mut server);
    if trial.dice.random_bool(0.3) {
        // Somebody puts the clock right while nothing runs.
        trial.disk().shift_clock(0);
        trial.keys_kept = false;
    }
    server = trial.start()?;
    trial.judge(&server, trial.now(), &format!("after the clock jumped by {offset_s} s and a kill"))?;
    trial.serve(&server);
    trial.wait_for_acks(20, "after the restart")?;
    trial.conclude(server)
}

/// A start that fails must say why in words that a person can act on, and must not be a crash.
fn told(started: Result<(), Fault>, words: &[&str]) -> Ended {
    match started {
        Ok(()) => Ok(()),
        Err(Fault::Found(why)) => {
            let lower = why.to_lowercase();
            let clear = words.iter().any(|word| lower.contains(word));
            let crashed = lower.contains("panicked") || lower.contains("signal:");
            if clear && !crashed { Ok(()) } else { Err(Fault::Found(format!("a start without a clear reason: {why}"))) }
        }
        Err(skipped) => Err(skipped),
    }
}
