//! The failing disk: builds the shim once a run, and turns what it does to a server while that server runs.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::{Ground, skipped};

/// Bytes of the control file; the shim maps them.
const CONTROL_BYTES: u64 = 4096;
/// How long a sync of the shim takes: like a disk's, so that requests gather behind it.
const SYNC_US: i32 = 500;

/// Offsets in the control file, as `struct control` of disk.c has them.
const BUDGET: u64 = 0;
const CLOCK: u64 = 8;
const READ_ONLY: u64 = 16;
const SYNC_FAILS: u64 = 20;
const SYNC_FEIGNED: u64 = 24;
const SYNC_TIME: u64 = 28;

/// A disk for the servers of one ground.
pub struct Disk {
    control: File,
    /// What it wrote down.
    pub journal: PathBuf,
    env: Vec<(String, String)>,
}

impl Disk {
    /// A healthy disk under the data directory of `ground`, which is created. `None`: there is no C compiler here, and
    /// that was said.
    pub fn under(ground: &Ground) -> Option<Disk> {
        let shim = shim()?;
        fs::create_dir_all(ground.data()).expect("a data directory");
        let root = ground.data().canonicalize().expect("the data directory is there");
        let (turned, journal) = (ground.beside("disk.control"), ground.beside("disk.journal"));
        let control = File::options().create(true).truncate(true).read(true).write(true).open(&turned);
        let control = control.expect("a control file");
        control.set_len(CONTROL_BYTES).expect("room for the control file");
        fs::write(&journal, []).expect("a journal");
        let text = |path: &Path| path.to_str().expect("a path of plain text").to_owned();
        let env = vec![
            ("LD_PRELOAD".to_owned(), text(shim)),
            ("DISK_ROOT".to_owned(), text(&root)),
            ("DISK_CONTROL".to_owned(), text(&turned)),
            ("DISK_JOURNAL".to_owned(), text(&journal)),
        ];
        let disk = Disk { control, journal, env };
        disk.space(None);
        disk.sync_takes(SYNC_US);
        Some(disk)
    }

    /// The environment of a process whose disk this is.
    pub fn env(&self) -> Vec<(&str, &str)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn turn(&self, at: u64, bytes: &[u8]) {
        self.control.write_all_at(bytes, at).expect("the control file can be written");
    }

    /// Room for so many bytes more; `None` is no end of them.
    pub fn space(&self, bytes: Option<i64>) {
        self.turn(BUDGET, &bytes.unwrap_or(-1).to_le_bytes());
    }

    /// Whether nothing can be changed.
    pub fn read_only(&self, yes: bool) {
        self.turn(READ_ONLY, &i32::from(yes).to_le_bytes());
    }

    /// So many syncs fail from now on.
    pub fn fail_syncs(&self, count: i32) {
        self.turn(SYNC_FAILS, &count.to_le_bytes());
    }

    /// How long a sync takes.
    pub fn sync_takes(&self, us: i32) {
        self.turn(SYNC_TIME, &us.to_le_bytes());
    }

    /// A disk that says that it has synced and has not.
    pub fn feign_syncs(&self) {
        self.turn(SYNC_FEIGNED, &1_i32.to_le_bytes());
    }

    /// How far the wall clock is off.
    pub fn shift_clock(&self, offset_s: i64) {
        self.turn(CLOCK, &(offset_s * 1_000_000_000).to_le_bytes());
    }

    /// Where the journal ends now; what comes later stands behind it.
    pub fn mark(&self) -> u64 {
        mark(&self.journal)
    }

    /// Runs `ending` between two changes of the disk, so that a process that it kills leaves none half written down.
    pub fn between_changes<T>(&self, ending: impl FnOnce() -> T) -> T {
        let held = File::open(&self.journal).expect("the journal is there");
        held.lock().expect("the journal can be locked");
        ending()
    }
}

/// Where a journal ends now.
pub fn mark(journal: &Path) -> u64 {
    fs::metadata(journal).map_or(0, |meta| meta.len())
}

/// The shim, built at the first call.
fn shim() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let folder = tempfile::Builder::new().prefix("stellwerk-disk-").tempdir().expect("a temporary folder");
        let library = folder.path().join("disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/disk.c");
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread", "-o"]).arg(&library).arg(source);
        match cc.output() {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                skipped(
                    "power loss, full and read-only disk, clock jumps",
                    "no C compiler (cc) to build the disk shim",
                );
                None
            }
            built => {
                let built = built.expect("cc starts");
                assert!(built.status.success(), "build the disk shim: {}", String::from_utf8_lossy(&built.stderr));
                Some((folder, library))
            }
        }
    });
    built.as_ref().map(|(_, library)| library.as_path())
}
