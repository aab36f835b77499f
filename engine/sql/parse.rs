//! Text becomes one statement: placeholders bound, writing refused, names in their declared spelling, idioms of other
//! databases put into the planner's words.

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::error::{Error, Result};
use crate::sql::dialect::StellwerkDialect;
use crate::sql::names::Names;
use crate::sql::{idioms, refuse, spelling};

/// A longer text is not a question.
pub const SQL_BYTES_MAX: usize = 1 << 20;
/// More tokens than this nest deeper than a thread's stack; `IN` lists that long belong into a table.
const TOKENS_MAX: usize = 100_000;
/// Parentheses and subqueries nested deeper than this are refused.
const DEPTH_MAX: usize = 64;
/// Operators chained in one statement; every one is a level of the expression tree.
const OPERATORS_MAX: usize = 5_000;

/// Parses exactly one reading statement. Texts in `params` fill `?` in order, or `$1`, `$2` …; they are literals, never SQL.
pub fn parse(sql: &str, names: &Names, params: &[String]) -> Result<Statement> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(Error::new(
            crate::error::Kind::TooLarge,
            format!("the SQL text is longer than {SQL_BYTES_MAX} bytes"),
        ));
    }
    let tokens = Tokenizer::new(&StellwerkDialect, sql)
        .tokenize_with_location()
        .map_err(|cause| Error::invalid(format!("SQL: {cause}")))?;
    check_size(&tokens)?;
    let tokens = idioms::tokens(bind(tokens, params)?);
    let mut statements = DFParserBuilder::new(tokens)
        .with_dialect(&StellwerkDialect)
        .with_recursion_limit(DEPTH_MAX)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|cause| Error::invalid(readable(&cause.strip_backtrace())))?;
    let mut statement = match (statements.pop_front(), statements.is_empty()) {
        (None, _) => return Err(Error::invalid("there is no statement in the SQL text")),
        (Some(_), false) => return Err(Error::invalid("one statement at a time: send each on its own")),
        (Some(statement), true) => statement,
    };
    refuse::check(&statement)?;
    idioms::rewrite(&mut statement);
    spelling::rewrite(&mut statement, names);
    Ok(statement)
}

/// The parser's message without its wrapping.
fn readable(message: &str) -> String {
    let inner = message.strip_prefix("SQL error: ParserError(\"").and_then(|m| m.strip_suffix("\")"));
    match inner {
        Some(inner) => format!("SQL: {}", inner.replace("\\\"", "\"").replace("\\'", "'")),
        None => message.to_owned(),
    }
}

fn check_size(tokens: &[TokenWithSpan]) -> Result<()> {
    if tokens.len() > TOKENS_MAX {
        return Err(Error::invalid(format!("the SQL text has more than {TOKENS_MAX} words and signs")));
    }
    let operators = tokens.iter().filter(|t| is_operator(&t.token)).count();
    if operators > OPERATORS_MAX {
        return Err(Error::invalid(format!("the SQL text chains more than {OPERATORS_MAX} operators")));
    }
    Ok(())
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            matches!(word.keyword, Keyword::AND | Keyword::OR | Keyword::NOT | Keyword::UNION | Keyword::JOIN)
        }
        Token::Comma | Token::Whitespace(_) | Token::Number(..) | Token::SingleQuotedString(_) | Token::Period => false,
        Token::LParen | Token::RParen | Token::SemiColon | Token::EOF => false,
        _ => true,
    }
}

/// Replaces placeholders by literals: text, or a number behind LIMIT, OFFSET, FETCH and TOP.
fn bind(mut tokens: Vec<TokenWithSpan>, params: &[String]) -> Result<Vec<TokenWithSpan>> {
    let mut in_order = 0;
    let mut highest = 0;
    let mut previous = Keyword::NoKeyword;
    for entry in &mut tokens {
        match &entry.token {
            Token::Placeholder(name) => {
                let position = position(name, &mut in_order)?;
                highest = highest.max(position);
                let value = params.get(position - 1).ok_or_else(|| {
                    Error::invalid(format!(
                        "the SQL text has a placeholder {name}, number {position}, but {} values came with it",
                        params.len()
                    ))
                })?;
                entry.token = literal(value, previous)?;
            }
            Token::Whitespace(_) => continue,
            _ => {}
        }
        previous = match &entry.token {
            Token::Word(word) => word.keyword,
            _ => Keyword::NoKeyword,
        };
    }
    if in_order > 0 && highest != in_order {
        return Err(Error::invalid("use either ? or $1, $2 … in one statement, not both"));
    }
    if highest < params.len() {
        return Err(Error::invalid(format!(
            "{} values came with the SQL text, but it has {highest} placeholders",
            params.len()
        )));
    }
    Ok(tokens)
}

/// One-based position of a placeholder.
fn position(name: &str, in_order: &mut usize) -> Result<usize> {
    if name == "?" {
        *in_order += 1;
        return Ok(*in_order);
    }
    match name.trim_start_matches(['$', '?', ':']).parse::<usize>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(Error::invalid(format!("the placeholder {name} is none: write ? or $1, $2 …"))),
    }
}

fn literal(value: &str, previous: Keyword) -> Result<Token> {
    if matches!(previous, Keyword::LIMIT | Keyword::OFFSET | Keyword::TOP | Keyword::FIRST | Keyword::NEXT) {
        return match value.parse::<u64>() {
            Ok(_) => Ok(Token::Number(value.to_owned(), false)),
            Err(_) => Err(Error::invalid(format!("{previous:?} takes a whole number, not {value:?}"))),
        };
    }
    Ok(Token::SingleQuotedString(value.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn names() -> Names {
        Names::new(["BilledCost", "ServiceName", "Tags", "focus_data_table", "CostAndUsage", "otel_span", "key"])
    }

    fn check(sql: &str, params: &[&str], expected: &str) {
        let params: Vec<String> = params.iter().map(|&p| p.to_owned()).collect();
        assert_eq!(parse(sql, &names(), &params).unwrap().to_string(), expected, "{sql}");
    }

    fn refused(sql: &str, params: &[&str], kind: Kind, part: &str) {
        let params: Vec<String> = params.iter().map(|&p| p.to_owned()).collect();
        let error = parse(sql, &names(), &params).unwrap_err();
        assert_eq!(error.kind(), kind, "{sql}: {error}");
        assert!(error.to_string().contains(part), "{sql}: {error}");
    }

    #[test]
    fn names_get_their_declared_spelling() {
        check("SELECT billedcost FROM FOCUS_DATA_TABLE", &[], "SELECT BilledCost FROM focus_data_table");
        check("select c.BILLEDCOST from costandusage C", &[], "SELECT C.BilledCost FROM CostAndUsage C");
        check("SELECT `servicename` FROM \"COSTANDUSAGE\";", &[], "SELECT `ServiceName` FROM \"CostAndUsage\"");
        check("SELECT SUM(BilledCost) FROM t", &[], "SELECT sum(BilledCost) FROM t");
        check("SELECT Unknown, \"Unknown\" FROM t", &[], "SELECT unknown, \"Unknown\" FROM t");
        check("SELECT kind, cluster, name FROM t", &[], "SELECT kind, cluster, name FROM t");
        check("SELECT * EXCLUDE (tags) FROM t", &[], "SELECT * EXCLUDE (Tags) FROM t");
        check("SELECT 1 FROM a JOIN b USING (servicename)", &[], "SELECT 1 FROM a JOIN b USING(ServiceName)");
    }

    #[test]
    fn aliases_keep_the_outermost_spelling() {
        check(
            "SELECT SUM(x) AS MonthlyCost FROM t ORDER BY monthlycost",
            &[],
            "SELECT sum(x) AS MonthlyCost FROM t ORDER BY MonthlyCost",
        );
        check(
            "WITH Spend AS (SELECT 1 AS total) SELECT TOTAL AS Total FROM spend",
            &[],
            "WITH Spend AS (SELECT 1 AS Total) SELECT Total AS Total FROM Spend",
        );
        check("SELECT 1 AS \"a\", 2 AS \"A\" ORDER BY \"A\"", &[], "SELECT 1 AS \"a\", 2 AS \"A\" ORDER BY \"A\"");
    }

    #[test]
    fn placeholders_are_literals() {
        check("SELECT ? , ?", &["a", "b'; --"], "SELECT 'a', 'b''; --'");
        check("SELECT $2, $1, $2", &["a", "b"], "SELECT 'b', 'a', 'b'");
        check("SELECT 1 LIMIT ? OFFSET ?", &["10", "2"], "SELECT 1 LIMIT 10 OFFSET 2");
        check("SELECT '?' -- ?\n, ?", &["a"], "SELECT '?', 'a'");
        refused("SELECT ?", &[], Kind::Invalid, "0 values");
        refused("SELECT ?", &["a", "b"], Kind::Invalid, "2 values");
        refused("SELECT 1 LIMIT ?", &["1; DROP"], Kind::Invalid, "whole number");
        refused("SELECT $0", &["a"], Kind::Invalid, "placeholder");
    }

    #[test]
    fn only_questions_pass() {
        check("EXPLAIN ANALYZE SELECT 1", &[], "EXPLAIN ANALYZE SELECT 1");
        check("SHOW TABLES", &[], "SHOW TABLES");
        check("VALUES (1)", &[], "VALUES (1)");
        parse("DESCRIBE otel_span", &names(), &[]).unwrap();
        parse("SHOW COLUMNS FROM OTEL_SPAN", &names(), &[]).unwrap();
        for (sql, part) in [
            ("DROP TABLE t", "DROP TABLE is off"),
            ("CREATE TABLE t AS SELECT 1", "is off"),
            ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "external tables are off"),
            ("INSERT INTO t VALUES (1)", "rows are changed by ingest"),
            ("UPDATE t SET a = 1", "rows are changed by ingest"),
            ("DELETE FROM t", "rows are changed by ingest"),
            ("COPY t TO 'x.csv'", "COPY is off"),
            ("COPY (SELECT 1) TO 'x.csv'", "COPY is off"),
            ("SET x = 1", "settings are off"),
            ("SHOW ALL", "settings are off"),
            ("SELECT 1 INTO t", "SELECT INTO is off"),
            ("WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x", "rows are changed"),
            ("EXPLAIN INSERT INTO t VALUES (1)", "EXPLAIN takes a SELECT"),
            ("SELECT * FROM read_csv('/etc/passwd')", "reads files"),
            ("SELECT * FROM 'a.parquet'", "is a file"),
            ("SELECT * FROM \"s3://bucket/a.parquet\"", "is a file"),
        ] {
            refused(sql, &[], Kind::Denied, part);
        }
        for (sql, part) in [
            ("SELECT 1; SELECT 2", "one statement"),
            ("", "no statement"),
            ("-- nothing", "no statement"),
            ("SELEC 1", "SQL"),
            ("SELECT * FROM otel_span FOR SYSTEM_TIME AS OF '2026-01-01'", "as_of"),
            ("SELECT * FROM otel_span VERSION AS OF 5", "as_of"),
            ("SELECT 1 FROM t TABLESAMPLE (10)", "TABLESAMPLE"),
            ("SELECT 1 FROM t FOR UPDATE", "FOR UPDATE"),
            ("SELECT 'a", "SQL"),
        ] {
            refused(sql, &[], Kind::Invalid, part);
        }
    }

    #[test]
    fn deep_and_long_texts_are_refused_not_overflowed() {
        let deep = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
        refused(&deep, &[], Kind::Invalid, "");
        let long = format!("SELECT 1{}", " + 1".repeat(20_000));
        refused(&long, &[], Kind::Invalid, "operators");
        let fine = format!("SELECT 1{}", " + 1".repeat(4_000));
        parse(&fine, &names(), &[]).unwrap();
        refused(&" ".repeat(2 << 20), &[], Kind::TooLarge, "longer");
    }
}
