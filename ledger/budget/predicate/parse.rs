//! From SQL to a checked predicate: columns exist, kinds agree, nothing is asked or computed elsewhere.

use engine::datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value,
};
use engine::datafusion::sql::sqlparser::parser::Parser;
use engine::datafusion::sql::sqlparser::tokenizer::Token;
use engine::sql::dialect::StellwerkDialect;
use engine::{Error, Result};

use super::{Node, Pattern, Sign, Term};
use crate::budget::attributes::{Scalar, Sort, declared, place};
use crate::decimal;

/// Bytes of a predicate.
const TEXT_BYTES_MAX: usize = 8_192;
/// Parts of a predicate: each costs a step at every request.
const PARTS_MAX: usize = 512;
/// How deep it nests.
const DEPTH_MAX: usize = 48;

fn wrong(why: impl std::fmt::Display) -> Error {
    Error::invalid(format!("the scope is no predicate: {why}"))
}

/// Parses and checks.
pub fn parse(text: &str) -> Result<Node> {
    if text.trim().is_empty() {
        return Err(wrong("it is empty; TRUE holds for everything"));
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(wrong(format!("it has more than {TEXT_BYTES_MAX} bytes")));
    }
    let mut parser =
        Parser::new(&StellwerkDialect).with_recursion_limit(DEPTH_MAX).try_with_sql(text).map_err(wrong)?;
    let expression = parser.parse_expr().map_err(wrong)?;
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        return Err(wrong(format!("{} follows behind it", rest.token)));
    }
    let mut reading = Reading { parts: 0 };
    reading.node(&expression)
}

struct Reading {
    parts: usize,
}

impl Reading {
    fn count(&mut self, more: usize) -> Result<()> {
        self.parts += more;
        if self.parts > PARTS_MAX {
            return Err(wrong(format!("it has more than {PARTS_MAX} parts")));
        }
        Ok(())
    }

    fn node(&mut self, expression: &Expr) -> Result<Node> {
        self.count(1)?;
        match expression {
            Expr::Nested(inner) => self.node(inner),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => Ok(Node::Not(Box::new(self.node(expr)?))),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                Ok(Node::All(vec![self.node(left)?, self.node(right)?]))
            }
            Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
                Ok(Node::Any(vec![self.node(left)?, self.node(right)?]))
            }
            Expr::BinaryOp { left, op, right } if sign(op).is_some() => {
                let sign = sign(op).expect("the guard asked");
                self.compare(left, sign, right)
            }
            Expr::InList { expr, list, negated } => {
                let (term, sort) = self.term(expr)?;
                self.count(list.len())?;
                let mut values = Vec::with_capacity(list.len());
                let mut has_null = false;
                for item in list {
                    match self.term(item)? {
                        (Term::Literal(None), _) => has_null = true,
                        (Term::Literal(Some(value)), of) => {
                            alike(sort, of, expression)?;
                            values.push(value);
                        }
                        _ => return Err(wrong(format!("{item} in a list is no literal"))),
                    }
                }
                Ok(turned(Node::In(term, values, has_null), *negated))
            }
            Expr::Between { expr, negated, low, high } => {
                let both = Node::All(vec![
                    self.compare(expr, Sign::GreaterOrEqual, low)?,
                    self.compare(expr, Sign::LessOrEqual, high)?,
                ]);
                Ok(turned(both, *negated))
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                self.like(expr, pattern, false).map(|node| turned(node, *negated))
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                self.like(expr, pattern, true).map(|node| turned(node, *negated))
            }
            Expr::IsNull(inner) => Ok(Node::IsNull(self.term(inner)?.0)),
            Expr::IsNotNull(inner) => Ok(Node::Not(Box::new(Node::IsNull(self.term(inner)?.0)))),
            Expr::IsTrue(inner) => self.is(inner, Some(true), false),
            Expr::IsNotTrue(inner) => self.is(inner, Some(true), true),
            Expr::IsFalse(inner) => self.is(inner, Some(false), false),
            Expr::IsNotFalse(inner) => self.is(inner, Some(false), true),
            Expr::IsUnknown(inner) => self.is(inner, None, false),
            Expr::IsNotUnknown(inner) => self.is(inner, None, true),
            Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
                Err(wrong("it asks another question (a subquery); a scope sees one charge at a time"))
            }
            other => match self.term(other)? {
                (term, Some(Sort::Truth) | None) => Ok(Node::Bare(term)),
                (_, Some(sort)) => Err(wrong(format!("{other} is {sort:?}, which is neither true nor false"))),
            },
        }
    }

    fn is(&mut self, inner: &Expr, wanted: Option<bool>, negated: bool) -> Result<Node> {
        Ok(turned(Node::Is(Box::new(self.node(inner)?), wanted), negated))
    }

    fn compare(&mut self, left: &Expr, sign: Sign, right: &Expr) -> Result<Node> {
        self.count(1)?;
        let (left_term, left_sort) = self.term(left)?;
        let (right_term, right_sort) = self.term(right)?;
        if differ(left_sort, right_sort) {
            return Err(wrong(format!("{left} and {right} hold different things: they cannot be compared")));
        }
        if [left_sort, right_sort].contains(&Some(Sort::Document)) {
            return Err(wrong(format!("{left} is a JSON document: name a member of it, {left} ->> 'key'")));
        }
        Ok(Node::Compare(left_term, sign, right_term))
    }

    fn like(&mut self, term: &Expr, pattern: &Expr, fold: bool) -> Result<Node> {
        let (term_read, sort) = self.term(term)?;
        alike(sort, Some(Sort::Text), term)?;
        match self.term(pattern)?.0 {
            // What a backslash escapes differs between databases.
            Term::Literal(Some(Scalar::Text(text))) if !text.contains('\\') => {
                self.count(text.len() / 16)?;
                Ok(Node::Like { term: term_read, pattern: Pattern::new(&text), fold })
            }
            _ => Err(wrong(format!("the pattern {pattern} is no text without a backslash"))),
        }
    }

    /// A term, and what it holds; null holds anything.
    fn term(&mut self, expression: &Expr) -> Result<(Term, Option<Sort>)> {
        self.count(1)?;
        match expression {
            Expr::Nested(inner) => self.term(inner),
            Expr::Identifier(name) => {
                let at = place(&name.value)?;
                Ok((Term::Column(at), Some(declared()[usize::from(at)].sort)))
            }
            Expr::Value(value) => constant(&value.value),
            Expr::UnaryOp { op: op @ (UnaryOperator::Minus | UnaryOperator::Plus), expr } => match self.term(expr)? {
                (Term::Literal(Some(Scalar::Number(units))), sort) => {
                    let units = if *op == UnaryOperator::Minus { -units } else { units };
                    Ok((Term::Literal(Some(Scalar::Number(units))), sort))
                }
                _ => Err(wrong(format!("{expression} is no number"))),
            },
            Expr::BinaryOp { left, op: BinaryOperator::LongArrow, right } => {
                match (self.term(left)?, self.term(right)?) {
                    ((Term::Column(at), Some(Sort::Document)), (Term::Literal(Some(Scalar::Text(key))), _)) => {
                        Ok((Term::Member(at, key), Some(Sort::Text)))
                    }
                    _ => Err(wrong(format!("{expression} is no member of a JSON column: Tags ->> 'team' is"))),
                }
            }
            Expr::Function(function) => self.function(function),
            Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
                Err(wrong("it asks another question (a subquery); a scope sees one charge at a time"))
            }
            other => Err(wrong(format!("{other} is not understood here: a scope compares columns with literals"))),
        }
    }

    fn function(&mut self, function: &Function) -> Result<(Term, Option<Sort>)> {
        let name = function.name.to_string().to_ascii_lowercase();
        let refused = || {
            wrong(format!(
                "the function {name} is not for scopes; lower and upper are: what a charge is must not depend on when or where it is asked"
            ))
        };
        let plain = function.over.is_none() && function.filter.is_none() && function.within_group.is_empty();
        let FunctionArguments::List(list) = &function.args else { return Err(refused()) };
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] = list.args.as_slice() else {
            return Err(refused());
        };
        if !plain || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            return Err(refused());
        }
        let wrap = match name.as_str() {
            "lower" => Term::Lower,
            "upper" => Term::Upper,
            _ => return Err(refused()),
        };
        let (term, sort) = self.term(argument)?;
        alike(sort, Some(Sort::Text), argument)?;
        Ok((wrap(Box::new(term)), Some(Sort::Text)))
    }
}

/// Whether both kinds are known and differ.
fn differ(left: Option<Sort>, right: Option<Sort>) -> bool {
    left.is_some() && right.is_some() && left != right
}

fn alike(left: Option<Sort>, right: Option<Sort>, at: &Expr) -> Result<()> {
    match (left, right) {
        (Some(left), Some(right)) if left != right => Err(wrong(format!("{at} mixes {left:?} and {right:?}"))),
        _ => Ok(()),
    }
}

fn turned(node: Node, negated: bool) -> Node {
    if negated { Node::Not(Box::new(node)) } else { node }
}

fn sign(op: &BinaryOperator) -> Option<Sign> {
    Some(match op {
        BinaryOperator::Eq => Sign::Equal,
        BinaryOperator::NotEq => Sign::NotEqual,
        BinaryOperator::Lt => Sign::Less,
        BinaryOperator::LtEq => Sign::LessOrEqual,
        BinaryOperator::Gt => Sign::Greater,
        BinaryOperator::GtEq => Sign::GreaterOrEqual,
        _ => return None,
    })
}

fn constant(value: &Value) -> Result<(Term, Option<Sort>)> {
    let (scalar, sort) = match value {
        Value::Null => return Ok((Term::Literal(None), None)),
        Value::Boolean(truth) => (Scalar::Truth(*truth), Sort::Truth),
        Value::SingleQuotedString(text) => (Scalar::Text(text.as_str().into()), Sort::Text),
        Value::Number(text, _) => {
            let number = decimal::parse(text).map_err(|why| wrong(format!("{text} {why}")))?;
            if !number.exact {
                return Err(wrong(format!("{text} has more than 18 decimals")));
            }
            (Scalar::Number(number.units), Sort::Number)
        }
        other => return Err(wrong(format!("{other} is no literal that a scope knows"))),
    };
    Ok((Term::Literal(Some(scalar)), Some(sort)))
}
