//! Rows written many at a time: one statement for several, the same text on both databases, and few texts, so that each is
//! prepared once.

use std::fmt::Write;

use engine::state::{Row, Transaction};
use engine::{Result, Value};

/// Rows of one statement, the larger first.
const CHUNKS: [usize; 4] = [64, 16, 4, 1];

/// One statement over any number of rows: what stands before their placeholders, and what behind.
pub(crate) struct Many {
    /// One text a chunk.
    texts: [String; CHUNKS.len()],
    /// Values that every row shares; they are the first placeholders.
    shared: usize,
    width: usize,
}

impl Many {
    /// `{head}(…), (…){tail}` over rows of `width` values. Names and words of both are the program's own.
    pub(crate) fn new(head: &str, width: usize, tail: &str) -> Many {
        Many::sharing(0, head, width, tail)
    }

    /// The same, where the first placeholders are the same for all rows.
    pub(crate) fn sharing(shared: usize, head: &str, width: usize, tail: &str) -> Many {
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
        Many { texts: CHUNKS.map(text), shared, width }
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
        let (mut returned, mut rest) = (Vec::new(), rows);
        while !rest.is_empty() {
            let count = rest.len() / self.width;
            let chunk = CHUNKS.iter().position(|chunk| *chunk <= count).expect("a chunk of one row always fits");
            let (now, later) = rest.split_at(CHUNKS[chunk] * self.width);
            let text = self.texts[chunk].as_str();
            let some = match shared {
                [] => open.fetch(text, now).await?,
                shared => open.fetch(text, &[shared, now].concat()).await?,
            };
            returned.extend(some);
            rest = later;
        }
        Ok(returned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_go_on_behind_what_all_rows_share() {
        let many = Many::sharing(1, "DELETE FROM t WHERE a = $1 AND b IN (VALUES ", 1, ")");
        assert_eq!(many.texts[2], "DELETE FROM t WHERE a = $1 AND b IN (VALUES ($2), ($3), ($4), ($5))");
        let many = Many::new("INSERT INTO t VALUES ", 2, " RETURNING a");
        assert_eq!(many.texts[3], "INSERT INTO t VALUES ($1, $2) RETURNING a");
    }
}
