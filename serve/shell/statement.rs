//! Where one question ends and the next begins: `;` outside quotes and comments.

/// A place in a text, between quotes and comments or inside one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Quote(u8),
    Line,
    Block(u32),
}

/// The questions in a text, without their `;`. Pieces of nothing but space and comments are left out.
pub fn statements(text: &str) -> Vec<&str> {
    scan(text).0
}

/// Whether the text ends with a `;` that is none of a quote or comment.
pub fn is_complete(text: &str) -> bool {
    scan(text).1
}

fn scan(text: &str) -> (Vec<&str>, bool) {
    let bytes = text.as_bytes();
    let (mut found, mut from, mut at) = (Vec::new(), 0, 0);
    let (mut inside, mut says_something, mut complete) = (Inside::Nothing, false, false);
    while at < bytes.len() {
        let (byte, next) = (bytes[at], bytes.get(at + 1).copied());
        let mut width = 1;
        inside = match (inside, byte, next) {
            (Inside::Nothing, b'\'' | b'"' | b'`', _) => {
                (says_something, complete) = (true, false);
                Inside::Quote(byte)
            }
            (Inside::Nothing, b'-', Some(b'-')) => Inside::Line,
            (Inside::Nothing, b'/', Some(b'*')) => {
                width = 2;
                Inside::Block(1)
            }
            (Inside::Nothing, b';', _) => {
                if says_something {
                    found.push(text[from..at].trim());
                }
                (from, says_something, complete) = (at + 1, false, true);
                Inside::Nothing
            }
            (Inside::Nothing, byte, _) => {
                if !byte.is_ascii_whitespace() {
                    (says_something, complete) = (true, false);
                }
                Inside::Nothing
            }
            (Inside::Quote(quote), byte, _) if byte == quote => Inside::Nothing,
            (Inside::Line, b'\n', _) => Inside::Nothing,
            (Inside::Block(depth), b'/', Some(b'*')) => {
                width = 2;
                Inside::Block(depth + 1)
            }
            (Inside::Block(depth), b'*', Some(b'/')) => {
                width = 2;
                if depth == 1 { Inside::Nothing } else { Inside::Block(depth - 1) }
            }
            (inside, _, _) => inside,
        };
        at += width;
    }
    if says_something {
        found.push(text[from.min(text.len())..].trim());
    }
    (found, complete && matches!(inside, Inside::Nothing | Inside::Line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_in_quotes_and_comments_end_nothing() {
        let cases: &[(&str, &[&str], bool)] = &[
            ("SELECT 1", &["SELECT 1"], false),
            ("SELECT 1;", &["SELECT 1"], true),
            ("SELECT 1; -- done\n", &["SELECT 1"], true),
            ("SELECT ';' ; SELECT \"a;b\"", &["SELECT ';'", "SELECT \"a;b\""], false),
            ("SELECT 'it''s;'; ", &["SELECT 'it''s;'"], true),
            ("-- only; a comment", &[], false),
            ("/* a /* nested; */ ; */ SELECT 2;", &["/* a /* nested; */ ; */ SELECT 2"], true),
            (";;", &[], true),
            ("SELECT 'open;", &["SELECT 'open;"], false),
            ("", &[], false),
        ];
        for (text, expected, complete) in cases {
            assert_eq!((statements(text), is_complete(text)), (expected.to_vec(), *complete), "{text}");
        }
    }
}
