//! RFC 6962's Merkle tree: a leaf is SHA-256(0x00 ‖ entry), a node SHA-256(0x01 ‖ left ‖ right). Pure: what is stored where
//! is not known here.

use engine::{Error, Kind, Result};
use sha2::{Digest, Sha256};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// Leaves of a segment, as a power of two: the unit in which rows are sealed, exported and retired.
pub const SEGMENT_LEVEL: u32 = 12;
/// Leaves of a segment.
pub const SEGMENT_LEAVES: u64 = 1 << SEGMENT_LEVEL;

/// The hash of an entry.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(entry);
    hasher.finalize().into()
}

/// The hash over two subtrees.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

/// The root of a tree without leaves.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// What must be known of a tree to append to it: the roots of its perfect subtrees, the largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// A frontier as it was kept; `None` where the peaks are not as many as a tree of this size has.
    pub fn of(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Frontier { size, peaks })
    }

    /// Leaves of the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, the largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends a leaf; answers the root of the segment that it completes, if it completes one.
    pub fn push(&mut self, leaf: Hash) -> Option<Hash> {
        self.merge(leaf, 0)
    }

    /// Appends a whole segment by its root. The tree must end at a segment's border.
    pub fn push_segment(&mut self, root: Hash) {
        assert!(self.size.is_multiple_of(SEGMENT_LEAVES), "a segment begins where one ends");
        self.merge(root, SEGMENT_LEVEL);
    }

    fn merge(&mut self, mut hash: Hash, mut level: u32) -> Option<Hash> {
        let added = 1 << level;
        let mut sealed = None;
        while (self.size >> level) & 1 == 1 {
            let left = self.peaks.pop().expect("a tree has a peak for every bit of its size");
            hash = node_hash(&left, &hash);
            level += 1;
            if level == SEGMENT_LEVEL {
                sealed = Some(hash);
            }
        }
        self.peaks.push(hash);
        self.size += added;
        sealed
    }

    /// The root over everything so far.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return empty_root() };
        peaks.fold(*last, |root, peak| node_hash(peak, &root))
    }
}

/// Where the hashes of a tree come from.
pub trait Nodes {
    /// The root over the leaves `from..to`, if it is kept as it is; a range of one is a leaf.
    fn kept(&self, from: u64, to: u64) -> Option<Hash>;
}

impl Nodes for [Hash] {
    fn kept(&self, from: u64, to: u64) -> Option<Hash> {
        if to - from != 1 {
            return None;
        }
        self.get(usize::try_from(from).ok()?).copied()
    }
}

/// The greatest power of two below `n`, for `n` of two or more.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// RFC 6962's MTH over the leaves `from..to`.
pub fn subtree(nodes: &(impl Nodes + ?Sized), from: u64, to: u64) -> Result<Hash> {
    if from == to {
        return Ok(empty_root());
    }
    if let Some(kept) = nodes.kept(from, to) {
        return Ok(kept);
    }
    if to - from == 1 {
        return Err(Error::new(Kind::NotFound, format!("leaf {from} is no longer kept here")));
    }
    let middle = from + split(to - from);
    Ok(node_hash(&subtree(nodes, from, middle)?, &subtree(nodes, middle, to)?))
}

/// RFC 6962's PATH: proves that leaf `index` is in the tree of `size` leaves.
pub fn inclusion(nodes: &(impl Nodes + ?Sized), index: u64, size: u64) -> Result<Vec<Hash>> {
    if index >= size {
        return Err(Error::new(Kind::NotFound, format!("the log of {size} rows has no row {index}")));
    }
    let mut path = Vec::new();
    let (mut from, mut to) = (0, size);
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push(subtree(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(subtree(nodes, from, middle)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// RFC 6962's PROOF: proves that the tree of `old` leaves is the beginning of the tree of `new` leaves.
pub fn consistency(nodes: &(impl Nodes + ?Sized), old: u64, new: u64) -> Result<Vec<Hash>> {
    if old > new {
        return Err(Error::invalid(format!("a log of {new} rows has no beginning of {old}")));
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let mut path = Vec::new();
    let (mut from, mut to) = (0, new);
    // Whether the subtree looked at begins at the old tree's first leaf: then the verifier has its root already.
    let mut whole = true;
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            path.push(subtree(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(subtree(nodes, from, middle)?);
            from = middle;
            whole = false;
        }
    }
    if !whole {
        path.push(subtree(nodes, from, to)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` proves that `leaf` stands at `index` of the tree of `size` leaves with this root (RFC 9162, 2.1.3.2).
pub fn proves_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for step in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(step, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `path` proves that the tree of `old` leaves is the beginning of that of `new` (RFC 9162, 2.1.4.2).
pub fn proves_consistency(old: u64, new: u64, old_root: &Hash, new_root: &Hash, path: &[Hash]) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return path.is_empty() && *old_root == empty_root();
    }
    let mut steps = path.iter();
    // An old tree that is a perfect subtree of the new one is its own first step.
    let first = if old.is_power_of_two() { Some(old_root) } else { steps.next() };
    let Some(first) = first else { return false };
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut before, mut after) = (*first, *first);
    for step in steps {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            before = node_hash(step, &before);
            after = node_hash(step, &after);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            after = node_hash(&after, step);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && before == *old_root && after == *new_root
}

/// A hash as it is shown.
pub fn hex_of(hash: &Hash) -> String {
    hex::encode(hash)
}

/// A hash from how it is shown.
pub fn from_hex(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
}

#[cfg(test)]
mod tests;
