//! An object store that fails, is slow, breaks off, loses answers or ignores conditions, with the log on the local disk or
//! as objects beside the tables.

use std::net::SocketAddr;

use rand::Rng;

use super::proxy::{Proxy, Rates};
use super::trial::{Ended, Fault, Trial};
use crate::store_s3::Bucket;

/// Puts a trial's tables on the campaign's bucket behind a proxy.
fn on_store(trial: &mut Trial<'_>, log_too: bool) -> Result<Proxy, Fault> {
    let bucket = trial.campaign.bucket().ok_or(Fault::Skipped)?;
    let proxy = Proxy::before(bucket.address(), trial.dice.random());
    let prefix: u64 = trial.dice.random();
    trial.args.extend(store_args(bucket, proxy.address, prefix, log_too));
    Ok(proxy)
}

fn store_args(bucket: &Bucket, address: SocketAddr, prefix: u64, log_too: bool) -> Vec<String> {
    let mut args = vec!["--store".to_owned(), format!("s3://tests/faults-{prefix:016x}")];
    for option in bucket.options_at(&format!("http://{address}")) {
        args.extend(["--store-option".to_owned(), option]);
    }
    if log_too {
        args.extend(["--wal".to_owned(), "store".to_owned()]);
    }
    args
}

/// Fails for a while under clients, then is healthy; a kill in the middle or not.
fn under(trial: &mut Trial<'_>, rates: Rates) -> Ended {
    let log_too = trial.dice.random_bool(0.5);
    let proxy = on_store(trial, log_too)?;
    // A store that failed to answer may have taken the object; a process that dies then cannot take it back.
    trial.refused_may_return = log_too;
    let mut server = trial.start()?;
    trial.serve(&server);
    trial.wait_for_acks(10, "on a healthy store")?;
    proxy.fail(rates);
    trial.pass(800..1_600);
    let failed = proxy.failed();
    if trial.dice.random_bool(0.5) {
        trial.kill(&mut server);
        proxy.fail(Rates::default());
        server = trial.start()?;
        trial.judge(&server, trial.now(), &format!("after {failed} failures of the store and a kill"))?;
        trial.serve(&server);
    }
    proxy.fail(Rates::default());
    if failed == 0 {
        return Err(Fault::Found("the store did not fail once, so the trial shows nothing".to_owned()));
    }
    trial.wait_for_acks(10, "on a healthy store again")?;
    trial.conclude(server)
}

pub fn fails(trial: &mut Trial<'_>) -> Ended {
    let rates = Rates { error: 0.15, reset: 0.08, ..Rates::default() };
    under(trial, rates)
}

pub fn slow(trial: &mut Trial<'_>) -> Ended {
    let rates = Rates { slow: 0.6, slow_ms: 150, ..Rates::default() };
    under(trial, rates)
}

pub fn torn(trial: &mut Trial<'_>) -> Ended {
    let rates = Rates { torn: 0.15, ..Rates::default() };
    under(trial, rates)
}

pub fn answers_lost(trial: &mut Trial<'_>) -> Ended {
    let rates = Rates { answer_lost: 0.15, slow: 0.1, slow_ms: 50, ..Rates::default() };
    under(trial, rates)
}

/// Kills, with the log on the store.
pub fn log_kill(trial: &mut Trial<'_>) -> Ended {
    let _proxy = on_store(trial, true)?;
    super::kills::at_random(trial)
}

/// A store that takes a conditional PUT whatever the condition is refused at the start.
pub fn unconditional(trial: &mut Trial<'_>) -> Ended {
    let proxy = on_store(trial, false)?;
    proxy.fail(Rates { unconditional: true, ..Rates::default() });
    match trial.start() {
        Err(Fault::Found(why)) if why.contains("ignores the condition") => {}
        Err(Fault::Found(why)) => return Err(Fault::Found(format!("refused for another reason: {why}"))),
        Err(skipped) => return Err(skipped),
        Ok(_) => return Err(Fault::Found("a store that ignores conditions was taken".to_owned())),
    }
    proxy.fail(Rates::default());
    let server = trial.start()?;
    trial.serve(&server);
    trial.wait_for_acks(10, "on a store that keeps conditions")?;
    trial.conclude(server)
}

/// Another process takes over a log on the store while the first one lives: from then on the first acknowledges nothing,
/// and what it had acknowledged is there.
pub fn takeover(trial: &mut Trial<'_>) -> Ended {
    let _proxy = on_store(trial, true)?;
    let first = trial.start()?;
    trial.serve(&first);
    trial.wait_for_acks(10, "before the takeover")?;
    trial.pass(200..800);
    trial.world.conflicts_expected.store(true, std::sync::atomic::Ordering::SeqCst);
    let other = crate::harness::Ground::new();
    let second = trial.spawn(&other, &[])?;
    // Answers that were under way arrive first.
    trial.pass(300..500);
    let before = trial.world.oracle().acks();
    trial.pass(300..800);
    let after = trial.world.oracle().acks();
    if after > before {
        return Err(Fault::Found(format!("{} requests were acknowledged after the takeover", after - before)));
    }
    trial.end_clients();
    // Flushes of the first that were due before its clients ended.
    trial.pass(600..1_000);
    trial.refused_may_return = true;
    trial.judge(&second, trial.now(), "by the second owner, while the first lives")?;
    drop(first);
    let (code, _) = second.stop();
    if code != Some(0) {
        return Err(Fault::Found(format!("the second owner's graceful stop ended with {code:?}")));
    }
    let third = trial.spawn(&other, &[])?;
    trial.judge(&third, trial.now(), "by a third owner")
}
