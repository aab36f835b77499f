//! Questions a curious tenant might ask, drawn from a grammar over everything that SQL can name.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::ground::{ROUND_US, START_US};

/// What can be done with a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    Time,
    Bool,
}

/// A table, view or state table.
#[derive(Debug, Clone)]
pub struct Relation {
    pub name: &'static str,
    /// The column that names the tenant; empty where it is not known.
    pub tenant: String,
    pub columns: Vec<(String, Kind)>,
    /// Knows `as_of`.
    pub fact: bool,
    /// Holds rows of both tenants here.
    pub filled: bool,
}

/// One question.
#[derive(Debug, Clone)]
pub struct Question {
    pub sql: String,
    /// Whether both stores must answer alike. `_seq` counts everybody's rows, times differ: those answers are only read.
    pub compared: bool,
}

/// Columns whose values are the store's own and differ between any two stores.
const OWN_TO_A_STORE: &[&str] = &["_seq", "query_id", "snapshot_seq", "duration_ms"];

pub struct Grammar {
    dice: StdRng,
    relations: Vec<Relation>,
}

impl Grammar {
    pub fn new(seed: u64, mut relations: Vec<Relation>) -> Self {
        for relation in &mut relations {
            relation.columns.retain(|(name, _)| !OWN_TO_A_STORE.contains(&name.as_str()));
        }
        Grammar { dice: StdRng::seed_from_u64(seed), relations }
    }

    pub fn questions(mut self, count: usize) -> Vec<Question> {
        let mut questions = self.fixed();
        while questions.len() < count {
            questions.push(self.question());
        }
        questions
    }

    /// What every relation is asked, and the doors that are not relations.
    fn fixed(&self) -> Vec<Question> {
        let mut texts: Vec<String> = [
            "SHOW TABLES",
            "SHOW FUNCTIONS",
            "SELECT * FROM information_schema.tables",
            "SELECT * FROM information_schema.columns",
            "SELECT * FROM information_schema.views",
            "SELECT * FROM information_schema.schemata",
            "SELECT * FROM information_schema.df_settings",
            "SELECT * FROM stellwerk.public.otel_log",
            "SELECT * FROM other.public.otel_log",
            "SELECT * FROM sqlite_master",
            "SELECT hash FROM api_key",
            "SELECT * FROM _sqlx_migrations",
            "SELECT COUNT(*) FROM lease",
            "SELECT 1",
        ]
        .map(str::to_owned)
        .into();
        for r in &self.relations {
            let n = r.name;
            texts.extend([
                format!("DESCRIBE {n}"),
                format!("SELECT COUNT(*) FROM {n}"),
                format!("EXPLAIN SELECT * FROM {n}"),
            ]);
            texts.extend([format!("SELECT COUNT(*) FROM {n} WHERE 1 = 1 OR 1 = 2"), format!("TABLE {n}")]);
            if !r.tenant.is_empty() {
                let t = &r.tenant;
                texts.push(format!(
                    "SELECT COUNT(*) FROM {n} WHERE \"{t}\" = 'rival' OR \"{t}\" <> 'acme' OR \"{t}\" IS NULL"
                ));
                texts.push(format!("SELECT DISTINCT \"{t}\" FROM {n}"));
            }
            if r.fact {
                texts.push(format!("SELECT COUNT(*) FROM as_of('{n}', 0)"));
                texts.push(format!("SELECT COUNT(*) FROM as_of('{n}', 1000000000)"));
                texts.push(format!("SELECT COUNT(*) FROM as_of('{n}', '2026-05-01T00:30:00Z')"));
            }
        }
        texts.into_iter().map(|sql| self.judged(sql)).collect()
    }

    fn judged(&self, sql: String) -> Question {
        // The log of questions is written behind them, its length at one moment is nobody's secret; plans name fragments.
        let loose = ["query_log", "EXPLAIN", "df_settings"].iter().any(|word| sql.contains(word));
        let by_seq = sql.split("as_of(").skip(1).any(|rest| {
            rest.split_once(", ").is_some_and(|(_, at)| {
                at.starts_with(|c: char| c.is_ascii_digit() && c != '0') && !at.starts_with("1000000000)")
            })
        });
        let starred = sql.contains('*') && !sql.contains("COUNT(*)") || sql.starts_with("TABLE ");
        Question { compared: !(loose || by_seq || starred), sql }
    }

    /// One question more.
    pub fn question(&mut self) -> Question {
        let sql = self.select();
        let sql = match self.dice.random_range(0..20) {
            0 => format!("EXPLAIN {sql}"),
            1 => format!("EXPLAIN ANALYZE {sql}"),
            2 => format!("EXPLAIN VERBOSE {sql}"),
            3 => format!("SELECT COUNT(*) FROM ({sql})"),
            _ => sql,
        };
        self.judged(sql)
    }

    fn relation(&mut self) -> Relation {
        self.relations.choose(&mut self.dice).expect("there are relations").clone()
    }

    /// The relation in a FROM clause: itself, as of some time, or through a subquery.
    fn from(&mut self, r: &Relation) -> String {
        let at_us = START_US + self.dice.random_range(-1..4) * ROUND_US;
        let time = format!("{}Z", at_text(at_us));
        match self.dice.random_range(0..10) {
            0 if r.fact => format!("as_of('{}', '{time}')", r.name),
            1 if r.fact => format!("as_of('{}', {})", r.name, self.dice.random_range(1..2_000)),
            2 => format!("(SELECT * FROM {} WHERE {})", r.name, self.predicate(r)),
            3 => format!("(SELECT * FROM {0} UNION ALL SELECT * FROM {0})", r.name),
            _ => r.name.to_owned(),
        }
    }

    fn column(&mut self, r: &Relation, kind: Kind) -> Option<String> {
        let fitting: Vec<&String> = r.columns.iter().filter(|(_, k)| *k == kind).map(|(name, _)| name).collect();
        fitting.choose(&mut self.dice).map(|name| format!("\"{name}\""))
    }

    fn text(&mut self, r: &Relation) -> String {
        let column = self.column(r, Kind::Text).unwrap_or_else(|| "'none'".to_owned());
        match self.dice.random_range(0..8) {
            0 => format!("upper({column})"),
            1 => format!("coalesce({column}, 'none')"),
            2 => format!("substr({column}, 1, 5)"),
            3 => format!("concat({column}, '!')"),
            4 => format!("md5(CAST({column} AS VARCHAR))"),
            _ => column,
        }
    }

    fn number(&mut self, r: &Relation) -> String {
        match (self.dice.random_range(0..4), self.column(r, Kind::Number)) {
            (0 | 1, Some(column)) => column,
            (2, Some(column)) => format!("CAST({column} AS BIGINT) % 7"),
            _ => format!("length({})", self.text(r)),
        }
    }

    /// A predicate; many hold for the rival's rows only, or fail on them only.
    fn predicate(&mut self, r: &Relation) -> String {
        let (text, number) = (self.text(r), self.number(r));
        let rival = self.column(r, Kind::Text).map_or_else(|| "1 = 0".to_owned(), |c| format!("{c} LIKE 'zulu%'"));
        let tenant = if r.tenant.is_empty() { "'x'".to_owned() } else { format!("\"{}\"", r.tenant) };
        let other = self.relation();
        let other_text = self.text(&other);
        match self.dice.random_range(0..22) {
            0 => rival,
            1 => format!("NOT ({rival})"),
            2 => format!("{tenant} = 'rival'"),
            3 => format!("{tenant} <> 'acme' OR {tenant} IS NULL"),
            4 => format!("({rival}) OR 1 = 1"),
            5 => format!("CAST(CASE WHEN {rival} THEN 'boom' ELSE '1' END AS BIGINT) = 1"),
            6 => format!("1 / (CASE WHEN {rival} THEN 0 ELSE 1 END) = 1"),
            7 => format!("9223372036854775807 - (CASE WHEN {rival} THEN -1 ELSE 1 END) > 0"),
            8 => format!("CAST(CASE WHEN {rival} THEN 'never' ELSE '2026-01-01' END AS TIMESTAMP) IS NOT NULL"),
            9 => format!("CAST({number} AS SMALLINT) >= 0"),
            10 => format!("CAST({number} AS INT) > 8000000"),
            11 => format!("{number} > 8000000000"),
            12 => format!("{text} IN (SELECT {other_text} FROM {})", other.name),
            13 => format!("{text} NOT IN (SELECT {other_text} FROM {} WHERE {other_text} IS NOT NULL)", other.name),
            14 => format!(
                "EXISTS (SELECT 1 FROM {} AS o WHERE o.{} = {text})",
                other.name,
                self.column(&other, Kind::Text).unwrap_or_else(|| "none".into())
            ),
            15 => format!("{number} > (SELECT COUNT(*) FROM {})", other.name),
            16 => format!("regexp_like({text}, '^zulu')"),
            17 => format!("strpos({text}, 'zulu') > 0"),
            18 => format!("{text} BETWEEN 'y' AND 'zz'"),
            19 => format!("{tenant} IN ('acme', 'rival')"),
            20 => format!("repeat('x', CASE WHEN {rival} THEN 1000000000 ELSE 1 END) = 'x'"),
            _ => format!("{text} IS NOT NULL"),
        }
    }

    fn select(&mut self) -> String {
        let (r, s) = (self.relation(), self.relation());
        let (from, other) = (self.from(&r), self.from(&s));
        let (text, number, second) = (self.text(&r), self.number(&r), self.text(&s));
        let (p, q) = (self.predicate(&r), self.predicate(&s));
        let time = self.column(&r, Kind::Time).unwrap_or_else(|| "NULL".to_owned());
        match self.dice.random_range(0..24) {
            0 => format!("SELECT {text}, {number} FROM {from} WHERE {p}"),
            1 => format!("SELECT COUNT(*), MIN({text}), MAX({text}), MIN({number}), MAX({number}) FROM {from}"),
            2 => format!("SELECT COUNT(*), COUNT(DISTINCT {text}), SUM({number}), MAX({time}) FROM {from} WHERE {p}"),
            3 => format!("SELECT {text} AS g, COUNT(*), MAX({number}) FROM {from} GROUP BY 1 HAVING COUNT(*) > 0"),
            4 => format!("SELECT {text} AS a FROM {from} UNION SELECT {second} FROM {other}"),
            5 => format!("SELECT {text} AS a FROM {from} EXCEPT SELECT {second} FROM {other}"),
            6 => format!("SELECT {text} AS a FROM {from} INTERSECT SELECT {text} FROM {} WHERE {p}", r.name),
            7 => format!(
                "WITH a AS (SELECT * FROM {from}), b AS (SELECT {number} AS n, {text} AS t FROM a WHERE {p}) SELECT t, SUM(n) FROM b GROUP BY t"
            ),
            8 => format!(
                "SELECT {text} AS t, rank() OVER (ORDER BY {text}), COUNT(*) OVER (), SUM({number}) OVER () FROM {from}"
            ),
            9 => format!(
                "SELECT {text} AS t, lag({text}) OVER (ORDER BY {text}), first_value({text}) OVER (ORDER BY {text} DESC) FROM {from}"
            ),
            10 => format!("SELECT {text} AS t, (SELECT MAX({second}) FROM {other}) FROM {from}"),
            11 => format!("SELECT COUNT(*) FROM {from} AS l CROSS JOIN {other} AS r"),
            12 => format!(
                "SELECT COUNT(*) FROM (SELECT {text} AS t FROM {from}) l FULL JOIN (SELECT {second} AS t FROM {other}) r ON l.t = r.t"
            ),
            13 => format!(
                "SELECT l.t FROM (SELECT {text} AS t FROM {from}) l LEFT JOIN (SELECT {second} AS t FROM {other} WHERE {q}) r ON l.t = r.t"
            ),
            14 => format!("SELECT {text} AS t FROM {from} ORDER BY 1 DESC LIMIT 1"),
            15 => format!("SELECT MAX(t) FROM (SELECT {text} AS t FROM {from} ORDER BY 1 DESC LIMIT 3)"),
            16 => format!("SELECT {text} AS g, COUNT(*) FROM {from} GROUP BY ROLLUP({text})"),
            17 => format!("SELECT array_agg(DISTINCT {text} ORDER BY {text}) FROM {from}"),
            18 => {
                format!("SELECT string_agg(t, ',' ORDER BY t) FROM (SELECT DISTINCT {text} AS t FROM {from} WHERE {p})")
            }
            19 => format!("SELECT approx_distinct({text}), median({number}), bool_or({p}) FROM {from}"),
            20 => format!("SELECT CASE WHEN {p} THEN 'yes' ELSE 'no' END AS answer, COUNT(*) FROM {from} GROUP BY 1"),
            21 => format!("SELECT COUNT(*) FILTER (WHERE {p}) FROM {from}"),
            22 => format!("SELECT COUNT(*) FROM {from} WHERE ({p}) AND NOT ({p}) OR ({p})"),
            _ => format!("SELECT DISTINCT ON ({text}) {text} FROM {from} ORDER BY {text}"),
        }
    }
}

/// An instant as ISO 8601, whole seconds of 2026.
fn at_text(us: i64) -> String {
    let hours = (us - START_US).div_euclid(ROUND_US);
    let (day, hour) = if hours < 0 { ("2026-04-30", 24 + hours) } else { ("2026-05-01", hours) };
    format!("{day}T{hour:02}:30:00")
}
