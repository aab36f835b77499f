//! The log as objects beside the tables, for nodes whose disk is not to be trusted: one object for all frames that wait.
//!
//! Objects are named `wal/<epoch>/<number>.wal` and written with a conditional PUT. A new owner claims the next epoch and
//! seals the older ones by taking their next number, so an owner that was declared dead and still writes finds its next
//! name taken and stops: nothing that it could acknowledge is lost, nothing is acknowledged twice.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::Recovered;
use super::frame::{self, Key};
use super::local::{format_keys, parse_keys};
use crate::error::{Error, Kind, Result};
use crate::fault::{Point, reached};
use crate::place::Place;

#[derive(Debug)]
struct Written {
    path: Path,
    bytes: u64,
    next: u64,
    keys: Vec<Key>,
}

/// The log of one epoch, and what earlier epochs left.
#[derive(Debug)]
pub struct ObjectLog {
    store: Arc<dyn ObjectStore>,
    root: Path,
    epoch: u64,
    number: u64,
    objects: Vec<Written>,
}

const TAKEN_OVER: &str = "another process has taken over this store's log; this one no longer writes";
/// Stands in the place of frames that were refused although their PUT had arrived. Not empty, so that it is no seal.
const VOID: &[u8] = b"void";
/// What a new owner waits after it has fenced an earlier one that did not close: so long a commit that this one began before
/// it was fenced may take. Every later one is refused by [`ObjectLog::still_owner`].
const TAKEOVER_GRACE: Duration = Duration::from_secs(2);
/// Names that one write tries before it gives up.
const TRIES_MAX: usize = 4;

fn unavailable(doing: &'static str) -> impl Fn(object_store::Error) -> Error {
    move |e| Error::unavailable(doing, e)
}

async fn put_new(store: &dyn ObjectStore, path: &Path, body: Bytes) -> object_store::Result<()> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    store.put_opts(path, PutPayload::from_bytes(body), options).await.map(|_| ())
}

impl ObjectLog {
    /// Claims the next epoch, seals the earlier ones and reads them.
    pub async fn open(place: &Place) -> Result<(ObjectLog, Recovered, Vec<Key>)> {
        ObjectLog::open_at(place.objects(), place.path("wal"), TAKEOVER_GRACE).await
    }

    async fn open_at(
        store: Arc<dyn ObjectStore>,
        root: Path,
        grace: Duration,
    ) -> Result<(ObjectLog, Recovered, Vec<Key>)> {
        let mut log = ObjectLog { store, root, epoch: 0, number: 0, objects: Vec::new() };
        let names = log.list("wal").await?;
        let newest = names.iter().filter_map(|p| log.epoch_of(p)).max().unwrap_or(0);
        log.epoch = newest + 1;
        loop {
            match put_new(&*log.store, &log.name(log.epoch, 0), Bytes::new()).await {
                Ok(()) => break,
                Err(object_store::Error::AlreadyExists { .. }) => log.epoch += 1,
                Err(e) => return Err(Error::unavailable("claim an epoch of the log", e)),
            }
        }
        log.number = 1;
        let mut fenced = false;
        for epoch in 1..log.epoch {
            fenced |= log.seal(epoch).await?;
        }
        if fenced {
            tokio::time::sleep(grace).await;
        }
        let (mut recovered, mut keys) = (Recovered { frames: vec![], dropped: vec![] }, vec![]);
        for path in log.list("keys").await? {
            keys.extend(parse_keys(&log.read(&path).await?, path.as_ref(), &mut recovered.dropped));
        }
        for path in log.list("wal").await? {
            // The fenced owner may have forgotten what it had flushed before.
            let Some(bytes) = log.find(&path).await? else { continue };
            if bytes == VOID {
                log.objects.push(Written { path, bytes: bytes.len() as u64, next: 0, keys: vec![] });
                continue;
            }
            let one = frame::decode(&bytes, path.as_ref());
            log.objects.push(Written {
                bytes: bytes.len() as u64,
                next: one.frames.last().map_or(0, |(h, _)| h.next()),
                keys: one.frames.iter().filter_map(|(h, _)| h.key.clone()).collect(),
                path,
            });
            recovered.frames.extend(one.frames);
            recovered.dropped.extend(one.dropped);
        }
        Ok((log, recovered, keys))
    }

    /// See [`super::Log::write`].
    pub async fn write(&mut self, _first: u64, next: u64, frames: Vec<Bytes>, keys: Vec<Key>) -> Result<()> {
        let body = Bytes::from(frames.concat());
        for _ in 0..TRIES_MAX {
            let path = self.name(self.epoch, self.number);
            match put_new(&*self.store, &path, body.clone()).await {
                Ok(()) => {}
                Err(object_store::Error::AlreadyExists { .. }) => {
                    let there = self.read(&path).await?;
                    // Else it is this very PUT, tried again below us after its answer was lost.
                    if there != body {
                        self.pass_over(&path, &there).await?;
                        continue;
                    }
                }
                // It may have arrived all the same, or may still arrive: the next write looks.
                Err(e) => return Err(Error::unavailable("write the log", e)),
            }
            self.number += 1;
            self.objects.push(Written { path, bytes: body.len() as u64, next, keys });
            return Ok(());
        }
        Err(Error::new(Kind::Unavailable, "write the log: every next name is taken by an earlier try"))
    }

    /// The next name is taken: by another owner's seal, which is empty, or by frames of ours that were refused. Nobody else
    /// writes under an epoch that this owner has claimed, so what is not empty is ours, however long ago its PUT failed.
    async fn pass_over(&mut self, path: &Path, there: &Bytes) -> Result<()> {
        if there.is_empty() {
            return Err(Error::new(Kind::Conflict, TAKEN_OVER));
        }
        // Else void already: the answer to that PUT was lost, too.
        if there != VOID {
            let void = PutPayload::from_static(VOID);
            self.store.put(path, void).await.map_err(unavailable("make a refused frame of the log void"))?;
        }
        self.objects.push(Written { path: path.clone(), bytes: VOID.len() as u64, next: 0, keys: vec![] });
        self.number += 1;
        Ok(())
    }

    /// See [`super::Log::truncate`].
    pub async fn truncate(&mut self, seq: u64) -> Result<()> {
        self.still_owner().await?;
        // The newest object stays: by it a new owner finds the name that this one would take next.
        let newest = self.name(self.epoch, self.number - 1);
        let done = |o: &Written| o.next <= seq && o.path != newest;
        let keys: Vec<Key> = self.objects.iter().filter(|o| done(o)).flat_map(|o| o.keys.iter().cloned()).collect();
        if let (false, Some(first)) = (keys.is_empty(), keys.first()) {
            let path = self.root.clone().join(format!("{:020}-{:020}.keys", self.epoch, first.seq));
            let put = self.store.put(&path, PutPayload::from(format_keys(&keys))).await;
            put.map_err(unavailable("keep the keys of the log"))?;
            reached(Point::LogKeysKept);
        }
        // One at a time, so that after an error the others are still known.
        while let Some(at) = self.objects.iter().position(done) {
            let object = &self.objects[at];
            // Claims and seals are empty and stay: an owner that was fenced must never find its next name free again.
            if object.bytes > 0 {
                self.store.delete(&object.path).await.map_err(unavailable("truncate the log"))?;
            }
            self.objects.remove(at);
            reached(Point::LogSegmentRemoved);
        }
        Ok(())
    }

    /// See [`super::Log::part`]. The newest object keeps its name, and so a new owner its place; what it holds goes once it is
    /// flushed.
    pub async fn part(&mut self, seq: u64) -> Result<()> {
        self.still_owner().await?;
        let newest = self.name(self.epoch, self.number.saturating_sub(1));
        let flushed = |o: &&mut Written| o.path == newest && o.next > 0 && o.next <= seq && o.bytes > VOID.len() as u64;
        let Some(object) = self.objects.iter_mut().find(flushed) else { return Ok(()) };
        if let Some(first) = object.keys.first() {
            let path = self.root.clone().join(format!("{:020}-{:020}.keys", self.epoch, first.seq));
            let put = self.store.put(&path, PutPayload::from(format_keys(&object.keys))).await;
            put.map_err(unavailable("keep the keys of the log"))?;
            reached(Point::LogKeysKept);
        }
        let void = PutPayload::from_static(VOID);
        self.store.put(&object.path, void).await.map_err(unavailable("empty a flushed object of the log"))?;
        (object.bytes, object.next) = (VOID.len() as u64, 0);
        object.keys.clear();
        Ok(())
    }

    /// See [`super::Log::forget_keys`].
    pub async fn forget_keys(&mut self, before_us: i64) -> Result<()> {
        for path in self.list("keys").await? {
            let keys = parse_keys(&self.read(&path).await?, path.as_ref(), &mut Vec::new());
            if keys.iter().all(|k| k.at_us < before_us) {
                self.store.delete(&path).await.map_err(unavailable("shorten the key log"))?;
            }
        }
        Ok(())
    }

    /// Bytes in objects not yet forgotten.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|o| o.bytes).sum()
    }

    /// Fails when another owner has claimed a later epoch: then nothing more may be committed.
    pub async fn still_owner(&self) -> Result<()> {
        let listed = self.store.list_with_delimiter(Some(&self.root)).await.map_err(unavailable("list the log"))?;
        match listed.common_prefixes.iter().filter_map(|path| self.epoch_of(path)).max() {
            Some(newest) if newest > self.epoch => Err(Error::new(Kind::Conflict, TAKEN_OVER)),
            _ => Ok(()),
        }
    }

    /// Seals its own epoch, so that the next owner need not wait for it.
    pub async fn close(&mut self) -> Result<()> {
        self.seal(self.epoch).await.map(|_| ())
    }

    /// Ends an epoch; answers whether it was open until now.
    async fn seal(&self, epoch: u64) -> Result<bool> {
        let prefix = self.root.clone().join(format!("{epoch:020}"));
        let names: Vec<_> = self.store.list(Some(&prefix)).try_collect().await.map_err(unavailable("list the log"))?;
        let sealed = names.iter().any(|m| m.size == 0 && number_of(&m.location).is_some_and(|n| n > 0));
        if names.is_empty() || sealed {
            return Ok(false);
        }
        let mut number = names.iter().filter_map(|m| number_of(&m.location)).max().map_or(0, |n| n + 1);
        loop {
            match put_new(&*self.store, &self.name(epoch, number), Bytes::new()).await {
                Ok(()) => return Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => number += 1,
                Err(e) => return Err(Error::unavailable("seal an epoch of the log", e)),
            }
        }
    }

    async fn list(&self, extension: &str) -> Result<Vec<Path>> {
        let all: Vec<_> = self.store.list(Some(&self.root)).try_collect().await.map_err(unavailable("list the log"))?;
        let mut found: Vec<Path> =
            all.into_iter().map(|m| m.location).filter(|p| p.extension() == Some(extension)).collect();
        found.sort();
        Ok(found)
    }

    async fn find(&self, path: &Path) -> Result<Option<Bytes>> {
        match self.store.get(path).await {
            Ok(got) => got.bytes().await.map(Some).map_err(unavailable("read the log")),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(Error::unavailable("read the log", e)),
        }
    }

    async fn read(&self, path: &Path) -> Result<Bytes> {
        let got = self.store.get(path).await.map_err(unavailable("read the log"))?;
        got.bytes().await.map_err(unavailable("read the log"))
    }

    fn name(&self, epoch: u64, number: u64) -> Path {
        self.root.clone().join(format!("{epoch:020}")).join(format!("{number:020}.wal"))
    }

    fn epoch_of(&self, path: &Path) -> Option<u64> {
        path.prefix_match(&self.root)?.next()?.as_ref().parse().ok()
    }
}

fn number_of(path: &Path) -> Option<u64> {
    path.filename()?.strip_suffix(".wal")?.parse().ok()
}

#[cfg(test)]
mod tests;
