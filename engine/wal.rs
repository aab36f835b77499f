//! The write-ahead log: frames, one after the other, durable before they are acknowledged.
//!
//! A frame is `MAGIC, header length, body length, header CRC, body CRC, header (JSON), body`, integers little-endian. The
//! body is one Arrow IPC stream (LZ4) for every part that the header lists. Two homes: segments on the local disk
//! ([`local`]) and objects beside the tables ([`object`]).

pub mod frame;
pub mod ipc;
pub mod local;
pub mod object;

use std::path::Path;

use bytes::Bytes;

use crate::error::Result;
use crate::place::Place;
use crate::settings::WalPlace;

pub use frame::{Header, Key, Part};

/// One recovered segment: its frames in log order, and what could not be read.
#[derive(Debug)]
pub struct Recovered {
    /// Whole frames.
    pub frames: Vec<(Header, Bytes)>,
    /// One line for every stretch of bytes that is no whole frame.
    pub dropped: Vec<String>,
}

/// A log, wherever it lives. Used by one task at a time.
#[derive(Debug)]
pub enum Log {
    Local(local::LocalLog),
    Object(object::ObjectLog),
}

impl Log {
    /// Opens the log and reads what it holds.
    pub async fn open(home: WalPlace, data: &Path, place: &Place) -> Result<(Log, Recovered, Vec<Key>)> {
        match home {
            WalPlace::Local => {
                let dir = data.join("wal");
                let (log, recovered, keys) = tokio::task::spawn_blocking(move || local::LocalLog::open(dir))
                    .await
                    .expect("opening a log never panics")?;
                Ok((Log::Local(log), recovered, keys))
            }
            WalPlace::Store => {
                let (log, recovered, keys) = object::ObjectLog::open(place).await?;
                Ok((Log::Object(log), recovered, keys))
            }
        }
    }

    /// Makes frames durable, all or none. `next` is the `_seq` after the last of their rows, `keys` the keys in them.
    pub async fn write(&mut self, first: u64, next: u64, frames: Vec<Bytes>, keys: Vec<Key>) -> Result<()> {
        match self {
            Log::Local(log) => log.write(first, next, frames, keys).await,
            Log::Object(log) => log.write(first, next, frames, keys).await,
        }
    }

    /// Forgets segments whose every row stands before `seq`; the keys in them are kept in the key log first.
    pub async fn truncate(&mut self, seq: u64) -> Result<()> {
        match self {
            Log::Local(log) => log.truncate(seq).await,
            Log::Object(log) => log.truncate(seq).await,
        }
    }

    /// Parts what was written so far from what comes: a later [`Log::truncate`] need not wait for newer frames. What stands
    /// before `seq` is flushed.
    pub async fn part(&mut self, seq: u64) -> Result<()> {
        match self {
            Log::Local(log) => {
                log.part();
                Ok(())
            }
            Log::Object(log) => log.part(seq).await,
        }
    }

    /// Forgets kept keys acknowledged before this time.
    pub async fn forget_keys(&mut self, before_us: i64) -> Result<()> {
        match self {
            Log::Local(log) => log.forget_keys(before_us),
            Log::Object(log) => log.forget_keys(before_us).await,
        }
    }

    /// Fails when another process has taken the log over. A local log has one owner by its lock.
    pub async fn still_owner(&self) -> Result<()> {
        match self {
            Log::Local(_) => Ok(()),
            Log::Object(log) => log.still_owner().await,
        }
    }

    /// Says that nothing more will be written.
    pub async fn close(&mut self) -> Result<()> {
        match self {
            Log::Local(_) => Ok(()),
            Log::Object(log) => log.close().await,
        }
    }

    /// Bytes in segments not yet forgotten.
    pub fn bytes(&self) -> u64 {
        match self {
            Log::Local(log) => log.bytes(),
            Log::Object(log) => log.bytes(),
        }
    }
}
