//! Azure DevOps service hooks: every event is kept, whole, under its type.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Tally, arg, files};
use crate::harness::Ground;

/// Beginnings of event types, and the table that is the event's own.
const OWN: &[(&str, &str)] = &[
    ("workitem.", "ado_work_item"),
    ("git.pullrequest.", "ado_pull_request"),
    ("ms.vss-code.git-pullrequest-comment-event", "ado_pull_request_comment"),
    ("git.push", "ado_push"),
    ("git.repo.", "ado_repository"),
    ("tfvc.checkin", "ado_changeset"),
    ("build.complete", "ado_build"),
    ("ms.vss-pipelines.run-", "ado_run"),
    ("ms.vss-pipelines.stage-", "ado_stage"),
    ("ms.vss-pipelines.job-", "ado_job"),
    ("ms.vss-pipelinechecks-events.approval-", "ado_approval"),
    ("ms.vss-pipelinechecks-events.check-", "ado_check"),
    ("ms.vss-release.deployment-approval-", "ado_release_approval"),
    ("ms.vss-release.deployment-", "ado_release_environment"),
    ("ms.vss-release.release-", "ado_release"),
    ("ms.vss-alerts.", "ado_alert"),
    ("ms.vss-endpoint.", "ado_service_endpoint"),
    ("agentqueue.", "ado_agent_queue"),
    ("elasticagentpool.", "ado_elastic_pool"),
    ("manualintervention.", "ado_manual_intervention"),
    ("message.posted", "ado_message"),
];

/// A row, or the end of one, of the table that an event is about.
fn reaches(text: &str, kind: &str) -> Result<(), String> {
    let Some((_, table)) = OWN.iter().find(|(beginning, _)| kind.starts_with(beginning)) else { return Ok(()) };
    let scope = engine::Scope::tenant("acme", "case");
    let parsed = ingest::ado::event(text.as_bytes(), &scope, None).map_err(|e| e.to_string())?;
    let rows: usize = parsed.batches.iter().filter(|b| b.table.name == *table).map(|b| b.rows.num_rows()).sum();
    if rows > 0 { Ok(()) } else { Err(format!("no row of {table}")) }
}

pub fn run(suite: &Path) -> Option<Tally> {
    if !suite.is_dir() {
        return None;
    }
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
    for (kind, texts) in &expected {
        for (i, text) in texts.iter().enumerate() {
            // Not counted beside the deliveries below unless it fails: those say how many events there are.
            if let Err(why) = reaches(text, kind) {
                tally.case(&format!("{kind} [{i}] reaches its table"), Err(why));
            }
        }
    }
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
