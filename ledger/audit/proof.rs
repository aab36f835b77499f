//! Proofs for somebody who has a signed root and does not trust the database: that a row is in the log, that one log is
//! the beginning of another.

use engine::{Error, Kind, Result, State};
use serde::{Deserialize, Serialize};

use super::append::{Head, head};
use super::merkle::{Hash, consistency, from_hex, hex_of, inclusion, proves_consistency, proves_inclusion, subtree};
use super::stored::{Kept, page};

/// Proves that a row is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InclusionProof {
    /// Tells the log from every other.
    pub log: String,
    /// The row's place.
    pub seq: u64,
    /// The hash of its leaf, hexadecimal.
    pub leaf_hash: String,
    /// Rows of the tree.
    pub size: u64,
    /// The tree's root.
    pub root: String,
    /// The hashes on the way from the leaf to the root.
    pub path: Vec<String>,
}

/// Proves that the log of `from` rows is the beginning of the log of `to` rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistencyProof {
    /// Tells the log from every other.
    pub log: String,
    /// Rows of the earlier tree.
    pub from: u64,
    /// Its root.
    pub from_root: String,
    /// Rows of the later tree.
    pub to: u64,
    /// Its root.
    pub to_root: String,
    /// The hashes that lead from one to the other.
    pub path: Vec<String>,
}

fn shown(path: &[Hash]) -> Vec<String> {
    path.iter().map(hex_of).collect()
}

fn hashes(path: &[String]) -> Option<Vec<Hash>> {
    path.iter().map(|hash| from_hex(hash)).collect()
}

impl InclusionProof {
    /// Whether it proves what it says. That its root is the log's is said by a signature.
    pub fn holds(&self) -> bool {
        let parts = (from_hex(&self.leaf_hash), hashes(&self.path), from_hex(&self.root));
        let (Some(leaf), Some(path), Some(root)) = parts else { return false };
        proves_inclusion(&leaf, self.seq, self.size, &path, &root)
    }
}

impl ConsistencyProof {
    /// Whether it proves what it says.
    pub fn holds(&self) -> bool {
        let parts = (from_hex(&self.from_root), from_hex(&self.to_root), hashes(&self.path));
        let (Some(before), Some(after), Some(path)) = parts else { return false };
        proves_consistency(self.from, self.to, &before, &after, &path)
    }
}

/// Proves that the row is in the log of `size` rows, or of as many as it has.
pub async fn prove_inclusion(state: &State, seq: u64, size: Option<u64>) -> Result<InclusionProof> {
    let (head, size) = sized(state, size).await?;
    if seq >= size {
        return Err(Error::new(Kind::NotFound, format!("the log of {size} rows has no row {seq}")));
    }
    let kept = Kept::read(state, &[seq, size - 1], head.size).await?;
    let path = inclusion(&kept, seq, size)?;
    let place = i64::try_from(seq).unwrap_or(i64::MAX);
    let stored = page(state, place, place).await?.pop();
    let stored = stored.ok_or_else(|| Error::new(Kind::NotFound, format!("row {seq} is no longer kept here")))?;
    // The leaf is made anew from what the row says: a proof of a hash that lies beside another text proves nothing.
    let row = stored.row.map_err(|why| Error::new(Kind::Corrupt, format!("row {seq}: {why}")))?;
    let proof = InclusionProof {
        log: head.log.unwrap_or_default(),
        seq,
        leaf_hash: hex_of(&row.leaf()),
        size,
        root: hex_of(&subtree(&kept, 0, size)?),
        path: shown(&path),
    };
    match proof.holds() {
        true => Ok(proof),
        false => Err(damaged(&format!("row {seq} is not what was written"))),
    }
}

/// Proves that the log of `from` rows is the beginning of the log of `to` rows, or of as many as it has.
pub async fn prove_consistency(state: &State, from: u64, to: Option<u64>) -> Result<ConsistencyProof> {
    let (head, to) = sized(state, to).await?;
    if from > to {
        return Err(Error::invalid(format!("a log of {to} rows has no beginning of {from}")));
    }
    let kept = Kept::read(state, &[from.saturating_sub(1), to.saturating_sub(1)], head.size).await?;
    let proof = ConsistencyProof {
        log: head.log.unwrap_or_default(),
        from,
        from_root: hex_of(&subtree(&kept, 0, from)?),
        to,
        to_root: hex_of(&subtree(&kept, 0, to)?),
        path: shown(&consistency(&kept, from, to)?),
    };
    match proof.holds() {
        true => Ok(proof),
        false => Err(damaged("the proof does not hold")),
    }
}

async fn sized(state: &State, size: Option<u64>) -> Result<(Head, u64)> {
    let head = head(state).await?;
    let size = size.unwrap_or(head.size);
    if size > head.size {
        return Err(Error::new(Kind::NotFound, format!("the log has {} rows, not {size}", head.size)));
    }
    Ok((head, size))
}

fn damaged(what: &str) -> Error {
    Error::new(Kind::Corrupt, format!("{what}; `stellwerk audit verify` says what is wrong"))
}
