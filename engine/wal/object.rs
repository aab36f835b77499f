//! The log as objects beside the tables, for nodes whose disk is not to be trusted: one object for all frames that wait.
//!
//! Objects are named `wal/<epoch>/<number>.wal` and written with a conditional PUT. A new owner claims the next epoch and
//! seals the older ones by taking their next number, so an owner that was declared dead and still writes finds its next
//! name taken and stops: nothing that it could acknowledge is lost, nothing is acknowledged twice.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::Recovered;
use super::frame::{self, Key};
use super::local::{format_keys, parse_keys};
use crate::error::{Error, Kind, Result};
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
        let store = place.objects();
        let root = place.path("wal");
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
        for epoch in 1..log.epoch {
            log.seal(epoch).await?;
        }
        let (mut recovered, mut keys) = (Recovered { frames: vec![], dropped: vec![] }, vec![]);
        for path in log.list("keys").await? {
            keys.extend(parse_keys(&log.read(&path).await?));
        }
        for path in log.list("wal").await? {
            let bytes = log.read(&path).await?;
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
        let path = self.name(self.epoch, self.number);
        let bytes = body.len() as u64;
        match put_new(&*self.store, &path, body.clone()).await {
            Ok(()) => {}
            // Ours, if an earlier try of the same PUT arrived although its answer did not.
            Err(object_store::Error::AlreadyExists { .. }) if self.read(&path).await? == body => {}
            Err(object_store::Error::AlreadyExists { .. }) => {
                let why = "another process has taken over this store's log; this one no longer writes";
                return Err(Error::new(Kind::Conflict, why));
            }
            Err(e) => return Err(Error::unavailable("write the log", e)),
        }
        self.number += 1;
        self.objects.push(Written { path, bytes, next, keys });
        Ok(())
    }

    /// See [`super::Log::truncate`].
    pub async fn truncate(&mut self, seq: u64) -> Result<()> {
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.objects).into_iter().partition(|o| o.next <= seq);
        self.objects = kept;
        let keys: Vec<Key> = gone.iter().flat_map(|o| o.keys.iter().cloned()).collect();
        if let (false, Some(first)) = (keys.is_empty(), keys.first()) {
            let path = self.root.clone().join(format!("{:020}-{:020}.keys", self.epoch, first.seq));
            let put = self.store.put(&path, PutPayload::from(format_keys(&keys))).await;
            put.map_err(unavailable("keep the keys of the log"))?;
        }
        for object in gone {
            // Claims and seals are empty and stay: an owner that was fenced must never find its next name free again.
            if object.bytes > 0 {
                self.store.delete(&object.path).await.map_err(unavailable("truncate the log"))?;
            }
        }
        Ok(())
    }

    /// See [`super::Log::forget_keys`].
    pub async fn forget_keys(&mut self, before_us: i64) -> Result<()> {
        for path in self.list("keys").await? {
            if parse_keys(&self.read(&path).await?).iter().all(|k| k.at_us < before_us) {
                self.store.delete(&path).await.map_err(unavailable("shorten the key log"))?;
            }
        }
        Ok(())
    }

    /// Bytes in objects not yet forgotten.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|o| o.bytes).sum()
    }

    async fn seal(&self, epoch: u64) -> Result<()> {
        let prefix = self.root.clone().join(format!("{epoch:020}"));
        let names: Vec<_> = self.store.list(Some(&prefix)).try_collect().await.map_err(unavailable("list the log"))?;
        let sealed = names.iter().any(|m| m.size == 0 && number_of(&m.location).is_some_and(|n| n > 0));
        if names.is_empty() || sealed {
            return Ok(());
        }
        let mut number = names.iter().filter_map(|m| number_of(&m.location)).max().map_or(0, |n| n + 1);
        loop {
            match put_new(&*self.store, &self.name(epoch, number), Bytes::new()).await {
                Ok(()) => return Ok(()),
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
