//! Quoted texts, in JSON and in JSON inside of JSON.

/// The quote that stands here, with the backslashes before it; empty if there is none.
pub fn quote(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    let backslashes = rest.bytes().take_while(|b| *b == b'\\').count();
    if rest[backslashes..].starts_with('"') {
        &rest[..=backslashes]
    } else if rest.starts_with('\'') {
        &rest[..1]
    } else {
        ""
    }
}

/// Where a quoted text ends: at its own quote, or at that of the text around it. JSON inside of JSON has `\"` for its
/// quotes and `\\\"` for quotes within, and so on. A single quote may be an apostrophe, and no JSON text runs over a
/// double quote for its sake.
pub fn closing(text: &str, from: usize, open: &str) -> Option<usize> {
    let rest = &text[from..];
    let backslashes_before = |at: usize| rest.as_bytes()[..at].iter().rev().take_while(|b| **b == b'\\').count();
    if open == "'" {
        let at = rest.find(['\'', '"'])?;
        return Some(from + at - if rest[at..].starts_with('"') { backslashes_before(at) } else { 0 });
    }
    rest.match_indices('"').find_map(|(at, _)| {
        let backslashes = backslashes_before(at);
        // A text one level further in has 2n+1 backslashes before its quotes where this one has n.
        let mut level = open.len() - 1;
        loop {
            if backslashes >= level && backslashes % (2 * (level + 1)) == level {
                return Some(from + at - level);
            }
            if level == 0 {
                return None;
            }
            level = (level - 1) / 2;
        }
    })
}

/// The place behind spaces and tabs.
pub fn skip_spaces(text: &str, at: usize) -> usize {
    let rest = &text[at.min(text.len())..];
    text.len() - rest.trim_start_matches([' ', '\t']).len()
}
