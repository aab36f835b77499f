//! The process's own figures, in Prometheus's text form. Labels come from closed sets (matched routes, kinds), never
//! from what a caller wrote, so their number is bounded.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::facts::FactsStatus;
use engine::store::Status;
use index::search::IndexStatus;
use jobs::queue::{Figures, Load};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

const NEVER_FAILS: &str = "writing to a String does not fail";
/// Upper bounds of the duration histograms, in seconds.
const DURATIONS_S: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];

/// A question that is dropped before it ends was cancelled by its reader.
const RUNNING: &str = "cancelled";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteStatus {
    route: String,
    method: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Table {
    table: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindOutcome {
    kind: String,
    outcome: &'static str,
}

/// Counters of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RouteStatus, Counter>,
    request_seconds: Family<Route, Histogram, fn() -> Histogram>,
    /// Requests being answered now.
    pub requests_running: Gauge,
    /// Open connections.
    pub connections: Gauge,
    queries: Family<Outcome, Counter>,
    query_seconds: Histogram,
    /// Questions being answered now.
    pub queries_running: Gauge,
    query_rows: Counter,
    ingest_records: Family<KindOutcome, Counter>,
    answers: Family<Outcome, Counter>,
    answer_seconds: Histogram,
}

fn durations() -> Histogram {
    Histogram::new(DURATIONS_S)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("stellwerk");
        let metrics = Metrics {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(durations),
            requests_running: Gauge::default(),
            connections: Gauge::default(),
            queries: Family::default(),
            query_seconds: durations(),
            queries_running: Gauge::default(),
            query_rows: Counter::default(),
            ingest_records: Family::default(),
            answers: Family::default(),
            answer_seconds: durations(),
            registry: Registry::default(),
        };
        registry.register("build", "The running program", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("http_requests", "Requests answered, gRPC calls among them", metrics.requests.clone());
        let (name, help) = ("http_request_duration", "Time from a request's head to its answer's head");
        registry.register_with_unit(name, help, Unit::Seconds, metrics.request_seconds.clone());
        registry.register("http_requests_running", "Requests being answered now", metrics.requests_running.clone());
        registry.register(
            "connections",
            "Open connections, the control socket's among them",
            metrics.connections.clone(),
        );
        registry.register("queries", "Questions by how they ended", metrics.queries.clone());
        registry.register_with_unit(
            "query_duration",
            "Time from a question to its last row",
            Unit::Seconds,
            metrics.query_seconds.clone(),
        );
        registry.register("queries_running", "Questions being answered now", metrics.queries_running.clone());
        registry.register("query_rows", "Rows that answers gave", metrics.query_rows.clone());
        registry.register(
            "ingest_records",
            "Records read from files, by what became of them",
            metrics.ingest_records.clone(),
        );
        registry.register("answers", "Answers by who made their words, or why there is none", metrics.answers.clone());
        registry.register_with_unit(
            "answer_duration",
            "Time from a question to the last word of its answer",
            Unit::Seconds,
            metrics.answer_seconds.clone(),
        );
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let start = Gauge::<f64, AtomicU64>::default();
        start.set(started);
        registry.register_with_unit("start_time", "When the process started, since 1970", Unit::Seconds, start);
        Metrics { registry, ..metrics }
    }
}

impl Metrics {
    /// One request was answered.
    pub fn answered(&self, route: &str, method: &str, status: u16, took: Duration) {
        let labels = RouteStatus { route: route.to_owned(), method: method.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.get_or_create(&Route { route: route.to_owned() }).observe(took.as_secs_f64());
    }

    /// A question begins; the answer notes how it ends.
    pub fn query(self: &std::sync::Arc<Self>) -> QueryTimer {
        self.queries_running.inc();
        QueryTimer { metrics: std::sync::Arc::clone(self), started: Instant::now(), rows: 0, outcome: RUNNING }
    }

    /// An answer begins.
    pub fn answer(self: &std::sync::Arc<Self>) -> AnswerTimer {
        AnswerTimer { metrics: std::sync::Arc::clone(self), started: Instant::now(), outcome: RUNNING }
    }

    /// Records of a file were read.
    pub fn ingested(&self, kind: &str, summary: &ingest::Summary) {
        for (outcome, count) in
            [("accepted", summary.accepted), ("rejected", summary.rejected), ("repeated", summary.repeated)]
        {
            self.ingest_records.get_or_create(&KindOutcome { kind: kind.to_owned(), outcome }).inc_by(count);
        }
    }

    /// Everything as Prometheus reads it: this process's counters, then the store's figures of now, and the index's where it
    /// is open.
    pub fn text(&self, store: &Status, index: Option<&IndexStatus>) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect(NEVER_FAILS);
        // One document has one end, and it is the second part's.
        text.truncate(text.trim_end().trim_end_matches("# EOF").len());
        for registry in [Some(store_figures(store)), index.map(index_figures)].into_iter().flatten() {
            text.truncate(text.trim_end().trim_end_matches("# EOF").len());
            encode(&mut text, &registry).expect(NEVER_FAILS);
        }
        text
    }
}

/// The store's figures; made for one reading, so that a table that goes leaves no stale line.
fn store_figures(status: &Status) -> Registry {
    let mut registry = Registry::with_prefix("stellwerk_store");
    let mut gauge = |name: &str, help: &str, value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    gauge("next_seq", "Place in the log that the next row will get", status.next_seq);
    gauge("queue_bytes", "Bytes of frames that wait for the log", status.queue_bytes as u64);
    gauge("wal_bytes", "Bytes of the write-ahead log when it was last shortened", status.wal_bytes);
    gauge(
        "memory_bytes",
        "Bytes of the memory budget that are taken, Lance's caches aside",
        status.memory_bytes as u64,
    );
    gauge("memory_max_bytes", "The memory budget", status.memory_bytes_max as u64);
    let rows = Counter::<u64>::default();
    rows.inc_by(status.appended_rows);
    registry.register("appended_rows", "Rows acknowledged since the start", rows);
    let by_table: [(&str, &str, fn(&FactsStatus) -> u64); 5] = [
        ("tail_rows", "Rows in memory, not yet flushed", |t| t.tail_rows as u64),
        ("tail_bytes", "Bytes in memory, not yet flushed", |t| t.tail_bytes as u64),
        ("fragments", "Lance fragments", |t| t.fragments as u64),
        ("version", "Lance version", |t| t.version),
        ("flush_failing", "1 while the last flush of the table failed", |t| u64::from(t.failed.is_some())),
    ];
    for (name, help, figure) in by_table {
        let family = Family::<Table, Gauge>::default();
        for table in &status.tables {
            let value = i64::try_from(figure(table)).unwrap_or(i64::MAX);
            family.get_or_create(&Table { table: table.table }).set(value);
        }
        registry.register(name, help, family);
    }
    let commits = Family::<Table, Counter>::default();
    for table in &status.tables {
        commits.get_or_create(&Table { table: table.table }).inc_by(table.commits);
    }
    registry.register("commits", "Lance commits of this process", commits);
    registry
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueName {
    queue: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueState {
    queue: String,
    kind: String,
    state: &'static str,
}

/// The same document with how the queue stands, of every process over its database. Kinds are those of the registers.
pub fn with_queue(text: &str, loads: &[Load]) -> String {
    let mut registry = Registry::with_prefix("stellwerk");
    let oldest = Family::<QueueName, Gauge<f64, AtomicU64>>::default();
    let jobs = Family::<QueueState, Gauge>::default();
    let figures = Figures { loads: loads.to_vec(), ..Figures::default() };
    for queue in figures.queues() {
        let seconds = figures.oldest_ready_us(queue) as f64 / 1e6;
        oldest.get_or_create(&QueueName { queue: queue.to_owned() }).set(seconds);
    }
    for load in loads {
        for (state, count) in [
            ("ready", load.ready),
            ("later", load.later),
            ("running", load.running),
            ("waiting", load.waiting),
            ("dead", load.dead),
            ("paused", load.paused),
        ] {
            let labels = QueueState { queue: load.queue.clone(), kind: load.kind.clone(), state };
            jobs.get_or_create(&labels).set(count);
        }
    }
    let help = "Since when the oldest job that is due waits; what workers are scaled by";
    registry.register_with_unit("queue_oldest_ready", help, Unit::Seconds, oldest);
    registry.register("queue_jobs", "Jobs that have not ended", jobs);
    let mut whole = text.trim_end().trim_end_matches("# EOF").to_owned();
    encode(&mut whole, &registry).expect(NEVER_FAILS);
    whole
}

/// The index's figures; how far it is behind, and what waits for a model.
fn index_figures(status: &IndexStatus) -> Registry {
    let mut registry = Registry::with_prefix("stellwerk_index");
    let mut gauge = |name: &str, help: &str, value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    let active = status.active.as_ref();
    gauge("covered_seq", "Newest place in the log among the rows that the index has seen", status.covered_seq);
    gauge("waiting_documents", "Texts that wait to be cut", status.waiting_documents);
    gauge("documents", "Texts that are searchable", status.documents);
    gauge("chunks", "Their chunks", status.chunks);
    gauge("missing_vectors", "Chunks without a vector of the model in use", active.map_or(0, |space| space.missing));
    gauge("failing", "1 while the last attempt to follow the sources failed", u64::from(status.failed.is_some()));
    let embedded = Counter::<u64>::default();
    embedded.inc_by(status.embedded_inputs);
    registry.register("embedded_inputs", "Inputs that a model read since the start", embedded);
    registry
}

/// Times one question; what it was told last is how the question ended.
#[derive(Debug)]
pub struct QueryTimer {
    metrics: std::sync::Arc<Metrics>,
    started: Instant,
    rows: u64,
    outcome: &'static str,
}

impl QueryTimer {
    /// This many more rows were given.
    pub fn rows(&mut self, rows: usize) {
        self.rows += rows as u64;
    }

    /// The question ended with an error of this kind.
    pub fn ended(&mut self, kind: &'static str) {
        self.outcome = kind;
    }

    /// The question gave its last row; an error before stays the outcome.
    pub fn ended_well(&mut self) {
        if self.outcome == RUNNING {
            self.outcome = "ok";
        }
    }
}

impl Drop for QueryTimer {
    fn drop(&mut self) {
        self.metrics.queries_running.dec();
        self.metrics.queries.get_or_create(&Outcome { outcome: self.outcome }).inc();
        self.metrics.query_seconds.observe(self.started.elapsed().as_secs_f64());
        self.metrics.query_rows.inc_by(self.rows);
    }
}

/// Times one answer; one that is dropped before it ended was cancelled by its reader.
#[derive(Debug)]
pub struct AnswerTimer {
    metrics: std::sync::Arc<Metrics>,
    started: Instant,
    outcome: &'static str,
}

impl AnswerTimer {
    /// The answer ended like this.
    pub fn ended(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for AnswerTimer {
    fn drop(&mut self) {
        self.metrics.answers.get_or_create(&Outcome { outcome: self.outcome }).inc();
        self.metrics.answer_seconds.observe(self.started.elapsed().as_secs_f64());
    }
}
