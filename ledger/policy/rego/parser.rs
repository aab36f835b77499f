//! Rego's grammar, v0 and v1 alike: enough to know what a source says, with the places where it says it.

use std::ops::Range;

use super::lexer::{Kind, Token, line, tokens};
use super::syntax::{Body, Import, Is, Literal, Module, Rule, Says, Step, Term};

/// Expressions inside expressions beyond this depth are refused; the recursion must end before the stack does.
const DEPTH_MAX: usize = 200;

/// Reads a source; the error names the line.
pub fn parse(source: &str) -> Result<Module, String> {
    let mut parser = Parser { source, tokens: tokens(source)?, at: 0, depth: 0 };
    parser.module()
}

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, String>;

/// The sign of `k, v in xs`, whose right side is `v in xs`.
pub const MEMBER_WITH_KEY: &str = "in,";

const RELATIONS: [&str; 6] = ["==", "!=", "<=", ">=", "<", ">"];

impl Parser<'_> {
    fn token(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn ahead(&self, by: usize) -> &Token {
        &self.tokens[(self.at + by).min(self.tokens.len() - 1)]
    }

    fn text(&self) -> &str {
        &self.source[self.token().span.clone()]
    }

    fn text_ahead(&self, by: usize) -> &str {
        &self.source[self.ahead(by).span.clone()]
    }

    fn is(&self, text: &str) -> bool {
        self.token().kind != Kind::Text && self.text() == text
    }

    fn start(&self) -> usize {
        self.token().span.start
    }

    /// Where the token before ends.
    fn end(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |at| self.tokens[at].span.end)
    }

    fn next(&mut self) {
        self.at += 1;
    }

    fn take(&mut self, text: &str) -> bool {
        let is = self.is(text);
        self.at += usize::from(is);
        is
    }

    fn fail<T>(&self, expected: &str) -> Parsed<T> {
        let found = if self.token().kind == Kind::End { "the end".to_owned() } else { format!("`{}`", self.text()) };
        Err(format!("line {}: expected {expected}, found {found}", line(self.source, self.start())))
    }

    fn expect(&mut self, text: &str) -> Parsed<()> {
        if self.take(text) { Ok(()) } else { self.fail(&format!("`{text}`")) }
    }

    fn word(&mut self) -> Parsed<String> {
        if self.token().kind != Kind::Word {
            return self.fail("a name");
        }
        let word = self.text().to_owned();
        self.next();
        Ok(word)
    }

    fn module(&mut self) -> Parsed<Module> {
        self.expect("package")?;
        let package = self.dotted()?;
        let (mut imports, mut rules) = (Vec::new(), Vec::new());
        while self.token().kind != Kind::End {
            if self.take(";") {
                continue;
            }
            if self.is("import") && self.ahead(1).kind == Kind::Word {
                self.next();
                let path = self.dotted()?;
                let last = path.last().cloned().unwrap_or_default();
                let name = if self.take("as") { self.word()? } else { last };
                imports.push(Import { path, name });
            } else {
                rules.push(self.rule()?);
            }
        }
        Ok(Module { package, imports, rules })
    }

    /// `a.b["c"]`.
    fn dotted(&mut self) -> Parsed<Vec<String>> {
        let mut path = vec![self.word()?];
        loop {
            if self.is(".") && !self.token().after_space {
                self.next();
                path.push(self.word()?);
            } else if self.is("[") && !self.token().after_space {
                self.next();
                let Is::Text(name) = self.scalar()?.is else { return self.fail("a string") };
                path.push(name);
                self.expect("]")?;
            } else {
                return Ok(path);
            }
        }
    }

    fn rule(&mut self) -> Parsed<Rule> {
        let start = self.start();
        let is_default = self.is("default") && self.ahead(1).kind == Kind::Word;
        if is_default {
            self.next();
        }
        let name = self.word()?;
        let (mut terms, mut arguments) = (Vec::new(), None);
        loop {
            match self.text() {
                "." if !self.token().after_space => {
                    self.next();
                    self.word()?;
                }
                "[" if !self.token().after_space => {
                    self.next();
                    terms.push(self.infix(false)?);
                    self.expect("]")?;
                }
                "(" if !self.token().after_space => {
                    self.next();
                    let given = self.list(")")?;
                    arguments = Some(given.len());
                    terms.extend(given);
                }
                _ => break,
            }
        }
        if self.is("contains") && !self.token().after_newline {
            self.next();
            terms.push(self.infix(false)?);
        }
        if self.is("=") || self.is(":=") {
            self.next();
            terms.push(self.infix(false)?);
        }
        let head = start..self.end();
        let bodies = if is_default { Vec::new() } else { self.bodies()? };
        Ok(Rule { name, head, terms, arguments, bodies })
    }

    fn bodies(&mut self) -> Parsed<Vec<Body>> {
        let mut bodies = Vec::new();
        let has_if = self.is("if") && !self.token().after_newline;
        if has_if || self.is("{") {
            bodies.push(self.body(false, None)?);
        }
        while !bodies.is_empty() && !has_if && self.is("{") {
            bodies.push(self.body(false, None)?);
        }
        while !bodies.is_empty() && self.is("else") {
            self.next();
            let value = if self.take("=") || self.take(":=") { Some(self.infix(false)?) } else { None };
            if self.is("if") || self.is("{") {
                bodies.push(self.body(true, value)?);
            } else {
                let at = self.end();
                bodies.push(Body { span: at..at, is_else: true, value, literals: Vec::new() });
            }
        }
        Ok(bodies)
    }

    /// `{ … }`, `if { … }`, or `if` and one literal.
    fn body(&mut self, is_else: bool, value: Option<Term>) -> Parsed<Body> {
        let start = self.start();
        let has_if = self.take("if");
        let literals = if has_if && !self.opens_query() { vec![self.literal()?] } else { self.query()? };
        Ok(Body { span: start..self.end(), is_else, value, literals })
    }

    /// Whether a brace opens a query: behind `if` it could be an object or a comprehension, which nobody writes there.
    fn opens_query(&self) -> bool {
        self.is("{")
    }

    /// `{ literals }`.
    fn query(&mut self) -> Parsed<Vec<Literal>> {
        self.expect("{")?;
        let literals = self.literals("}")?;
        self.expect("}")?;
        Ok(literals)
    }

    fn literals(&mut self, end: &str) -> Parsed<Vec<Literal>> {
        let mut literals: Vec<Literal> = Vec::new();
        while self.take(";") {}
        while !self.is(end) {
            if self.token().kind == Kind::End {
                return self.fail(&format!("`{end}`"));
            }
            if literals.last().is_some_and(|l| !l.is_ended) && !self.token().after_newline {
                return self.fail("a new line, `;` or the end of the body");
            }
            let mut literal = self.literal()?;
            while self.take(";") {
                literal.is_ended = true;
            }
            literals.push(literal);
        }
        Ok(literals)
    }

    fn literal(&mut self) -> Parsed<Literal> {
        let start = self.start();
        let is_word_next = self.ahead(1).kind == Kind::Word;
        let says = if self.is("not") && !matches!(self.text_ahead(1), "=" | ":=" | "==" | ".") {
            self.next();
            Says::Not(self.expression()?)
        } else if self.is("some") && (is_word_next || matches!(self.text_ahead(1), "[" | "{")) {
            self.next();
            Says::Some(self.declared()?)
        } else if self.is("every") && is_word_next {
            self.next();
            let mut names = vec![self.word()?];
            if self.take(",") {
                names.push(self.word()?);
            }
            self.expect("in")?;
            let domain = self.infix(false)?;
            Says::Every { names, domain, body: self.query()? }
        } else {
            Says::Holds(self.expression()?)
        };
        let (mut with, with_start) = (Vec::new(), self.start());
        while self.is("with") && self.ahead(1).kind == Kind::Word {
            self.next();
            let target = self.postfix()?;
            self.expect("as")?;
            with.push((target, self.infix(false)?));
        }
        let with_span = (!with.is_empty()).then(|| with_start..self.end());
        Ok(Literal { span: start..self.end(), says, with, with_span, is_ended: false })
    }

    /// What follows `some`.
    fn declared(&mut self) -> Parsed<Vec<Term>> {
        let mut terms = vec![self.relation(false)?];
        while self.take(",") {
            terms.push(self.relation(false)?);
        }
        if self.take("in") {
            terms.push(self.infix(false)?);
        }
        Ok(terms)
    }

    /// An expression, an assignment or a unification.
    fn expression(&mut self) -> Parsed<Term> {
        // `k, v in xs` is a test of membership with the key.
        let mut left = self.infix(false)?;
        if self.is(",") && self.is_membership_with_key() {
            self.next();
            let value = self.infix(false)?;
            let span = left.span.start..value.span.end;
            left = Term { span, is: Is::Infix(MEMBER_WITH_KEY.to_owned(), Box::new(left), Box::new(value)) };
        }
        for sign in [":=", "="] {
            if self.take(sign) {
                let right = self.infix(false)?;
                let span = left.span.start..self.end();
                return Ok(Term { span, is: Is::Infix(sign.to_owned(), Box::new(left), Box::new(right)) });
            }
        }
        Ok(left)
    }

    fn is_membership_with_key(&self) -> bool {
        self.ahead(1).kind == Kind::Word && self.text_ahead(2) == "in"
    }

    /// The loosest operators: `in`, then relations. Without `|` inside brackets, where it begins a comprehension's body.
    fn infix(&mut self, in_brackets: bool) -> Parsed<Term> {
        let mut left = self.relation(in_brackets)?;
        while self.is("in") && self.token().kind == Kind::Word && !self.token().after_newline {
            left = self.joined(left, |p| p.relation(in_brackets))?;
        }
        Ok(left)
    }

    fn relation(&mut self, in_brackets: bool) -> Parsed<Term> {
        let mut left = self.union(in_brackets)?;
        while RELATIONS.iter().any(|r| self.is(r)) {
            left = self.joined(left, |p| p.union(in_brackets))?;
        }
        Ok(left)
    }

    fn union(&mut self, in_brackets: bool) -> Parsed<Term> {
        let mut left = self.intersection()?;
        while !in_brackets && self.is("|") {
            left = self.joined(left, Self::intersection)?;
        }
        Ok(left)
    }

    fn intersection(&mut self) -> Parsed<Term> {
        let mut left = self.sum()?;
        while self.is("&") {
            left = self.joined(left, Self::sum)?;
        }
        Ok(left)
    }

    fn sum(&mut self) -> Parsed<Term> {
        let mut left = self.product()?;
        while self.is("+") || self.is("-") {
            left = self.joined(left, Self::product)?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Parsed<Term> {
        let mut left = self.postfix()?;
        while self.is("*") || self.is("/") || self.is("%") {
            left = self.joined(left, Self::postfix)?;
        }
        Ok(left)
    }

    fn joined(&mut self, left: Term, right: impl FnOnce(&mut Self) -> Parsed<Term>) -> Parsed<Term> {
        let sign = self.text().to_owned();
        self.next();
        let right = right(self)?;
        let span = left.span.start..self.end();
        Ok(Term { span, is: Is::Infix(sign, Box::new(left), Box::new(right)) })
    }

    /// A term with the steps and calls behind it. A call and a step follow without a blank; otherwise a new literal begins.
    fn postfix(&mut self) -> Parsed<Term> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.fail(&format!("at most {DEPTH_MAX} expressions inside each other"));
        }
        let start = self.start();
        let mut term = self.operand()?;
        loop {
            let near = !self.token().after_space;
            match self.text() {
                "." if near => {
                    self.next();
                    let step = Step::Dot(self.word()?);
                    term = stepped(term, step, start..self.end());
                }
                "[" if near && self.token().kind == Kind::Mark => {
                    self.next();
                    let index = self.infix(false)?;
                    self.expect("]")?;
                    term = stepped(term, Step::Index(index), start..self.end());
                }
                "(" if near && !term.path().is_empty() => {
                    self.next();
                    let path = term.path().into_iter().map(str::to_owned).collect();
                    let arguments = self.list(")")?;
                    term = Term { span: start..self.end(), is: Is::Call(path, arguments) };
                }
                _ => break,
            }
        }
        self.depth -= 1;
        Ok(term)
    }

    fn operand(&mut self) -> Parsed<Term> {
        let start = self.start();
        let kind = self.token().kind;
        if kind == Kind::Mark {
            return match self.text() {
                "(" => {
                    self.next();
                    let inner = self.expression()?;
                    self.expect(")")?;
                    Ok(Term { span: start..self.end(), ..inner })
                }
                "-" => {
                    self.next();
                    let of = self.postfix()?;
                    Ok(Term { span: start..self.end(), is: Is::Many(vec![of]) })
                }
                "[" => self.brackets("]"),
                "{" => self.brackets("}"),
                _ => self.fail("an expression"),
            };
        }
        match (kind, self.text()) {
            (Kind::Word, "true" | "false" | "null") | (Kind::Number | Kind::Text, _) => self.scalar(),
            (Kind::Word, "set") if self.text_ahead(1) == "(" && self.text_ahead(2) == ")" => {
                (0..3).for_each(|_| self.next());
                Ok(Term { span: start..self.end(), is: Is::Many(Vec::new()) })
            }
            (Kind::Word, _) => {
                let name = self.word()?;
                Ok(Term { span: start..self.end(), is: Is::Name(name) })
            }
            _ => self.fail("an expression"),
        }
    }

    fn scalar(&mut self) -> Parsed<Term> {
        let span = self.token().span.clone();
        let is = match self.token().kind {
            Kind::Text => Is::Text(unquoted(self.text())),
            Kind::Number => Is::Scalar,
            Kind::Word if matches!(self.text(), "true" | "false" | "null") => Is::Scalar,
            _ => return self.fail("a value"),
        };
        self.next();
        Ok(Term { span, is })
    }

    /// An array, set, object or comprehension.
    fn brackets(&mut self, end: &str) -> Parsed<Term> {
        let start = self.start();
        self.next();
        let mut terms = Vec::new();
        while !self.is(end) {
            terms.push(self.infix(true)?);
            if self.take(":") {
                terms.push(self.infix(true)?);
            }
            if terms.len() <= 2 && self.is("|") {
                self.next();
                let body = self.literals(end)?;
                self.expect(end)?;
                return Ok(Term { span: start..self.end(), is: Is::Collect(terms, body) });
            }
            if !self.take(",") {
                break;
            }
        }
        self.expect(end)?;
        Ok(Term { span: start..self.end(), is: Is::Many(terms) })
    }

    fn list(&mut self, end: &str) -> Parsed<Vec<Term>> {
        let mut terms = Vec::new();
        while !self.is(end) {
            terms.push(self.infix(false)?);
            if !self.take(",") {
                break;
            }
        }
        self.expect(end)?;
        Ok(terms)
    }
}

fn stepped(term: Term, step: Step, span: Range<usize>) -> Term {
    match term.is {
        Is::Ref(head, mut steps) => {
            steps.push(step);
            Term { span, is: Is::Ref(head, steps) }
        }
        _ => Term { span, is: Is::Ref(Box::new(term), vec![step]) },
    }
}

/// The text of a string token.
fn unquoted(token: &str) -> String {
    let inner = &token[1..token.len() - 1];
    match token.starts_with('"') {
        true => serde_json::from_str(token).unwrap_or_else(|_| inner.to_owned()),
        false => inner.to_owned(),
    }
}
