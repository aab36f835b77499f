//! Gatekeeper's names with a `*` at the front, at the end, or at both.

/// Whether a name fits.
pub fn fits(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(rest), Some(_)) => name.contains(rest.strip_suffix('*').unwrap_or(rest)),
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    }
}

/// Whether a name that the API server will make from `generateName` is sure to fit: its end is not known yet.
pub fn fits_generated(pattern: &str, start: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(rest), Some(_)) => start.contains(rest.strip_suffix('*').unwrap_or(rest)),
        (None, Some(prefix)) => start.starts_with(prefix),
        _ => false,
    }
}
