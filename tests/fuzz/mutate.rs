//! Small changes of an input, drawn from a seed: what the short form of the tests does in the place of the fuzzer.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::targets;

/// Changes made to one input at once, at most.
const CHANGES_MAX: usize = 4;
/// No input grows beyond this.
const INPUT_BYTES_MAX: usize = 64 << 10;

/// Another input, made of `data` and `other`; the same seed makes the same.
pub fn mutate(target: &str, data: &[u8], other: &[u8], words: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut dice = StdRng::seed_from_u64(seed);
    if target == "sql"
        && dice.random_range(0..4) > 0
        && let Ok(text) = std::str::from_utf8(data)
    {
        return targets::sql::mutate(text, seed).into_bytes();
    }
    let mut out = data.to_vec();
    for _ in 0..dice.random_range(1..=CHANGES_MAX) {
        change(&mut out, other, words, &mut dice);
    }
    out.truncate(INPUT_BYTES_MAX);
    out
}

fn change(out: &mut Vec<u8>, other: &[u8], words: &[Vec<u8>], dice: &mut StdRng) {
    let at = dice.random_range(0..=out.len());
    let end = (at + dice.random_range(1..=32)).min(out.len());
    let word = words.choose(dice).cloned().unwrap_or_default();
    match dice.random_range(0..9) {
        0 if at < out.len() => out[at] ^= 1 << dice.random_range(0..8),
        1 if at < out.len() => out[at] = dice.random(),
        2 => drop(out.drain(at..end)),
        3 => {
            let again = out[at..end].to_vec();
            drop(out.splice(at..at, again));
        }
        4 => drop(out.splice(at..at, word)),
        5 => drop(out.splice(at..(at + word.len()).min(out.len()), word)),
        6 => drop(out.splice(at..at, other.iter().skip(dice.random_range(0..=other.len())).take(64).copied())),
        7 => out.truncate(at),
        _ => out.extend_from_slice(&other[..dice.random_range(0..=other.len())]),
    }
}

/// The words of a target: lines of libFuzzer's own form, `"text"` with `\xNN`, `\\` and `\"`.
pub fn words(text: &str) -> Vec<Vec<u8>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('"')?.1.strip_suffix('"')).map(unescaped).collect()
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = behind.strip_prefix(b"x").and_then(|hex| hex.get(..2)).and_then(|hex| std::str::from_utf8(hex).ok());
        match (*first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'\\', Some(byte)) => {
                out.push(byte);
                rest = &behind[3..];
            }
            (b'\\', None) if !behind.is_empty() => {
                out.push(behind[0]);
                rest = &behind[1..];
            }
            _ => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    out
}
