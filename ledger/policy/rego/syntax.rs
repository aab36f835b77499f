//! Rego as a tree. Every part knows its place in the source; that is what the repairs are made of.

use std::ops::Range;

/// One source: a package with its rules.
#[derive(Debug, Clone)]
pub struct Module {
    /// `data.` and the package's path: `["lib", "exempt"]`.
    pub package: Vec<String>,
    /// Its imports.
    pub imports: Vec<Import>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// `import data.lib.x as y`.
#[derive(Debug, Clone)]
pub struct Import {
    /// The path with its root: `["data", "lib", "x"]`.
    pub path: Vec<String>,
    /// The name it has here.
    pub name: String,
}

/// One rule as it is written; `{…} {…}` makes it several.
#[derive(Debug, Clone)]
pub struct Rule {
    /// First word of its name.
    pub name: String,
    /// From the name to the first body.
    pub head: Range<usize>,
    /// Arguments, keys and values of the head.
    pub terms: Vec<Term>,
    /// How many arguments it takes, if it is a function.
    pub arguments: Option<usize>,
    /// Its bodies: alternatives, and the `else` branches behind the first.
    pub bodies: Vec<Body>,
}

/// One body of a rule.
#[derive(Debug, Clone)]
pub struct Body {
    /// With its braces, or the literal behind `if`.
    pub span: Range<usize>,
    /// Whether it stands behind `else`.
    pub is_else: bool,
    /// The value of an `else`.
    pub value: Option<Term>,
    /// What must hold.
    pub literals: Vec<Literal>,
}

/// One line of a body.
#[derive(Debug, Clone)]
pub struct Literal {
    /// From its first token to its last.
    pub span: Range<usize>,
    /// What it says.
    pub says: Says,
    /// Target and value of each `with`.
    pub with: Vec<(Term, Term)>,
    /// The text of all `with`, if there are any.
    pub with_span: Option<Range<usize>>,
    /// Whether a `;` stands behind it.
    pub is_ended: bool,
}

/// What a literal says.
#[derive(Debug, Clone)]
pub enum Says {
    /// An expression.
    Holds(Term),
    /// `not` and an expression.
    Not(Term),
    /// `some a, b`, or `some k, v in xs` with the collection last.
    Some(Vec<Term>),
    /// `every k, v in xs { … }`.
    Every { names: Vec<String>, domain: Term, body: Vec<Literal> },
}

/// An expression with its place.
#[derive(Debug, Clone)]
pub struct Term {
    /// Where it stands; brackets around it are not part of it.
    pub span: Range<usize>,
    /// What it is.
    pub is: Is,
}

/// What an expression is.
#[derive(Debug, Clone)]
pub enum Is {
    /// A number, `true`, `false`, `null`.
    Scalar,
    /// A string, without its quotes if it needs no unescaping of more than `\\` and `\"`.
    Text(String),
    /// A name.
    Name(String),
    /// `head.step[step]`.
    Ref(Box<Term>, Vec<Step>),
    /// `f(a, b)`; the path of the function.
    Call(Vec<String>, Vec<Term>),
    /// `a op b`.
    Infix(String, Box<Term>, Box<Term>),
    /// An array, a set, or an object's keys and values one behind the other.
    Many(Vec<Term>),
    /// A comprehension: what is collected, and its body.
    Collect(Vec<Term>, Vec<Literal>),
}

/// One step of a reference.
#[derive(Debug, Clone)]
pub enum Step {
    /// `.name`.
    Dot(String),
    /// `[term]`.
    Index(Term),
}

impl Term {
    /// The path of names that this reference begins with: `input.review.kind[x]` is `input`, `review`, `kind`.
    pub fn path(&self) -> Vec<&str> {
        match &self.is {
            Is::Name(name) => vec![name.as_str()],
            Is::Ref(head, steps) => {
                let mut path = head.path();
                // What begins with a value or a call begins with no name.
                let steps: &[Step] = if path.is_empty() { &[] } else { steps.as_slice() };
                for step in steps {
                    match step {
                        Step::Dot(name) => path.push(name),
                        Step::Index(Term { is: Is::Text(name), .. }) => path.push(name),
                        Step::Index(_) => break,
                    }
                }
                path
            }
            _ => Vec::new(),
        }
    }

    /// Calls `each` with this term and every term and literal below it.
    pub fn walk<'a>(&'a self, each: &mut dyn FnMut(&'a Term)) {
        each(self);
        match &self.is {
            Is::Scalar | Is::Text(_) | Is::Name(_) => {}
            Is::Ref(head, steps) => {
                head.walk(each);
                for step in steps {
                    if let Step::Index(term) = step {
                        term.walk(each);
                    }
                }
            }
            Is::Call(_, terms) | Is::Many(terms) => terms.iter().for_each(|t| t.walk(each)),
            Is::Infix(_, left, right) => {
                left.walk(each);
                right.walk(each);
            }
            Is::Collect(terms, body) => {
                terms.iter().for_each(|t| t.walk(each));
                body.iter().for_each(|l| l.walk(each));
            }
        }
    }
}

impl Literal {
    /// Calls `each` with every term below.
    pub fn walk<'a>(&'a self, each: &mut dyn FnMut(&'a Term)) {
        match &self.says {
            Says::Holds(term) | Says::Not(term) => term.walk(each),
            Says::Some(terms) => terms.iter().for_each(|t| t.walk(each)),
            Says::Every { domain, body, .. } => {
                domain.walk(each);
                body.iter().for_each(|l| l.walk(each));
            }
        }
        for (target, value) in &self.with {
            target.walk(each);
            value.walk(each);
        }
    }
}

impl Rule {
    /// Calls `each` with every term of head and bodies.
    pub fn walk<'a>(&'a self, each: &mut dyn FnMut(&'a Term)) {
        self.terms.iter().for_each(|t| t.walk(each));
        for body in &self.bodies {
            body.value.iter().for_each(|t| t.walk(each));
            body.literals.iter().for_each(|l| l.walk(each));
        }
    }

    /// Calls `each` with every list of literals, the innermost too.
    pub fn bodies_within<'a>(&'a self, each: &mut dyn FnMut(&'a [Literal])) {
        for body in &self.bodies {
            lists(&body.literals, each);
        }
        let mut found = Vec::new();
        let heads = self.terms.iter().chain(self.bodies.iter().filter_map(|b| b.value.as_ref()));
        heads.for_each(|t| t.walk(&mut |t| found.push(t)));
        found.into_iter().for_each(|t| collected(t, each));
    }
}

fn lists<'a>(literals: &'a [Literal], each: &mut dyn FnMut(&'a [Literal])) {
    each(literals);
    for literal in literals {
        if let Says::Every { body, .. } = &literal.says {
            lists_without_terms(body, each);
        }
        let mut found = Vec::new();
        literal.walk(&mut |t| found.push(t));
        found.into_iter().for_each(|t| collected(t, each));
    }
}

/// The lists of nested `every`; their terms are walked with the outermost literal.
fn lists_without_terms<'a>(literals: &'a [Literal], each: &mut dyn FnMut(&'a [Literal])) {
    each(literals);
    for literal in literals {
        if let Says::Every { body, .. } = &literal.says {
            lists_without_terms(body, each);
        }
    }
}

fn collected<'a>(term: &'a Term, each: &mut dyn FnMut(&'a [Literal])) {
    if let Is::Collect(_, body) = &term.is {
        lists_without_terms(body, each);
    }
}
