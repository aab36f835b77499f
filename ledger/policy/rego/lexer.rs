//! Rego's tokens with their places, so that a source can be changed where it must be and stays as it is elsewhere.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A word: a name or a keyword.
    Word,
    /// A number.
    Number,
    /// A string in double quotes or in back quotes.
    Text,
    /// Brackets, operators, separators.
    Mark,
    /// Behind the last token.
    End,
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it stands, in bytes.
    pub span: Range<usize>,
    /// Whether a line ended since the token before.
    pub after_newline: bool,
    /// Whether anything stands between it and the token before.
    pub after_space: bool,
}

const TWO: [&str; 5] = [":=", "==", "!=", "<=", ">="];

/// The tokens of a source, an end behind them; fails on a character that Rego does not have.
pub fn tokens(source: &str) -> Result<Vec<Token>, String> {
    let bytes = source.as_bytes();
    let (mut at, mut found) = (0, Vec::new());
    let (mut newline, mut space) = (true, true);
    while at < bytes.len() {
        let start = at;
        let kind = match bytes[at] {
            b'\n' => {
                (newline, space, at) = (true, true, at + 1);
                continue;
            }
            b' ' | b'\t' | b'\r' => {
                (space, at) = (true, at + 1);
                continue;
            }
            b'#' => {
                at += source[at..].find('\n').unwrap_or(source.len() - at);
                space = true;
                continue;
            }
            b'"' => {
                at = quoted(source, at)?;
                Kind::Text
            }
            b'`' => {
                let end = source[at + 1..]
                    .find('`')
                    .ok_or_else(|| format!("line {}: a string has no end", line(source, at)))?;
                at += end + 2;
                Kind::Text
            }
            b'0'..=b'9' => {
                at = number(bytes, at);
                Kind::Number
            }
            c if c == b'_' || c.is_ascii_alphabetic() => {
                at += bytes[at..].iter().take_while(|c| **c == b'_' || c.is_ascii_alphanumeric()).count();
                Kind::Word
            }
            _ if TWO.iter().any(|two| source[at..].starts_with(two)) => {
                at += 2;
                Kind::Mark
            }
            c if b"{}[]().,;:|=<>+-*/%&".contains(&c) => {
                at += 1;
                Kind::Mark
            }
            _ => {
                let odd = source[at..].chars().next().unwrap_or_default();
                return Err(format!("line {}: {odd:?} is no part of Rego", line(source, at)));
            }
        };
        found.push(Token { kind, span: start..at, after_newline: newline, after_space: space });
        (newline, space) = (false, false);
    }
    found.push(Token { kind: Kind::End, span: at..at, after_newline: true, after_space: true });
    Ok(found)
}

/// The line of a place, counted from 1.
pub fn line(source: &str, at: usize) -> usize {
    source.as_bytes()[..at.min(source.len())].iter().filter(|b| **b == b'\n').count() + 1
}

fn quoted(source: &str, start: usize) -> Result<usize, String> {
    let bytes = source.as_bytes();
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return Ok(at + 1),
            b'\n' => break,
            _ => at += 1,
        }
    }
    Err(format!("line {}: a string has no end", line(source, start)))
}

fn number(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    let digits = |at: usize| bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    at += digits(at);
    if bytes.get(at) == Some(&b'.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
        at += 1 + digits(at + 1);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        if bytes.get(at + 1 + sign).is_some_and(u8::is_ascii_digit) {
            at += 1 + sign + digits(at + 1 + sign);
        }
    }
    at
}
