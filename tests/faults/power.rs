//! The power goes: the server runs on the journalling disk, and other servers open what a disk may hold after a cut at a
//! moment that the dice choose. One run gives several cuts, each with a disk of its own.

use rand::Rng;

use super::journal::{self, Record};
use super::oracle::Bound;
use super::trial::{Ended, Fault, Trial};
use super::wreck::{self, Survival, Wreck};
use crate::harness::{Ground, Server};

/// Cuts of one run.
pub(super) const CUTS: usize = 3;
/// A sync of a slow disk.
const SLOW_SYNC_US: i32 = 10_000;

/// A run from an empty folder on.
pub fn loss(trial: &mut Trial<'_>) -> Ended {
    trial.on_disk()?;
    let mut server = trial.start()?;
    trial.serve(&server);
    trial.wait_for_acks(10, "on a healthy disk")?;
    trial.pass(500..1_500);
    trial.kill(&mut server);
    trial.end_clients();
    cuts(trial, 0..u64::MAX)
}

/// The process is killed, another one goes on with what the kernel still knows, and soon the power goes: what the second
/// process read, showed and acknowledged again was perhaps never synced. Syncs are slow, so that the kill falls into one.
pub fn loss_after_kill(trial: &mut Trial<'_>) -> Ended {
    trial.on_disk()?;
    let mut server = trial.start()?;
    trial.disk().sync_takes(SLOW_SYNC_US);
    trial.serve(&server);
    trial.wait_for_acks(10, "on a healthy disk")?;
    trial.pass(200..600);
    trial.kill(&mut server);
    trial.disk().sync_takes(SLOW_SYNC_US / 10);
    let mut server = trial.start()?;
    trial.serve(&server);
    trial.wait_for_acks(5, "after the kill")?;
    let first_acks = trial.disk().mark();
    trial.pass(50..150);
    let soon = trial.disk().mark();
    trial.pass(0..500);
    trial.kill(&mut server);
    trial.end_clients();
    let between = if trial.dice.random_bool(0.7) { first_acks..soon } else { first_acks..u64::MAX };
    cuts(trial, between)
}

/// A disk that feigns its syncs loses what was acknowledged. The proof that the campaign would see it: the oracle must
/// complain about a cut at the end that keeps only what was synced.
pub fn feigned(trial: &mut Trial<'_>) -> Ended {
    trial.on_disk()?;
    let mut server = trial.start()?;
    trial.disk().feign_syncs();
    trial.serve(&server);
    trial.wait_for_acks(30, "on a disk that feigns its syncs")?;
    trial.kill(&mut server);
    trial.end_clients();
    let records = journal::read(&trial.disk().journal);
    let ground = rebuild(trial, &records, u64::MAX, Survival::Synced);
    let server = trial.spawn(&ground, &[])?;
    trial.keys_kept = false;
    match trial.judge(&server, Bound::NOW, "after the power loss") {
        Err(Fault::Found(why)) if why.contains(" lost: ") => {
            trial.tally.lost = 0;
            Ok(())
        }
        other => Err(Fault::Found(format!("a disk that never synced lost nothing that the oracle saw: {other:?}"))),
    }
}

/// Opens what is left after cuts between these places of the journal.
fn cuts(trial: &mut Trial<'_>, between: std::ops::Range<u64>) -> Ended {
    let records = journal::read(&trial.disk().journal);
    complete(trial, &records)?;
    for cut in 1..=CUTS {
        let at = wreck::draw_cut(&records, between.clone(), &mut trial.dice);
        let survival = wreck::draw(&mut trial.dice);
        let ground = rebuild(trial, &records, at, survival);
        let when = format!("power cut {cut} at byte {at} of the journal, {survival:?}");
        open(trial, &ground, Bound { cut: at, ..trial.now() }, &when)?;
    }
    Ok(())
}

/// Replayed to its end with everything kept, the journal must give the very folder that the process left.
pub(super) fn complete(trial: &mut Trial<'_>, records: &[Record]) -> Ended {
    let whole = rebuild(trial, records, u64::MAX, Survival::Everything);
    let mut missed = wreck::differences(&whole.data(), &trial.ground.data());
    // The search's index is derived and written past the journal, through maps of memory; a torn one is made anew.
    missed.retain(|file| !file.starts_with("index/"));
    match missed.first() {
        None => Ok(()),
        Some(first) => Err(Fault::Found(format!("the journal missed changes of {} files: {first}", missed.len()))),
    }
}

pub(super) fn rebuild(trial: &mut Trial<'_>, records: &[Record], cut: u64, survival: Survival) -> Ground {
    let ground = Ground::new();
    let wreck = Wreck::replay(records, cut, &mut trial.dice);
    wreck.write_to(&ground.data(), survival, &mut trial.dice);
    ground
}

/// The store must open and hold what was acknowledged, and once it is open, a kill must not lose what it showed.
fn open(trial: &mut Trial<'_>, ground: &Ground, bound: Bound, when: &str) -> Ended {
    let mut server: Server = trial.spawn(ground, &[]).map_err(|why| format!("{when}: {why}"))?;
    trial.judge(&server, bound, when)?;
    if trial.dice.random_bool(0.2) {
        server.kill9();
        trial.tally.kills += 1;
        let server = trial.spawn(ground, &[]).map_err(|why| format!("{when}, then a kill: {why}"))?;
        trial.judge(&server, bound, &format!("{when}, then a kill"))?;
    }
    Ok(())
}
