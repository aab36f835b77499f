//! Telemetry as a platform of a dozen services sends it, from a seed: bodies that differ, attributes of several types,
//! traces that several records share. Requests are made and encoded before a clock starts.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Records a request: the size that OpenTelemetry's batch processor sends by default.
pub const RECORDS: usize = 512;
/// Records of a request that share one trace.
pub const RECORDS_PER_TRACE: usize = 8;
const PODS: u32 = 6;
const USERS: u32 = 40_000;
/// Points of one metric in a request.
const POINTS_PER_METRIC: usize = 64;

const SERVICES: [&str; 12] = [
    "checkout",
    "cart",
    "payment",
    "catalogue",
    "shipping",
    "identity",
    "search",
    "pricing",
    "mail",
    "gateway",
    "invoice",
    "recommendation",
];
const ROUTES: [&str; 8] = [
    "/orders/{id}",
    "/orders",
    "/carts/{id}/items",
    "/payments",
    "/products/{id}",
    "/products",
    "/sessions",
    "/invoices/{id}",
];
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const THREADS: [&str; 4] = ["http-worker", "db-pool", "scheduler", "consumer"];
const METRICS: [(&str, &str, bool); 8] = [
    ("http.server.request.count", "{request}", true),
    ("http.server.active_requests", "{request}", false),
    ("jvm.memory.used", "By", false),
    ("process.cpu.time", "s", true),
    ("db.client.connection.count", "{connection}", false),
    ("messaging.client.sent.messages", "{message}", true),
    ("queue.depth", "{message}", false),
    ("cache.hits", "{hit}", true),
];

/// A seeded source of requests.
pub struct Traffic {
    random: StdRng,
    /// Time of the next record.
    now_ns: u64,
}

impl Traffic {
    /// Requests whose records happened just now.
    pub fn new(seed: u64) -> Traffic {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        Traffic {
            random: StdRng::seed_from_u64(seed),
            now_ns: u64::try_from(since.as_nanos()).expect("before the year 2554"),
        }
    }

    /// One export of logs.
    pub fn logs(&mut self) -> ExportLogsServiceRequest {
        self.logs_of(RECORDS)
    }

    /// The same with so many records.
    pub fn logs_of(&mut self, records: usize) -> ExportLogsServiceRequest {
        let resource = self.resource();
        let traces = self.traces(records);
        let log_records = (0..records).map(|at| self.log(&traces[at / RECORDS_PER_TRACE])).collect();
        let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records, ..ScopeLogs::default() }];
        let group = ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() };
        ExportLogsServiceRequest { resource_logs: vec![group] }
    }

    /// One export of spans: traces of eight, a parent and its children.
    pub fn spans(&mut self) -> ExportTraceServiceRequest {
        let resource = self.resource();
        let traces = self.traces(RECORDS);
        let parents: Vec<Vec<u8>> = traces.iter().map(|_| self.id(8)).collect();
        let span = |traffic: &mut Traffic, at: usize| {
            let trace = at / RECORDS_PER_TRACE;
            traffic.span(&traces[trace], &parents[trace], at.is_multiple_of(RECORDS_PER_TRACE))
        };
        let spans = (0..RECORDS).map(|at| span(self, at)).collect();
        let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }];
        let group = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
        ExportTraceServiceRequest { resource_spans: vec![group] }
    }

    /// One export of metric points.
    pub fn points(&mut self) -> ExportMetricsServiceRequest {
        let resource = self.resource();
        let metrics = METRICS.iter().map(|(name, unit, sum)| self.metric(name, unit, *sum)).collect();
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() }];
        let group = ResourceMetrics { resource: Some(resource), scope_metrics, ..ResourceMetrics::default() };
        ExportMetricsServiceRequest { resource_metrics: vec![group] }
    }

    fn pick(&mut self, from: &'static [&'static str]) -> &'static str {
        from.choose(&mut self.random).copied().expect("lists of words are not empty")
    }

    fn id(&mut self, bytes: usize) -> Vec<u8> {
        (0..bytes).map(|_| self.random.random_range(1..=255_u8)).collect()
    }

    fn traces(&mut self, records: usize) -> Vec<Vec<u8>> {
        (0..records.div_ceil(RECORDS_PER_TRACE)).map(|_| self.id(16)).collect()
    }

    fn time_ns(&mut self) -> u64 {
        self.now_ns += self.random.random_range(1_000..40_000);
        self.now_ns
    }

    fn resource(&mut self) -> Resource {
        let service = self.pick(&SERVICES);
        let pod = self.random.random_range(0..PODS);
        let attributes = vec![
            pair("service.name", text(service)),
            pair("service.version", text("4.17.2")),
            pair("service.instance.id", text(&format!("{service}-6d5f7c9b8-{pod:05x}"))),
            pair("deployment.environment.name", text("production")),
            pair("k8s.cluster.name", text("prod-1")),
            pair("k8s.namespace.name", text("shop")),
            pair("k8s.pod.name", text(&format!("{service}-6d5f7c9b8-{pod:05x}"))),
            pair("host.name", text(&format!("node-{:02}", pod * 3 + 1))),
        ];
        Resource { attributes, ..Resource::default() }
    }

    fn log(&mut self, trace: &[u8]) -> LogRecord {
        let time_unix_nano = self.time_ns();
        let (severity_number, severity, status) = match self.random.random_range(0..100_u32) {
            0..=1 => (17, "ERROR", 500 + self.random.random_range(0..4)),
            2..=6 => (13, "WARN", 400 + self.random.random_range(0..30)),
            _ => (9, "INFO", 200 + self.random.random_range(0..5)),
        };
        let (method, route) = (self.pick(&METHODS), self.pick(&ROUTES));
        let user = self.random.random_range(0..USERS);
        let duration_ms = f64::from(self.random.random_range(200..900_000_u32)) / 1e3;
        let body = self.body(severity_number, method, route, user, status, duration_ms);
        let mut attributes = vec![
            pair("http.request.method", text(method)),
            pair("http.route", text(route)),
            pair("http.response.status_code", Any::IntValue(i64::from(status))),
            pair("user.id", text(&format!("user-{user:06}"))),
        ];
        if self.random.random_bool(0.5) {
            let thread = self.pick(&THREADS);
            attributes.push(pair("thread.name", text(thread)));
        }
        if self.random.random_bool(0.5) {
            let session: u64 = self.random.random();
            attributes.push(pair("session.id", text(&format!("{session:016x}"))));
        }
        if severity_number == 17 {
            attributes.push(pair("exception.type", text("java.net.SocketTimeoutException")));
        }
        LogRecord {
            time_unix_nano,
            observed_time_unix_nano: time_unix_nano + 1_000_000,
            severity_number,
            severity_text: severity.to_owned(),
            body: Some(AnyValue { value: Some(text(&body)) }),
            attributes,
            trace_id: trace.to_vec(),
            span_id: self.id(8),
            flags: 1,
            ..LogRecord::default()
        }
    }

    fn body(&mut self, severity: i32, method: &str, route: &str, user: u32, status: i32, duration_ms: f64) -> String {
        let order: u64 = self.random.random_range(100_000_000..999_999_999);
        match (severity, self.random.random_range(0..4_u32)) {
            (17, 0 | 1) => format!(
                "failed to call payment provider for order {order}: connection reset by peer after {duration_ms:.1} ms, attempt 3 of 3"
            ),
            (17, _) => format!(
                "unexpected EOF while reading reply of inventory for order {order}, user-{user:06} sees status {status}"
            ),
            (_, 0) => format!("{method} {route} answered {status} in {duration_ms:.3} ms for user-{user:06}"),
            (_, 1) => format!("order {order} of user-{user:06} moved from RESERVED to PAID, {} lines", order % 17),
            (_, 2) => format!(
                "cache miss for key product:{} in region eu-central, loaded from replica {} in {duration_ms:.3} ms",
                order % 80_000,
                order % 3
            ),
            _ => format!(
                "message {order:x} consumed from topic orders-{} at offset {}, lag {} messages",
                order % 12,
                order * 7,
                order % 950
            ),
        }
    }

    fn span(&mut self, trace: &[u8], parent: &[u8], root: bool) -> Span {
        let start_time_unix_nano = self.time_ns();
        let duration_ns = self.random.random_range(80_000..400_000_000_u64);
        let (method, route) = (self.pick(&METHODS), self.pick(&ROUTES));
        let failed = self.random.random_bool(0.02);
        let status = if failed { 503 } else { 200 };
        let attributes = vec![
            pair("http.request.method", text(method)),
            pair("http.route", text(route)),
            pair("http.response.status_code", Any::IntValue(status)),
            pair("server.address", text(self.pick(&SERVICES))),
            pair("user.id", text(&format!("user-{:06}", self.random.random_range(0..USERS)))),
        ];
        Span {
            trace_id: trace.to_vec(),
            span_id: if root { parent.to_vec() } else { self.id(8) },
            parent_span_id: if root { Vec::new() } else { parent.to_vec() },
            name: format!("{method} {route}"),
            kind: if root { 2 } else { 3 },
            start_time_unix_nano,
            end_time_unix_nano: start_time_unix_nano + duration_ns,
            attributes,
            status: Some(Status { code: if failed { 2 } else { 0 }, ..Status::default() }),
            ..Span::default()
        }
    }

    fn metric(&mut self, name: &str, unit: &str, sum: bool) -> Metric {
        let data_points = (0..POINTS_PER_METRIC).map(|at| self.point(at)).collect();
        let data = if sum {
            Data::Sum(Sum { data_points, aggregation_temporality: 2, is_monotonic: true })
        } else {
            Data::Gauge(Gauge { data_points })
        };
        Metric { name: name.to_owned(), unit: unit.to_owned(), data: Some(data), ..Metric::default() }
    }

    fn point(&mut self, at: usize) -> NumberDataPoint {
        let value = f64::from(self.random.random_range(0..10_000_000_u32)) / 1e3;
        NumberDataPoint {
            time_unix_nano: self.time_ns(),
            attributes: vec![
                pair("http.route", text(ROUTES[at % ROUTES.len()])),
                pair("http.request.method", text(METHODS[at / ROUTES.len() % METHODS.len()])),
                pair("zone", text(if at < POINTS_PER_METRIC / 2 { "a" } else { "b" })),
            ],
            value: Some(number_data_point::Value::AsDouble(value)),
            ..NumberDataPoint::default()
        }
    }
}

fn text(value: &str) -> Any {
    Any::StringValue(value.to_owned())
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "io.opentelemetry.sdk".to_owned(),
        version: "1.42.0".to_owned(),
        ..InstrumentationScope::default()
    }
}
