//! Every single change of a log is found, and its place named. The log is built and changed in memory here; the same over
//! both databases stands in `audit/tests.rs`.

#![allow(clippy::unwrap_used)]

use engine::Scope;
use proptest::prelude::*;

use super::super::entry::{Entry, Row};
use super::super::root::SigningKey;
use super::*;
use crate::directory::OsDice;

/// A log as it is stored, with a commit behind every third row.
#[derive(Clone)]
struct Log {
    rows: Vec<StoredRow>,
    commits: Vec<(i64, String)>,
    head: Head,
    signed: Vec<SignedRoot>,
}

const COMMIT_ROWS: u64 = 3;

fn row(seq: u64) -> Row {
    let entry = Entry::new(&Scope::tenant("acme", "ana"), "key.create", format!("k{seq}"))
        .because("scope keys")
        .with(serde_json::json!({ "n": seq }));
    Row::of(entry, seq, seq as i64, &OsDice, &str::to_owned).unwrap()
}

/// Seals rows as they are: every hash fits, as after somebody has rewritten everything that the database holds.
fn sealed(rows: Vec<Row>, key: Option<&SigningKey>) -> Log {
    let mut frontier = Frontier::default();
    let (mut stored, mut commits, mut signed) = (Vec::new(), Vec::new(), Vec::new());
    let total = rows.len() as u64;
    for row in rows {
        let leaf = row.leaf();
        frontier.push(leaf);
        stored.push(StoredRow { seq: row.seq as i64, row: Ok(row), leaf: Some(leaf) });
        let (size, root) = (frontier.size(), hex_of(&frontier.root()));
        if size.is_multiple_of(COMMIT_ROWS) || size == total {
            commits.push((size as i64, root.clone()));
        }
        if let Some(key) = key.filter(|_| size.is_multiple_of(2 * COMMIT_ROWS)) {
            signed.push(key.sign("log", size, &root, 0));
        }
    }
    let head = Head {
        log: Some("log".to_owned()),
        size: total,
        peaks: frontier.peaks().iter().map(hex_of).collect::<Vec<_>>().join(" "),
        root: hex_of(&frontier.root()),
        at_us: 0,
    };
    Log { rows: stored, commits, head, signed }
}

fn built(rows: u64) -> Log {
    let data = tempfile::tempdir().unwrap();
    let key = SigningKey::ensure(data.path(), &OsDice).unwrap();
    sealed((0..rows).map(row).collect(), Some(&key))
}

fn checked(log: &Log) -> Verdict {
    let mut check = Check::new(&log.head, Vec::new(), log.signed.clone(), &[]);
    let later = log.commits.iter().map(|(size, _)| *size).max().filter(|size| *size > log.head.size as i64);
    check.commits(log.commits.clone());
    check.commits(Vec::new());
    for row in &log.rows {
        match u64::try_from(row.seq).is_ok_and(|seq| seq < log.head.size) {
            true => check.row(row.clone()),
            false => check.stray(row.seq),
        }
    }
    check.end(&log.head, later)
}

/// The places that a verdict names.
fn names(verdict: &Verdict, seq: u64) -> bool {
    verdict.findings.iter().any(|finding| (finding.from..=finding.to).contains(&seq))
}

#[test]
fn what_was_not_touched_is_good() {
    for rows in [0, 1, 2, 3, 7, 8, 64, 200] {
        let verdict = checked(&built(rows));
        assert!(verdict.is_good(), "{rows}: {verdict:?}");
        assert_eq!((verdict.rows, verdict.signed_rows), (rows, rows / 6 * 6));
    }
}

/// A change of the row at a place, as somebody with a database shell would make it.
type Change = fn(&mut Log, usize);

/// Every way to change what is stored for one row, with the word for what is found.
const CHANGES: &[(&str, Change, Wrong)] = &[
    ("subject", |log, at| row_of(log, at).subject.push('!'), Wrong::Changed),
    ("time", |log, at| row_of(log, at).at_us += 1, Wrong::Changed),
    ("tenant", |log, at| row_of(log, at).tenant = None, Wrong::Changed),
    ("reason", |log, at| row_of(log, at).reason = None, Wrong::Changed),
    ("outcome", |log, at| row_of(log, at).outcome = "denied".to_owned(), Wrong::Changed),
    ("count", |log, at| row_of(log, at).occurrences = 0, Wrong::Changed),
    ("detail", |log, at| row_of(log, at).detail = Some("{}".to_owned()), Wrong::Changed),
    ("actor", |log, at| actor(log, at).value = Some("eve".to_owned()), Wrong::Changed),
    ("salt", |log, at| actor(log, at).salt = Some([0; 16]), Wrong::Changed),
    ("no salt", |log, at| actor(log, at).salt = None, Wrong::Changed),
    ("no name", |log, at| actor(log, at).value = None, Wrong::Changed),
    ("commitment", |log, at| actor(log, at).commitment[0] ^= 1, Wrong::Changed),
    ("leaf", |log, at| log.rows[at].leaf = Some([7; 32]), Wrong::Changed),
    ("no leaf", |log, at| log.rows[at].leaf = None, Wrong::Changed),
    ("unreadable", |log, at| log.rows[at].row = Err("no".to_owned()), Wrong::Changed),
    (
        "row and leaf",
        |log, at| {
            row_of(log, at).subject.push('!');
            leaf(log, at)
        },
        Wrong::Rewritten,
    ),
    ("removed", |log, at| drop(log.rows.remove(at)), Wrong::Removed),
    (
        "moved",
        |log, at| {
            let to = other(log, at);
            swap(log, at, to)
        },
        Wrong::Moved,
    ),
    ("everything", rewrite, Wrong::Rewritten),
];

fn row_of(log: &mut Log, at: usize) -> &mut Row {
    log.rows[at].row.as_mut().unwrap()
}

fn actor(log: &mut Log, at: usize) -> &mut super::super::entry::Committed {
    row_of(log, at).personal[0].as_mut().unwrap()
}

fn leaf(log: &mut Log, at: usize) {
    log.rows[at].leaf = log.rows[at].row.as_ref().ok().map(Row::leaf);
}

fn other(log: &Log, at: usize) -> usize {
    if at == 0 { log.rows.len() - 1 } else { at - 1 }
}

/// Two rows change places, each with its leaf.
fn swap(log: &mut Log, a: usize, b: usize) {
    log.rows.swap(a, b);
    for at in [a, b] {
        log.rows[at].seq = at as i64;
        row_of(log, at).seq = at as u64;
    }
}

/// One row is changed and everything in the database recomputed; only what was signed before is as it was.
fn rewrite(log: &mut Log, at: usize) {
    row_of(log, at).subject.push('!');
    let signed = std::mem::take(&mut log.signed);
    *log = sealed(log.rows.iter().map(|row| row.row.clone().unwrap()).collect(), None);
    log.signed = signed;
}

proptest! {
    #[test]
    fn any_single_change_is_found_and_located(rows in 12_u64..60, at in 0_usize..12, which in 0..CHANGES.len()) {
        let mut log = built(rows);
        let (name, change, wrong) = CHANGES[which];
        // Behind the last signed root, a database that was rewritten as a whole is its own witness.
        prop_assume!(name != "everything" || (at as u64) < rows / 6 * 6);
        change(&mut log, at);
        let verdict = checked(&log);
        prop_assert!(!verdict.is_good(), "{} at {}", name, at);
        prop_assert!(names(&verdict, at as u64), "{} at {}: {:?}", name, at, verdict.findings);
        // The end may be missed as such where it is the last row that went.
        let found: Vec<Wrong> = verdict.findings.iter().map(|finding| finding.wrong).collect();
        prop_assert!(found.contains(&wrong) || (wrong == Wrong::Removed && found.contains(&Wrong::Cut)), "{} {:?}", name, found);
    }

    #[test]
    fn a_cut_end_is_found_by_whatever_is_left(rows in 12_u64..60, cut in 1_usize..12, forged in any::<bool>()) {
        let mut log = built(rows);
        let signed = std::mem::take(&mut log.signed);
        let left = log.rows.len() - cut;
        if forged {
            // The database is made to look as if it had never been longer.
            log = sealed(log.rows[..left].iter().map(|row| row.row.clone().unwrap()).collect(), None);
        } else {
            log.rows.truncate(left);
        }
        log.signed = signed;
        let verdict = checked(&log);
        let seen = !forged || (left as u64) < rows / 6 * 6;
        prop_assert_eq!(!verdict.is_good(), seen, "{:?}", verdict);
        if seen {
            prop_assert!(verdict.findings.iter().any(|finding| finding.wrong == Wrong::Cut && finding.from == left as u64));
        }
    }

    #[test]
    fn an_inserted_row_is_found(rows in 1_u64..40, at in 0_u64..40) {
        let mut log = built(rows);
        let at = at % (rows + 1);
        // Everything behind it is pushed on by one, as a shell would do it.
        for stored in log.rows.iter_mut().skip(at as usize) {
            stored.seq += 1;
            stored.row.as_mut().unwrap().seq += 1;
        }
        let mut new = row(at);
        new.subject = "forged".to_owned();
        let leaf = new.leaf();
        log.rows.insert(at as usize, StoredRow { seq: at as i64, row: Ok(new), leaf: Some(leaf) });
        let verdict = checked(&log);
        prop_assert!(names(&verdict, at), "{:?}", verdict.findings);
    }
}

#[test]
fn the_head_and_the_roots_are_compared_too() {
    let changes: [(&str, fn(&mut Log)); 6] = [
        ("root", |log| log.head.root = "00".repeat(32)),
        ("peaks", |log| log.head.peaks.clear()),
        ("a commit", |log| log.commits[2].1 = "00".repeat(32)),
        ("a signature", |log| log.signed[1].signature = "00".repeat(64)),
        ("another log", |log| log.head.log = Some("other".to_owned())),
        ("a forged root", |log| log.signed[0].root = "00".repeat(32)),
    ];
    for (name, change) in changes {
        let mut log = built(24);
        change(&mut log);
        assert!(!checked(&log).is_good(), "{name}");
    }
    let log = built(24);
    let mut check = Check::new(&log.head, Vec::new(), log.signed.clone(), &["ab".repeat(32)]);
    check.commits(Vec::new());
    let verdict = check.end(&log.head, None);
    assert!(verdict.findings.iter().filter(|finding| finding.wrong == Wrong::Signature).count() == 4, "{verdict:?}");
}
