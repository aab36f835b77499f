//! Everything recomputed: what each row says against its leaf, the leaves against the roots that were written after each
//! group, those of sealed segments, the head, and the roots that were signed and put elsewhere. Says where something is wrong.

use std::collections::VecDeque;

use engine::{Result, State};
use serde::{Deserialize, Serialize};

use super::append::{Head, head};
use super::entry::Personal;
use super::merkle::{Frontier, Hash, SEGMENT_LEAVES, hex_of};
use super::root::SignedRoot;
use super::stored::{Segment, StoredRow, commits, page, segments};

/// Findings that are told one by one.
pub const FINDINGS_MAX: usize = 100;
/// How far a row is looked for from where it was written.
const MOVED_ROWS_MAX: u64 = 64;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// A row does not say what was written.
    Changed,
    /// Rows are not there.
    Removed,
    /// Rows are there that were not written.
    Inserted,
    /// A row was written at another place.
    Moved,
    /// Rows were written anew, hashes and all.
    Rewritten,
    /// The end of the log is not there.
    Cut,
    /// A root, a segment or the head itself is not as it was written.
    Root,
    /// A signed root is not signed, or is of another log.
    Signature,
}

/// Something wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub wrong: Wrong,
    /// The first row that it is about.
    pub from: u64,
    /// The last row that it is about.
    pub to: u64,
    /// In words.
    pub why: String,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Tells the log from every other.
    pub log: String,
    /// Rows that were recomputed.
    pub rows: u64,
    /// Rows that lie in files instead: only the roots of their segments were checked.
    pub retired: u64,
    /// Rows with an erased name.
    pub erased: u64,
    /// Roots after groups of rows that were compared.
    pub commits: u64,
    /// Signed roots that were compared.
    pub signed_roots: u64,
    /// Rows under the newest signed root; rows behind it are vouched for by the database alone.
    pub signed_rows: u64,
    /// The root that was computed.
    pub root: String,
    /// What is wrong, at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// Findings beyond that.
    pub more: u64,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, wrong: Wrong, from: u64, to: u64, why: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { wrong, from, to, why: why.into() });
        } else {
            self.more += 1;
        }
    }
}

/// Rows behind the end of the log, and a group that says there were more rows: each in one statement, so that what is
/// written meanwhile is not taken for it.
const BEHIND: &str =
    "SELECT a.seq AS seq FROM audit a, audit_head h WHERE h.id = 1 AND a.seq >= h.size ORDER BY a.seq LIMIT 100";
const LATER: &str = "SELECT c.size AS size FROM audit_commit c, audit_head h WHERE h.id = 1 AND c.size > h.size ORDER BY c.size DESC LIMIT 1";

/// Reads the whole log and compares it with itself and with signed roots. `keys` are the public keys that may have signed;
/// none means that any signature counts that is one. What is written meanwhile is left out.
pub async fn verify(state: &State, signed: Vec<SignedRoot>, keys: &[String]) -> Result<Verdict> {
    // Before the head: a segment that is listed then ends before it.
    let segments = segments(state).await?;
    let head = head(state).await?;
    let last = i64::try_from(head.size).unwrap_or(i64::MAX) - 1;
    let mut check = Check::new(&head, segments, signed, keys);
    let mut next = i64::MIN;
    loop {
        let rows = page(state, next, last).await?;
        let Some(read) = rows.last() else { break };
        next = read.seq.saturating_add(1);
        for row in rows {
            if check.needs_commits() {
                check.commits(commits(state, check.last_commit).await?);
            }
            check.row(row);
        }
    }
    if check.needs_commits() {
        check.commits(commits(state, check.last_commit).await?);
    }
    for row in state.fetch(BEHIND, &[]).await? {
        check.stray(row.get("seq")?);
    }
    let later = state.fetch(LATER, &[]).await?.pop().map(|row| row.get::<i64>("size")).transpose()?;
    Ok(check.end(&head, later))
}

/// A comparison under way. Pure: it is fed with what is stored, in order.
pub(super) struct Check {
    verdict: Verdict,
    frontier: Frontier,
    /// No leaf was missing so far, and every root fitted: roots behind this point still mean something.
    whole: bool,
    /// The size at which a root was last seen to fit.
    good: u64,
    segments: Vec<Segment>,
    /// The same for a signed root.
    signed_good: u64,
    /// Signed roots, the smaller first; those that were passed are gone.
    signed: VecDeque<SignedRoot>,
    /// Commits that were read and not yet passed.
    commits: VecDeque<(i64, String)>,
    pub last_commit: i64,
    commits_end: bool,
}

impl Check {
    pub fn new(head: &Head, segments: Vec<Segment>, mut signed: Vec<SignedRoot>, keys: &[String]) -> Check {
        let mut verdict = Verdict { log: head.log.clone().unwrap_or_default(), ..Verdict::default() };
        signed.sort_by_key(|root| root.size);
        signed.retain(|root| {
            let last = root.size.saturating_sub(1);
            let why = match () {
                () if !root.is_signed() => "is not signed by the key that it names",
                () if !keys.is_empty() && !keys.contains(&root.key) => "is signed by a key that is not trusted here",
                () if root.log != verdict.log => "is of another log",
                () => return true,
            };
            verdict.add(Wrong::Signature, last, last, format!("the signed root of {} rows {why}", root.size));
            false
        });
        verdict.signed_roots = signed.len() as u64;
        verdict.signed_rows = signed.last().map_or(0, |root| root.size);
        let mut check = Check {
            verdict,
            frontier: Frontier::default(),
            whole: true,
            good: 0,
            signed_good: 0,
            segments,
            signed: signed.into(),
            commits: VecDeque::new(),
            last_commit: 0,
            commits_end: false,
        };
        check.begin();
        check
    }

    /// Takes the retired segments, whose rows lie elsewhere, by their roots.
    fn begin(&mut self) {
        for (number, segment) in (0..).zip(self.segments.clone()) {
            if segment.number != number {
                let from = number as u64 * SEGMENT_LEAVES;
                self.verdict.add(
                    Wrong::Root,
                    from,
                    from + SEGMENT_LEAVES - 1,
                    format!("segment {number} is not listed"),
                );
                break;
            }
            if segment.retired_to.is_none() {
                break;
            }
            let Some(root) = segment.root else {
                let from = number as u64 * SEGMENT_LEAVES;
                self.verdict.add(Wrong::Root, from, from + SEGMENT_LEAVES - 1, format!("segment {number} has no root"));
                self.whole = false;
                break;
            };
            self.frontier.push_segment(root);
            self.verdict.retired += SEGMENT_LEAVES;
            self.compare_signed();
        }
        self.good = self.frontier.size();
        self.last_commit = self.good.try_into().unwrap_or(i64::MAX);
    }

    pub fn needs_commits(&self) -> bool {
        self.commits.is_empty() && !self.commits_end
    }

    pub fn commits(&mut self, more: Vec<(i64, String)>) {
        match more.last() {
            Some((size, _)) => self.last_commit = *size,
            None => self.commits_end = true,
        }
        self.commits.extend(more);
    }

    /// A row where none can be.
    pub fn stray(&mut self, seq: i64) {
        let at = u64::try_from(seq).unwrap_or(0);
        self.verdict.add(Wrong::Inserted, at, at, format!("a row stands at {seq}, where none was written"));
    }

    /// The next row.
    pub fn row(&mut self, stored: StoredRow) {
        let Ok(seq) = u64::try_from(stored.seq) else { return self.stray(stored.seq) };
        let wanted = self.frontier.size();
        if seq < wanted {
            return self.stray(stored.seq);
        }
        if seq > wanted {
            self.verdict.add(Wrong::Removed, wanted, seq - 1, format!("{} rows are missing", seq - wanted));
            self.whole = false;
            // The leaves are unknown; any hash keeps the count.
            (wanted..seq).take(usize::try_from(SEGMENT_LEAVES * 64).expect("fits")).for_each(|_| self.push([0; 32]));
            if self.frontier.size() != seq {
                return self.verdict.add(
                    Wrong::Removed,
                    wanted,
                    seq - 1,
                    "too many rows are missing to look at what is behind",
                );
            }
        }
        self.verdict.rows += 1;
        let leaf = self.content(seq, &stored);
        self.push(leaf);
    }

    /// Checks what a row says; answers its leaf for the tree.
    fn content(&mut self, seq: u64, stored: &StoredRow) -> Hash {
        let row = match &stored.row {
            Ok(row) => row,
            Err(why) => {
                self.verdict.add(Wrong::Changed, seq, seq, format!("it cannot be read: {why}"));
                return stored.leaf.unwrap_or_default();
            }
        };
        let leaf = row.leaf();
        match stored.leaf {
            None => self.verdict.add(Wrong::Changed, seq, seq, "its leaf hash is none"),
            Some(stored) if stored != leaf => {
                let near = seq.saturating_sub(MOVED_ROWS_MAX)..=seq + MOVED_ROWS_MAX;
                match near.into_iter().find(|at| row.leaf_at(*at) == stored) {
                    Some(at) => self.verdict.add(Wrong::Moved, seq, seq, format!("it was written at {at}")),
                    None => {
                        self.verdict.add(Wrong::Changed, seq, seq, "it does not say what its leaf hash was made of")
                    }
                }
            }
            Some(_) => {}
        }
        for field in Personal::ALL {
            if let Some(why) = row.misfit(field) {
                self.verdict.add(Wrong::Changed, seq, seq, format!("its {} {why}", field.name()));
            }
        }
        self.verdict.erased += u64::from(row.erased());
        stored.leaf.unwrap_or(leaf)
    }

    fn push(&mut self, leaf: Hash) {
        let sealed = self.frontier.push(leaf);
        if let Some(root) = sealed {
            self.compare_segment(root);
        }
        self.compare_commit();
        self.compare_signed();
    }

    fn compare_segment(&mut self, root: Hash) {
        let number = self.frontier.size() / SEGMENT_LEAVES - 1;
        let kept = usize::try_from(number).ok().and_then(|at| self.segments.get(at));
        let (from, to) = (number * SEGMENT_LEAVES, self.frontier.size() - 1);
        match kept.map(|segment| segment.root) {
            None => self.verdict.add(Wrong::Root, from, to, format!("segment {number} is not listed as sealed")),
            Some(kept) if self.whole && kept != Some(root) => {
                self.verdict.add(
                    Wrong::Rewritten,
                    self.good.max(from),
                    to,
                    format!("the root of segment {number} differs"),
                );
                self.whole = false;
            }
            Some(_) => {}
        }
    }

    fn compare_commit(&mut self) {
        let size = i64::try_from(self.frontier.size()).unwrap_or(i64::MAX);
        while self.commits.front().is_some_and(|(at, _)| *at <= size) {
            let Some((at, root)) = self.commits.pop_front() else { return };
            if at != size || !self.whole {
                continue;
            }
            self.verdict.commits += 1;
            if root == hex_of(&self.frontier.root()) {
                self.good = self.frontier.size();
            } else {
                let (from, to) = (self.good, self.frontier.size() - 1);
                self.verdict.add(
                    Wrong::Rewritten,
                    from,
                    to,
                    format!("the root that was written with row {to} differs"),
                );
                self.whole = false;
            }
        }
    }

    fn compare_signed(&mut self) {
        while self.signed.front().is_some_and(|root| root.size <= self.frontier.size()) {
            let Some(root) = self.signed.pop_front() else { return };
            if root.size != self.frontier.size() || !self.whole {
                continue;
            }
            if root.root == hex_of(&self.frontier.root()) {
                self.signed_good = root.size;
                continue;
            }
            let why = format!("the signed root of {} rows differs", root.size);
            // Not behind the last root that fitted in the database: whoever rewrote rows may have rewritten those, too.
            self.verdict.add(Wrong::Rewritten, self.signed_good, root.size.saturating_sub(1), why);
            self.whole = false;
        }
    }

    /// Compares the end. `later` is the size after a group of rows that the head does not have.
    pub fn end(mut self, head: &Head, later: Option<i64>) -> Verdict {
        let size = self.frontier.size();
        let root = hex_of(&self.frontier.root());
        let signed = self.signed.back().map(|root| root.size);
        let claims = [
            (Some(head.size), "the head of the log says so"),
            (signed, "a signed root says so"),
            (later.and_then(|size| u64::try_from(size).ok()), "a root that was written with them says so"),
        ];
        let mut claims: Vec<_> = claims.into_iter().filter_map(|(at, who)| Some((at?, who))).collect();
        claims.sort_by_key(|(at, _)| *at);
        if let Some((at, who)) = claims.pop().filter(|(at, _)| *at > size) {
            let why = format!("{} rows at the end are missing: {who}", at - size);
            self.verdict.add(Wrong::Cut, size, at - 1, why);
            self.whole = false;
        }
        let sealed =
            self.segments.last().map_or(0, |segment| (segment.number as u64 + 1).saturating_mul(SEGMENT_LEAVES));
        if sealed > head.size {
            self.verdict.add(Wrong::Cut, head.size, sealed - 1, "a sealed segment ends behind the log");
        }
        let last = size.saturating_sub(1);
        if self.whole && size == head.size && (root != head.root || head.frontier().as_ref() != Some(&self.frontier)) {
            self.verdict.add(Wrong::Root, last, last, "the head of the log is not what its rows give");
        }
        self.verdict.root = root;
        self.verdict
    }
}

#[cfg(test)]
mod tests;
