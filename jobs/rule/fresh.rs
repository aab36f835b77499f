//! Which tables must have been written lately for a rule's silence to mean anything: `k8s_watch 15m, cost_run 2d`.

use std::time::Duration;

use engine::{parse_span, write_span};

/// A table, and how old its newest row may be at the tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// The table of facts.
    pub table: String,
    /// How old its newest row may be.
    pub within: Duration,
}

impl Fresh {
    /// Reads `TABLE SPAN`, several separated by commas.
    pub(super) fn parse_all(text: &str) -> Result<Vec<Fresh>, String> {
        let wrong = || format!("`{text}` is no freshness: write k8s_watch 15m, cost_run 2d");
        let one = |part: &str| {
            let words: Vec<_> = part.split_whitespace().collect();
            let [table, within] = words.as_slice() else { return Err(wrong()) };
            let within = parse_span(within)?;
            if within.is_zero() { Err(wrong()) } else { Ok(Fresh { table: (*table).to_owned(), within }) }
        };
        text.split(',').map(one).collect()
    }
}

impl std::fmt::Display for Fresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.table, write_span(self.within))
    }
}
