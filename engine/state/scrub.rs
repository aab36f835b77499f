//! Values taken out of the state database, down to its file: cells are masked, the database is written anew.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;

use super::State;
use crate::error::Result;
use crate::needles::Needles;
use crate::rows::Value;

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

/// Whose rows are meant: those of these tenants, and those that name none.
pub type Tenants<'a> = Option<&'a [&'a str]>;

/// What was found of some values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateSeen {
    /// Where they stand.
    pub own: Vec<Scrubbed>,
    /// Cells in rows of other tenants.
    pub elsewhere: u64,
}

/// A column of text, and the one beside it that says whose a row is, if there is one.
struct TextColumn {
    table: String,
    column: String,
    owner: Option<&'static str>,
}

/// The column that says whose a row is.
const OWNER: &str = "tenant";

impl TextColumn {
    /// All of them, from pairs of table and column.
    fn of(pairs: Vec<(String, String)>) -> Vec<TextColumn> {
        let owned: HashSet<String> =
            pairs.iter().filter(|(_, column)| column == OWNER).map(|(table, _)| table.clone()).collect();
        let owner = |table: &str| match table {
            // A tenant's own row.
            "tenant" => Some("id"),
            table => owned.contains(table).then_some(OWNER),
        };
        pairs.into_iter().map(|(table, column)| TextColumn { owner: owner(&table), table, column }).collect()
    }

    /// The predicate of the rows that are meant, with its values behind `first` others.
    fn of_tenants(&self, tenants: Tenants<'_>, first: usize) -> (String, Vec<Value>) {
        let Some((owner, tenants)) = self.owner.zip(tenants) else { return (String::new(), Vec::new()) };
        let places: Vec<String> = (1..=tenants.len()).map(|at| format!("${}", first + at)).collect();
        let sql = format!(" AND (\"{owner}\" IS NULL OR \"{owner}\" IN ({}))", places.join(", "));
        (sql, tenants.iter().map(|tenant| (*tenant).into()).collect())
    }
}

impl State {
    async fn text_columns(&self) -> Result<Vec<TextColumn>> {
        let sql = if self.is_sqlite() { SQLITE_COLUMNS } else { POSTGRES_COLUMNS };
        let rows = self.fetch(sql, &[]).await?;
        let columns = rows.iter().map(|row| Ok((row.get("name")?, row.get("column_name")?)));
        let columns: Vec<(String, String)> = columns.collect::<Result<_>>()?;
        Ok(TextColumn::of(columns.into_iter().filter(|(table, _)| !table.starts_with('_')).collect()))
    }

    /// Every different cell of a column that holds a value, as it is spelled, and how many of the rows that are meant have it.
    async fn cells_with(
        &self,
        TextColumn { table, column, .. }: &TextColumn,
        needles: &Needles,
        (condition, values): (&str, &[Value]),
    ) -> Result<Vec<(String, u64)>> {
        let sql = format!(
            "SELECT \"{column}\" AS cell, count(*) AS n FROM \"{table}\" WHERE \"{column}\" IS NOT NULL{condition} GROUP BY 1"
        );
        let mut found = Vec::new();
        let mut take = |row: super::Row| {
            let (cell, n): (String, i64) = (row.get("cell")?, row.get("n")?);
            if needles.is_in(cell.as_bytes()) {
                found.push((cell, u64::try_from(n).unwrap_or(0)));
            }
            Ok(())
        };
        self.database.each(false, AssertSqlSafe(sql), values, &mut take).await?;
        Ok(found)
    }

    /// Where values stand, in every column of text of the tables that `wants` names.
    pub async fn find_values(
        &self,
        needles: &Needles,
        wants: &(dyn Fn(&str) -> bool + Send + Sync),
        tenants: Tenants<'_>,
    ) -> Result<StateSeen> {
        let count = |cells: Vec<(String, u64)>| cells.iter().map(|(_, n)| n).sum::<u64>();
        let mut seen = StateSeen::default();
        for column in self.text_columns().await?.into_iter().filter(|column| wants(&column.table)) {
            let (condition, values) = column.of_tenants(tenants, 0);
            let cells = count(self.cells_with(&column, needles, (condition.as_str(), &values[..])).await?);
            if !condition.is_empty() {
                let all = count(self.cells_with(&column, needles, ("", &[])).await?);
                seen.elsewhere += all.saturating_sub(cells);
            }
            if cells > 0 {
                seen.own.push(Scrubbed { table: column.table, column: column.column, cells });
            }
        }
        Ok(seen)
    }

    /// Masks values in every column of text of the tables that `wants` names, in the rows that are meant. Each spelling has a
    /// mask of its own, made by `mask`, so that what tells rows apart still does.
    pub async fn mask_values(
        &self,
        needles: &Needles,
        wants: &(dyn Fn(&str) -> bool + Send + Sync),
        tenants: Tenants<'_>,
        mask: &(dyn Fn(usize) -> String + Send + Sync),
    ) -> Result<Vec<Scrubbed>> {
        let mut spellings: Vec<String> = Vec::new();
        let mut done = Vec::new();
        for column in self.text_columns().await?.into_iter().filter(|column| wants(&column.table)) {
            let (condition, of_tenants) = column.of_tenants(tenants, 0);
            let cells = self.cells_with(&column, needles, (condition.as_str(), &of_tenants[..])).await?;
            let (condition, of_tenants) = column.of_tenants(tenants, 2);
            let TextColumn { table, column, .. } = column;
            let sql = format!("UPDATE \"{table}\" SET \"{column}\" = $1 WHERE \"{column}\" = $2{condition}");
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
                let values = [vec![masked.into(), cell.as_str().into()], of_tenants.clone()].concat();
                self.execute(AssertSqlSafe(sql.clone()), &values).await?;
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
