//! Views cut to the columns that a question names. Planning costs what a plan is wide: over the ledger's seventy columns it
//! takes longer than reading the five that are asked for.

use std::collections::HashSet;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr, SelectItem, SetExpr, Statement as Sql};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::dialect::StellwerkDialect;

/// The words that may name a column, in small letters. `None` means any column.
#[derive(Debug, Clone)]
pub struct Wanted(Option<HashSet<String>>);

impl Wanted {
    /// Any column.
    pub const EVERYTHING: Wanted = Wanted(None);

    /// What a statement may name. Whatever could stand for columns without naming them wants everything.
    pub fn of(statement: &Statement) -> Wanted {
        let Ok(tokens) = Tokenizer::new(&StellwerkDialect, &statement.to_string()).tokenize() else {
            return Wanted::EVERYTHING;
        };
        let tokens: Vec<Token> = tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
        let (mut words, mut selects, mut froms) = (HashSet::new(), 0, 0);
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::Word(word) => {
                    match word.keyword {
                        Keyword::SELECT => selects += 1,
                        Keyword::FROM => froms += 1,
                        Keyword::NATURAL | Keyword::TABLE | Keyword::PIVOT | Keyword::UNPIVOT | Keyword::COLUMNS => {
                            return Wanted::EVERYTHING;
                        }
                        _ => {}
                    }
                    words.insert(word.value.to_ascii_lowercase());
                }
                Token::Mul if !multiplies(at.checked_sub(1).and_then(|at| tokens.get(at)), tokens.get(at + 1)) => {
                    return Wanted::EVERYTHING;
                }
                _ => {}
            }
        }
        // `FROM t` alone is a question for all of it.
        if selects == 0 || froms > selects { Wanted::EVERYTHING } else { Wanted(Some(words)) }
    }

    /// What either may name.
    pub fn or(self, other: &Wanted) -> Wanted {
        match (self.0, &other.0) {
            (Some(mut words), Some(more)) => {
                words.extend(more.iter().cloned());
                Wanted(Some(words))
            }
            _ => Wanted::EVERYTHING,
        }
    }

    /// Whether any column may be named.
    pub fn is_everything(&self) -> bool {
        self.0.is_none()
    }

    fn names(&self, column: &str) -> bool {
        self.0.as_ref().is_none_or(|words| words.contains(&column.to_ascii_lowercase()))
    }
}

/// Whether a star between these two is a product, or counts rows.
fn multiplies(before: Option<&Token>, after: Option<&Token>) -> bool {
    let left = match before {
        Some(Token::Word(word)) => word.keyword == Keyword::NoKeyword || word.keyword == Keyword::END,
        Some(Token::Number(..) | Token::RParen | Token::RBracket | Token::SingleQuotedString(_)) => true,
        Some(Token::LParen) => return after == Some(&Token::RParen),
        _ => false,
    };
    let right = match after {
        Some(Token::Word(word)) => {
            matches!(word.keyword, Keyword::NoKeyword | Keyword::CASE | Keyword::CAST | Keyword::EXTRACT)
        }
        Some(Token::Number(..) | Token::LParen | Token::Minus | Token::Plus | Token::SingleQuotedString(_)) => true,
        _ => false,
    };
    left && right
}

/// The statement of a view without the columns that nobody names; `None` where all are named, and where it is no plain list
/// of columns.
pub fn narrow(whole: &Statement, wanted: &Wanted) -> Option<Statement> {
    if wanted.is_everything() {
        return None;
    }
    let mut statement = whole.clone();
    let Statement::Statement(sql) = &mut statement else { return None };
    let Sql::Query(query) = sql.as_mut() else { return None };
    if query.order_by.is_some() {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, with) if by.is_empty() && with.is_empty());
    // A bare column beside them proves that no item is an aggregate: dropping one changes no row.
    let plain = select.projection.iter().any(|item| matches!(item, SelectItem::UnnamedExpr(Expr::Identifier(_))));
    if grouped || !plain || select.distinct.is_some() || select.having.is_some() || select.qualify.is_some() {
        return None;
    }
    let is_wanted = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(Expr::Identifier(column)) => wanted.names(&column.value),
        SelectItem::ExprWithAlias { expr, alias } => wanted.names(&alias.value) || makes_rows(expr),
        _ => true,
    };
    let all = select.projection.len();
    match select.projection.iter().any(is_wanted) {
        true => select.projection.retain(is_wanted),
        false => select.projection.truncate(1), // Its rows are counted.
    }
    (select.projection.len() < all).then_some(statement)
}

fn makes_rows(expr: &Expr) -> bool {
    expr.to_string().to_ascii_lowercase().contains("unnest")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sql::{Names, parse};

    const VIEW: &str =
        r#"SELECT "Billed", coalesce("Provider", "Host") AS "Provider", "Tags", 1 AS one FROM cost_line"#;

    fn cut(question: &str, view: &str) -> String {
        let names = Names::new(["Billed", "Provider", "Host", "Tags", "one"]);
        let wanted = Wanted::of(&parse(question, &names, &[]).unwrap());
        let view = parse(view, &names, &[]).unwrap();
        narrow(&view, &wanted).unwrap_or(view).to_string()
    }

    fn whole(view: &str) -> String {
        parse(view, &Names::new(["Billed", "Provider", "Host", "Tags", "one"]), &[]).unwrap().to_string()
    }

    #[test]
    fn a_view_is_cut_to_what_is_named() {
        assert_eq!(cut("SELECT sum(billed) * 2 FROM v", VIEW), r#"SELECT "Billed" FROM cost_line"#);
        let two = r#"SELECT coalesce("Provider", "Host") AS "Provider", "Tags" FROM cost_line"#;
        assert_eq!(cut("SELECT tags FROM v WHERE v.provider = 'x' GROUP BY ALL", VIEW), two);
        assert_eq!(cut("SELECT count(*) FROM v", VIEW), r#"SELECT "Billed" FROM cost_line"#);
        assert_eq!(cut("SELECT x.one FROM (SELECT one FROM v) x", VIEW), "SELECT 1 AS one FROM cost_line");
    }

    #[test]
    fn what_may_name_any_column_keeps_the_view_whole() {
        for question in [
            "SELECT * FROM v",
            "SELECT v.* FROM v",
            "SELECT one, * FROM v",
            "SELECT DISTINCT * FROM v",
            "SELECT one FROM v NATURAL JOIN w",
            "SELECT one FROM (SELECT * FROM v)",
            "SELECT count(*), (SELECT max(x) FROM (SELECT * FROM v) y) FROM v",
            "SELECT * EXCEPT (one) FROM v",
            "FROM v",
        ] {
            assert_eq!(cut(question, VIEW), whole(VIEW), "{question}");
        }
    }

    #[test]
    fn what_is_not_a_plain_list_of_columns_stays_whole() {
        for view in [
            "SELECT DISTINCT one, Tags FROM cost_line",
            "SELECT one, count(*) AS Tags FROM cost_line GROUP BY one",
            "SELECT sum(x) AS Tags, 1 AS one FROM cost_line",
            "SELECT one, Tags FROM cost_line ORDER BY Tags LIMIT 3",
            "SELECT one, Tags FROM cost_line UNION ALL SELECT 1, 2",
        ] {
            assert_eq!(cut("SELECT one FROM v", view), whole(view), "{view}");
        }
        assert_eq!(
            cut("SELECT Billed FROM v", "SELECT Billed, unnest(a) AS Tags, one FROM t"),
            "SELECT Billed, unnest(a) AS Tags FROM t",
            "what makes rows stays"
        );
    }
}
