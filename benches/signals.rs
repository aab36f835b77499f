//! Spans and metric points through the same doors as logs. A record of one kind is not a record of the other, so the
//! three are held against each other by the bytes that arrive.

use std::sync::Arc;

use prost::Message;

use crate::Context;
use crate::machine;
use crate::report::{Bound, Goal, Report, Spread, figure, percentile};
use crate::takers::{self, Bodies, Sent};
use crate::traffic::{RECORDS, Traffic};
use crate::ways::Ways;

const ROUNDS: usize = 3;
const REQUESTS: usize = 300;
const SEED: u64 = 20_260_902;
const CLIENTS: usize = 8;
/// Bytes a CPU-second, as a share of what logs reach.
const OF_LOGS_GOAL: f64 = 0.5;

/// One kind of telemetry and its bodies.
struct Kind {
    name: &'static str,
    path: &'static str,
    table: &'static str,
    bodies: Bodies,
}

impl Kind {
    fn sent(&self) -> Sent<'_> {
        Sent { path: self.path, bodies: &self.bodies, clients: CLIENTS, gzip: false, pace: None }
    }

    fn bytes_per_record(&self) -> f64 {
        self.bodies.iter().map(Vec::len).sum::<usize>() as f64 / (self.bodies.len() * RECORDS) as f64
    }

    fn way(&self) -> String {
        format!("Stellwerk, {}", self.name)
    }

    /// Megabytes of protobuf a CPU-second.
    fn mb_per_cpu_s(&self, ways: &Ways) -> Spread {
        let way = ways.find(&self.way(), CLIENTS).expect("ours is always measured");
        let mb = self.bytes_per_record() / 1e6;
        let rates: Vec<f64> = way.rounds.iter().map(|round| round.per_cpu_s * mb).collect();
        Spread::of(&rates)
    }
}

pub fn run(context: &Context) -> Report {
    let mut report = Report::default();
    let mut traffic = Traffic::new(SEED);
    let count = context.scaled(REQUESTS);
    let logs: Vec<Vec<u8>> = (0..count).map(|_| traffic.logs().encode_to_vec()).collect();
    let spans: Vec<Vec<u8>> = (0..count).map(|_| traffic.spans().encode_to_vec()).collect();
    let points: Vec<Vec<u8>> = (0..count).map(|_| traffic.points().encode_to_vec()).collect();
    let kinds = [
        Kind { name: "logs", path: "/v1/logs", table: "otel_log", bodies: Arc::new(logs) },
        Kind { name: "spans", path: "/v1/traces", table: "otel_span", bodies: Arc::new(spans) },
        Kind { name: "points", path: "/v1/metrics", table: "otel_metric", bodies: Arc::new(points) },
    ];
    let mut ways = Ways::default();
    for round in 1..=ROUNDS {
        context.say(format_args!("round {round} of {ROUNDS}"));
        one_round(context, &kinds, &mut ways, &mut report);
    }
    goals(&mut report, &kinds, &ways);
    let fsync_us = percentile(&machine::fsync_us(&context.folder), 0.5);
    ways.table(&mut report, &format!("{RECORDS} records a request, {CLIENTS} clients"), fsync_us);
    report.note("The Collector writes to a file and VictoriaMetrics to memory; neither syncs before it answers.");
    report.raw("rounds", ways.json());
    report
}

/// Every kind and every peer once, in turn.
fn one_round(context: &Context, kinds: &[Kind; 3], ways: &mut Ways, report: &mut Report) {
    let [_, spans, points] = kinds;
    let mut add = |name: &str, ack, round| ways.add(context, report, (name, CLIENTS, ack), round);
    for kind in kinds {
        add(&kind.way(), "fsynced and visible", Ok(takers::ours(context, kind.sent(), kind.table)));
    }
    add("Collector to a file, spans", "written, not synced", takers::collector(context, spans.sent()));
    add("Collector to a file, points", "written, not synced", takers::collector(context, points.sent()));
    add("VictoriaMetrics, points", "in memory", takers::victoria_metrics(context, points.sent()));
}

fn goals(report: &mut Report, kinds: &[Kind; 3], ways: &Ways) {
    let [logs, others @ ..] = kinds;
    let of_logs = logs.mb_per_cpu_s(ways);
    for kind in others {
        let rate = kind.mb_per_cpu_s(ways);
        report.goal(Goal {
            what: &format!("{} a server CPU-second by bytes, against logs", kind.name),
            bound: Bound::AtLeast(OF_LOGS_GOAL),
            unit: "x",
            value: Some(rate.median / of_logs.median),
            ours: format!("{rate} MB a CPU-second"),
            peer: format!("our logs: {of_logs}"),
        });
    }
    let row = |kind: &Kind| {
        let rate = kind.mb_per_cpu_s(ways);
        vec![kind.name.to_owned(), figure(kind.bytes_per_record()), rate.to_string()]
    };
    report.table("Bytes of protobuf", &["kind", "B a record", "MB a CPU-second"], kinds.iter().map(row).collect());
}
