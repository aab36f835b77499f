//! `sprintf` as OPA does it: Go's `fmt` over whole numbers, fractions and texts; everything else is first written as Rego
//! writes it. Too few arguments, too many or the wrong ones are told in the text, as Go tells them, and are no error.

use regorus::Value;

/// A wider field than this is taken for a mistake.
const WIDTH_MAX: usize = 4_096;

/// One argument as Go sees it.
enum Argument {
    Whole(String),
    Fraction(f64),
    Text(String),
}

impl Argument {
    fn of(value: &Value) -> Argument {
        match value {
            Value::Number(n) if n.is_integer() => Argument::Whole(n.format_decimal()),
            Value::Number(n) => Argument::Fraction(n.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Argument::Text(text.to_string()),
            other => Argument::Text(rego(other)),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Argument::Whole(_) => "int",
            Argument::Fraction(_) => "float64",
            Argument::Text(_) => "string",
        }
    }

    fn plain(&self) -> String {
        match self {
            Argument::Whole(text) | Argument::Text(text) => text.clone(),
            Argument::Fraction(value) => shortest(*value),
        }
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    zero: bool,
    blank: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// The text of a format and its arguments.
pub fn sprintf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut out = String::with_capacity(format.len() + 32);
    let mut chars = format.chars().peekable();
    let (mut next, mut reordered) = (0, false);
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = Flags::default();
        while let Some(flag) = chars.peek() {
            match flag {
                '+' => flags.plus = true,
                '-' => flags.minus = true,
                '#' => flags.sharp = true,
                '0' => flags.zero = true,
                ' ' => flags.blank = true,
                _ => break,
            }
            chars.next();
        }
        reordered |= index(&mut chars, &mut next);
        flags.width = number(&mut chars, values, &mut next)?;
        if chars.peek() == Some(&'.') {
            chars.next();
            reordered |= index(&mut chars, &mut next);
            flags.precision = Some(number(&mut chars, values, &mut next)?.unwrap_or(0));
        }
        reordered |= index(&mut chars, &mut next);
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match values.get(next) {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(value) => {
                    next += 1;
                    out.push_str(&written(verb, flags, &Argument::of(value)));
                }
            },
        }
    }
    if !reordered && next < values.len() {
        let extra = values[next..].iter().map(Argument::of).map(|a| format!("{}={}", a.kind(), a.plain()));
        out.push_str(&format!("%!(EXTRA {})", extra.collect::<Vec<_>>().join(", ")));
    }
    Ok(out)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// `[n]`: the argument that comes next; whether there was one.
fn index(chars: &mut Chars<'_>, next: &mut usize) -> bool {
    if chars.peek() != Some(&'[') {
        return false;
    }
    chars.next();
    let mut digits = String::new();
    for c in chars.by_ref() {
        match c {
            ']' => break,
            c => digits.push(c),
        }
    }
    *next = digits.parse::<usize>().unwrap_or(usize::MAX).wrapping_sub(1);
    true
}

/// A width or precision: digits, or `*` and an argument.
fn number(chars: &mut Chars<'_>, values: &[Value], next: &mut usize) -> Result<Option<usize>, String> {
    let mut found = None;
    if chars.peek() == Some(&'*') {
        chars.next();
        found = values.get(*next).and_then(|v| v.as_i64().ok()).and_then(|n| usize::try_from(n).ok());
        *next = next.saturating_add(1);
    }
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        found = Some(found.unwrap_or(0).saturating_mul(10).saturating_add(digit as usize));
    }
    match found {
        Some(width) if width > WIDTH_MAX => Err(format!("a field of {width} characters is too wide")),
        found => Ok(found),
    }
}

fn written(verb: char, flags: Flags, argument: &Argument) -> String {
    let body = match (verb, argument) {
        ('v', Argument::Whole(text)) | ('d', Argument::Whole(text)) => signed(flags, text),
        ('v', Argument::Fraction(value)) => signed(flags, &fraction('g', flags.precision, *value)),
        ('v', Argument::Text(text)) if flags.sharp => quoted(text),
        ('v' | 's', Argument::Text(text)) => cut(flags, text),
        ('q', Argument::Text(text)) => quoted(&cut(flags, text)),
        ('x' | 'X', Argument::Text(text)) => {
            text.bytes().map(|b| if verb == 'x' { format!("{b:02x}") } else { format!("{b:02X}") }).collect()
        }
        ('x' | 'X' | 'o' | 'O' | 'b' | 'c' | 'q' | 'U', Argument::Whole(text)) => match whole(verb, flags, text) {
            Some(text) => text,
            None => return wrong(verb, argument),
        },
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Argument::Fraction(value)) => {
            signed(flags, &fraction(verb, flags.precision, *value))
        }
        ('T', _) => argument.kind().to_owned(),
        _ => return wrong(verb, argument),
    };
    let numeric = !matches!(argument, Argument::Text(_));
    padded(flags, body, numeric)
}

fn wrong(verb: char, argument: &Argument) -> String {
    format!("%!{verb}({}={})", argument.kind(), argument.plain())
}

fn cut(flags: Flags, text: &str) -> String {
    flags.precision.map_or_else(|| text.to_owned(), |most| text.chars().take(most).collect())
}

fn signed(flags: Flags, text: &str) -> String {
    match text.starts_with('-') {
        false if flags.plus => format!("+{text}"),
        false if flags.blank => format!(" {text}"),
        _ => text.to_owned(),
    }
}

fn padded(flags: Flags, body: String, numeric: bool) -> String {
    let missing = flags.width.unwrap_or(0).saturating_sub(body.chars().count());
    match (flags.minus, flags.zero) {
        _ if missing == 0 => body,
        (true, _) => body + &" ".repeat(missing),
        (false, true) if numeric && body.starts_with(['-', '+']) => {
            let (sign, digits) = body.split_at(1);
            format!("{sign}{}{digits}", "0".repeat(missing))
        }
        (false, true) => "0".repeat(missing) + &body,
        (false, false) => " ".repeat(missing) + &body,
    }
}

fn whole(verb: char, flags: Flags, text: &str) -> Option<String> {
    let value: i128 = text.parse().ok()?;
    let size = value.unsigned_abs();
    let digits = match verb {
        'x' => format!("{}{size:x}", if flags.sharp { "0x" } else { "" }),
        'X' => format!("{}{size:X}", if flags.sharp { "0X" } else { "" }),
        'o' => format!("{}{size:o}", if flags.sharp { "0" } else { "" }),
        'O' => format!("0o{size:o}"),
        'b' => format!("{}{size:b}", if flags.sharp { "0b" } else { "" }),
        'U' => return Some(format!("U+{size:04X}")),
        _ => {
            let c = u32::try_from(size).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
            return Some(if verb == 'q' { format!("'{c}'") } else { c.to_string() });
        }
    };
    Some(signed(flags, &if value < 0 { format!("-{digits}") } else { digits }))
}

/// A fraction by one of Go's verbs.
fn fraction(verb: char, precision: Option<usize>, value: f64) -> String {
    match verb {
        'f' | 'F' => format!("{value:.*}", precision.unwrap_or(6)),
        'e' | 'E' => exponent(&format!("{value:.*e}", precision.unwrap_or(6)), verb),
        _ => shortest(value).replace('e', if verb == 'G' { "E" } else { "e" }),
    }
}

/// The shortest text that reads back the same; with an exponent where Go's `%v` has one.
fn shortest(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) { exponent(&format!("{value:e}"), 'e') } else { format!("{value}") }
}

/// Go writes a sign and two digits at least.
fn exponent(text: &str, sign: char) -> String {
    let Some((digits, power)) = text.split_once('e') else { return text.to_owned() };
    let (minus, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{digits}{sign}{minus}{power:0>2}")
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A value as Rego writes it.
fn rego(value: &Value) -> String {
    let list = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Number(_) => Argument::of(value).plain(),
        Value::Array(array) => format!("[{}]", list(array.iter().map(rego).collect())),
        Value::Set(set) if set.is_empty() => "set()".to_owned(),
        Value::Set(set) => format!("{{{}}}", list(set.iter_sorted().map(rego).collect())),
        Value::Object(object) => {
            format!("{{{}}}", list(object.iter_sorted().map(|(k, v)| format!("{}: {}", rego(k), rego(v))).collect()))
        }
        Value::Undefined => "undefined".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_as_go() {
        for (format, values, expected) in [
            ("%v has %d", r#"["pod", 3]"#, "pod has 3"),
            ("%v and %v", r#"["a"]"#, "a and %!v(MISSING)"),
            ("%v", r#"["a", 2, "c"]"#, "a%!(EXTRA int=2, string=c)"),
            ("%d", r#"["a"]"#, "%!d(string=a)"),
            ("%s", "[5]", "%!s(int=5)"),
            ("%v %v %v", r#"[[1, "a"], {"b": true, "a": null}, []]"#, r#"[1, "a"] {"a": null, "b": true} []"#),
            ("%5d|%-5d|%05d|%+d", "[7, 7, 7, 7]", "    7|7    |00007|+7"),
            ("%q %x", r#"["a\"b", 255]"#, r#""a\"b" ff"#),
            ("%.2f %v %v", "[1.5, 0.25, 1e30]", "1.50 0.25 1000000000000000000000000000000"),
            ("100%% of %[2]v, %[1]v", r#"["a", "b"]"#, "100% of b, a"),
            ("%t", "[true]", "%!t(string=true)"),
            ("%", "[]", "%!(NOVERB)"),
            ("%-4s|%.1s", r#"["ab", "xyz"]"#, "ab  |x"),
        ] {
            let values = Value::from_json_str(values).expect("JSON");
            assert_eq!(
                sprintf(format, values.as_array().expect("an array").as_slice()).as_deref(),
                Ok(expected),
                "{format}"
            );
        }
        assert!(sprintf("%99999d", &[Value::from(1u64)]).is_err());
    }
}
