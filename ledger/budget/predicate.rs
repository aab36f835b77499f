//! A budget's scope: a SQL predicate over what is charged. Parsed and checked once; a request is then held against it in
//! memory, without SQL, and the bill's lines by the SQL that it is written back as. Both mean the same: three truth
//! values, and only what is true is in the scope.

mod parse;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use engine::Result;

use super::attributes::{Attributes, Scalar, declared};

/// A checked predicate.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {
    node: Node,
}

/// A truth value of SQL: null is unknown.
type Truth = Option<bool>;

#[derive(Debug, Clone, PartialEq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// A comparison; the right side is a literal or another column.
    Compare(Term, Sign, Term),
    /// Whether the term is one of these; the flag says whether null was among them.
    In(Term, Vec<Scalar>, bool),
    Like {
        term: Term,
        pattern: Pattern,
        fold: bool,
    },
    IsNull(Term),
    /// Whether the node is this truth value: `IS TRUE`, `IS NOT FALSE` …
    Is(Box<Node>, Truth),
    /// A column of truth values, or TRUE, FALSE and NULL.
    Bare(Term),
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Column(u16),
    Member(u16, Arc<str>),
    Literal(Option<Scalar>),
    Lower(Box<Term>),
    Upper(Box<Term>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A pattern of LIKE: `%` is any text, `_` one character.
#[derive(Debug, Clone, PartialEq)]
struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Any,
    One,
    Char(char),
}

impl Predicate {
    /// Parses a predicate. The error says what is no predicate about it.
    pub fn parse(text: &str) -> Result<Predicate> {
        parse::parse(text).map(|node| Predicate { node })
    }

    /// The predicate that holds for everything.
    pub fn everything() -> Predicate {
        Predicate { node: Node::Bare(Term::Literal(Some(Scalar::Truth(true)))) }
    }

    /// Whether the request is in the scope.
    pub fn matches(&self, attributes: &Attributes) -> bool {
        self.node.truth(attributes) == Some(true)
    }

    /// A column, and the text that must stand in it for the predicate to hold, if it asks for one.
    pub(super) fn asks(&self) -> Option<(u16, &Arc<str>)> {
        self.node.asks()
    }

    /// Whether cost lines have every column that it names; only then can the bill be held against it.
    pub fn reads_ledger(&self) -> bool {
        let mut all = true;
        self.node.each_column(&mut |at| all &= declared()[usize::from(at)].in_ledger);
        all
    }

    /// The same predicate as SQL, with every name quoted.
    pub fn sql(&self) -> String {
        let mut sql = String::new();
        self.node.write(&mut sql);
        sql
    }
}

impl Node {
    fn asks(&self) -> Option<(u16, &Arc<str>)> {
        match self {
            Node::All(nodes) => nodes.iter().find_map(Node::asks),
            Node::Compare(Term::Column(at), Sign::Equal, Term::Literal(Some(Scalar::Text(text))))
            | Node::Compare(Term::Literal(Some(Scalar::Text(text))), Sign::Equal, Term::Column(at)) => {
                Some((*at, text))
            }
            _ => None,
        }
    }

    fn truth(&self, row: &Attributes) -> Truth {
        match self {
            Node::All(nodes) => {
                let mut known = Some(true);
                for node in nodes {
                    match node.truth(row) {
                        Some(false) => return Some(false),
                        None => known = None,
                        Some(true) => {}
                    }
                }
                known
            }
            Node::Any(nodes) => {
                let mut known = Some(false);
                for node in nodes {
                    match node.truth(row) {
                        Some(true) => return Some(true),
                        None => known = None,
                        Some(false) => {}
                    }
                }
                known
            }
            Node::Not(node) => node.truth(row).map(|truth| !truth),
            Node::Compare(left, sign, right) => compare(*sign, &left.value(row)?, &right.value(row)?),
            Node::In(term, list, has_null) => {
                let value = term.value(row)?;
                match list.iter().any(|item| value.is(item)) {
                    true => Some(true),
                    false => (!has_null).then_some(false),
                }
            }
            Node::Like { term, pattern, fold } => match term.value(row)? {
                Value::Text(text) => Some(pattern.matches(&text, *fold)),
                Value::Number(_) | Value::Truth(_) => None,
            },
            Node::IsNull(term) => Some(term.value(row).is_none()),
            Node::Is(node, wanted) => Some(node.truth(row) == *wanted),
            Node::Bare(term) => match term.value(row)? {
                Value::Truth(truth) => Some(truth),
                Value::Text(_) | Value::Number(_) => None,
            },
        }
    }

    fn each_column(&self, take: &mut impl FnMut(u16)) {
        match self {
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().for_each(|node| node.each_column(take)),
            Node::Not(node) | Node::Is(node, _) => node.each_column(take),
            Node::Compare(left, _, right) => [left, right].into_iter().for_each(|term| term.each_column(take)),
            Node::In(term, ..) | Node::Like { term, .. } | Node::IsNull(term) | Node::Bare(term) => {
                term.each_column(take)
            }
        }
    }

    fn write(&self, sql: &mut String) {
        match self {
            Node::All(nodes) => joined(sql, nodes, " AND "),
            Node::Any(nodes) => joined(sql, nodes, " OR "),
            Node::Not(node) => {
                sql.push_str("(NOT ");
                node.write(sql);
                sql.push(')');
            }
            Node::Compare(left, sign, right) => {
                sql.push_str(&format!("({} {} {})", left.sql(), sign.sql(), right.sql()));
            }
            Node::In(term, list, has_null) => {
                let mut items: Vec<String> = list.iter().map(literal).collect();
                items.extend(has_null.then(|| "NULL".to_owned()));
                sql.push_str(&format!("({} IN ({}))", term.sql(), items.join(", ")));
            }
            Node::Like { term, pattern, fold } => {
                let word = if *fold { "ILIKE" } else { "LIKE" };
                sql.push_str(&format!("({} {word} {})", term.sql(), quoted(&pattern.text)));
            }
            Node::IsNull(term) => sql.push_str(&format!("({} IS NULL)", term.sql())),
            Node::Is(node, wanted) => {
                sql.push('(');
                node.write(sql);
                sql.push_str(match wanted {
                    Some(true) => " IS TRUE)",
                    Some(false) => " IS FALSE)",
                    None => " IS UNKNOWN)",
                });
            }
            Node::Bare(term) => sql.push_str(&term.sql()),
        }
    }
}

fn joined(sql: &mut String, nodes: &[Node], word: &str) {
    sql.push('(');
    for (at, node) in nodes.iter().enumerate() {
        if at > 0 {
            sql.push_str(word);
        }
        node.write(sql);
    }
    sql.push(')');
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn literal(value: &Scalar) -> String {
    match value {
        Scalar::Text(text) => quoted(text),
        Scalar::Number(units) => crate::decimal::text(*units),
        Scalar::Truth(truth) => truth.to_string().to_uppercase(),
    }
}

/// A value while a predicate is held against a request: borrowed where it can be.
enum Value<'a> {
    Text(std::borrow::Cow<'a, str>),
    Number(i128),
    Truth(bool),
}

impl Value<'_> {
    fn is(&self, item: &Scalar) -> bool {
        match (self, item) {
            (Value::Text(text), Scalar::Text(item)) => text.as_ref() == item.as_ref(),
            (Value::Number(number), Scalar::Number(item)) => number == item,
            (Value::Truth(truth), Scalar::Truth(item)) => truth == item,
            _ => false,
        }
    }
}

fn compare(sign: Sign, left: &Value<'_>, right: &Value<'_>) -> Truth {
    let order = match (left, right) {
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => left.cmp(right),
        (Value::Truth(left), Value::Truth(right)) => left.cmp(right),
        // The parser lets only like be compared with like.
        _ => return None,
    };
    Some(match sign {
        Sign::Equal => order.is_eq(),
        Sign::NotEqual => order.is_ne(),
        Sign::Less => order.is_lt(),
        Sign::LessOrEqual => order.is_le(),
        Sign::Greater => order.is_gt(),
        Sign::GreaterOrEqual => order.is_ge(),
    })
}

impl Sign {
    fn sql(self) -> &'static str {
        match self {
            Sign::Equal => "=",
            Sign::NotEqual => "<>",
            Sign::Less => "<",
            Sign::LessOrEqual => "<=",
            Sign::Greater => ">",
            Sign::GreaterOrEqual => ">=",
        }
    }
}

impl Term {
    fn value<'a>(&'a self, row: &'a Attributes) -> Option<Value<'a>> {
        match self {
            Term::Column(at) => row.get(*at).map(shown),
            Term::Member(at, key) => row.member(*at, key).map(|text| Value::Text(text.into())),
            Term::Literal(value) => value.as_ref().map(shown),
            Term::Lower(term) => folded(term.value(row)?, str::to_lowercase),
            Term::Upper(term) => folded(term.value(row)?, str::to_uppercase),
        }
    }

    fn each_column(&self, take: &mut impl FnMut(u16)) {
        match self {
            Term::Column(at) | Term::Member(at, _) => take(*at),
            Term::Literal(_) => {}
            Term::Lower(term) | Term::Upper(term) => term.each_column(take),
        }
    }

    fn sql(&self) -> String {
        let name = |at: &u16| format!("\"{}\"", declared()[usize::from(*at)].name);
        match self {
            Term::Column(at) => name(at),
            Term::Member(at, key) => format!("({} ->> {})", name(at), quoted(key)),
            Term::Literal(None) => "NULL".to_owned(),
            Term::Literal(Some(value)) => literal(value),
            Term::Lower(term) => format!("lower({})", term.sql()),
            Term::Upper(term) => format!("upper({})", term.sql()),
        }
    }
}

fn shown(value: &Scalar) -> Value<'_> {
    match value {
        Scalar::Text(text) => Value::Text(text.as_ref().into()),
        Scalar::Number(number) => Value::Number(*number),
        Scalar::Truth(truth) => Value::Truth(*truth),
    }
}

fn folded<'a>(value: Value<'a>, fold: impl Fn(&str) -> String) -> Option<Value<'a>> {
    match value {
        Value::Text(text) => Some(Value::Text(fold(&text).into())),
        Value::Number(_) | Value::Truth(_) => None,
    }
}

impl Pattern {
    fn new(text: &str) -> Pattern {
        let part = |c| match c {
            '%' => Part::Any,
            '_' => Part::One,
            c => Part::Char(c),
        };
        Pattern { text: text.to_owned(), parts: text.chars().map(part).collect() }
    }

    /// Greedy with one place to return to: time grows with text × pattern at worst, never exponentially.
    fn matches(&self, text: &str, fold: bool) -> bool {
        let same = |a: char, b: char| a == b || (fold && a.to_lowercase().eq(b.to_lowercase()));
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut part) = (0, 0);
        let mut back: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.parts.get(part) {
                Some(Part::Any) => {
                    back = Some((part, at));
                    part += 1;
                    continue;
                }
                Some(Part::One) => {}
                Some(Part::Char(c)) if same(*c, text[at]) => {}
                _ => {
                    let Some((any, from)) = back else { return false };
                    back = Some((any, from + 1));
                    (part, at) = (any + 1, from + 1);
                    continue;
                }
            }
            at += 1;
            part += 1;
        }
        self.parts[part..].iter().all(|part| *part == Part::Any)
    }
}
