//! One field of the front matter: a name, a value, and the lines that go on with it.

use super::Fault;

/// A name with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Line of the file, from one.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Its text, without the comment behind it.
    pub value: String,
}

/// Adds a line of the front matter: a new field, or, indented, more of the last one.
pub fn add(fields: &mut Vec<Field>, line: usize, raw: &str, inner: &str) -> Result<(), Fault> {
    let indent = raw.len() - raw.trim_start().len();
    if indent > 2
        && let Some(last) = fields.last_mut()
    {
        last.value = format!("{} {}", last.value, without_comment(inner)).trim().to_owned();
        return Ok(());
    }
    let Some((name, value)) = inner.split_once(':') else {
        return Err(Fault::at(line, format!("`{inner}` is no field: write `-- name: value`")));
    };
    let name = name.trim().to_owned();
    // Free text keeps its signs.
    let value = if name == "why" { value.trim() } else { without_comment(value) };
    fields.push(Field { line, name, value: value.to_owned() });
    Ok(())
}

/// The value without ` # …` behind it; a sign within quotes stays.
fn without_comment(value: &str) -> &str {
    let (mut quoted, mut escaped, mut blank) = (false, false, true);
    for (at, sign) in value.char_indices() {
        match sign {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted && blank => return value[..at].trim(),
            _ => {}
        }
        blank = sign.is_whitespace();
    }
    value.trim()
}
