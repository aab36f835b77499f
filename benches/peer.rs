//! A process under measurement: started on loopback, watched through /proc, ended by its id. The server under test and
//! its peers are counted the same way.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A peer must take connections within this time.
const START_TIME_MAX: Duration = Duration::from_secs(60);
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
/// The kernel counts CPU time in hundredths of a second on every Debian architecture.
const TICKS_PER_S: f64 = 100.0;

/// A peer's process; ended when dropped.
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts it with both outputs in a log file.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Process, String> {
        let file = File::create(log).map_err(|cause| format!("{}: {cause}", log.display()))?;
        let errors = file.try_clone().map_err(|cause| cause.to_string())?;
        let child = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn();
        let child = child.map_err(|cause| format!("{name} does not start: {cause}"))?;
        Ok(Process { child, name: name.to_owned() })
    }

    /// The same, and waits until it takes connections there.
    pub fn listening(name: &str, command: &mut Command, log: &Path, address: SocketAddr) -> Result<Process, String> {
        let mut process = Process::start(name, command, log)?;
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = process.child.try_wait() {
                return Err(format!("{name} ended with {status}: {}", last_line(log)));
            }
            if begun.elapsed() > START_TIME_MAX {
                return Err(format!("{name} does not listen on {address}: {}", last_line(log)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(process)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, then patience, then SIGKILL.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let id = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let _ = rustix::process::kill_process(id.expect("a child has an id"), rustix::process::Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < STOP_TIME_MAX {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        eprintln!("bench: {} did not stop and is killed", self.name);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs a peer to its end; the last line that it prints is one JSON object.
pub fn answer(command: &mut Command) -> Result<Value, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|cause| format!("it does not start: {cause}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(said.lines().last().unwrap_or_default()).map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        errors.lines().last().unwrap_or("it said nothing").to_owned()
    })
}

/// A loopback address that was free a moment ago.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound listener has an address")
}

/// The last line that a process wrote.
pub fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned()
}

/// How often a command that runs to its end is looked at.
const WATCH: Duration = Duration::from_millis(5);

/// A command that ran to its end.
pub struct Ended {
    pub status: ExitStatus,
    pub wall_s: f64,
    pub cpu_s: f64,
    pub peak_mb: f64,
}

/// Runs a command to its end, and watches what it takes.
pub fn watch(command: &mut Command) -> Ended {
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).spawn().expect("the binary starts");
    let (mut cpu, mut peak) = (0.0_f64, 0);
    let status = loop {
        // What a process took is gone with it, so the last look counts.
        cpu = cpu.max(cpu_s(child.id()));
        peak = peak.max(peak_bytes(child.id()));
        match child.try_wait().expect("the child can be asked") {
            Some(status) => break status,
            None => std::thread::sleep(WATCH),
        }
    };
    let peak_mb = peak as f64 / f64::from(1 << 20);
    Ended { status, wall_s: begun.elapsed().as_secs_f64(), cpu_s: cpu, peak_mb }
}

/// User and system time of a process, of its running children, and of those it has waited for.
pub fn cpu_s(id: u32) -> f64 {
    let own = stat(id).map_or(0.0, |fields| {
        // utime, stime, cutime, cstime: fields 14 to 17, of which the first two stand before these.
        fields[11..15].iter().filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_S
    });
    own + children(id).into_iter().map(cpu_s).sum::<f64>()
}

/// Bytes of memory that are resident now.
pub fn resident_bytes(id: u32) -> u64 {
    status_bytes(id, "VmRSS:")
}

/// Resident memory of a process that is no file's.
pub fn anonymous_bytes(id: u32) -> u64 {
    status_bytes(id, "RssAnon:")
}

/// The most that was ever resident.
pub fn peak_bytes(id: u32) -> u64 {
    status_bytes(id, "VmHWM:")
}

/// Open descriptors.
pub fn open_files(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count)
}

/// Threads.
pub fn threads(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count)
}

/// Bytes of all files below a folder.
pub fn folder_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => folder_bytes(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

/// The fields of /proc/ID/stat after the name, which may hold blanks.
fn stat(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<String> = rest.split(' ').map(str::to_owned).collect();
    (fields.len() > 15).then_some(fields)
}

fn children(id: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let text = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    threads
        .flat_map(|thread| text(thread).split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn status_bytes(id: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) << 10
}
