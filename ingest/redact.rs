//! Takes secrets and personal data out of text before it becomes durable: what stays is `[redacted:kind]`.
//!
//! [`Redaction`] is the whole of it, by the policy of each column; what follows here is its first part, the secrets.
//! One search for short literals decides whether a text can hold a secret at all; most hold none and are returned as they
//! are. Only the detectors whose literal was found then look closer. Text that is JSON stays JSON.

use std::borrow::Cow;
use std::fmt;

use aho_corasick::AhoCorasick;
use aho_corasick::packed::{self, Searcher};

mod assignment;
pub mod gitleaks;
mod kubernetes_secret;
mod pattern;
pub mod personal;
mod place;
pub mod policy;
mod quoted;
mod redaction;
#[cfg(test)]
mod tests;
mod url;

pub use redaction::{Redaction, Spotted};

/// What stands where a secret stood.
fn mark(kind: &str) -> String {
    format!("[redacted:{kind}]")
}

/// Beginning of every mark; what bears it is not taken out again.
const MARK: &str = "[redacted:";

/// Looks for one family of secrets.
struct Detector {
    /// A text without any of these holds none of the family.
    literals: &'static [&'static str],
    /// Takes them out; borrowed if there were none.
    redact: for<'a> fn(&'a str) -> Cow<'a, str>,
}

/// In this order: what is found first is marked, so that a vaguer detector leaves it alone. The literals of all together
/// stay at 64 or fewer, of three bytes or more: so many the vector search takes.
const DETECTORS: &[Detector] = &[
    Detector { literals: &["-----BEGIN"], redact: pattern::private_key },
    Detector { literals: &["ecret", "ECRET"], redact: kubernetes_secret::redact },
    Detector { literals: &["eyJ"], redact: pattern::jwt },
    Detector {
        literals: &[
            "AKIA",
            "ASIA",
            "ghp_",
            "gho_",
            "ghu_",
            "ghs_",
            "ghr_",
            "github_pat_",
            "glpat-",
            "xox",
            "ooks.slack",
            "npm_",
            "pypi-",
            "AZDO",
            "sk-ant",
            "sk-proj",
            "sk-svc",
            "AIza",
            "hvs.",
        ],
        redact: pattern::token,
    },
    Detector { literals: &["sig="], redact: pattern::shared_access_signature },
    Detector { literals: &["earer ", "EARER ", "asic ", "ASIC "], redact: pattern::authorization },
    Detector {
        literals: &[
            "assword",
            "ASSWORD",
            "asswd",
            "ASSWD",
            "assphrase",
            "ASSPHRASE",
            "pwd",
            "Pwd",
            "PWD",
            "ecret",
            "ECRET",
            "oken",
            "OKEN",
            "pi_key",
            "pi-key",
            "pikey",
            "piKey",
            "PI_KEY",
            "pi-Key",
            "ccess_key",
            "ccessKey",
            "ccesskey",
            "CCESS_KEY",
            "ccountKey",
            "ccountkey",
            "CCOUNT_KEY",
            "rivate_key",
            "rivateKey",
            "RIVATE_KEY",
            "redential",
            "REDENTIAL",
            "uthorization",
            "UTHORIZATION",
            "_PAT",
            "pat=",
            "pat\"",
        ],
        redact: assignment::redact,
    },
];

/// Finds which detectors a text concerns.
enum Search {
    /// Vector instructions, where the machine has them.
    Packed(Searcher),
    Automaton(AhoCorasick),
}

/// Passwords, keys and tokens that are known by their name or their own form.
pub struct Secrets {
    search: Search,
    /// For each literal, the detectors that wait for it, as bits.
    detectors: Vec<u32>,
}

impl Secrets {
    /// A redactor with every detector.
    pub fn new() -> Self {
        let mut literals: Vec<&str> = DETECTORS.iter().flat_map(|d| d.literals).copied().collect();
        literals.sort_unstable();
        literals.dedup();
        let waits = |literal: &&str| {
            let waiting = DETECTORS.iter().enumerate().filter(|(_, d)| d.literals.contains(literal));
            waiting.fold(0, |bits, (i, _)| bits | 1 << i)
        };
        let detectors = literals.iter().map(waits).collect();
        let packed = packed::Config::new().builder().extend(&literals).build();
        let search = match packed {
            Some(searcher) => Search::Packed(searcher),
            None => {
                Search::Automaton(AhoCorasick::new(&literals).expect("a few short literals make a small automaton"))
            }
        };
        Secrets { search, detectors }
    }

    /// Bits of the detectors that a text concerns.
    fn concerned(&self, text: &str) -> u32 {
        let mut bits = 0;
        match &self.search {
            Search::Packed(searcher) => {
                searcher.find_iter(text).for_each(|found| bits |= self.detectors[found.pattern().as_usize()]);
            }
            Search::Automaton(automaton) => {
                automaton.find_iter(text).for_each(|found| bits |= self.detectors[found.pattern().as_usize()]);
            }
        }
        bits
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Secrets::new()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("detectors", &DETECTORS.len()).finish()
    }
}

impl Secrets {
    /// The text without secrets; borrowed when there was nothing to take out.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let bits = self.concerned(text);
        let mut redacted = Cow::Borrowed(text);
        if bits != 0 {
            for (i, detector) in DETECTORS.iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0) {
                debug_assert!(i < 32, "one bit a detector");
                if let Cow::Owned(without) = (detector.redact)(&redacted) {
                    redacted = Cow::Owned(without);
                }
            }
        }
        // Passwords in URLs have no literal but the at sign, and a mail address has that, too.
        if redacted.contains('@')
            && let Cow::Owned(without) = url::redact(&redacted)
        {
            redacted = Cow::Owned(without);
        }
        redacted
    }
}
