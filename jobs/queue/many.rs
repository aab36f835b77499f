//! Rows written many at a time: one statement for all that wait, the same text on both databases, and few texts, so that each
//! is prepared once. A text takes a power of two of rows; what is missing is filled up with rows of nothing (empty texts and
//! zeros), which the statement leaves out or finds no match for.

use std::fmt::Write;

use engine::state::{Row, Transaction};
use engine::{Result, Value};

/// Rows of one statement.
const CHUNKS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// The most of these.
const CHUNK_MAX: usize = 64;

/// One statement over any number of rows: what stands before their placeholders, and what behind.
pub(crate) struct Many {
    /// One text a chunk.
    texts: [String; CHUNKS.len()],
    /// Values that every row shares; they are the first placeholders.
    shared: usize,
    /// A row of nothing.
    nothing: Vec<Value>,
}

impl Many {
    /// `{head}(…), (…){tail}` over rows of these cells, `t` for a text and `i` for a number. Names and words of both are the
    /// program's own. A row of nothing must do nothing.
    pub(crate) fn new(head: &str, cells: &str, tail: &str) -> Many {
        Many::sharing(0, head, cells, tail)
    }

    /// The same, where the first placeholders are the same for all rows.
    pub(crate) fn sharing(shared: usize, head: &str, cells: &str, tail: &str) -> Many {
        let width = cells.len();
        let text = |rows: usize| {
            let mut sql = head.to_owned();
            for row in 0..rows {
                let first = shared + row * width + 1;
                let places: Vec<String> = (first..first + width).map(|at| format!("${at}")).collect();
                let comma = if row == 0 { "" } else { ", " };
                write!(sql, "{comma}({})", places.join(", ")).expect("a string takes everything");
            }
            sql.push_str(tail);
            sql
        };
        let nothing = cells.chars().map(|cell| if cell == 't' { "".into() } else { Value::Int(0) }).collect();
        Many { texts: CHUNKS.map(text), shared, nothing }
    }

    /// Runs it over rows that lie one behind the other, and collects what it returns.
    pub(crate) async fn fetch(&'static self, open: &mut Transaction, rows: &[Value]) -> Result<Vec<Row>> {
        self.fetch_with(open, &[], rows).await
    }

    /// The same with the values that all rows share.
    pub(crate) async fn fetch_with(
        &'static self,
        open: &mut Transaction,
        shared: &[Value],
        rows: &[Value],
    ) -> Result<Vec<Row>> {
        debug_assert_eq!(shared.len(), self.shared);
        let mut returned = Vec::new();
        for some in rows.chunks(CHUNK_MAX * self.nothing.len()) {
            let count = some.len() / self.nothing.len();
            let chunk = CHUNKS.iter().position(|chunk| *chunk >= count).expect("the largest chunk takes as many");
            let mut values = shared.to_vec();
            values.extend_from_slice(some);
            (count..CHUNKS[chunk]).for_each(|_| values.extend_from_slice(&self.nothing));
            returned.extend(open.fetch(self.texts[chunk].as_str(), &values).await?);
        }
        Ok(returned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_go_on_behind_what_all_rows_share() {
        let many = Many::sharing(1, "DELETE FROM t WHERE a = $1 AND b IN (VALUES ", "t", ")");
        assert_eq!(many.texts[2], "DELETE FROM t WHERE a = $1 AND b IN (VALUES ($2), ($3), ($4), ($5))");
        let many = Many::new("INSERT INTO t VALUES ", "ti", " RETURNING a");
        assert_eq!(many.texts[0], "INSERT INTO t VALUES ($1, $2) RETURNING a");
        assert_eq!(many.nothing, ["".into(), Value::Int(0)]);
    }
}
