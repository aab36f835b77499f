//! Questions as they were written down, and the judge: every engine must give the same answer, else its time says
//! nothing.

use std::collections::BTreeMap;

/// Two numbers that no question allows to differ are still sums of floats in another order.
const TOLERANCE: f64 = 1e-6;

/// A question in every engine's words.
#[derive(Debug, Clone)]
pub struct Asked {
    pub name: String,
    /// What it asks, in words.
    pub doc: String,
    /// How far its numbers may differ between engines, relative; infinite where there are many right answers, and only
    /// the number of rows is compared.
    pub tolerance: f64,
    sql: String,
    dialects: BTreeMap<String, String>,
}

impl Asked {
    /// The text for an engine.
    pub fn sql(&self, engine: &str) -> &str {
        self.dialects.get(engine).unwrap_or(&self.sql)
    }
}

/// Reads a file of questions; `{name}` in its texts becomes the word of that name.
pub fn read(file: &str, words: &[(&str, &str)]) -> Vec<Asked> {
    let filled = words.iter().fold(file.to_owned(), |text, (name, word)| text.replace(&format!("{{{name}}}"), word));
    let mut found: Vec<Asked> = Vec::new();
    let mut dialect: Option<String> = None;
    for line in filled.lines() {
        match line.strip_prefix("-- ").and_then(head) {
            Some(Head::Question { name, tolerance, doc }) => {
                dialect = None;
                found.push(Asked { name, doc, tolerance, sql: String::new(), dialects: BTreeMap::new() });
            }
            Some(Head::Dialect { name, engine }) => {
                let last = found.last_mut().expect("a dialect stands behind its question");
                assert_eq!(last.name, name, "a dialect stands behind its question");
                last.dialects.insert(engine.clone(), String::new());
                dialect = Some(engine);
            }
            None => {
                let Some(last) = found.last_mut().filter(|_| !line.starts_with("--")) else { continue };
                let text = match &dialect {
                    Some(engine) => last.dialects.get_mut(engine).expect("it was just put there"),
                    None => &mut last.sql,
                };
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    for asked in &mut found {
        for text in asked.dialects.values_mut().chain([&mut asked.sql]) {
            *text = text.trim().trim_end_matches(';').to_owned();
        }
    }
    assert!(found.iter().all(|asked| !asked.sql.is_empty()), "a question without its text");
    found
}

enum Head {
    Question { name: String, tolerance: f64, doc: String },
    Dialect { name: String, engine: String },
}

fn head(line: &str) -> Option<Head> {
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if let Some((name, engine)) = line.split_once(" @").filter(|(name, engine)| is_name(name) && is_name(engine)) {
        return Some(Head::Dialect { name: name.to_owned(), engine: engine.to_owned() });
    }
    let (before, doc) = line.split_once(": ")?;
    let (name, tolerance) = match before.split_once(" ~") {
        Some((name, "any")) => (name, f64::INFINITY),
        Some((name, tolerance)) => (name, tolerance.parse().ok()?),
        None => (before, TOLERANCE),
    };
    is_name(name).then(|| Head::Question { name: name.to_owned(), tolerance, doc: doc.to_owned() })
}

/// An answer's rows; `None` is NULL.
pub type Rows = Vec<Vec<Option<String>>>;

/// Why two answers differ; nothing if they do not. Their order counts where the rows stand in the same one; otherwise
/// they are compared as sets.
pub fn difference(ours: &Rows, theirs: &Rows, tolerance: f64) -> Option<String> {
    if ours.len() != theirs.len() {
        return Some(format!("{} rows against {}", ours.len(), theirs.len()));
    }
    if tolerance.is_infinite() {
        return None;
    }
    let in_order = first_difference(ours, theirs, tolerance)?;
    let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
    ours.sort_by_cached_key(|row| sort_key(row));
    theirs.sort_by_cached_key(|row| sort_key(row));
    first_difference(&ours, &theirs, tolerance).map(|_| in_order)
}

fn first_difference(ours: &Rows, theirs: &Rows, tolerance: f64) -> Option<String> {
    let same = |a: &Vec<Option<String>>, b: &Vec<Option<String>>| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_cell(a.as_deref(), b.as_deref(), tolerance))
    };
    let at = ours.iter().zip(theirs).position(|(a, b)| !same(a, b))?;
    Some(format!("row {at}: {:?} against {:?}", ours[at], theirs[at]))
}

fn same_cell(a: Option<&str>, b: Option<&str>, tolerance: f64) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return a.unwrap_or("").is_empty() && b.unwrap_or("").is_empty() };
    if let (Ok(a), Ok(b)) = (a.parse::<i128>(), b.parse::<i128>()) {
        return a == b; // Counts and ids have one right value.
    }
    if let (Ok(a), Ok(b)) = (a.parse::<f64>(), b.parse::<f64>()) {
        return a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1e-9);
    }
    canonical(a) == canonical(b)
}

/// Instants in one spelling: a blank between day and time, no zone (all are UTC), no zeros at the end, midnight as a
/// day.
fn canonical(cell: &str) -> String {
    let bytes = cell.as_bytes();
    let is_day = bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[..4].iter().all(u8::is_ascii_digit);
    if !is_day {
        return cell.to_owned();
    }
    let text = cell.replacen('T', " ", 1);
    let text = text.trim_end_matches('Z').trim_end_matches("+00:00");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    text.strip_suffix(" 00:00:00").unwrap_or(text).to_owned()
}

/// Numbers with a fraction to five digits, so that the noise of their last ones does not change the order.
fn sort_key(row: &[Option<String>]) -> Vec<String> {
    let key = |cell: &Option<String>| match cell.as_deref().map(|cell| (cell, cell.parse::<f64>())) {
        None => String::new(),
        Some((cell, Ok(number))) if cell.contains(['.', 'e']) => format!("{number:.5e}"),
        Some((cell, _)) => canonical(cell),
    };
    row.iter().map(key).collect()
}
