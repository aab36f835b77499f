//! The machine under the figures: what it is, how fast its disk makes a write durable, whether it is busy. Nothing that
//! names it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::report::percentile;

/// Runnable processes a core beyond which figures are not worth quoting.
const LOAD_PER_CORE_MAX: f64 = 0.25;
const FSYNCS: usize = 400;
const FSYNC_BYTES: usize = 4096;

/// Cores, processor, memory, the disk's fsync, and how busy it is.
pub fn describe(folder: &Path) -> Value {
    let fsync = fsync_us(folder);
    json!({
        "cores": cores(), "cpu": field("/proc/cpuinfo", "model name"), "memory": memory(),
        "os": field_or("/etc/os-release", "PRETTY_NAME", '='), "fsync_p50_us": percentile(&fsync, 0.5).round(),
        "fsync_p99_us": percentile(&fsync, 0.99).round(), "load_average": load_average(),
    })
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Says so when other work runs here.
pub fn warn_if_busy() {
    let (load, cores) = (load_average(), cores());
    if load > LOAD_PER_CORE_MAX * cores as f64 {
        eprintln!(
            "\n!!! bench: the load average is {load:.2} on {cores} cores: other work runs here, figures are not to be quoted\n"
        );
    }
}

/// The bare loop that no durable store can beat without sharing a sync: sorted times of 4 KiB and an fdatasync.
pub fn fsync_us(folder: &Path) -> Vec<f64> {
    let path = folder.join("fsync");
    let mut file = File::create(&path).expect("the folder takes a file");
    let block = [7_u8; FSYNC_BYTES];
    let mut one = || {
        let begun = Instant::now();
        file.write_all(&block).and_then(|()| file.sync_data()).expect("the disk takes a write");
        begun.elapsed().as_secs_f64() * 1e6
    };
    let mut times: Vec<f64> = (0..FSYNCS).map(|_| one()).collect();
    times.sort_by(f64::total_cmp);
    let _ = std::fs::remove_file(&path);
    times
}

/// The commit that was measured; `+` when files differ from it.
pub fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output();
        output.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let changed = !git(&["status", "--porcelain", "--untracked-files=no", "--", ":!benches/results"]).is_empty();
    format!("{}{}", git(&["rev-parse", "--short", "HEAD"]), if changed { "+" } else { "" })
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

fn memory() -> String {
    let kib: u64 = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
    format!("{} GiB", kib >> 20)
}

fn field(file: &str, name: &str) -> String {
    field_or(file, name, ':')
}

fn field_or(file: &str, name: &str, separator: char) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(separator));
    value.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().trim_matches('"').to_owned())
}
