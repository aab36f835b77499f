//! The fuzzer: libFuzzer around one target, which `FUZZ_TARGET` names. `tests/fuzz/run` builds it, with our own crates
//! instrumented for coverage and every other one as any build has it.
#![no_main]
// libFuzzer calls us through symbols of its own names, which the macros below declare.
#![allow(unsafe_code, clippy::unwrap_used)]

mod targets;
/// The rows and the questions of the tenancy test.
#[allow(dead_code)]
#[path = "../tenancy"]
mod tenancy {
    pub mod grammar;
    pub mod ground;
}

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

static TARGET: LazyLock<(String, fn(&[u8]))> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let known: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    let target = targets::target(&name);
    let target = target.unwrap_or_else(|| panic!("FUZZ_TARGET={name} is none of {}", known.join(", ")));
    (name, target)
});

fuzz_target!(|data: &[u8]| (TARGET.1)(data));

// Most changes are the fuzzer's own, which know the words and what comparisons ask for.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if TARGET.0 != "sql" || seed % 3 == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let text = String::from_utf8_lossy(&data[..size]).into_owned();
    let changed = targets::sql::mutate(&text, u64::from(seed)).into_bytes();
    let size = changed.len().min(max_size);
    data[..size].copy_from_slice(&changed[..size]);
    size
});
