//! Instants as text: strftime's format as it is, PostgreSQL's and MySQL's translated to it.

use std::fmt::Write;

use chrono::DateTime;
use datafusion::common::{Result, exec_err};

/// PostgreSQL's patterns; longer ones first, so that `YYYY` is not read as two `YY`.
const POSTGRES: &[(&str, &str)] = &[
    ("YYYY", "%Y"),
    ("IYYY", "%G"),
    ("YY", "%y"),
    ("MONTH", "%B"),
    ("MON", "%b"),
    ("MM", "%m"),
    ("DDD", "%j"),
    ("DD", "%d"),
    ("DAY", "%A"),
    ("DY", "%a"),
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("HH", "%I"),
    ("MI", "%M"),
    ("SS", "%S"),
    ("MS", "%3f"),
    ("US", "%6f"),
    ("IW", "%V"),
    ("WW", "%V"),
    ("ID", "%u"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("TZ", "%Z"),
    ("Q", "%q"),
];

/// MySQL's letters that mean something else to strftime.
const MYSQL: &[(char, &str)] = &[
    ('i', "%M"),
    ('s', "%S"),
    ('M', "%B"),
    ('h', "%I"),
    ('W', "%A"),
    ('c', "%-m"),
    ('r', "%I:%M:%S %p"),
    ('f', "%6f"),
    ('k', "%-H"),
    ('l', "%-I"),
    ('v', "%V"),
    ('x', "%G"),
];

/// An instant in a format.
pub(crate) fn text(us: i64, format: &str, mysql: bool) -> Result<String> {
    let format = match (mysql, format.contains('%')) {
        (true, true) => from_mysql(format),
        (_, true) => format.to_owned(),
        (_, false) => from_postgres(format),
    };
    let Some(at) = DateTime::from_timestamp_micros(us) else { return exec_err!("an instant is out of the calendar") };
    let mut text = String::new();
    match write!(text, "{}", at.format(&format)) {
        Ok(()) => Ok(text),
        Err(_) => exec_err!("{format:?} is no format of time"),
    }
}

fn from_postgres(format: &str) -> String {
    let mut out = String::new();
    let mut rest = format;
    while let Some(next) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (literal, after) = quoted.split_once('"').unwrap_or((quoted, ""));
            out.push_str(literal);
            rest = after;
            continue;
        }
        let fill = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm"));
        let upper = fill.unwrap_or(rest);
        let pattern = POSTGRES
            .iter()
            .find(|(name, _)| upper.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name)));
        match pattern {
            Some((name, strftime)) => {
                out.push_str(&if fill.is_some() { strftime.replace('%', "%-") } else { (*strftime).to_owned() });
                rest = &upper[name.len()..];
            }
            None => {
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    out
}

fn from_mysql(format: &str) -> String {
    let mut out = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some(letter) => match MYSQL.iter().find(|(name, _)| *name == letter) {
                Some((_, strftime)) => out.push_str(strftime),
                None => out.extend(['%', letter]),
            },
            None => out.push_str("%%"),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_three_databases() {
        // 2026-05-07 09:08:07.000001
        let us = 1_778_144_887_000_001;
        for (format, mysql, expected) in [
            ("%Y-%m", false, "2026-05"),
            ("YYYY-MM", false, "2026-05"),
            ("YYYY-MM-DD HH24:MI:SS", false, "2026-05-07 09:08:07"),
            ("Mon FMDD, YYYY", false, "May 7, 2026"),
            ("YYYY\"W\"IW", false, "2026W19"),
            ("%Y-%m-%d %H:%i:%s", true, "2026-05-07 09:08:07"),
            ("%M %e", true, "May  7"),
            ("", false, ""),
            ("yyyy-mm", false, "2026-05"),
        ] {
            assert_eq!(text(us, format, mysql).unwrap(), expected, "{format}");
        }
        assert!(text(us, "%!", false).is_err());
    }
}
