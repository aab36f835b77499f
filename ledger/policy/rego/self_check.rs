//! Does this template say only what regorus evaluates as OPA does? Looked at when a template is loaded. What is found is
//! the reason for which every evaluation of it denies.

use std::collections::{BTreeMap, BTreeSet};

use super::functions::is_known;
use super::regex;
use super::syntax::{Is, Module, Rule, Says, Term};

/// Functions whose first argument is a pattern.
const PATTERNS: [&str; 7] = [
    "re_match",
    "regex.match",
    "regex.split",
    "regex.find_n",
    "regex.replace",
    "regex.is_valid",
    "regex.find_all_string_submatch_n",
];

/// What the modules of one template say that cannot be evaluated here, a sentence each; the first module is the template's
/// own, the others its libraries.
pub fn reasons(modules: &[Module]) -> Vec<String> {
    let known = Known::of(modules);
    let mut reasons = BTreeSet::new();
    for module in modules {
        for rule in &module.rules {
            rule.walk(&mut |term| reasons.extend(known.look_at(module, term)));
        }
    }
    let is_violation = |rule: &Rule| rule.name == "violation" && rule.arguments.is_none();
    if !modules.first().is_some_and(|own| own.rules.iter().any(is_violation)) {
        reasons.insert("it has no rule `violation`".to_owned());
    }
    reasons.extend(known.recursion());
    reasons.into_iter().collect()
}

/// Whether a template reads other objects than the one under review.
pub fn reads_inventory(modules: &[Module]) -> bool {
    let mut reads = false;
    for module in modules {
        let aliases: Vec<&str> = module
            .imports
            .iter()
            .filter(|i| i.path.first().is_some_and(|r| r == "data") && i.path.get(1).is_some_and(|r| r == "inventory"))
            .map(|i| i.name.as_str())
            .collect();
        let mut look = |term: &Term| {
            let path = term.path();
            reads |= path.starts_with(&["data", "inventory"]) || path.first().is_some_and(|p| aliases.contains(p));
            // `data[x]` may be anything.
            reads |= path == ["data"] && matches!(term.is, Is::Ref(..));
        };
        module.rules.iter().for_each(|rule| rule.walk(&mut look));
    }
    reads
}

/// The names that the modules define.
struct Known<'a> {
    modules: &'a [Module],
    /// Package and rule, to what it refers to.
    refers: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Known<'a> {
    fn of(modules: &'a [Module]) -> Self {
        let mut known = Known { modules, refers: BTreeMap::new() };
        for module in modules {
            for rule in &module.rules {
                let to = known.references(module, rule);
                known.refers.entry(full(module, &rule.name)).or_default().extend(to);
            }
        }
        known
    }

    /// The rule that a path means inside a module: `data.package.rule`.
    fn resolve(&self, module: &Module, path: &[&str]) -> Option<String> {
        let (first, rest) = path.split_first()?;
        if module.rules.iter().any(|r| r.name == *first) {
            return Some(full(module, first));
        }
        let import = module.imports.iter().find(|i| i.name == *first);
        let whole: Vec<&str> = match import {
            Some(import) => import.path.iter().map(String::as_str).chain(rest.iter().copied()).collect(),
            None => path.to_vec(),
        };
        let in_data = whole.strip_prefix(&["data"])?;
        self.modules.iter().find_map(|other| {
            let rest = in_data.strip_prefix(strs(&other.package).as_slice())?;
            let name = rest.first()?;
            other.rules.iter().any(|r| r.name == **name).then(|| full(other, name))
        })
    }

    fn references(&self, module: &Module, rule: &Rule) -> BTreeSet<String> {
        let locals = locals(rule);
        let mut found = BTreeSet::new();
        rule.walk(&mut |term| {
            let path: Vec<&str> = match &term.is {
                Is::Call(path, _) => strs(path),
                Is::Name(name) => vec![name.as_str()],
                Is::Ref(..) => term.path(),
                _ => return,
            };
            if path.first().is_some_and(|first| !locals.contains(*first)) {
                found.extend(self.resolve(module, &path));
            }
        });
        found
    }

    fn look_at(&self, module: &Module, term: &Term) -> Option<String> {
        match &term.is {
            Is::Call(path, arguments) => self.call(module, path, arguments),
            Is::Ref(..) => {
                let path = term.path();
                let path = path.strip_prefix(&["data"])?;
                let first = path.first()?;
                let is_own =
                    *first == "inventory" || self.modules.iter().any(|m| m.package.first().is_some_and(|p| p == first));
                (!is_own).then(|| format!("it reads data.{}, which no review has", path.join(".")))
            }
            _ => None,
        }
    }

    fn call(&self, module: &Module, path: &[String], arguments: &[Term]) -> Option<String> {
        let name = path.join(".");
        if self.resolve(module, &strs(path)).is_some() {
            return None;
        }
        if !is_known(&name) {
            return Some(format!("it calls {name}, which is not there"));
        }
        let Some(Term { is: Is::Text(pattern), .. }) = arguments.first().filter(|_| PATTERNS.contains(&name.as_str()))
        else {
            return None;
        };
        regex::compile(pattern)
            .err()
            .map(|why| format!("its pattern {pattern:?} cannot be evaluated as OPA does: {why}"))
    }

    /// A rule that needs itself: OPA refuses it, regorus would go on until the stack ends.
    fn recursion(&self) -> Option<String> {
        self.refers.keys().find_map(|start| {
            let (mut open, mut seen) = (vec![start], BTreeSet::new());
            while let Some(rule) = open.pop() {
                for next in self.refers.get(rule).into_iter().flatten() {
                    if next == start {
                        return Some(format!("{start} needs itself, which OPA refuses"));
                    }
                    if seen.insert(next) {
                        open.push(next);
                    }
                }
            }
            None
        })
    }
}

/// Names that a rule binds itself.
fn locals(rule: &Rule) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let arguments = rule.terms.iter().take(rule.arguments.unwrap_or(0));
    arguments.for_each(|t| t.walk(&mut |t| names.extend(name(t))));
    rule.bodies_within(&mut |literals| {
        for literal in literals {
            match &literal.says {
                Says::Holds(Term { is: Is::Infix(sign, left, _), .. }) if sign == ":=" => {
                    left.walk(&mut |t| names.extend(name(t)));
                }
                Says::Some(terms) => terms.iter().for_each(|t| names.extend(name(t))),
                Says::Every { names: bound, .. } => names.extend(bound.iter().map(String::as_str)),
                _ => {}
            }
        }
    });
    names
}

fn name(term: &Term) -> Option<&str> {
    match &term.is {
        Is::Name(name) => Some(name),
        _ => None,
    }
}

fn strs(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

fn full(module: &Module, rule: &str) -> String {
    format!("data.{}.{rule}", module.package.join("."))
}

#[cfg(test)]
mod tests {
    use super::super::parser::parse;
    use super::*;

    fn check(rules: &str, expected: &[&str]) {
        let module =
            parse(&format!("package p\nviolation[{{\"msg\": 1}}] {{ true }}\n{rules}")).expect("the source is Rego");
        assert_eq!(reasons(&[module]), expected, "{rules}");
    }

    #[test]
    fn what_cannot_be_evaluated_is_named() {
        check("f(x) { count(x) > 1; startswith(x, \"a\") }", &[]);
        check("f(x) { http.send({}) }", &["it calls http.send, which is not there"]);
        check("f(x) { nowhere(x) }", &["it calls nowhere, which is not there"]);
        check("f(x) { data.external.users[x] }", &["it reads data.external.users, which no review has"]);
        check("f(x) { g(x) }\ng(x) { f(x) }", &["data.p.f needs itself, which OPA refuses"]);
        check("f(x) { x := 1; g := x }\ng(x) { f(x) }", &[]);
        check(
            "f(x) { regex.match(`[a-z+`, x) }",
            &[
                "its pattern \"[a-z+\" cannot be evaluated as OPA does: regex parse error:\n    [a-z+\n    ^\nerror: unclosed character class",
            ],
        );
    }

    #[test]
    fn reading_the_inventory_is_seen() {
        let reads =
            |rules: &str| reads_inventory(&[parse(&format!("package p\n{rules}")).expect("the source is Rego")]);
        assert!(reads("f(x) { data.inventory.namespace[x] }"));
        assert!(reads("import data.inventory as i\nf(x) { i.cluster[x] }"));
        assert!(!reads("f(x) { input.review.object[x] }"));
    }
}
