//! Files of telemetry: what a Collector's file exporter wrote, or a captured request.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use engine::arrow::compute::concat_batches;
use engine::reject::Reject;
use engine::{Batch, Error, Idempotency, Result, Scope, Store, Table};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::content::{Request, Requests, protobuf_signal};
use super::{Arrival, Encoding, envelope};
use crate::{FileOptions, Parsed, Progress, Source, Summary};

/// Requests are made durable together up to this many bytes.
const CHUNK_BYTES: usize = 4 << 20;
/// Parsed chunks that wait for the store.
const CHUNKS_IN_FLIGHT_MAX: usize = 2;
/// Names that are read when a folder is given, before `.gz` or `.zst`.
const EXTENSIONS: &[&str] = &["json", "jsonl", "ndjson", "pb", "binpb", "bin", "otlp"];

/// Reads OTLP from files and folders.
#[derive(Debug)]
pub struct Otlp;

#[async_trait]
impl Source for Otlp {
    fn kind(&self) -> &'static str {
        "otlp"
    }

    fn doc(&self) -> &'static str {
        "OpenTelemetry logs, traces and metrics: OTLP/JSON (lines or documents) or protobuf (single or length-prefixed), .gz and .zst"
    }

    fn tables(&self) -> Vec<&'static Table> {
        super::tables()
    }

    async fn ingest_path(
        &self,
        store: &Store,
        scope: &Scope,
        path: &Path,
        options: &FileOptions,
        progress: &dyn Progress,
    ) -> Result<Summary> {
        let mut summary = Summary::default();
        for file in files(path, &mut summary)? {
            summary.add(ingest_file(store, scope, &file, options, progress).await?);
        }
        Ok(summary)
    }
}

/// The files under a path, sorted; a file that is named itself is always read.
fn files(path: &Path, summary: &mut Summary) -> Result<Vec<PathBuf>> {
    let doing = format!("read {}", path.display());
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    let entries: std::io::Result<Vec<_>> = std::fs::read_dir(path).and_then(Iterator::collect);
    let mut entries = entries.map_err(|error| Error::unavailable(&doing, error))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let entry = entry.path();
        let name = entry.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let plain = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
        let known = plain.rsplit_once('.').is_some_and(|(_, extension)| EXTENSIONS.contains(&extension));
        match (entry.is_dir(), known) {
            (true, _) => found.extend(files(&entry, summary)?),
            (false, true) => found.push(entry),
            (false, false) => summary.notes.push(format!("{} is not a file of OTLP: left out", entry.display())),
        }
    }
    Ok(found)
}

/// What the reading thread needs to know of a file.
struct Job {
    path: PathBuf,
    scope: Scope,
    tenant: Option<String>,
    received_ns: i64,
    content_hash: String,
    consumed: Arc<AtomicU64>,
}

async fn ingest_file(
    store: &Store,
    scope: &Scope,
    path: &Path,
    options: &FileOptions,
    progress: &dyn Progress,
) -> Result<Summary> {
    let doing = format!("read {}", path.display());
    let metadata = std::fs::metadata(path).map_err(|error| Error::unavailable(&doing, error))?;
    progress.begin(path, metadata.len());
    // The file's own time, so that a file without times gives the same rows whenever it is read.
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let consumed = Arc::new(AtomicU64::new(0));
    let mut job = Job {
        path: path.to_path_buf(),
        scope: scope.clone(),
        tenant: options.tenant.clone(),
        received_ns: modified.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0),
        content_hash: String::new(),
        consumed: consumed.clone(),
    };
    let (sender, mut chunks) = mpsc::channel(CHUNKS_IN_FLIGHT_MAX);
    let reader = tokio::task::spawn_blocking(move || {
        let outcome = hash_file(&job.path).and_then(|hash| {
            job.content_hash = hash;
            read_chunks(&job, |chunk| sender.blocking_send(Ok(chunk)).is_ok())
        });
        if let Err(error) = outcome {
            // A receiver that is gone has its own error to tell.
            let _ = sender.blocking_send(Err(error));
        }
    });
    let source = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut summary = Summary { files: 1, ..Summary::default() };
    let mut told = 0;
    let mut added = false;
    while let Some(chunk) = chunks.recv().await {
        let chunk: Parsed = chunk?;
        let (accepted, rejected) = (chunk.accepted, chunk.rejects.len() as u64);
        let frame = chunk.into_frame(source.clone(), scope);
        if frame.rows() > 0 && !store.append(frame).await?.repeated {
            added = true;
            summary.accepted += accepted;
            summary.rejected += rejected;
        } else if accepted + rejected > 0 {
            summary.repeated = 1;
        }
        let now = consumed.load(Ordering::Relaxed);
        progress.advance(now - told);
        told = now;
    }
    reader.await.map_err(|error| Error::unavailable(&doing, error))?;
    progress.advance(metadata.len().saturating_sub(told));
    if added {
        summary.repeated = 0;
    }
    Ok(summary)
}

fn hash_file(path: &Path) -> Result<String> {
    let doing = format!("read {}", path.display());
    let mut file = std::fs::File::open(path).map_err(|error| Error::unavailable(&doing, error))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(|error| Error::unavailable(&doing, error))? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Reads a file to its end, handing over a chunk at a time until `hand_over` says that nobody listens.
fn read_chunks(job: &Job, mut hand_over: impl FnMut(Parsed) -> bool) -> Result<()> {
    let mut requests = Requests::open(&job.path, job.consumed.clone())?;
    let mut chunk = Chunk::default();
    let mut ordinal = 0;
    let in_file = |error: Error| error.context(&job.path.display().to_string());
    while let Some(request) = requests.next().map_err(in_file)? {
        chunk.add(&request, job).map_err(in_file)?;
        if chunk.bytes >= CHUNK_BYTES {
            if !hand_over(std::mem::take(&mut chunk).finish(job, ordinal)) {
                return Ok(());
            }
            ordinal += 1;
        }
    }
    if chunk.bytes > 0 {
        hand_over(chunk.finish(job, ordinal));
    }
    Ok(())
}

/// Requests that become durable together.
#[derive(Default)]
struct Chunk {
    parsed: Vec<Parsed>,
    bytes: usize,
    hash: Sha256,
}

impl Chunk {
    /// Parses one request. One that cannot be read at all is a reject where others stand around it.
    fn add(&mut self, request: &Request, job: &Job) -> Result<()> {
        self.bytes += request.bytes.len().max(1);
        self.hash.update(&request.bytes);
        let arrival = Arrival { scope: &job.scope, tenant: job.tenant.as_deref(), received_ns: job.received_ns };
        let signals = match request.encoding {
            Encoding::Protobuf => Ok(protobuf_signal(&request.bytes).into_iter().collect()),
            Encoding::Json => {
                envelope::Request::read(&request.bytes).map(|envelope| envelope.signals().collect::<Vec<_>>())
            }
        };
        let parsed = signals.and_then(|signals| {
            if signals.is_empty() && request.encoding == Encoding::Json {
                return Err(Error::invalid("neither resourceLogs nor resourceSpans nor resourceMetrics"));
            }
            signals
                .iter()
                .map(|signal| super::parse(*signal, &request.bytes, request.encoding, &arrival))
                .collect::<Result<Vec<_>>>()
        });
        match parsed {
            Ok(parsed) => self.parsed.extend(parsed.into_iter().map(|mut parsed| {
                for reject in &mut parsed.rejects {
                    reject.place = reject.place.take().map(|place| format!("{}: {place}", request.place));
                }
                parsed
            })),
            Err(error) if request.is_whole_file => return Err(error),
            Err(error) => self.parsed.push(Parsed {
                rejects: vec![Reject {
                    kind: "otlp",
                    reason: error.to_string(),
                    place: Some(request.place.clone()),
                    body: request.bytes.clone(),
                }],
                ..Parsed::default()
            }),
        }
        Ok(())
    }

    /// One batch a table, and the key under which reading the file again adds nothing.
    fn finish(self, job: &Job, ordinal: usize) -> Parsed {
        let mut whole = Parsed::default();
        let mut batches: BTreeMap<&str, Vec<Batch>> = BTreeMap::new();
        for parsed in self.parsed {
            whole.accepted += parsed.accepted;
            whole.rejects.extend(parsed.rejects);
            parsed.batches.into_iter().for_each(|batch| batches.entry(batch.table.name).or_default().push(batch));
        }
        for group in batches.into_values() {
            let table = group[0].table;
            let rows = concat_batches(&table.batch_schema(), group.iter().map(|batch| &batch.rows))
                .expect("batches of one table have one schema");
            whole.batches.push(Batch { table, rows });
        }
        let key = format!("otlp:{}:{ordinal}", job.content_hash);
        whole.idempotency = Some(Idempotency { key, body_hash: self.hash.finalize().into() });
        whole
    }
}
