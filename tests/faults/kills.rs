//! The process ends without a warning: at a moment that the dice choose, or exactly at a named fail point.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use rand::Rng;

use super::trial::{Ended, Fault, Trial};
use super::writers::RECORDS;
use crate::harness::Server;
use crate::records::{PROTOBUF, log_records, now_ns};

/// Kills of one trial: the later ones hit what the earlier left.
const KILLS: std::ops::RangeInclusive<u32> = 1..=3;
/// A fail point must be reached within this time.
const REACHED_MAX: Duration = Duration::from_secs(40);
const SIGKILL: i32 = 9;
const DAY_NS: u64 = 86_400_000_000_000;

/// Kills at random moments; what was acknowledged before each is there after it.
pub fn at_random(trial: &mut Trial<'_>) -> Ended {
    let mut server = trial.start()?;
    trial.serve(&server);
    for kill in 1..=trial.dice.random_range(KILLS) {
        trial.pass(100..1_200);
        trial.kill(&mut server);
        server = trial.start()?;
        trial.judge(&server, trial.now(), &format!("after kill {kill}"))?;
        trial.serve(&server);
    }
    trial.pass(50..400);
    trial.conclude(server)
}

/// What makes a server reach a fail point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Clients that write; the point comes up to so many times before it counts.
    Writing(u32),
    /// The first start on an empty folder, at the first to this table.
    FirstStart(u32),
    /// A start over tables that an older program made.
    OlderTables,
    /// Maintenance over a table that is large enough to be indexed.
    LargeTable,
    /// Maintenance over rows past their retention, after a start.
    OldRows,
    /// Maintenance over superseded rows past the horizon, after a start.
    Superseded,
    /// An erasure that is approved, and run.
    Erasure,
    /// Documents that no index has seen, and a model.
    Documents,
    /// The same, and another model that is turned to.
    OtherModel,
    /// A flow that fails at its first step, and is undone.
    Flow,
    /// Rules and flows that call somebody; the point comes up to so many times before it counts.
    Acting(u32),
}

/// How each fail point of the engine is reached. [`every_fail_point_has_a_way`] holds the two lists together.
pub const WAYS: &[(&str, Way)] = &[
    ("log-segment-created", Way::Writing(3)),
    ("frame-written", Way::Writing(150)),
    ("frame-synced", Way::Writing(150)),
    ("frame-acked", Way::Writing(150)),
    ("flush-written", Way::Writing(12)),
    ("flush-committed", Way::Writing(12)),
    ("log-keys-kept", Way::Writing(3)),
    ("log-segment-removed", Way::Writing(3)),
    ("load-written", Way::Writing(4)),
    ("load-committed", Way::Writing(4)),
    ("table-created", Way::FirstStart(15)),
    ("columns-added", Way::OlderTables),
    ("delete-committed", Way::OldRows),
    ("floor-committed", Way::Superseded),
    ("compaction-rewritten", Way::Writing(1)),
    ("compaction-committed", Way::Writing(1)),
    ("index-begun", Way::LargeTable),
    ("index-committed", Way::LargeTable),
    ("clean-begun", Way::Writing(4)),
    ("clean-done", Way::Writing(4)),
    ("rewrite-written", Way::Erasure),
    ("rewrite-committed", Way::Erasure),
    ("chunks-written", Way::Documents),
    ("text-committed", Way::Documents),
    ("embedding-kept", Way::Documents),
    ("model-switched", Way::OtherModel),
    ("flow-intended", Way::Flow),
    ("flow-called", Way::Flow),
    ("flow-kept", Way::Flow),
    ("rule-compared", Way::Acting(3)),
    ("queue-written", Way::Acting(40)),
    ("queue-committed", Way::Acting(40)),
    ("job-called", Way::Acting(30)),
];

#[test]
fn every_fail_point_has_a_way() {
    let ways: Vec<&str> = WAYS.iter().map(|(point, _)| *point).collect();
    assert_eq!(ways, engine::fault::POINTS, "a fail point that no trial reaches proves nothing");
}

/// Kills at a fail point, which must be reached.
pub fn at_point(trial: &mut Trial<'_>, point: &str) -> Ended {
    let (_, way) = WAYS.iter().find(|(name, _)| *name == point).expect("the campaign draws from this list");
    // Rows are deleted for two reasons; the second has more to keep straight.
    let also = point == "delete-committed" && trial.dice.random_bool(0.5);
    let way = if also { &Way::Superseded } else { way };
    if let Way::Acting(most) = way {
        return super::acts::at_point(trial, point, *most);
    }
    prepare(trial, *way)?;
    trial.maintain_every("1s");
    let most = match way {
        Way::Writing(most) | Way::FirstStart(most) | Way::Acting(most) => *most,
        Way::OlderTables | Way::LargeTable | Way::OldRows | Way::Superseded => 1,
        Way::Documents | Way::OtherModel | Way::Erasure => 1,
        Way::Flow => 2,
    };
    // Half of the time at the very first.
    let nth = if trial.dice.random_bool(0.5) { 1 } else { trial.dice.random_range(1..=most) };
    let delay_ms = if trial.dice.random_bool(0.7) { 0 } else { trial.dice.random_range(0..20) };
    let fail_at = format!("{point}:{nth}:{delay_ms}");
    let ground = &trial.ground;
    match trial.spawn(ground, &[("STELLWERK_FAIL_AT", &fail_at)]) {
        Ok(mut server) => {
            trial.serve(&server);
            if *way == Way::OtherModel {
                // It ends the server in the middle of this.
                let _ = trial.ground.run(&["index", "build", "--model", "hashed-32"]);
            }
            if *way == Way::Erasure {
                let _ = trial.ground.run(&["erase", "run", &approved(trial)]);
            }
            wait_for_the_end(&mut server, &fail_at)?;
            trial.world.close();
        }
        Err(why) if why.contains(&format!("signal: {SIGKILL}")) => {}
        Err(why) => return Err(Fault::Found(format!("{fail_at}: {why}"))),
    }
    trial.tally.kills += 1;
    let server = trial.start()?;
    trial.judge(&server, trial.now(), &format!("after the end at {fail_at}"))?;
    trial.serve(&server);
    trial.pass(50..400);
    trial.wait_for_acks(1, "after the restart")?;
    trial.conclude(server)
}

/// Whose data the trial of an erasure erases.
const FORGOTTEN: &str = "Wilhelmine Forgotten";

/// The erasure that was prepared.
fn approved(trial: &Trial<'_>) -> String {
    let listed = trial.ground.run(&["erase", "list", "--format", "json"]).ok().stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    listed[0]["id"].as_str().expect("an erasure").to_owned()
}

pub(super) fn wait_for_the_end(server: &mut Server, fail_at: &str) -> Ended {
    let begun = Instant::now();
    loop {
        match server.ended() {
            Some(status) if status.signal() == Some(SIGKILL) => return Ok(()),
            Some(status) => {
                return Err(Fault::Found(format!("{fail_at}: the server ended with {status}\n{}", server.log())));
            }
            None if begun.elapsed() > REACHED_MAX => {
                return Err(Fault::Found(format!("{fail_at} was not reached within {REACHED_MAX:?}")));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Puts on the ground what the point needs.
fn prepare(trial: &mut Trial<'_>, way: Way) -> Ended {
    match way {
        Way::Writing(_) | Way::FirstStart(_) | Way::Acting(_) => Ok(()),
        Way::OlderTables => {
            super::made::older_tables(&trial.ground.data());
            Ok(())
        }
        Way::LargeTable => {
            super::made::large_table(&trial.ground.data());
            Ok(())
        }
        Way::Documents | Way::OtherModel => {
            let wiki = trial.ground.beside("wiki");
            std::fs::create_dir_all(&wiki).expect("a folder beside the data");
            let text = "# Keys\n\nRotate the key.\n\n## Nodes\n\nDrain the pool.\n";
            std::fs::write(wiki.join("keys.md"), text).expect("a document beside the data");
            let folder = wiki.display().to_string();
            trial.ground.run(&["ingest", "docs", &folder]).ok();
            trial.args.extend(["--embedder".to_owned(), "hashed-16".to_owned()]);
            Ok(())
        }
        Way::Flow => {
            // There is a store before there is a flow in it.
            let server = trial.start()?;
            stop(server)?;
            let input = r#"{"repository": "none", "title": "t", "path": "p", "content": "c"}"#;
            trial.ground.run(&["flow", "start", "draft_pull_request", "--input", input]).ok();
            Ok(())
        }
        Way::Erasure => {
            trial.maintain_every("1h");
            let server = trial.start()?;
            let records = std::iter::once((FORGOTTEN.to_owned(), 9));
            let reply = server.connect().post("/v1/logs", PROTOBUF, log_records(now_ns(), "erased", records));
            assert_eq!(reply.status, 200, "{}", reply.text());
            let ground = &trial.ground;
            let made = ground.run(&["key", "create", "privacy"]).ok().stdout;
            let key = ground.beside("privacy.key");
            std::fs::write(&key, made).expect("a file");
            let planned = ["erase", "--subject", FORGOTTEN, "--reason", "trial", "--format", "json"];
            let planned: serde_json::Value = serde_json::from_str(&ground.run(&planned).ok().stdout).expect("JSON");
            let id = planned["id"].as_str().expect("an id");
            let key = key.to_str().expect("UTF-8");
            ground.run(&["erase", "approve", id, "--key-file", key]).ok();
            stop(server)
        }
        Way::OldRows => {
            // The next server maintains: a process that does it has the lease, and keeps it for minutes after its end.
            trial.maintain_every("1h");
            let server = trial.start()?;
            let records = (1..=RECORDS).map(|record| ("old".to_owned(), i32::try_from(record).expect("a severity")));
            let body = log_records(now_ns() - 40 * DAY_NS, "long ago", records);
            let reply = server.connect().post("/v1/logs", PROTOBUF, body);
            assert_eq!(reply.status, 200, "{}", reply.text());
            stop(server)
        }
        Way::Superseded => {
            // Without a horizon every superseded row is past it; questions about old places are refused then.
            trial.args.extend(["--as-of-horizon".to_owned(), "0s".to_owned()]);
            trial.look_back_may_end = true;
            trial.maintain_every("1h");
            let server = trial.start()?;
            trial.serve(&server);
            trial.pass(600..900);
            trial.world.close();
            stop(server)
        }
    }
}

/// A graceful stop, which flushes.
fn stop(server: Server) -> Ended {
    match server.stop() {
        (Some(0), _) => Ok(()),
        (code, _) => Err(Fault::Found(format!("the graceful stop ended with {code:?}"))),
    }
}
