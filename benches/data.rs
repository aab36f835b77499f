//! One day of a made-up shop's telemetry, the same at every run: 30 services on 10 nodes, requests that cross services,
//! logs and spans that share trace ids. `SCALE` 1 is a million traces: 10 M log records and 5 M spans.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

use self::words::{LOGGERS, MESSAGES, NAMESPACES, ROUTES, SERVICES, TABLES, Words};

mod words;

/// Raised when the rows change, so that what was prepared from older ones is not taken for them.
pub const VERSION: u32 = 1;
/// Traces at scale 1.
pub const TRACES: u64 = 1_000_000;
pub const SPANS_PER_TRACE: u64 = 5;
pub const LOGS_PER_TRACE: u64 = 10;
/// Log records of a trace that name it; the others stand for background work.
const TRACED_LOGS: u64 = 6;
/// Records of one export request, as OpenTelemetry's batch processor sends them.
const BATCH_RECORDS: usize = 512;
const NODES: usize = 10;
const PODS_PER_SERVICE: usize = 6;
const DAY_NS: u64 = 86_400_000_000_000;
const MS: u64 = 1_000_000;
const USERS: u64 = 100_000;
/// Rows that hold the rare token, at any scale.
const RARE_ROWS: u64 = 12;
/// A word that stands in those rows only.
pub const RARE_TOKEN: &str = "qxj4711";

/// A seeded die (SplitMix64): the same throws with every version of every crate.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn chance(&mut self, percent: f64) -> bool {
        self.unit() * 100.0 < percent
    }

    /// Few of the first places, many of the later ones never: a long tail, as names in production have.
    fn skewed(&mut self, end: usize) -> usize {
        let at = (self.unit() * self.unit() * end as f64) as usize;
        at.min(end - 1)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.skewed(from.len())]
    }

    /// Nanoseconds around `median_ms`, with a heavy upper tail.
    fn duration_ns(&mut self, median_ms: f64) -> u64 {
        let normal = (0..6).map(|_| self.unit()).sum::<f64>() - 3.0;
        (median_ms * (normal * 1.2).exp() * MS as f64) as u64 + 10_000
    }
}

/// Which rows, and when they happened.
#[derive(Debug, Clone, Copy)]
pub struct Day {
    pub traces: u64,
    /// Midnight, nanoseconds since 1970.
    pub begin_ns: u64,
}

/// What a question needs to find one thing among the rows.
#[derive(Debug, Clone)]
pub struct Needles {
    pub trace_id: String,
    pub span_id: String,
    pub pod: String,
}

/// An export request, ready for its door.
pub struct Request {
    pub path: &'static str,
    pub body: Vec<u8>,
}

impl Day {
    /// Calls `send` with every request, about in the order of time. A node's collector sends what its pods say.
    pub fn requests(&self, mut send: impl FnMut(Request)) {
        let mut nodes: Vec<Node> = (0..NODES).map(|_| Node::default()).collect();
        for number in 0..self.traces {
            let trace = Trace::new(self, number);
            trace.spans(|pod, span| {
                let node = &mut nodes[node_of(pod)];
                node.spans.push((pod, span));
                if node.spans.len() == BATCH_RECORDS {
                    send(spans_request(&mut node.spans));
                }
            });
            trace.logs(|pod, record| {
                let node = &mut nodes[node_of(pod)];
                node.logs.push((pod, record));
                if node.logs.len() == BATCH_RECORDS {
                    send(logs_request(&mut node.logs));
                }
            });
        }
        for node in &mut nodes {
            if !node.spans.is_empty() {
                send(spans_request(&mut node.spans));
            }
            if !node.logs.is_empty() {
                send(logs_request(&mut node.logs));
            }
        }
    }

    /// Names of single things, from the middle of the day.
    pub fn needles(&self) -> Needles {
        let trace = Trace::new(self, self.traces / 2);
        let mut found = Vec::new();
        trace.spans(|pod, span| found.push((pod, span.span_id)));
        let (pod, span_id) = found.swap_remove(2);
        Needles { trace_id: hex::encode(trace.id), span_id: hex::encode(span_id), pod: pod_name(pod) }
    }

    /// When a trace begins: evenly over the day but for a slow morning and a busy evening.
    fn begin_of(&self, number: u64, dice: &mut Dice) -> u64 {
        let part = number as f64 / self.traces as f64;
        let bent = part + 0.08 * (part * std::f64::consts::TAU).sin() / std::f64::consts::TAU;
        let jitter = dice.below(200 * MS);
        self.begin_ns + ((bent * (DAY_NS - 60_000 * MS) as f64) as u64) + jitter
    }
}

#[derive(Default)]
struct Node {
    logs: Vec<(Pod, LogRecord)>,
    spans: Vec<(Pod, Span)>,
}

type Pod = usize;

fn pod_of(service: usize, dice: &mut Dice) -> Pod {
    service * PODS_PER_SERVICE + dice.below(PODS_PER_SERVICE as u64) as usize
}

fn node_of(pod: Pod) -> usize {
    (pod * 7 + pod / PODS_PER_SERVICE) % NODES
}

fn service_of(pod: Pod) -> usize {
    pod / PODS_PER_SERVICE
}

fn pod_name(pod: Pod) -> String {
    let mut dice = Dice::new(0xC0FFEE ^ service_of(pod) as u64);
    let set = dice.next() as u32;
    let mut dice = Dice::new(0xDECAF ^ pod as u64);
    format!("{}-{:08x}-{:05x}", SERVICES[service_of(pod)], set, dice.below(1 << 20))
}

/// One request of a customer: which services it crosses, and whether it fails.
struct Trace {
    id: [u8; 16],
    number: u64,
    begin_ns: u64,
    traces: u64,
    dice: Dice,
    pods: [Pod; 3],
    route: usize,
    failed: bool,
    user: u64,
}

impl Trace {
    fn new(day: &Day, number: u64) -> Trace {
        let mut dice = Dice::new(0x5EED_0001 ^ number.wrapping_mul(0x2545_F491_4F6C_DD1D));
        let mut id = [0; 16];
        id[..8].copy_from_slice(&dice.next().to_be_bytes());
        id[8..].copy_from_slice(&dice.next().to_be_bytes());
        let begin_ns = day.begin_of(number, &mut dice);
        let route = dice.skewed(ROUTES.len());
        // A route has a service of its own; the third service hangs on chance.
        let services = [dice.skewed(3), 3 + route % (SERVICES.len() - 3), 3 + dice.skewed(SERVICES.len() - 3)];
        let pods = services.map(|service| pod_of(service, &mut dice));
        // One version of one service fails more often than the rest.
        let bad = service_of(pods[1]) == 7 && pods[1] % 2 == 1;
        let failed = dice.chance(if bad { 18.0 } else { 2.5 });
        let user = dice.below(USERS);
        Trace { id, number, begin_ns, traces: day.traces, dice, pods, route, failed, user }
    }

    fn span_id(&self, at: u64) -> Vec<u8> {
        Dice::new(0xABCD ^ self.number.wrapping_mul(31) ^ (at << 56)).next().to_be_bytes().to_vec()
    }

    fn spans(&self, mut give: impl FnMut(Pod, Span)) {
        let mut dice = self.dice.clone();
        let (method, route) = ROUTES[self.route];
        let whole = dice.duration_ns(40.0 + 15.0 * (self.route % 9) as f64);
        let status = if self.failed { *dice.pick(&[500, 503, 504]) } else { *dice.pick(&[200, 200, 201, 204, 404]) };
        let http = |dice: &mut Dice| {
            vec![
                text("http.request.method", method),
                text("http.route", route),
                number("http.response.status_code", status),
                text("url.path", &route.replace("{id}", &(self.user * 7 % 1_000_003).to_string())),
                text("user.id", &user_name(self.user)),
                text("customer.tier", *dice.pick(&["free", "pro", "team", "enterprise"])),
                text("net.peer.ip", &format!("10.{}.{}.{}", dice.below(4), dice.below(256), dice.below(256))),
            ]
        };
        let name = format!("{method} {route}");
        let database = |dice: &mut Dice| {
            let table = *dice.pick(TABLES);
            let operation = *dice.pick(&["SELECT", "SELECT", "UPDATE", "INSERT"]);
            vec![
                text("db.system.name", *dice.pick(&["postgresql", "redis", "mysql"])),
                text("db.operation.name", operation),
                text("db.collection.name", table),
                number("db.response.returned_rows", dice.below(500) as i64),
            ]
        };
        // Place, parent, pod, kind (2 SERVER, 3 CLIENT), start and length as parts of the whole.
        let shape: [(u64, Option<u64>, usize, i32, f64, f64); 5] = [
            (0, None, 0, 2, 0.0, 1.0),
            (1, Some(0), 0, 3, 0.05, 0.9),
            (2, Some(1), 1, 2, 0.1, 0.8),
            (3, Some(2), 1, 3, 0.2, 0.2),
            (4, Some(2), 2, 2, 0.5, 0.35),
        ];
        for (at, parent, pod, kind, from, part) in shape {
            let start = self.begin_ns + (whole as f64 * from) as u64;
            let failed = self.failed && at < 3;
            let (name, attributes) = match at {
                3 => (format!("query {}", TABLES[self.route % TABLES.len()]), database(&mut dice)),
                4 => (format!("{} internal", SERVICES[service_of(self.pods[2])]), http(&mut dice)),
                _ => (name.clone(), http(&mut dice)),
            };
            let message = if failed { "upstream did not answer" } else { "" };
            let span = Span {
                trace_id: self.id.to_vec(),
                span_id: self.span_id(at),
                parent_span_id: parent.map(|at| self.span_id(at)).unwrap_or_default(),
                name,
                kind,
                start_time_unix_nano: start,
                end_time_unix_nano: start + (whole as f64 * part) as u64,
                attributes,
                status: Some(Status { message: message.to_owned(), code: if failed { 2 } else { 0 } }),
                flags: 1,
                ..Span::default()
            };
            give(self.pods[pod], span);
        }
    }

    fn logs(&self, mut give: impl FnMut(Pod, LogRecord)) {
        let mut dice = Dice::new(0x106_5EED ^ self.number.wrapping_mul(0x9E37_79B1));
        for at in 0..LOGS_PER_TRACE {
            let traced = at < TRACED_LOGS;
            let pod =
                if traced { self.pods[(at % 3) as usize] } else { pod_of(dice.skewed(SERVICES.len()), &mut dice) };
            let error = (traced && self.failed && at % 2 == 1) || dice.chance(0.7);
            let severity = match dice.below(100) {
                _ if error => 17,
                0..=7 => 13,
                8..=19 => 5,
                _ => 9,
            };
            let time = self.begin_ns + at * 3 * MS + dice.below(3 * MS);
            let place = service_of(pod);
            let template = dice.skewed(MESSAGES.len());
            let words = Words { user: self.user, dice: &mut dice, route: ROUTES[self.route].1 };
            let mut body = words::message(severity, place, template, words);
            if self.is_rare(at) {
                body.push_str(" code=");
                body.push_str(RARE_TOKEN);
            }
            let mut attributes = vec![
                text("log.logger", LOGGERS[(place + template) % LOGGERS.len()]),
                text("thread.name", &format!("worker-{}", dice.below(16))),
                text("order.region", *dice.pick(&["eu-central", "eu-west", "us-east", "ap-south"])),
                flag("cache.hit", dice.chance(70.0)),
                number("request.size", dice.below(40_000) as i64),
            ];
            if severity == 17 && dice.chance(60.0) {
                let (kind, message) = *dice.pick(words::EXCEPTIONS);
                attributes.push(text("exception.type", kind));
                attributes.push(text("exception.message", message));
            }
            let span = if traced { self.span_id([0, 2, 4][(at % 3) as usize]) } else { Vec::new() };
            give(
                pod,
                LogRecord {
                    time_unix_nano: time,
                    observed_time_unix_nano: time + 200_000 + dice.below(MS),
                    severity_number: severity,
                    severity_text: words::severity(severity).to_owned(),
                    body: Some(AnyValue { value: Some(Any::StringValue(body)) }),
                    attributes,
                    trace_id: if traced { self.id.to_vec() } else { Vec::new() },
                    span_id: span,
                    flags: u32::from(traced),
                    ..LogRecord::default()
                },
            );
        }
    }

    fn is_rare(&self, at: u64) -> bool {
        let every = (self.traces / RARE_ROWS).max(1);
        at == 4 && self.number % every == every / 2 && self.number / every < RARE_ROWS
    }
}

fn user_name(user: u64) -> String {
    format!("u{:07}", user * 97 % 9_999_991)
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Any::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    pair(key, Any::IntValue(value))
}

fn flag(key: &str, value: bool) -> KeyValue {
    pair(key, Any::BoolValue(value))
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn resource(pod: Pod) -> Option<Resource> {
    let service = service_of(pod);
    let version = if pod % 2 == 1 { "2.4.1" } else { "2.4.0" };
    let node = format!("node-{:02}", node_of(pod));
    let attributes = vec![
        text("service.name", SERVICES[service]),
        text("service.namespace", "shop"),
        text("service.version", version),
        text("service.instance.id", &pod_name(pod)),
        text("deployment.environment.name", "prod"),
        text("host.name", &node),
        text("k8s.cluster.name", "prod-1"),
        text("k8s.namespace.name", NAMESPACES[service % NAMESPACES.len()]),
        text("k8s.pod.name", &pod_name(pod)),
        text("k8s.container.name", "app"),
        text("k8s.node.name", &node),
        text("telemetry.sdk.language", ["go", "java", "python"][service % 3]),
        text("telemetry.sdk.name", "opentelemetry"),
        text("cloud.region", "eu-central-1"),
    ];
    Some(Resource { attributes, ..Resource::default() })
}

fn scope(pod: Pod) -> Option<InstrumentationScope> {
    let name = ["net/http", "io.opentelemetry.spring", "opentelemetry.instrumentation.flask"][service_of(pod) % 3];
    Some(InstrumentationScope { name: name.to_owned(), version: "1.9.0".to_owned(), ..InstrumentationScope::default() })
}

/// Records by pod, each pod's in their order.
fn by_pod<T>(records: &mut Vec<(Pod, T)>) -> Vec<(Pod, Vec<T>)> {
    let mut groups: Vec<(Pod, Vec<T>)> = Vec::new();
    for (pod, record) in records.drain(..) {
        match groups.iter_mut().find(|(known, _)| *known == pod) {
            Some((_, group)) => group.push(record),
            None => groups.push((pod, vec![record])),
        }
    }
    groups
}

fn logs_request(records: &mut Vec<(Pod, LogRecord)>) -> Request {
    let group = |(pod, log_records): (Pod, Vec<LogRecord>)| ResourceLogs {
        resource: resource(pod),
        scope_logs: vec![ScopeLogs { scope: scope(pod), log_records, ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    };
    let request = ExportLogsServiceRequest { resource_logs: by_pod(records).into_iter().map(group).collect() };
    Request { path: "/v1/logs", body: request.encode_to_vec() }
}

fn spans_request(records: &mut Vec<(Pod, Span)>) -> Request {
    let group = |(pod, spans): (Pod, Vec<Span>)| ResourceSpans {
        resource: resource(pod),
        scope_spans: vec![ScopeSpans { scope: scope(pod), spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    let request = ExportTraceServiceRequest { resource_spans: by_pod(records).into_iter().map(group).collect() };
    Request { path: "/v1/traces", body: request.encode_to_vec() }
}
