//! Who pays for a volume, and for what stands in front of several pods: by the time that each had it.

use std::collections::BTreeMap;

use engine::{Error, Result};

use super::UNMOUNTED;
use crate::decimal;

/// A pod that mounted a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The pod.
    pub pod: String,
    /// From here on, in any unit that the window has.
    pub start: i64,
    /// Until here, excluded.
    pub end: i64,
}

fn overflow() -> Error {
    Error::invalid("allocate: the cost of a volume has more than 38 digits")
}

/// Each pod's part of a volume's cost. The window is cut where a pod starts or ends; each slice is shared by the pods that
/// have the volume then, and belongs to nobody where none has. The parts add up to the cost.
pub fn volume_shares(cost: i128, window: (i64, i64), mounts: &[Mount]) -> Result<BTreeMap<String, i128>> {
    let (start, end) = window;
    if end <= start {
        return Err(Error::invalid("allocate: the window of a volume has no length"));
    }
    if let Some(mount) = mounts.iter().find(|mount| mount.end < mount.start) {
        return Err(Error::invalid(format!("allocate: pod {} ends before it starts", mount.pod)));
    }
    let inside = |at: i64| at.clamp(start, end);
    let mut cuts: Vec<i64> = mounts.iter().flat_map(|mount| [inside(mount.start), inside(mount.end)]).collect();
    cuts.extend([start, end]);
    cuts.sort_unstable();
    cuts.dedup();
    let lengths: Vec<i128> = cuts.windows(2).map(|cut| i128::from(cut[1]) - i128::from(cut[0])).collect();
    let slices = decimal::shares(cost, lengths.iter().copied()).ok_or_else(overflow)?;
    let mut parts: BTreeMap<String, i128> = BTreeMap::new();
    for (cut, slice) in cuts.windows(2).zip(slices) {
        let has = |mount: &&Mount| mount.start <= cut[0] && cut[1] <= mount.end;
        let mut active: Vec<&str> = mounts.iter().filter(has).map(|mount| mount.pod.as_str()).collect();
        active.sort_unstable();
        active.dedup();
        if active.is_empty() {
            active.push(UNMOUNTED);
        }
        let even = decimal::shares(slice, vec![1i128; active.len()]).ok_or_else(overflow)?;
        for (pod, part) in active.into_iter().zip(even) {
            *parts.entry(pod.to_owned()).or_default() += part;
        }
    }
    parts.retain(|_, part| *part != 0);
    Ok(parts)
}

/// Parts of a load balancer's cost by how long each container stood behind it; nobody's where none did.
pub fn by_overlap(cost: i128, overlaps: &[(String, i128)]) -> BTreeMap<String, i128> {
    let Some(shares) = decimal::shares(cost, overlaps.iter().map(|(_, time)| *time)) else {
        return BTreeMap::from([(UNMOUNTED.to_owned(), cost)]);
    };
    let mut parts = BTreeMap::new();
    for ((name, _), part) in overlaps.iter().zip(shares) {
        *parts.entry(name.clone()).or_default() += part;
    }
    parts
}
