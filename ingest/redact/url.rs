//! Passwords and tokens before the host of a URL.

use std::borrow::Cow;

use super::{MARK, mark};

/// A host with what stands before it is not longer.
const AUTHORITY_BYTES_MAX: usize = 1_024;

/// Takes the password out of `scheme://user:password@host`, and a token that stands alone before the host.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut redacted = String::new();
    let mut kept = 0;
    for (at, _) in text.match_indices("://") {
        let begin = at + 3;
        if begin < kept {
            continue;
        }
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '\\' | '`');
        let authority = &text[begin..];
        let authority = &authority[..authority.find(ends).unwrap_or(authority.len())];
        let Some((user, _)) = authority.rsplit_once('@').filter(|_| authority.len() <= AUTHORITY_BYTES_MAX) else {
            continue;
        };
        let (from, to) = match user.split_once(':') {
            Some((name, _)) => (begin + name.len() + 1, begin + user.len()),
            None if is_token(user) => (begin, begin + user.len()),
            None => continue,
        };
        if from == to || user.contains(MARK) || text[from..].starts_with(['$', '{', '%', '*']) {
            continue;
        }
        redacted.push_str(&text[kept..from]);
        redacted.push_str(&mark("url_password"));
        kept = to;
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    redacted.push_str(&text[kept..]);
    Cow::Owned(redacted)
}

fn is_token(user: &str) -> bool {
    user.len() >= 20
        && user.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        && user.bytes().any(|b| b.is_ascii_digit())
}
