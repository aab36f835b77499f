//! One run: is it whole, is it new, is it the newest? Then its rows are loaded in one commit and the register says so.

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::arrow::array::RecordBatch;
use engine::reject::{REJECT, Reject};
use engine::{Error, Frame, Idempotency, Kind, Load, Result, Rows, Scope, Store};
use futures::StreamExt;
use ledger::period::Seals;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::batch::{Origin, SetTotal, set_name};
use super::instant::period_name;
use super::layout::Form;
use super::manifest::Unfit;
use super::parser::{Parser, Part};
use super::plan::Planned;
use super::register::{Entry, Seen, SeenRun};
use crate::files::Reading;
use crate::{Progress, Summary};

/// Batches that wait for the store; parsing pauses beyond it.
const BATCHES_IN_FLIGHT_MAX: usize = 2;
/// Rejects in one frame.
const REJECTS_IN_FRAME: usize = 500;
/// How often the reader of a long run is told how far it is.
const PROGRESS_TICK: Duration = Duration::from_millis(200);
const HASH_BUFFER_BYTES: usize = 1 << 20;

/// One run at a time: between the look into the register and the entry in it, no other run may be loaded, or an older one
/// could replace a newer.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// For whom runs are applied.
pub struct Applying<'a> {
    pub store: &'a Store,
    pub scope: &'a Scope,
    /// Tenant that the caller named.
    pub tenant: Option<&'a str>,
    pub progress: &'a dyn Progress,
}

/// What became of a run.
pub enum Outcome {
    /// It was applied, was there before, or came too late; the notes say which. Beside it the first and the last billing
    /// period that it changed.
    Applied(Summary, Option<(i64, i64)>),
    /// It replaced nothing; the register says why, and so does this line.
    Refused(String),
}

/// What the parsing thread hands back at the end of a run.
struct ReadRun {
    sets: Vec<SetTotal>,
    rejects: Vec<Reject>,
    notes: Vec<String>,
    accepted: u64,
    rejected: u64,
    failure: Option<Error>,
}

impl Applying<'_> {
    /// Applies one run.
    pub async fn run(&self, run: Planned) -> Result<Outcome> {
        let label = run.path.display().to_string();
        let tenant = self.scope.owner(self.tenant).to_owned();
        let run_id = match (&run.run_id, &run.parts) {
            (Some(id), _) => id.clone(),
            (None, Ok(parts)) => hash_of(parts.clone()).await?,
            (None, Err(_)) => return Err(Error::new(Kind::Internal, "only a manifest makes a run unfit")),
        };
        let _turn = TURN.lock().await;
        let seen = Seen::ask(self.store, self.scope, &run.export, &run_id).await?;
        let runs = seen.runs()?;
        let mut entry = Entry {
            export: run.export.clone(),
            run_id: run_id.clone(),
            dataset: run.hint.map_or("cost_and_usage", Form::dataset).to_owned(),
            schema: None,
            submitted: run.submitted,
            path: label.clone(),
            rejected: 0,
        };
        let parts = match &run.parts {
            Ok(parts) => parts.clone(),
            Err(_) if runs.iter().any(|r| r.run_id == run_id && r.state == "applied") => {
                return Ok(repeated(&label, &run_id, "applied"));
            }
            Err(Unfit::Torn(reason)) => return self.refuse(&entry, &tenant, &run, "torn", reason).await,
            Err(Unfit::Refused(reason)) => return self.refuse(&entry, &tenant, &run, "refused", reason).await,
        };
        if let Some(before) = runs.iter().find(|r| r.is_repeat_of(&run, &run_id, &tenant)) {
            return Ok(repeated(&label, &run_id, &before.state));
        }
        // A seal of every tenant stands under one of them, which a tenant's scope does not show.
        let seals = Seals::load(self.store, &Scope::platform(&self.scope.principal)).await?;
        let sealed = sealed(&run, &tenant, &runs, &seals);
        let bytes: u64 = parts.iter().filter_map(|p| std::fs::metadata(&p.path).ok()).map(|m| m.len()).sum();
        self.progress.begin(&run.path, bytes);
        let read_bytes = Arc::new(AtomicU64::new(0));
        let opened = self.open(&run, parts.into(), &tenant, &run_id, (&runs, seals), read_bytes.clone()).await?;
        let parser = match opened {
            Ok(parser) => parser,
            Err(error) => return self.refuse(&entry, &tenant, &run, "refused", &error.to_string()).await,
        };
        entry.dataset = parser.form().dataset().to_owned();
        entry.schema = Some(parser.form().schema());
        if let Some(reason) = sealed.filter(|_| parser.table().name == ledger::COST_LINE.name) {
            return self.refuse(&entry, &tenant, &run, "refused", &reason).await;
        }
        let own_set = set_name(&run.export, parser.form(), run.period);
        if let Some(newer) = runs.iter().find(|r| r.is_newer_than(&run, &own_set, &tenant)) {
            let reason = format!("run {} of the same export and period is newer and was there before", newer.run_id);
            let set = [empty_set(&tenant, &own_set, run.period)];
            let mut frame = Frame::new(label.clone());
            entry.push(&mut frame, &set, "superseded", Some(&reason))?;
            self.append(frame).await?;
            return Ok(Outcome::Applied(noted(format!("{label}: nothing changed: {reason}")), None));
        }
        let parser_table = parser.table().name;
        let read = self.load(parser, &run, &label, &read_bytes).await?;
        if let Some(failure) = read.failure {
            let is_whole = run.run_id.is_none() || failure.kind() == Kind::Conflict;
            let state = if is_whole { "refused" } else { "torn" };
            return self.refuse(&entry, &tenant, &run, state, &failure.to_string()).await;
        }
        entry.rejected = read.rejected;
        self.settle(&entry, &seen, &read, &tenant).await?;
        let touched = periods_of(parser_table, &read.sets);
        Ok(Outcome::Applied(summary_of(&label, &run, read, &runs), touched))
    }

    async fn open(
        &self,
        run: &Planned,
        parts: VecDeque<Part>,
        tenant: &str,
        run_id: &str,
        (runs, seals): (&[SeenRun], Seals),
        read_bytes: Arc<AtomicU64>,
    ) -> Result<Result<Parser>> {
        let named_tenants = matches!(self.scope.tenants, engine::Tenants::All);
        let (export, period) = (run.export.clone(), run.period);
        let (tenant, run_id, runs) = (tenant.to_owned(), run_id.to_owned(), runs.to_vec());
        let hint = run.hint;
        let origin = move |form: Form| {
            let name = set_name(&export, form, period);
            // A month that a provider names is replaced as a whole, for every tenant that had rows of it.
            let mut replaces = Vec::new();
            if period.is_some() {
                replaces.push((tenant.clone(), name.clone(), period));
                for old in runs.into_iter().filter(|r| r.state == "applied" && r.set == name && r.tenant != tenant) {
                    replaces.push((old.tenant, old.set, period));
                }
            }
            Origin { tenant, named_tenants, export, run_id, period, replaces, seals }
        };
        let on_bytes = Arc::new(move |count| {
            read_bytes.fetch_add(count, Ordering::Relaxed);
        });
        tokio::task::spawn_blocking(move || Parser::open(parts, hint, origin, on_bytes))
            .await
            .map_err(|e| Error::unavailable("open a cost file", e))
    }

    /// Parses in a thread of its own and loads what it gives; nothing is committed unless all of it was as promised.
    async fn load(&self, mut parser: Parser, run: &Planned, label: &str, read_bytes: &AtomicU64) -> Result<ReadRun> {
        let (sender, receiver) = mpsc::channel::<Result<RecordBatch>>(BATCHES_IN_FLIGHT_MAX);
        let table = parser.table();
        let promised = run.rows;
        let reading = tokio::task::spawn_blocking(move || {
            let failure = send_all(&mut parser, promised, &sender);
            ReadRun {
                sets: parser.sets().to_vec(),
                rejects: parser.take_rejects(),
                notes: std::mem::take(&mut parser.notes),
                accepted: parser.accepted,
                rejected: parser.rejected,
                failure,
            }
        });
        let batches = futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|batch| (batch, receiver))
        });
        let mut batches = batches.boxed().peekable();
        let mut loaded = Ok(());
        // A file of a header alone commits nothing.
        if std::pin::Pin::new(&mut batches).peek().await.is_some() {
            let load = self.store.load(Load { table, source: label.to_owned(), batches: batches.boxed() });
            tokio::pin!(load);
            loaded = loop {
                tokio::select! {
                    done = &mut load => break done.map(|_| ()),
                    () = tokio::time::sleep(PROGRESS_TICK) => self.progress.advance(read_bytes.swap(0, Ordering::Relaxed)),
                }
            };
        }
        self.progress.advance(read_bytes.swap(0, Ordering::Relaxed));
        let read = reading.await.map_err(|e| Error::unavailable("parse a cost file", e))?;
        if read.failure.is_none() {
            loaded?;
        }
        Ok(read)
    }

    /// After the load: what did not parse, what the run replaced, and last what it is, so that a crash before this line
    /// only makes the next delivery load the same rows again.
    async fn settle(&self, entry: &Entry, seen: &Seen, read: &ReadRun, tenant: &str) -> Result<()> {
        for (at, rejects) in read.rejects.chunks(REJECTS_IN_FRAME).enumerate() {
            let mut frame = Frame::new(entry.path.clone());
            let mut rows = Rows::new(&REJECT);
            rejects.iter().for_each(|reject| reject.write(tenant, &mut rows));
            frame.push_rows(&mut rows);
            let key = format!("{tenant}:{}:{}:{at}", entry.export, entry.run_id);
            let body_hash = Sha256::digest(&key).into();
            let key = format!("cost:{}", hex::encode(body_hash));
            frame.idempotency = Some(Idempotency { key, body_hash });
            self.append(frame).await?;
        }
        let mut frame = Frame::new(entry.path.clone());
        frame.push(&ledger::COST_RUN, seen.superseded(&read.sets, &entry.run_id)?);
        let reason = (!read.notes.is_empty()).then(|| read.notes.join("; "));
        entry.push(&mut frame, &read.sets, "applied", reason.as_deref())?;
        if frame.rows() > 0 {
            self.append(frame).await?;
        }
        Ok(())
    }

    async fn refuse(&self, entry: &Entry, tenant: &str, run: &Planned, state: &str, reason: &str) -> Result<Outcome> {
        let period = run.period.map_or_else(|| "all".to_owned(), period_name);
        let name = format!("{}|{}|{period}", entry.export, entry.dataset);
        let mut frame = Frame::new(entry.path.clone());
        entry.push(&mut frame, &[empty_set(tenant, &name, run.period)], state, Some(reason))?;
        self.append(frame).await?;
        Ok(Outcome::Refused(format!("{}: run {} is {state} and changed nothing: {reason}", entry.path, entry.run_id)))
    }

    async fn append(&self, frame: Frame) -> Result<()> {
        let reading =
            Reading { kind: "cost", extensions: &[], store: self.store, scope: self.scope, progress: self.progress };
        reading.append(frame).await.map(|_| ())
    }
}

impl SeenRun {
    /// The same run, already dealt with. A file without manifest that was replaced by another and comes again is newer than it.
    fn is_repeat_of(&self, run: &Planned, run_id: &str, tenant: &str) -> bool {
        let settled = self.state == "applied" || (self.state == "superseded" && run.run_id.is_some());
        let same_place = run.run_id.is_none() || self.export == run.export;
        self.run_id == run_id && self.tenant == tenant && settled && same_place
    }

    fn is_newer_than(&self, run: &Planned, set: &str, tenant: &str) -> bool {
        let later = matches!((self.submitted, run.submitted), (Some(theirs), Some(ours)) if theirs > ours);
        later && self.state == "applied" && self.set == set && self.tenant == tenant
    }
}

/// Sends a run's batches; at the end its rows must be as many as promised. The failure, if any, also ends the load.
fn send_all(parser: &mut Parser, promised: Option<u64>, sender: &mpsc::Sender<Result<RecordBatch>>) -> Option<Error> {
    loop {
        let failure = match parser.next_batch() {
            Ok(Some(batch)) => match sender.blocking_send(Ok(batch)) {
                Ok(()) => continue,
                // The load ended first; its own error tells why.
                Err(_) => return None,
            },
            Ok(None) => {
                let rows = parser.accepted + parser.rejected;
                match promised {
                    Some(promised) if promised != rows => {
                        Error::invalid(format!("the run has {rows} rows where the manifest says {promised}"))
                    }
                    _ if parser.accepted == 0 && parser.rejected > 0 => {
                        let first = parser.take_rejects().into_iter().next();
                        let why = first
                            .map_or_else(String::new, |r| format!("{}: {}", r.place.unwrap_or_default(), r.reason));
                        Error::invalid(format!("none of its {rows} rows parses; the first: {why}"))
                    }
                    _ => return None,
                }
            }
            Err(error) => error,
        };
        let (kind, message) = (failure.kind(), failure.to_string());
        // If nobody listens any more the load has failed by itself.
        let _ = sender.blocking_send(Err(failure));
        return Some(Error::new(kind, message));
    }
}

/// Why a run may not replace its month: it is sealed for its tenant, or for one that had charges of the same export in it.
fn sealed(run: &Planned, tenant: &str, runs: &[SeenRun], seals: &Seals) -> Option<String> {
    let period = run.period?;
    let others = runs.iter().filter(|r| r.state == "applied" && r.export == run.export && r.period == Some(period));
    let mut tenants = others.map(|r| r.tenant.as_str()).chain([tenant]);
    let sealed = tenants.find(|tenant| seals.holds(tenant, period, None))?;
    Some(format!("the billing period {} of {sealed} is sealed: its charges stay as they are", period_name(period)))
}

/// The first and the last billing period of the charges that a run changed.
fn periods_of(table: &str, sets: &[SetTotal]) -> Option<(i64, i64)> {
    if table != ledger::COST_LINE.name || sets.is_empty() {
        return None;
    }
    // A charge without a billing period may be of any time.
    let first = sets.iter().map(|set| set.period.unwrap_or(0)).min()?;
    let last = sets.iter().map(|set| set.period.unwrap_or(PERIOD_MAX)).max()?;
    Some((first, last))
}

/// The first of January 2200: no billing period begins later.
const PERIOD_MAX: i64 = 7_258_118_400_000_000;

fn empty_set(tenant: &str, name: &str, period: Option<i64>) -> SetTotal {
    SetTotal { tenant: tenant.to_owned(), name: name.to_owned(), period, rows: 0, billed: Some(0), currency: None }
}

fn repeated(label: &str, run_id: &str, state: &str) -> Outcome {
    let notes = vec![format!("{label}: run {run_id} was there before ({state}): nothing changed")];
    Outcome::Applied(Summary { files: 1, repeated: 1, notes, ..Summary::default() }, None)
}

fn noted(note: String) -> Summary {
    Summary { files: 1, notes: vec![note], ..Summary::default() }
}

fn summary_of(label: &str, run: &Planned, read: ReadRun, before: &[SeenRun]) -> Summary {
    let files = run.parts.as_ref().map_or(0, |parts| parts.len() as u64);
    let mut notes: Vec<String> = read.notes.iter().map(|note| format!("{label}: {note}")).collect();
    for set in &read.sets {
        let old = before.iter().filter(|r| r.set == set.name && r.tenant == set.tenant && r.state == "applied");
        notes.extend(old.map(|r| format!("{label}: {} rows of {} replace run {}", set.rows, set.name, r.run_id)));
    }
    if read.accepted == 0 && read.rejected == 0 {
        notes.push(format!("{label}: has no rows"));
    }
    if read.rejected > 0 {
        notes.push(format!("{label}: {} rows did not parse; they are in `reject`", read.rejected));
    }
    Summary { files, accepted: read.accepted, rejected: read.rejected, notes, ..Summary::default() }
}

/// A file without a run id is known by its bytes; several by theirs together.
async fn hash_of(parts: Vec<Part>) -> Result<String> {
    let hashed = tokio::task::spawn_blocking(move || {
        let mut whole = Sha256::new();
        for part in &parts {
            let one =
                hash_file(&part.path).map_err(|e| Error::unavailable(&format!("read {}", part.path.display()), e))?;
            if parts.len() == 1 {
                return Ok(hex::encode(one));
            }
            whole.update(one);
        }
        Ok(hex::encode(whole.finalize()))
    });
    hashed.await.map_err(|e| Error::unavailable("hash a cost file", e))?
}

fn hash_file(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = std::fs::File::open(path)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0u8; HASH_BUFFER_BYTES]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            count => hash.update(&buffer[..count]),
        }
    }
}
