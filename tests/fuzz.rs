//! The short form of fuzzing, for `make test`: every target over the inputs that were kept and over a fixed number of
//! seeded changes of them, on the ordinary toolchain and without a fuzzer. `make fuzz` searches for new ones.

mod mutate;
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use targets::{TARGETS, target};

/// Changed inputs of one target; `FUZZ_CHANGES` asks for more.
const CHANGES: u64 = 600;
const SEED: u64 = 0x6675_7a7a;
/// All kept inputs together: they are part of every clone.
const CORPUS_BYTES_MAX: u64 = 600 << 10;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name)
}

fn kept(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder("corpus").join(target)).into_iter().flatten().flatten();
    let mut inputs: Vec<_> = entries.map(|e| e.path()).map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    inputs.sort();
    inputs
}

/// Runs one input; one that breaks a promise is kept, and its repetition printed.
fn run(name: &str, data: &[u8], origin: &str) {
    let target = target(name).unwrap();
    if catch_unwind(AssertUnwindSafe(|| target(data))).is_err() {
        let path = std::env::temp_dir().join(format!("stellwerk-fuzz-{name}-{:08x}", crc32fast::hash(data)));
        fs::write(&path, data).unwrap();
        panic!("{name}: {origin} breaks a promise; again with: make fuzz TARGET={name} INPUT={}", path.display());
    }
}

fn short_form(name: &str) {
    let inputs = kept(name);
    assert!(!inputs.is_empty(), "{name} has no kept inputs");
    for (path, data) in &inputs {
        run(name, data, &path.display().to_string());
    }
    let words = mutate::words(&fs::read_to_string(folder("words").join(format!("{name}.dict"))).unwrap());
    let changes = std::env::var("FUZZ_CHANGES").ok().and_then(|n| n.parse().ok()).unwrap_or(CHANGES);
    let pick = |number: u64| &inputs[usize::try_from(number % inputs.len() as u64).unwrap()].1;
    for number in 0..changes {
        // An odd step, so that an input meets every other.
        let other = pick(number.wrapping_mul(0x9e37_79b9) >> 3);
        let data = mutate::mutate(name, pick(number), other, &words, SEED ^ number);
        run(name, &data, &format!("change {number}"));
    }
}

macro_rules! short_forms {
    ($($name:ident),*) => {
        const TESTED: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { short_form(stringify!($name)) })*
    };
}

short_forms!(otlp_protobuf, otlp_json, ado, kubernetes, cost, manifest, wal, wal_files, sql);

#[test]
fn every_target_is_tested_and_has_its_words() {
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, TESTED);
    let mut bytes = 0;
    for name in names {
        assert!(folder("words").join(format!("{name}.dict")).is_file(), "{name} has no words");
        bytes += kept(name).iter().map(|(_, data)| data.len() as u64).sum::<u64>();
    }
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes of kept inputs, at most {CORPUS_BYTES_MAX}: merge them again");
}

#[test]
fn a_word_is_read_as_the_fuzzer_reads_it() {
    assert_eq!(mutate::words("# x\nname=\"a\\x00\\\"\\\\\"\n\"b\"\n"), [b"a\0\"\\".to_vec(), b"b".to_vec()]);
}

/// A build script runs by itself, without the fuzzer that the counters report to.
#[test]
fn only_crates_get_counters() {
    let options = |name: &str| {
        let mut rustc = std::process::Command::new(folder("instrument"));
        let said = rustc.args(["echo", "--crate-name", name]).output().unwrap();
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).unwrap()
    };
    assert!(options("engine").contains("sancov-module"));
    assert_eq!(options("build_script_build"), "--crate-name build_script_build\n");
}
