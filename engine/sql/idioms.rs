//! Idioms of other databases that FOCUS's published queries use, put into words that the planner knows.

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::tokenizer::TokenWithSpan;

/// Changes to the words before they are parsed.
pub(crate) fn tokens(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    tokens
}

/// Changes to the parsed statement.
pub(crate) fn rewrite(statement: &mut Statement) {
    let _ = statement;
}
