//! The face of the engine: open a store, append frames, load files, ask.

mod asked;
pub mod erase;
mod keep;
pub mod pin;

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};
use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::background::Background;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::facts::current::Bound;
use crate::facts::{Facts, FactsStatus, Snapshot, encode};
use crate::frame::{Frame, Receipt};
use crate::keep::Keeper;
use crate::memory::Memory;
use crate::owner::OwnerLock;
use crate::place::Place;
use crate::ports::Redactor;
use crate::query_log::{self, Entry, QUERY_LOG};
use crate::redact::redact;
use crate::redaction_finding::{Counter, Findings, REDACTION_FINDING};
use crate::rows::{Rows, Value};
use crate::scope::Scope;
use crate::settings::Settings;
use crate::sql::functions::Function;
use crate::sql::session::Asking;
use crate::sql::table_function::TableFunction;
use crate::state::{State, StateTable};
use crate::table::{Table, View};
use crate::wal::{Log, ipc};
use crate::witness::Witness;
use crate::writer::{Piece, Start, Writer};

pub use asked::{Answer, Limits, Load, Question};

/// Longest that an append waits for room in the tail before it is refused.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// How often the flusher looks for tails that are due.
const FLUSH_TICK: Duration = Duration::from_millis(500);
/// How long a process that stopped renewing keeps others from maintaining the store.
const MAINTENANCE_LEASE: Duration = Duration::from_secs(300);
/// Tables that are opened, or made, at once: each waits for several syncs of the disk.
const OPENED_AT_ONCE_MAX: usize = 16;
/// How often counts of what was taken out are written.
const FINDINGS_EVERY: Duration = Duration::from_secs(10);
/// Bytes of a question's SQL that the log keeps.
const SQL_LOGGED_BYTES: usize = 65_536;

/// The tables, views and functions that a store knows; put together by `serve/wire` from the registers of every floor.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    pub tables: Vec<&'static Table>,
    pub views: Vec<&'static View>,
    pub state_tables: Vec<&'static StateTable>,
    /// Functions of the floors above.
    pub functions: Vec<Function>,
    /// Functions in FROM of the floors above.
    pub table_functions: Vec<TableFunction>,
}

/// What fills the engine's ports.
#[derive(Debug, Clone)]
pub struct Ports {
    pub clock: Arc<dyn Clock>,
    pub redactor: Arc<dyn Redactor>,
}

/// Figures of a store, for status and metrics.
#[derive(Debug, Clone, Default)]
pub struct Status {
    pub tables: Vec<FactsStatus>,
    /// `_seq` that the next row will get.
    pub next_seq: u64,
    /// Bytes of frames that wait for the log.
    pub queue_bytes: usize,
    /// Bytes of the memory budget that are taken now.
    pub memory_bytes: usize,
    /// The memory budget.
    pub memory_bytes_max: usize,
    /// Bytes of the log at the last truncation.
    pub wal_bytes: u64,
    pub queries: u64,
    pub appended_rows: u64,
}

/// An open store. One process owns a data directory at a time.
#[derive(Debug)]
pub struct Store {
    /// Itself, for the parts of an answer that outlive the call.
    me: std::sync::Weak<Store>,
    settings: Settings,
    catalogue: Catalogue,
    ports: Ports,
    pub(crate) place: Place,
    state: Arc<State>,
    memory: Memory,
    background: Background,
    tables: BTreeMap<&'static str, Arc<Facts>>,
    writer: Writer,
    publishing: Arc<RwLock<()>>,
    asking: Asking,
    flush_now: Arc<Notify>,
    closing: AtomicBool,
    wal_bytes: AtomicU64,
    queries: AtomicU64,
    appended_rows: AtomicU64,
    findings: Counter,
    pub(crate) witness: OnceLock<Arc<dyn Witness>>,
    keeper: OnceLock<Arc<dyn Keeper>>,
    /// Held by whoever rewrites tables: a round of maintenance, an erasure, a backup that copies files.
    maintaining: Arc<tokio::sync::Mutex<()>>,
    /// Held for reading by every append, for writing by a backup that pins one moment.
    appending: tokio::sync::RwLock<()>,
    /// This process's name in leases, new with every start.
    holder: String,
    logging: tokio_util::task::TaskTracker,
    _owner: OwnerLock,
}

impl Store {
    /// Opens or creates the store: takes the owner lock, proves the object store's conditional PUT, upgrades tables in
    /// place, replays the log.
    pub async fn open(settings: Settings, catalogue: Catalogue, ports: Ports) -> Result<Arc<Store>> {
        let make = |e| Error::unavailable(&format!("create {}", settings.data.display()), e);
        std::fs::create_dir_all(&settings.data).map_err(make)?;
        let owner = OwnerLock::acquire(&settings.data)?;
        crate::backup::refuse_unfinished(&settings.data)?;
        let place = Place::open(&settings).await?;
        let state = Arc::new(State::open(&settings).await?.with_redactor(Arc::clone(&ports.redactor)));
        let memory = Memory::new(settings.memory_bytes_max)?;
        // The log first: it fences an earlier owner, and only then do the tables say how far that one flushed.
        let (log, recovered, kept_keys) = Log::open(settings.wal, &settings.data, &place).await?;
        place.settle().await?;
        let (tables, mut next) = open_tables(&catalogue, &place, &memory).await?;
        for what in &recovered.dropped {
            tracing::warn!("recovering the log: {what}");
        }
        let mut keys = kept_keys;
        for (header, _) in &recovered.frames {
            next = next.max(header.next());
            keys.extend(header.key.clone());
        }
        replay::replay(&tables, recovered.frames)?;
        // By their place, not their time: a clock may have been set back between two starts.
        keys.sort_by_key(|k| k.seq);
        next = keys.iter().map(|k| k.seq + k.rows).fold(next.max(1), u64::max);
        let publishing = Arc::new(RwLock::new(()));
        let writer = Writer::start(Start {
            log,
            keys,
            next,
            tables: tables.values().cloned().collect(),
            clock: ports.clock.clone(),
            publishing: publishing.clone(),
            queue_bytes_max: settings.queue_bytes_max(),
            memory: memory.clone(),
        });
        let background = Background::start()?;
        let asking = Asking::new(&settings, &catalogue, &memory)?;
        let store = Arc::new_cyclic(|me| Store {
            me: me.clone(),
            settings,
            catalogue,
            ports,
            place,
            state,
            memory,
            background,
            tables,
            writer,
            publishing,
            asking,
            flush_now: Arc::default(),
            closing: AtomicBool::new(false),
            wal_bytes: AtomicU64::new(0),
            queries: AtomicU64::new(0),
            appended_rows: AtomicU64::new(0),
            findings: Counter::default(),
            witness: OnceLock::new(),
            keeper: OnceLock::new(),
            maintaining: Arc::default(),
            appending: tokio::sync::RwLock::default(),
            holder: uuid::Uuid::new_v4().to_string(),
            logging: tokio_util::task::TaskTracker::new(),
            _owner: owner,
        });
        tokio::spawn(flusher(Arc::downgrade(&store), store.flush_now.clone()));
        Ok(store)
    }

    /// How it was opened.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it knows.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The state database.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// The store's clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.ports.clock
    }

    /// Figures for status and metrics.
    pub fn status(&self) -> Status {
        Status {
            tables: self.tables.values().map(|t| t.status()).collect(),
            next_seq: self.writer.next_seq(),
            queue_bytes: self.writer.waiting_bytes(),
            memory_bytes: self.memory.taken_bytes(),
            memory_bytes_max: self.memory.bytes_max(),
            wal_bytes: self.wal_bytes.load(Ordering::Relaxed),
            queries: self.queries.load(Ordering::Relaxed),
            appended_rows: self.appended_rows.load(Ordering::Relaxed),
        }
    }

    /// How often rows of a table became visible since the store was opened: a cheap way to know that nothing is new.
    pub fn changes(&self, table: &str) -> u64 {
        self.tables.get(table).map_or(0, |facts| facts.changes())
    }

    /// Makes a frame durable: when this returns, it is fsynced and visible. Redacts on the way.
    pub async fn append(&self, frame: Frame) -> Result<Receipt> {
        if self.closing.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::Unavailable, "the store is closing; the frame was not acknowledged"));
        }
        self.append_even_closing(frame).await
    }

    async fn append_even_closing(&self, frame: Frame) -> Result<Receipt> {
        self.room().await?;
        let mut pieces = Vec::with_capacity(frame.batches.len());
        let mut found = Vec::with_capacity(frame.batches.len());
        let (mut seen, mut ahead) = (Vec::new(), 0);
        for batch in frame.batches {
            let facts = self.facts(batch.table.name)?;
            encode::check(batch.table, &batch.rows)?;
            let (rows, findings) = redact(batch.table, batch.rows, &*self.ports.redactor);
            found.push(findings);
            seen.extend(self.seen(batch.table, &frame.source, &rows, ahead)?);
            ahead += rows.num_rows() as u64;
            let ipc = ipc::encode(&rows)?;
            pieces.push(Piece { facts, rows, ipc });
        }
        let key = frame.idempotency.map(|i| (i.key, hex::encode(i.body_hash)));
        let _appending = self.appending.read().await;
        let touched: Vec<Arc<Facts>> = pieces.iter().map(|p| p.facts.clone()).collect();
        let receipt = self.writer.append(frame.source, key, pieces).await?;
        if !receipt.repeated {
            self.appended_rows.fetch_add(receipt.rows, Ordering::Relaxed);
            found.into_iter().for_each(|findings| self.findings.add(findings));
            for seen in seen {
                seen.tell(receipt.seq).await;
            }
        }
        if touched.iter().any(|t| t.tail_size().0 >= self.settings.flush_rows) {
            self.flush_now.notify_one();
        }
        Ok(receipt)
    }

    /// Waits a while for room in the tail: a burst is slowed down before it is refused.
    async fn room(&self) -> Result<()> {
        let deadline = tokio::time::Instant::now() + ROOM_WAIT;
        loop {
            let bytes: usize = self.tables.values().map(|t| t.tail_size().1).sum();
            if bytes <= self.settings.tail_bytes_max() {
                return Ok(());
            }
            self.flush_now.notify_one();
            if tokio::time::Instant::now() >= deadline {
                let why = format!("{bytes} bytes wait to be flushed; the store takes no more until they are");
                return Err(Error::new(Kind::Overloaded { retry_after: ROOM_WAIT }, why));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Loads a file's rows in one commit, durable and visible at once when this returns.
    pub async fn load(&self, load: Load) -> Result<Receipt> {
        if self.closing.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::Unavailable, "the store is closing; nothing was loaded"));
        }
        let facts = self.facts(load.table.name)?;
        let _turn = facts.turn_to_load().await;
        let first = self.writer.next_seq();
        let at_us = self.ports.clock.now_us();
        let rows = Arc::new(AtomicU64::new(0));
        let (this, table, source, counted) = (self.shared(), load.table, load.source, rows.clone());
        let found = Arc::new(parking_lot::Mutex::new(Vec::<Findings>::new()));
        let finding = found.clone();
        let seen = Arc::new(parking_lot::Mutex::new(self.seeing(table, &source)));
        let seeing = seen.clone();
        let schema = encode::lance_schema(table);
        let ordered = schema.clone();
        let stored = load.batches.map(move |batch| -> Result<RecordBatch> {
            let batch = batch?;
            encode::check(table, &batch)?;
            let (batch, findings) = redact(table, batch, &*this.ports.redactor);
            if !findings.is_empty() {
                finding.lock().push(findings);
            }
            let n = batch.num_rows() as u64;
            counted.fetch_add(n, Ordering::SeqCst);
            let seq = this.writer.take_seqs(n);
            seeing.lock().as_mut().map_or(Ok(()), |seen| seen.add(&batch, seq))?;
            encode::in_order_of(&encode::stored(table, &batch, &source, at_us, seq), &ordered)
        });
        // Lance hands a stream's error back as text; what we said, and its kind, is kept aside.
        let said = Arc::new(parking_lot::Mutex::new(None));
        let keep = said.clone();
        let stored = stored.map_err(move |e| {
            let text = e.to_string();
            *keep.lock() = Some(e);
            datafusion::error::DataFusionError::Execution(text)
        });
        let stream = Box::pin(RecordBatchStreamAdapter::new(schema, stored));
        let loaded = facts.load(stream, || self.writer.next_seq(), self.writer.still_owner()).await;
        loaded.map_err(|e| said.lock().take().unwrap_or(e))?;
        found.lock().drain(..).for_each(|findings| self.findings.add(findings));
        let rows = rows.load(Ordering::SeqCst);
        self.appended_rows.fetch_add(rows, Ordering::Relaxed);
        let seen = seen.lock().take();
        if let Some(seen) = seen {
            seen.tell(0).await;
        }
        Ok(Receipt { seq: first, rows, repeated: false })
    }

    /// Asks one SELECT (or EXPLAIN, SHOW, DESCRIBE) under a scope.
    pub async fn query(&self, scope: &Scope, question: impl Into<Question>, limits: Limits) -> Result<Answer> {
        self.query_at(scope, question.into(), limits, Bound::Now).await
    }

    /// The same over what was there at `at` (µs since 1970): every table and view of the question looks back. State tables
    /// keep no history and are refused, as is a look back behind the horizon.
    pub async fn query_as_of(&self, scope: &Scope, question: Question, limits: Limits, at: i64) -> Result<Answer> {
        self.query_at(scope, question, limits, Bound::Time(at)).await
    }

    async fn query_at(&self, scope: &Scope, question: Question, limits: Limits, bound: Bound) -> Result<Answer> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        let (snapshots, snapshot_seq) = self.snapshots();
        let entry = Entry {
            query_id: uuid::Uuid::now_v7().to_string(),
            sql: question.sql.chars().take(SQL_LOGGED_BYTES).collect(),
            started_us: self.ports.clock.now_us(),
            rows: 0,
            snapshot_seq,
            status: "cancelled",
            error: None,
        };
        let planned = self.asking.ask(scope, &question, bound, snapshots, &self.state).await;
        match planned {
            Ok(stream) => {
                let query_id = entry.query_id.clone();
                let stream = crate::sql::limit::watch(
                    stream,
                    limits,
                    Logged { store: self.shared(), scope: scope.clone(), entry },
                );
                Ok(Answer { query_id, stream })
            }
            Err(error) => {
                let failed = Entry { status: "error", error: Some(error.to_string()), ..entry };
                self.log_query(scope.clone(), failed);
                Err(error)
            }
        }
    }

    /// Every table at one moment: no frame is seen in one table and not in another.
    fn snapshots(&self) -> (BTreeMap<&'static str, Snapshot>, u64) {
        let _still = self.publishing.read();
        (self.tables.iter().map(|(name, facts)| (*name, facts.snapshot())).collect(), self.writer.next_seq())
    }

    /// Writes a row of `query_log`, in the background; `close` waits for it.
    fn log_query(&self, scope: Scope, entry: Entry) {
        if !self.tables.contains_key(QUERY_LOG.name) {
            return;
        }
        let store = self.shared();
        self.logging.spawn(async move {
            let ended_us = store.ports.clock.now_us();
            let mut rows = Rows::new(&QUERY_LOG);
            rows.set("tenant", query_log::tenant_of(&scope))
                .set("query_id", entry.query_id)
                .set("principal", &*scope.principal)
                .set("sql", entry.sql)
                .set("started_at", Value::Time(entry.started_us))
                .set("duration_ms", (ended_us - entry.started_us) as f64 / 1000.0)
                .set("rows", i64::try_from(entry.rows).unwrap_or(i64::MAX))
                .set("snapshot_seq", i64::try_from(entry.snapshot_seq).unwrap_or(i64::MAX))
                .set("status", entry.status)
                .set("error", entry.error);
            let mut frame = Frame::new("engine");
            if rows.end_row().is_ok() {
                frame.push_rows(&mut rows);
            }
            if let Err(error) = store.append_even_closing(frame).await {
                tracing::warn!(%error, "a question was not logged");
            }
        });
    }

    /// Writes how much was taken out since the last time, if that is long enough ago.
    async fn log_findings(&self, every: Duration) {
        let (now, every_us) = (self.ports.clock.now_us(), i64::try_from(every.as_micros()).unwrap_or(i64::MAX));
        if !self.tables.contains_key(REDACTION_FINDING.name) {
            return;
        }
        let Some(findings) = self.findings.take(now, every_us) else { return };
        let total = findings.total();
        let mut rows = Rows::new(&REDACTION_FINDING);
        findings.write(now, &mut rows);
        let mut frame = Frame::new("engine");
        frame.push_rows(&mut rows);
        if let Err(error) = self.append_even_closing(frame).await {
            tracing::warn!(%error, total, "counts of what was redacted were not written");
        }
    }

    /// Flushes the tails that are large or old enough, then shortens the log.
    pub async fn flush_due(&self) -> Result<()> {
        let now = self.ports.clock.now_us();
        let after = i64::try_from(self.settings.flush_after.as_micros()).unwrap_or(i64::MAX);
        let total: usize = self.tables.values().map(|t| t.tail_size().1).sum();
        let crowded = total > self.settings.tail_bytes_max() / 2;
        let due = |facts: &Facts| {
            let (rows, _, oldest) = facts.tail_size();
            rows >= self.settings.flush_rows || (rows > 0 && crowded) || oldest.is_some_and(|at| now - at >= after)
        };
        self.flush_where(due).await
    }

    /// Flushes every table's tail into Lance now.
    pub async fn flush(&self) -> Result<()> {
        self.flush_where(|facts| facts.tail_size().0 > 0).await
    }

    async fn flush_where(&self, wanted: impl Fn(&Facts) -> bool) -> Result<()> {
        let mut flushed = false;
        let mut failed = None;
        let due = self.tables.values().filter(|facts| wanted(facts)).map(|facts| {
            let (store, facts) = (self.shared(), facts.clone());
            self.background.run(async move { facts.flush(store.writer.still_owner()).await })
        });
        // One slow table (a compaction that commits) must not hold up the others.
        for done in futures::future::join_all(due).await {
            match done {
                Ok(did) => flushed |= did,
                Err(error) => failed = Some(error),
            }
        }
        if flushed {
            self.wal_bytes.store(self.writer.truncate().await?, Ordering::Relaxed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// One round of maintenance over every table that this process owns: retention, compaction, indexes, cleaning.
    /// While another process holds the lease on this store's maintenance, the round is that process's.
    pub async fn maintain(&self) -> Result<()> {
        let _alone = self.maintaining.lock().await;
        let now_us = self.ports.clock.now_us();
        let work = format!("maintain {}", self.place.url());
        if self.state.lease(&work, &self.holder, MAINTENANCE_LEASE, now_us).await?.is_none() {
            return Ok(());
        }
        self.round(now_us).await
    }

    async fn round(&self, now_us: i64) -> Result<()> {
        let mut failed = None;
        for facts in self.tables.values() {
            let (of, horizon, keeper) = (facts.clone(), self.settings.as_of_horizon, self.keeper());
            let next = self.writer.next_seq();
            let round = async move { of.maintain(now_us, horizon, &*keeper, next).await };
            if let Err(error) = self.background.run(round).await {
                tracing::warn!(table = facts.table.name, %error, "maintenance failed; it is tried again at the next round");
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Refuses new work, waits for what is being logged, flushes.
    pub async fn close(&self) -> Result<()> {
        self.closing.store(true, Ordering::SeqCst);
        self.logging.close();
        self.logging.wait().await;
        self.log_findings(Duration::ZERO).await;
        let flushed = self.flush().await;
        let released = self.state.release_all(&self.holder).await;
        self.state.close().await;
        flushed?;
        self.writer.close().await?;
        released
    }

    fn shared(&self) -> Arc<Store> {
        self.me.upgrade().expect("whoever calls a store holds it")
    }

    fn facts(&self, name: &str) -> Result<Arc<Facts>> {
        let unknown = || Error::new(Kind::Internal, format!("table {name} is not in this store's catalogue"));
        self.tables.get(name).cloned().ok_or_else(unknown)
    }
}

/// Ends in the query log, whether the answer was read to its end, failed or was dropped.
pub(crate) struct Logged {
    store: Arc<Store>,
    scope: Scope,
    pub(crate) entry: Entry,
}

impl Logged {
    /// How the question ended.
    pub(crate) fn end(&mut self, status: &'static str, error: Option<String>) {
        self.entry.status = status;
        self.entry.error = error;
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.store.log_query(self.scope.clone(), self.entry.clone());
    }
}

async fn open_tables(
    catalogue: &Catalogue,
    place: &Place,
    memory: &Memory,
) -> Result<(BTreeMap<&'static str, Arc<Facts>>, u64)> {
    let listed = place.connection().table_names().execute().await;
    let exist: HashSet<String> = listed.map_err(|e| Error::unavailable("list the tables", e))?.into_iter().collect();
    let open = |table: &'static Table| {
        let exists = exist.contains(table.name);
        async move { Facts::open(table, place, memory, exists).await }
    };
    let mut names = HashSet::new();
    if let Some(twice) = catalogue.tables.iter().find(|table| !names.insert(table.name)) {
        return Err(Error::new(Kind::Internal, format!("table {} is declared twice", twice.name)));
    }
    let opened = futures::stream::iter(catalogue.tables.iter().copied()).map(open).buffered(OPENED_AT_ONCE_MAX);
    let (mut tables, mut next) = (BTreeMap::new(), 1);
    for (facts, seen) in opened.try_collect::<Vec<_>>().await? {
        next = next.max(seen);
        tables.insert(facts.table.name, Arc::new(facts));
    }
    Ok((tables, next))
}

/// Flushes in the background until the store is gone.
async fn flusher(store: std::sync::Weak<Store>, now: Arc<Notify>) {
    loop {
        tokio::select! {
            () = now.notified() => {}
            () = tokio::time::sleep(FLUSH_TICK) => {}
        }
        let Some(store) = store.upgrade() else { return };
        store.log_findings(FINDINGS_EVERY).await;
        if let Err(error) = store.flush_due().await {
            tracing::error!(%error, "a flush failed; acknowledged rows stay in the log and are flushed again");
        }
    }
}

mod replay;
#[cfg(test)]
mod tests;
