//! Azure DevOps service hooks: every event is kept, whole, under its type.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Tally, arg, files};
use crate::harness::Ground;

pub fn run(suite: &Path) -> Option<Tally> {
    let mut expected: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let paths = files(suite, ".json");
    for path in &paths {
        let text = fs::read_to_string(path).expect("the event is readable");
        let event: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).expect("the event is JSON");
        let field = |names: &[&str]| names.iter().find_map(|name| event[*name].as_str().map(str::to_owned));
        // One sample of the documentation has its type in `eventId`, one captured event is in PascalCase.
        let kind = field(&["eventType", "EventType", "eventId"]).unwrap_or_default();
        // One event may be delivered in several forms; the same body again is the same delivery.
        expected.entry(kind).or_default().insert(text.clone());
    }
    let mut tally = Tally::default();
    let ground = Ground::new();
    for round in ["first delivery", "second delivery"] {
        let done = ground.run(&["ingest", "ado", arg(suite)]);
        tally.case(round, if done.code == Some(0) { Ok(()) } else { Err(done.stderr) });
        let rows = ground.ask("SELECT event_type, count(*) FROM ado_event GROUP BY event_type");
        let got: BTreeMap<String, usize> =
            rows.into_iter().map(|mut row| (row.swap_remove(0), row[0].parse().unwrap_or(0))).collect();
        for (kind, ids) in &expected {
            tally.equal(&format!("{round}: {kind}"), &got.get(kind).copied().unwrap_or(0), &ids.len());
        }
        tally.equal(
            &format!("{round}: all"),
            &got.values().sum(),
            &expected.values().map(BTreeSet::len).sum::<usize>(),
        );
        tally.equal(
            &format!("{round}: rejects"),
            &ground.ask("SELECT count(*) FROM reject").concat().concat(),
            &"0".to_owned(),
        );
    }
    Some(tally)
}
