//! `$now` in a rule's SELECT is the tick: the same tick and the same rows give the same answer, today and when a decision
//! is looked at again.

use super::Fault;

/// What stands for the tick.
pub const NOW: &str = "$now";

/// Functions whose answer is another one at every call.
const VOLATILE: &[&str] = &[
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtimestamp",
    "localtime",
    "today",
    "random",
    "rand",
    "uuid",
    "gen_random_uuid",
];
/// Those that SQL writes without parentheses.
const BARE: &[&str] = &["current_timestamp", "current_date", "current_time", "localtimestamp", "localtime"];

/// A piece of SQL.
enum Piece<'a> {
    /// A name, a number, a placeholder.
    Word(&'a str),
    /// Everything else: signs, blanks, texts, comments.
    Rest(&'a str),
}

/// The SELECT with the tick (µs since 1970) in place of `$now`.
pub fn at_tick(sql: &str, tick_us: i64) -> String {
    let instant = format!("arrow_cast({tick_us}, 'Timestamp(Microsecond, Some(\"UTC\"))')");
    pieces(sql)
        .into_iter()
        .map(|piece| match piece {
            Piece::Word(word) if word.eq_ignore_ascii_case(NOW) => instant.as_str(),
            Piece::Word(text) | Piece::Rest(text) => text,
        })
        .collect()
}

/// Refuses what would answer otherwise when the same tick is looked at again. `first_line` is where the SELECT begins.
pub fn volatile(sql: &str, first_line: usize) -> Vec<Fault> {
    let (mut faults, mut line) = (Vec::new(), first_line);
    let pieces = pieces(sql);
    for (at, piece) in pieces.iter().enumerate() {
        let (Piece::Word(text) | Piece::Rest(text)) = piece;
        if let Piece::Word(word) = piece {
            let small = word.to_ascii_lowercase();
            let next =
                pieces[at + 1..].iter().find(|piece| !matches!(piece, Piece::Rest(rest) if rest.trim().is_empty()));
            let called = matches!(next, Some(Piece::Rest(rest)) if rest.starts_with('('));
            if VOLATILE.contains(&small.as_str()) && (called || BARE.contains(&small.as_str())) {
                faults.push(Fault::at(
                    line,
                    format!("{word} answers otherwise at every call; write {NOW}, the tick of the rule"),
                ));
            } else if small.starts_with('$') && small != NOW {
                faults.push(Fault::at(line, format!("{word} is nothing that a rule knows; it has {NOW}, the tick")));
            }
        }
        line += text.matches('\n').count();
    }
    faults
}

fn pieces(sql: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = sql;
    while let Some(sign) = rest.chars().next() {
        let length = match sign {
            '\'' | '"' | '`' => quoted(rest, sign),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            _ if is_word(sign) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ => sign.len_utf8(),
        };
        let (piece, after) = rest.split_at(length);
        pieces.push(if is_word(sign) { Piece::Word(piece) } else { Piece::Rest(piece) });
        rest = after;
    }
    pieces
}

fn is_word(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_' || sign == '$'
}

/// Bytes of a quoted text, whose quote is doubled within.
fn quoted(text: &str, quote: char) -> usize {
    let mut signs = text.char_indices().skip(1).peekable();
    while let Some((at, sign)) = signs.next() {
        if sign == quote && signs.next_if(|(_, next)| *next == quote).is_none() {
            return at + sign.len_utf8();
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_the_tick_outside_of_texts_and_comments() {
        let sql = "SELECT '$now' AS a, \"$now\", $now - x -- $now\nFROM t /* $now */ WHERE y < $NOW";
        let bound = at_tick(sql, 7);
        assert_eq!(bound.matches("arrow_cast(7,").count(), 2, "{bound}");
        assert!(bound.contains("'$now' AS a, \"$now\""), "{bound}");
    }

    #[test]
    fn what_answers_otherwise_every_time_is_refused_with_its_line() {
        let faults = volatile("SELECT now(),\n now, random () FROM t\nWHERE d < current_date AND x = $1", 10);
        let lines: Vec<_> = faults.iter().map(|f| f.line).collect();
        assert_eq!(lines, [10, 11, 12, 12], "{faults:?}");
    }
}
