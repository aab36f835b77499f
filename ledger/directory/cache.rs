//! Keys that were verified a moment ago, so that a busy caller does not cost a read of the state database per request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::principal::Principal;

/// How long a verified key is believed without looking again; a key revoked on another node works this long at most.
pub const BELIEVED_FOR: Duration = Duration::from_secs(10);
/// Keys remembered; one more forgets all of them, which costs a read each and needs no order of use.
const ENTRIES_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Cache {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By SHA-256 of the whole key, so that a look-up leaks nothing about a secret by its time.
    entries: HashMap<[u8; 32], Entry>,
    /// Grows with every key forgotten.
    forgotten: u64,
}

#[derive(Debug)]
struct Entry {
    id: String,
    principal: Principal,
    until_us: i64,
}

impl Cache {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, hash: &[u8; 32], now_us: i64) -> Option<Principal> {
        // An entry from the future means that the clock was set back: look again.
        let fresh =
            |entry: &&Entry| now_us < entry.until_us && entry.until_us - now_us <= BELIEVED_FOR.as_micros() as i64;
        self.inner().entries.get(hash).filter(fresh).map(|entry| entry.principal.clone())
    }

    /// Taken before the database is read; [`Cache::put`] wants it back.
    pub(super) fn mark(&self) -> u64 {
        self.inner().forgotten
    }

    /// Remembers a key, unless one was forgotten since `mark`: what was read may be out of date.
    pub(super) fn put(
        &self,
        hash: [u8; 32],
        id: &str,
        principal: Principal,
        now_us: i64,
        expires_at_us: Option<i64>,
        mark: u64,
    ) {
        let mut inner = self.inner();
        if inner.forgotten != mark {
            return;
        }
        if inner.entries.len() >= ENTRIES_MAX {
            inner.entries.clear();
        }
        let believed_until_us = now_us + BELIEVED_FOR.as_micros() as i64;
        let until_us = believed_until_us.min(expires_at_us.unwrap_or(i64::MAX));
        inner.entries.insert(hash, Entry { id: id.to_owned(), principal, until_us });
    }

    pub(super) fn forget(&self, id: &str) {
        let mut inner = self.inner();
        inner.forgotten += 1;
        inner.entries.retain(|_, entry| entry.id != id);
    }

    pub(super) fn forget_all(&self) {
        let mut inner = self.inner();
        inner.forgotten += 1;
        inner.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn believes_briefly_and_a_bounded_number() {
        let cache = Cache::default();
        let hash = |n: usize| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_le_bytes());
            hash
        };
        let ttl = BELIEVED_FOR.as_micros() as i64;
        cache.put(hash(0), "a", Principal::platform("a"), 1_000, None, cache.mark());
        assert!(cache.get(&hash(0), 1_000).is_some());
        assert!(cache.get(&hash(0), 999 + ttl).is_some());
        assert!(cache.get(&hash(0), 1_000 + ttl).is_none());
        assert!(cache.get(&hash(0), 999).is_none(), "the clock went back");
        cache.put(hash(1), "b", Principal::platform("b"), 1_000, Some(1_500), cache.mark());
        assert!(cache.get(&hash(1), 1_499).is_some() && cache.get(&hash(1), 1_500).is_none(), "a key's own end");
        let before = cache.mark();
        cache.forget("a");
        cache.put(hash(0), "a", Principal::platform("a"), 1_000, None, before);
        assert!(cache.get(&hash(0), 1_000).is_none());
        (0..3 * ENTRIES_MAX).for_each(|n| cache.put(hash(n), "b", Principal::platform("b"), 0, None, cache.mark()));
        assert!(cache.inner().entries.len() <= ENTRIES_MAX);
    }
}
