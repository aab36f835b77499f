//! Old backups leave their place. Their lists go at once; files that no list names any more go a day after that was first
//! seen, for a backup that is being made may name them yet: it finds them there and does not copy them again.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::states::{named, prune_states};
use super::{BackupPlace, Manifest};
use crate::error::Result;

/// How long a file that no list names stays; no backup takes longer to be made.
const RIPE_US: i64 = 86_400_000_000;

/// What went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Backups that went, by their ids.
    pub backups: Vec<String>,
    /// Backups that are left.
    pub left: u64,
    /// States of moments before the oldest backup that is left: no restore needs them.
    #[serde(default)]
    pub states: u64,
    /// Files that went.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that no backup names any more, and that go when that has been so for a day.
    pub waiting_files: u64,
}

/// The backups that go: those before a time, but for the last of them, from which every moment since can be restored.
fn old(all: &[Manifest], before_us: i64) -> &[Manifest] {
    let old = all.iter().take_while(|manifest| manifest.at_us < before_us).count();
    &all[..old.saturating_sub(1)]
}

/// Removes the backups of before a time, and the files that none of the others needs. With `plan_only` nothing is done.
pub async fn prune(place: &BackupPlace, before_us: i64, now_us: i64, plan_only: bool) -> Result<Pruned> {
    let all = place.manifests().await?;
    let gone = old(&all, before_us);
    let kept = &all[gone.len()..];
    let mut pruned = Pruned {
        backups: gone.iter().map(|manifest| manifest.id.clone()).collect(),
        left: kept.len() as u64,
        ..Pruned::default()
    };
    let oldest_us = kept.first().map_or(i64::MIN, |manifest| manifest.at_us);
    let (states, marks) = prune_states(place, oldest_us, plan_only).await?;
    pruned.states = states;
    if plan_only {
        return Ok(pruned);
    }
    for manifest in gone {
        place.remove_manifest(manifest).await?;
    }
    let of_states = named(place, &marks).await?;
    let mut named: HashSet<&str> = kept.iter().flat_map(|m| &m.files).map(|file| file.sha256.as_str()).collect();
    named.extend(of_states.iter().map(String::as_str));
    let seen = place.doomed().await?;
    let ripe = |seen_us: i64| seen_us <= now_us.saturating_sub(RIPE_US);
    let is_ripe: HashSet<&str> =
        seen.iter().filter(|(at, _)| ripe(*at)).flat_map(|(_, files)| files).map(String::as_str).collect();
    let is_seen: HashSet<&str> = seen.iter().flat_map(|(_, files)| files).map(String::as_str).collect();
    let mut newly = Vec::new();
    for (sha256, bytes) in place.files().await? {
        if named.contains(sha256.as_str()) {
            continue;
        }
        if is_ripe.contains(sha256.as_str()) {
            place.remove_file(&sha256).await?;
            pruned.files += 1;
            pruned.bytes += bytes;
            continue;
        }
        pruned.waiting_files += 1;
        if !is_seen.contains(sha256.as_str()) {
            newly.push(sha256);
        }
    }
    if !newly.is_empty() {
        place.doom(now_us, &newly).await?;
    }
    // Last: a run that was cut off finds them again.
    for (at, _) in seen.iter().filter(|(at, _)| ripe(*at)) {
        place.forget_doomed(*at).await?;
    }
    Ok(pruned)
}
