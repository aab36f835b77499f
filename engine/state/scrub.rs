//! Values taken out of the state database, down to its file: cells are masked, the database is written anew.

use sqlx::AssertSqlSafe;

use super::State;
use crate::error::Result;
use crate::needles::Needles;

/// What is known of the columns of text, of every table.
const SQLITE_COLUMNS: &str =
    "SELECT m.name AS name, c.name AS column_name FROM sqlite_master m, pragma_table_info(m.name) c
    WHERE m.type = 'table' AND upper(c.type) = 'TEXT' ORDER BY m.rowid, c.cid";
const POSTGRES_COLUMNS: &str = "SELECT CAST(table_name AS TEXT) AS name, CAST(column_name AS TEXT) AS column_name
    FROM information_schema.columns WHERE data_type = 'text' AND table_schema = current_schema()
    ORDER BY table_name, ordinal_position";
/// How often the log of SQLite is asked to go while somebody reads.
const CHECKPOINTS_MAX: usize = 50;

/// Cells of a column that hold a value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Scrubbed {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// Cells that hold, or held, a value.
    pub cells: u64,
}

impl State {
    async fn text_columns(&self) -> Result<Vec<(String, String)>> {
        let sql = if self.is_sqlite() { SQLITE_COLUMNS } else { POSTGRES_COLUMNS };
        let rows = self.fetch(sql, &[]).await?;
        let columns = rows.iter().map(|row| Ok((row.get("name")?, row.get("column_name")?)));
        let columns: Vec<(String, String)> = columns.collect::<Result<_>>()?;
        Ok(columns.into_iter().filter(|(table, _)| !table.starts_with('_')).collect())
    }

    /// Every different cell of a column that holds a value, as it is spelled, and how many have it.
    async fn cells_with(&self, table: &str, column: &str, needles: &Needles) -> Result<Vec<(String, u64)>> {
        let sql = format!(
            "SELECT \"{column}\" AS cell, count(*) AS n FROM \"{table}\" WHERE \"{column}\" IS NOT NULL GROUP BY 1"
        );
        let mut found = Vec::new();
        let mut take = |row: super::Row| {
            let (cell, n): (String, i64) = (row.get("cell")?, row.get("n")?);
            if needles.is_in(cell.as_bytes()) {
                found.push((cell, u64::try_from(n).unwrap_or(0)));
            }
            Ok(())
        };
        self.database.each(false, AssertSqlSafe(sql), &[], &mut take).await?;
        Ok(found)
    }

    /// Where values stand, in every column of text of the tables that `wants` names.
    pub async fn find_values(
        &self,
        needles: &Needles,
        wants: &(dyn Fn(&str) -> bool + Send + Sync),
    ) -> Result<Vec<Scrubbed>> {
        let mut found = Vec::new();
        for (table, column) in self.text_columns().await?.into_iter().filter(|(table, _)| wants(table)) {
            let cells: u64 = self.cells_with(&table, &column, needles).await?.iter().map(|(_, n)| n).sum();
            if cells > 0 {
                found.push(Scrubbed { table, column, cells });
            }
        }
        Ok(found)
    }

    /// Masks values in every column of text of the tables that `wants` names. Each spelling has a mask of its own, made by `mask`, so that
    /// what tells rows apart still does.
    pub async fn mask_values(
        &self,
        needles: &Needles,
        wants: &(dyn Fn(&str) -> bool + Send + Sync),
        mask: &(dyn Fn(usize) -> String + Send + Sync),
    ) -> Result<Vec<Scrubbed>> {
        let mut spellings: Vec<String> = Vec::new();
        let mut done = Vec::new();
        for (table, column) in self.text_columns().await?.into_iter().filter(|(table, _)| wants(table)) {
            let cells = self.cells_with(&table, &column, needles).await?;
            let sql = format!("UPDATE \"{table}\" SET \"{column}\" = $1 WHERE \"{column}\" = $2");
            for (cell, _) in &cells {
                let mut masked = cell.clone();
                for spelled in needles.spelled(cell) {
                    let known = spellings.iter().position(|known| *known == spelled);
                    let at = known.unwrap_or_else(|| {
                        spellings.push(spelled.clone());
                        spellings.len() - 1
                    });
                    masked = masked.replace(&spelled, &mask(at));
                }
                self.execute(AssertSqlSafe(sql.clone()), &[masked.into(), cell.as_str().into()]).await?;
            }
            let cells: u64 = cells.iter().map(|(_, n)| n).sum();
            if cells > 0 {
                done.push(Scrubbed { table, column, cells });
            }
        }
        Ok(done)
    }

    /// Writes the database anew, so that no page keeps what was deleted; on PostgreSQL these tables, whose server keeps a log
    /// of its own.
    pub async fn write_anew(&self, tables: &[&str]) -> Result<()> {
        if !self.is_sqlite() {
            for table in tables {
                self.execute(AssertSqlSafe(format!("VACUUM (FULL) \"{table}\"")), &[]).await?;
            }
            return Ok(());
        }
        self.execute("PRAGMA secure_delete = ON", &[]).await?;
        self.execute("VACUUM", &[]).await?;
        // The log is folded into the file once nobody reads an older state.
        for _ in 0..CHECKPOINTS_MAX {
            let busy = self.write_returning("PRAGMA wal_checkpoint(TRUNCATE)", &[]).await?;
            if busy.first().is_some_and(|row| row.get::<i64>("busy").is_ok_and(|busy| busy == 0)) {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        tracing::warn!(
            "somebody reads the state database all the time; its log keeps what was deleted until it is next closed"
        );
        Ok(())
    }
}
