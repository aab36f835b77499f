//! A rule is a valid SQL file: front matter in comments, then one SELECT. It never writes; its rows are proposals.
//!
//! ```sql
//! -- ---
//! -- owner: finops
//! -- every: 5m
//! -- key: [tenant, budget]
//! -- new: notify("finops", "{tenant} has spent {spent} of {cap}")
//! -- why: At 90 % of its cap a tenant is told before it meets a wall.
//! -- ---
//! SELECT tenant, budget, spent, cap FROM budget_status WHERE spent >= 0.9 * cap
//! ```

mod call;
mod field;
mod folder;
mod fresh;
mod header;
mod tick;
mod timing;

pub use call::{Argument, Call, Template};
pub use folder::{Found, read, read_folder};
pub use fresh::Fresh;
pub use header::{Approval, FIELDS, Group, Header, Limit, Rate, Start};
pub use tick::{NOW, at_tick, volatile};
pub use timing::{Catchup, Cron, Missed, Overlap, Timing};

use sha2::{Digest, Sha256};

/// Bytes of a rule's file.
pub const BYTES_MAX: usize = 256 << 10;
/// What opens and closes the front matter.
const FENCE: &str = "---";

/// A rule as its file says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its path within the folder of rules, without the ending: `budget/near_cap`.
    pub name: String,
    /// SHA-256 of the file: which version of the rule this is.
    pub version: String,
    /// The front matter.
    pub header: Header,
    /// The SELECT.
    pub sql: String,
    /// The line of the file on which the SELECT begins.
    pub sql_line: usize,
    /// The whole file.
    pub text: String,
}

/// Something wrong in a rule's file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line of the file, from one.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl Fault {
    pub(crate) fn at(line: usize, what: impl Into<String>) -> Self {
        Fault { line, what: what.into() }
    }
}

impl Rule {
    /// Reads a rule; everything that is wrong comes back at once.
    pub fn parse(name: &str, text: &str) -> Result<Rule, Vec<Fault>> {
        if text.len() > BYTES_MAX {
            return Err(vec![Fault::at(1, format!("the file is larger than {BYTES_MAX} bytes"))]);
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (fields, after) = front_matter(text).map_err(|fault| vec![fault])?;
        let header = Header::of(&fields);
        let sql_line = after + 1;
        let sql = text.lines().skip(after).collect::<Vec<_>>().join("\n").trim_end().trim_end_matches(';').to_owned();
        let mut faults = Vec::new();
        if sql.trim().is_empty() {
            faults.push(Fault::at(sql_line, "there is no SELECT behind the front matter"));
        }
        let header = match header {
            Ok(header) => Some(header),
            Err(more) => {
                faults.extend(more);
                None
            }
        };
        let version = hex::encode(Sha256::digest(text.as_bytes()));
        match header {
            Some(header) if faults.is_empty() => {
                Ok(Rule { name: name.to_owned(), version, header, sql, sql_line, text: text.to_owned() })
            }
            _ => Err(faults),
        }
    }
}

/// The fields with their lines, and the number of lines up to and with the closing fence.
fn front_matter(text: &str) -> Result<(Vec<field::Field>, usize), Fault> {
    let mut fields: Vec<field::Field> = Vec::new();
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        let number = at + 1;
        let line = line.trim();
        if line.is_empty() && !open {
            continue;
        }
        let Some(comment) = line.strip_prefix("--") else {
            let what = if open { "the front matter is not closed by a line `-- ---`" } else { NO_FRONT_MATTER };
            return Err(Fault::at(number, what));
        };
        match (comment.trim(), open) {
            (FENCE, false) => open = true,
            (FENCE, true) => return Ok((fields, number)),
            // A licence or a title above the front matter.
            (_, false) => {}
            ("", true) => {}
            (inner, true) => field::add(&mut fields, number, comment, inner)?,
        }
    }
    let what = if open { "the front matter is not closed by a line `-- ---`" } else { NO_FRONT_MATTER };
    Err(Fault::at(text.lines().count().max(1), what))
}

const NO_FRONT_MATTER: &str = "a rule begins with front matter: a line `-- ---`, lines such as `-- owner: finops`, a line `-- ---`, then one SELECT";

#[cfg(test)]
mod tests;
