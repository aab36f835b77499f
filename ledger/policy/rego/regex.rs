//! Go's regular expressions by Rust's. Nearly the same language; where it is not, a pattern is rewritten: `\d`, `\w`, `\s`
//! and `\b` mean ASCII only, `[` inside a class and `\<` are plain characters, `\Q…\E` quotes, `\z` stays. A policy whose
//! list of allowed names says `^\w+$` must not allow more here than in OPA.

use std::cell::RefCell;
use std::collections::HashMap;

use ::regex::Regex;

/// Patterns that a thread keeps compiled; beyond it all are dropped.
const PATTERNS_MAX: usize = 512;

thread_local! {
    static PATTERNS: RefCell<HashMap<String, Result<Regex, String>>> = RefCell::default();
}

/// A pattern of Go's, compiled; each thread keeps what it has compiled.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    PATTERNS.with(|patterns| {
        let mut patterns = patterns.borrow_mut();
        if let Some(known) = patterns.get(pattern) {
            return known.clone();
        }
        if patterns.len() >= PATTERNS_MAX {
            patterns.clear();
        }
        let compiled = Regex::new(&translated(pattern)).map_err(|e| e.to_string());
        patterns.insert(pattern.to_owned(), compiled.clone());
        compiled
    })
}

/// The pattern as Rust's crate understands it.
fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    // Inside a class; and whether a `]` would be its first character, which both sides take as itself.
    let (mut in_class, mut is_first) = (false, false);
    while let Some(c) = chars.next() {
        let first = std::mem::replace(&mut is_first, false);
        match c {
            '\\' => match chars.next() {
                Some('Q') => quote(&mut chars, &mut out),
                Some(escaped) => out.push_str(&escape(escaped, in_class)),
                None => out.push('\\'),
            },
            '[' if !in_class => {
                (in_class, is_first) = (true, true);
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
            }
            '[' if chars.peek() == Some(&':') => {
                // A POSIX class, up to its `:]`.
                out.push('[');
                while let Some(inner) = chars.next() {
                    out.push(inner);
                    if inner == ':' && chars.peek() == Some(&']') {
                        out.extend(chars.next());
                        break;
                    }
                }
            }
            '[' => out.push_str("\\["),
            ']' if in_class && first => out.push_str("\\]"),
            ']' => {
                in_class = false;
                out.push(']');
            }
            // Rust's operations on classes.
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '-' if in_class && chars.peek() == Some(&'-') => out.push_str("\\-"),
            _ => out.push(c),
        }
    }
    out
}

fn escape(c: char, in_class: bool) -> String {
    let (plain, negated) = match c {
        'd' | 'D' => ("0-9", c == 'D'),
        'w' | 'W' => ("0-9A-Za-z_", c == 'W'),
        's' | 'S' => (r"\t\n\f\r ", c == 'S'),
        'b' | 'B' if !in_class => return format!(r"(?-u:\{c})"),
        '<' | '>' => return c.to_string(),
        _ => return format!("\\{c}"),
    };
    match (negated, in_class) {
        (false, true) => plain.to_owned(),
        (false, false) => format!("[{plain}]"),
        (true, _) => format!("[^{plain}]"),
    }
}

fn quote(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    while let Some(c) = chars.next() {
        if c == '\\' && chars.peek() == Some(&'E') {
            chars.next();
            return;
        }
        out.push_str(&::regex::escape(c.encode_utf8(&mut [0; 4])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        for (pattern, text, expected) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^\w+$", "grün", false),
            (r"^[\w.-]+$", "a_b.c-d", true),
            (r"^[^\s]+$", "a b", false),
            (r"^[[a]+$", "[a", true),
            (r"^[[:alpha:]_]+$", "a_b", true),
            (r"^[]a]+$", "]a", true),
            (r"^\Qa.b\E.$", "a.bc", true),
            (r"^\Qa.b\E.$", "axbc", false),
            (r"^[a&&b]+$", "&", true),
            (r"\bcat\b", "a cat", true),
            (r"(?i)^NGINX", "nginx:1", true),
        ] {
            assert_eq!(compile(pattern).map(|re| re.is_match(text)), Ok(expected), "{pattern} on {text}");
        }
        assert!(compile("[a-z").is_err() && compile("(?<=a)b").is_err());
    }
}
