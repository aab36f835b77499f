//! Keys and tokens by the rules of gitleaks, which the binary carries: one search for all their keywords decides which
//! rules look closer, and where; entropy and allow-lists decide what is a secret.

use std::sync::{LazyLock, OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use super::assignment::looks_secret;

/// The rules as gitleaks publishes them; MIT, see `gitleaks.LICENSE`.
const SOURCE: &str = include_str!("gitleaks.rules");

/// Rules that are not applied to rows, with the reason.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("pkcs12-file", "it knows files by their name only"),
    ("kubernetes-secret-yaml", "Secrets are found by a detector of our own, in JSON and escaped text too"),
];

/// How much of a text around a keyword a rule sees.
const BEFORE_BYTES: usize = 256;
const AFTER_BYTES: usize = 4_096;
/// Most signs that stand between a name and the sign of its assignment.
const NAME_BYTES: usize = 26;
/// Names before a keyword that an allow-list may want to see.
const PREFIX_BYTES: usize = 50;
/// What a rule for an assigned value begins with. Only its group counts, so that the search for the beginning of the name,
/// the dearest part, is left out.
const NAME_PREFIX: &str = r"[\w.-]{0,50}?";
/// What such a rule goes on with behind the name.
const ASSIGNMENT: &str = r#"(?:[ \t\w.-]{0,20})[\s'"]{0,3}"#;

/// Keywords that stand in ordinary words: so many letters or digits must follow for the rule to look.
const SHORT: &[(&str, usize)] = &[
    ("ey", 17),
    ("s.", 24),
    ("sk", 32),
    ("sg.", 20),
    ("api-", 26),
    ("hf_", 34),
    ("a3t", 16),
    ("acca", 16),
    ("eaaa", 22),
];

#[derive(Deserialize)]
struct Config {
    allowlist: AllowList,
    rules: Vec<Declared>,
}

#[derive(Deserialize)]
struct Declared {
    id: String,
    #[serde(default)]
    regex: String,
    #[serde(default)]
    entropy: f64,
    #[serde(default, rename = "secretGroup")]
    secret_group: usize,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(default)]
    allowlists: Vec<AllowList>,
}

#[derive(Deserialize, Default)]
struct AllowList {
    #[serde(default)]
    condition: String,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    regexes: Vec<String>,
    #[serde(default, rename = "regexTarget")]
    target: String,
    #[serde(default)]
    stopwords: Vec<String>,
}

/// What a rule lets pass.
struct Allowed {
    regexes: Vec<Regex>,
    target: Target,
    stopwords: Option<AhoCorasick>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Secret,
    Match,
    Line,
}

/// One rule.
struct Rule {
    id: &'static str,
    pattern: String,
    /// Built when a keyword first calls for it; `None` where the pattern is refused.
    built: OnceLock<Option<(Regex, Vec<Allowed>)>>,
    declared: Declared,
    /// It looks for a value behind a name.
    assigned: bool,
}

/// A secret that a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The rule's id.
    pub rule: &'static str,
    /// First byte.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
}

/// All rules, with one search for their keywords.
pub struct Rules {
    rules: Vec<Rule>,
    keywords: AhoCorasick,
    /// For each keyword: how much must follow, and the rules that wait for it.
    waiting: Vec<(usize, Vec<usize>)>,
    allowed: Vec<Allowed>,
}

/// The rules of the running program.
pub static RULES: LazyLock<Rules> = LazyLock::new(Rules::new);

fn build(pattern: &str) -> Result<Regex, regex::Error> {
    // Go's classes are ASCII, and its searches are over bytes.
    RegexBuilder::new(&with_literal_braces(pattern)).unicode(false).size_limit(64 << 20).build()
}

/// Go takes a brace that counts nothing for itself; here it needs a backslash.
fn with_literal_braces(pattern: &str) -> String {
    let counts = |rest: &str| {
        let inner = rest.split_once('}').map_or("", |(inner, _)| inner);
        inner.starts_with(|c: char| c.is_ascii_digit()) && inner.bytes().all(|b| b.is_ascii_digit() || b == b',')
    };
    let mut written = String::with_capacity(pattern.len() + 8);
    let (mut escaped, mut class) = (false, false);
    for (at, c) in pattern.char_indices() {
        if c == '{' && !escaped && !class && !counts(&pattern[at + 1..]) {
            written.push('\\');
        }
        class = if escaped {
            class
        } else {
            (class || c == '[') && !(class && c == ']' && !pattern[..at].ends_with(['[', '^']))
        };
        escaped = c == '\\' && !escaped;
        written.push(c);
    }
    written
}

impl Rules {
    fn new() -> Rules {
        let config: Config = toml::from_str(SOURCE).expect("the rules are part of the program and tested");
        let mut keywords: Vec<String> = Vec::new();
        let mut waiting: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut rules = Vec::new();
        for declared in config.rules {
            if LEFT_OUT.iter().any(|(id, _)| *id == declared.id) {
                continue;
            }
            for keyword in &declared.keywords {
                let at = keywords.iter().position(|known| known == keyword).unwrap_or_else(|| {
                    let follow = SHORT.iter().find(|(short, _)| short == keyword).map_or(0, |(_, follow)| *follow);
                    keywords.push(keyword.clone());
                    waiting.push((follow, Vec::new()));
                    keywords.len() - 1
                });
                waiting[at].1.push(rules.len());
            }
            rules.push(Rule::new(declared));
        }
        let search = AhoCorasick::builder()
            // A table of states: half a megabyte, and a step a byte.
            .kind(Some(AhoCorasickKind::DFA))
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(&keywords);
        let allowed = Allowed::of(&config.allowlist).into_iter().collect();
        Rules { rules, keywords: search.expect("a few hundred words make a small automaton"), waiting, allowed }
    }

    /// The secrets in a text, in order, none over another.
    pub fn find(&self, text: &str) -> Vec<Secret> {
        let mut windows: Vec<(usize, usize, usize)> = Vec::new();
        for hit in self.keywords.find_overlapping_iter(text) {
            let (follow, rules) = &self.waiting[hit.pattern().as_usize()];
            if *follow > 0 && !followed(text.as_bytes(), hit.end(), *follow) {
                continue;
            }
            for rule in rules {
                if self.rules[*rule].assigned && !is_assigned(text.as_bytes(), hit.end()) {
                    continue;
                }
                let (from, to) = (hit.start().saturating_sub(BEFORE_BYTES), (hit.end() + AFTER_BYTES).min(text.len()));
                match windows.iter_mut().rev().find(|(known, ..)| known == rule) {
                    Some((_, _, end)) if from <= *end => *end = to,
                    _ => windows.push((*rule, from, to)),
                }
            }
        }
        let mut found: Vec<Secret> = Vec::new();
        for (rule, from, to) in windows {
            let window = text.floor_char_boundary(from)..text.ceil_char_boundary(to);
            self.rules[rule].search(text, window, &self.allowed, &mut found);
        }
        // Specific rules stand before the generic one where both found the same.
        found.sort_by_key(|secret| (secret.start, secret.rule == GENERIC, std::cmp::Reverse(secret.end)));
        let mut end = 0;
        found.retain(|secret| {
            let apart = secret.start >= end;
            end = end.max(secret.end);
            apart
        });
        found
    }

    /// Ids of the rules whose pattern cannot be built here.
    #[cfg(test)]
    fn refused(&self) -> Vec<&str> {
        self.rules.iter().filter(|rule| rule.built().is_none()).map(|rule| rule.id).collect()
    }
}

/// The rule that knows a secret by the name it is given only.
const GENERIC: &str = "generic-api-key";

/// Whether so many characters of keys follow.
fn followed(text: &[u8], at: usize, count: usize) -> bool {
    let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/' | b'+' | b'.');
    text.get(at..at + count).is_some_and(|next| next.iter().all(is_key))
}

/// Whether a sign of assignment follows the name that ends about here.
fn is_assigned(text: &[u8], at: usize) -> bool {
    let rest = &text[at.min(text.len())..];
    let rest = &rest[..rest.len().min(NAME_BYTES + 40)];
    let name = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || b" \t_.-'\"\r\n\\".contains(b)).count();
    name <= NAME_BYTES + 24 && rest.get(name).is_some_and(|sign| b"=>:|?,".contains(sign))
}

impl Rule {
    fn new(declared: Declared) -> Rule {
        let assigned = declared.regex.contains(ASSIGNMENT);
        let pattern = if assigned { declared.regex.replace(NAME_PREFIX, "") } else { declared.regex.clone() };
        // The rules live as long as the program.
        let id: &'static str = Box::leak(declared.id.clone().into_boxed_str());
        Rule { id, pattern, built: OnceLock::new(), declared, assigned }
    }

    fn built(&self) -> Option<&(Regex, Vec<Allowed>)> {
        let make = || {
            let regex = build(&self.pattern).ok()?;
            Some((regex, self.declared.allowlists.iter().filter_map(Allowed::of).collect()))
        };
        self.built.get_or_init(make).as_ref()
    }

    fn search(&self, text: &str, window: std::ops::Range<usize>, global: &[Allowed], found: &mut Vec<Secret>) {
        let Some((regex, allowed)) = self.built() else { return };
        let bytes = &text.as_bytes()[window.clone()];
        for captures in regex.captures_iter(bytes) {
            let whole = captures.get(0).expect("group 0 is the match");
            let group = match self.declared.secret_group {
                0 => captures.iter().skip(1).flatten().find(|group| !group.is_empty()).unwrap_or(whole),
                group => captures.get(group).unwrap_or(whole),
            };
            let secret = group.as_bytes();
            let (start, end) = (window.start + group.start(), window.start + group.end());
            let hidden = super::personal::MARKS.iter().any(|mark| contains(secret, mark.as_bytes()));
            if secret.is_empty() || hidden || !text.is_char_boundary(start) || !text.is_char_boundary(end) {
                continue;
            }
            if self.declared.entropy > 0.0 && entropy(secret) <= self.declared.entropy {
                continue;
            }
            if self.id == GENERIC && !is_generic_secret(&text[start..end]) {
                continue;
            }
            // The name's beginning was left out of the search, and allow-lists look at it.
            let name = bytes[..whole.start()].iter().rev().take(PREFIX_BYTES);
            let name = name.take_while(|b| b.is_ascii_alphanumeric() || b"_.-".contains(b)).count();
            let shown = &bytes[whole.start() - if self.assigned { name } else { 0 }..whole.end()];
            let line = line(bytes, whole.start(), whole.end());
            if !global.iter().chain(allowed).any(|allowed| allowed.passes(secret, shown, line)) {
                found.push(Secret { rule: self.id, start, end });
            }
        }
    }
}

/// A value behind `key` or `token` is often an id, a name or a time; gitleaks reads source code, where it is not.
fn is_generic_secret(secret: &str) -> bool {
    let has_letter = secret.bytes().any(|b| b.is_ascii_alphabetic());
    secret.bytes().any(|b| b.is_ascii_digit()) && has_letter && looks_secret(secret) && !looks_dated(secret)
}

/// `2026-11-26T…` and the like.
fn looks_dated(secret: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = secret.splitn(3, '-');
    parts.next().is_some_and(|year| year.len() == 4 && digits(year))
        && parts.next().is_some_and(|m| m.len() == 2 && digits(m))
}

impl Allowed {
    /// `None` where it is about files only, or about files and more.
    fn of(list: &AllowList) -> Option<Allowed> {
        let needs_path = list.condition.eq_ignore_ascii_case("and") && !list.paths.is_empty();
        if needs_path || (list.regexes.is_empty() && list.stopwords.is_empty()) {
            return None;
        }
        let regexes = list.regexes.iter().map(|pattern| build(pattern).expect("the rules are tested")).collect();
        let words = || AhoCorasick::builder().ascii_case_insensitive(true).build(&list.stopwords);
        let target = match list.target.as_str() {
            "match" => Target::Match,
            "line" => Target::Line,
            _ => Target::Secret,
        };
        let stopwords = (!list.stopwords.is_empty()).then(|| words().expect("words make an automaton"));
        Some(Allowed { regexes, target, stopwords })
    }

    fn passes(&self, secret: &[u8], shown: &[u8], line: &[u8]) -> bool {
        let target = match self.target {
            Target::Secret => secret,
            Target::Match => shown,
            Target::Line => line,
        };
        self.regexes.iter().any(|regex| regex.is_match(target))
            || self.stopwords.as_ref().is_some_and(|words| words.is_match(secret))
    }
}

/// The line around a match.
fn line(text: &[u8], start: usize, end: usize) -> &[u8] {
    let from = text[..start].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let to = text[end..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| end + at);
    &text[from..to]
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Shannon's entropy of the characters, in bits.
fn entropy(secret: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    secret.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let length = secret.len() as f64;
    let share = |count: &u32| f64::from(*count) / length;
    -counts.iter().filter(|count| **count > 0).map(share).map(|p| p * p.log2()).sum::<f64>()
}

#[cfg(test)]
mod tests;
