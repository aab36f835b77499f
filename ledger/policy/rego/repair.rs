//! What OPA accepts and regorus reads differently, rewritten into what both read alike. Three rules, none of which knows
//! a policy:
//!
//! 1. *A line that begins with a bracket.* `a.b` and, on the next line, `(c - d) > e`: regorus calls `a.b`. A `;` parts them.
//! 2. *Several bodies.* `head { … } { … }` is two rules; regorus refuses it for sets. The head is written again.
//! 3. *Undefined inside `not`.* OPA evaluates what a negated call is given before the negation, so an argument that does not
//!    exist makes the rule undefined; regorus makes the negation true. The arguments are named in front of the `not`.
//!    Sides of `==` and `=` stay where they are, as in OPA; what stands in their brackets does not.

use std::ops::Range;

use super::parser::MEMBER_WITH_KEY;
use super::syntax::{Is, Literal, Module, Rule, Says, Step, Term};

/// How the names begin that hold what was taken out of a negation.
const NAME: &str = "_before_not_";

/// One change of the source: this place gets this text.
struct Edit {
    span: Range<usize>,
    text: String,
}

/// The source with every rule applied.
pub fn repair(source: &str, module: &Module) -> String {
    let mut edits = Vec::new();
    let mut negations = Vec::new();
    for rule in &module.rules {
        part_bodies(source, rule, &mut edits);
        rule.bodies_within(&mut |literals| {
            part_lines(source, literals, &mut edits);
            negations.extend(literals.iter().filter(|l| matches!(l.says, Says::Not(_))));
        });
    }
    // The innermost first: what an outer one takes out is already repaired inside.
    negations.sort_by_key(|literal| (literal.span.len(), literal.span.start));
    let mut names = Names { source, next: 0 };
    negations.into_iter().for_each(|literal| lift_arguments(source, literal, &mut names, &mut edits));
    apply(source, 0..source.len(), &edits)
}

/// Fresh names.
struct Names<'a> {
    source: &'a str,
    next: usize,
}

impl Names<'_> {
    fn fresh(&mut self) -> String {
        loop {
            self.next += 1;
            let name = format!("{NAME}{}", self.next);
            if !self.source.contains(&name) {
                return name;
            }
        }
    }
}

/// Rule 1.
fn part_lines(source: &str, literals: &[Literal], edits: &mut Vec<Edit>) {
    for pair in literals.windows(2) {
        let begins = source[pair[1].span.start..].starts_with(['(', '[', '{', '-']);
        if begins && !pair[0].is_ended {
            let at = pair[0].span.end;
            edits.push(Edit { span: at..at, text: ";".to_owned() });
        }
    }
}

/// Rule 2.
fn part_bodies(source: &str, rule: &Rule, edits: &mut Vec<Edit>) {
    for body in rule.bodies.iter().skip(1).filter(|body| !body.is_else) {
        let head = format!("\n{} ", &source[rule.head.clone()]);
        edits.push(Edit { span: body.span.start..body.span.start, text: head });
    }
}

/// Rule 3.
fn lift_arguments(source: &str, literal: &Literal, names: &mut Names<'_>, edits: &mut Vec<Edit>) {
    let Says::Not(term) = &literal.says else { return };
    let mut lifted = Lifted { source, edits, names, before: Vec::new(), with: literal.with_span.clone() };
    let text = lifted.negated(term);
    if lifted.before.is_empty() {
        return;
    }
    let before = lifted.before.join("; ");
    edits.push(Edit { span: literal.span.start..literal.span.start, text: format!("{before}; ") });
    edits.push(Edit { span: term.span.clone(), text });
}

struct Lifted<'a, 'n> {
    source: &'a str,
    /// What is changed inside already.
    edits: &'a [Edit],
    names: &'a mut Names<'n>,
    /// Assignments that go in front of the negation.
    before: Vec<String>,
    /// The `with` of the literal, which holds for them too.
    with: Option<Range<usize>>,
}

impl Lifted<'_, '_> {
    /// The negated expression with its arguments lifted.
    fn negated(&mut self, term: &Term) -> String {
        match &term.is {
            Is::Infix(sign, left, right) if matches!(sign.as_str(), "==" | "=") => {
                let (a, b) = (self.side(left), self.side(right));
                self.rewritten(term, &[(left.span.clone(), a), (right.span.clone(), b)])
            }
            Is::Infix(sign, _, of) if sign == MEMBER_WITH_KEY => match &of.is {
                Is::Infix(_, _, collection) => {
                    let given = self.given(collection);
                    self.rewritten(term, &[(collection.span.clone(), given)])
                }
                _ => self.text(&term.span),
            },
            Is::Infix(_, left, right) => {
                let (a, b) = (self.given(left), self.given(right));
                self.rewritten(term, &[(left.span.clone(), a), (right.span.clone(), b)])
            }
            Is::Call(_, arguments) => self.all(term, arguments),
            _ => self.side(term),
        }
    }

    /// A side of an equality, or what stands alone behind `not`: a reference stays, what it is indexed by does not.
    fn side(&mut self, term: &Term) -> String {
        match &term.is {
            Is::Ref(head, steps) => self.steps(term, head, steps),
            Is::Call(..) | Is::Infix(..) | Is::Many(_) => self.given(term),
            _ => self.text(&term.span),
        }
    }

    /// What a call is given: references and calls are named in front.
    fn given(&mut self, term: &Term) -> String {
        let value = match &term.is {
            Is::Ref(head, steps) => self.steps(term, head, steps),
            Is::Call(_, arguments) => self.all(term, arguments),
            Is::Infix(_, left, right) => {
                let (a, b) = (self.given(left), self.given(right));
                self.rewritten(term, &[(left.span.clone(), a), (right.span.clone(), b)])
            }
            Is::Many(terms) => return self.all(term, terms),
            _ => return self.text(&term.span),
        };
        let name = self.names.fresh();
        let with = self.with.clone().map(|span| format!(" {}", self.text(&span))).unwrap_or_default();
        self.before.push(format!("{name} := {value}{with}"));
        name
    }

    fn steps(&mut self, term: &Term, head: &Term, steps: &[Step]) -> String {
        let mut changes = Vec::new();
        if !matches!(head.is, Is::Name(_)) {
            changes.push((head.span.clone(), self.given(head)));
        }
        for step in steps {
            if let Step::Index(index) = step {
                changes.push((index.span.clone(), self.given(index)));
            }
        }
        self.rewritten(term, &changes)
    }

    fn all(&mut self, term: &Term, parts: &[Term]) -> String {
        let changes: Vec<_> = parts.iter().map(|part| (part.span.clone(), self.given(part))).collect();
        self.rewritten(term, &changes)
    }

    fn text(&self, span: &Range<usize>) -> String {
        apply(self.source, span.clone(), self.edits)
    }

    /// The text of a term with parts of it replaced.
    fn rewritten(&self, term: &Term, changes: &[(Range<usize>, String)]) -> String {
        let (mut text, mut at) = (String::new(), term.span.start);
        for (span, change) in changes {
            text.push_str(&self.source[at..span.start]);
            text.push_str(change);
            at = span.end;
        }
        text.push_str(&self.source[at..term.span.end]);
        text
    }
}

/// A part of the source with the edits that lie in it; one that lies inside another is part of that one's text.
fn apply(source: &str, part: Range<usize>, edits: &[Edit]) -> String {
    let within = |edit: &&Edit| match edit.span.is_empty() {
        // What is put in at the edge belongs to what stands around.
        true => part.start < edit.span.start && edit.span.end < part.end,
        false => part.start <= edit.span.start && edit.span.end <= part.end,
    };
    let mut edits: Vec<&Edit> = edits.iter().filter(within).collect();
    // What is put in goes first, then the widest.
    edits.sort_by_key(|edit| (edit.span.start, !edit.span.is_empty(), std::cmp::Reverse(edit.span.end)));
    let (mut text, mut at) = (String::with_capacity(part.len() + 256), part.start);
    for edit in edits {
        if edit.span.start < at {
            continue;
        }
        text.push_str(&source[at..edit.span.start]);
        text.push_str(&edit.text);
        at = edit.span.end;
    }
    text.push_str(&source[at..part.end]);
    text
}

#[cfg(test)]
mod tests {
    use super::super::parser::parse;
    use super::*;

    fn check(source: &str, expected: &str) {
        let source = format!("package p\n{source}");
        let module = parse(&source).expect("the source is Rego");
        assert_eq!(repair(&source, &module), format!("package p\n{expected}"));
    }

    #[test]
    fn a_bracket_on_a_new_line_begins_a_literal() {
        check("f(x) {\n  x.a\n  (x.b - x.a) > 1\n}", "f(x) {\n  x.a;\n  (x.b - x.a) > 1\n}");
        check("f(x) {\n  x.a # why\n  (x.b) > 1\n}", "f(x) {\n  x.a; # why\n  (x.b) > 1\n}");
        check("f(x) {\n  g(\n  x)\n  x.a; (x.b) > 1\n}", "f(x) {\n  g(\n  x)\n  x.a; (x.b) > 1\n}");
        check("y := {a | z.a\n (z.b) > 1}", "y := {a | z.a;\n (z.b) > 1}");
    }

    #[test]
    fn several_bodies_are_several_rules() {
        check("v[m] { m := 1 } { m := 2 }", "v[m] { m := 1 } \nv[m] { m := 2 }");
        check("f(x) = 1 { x } else = 2 { true }", "f(x) = 1 { x } else = 2 { true }");
    }

    #[test]
    fn what_a_negated_call_is_given_is_taken_out() {
        check("r { not f(p.ranges) }", "r { _before_not_1 := p.ranges; not f(_before_not_1) }");
        check("r { not f(x, \"a\") }", "r { not f(x, \"a\") }");
        check("r { not p.a == 1 }", "r { not p.a == 1 }");
        check("r { not p.a > 1 }", "r { _before_not_1 := p.a; not _before_not_1 > 1 }");
        check("r { not p[q.a].b }", "r { _before_not_1 := q.a; not p[_before_not_1].b }");
        check("r { not p[_] }", "r { not p[_] }");
        check("r { not 1, x in q.a }", "r { _before_not_1 := q.a; not 1, x in _before_not_1 }");
        check(
            "r {\n not a.b > c.d\n (e) > 1 }",
            "r {\n _before_not_1 := a.b; _before_not_2 := c.d; not _before_not_1 > _before_not_2;\n (e) > 1 }",
        );
        check(
            "r { not f(g(p.a)) with input as q }",
            "r { _before_not_1 := p.a with input as q; _before_not_2 := g(_before_not_1) with input as q; not f(_before_not_2) with input as q }",
        );
        check("r { x := [y | not f(p.a)] }", "r { x := [y | _before_not_1 := p.a; not f(_before_not_1)] }");
        check(
            "r { not f([y | not g(p.a)], q.b) }",
            "r { _before_not_2 := q.b; not f([y | _before_not_1 := p.a; not g(_before_not_1)], _before_not_2) }",
        );
    }
}
