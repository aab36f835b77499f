//! Proofs that the instruments can see: the disk shim with a program of four lines, the wreck with a journal by hand.

use std::process::Command;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::disk::Disk;
use super::journal::{self, Change, Record};
use super::wreck::{Survival, Wreck, differences};
use crate::harness::Ground;

/// Writes three files: one without a sync, one synced without its folder, one with both.
const PROGRAM: &str = r#"
import os, sys
root = sys.argv[1]
def put(name, file, folder):
    fd = os.open(os.path.join(root, name), os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(fd, b"bytes")
    if file: os.fsync(fd)
    os.close(fd)
    if folder:
        fd = os.open(root, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
put("kept", True, True)
put("unsynced", False, False)
put("nameless", True, False)
os.mkdir(os.path.join(root, "folder"))
os.rename(os.path.join(root, "unsynced"), os.path.join(root, "renamed"))
"#;

#[test]
fn the_disk_shim_loses_what_was_not_synced() {
    let ground = Ground::new();
    let Some(disk) = Disk::under(&ground) else { return };
    let done = python(&disk, PROGRAM, &ground);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let records = journal::read(&disk.journal);
    let rebuilt = |survival: Survival| {
        let (target, mut dice) = (Ground::new(), StdRng::seed_from_u64(1));
        Wreck::replay(&records, u64::MAX, &mut dice).write_to(&target.data(), survival, &mut dice);
        target
    };
    let everything = rebuilt(Survival::Everything);
    assert_eq!(differences(&everything.data(), &ground.data()), Vec::<String>::new());
    let synced = rebuilt(Survival::Synced);
    assert_eq!(std::fs::read(synced.data().join("kept")).unwrap(), b"bytes");
    assert_eq!(std::fs::read_dir(synced.data()).unwrap().count(), 1, "names that no sync of the folder covered");
}

#[test]
fn the_disk_shim_fills_up_and_turns_read_only() {
    let ground = Ground::new();
    let Some(disk) = Disk::under(&ground) else { return };
    let write =
        "import os, sys\nos.write(os.open(os.path.join(sys.argv[1], 'file'), os.O_CREAT | os.O_WRONLY), b'x' * 100)";
    for (room, wanted) in [(Some(40), 40), (None, 100)] {
        disk.space(room);
        assert!(python(&disk, write, &ground).status.success());
        assert_eq!(
            std::fs::metadata(ground.data().join("file")).unwrap().len(),
            wanted,
            "a short write, then a whole one"
        );
    }
    disk.space(Some(0));
    let full = python(&disk, write, &ground);
    assert!(String::from_utf8_lossy(&full.stderr).contains("No space left"), "{full:?}");
    disk.space(None);
    disk.read_only(true);
    let refused = python(&disk, write, &ground);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Read-only"), "{refused:?}");
    disk.read_only(false);
    disk.shift_clock(-864_000);
    let told = python(&disk, "import time\nprint(int(time.time()))", &ground);
    let told: u64 = String::from_utf8_lossy(&told.stdout).trim().parse().unwrap();
    let now = crate::records::now_ns() / 1_000_000_000;
    assert!((863_000..865_000).contains(&(now - told)), "{told} against {now}");
}

fn python(disk: &Disk, program: &str, ground: &Ground) -> std::process::Output {
    let mut command = Command::new("python3");
    command.args(["-c", program]).arg(ground.data()).envs(disk.env()).output().expect("python3 starts")
}

#[test]
fn a_failed_sync_promises_nothing_and_a_later_one_does_not_mend_it() {
    let write = |at: u64, text: &'static str| Change::Write { file: 2, at, data: Bytes::from_static(text.as_bytes()) };
    let changes = [
        Change::Root { file: 1 },
        Change::MakeFile { path: "f".to_owned(), file: 2 },
        Change::SyncBegin { file: 1, ticket: 1 },
        Change::SyncEnd { ticket: 1 },
        write(0, "a"),
        Change::SyncBegin { file: 2, ticket: 2 },
        Change::SyncFailed { ticket: 2 },
        write(1, "b"),
        Change::SyncBegin { file: 2, ticket: 3 },
        // Written while the sync runs: not covered by it.
        write(2, "c"),
        Change::SyncEnd { ticket: 3 },
    ];
    let records: Vec<Record> =
        changes.iter().enumerate().map(|(at, change)| Record { end: at as u64, change: change.clone() }).collect();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let (target, mut dice) = (Ground::new(), StdRng::seed_from_u64(seed));
        Wreck::replay(&records, u64::MAX, &mut dice).write_to(&target.data(), Survival::Synced, &mut dice);
        seen.insert(std::fs::read(target.data().join("f")).unwrap());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [b"\0b".to_vec(), b"ab".to_vec()]);
}
