//! The one writer: gathers the frames that wait, gives out `_seq`, makes them durable with one sync, publishes their rows
//! and only then acknowledges. It alone touches the log, so truncation never meets a half-published frame.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use datafusion::execution::memory_pool::MemoryReservation;
use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::facts::{Facts, encode};
use crate::fault::{Point, reached};
use crate::frame::Receipt;
use crate::memory::Memory;
use crate::wal::{Header, Key, Log, Part, frame};

/// Frames that may wait beside the byte limit.
const FRAMES_WAITING_MAX: usize = 4_096;
/// Bytes that one sync makes durable at most.
const GROUP_BYTES_MAX: usize = 32 << 20;
/// How long an idempotency key is remembered.
pub const KEY_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// Keys remembered at most; the oldest go first.
const KEYS_MAX: usize = 250_000;
/// What a sender that meets a full queue is asked to wait.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// One part of a frame that waits to be written.
#[derive(Debug)]
pub struct Piece {
    /// Where the rows go.
    pub facts: Arc<Facts>,
    /// Redacted rows of the batch schema.
    pub rows: RecordBatch,
    /// The same rows as an Arrow IPC stream.
    pub ipc: Bytes,
}

struct Pending {
    source: String,
    key: Option<(String, String)>,
    pieces: Vec<Piece>,
    body: Bytes,
    body_crc: u32,
    reply: oneshot::Sender<Result<Receipt>>,
    _room: OwnedSemaphorePermit,
    _memory: MemoryReservation,
}

enum Command {
    Append(Box<Pending>),
    /// Forget what is flushed everywhere; answers the log's bytes.
    Truncate(oneshot::Sender<Result<u64>>),
    /// Write no more to what holds flushed frames, so that the next truncation forgets every one of them.
    Part(oneshot::Sender<Result<()>>),
    /// Is the log still ours?
    StillOwner(oneshot::Sender<Result<()>>),
    /// Nothing more will be written.
    Close(oneshot::Sender<Result<()>>),
}

/// The sending side of the writer.
#[derive(Debug)]
pub struct Writer {
    commands: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
    queue_bytes_max: usize,
    memory: Memory,
    next: Arc<AtomicU64>,
}

/// What the writer starts from.
#[derive(Debug)]
pub struct Start {
    pub log: Log,
    pub keys: Vec<Key>,
    pub next: u64,
    pub tables: Vec<Arc<Facts>>,
    pub clock: Arc<dyn Clock>,
    /// Held for writing while a group of frames becomes visible, for reading while a question takes its snapshots.
    pub publishing: Arc<RwLock<()>>,
    pub queue_bytes_max: usize,
    pub memory: Memory,
}

impl Writer {
    /// Starts the writer's task. It ends when the `Writer` is dropped.
    pub fn start(start: Start) -> Writer {
        let (commands, inbox) = mpsc::channel(FRAMES_WAITING_MAX);
        let next = Arc::new(AtomicU64::new(start.next));
        let room = Arc::new(Semaphore::new(start.queue_bytes_max));
        let writer =
            Writer { commands, room, queue_bytes_max: start.queue_bytes_max, memory: start.memory, next: next.clone() };
        let mut known = Known::default();
        for key in start.keys {
            known.remember(key);
        }
        let task = Task {
            log: start.log,
            known,
            next,
            tables: start.tables,
            clock: start.clock,
            publishing: start.publishing,
            last_us: 0,
        };
        tokio::spawn(task.run(inbox));
        writer
    }

    /// `_seq` that the next row will get.
    pub fn next_seq(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    /// Gives out `n` places in the log to rows that do not pass it (a bulk load).
    pub fn take_seqs(&self, n: u64) -> u64 {
        self.next.fetch_add(n, Ordering::SeqCst)
    }

    /// Bytes of frames that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.queue_bytes_max - self.room.available_permits()
    }

    /// Makes a frame durable and visible.
    pub async fn append(&self, source: String, key: Option<(String, String)>, pieces: Vec<Piece>) -> Result<Receipt> {
        let bytes: usize = pieces.iter().map(|p| p.ipc.len()).sum();
        if bytes > frame::BODY_BYTES_MAX || bytes > self.queue_bytes_max {
            return Err(Error::new(
                Kind::TooLarge,
                format!("a frame of {bytes} bytes is larger than the queue of {}", self.queue_bytes_max),
            ));
        }
        let full = || Error::new(Kind::Overloaded { retry_after: RETRY_AFTER }, "the write-ahead log's queue is full");
        let permits = u32::try_from(bytes.max(1)).map_err(|_| full())?;
        let room = self.room.clone().try_acquire_many_owned(permits).map_err(|_| full())?;
        let memory = self.memory.take("the write-ahead log's queue", bytes)?;
        let body = match pieces.as_slice() {
            [one] => one.ipc.clone(),
            many => Bytes::from(many.iter().map(|p| p.ipc.as_ref()).collect::<Vec<_>>().concat()),
        };
        let body_crc = crc32fast::hash(&body);
        let (reply, answer) = oneshot::channel();
        let pending = Box::new(Pending { source, key, pieces, body, body_crc, reply, _room: room, _memory: memory });
        self.commands.try_send(Command::Append(pending)).map_err(|_| full())?;
        answer
            .await
            .map_err(|_| Error::new(Kind::Unavailable, "the store is closing; the frame was not acknowledged"))?
    }

    /// Forgets what every table has flushed; answers the bytes left in the log.
    pub async fn truncate(&self) -> Result<u64> {
        self.ask(Command::Truncate).await
    }

    /// Parts the frames written so far from later ones: once they are flushed, nothing of them stays in the log.
    pub async fn part(&self) -> Result<()> {
        self.ask(Command::Part).await
    }

    /// Fails when another process has taken the log over: then nothing may be committed to a table.
    pub async fn still_owner(&self) -> Result<()> {
        self.ask(Command::StillOwner).await
    }

    /// Says that nothing more will be written.
    pub async fn close(&self) -> Result<()> {
        self.ask(Command::Close).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let closing = || Error::new(Kind::Unavailable, "the store is closing");
        self.commands.send(command(reply)).await.map_err(|_| closing())?;
        answer.await.map_err(|_| closing())?
    }
}

/// The idempotency keys of the window.
#[derive(Debug, Default)]
struct Known {
    keys: HashMap<String, Key>,
    order: VecDeque<(i64, String)>,
}

impl Known {
    fn remember(&mut self, key: Key) {
        self.order.push_back((key.at_us, key.key.clone()));
        self.keys.insert(key.key.clone(), key);
        let newest = self.order.back().map_or(0, |(at, _)| *at);
        let oldest_kept = newest - i64::try_from(KEY_WINDOW.as_micros()).expect("a day fits");
        while self.order.len() > KEYS_MAX || self.order.front().is_some_and(|(at, _)| *at < oldest_kept) {
            if let Some((at, key)) = self.order.pop_front()
                && self.keys.get(&key).is_some_and(|k| k.at_us == at)
            {
                self.keys.remove(&key);
            }
        }
    }
}

struct Task {
    log: Log,
    known: Known,
    next: Arc<AtomicU64>,
    tables: Vec<Arc<Facts>>,
    clock: Arc<dyn Clock>,
    publishing: Arc<RwLock<()>>,
    last_us: i64,
}

/// A frame with its place in the log, encoded.
struct Placed {
    header: Header,
    pending: Box<Pending>,
    bytes: Bytes,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        while let Some(command) = inbox.recv().await {
            let mut group = Vec::new();
            let mut bytes = 0;
            let mut others = Vec::new();
            let mut one = Some(command);
            while let Some(command) = one.take() {
                match command {
                    Command::Append(pending) => {
                        bytes += pending.body.len();
                        group.push(pending);
                    }
                    other => others.push(other),
                }
                if bytes < GROUP_BYTES_MAX {
                    one = inbox.try_recv().ok();
                }
            }
            if !group.is_empty() {
                self.write(group).await;
            }
            for other in others {
                self.other(other).await;
            }
        }
    }

    async fn other(&mut self, command: Command) {
        // Whoever asked may have gone; then nobody needs the answer.
        match command {
            Command::Append(_) => {}
            Command::Truncate(reply) => drop(reply.send(self.truncate().await)),
            Command::Part(reply) => {
                let first = self.first_unflushed();
                drop(reply.send(self.log.part(first).await));
            }
            Command::StillOwner(reply) => drop(reply.send(self.log.still_owner().await)),
            Command::Close(reply) => drop(reply.send(self.log.close().await)),
        }
    }

    /// Writes a group: all its frames are durable and visible, or none is acknowledged.
    async fn write(&mut self, group: Vec<Box<Pending>>) {
        self.last_us = self.clock.now_us().max(self.last_us);
        let mut placed: Vec<Placed> = Vec::with_capacity(group.len());
        // Repeats of a frame in this very group are answered when that frame is durable.
        let mut repeats: Vec<(Box<Pending>, String)> = Vec::new();
        let mut fresh: HashMap<String, String> = HashMap::new();
        for pending in group {
            if let Some((key, hash)) = &pending.key {
                let seen = self.known.keys.get(key).map(|k| &k.hash).or_else(|| fresh.get(key));
                match seen {
                    Some(old) if old == hash => {
                        let key = key.clone();
                        repeats.push((pending, key));
                        continue;
                    }
                    Some(_) => {
                        let why = format!("the idempotency key {key:?} was used before with another body");
                        let _ = pending.reply.send(Err(Error::new(Kind::Conflict, why)));
                        continue;
                    }
                    None => {
                        fresh.insert(key.clone(), hash.clone());
                    }
                }
            }
            placed.push(self.place(pending));
        }
        if let (Some(first), Some(last)) =
            (placed.first().map(|p| p.header.seq), placed.last().map(|p| p.header.next()))
        {
            let frames = placed.iter().map(|p| p.bytes.clone()).collect();
            let keys = placed.iter().filter_map(|p| p.header.key.clone()).collect();
            if let Err(error) = self.log.write(first, last, frames, keys).await {
                tracing::error!(%error, frames = placed.len(), "frames were refused");
                let refused = repeats.into_iter().filter(|(_, key)| fresh.contains_key(key)).map(|(p, _)| p);
                for pending in placed.into_iter().map(|p| p.pending).chain(refused) {
                    let _ = pending.reply.send(Err(Error::new(error.kind(), error.to_string())));
                }
                return;
            }
            reached(Point::FrameSynced);
            self.publish(placed);
        }
        for (pending, key) in repeats {
            let receipt = self.known.keys.get(&key).map(|k| Receipt { seq: k.seq, rows: k.rows, repeated: true });
            let gone =
                || Error::new(Kind::Unavailable, "the first delivery of this key was not made durable; send it again");
            let _ = pending.reply.send(receipt.ok_or_else(gone));
        }
    }

    fn place(&self, mut pending: Box<Pending>) -> Placed {
        let rows: u64 = pending.pieces.iter().map(|p| p.rows.num_rows() as u64).sum();
        let seq = self.next.fetch_add(rows, Ordering::SeqCst);
        let at_us = self.last_us;
        let key = pending.key.take().map(|(key, hash)| Key { key, hash, seq, rows, at_us });
        let parts = pending.pieces.iter().map(|p| Part {
            table: p.facts.table.name.to_owned(),
            rows: p.rows.num_rows() as u64,
            bytes: p.ipc.len() as u64,
        });
        let header = Header { seq, at_us, source: pending.source.clone(), key, parts: parts.collect() };
        let bytes = frame::encode(&header, &pending.body, pending.body_crc);
        Placed { header, pending, bytes }
    }

    fn publish(&mut self, placed: Vec<Placed>) {
        let mut receipts = Vec::with_capacity(placed.len());
        {
            let _all_at_once = self.publishing.write();
            for Placed { header, pending, .. } in placed {
                let Pending { source, pieces, reply, .. } = *pending;
                let rows = publish_pieces(&header, &source, pieces.into_iter().map(|p| (p.facts, p.rows)));
                if let Some(key) = header.key {
                    self.known.remember(key);
                }
                receipts.push((reply, Receipt { seq: header.seq, rows, repeated: false }));
            }
        }
        for (reply, receipt) in receipts {
            let _ = reply.send(Ok(receipt));
        }
        reached(Point::FrameAcked);
    }

    /// Every row before this place is flushed.
    fn first_unflushed(&self) -> u64 {
        let waiting = self.tables.iter().filter_map(|t| t.first_unflushed()).min();
        waiting.unwrap_or_else(|| self.next.load(Ordering::SeqCst))
    }

    async fn truncate(&mut self) -> Result<u64> {
        let first = self.first_unflushed();
        self.log.truncate(first).await?;
        let window = i64::try_from(KEY_WINDOW.as_micros()).expect("a day fits");
        self.log.forget_keys(self.clock.now_us() - window).await?;
        Ok(self.log.bytes())
    }
}

/// Puts a frame's rows into their tables' tails; answers how many.
fn publish_pieces(header: &Header, source: &str, pieces: impl IntoIterator<Item = (Arc<Facts>, RecordBatch)>) -> u64 {
    let mut seq = header.seq;
    for (facts, rows) in pieces {
        let stored = encode::stored(facts.table, &rows, source, header.at_us, seq);
        facts.publish(stored, seq, header.at_us);
        seq += rows.num_rows() as u64;
    }
    seq - header.seq
}
