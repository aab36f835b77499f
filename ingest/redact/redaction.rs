//! The redactor of the running program: secrets, then keys and tokens, then personal data, each by the policy of its
//! column. What it leaves, it leaves again: twice is once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use engine::ports::{Cell, ColumnRedactor, Finding};
use engine::{Column, Redactor, Table, Type};
use parking_lot::RwLock;

use super::gitleaks::RULES;
use super::personal::{self, Check, MARKS, SURE, mark_length};
use super::place::{Place, is_document, places};
use super::policy::{Action, PERSON, Plan, Policy};
use super::{Secrets, mark};

/// A text in which something was taken out is looked at again until nothing is found; each round needs another finding.
const ROUNDS_MAX: usize = 4;

/// The redactor of the running program.
#[derive(Debug, Default)]
pub struct Redaction {
    secrets: Secrets,
    policy: Policy,
    /// By table and column: the rules are matched once, not for every frame.
    plans: RwLock<HashMap<(&'static str, &'static str), Option<Arc<Plan>>>>,
}

/// Something found, as it is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spotted {
    /// The kind, or the rule of gitleaks.
    pub detector: Cow<'static, str>,
    /// First byte.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
    /// How sure that is, of 100.
    pub score: u8,
    /// What its check digit says, where kinds have one.
    pub check: Option<Check>,
    /// What is done with it.
    pub action: Action,
}

impl Redaction {
    /// A redactor with a policy.
    pub fn new(policy: Policy) -> Redaction {
        Redaction { secrets: Secrets::new(), policy, plans: RwLock::default() }
    }

    /// What is found in a text now, without doing anything about it.
    pub fn spot(&self, text: &str, plan: &Plan, least: u8) -> Vec<Spotted> {
        if let Some(action) = plan.person.filter(|action| *action != Action::Keep && !is_marked(text)) {
            let whole = Spotted { detector: PERSON.into(), start: 0, end: text.len(), score: 100, check: None, action };
            return vec![whole];
        }
        let mut spotted = Vec::new();
        if plan.secrets
            && let Cow::Owned(without) = self.secrets.redact(text)
        {
            spotted = taken_out(text, &without);
        }
        let apart = |spotted: &[Spotted], start, end| spotted.iter().all(|s| end <= s.start || s.end <= start);
        for found in self.found(text, plan, least) {
            if apart(&spotted, found.start, found.end) {
                spotted.push(found);
            }
        }
        spotted.sort_by_key(|s| s.start);
        spotted
    }

    /// Keys, tokens and personal data in a text, in order.
    fn found(&self, text: &str, plan: &Plan, least: u8) -> Vec<Spotted> {
        let personal = personal::find(text, plan.wanted(), least).into_iter().map(|found| Spotted {
            detector: found.kind.name().into(),
            start: found.start,
            end: found.end,
            score: found.score,
            check: Some(found.check),
            action: plan.action(found.kind),
        });
        let mut spotted: Vec<Spotted> = personal.collect();
        if plan.gitleaks && plan.secrets {
            let keys = RULES.find(text);
            if !keys.is_empty() {
                // A key that holds something that looks like a number of something is a key.
                spotted.retain(|s| keys.iter().all(|key| s.end <= key.start || key.end <= s.start));
                spotted.extend(keys.into_iter().map(|key| Spotted {
                    detector: key.rule.into(),
                    start: key.start,
                    end: key.end,
                    score: 100,
                    check: None,
                    action: Action::Mask,
                }));
                spotted.sort_by_key(|s| s.start);
            }
        }
        spotted
    }

    /// One round: `None` where nothing is left to take out.
    fn round(&self, text: &str, plan: &Plan, tell: &mut dyn FnMut(Cow<'static, str>, Action)) -> Option<String> {
        let mut clean = Cow::Borrowed(text);
        if plan.secrets
            && let Cow::Owned(without) = self.secrets.redact(text)
        {
            taken_out(text, &without).into_iter().for_each(|s| tell(s.detector, s.action));
            clean = Cow::Owned(without);
        }
        let spotted = self.found(&clean, plan, SURE);
        if !spotted.is_empty()
            && let Some(without) = self.replace(&clean, &spotted, tell)
        {
            clean = Cow::Owned(without);
        }
        match clean {
            Cow::Owned(clean) if clean != text => Some(clean),
            _ => None,
        }
    }

    /// The text with what was spotted replaced.
    fn replace(
        &self,
        text: &str,
        spotted: &[Spotted],
        tell: &mut dyn FnMut(Cow<'static, str>, Action),
    ) -> Option<String> {
        let places = places(text, spotted.iter().map(|s| (s.start, s.end)));
        let mut clean = String::with_capacity(text.len());
        let mut kept = 0;
        for (spot, place) in spotted.iter().zip(places) {
            // Names of members are a schema, and a document without them is another one.
            if matches!(place, Place::Key | Place::Part) || spot.start < kept {
                continue;
            }
            clean.push_str(&text[kept..spot.start]);
            let value = self.value(&spot.detector, spot.action, &text[spot.start..spot.end]);
            let quote = if let Place::Bare(quote) = place { quote } else { "" };
            clean.extend([quote, &value, quote]);
            kept = spot.end;
            tell(spot.detector.clone(), spot.action);
        }
        (kept > 0).then(|| {
            clean.push_str(&text[kept..]);
            clean
        })
    }

    /// What stands where a value stood.
    fn value(&self, detector: &str, action: Action, value: &str) -> String {
        match action {
            Action::Keep => value.to_owned(),
            Action::Drop => String::new(),
            Action::Mask => mark(detector),
            Action::Hash => match self.policy.hash(detector, value) {
                Some(hash) => format!("{}{detector}:{hash}]", MARKS[1]),
                None => mark(detector),
            },
        }
    }

    /// The text as it is stored; borrowed where nothing was taken out.
    pub fn clean<'a>(
        &self,
        text: &'a str,
        plan: &Plan,
        tell: &mut dyn FnMut(Cow<'static, str>, Action),
    ) -> Cow<'a, str> {
        let Some(mut clean) = self.round(text, plan, tell) else { return Cow::Borrowed(text) };
        for _ in 1..ROUNDS_MAX {
            match self.round(&clean, plan, tell) {
                Some(cleaner) => clean = cleaner,
                None => break,
            }
        }
        if is_document(text) && !is_document(&clean) {
            return Cow::Owned(self.by_value(text, plan));
        }
        Cow::Owned(clean)
    }

    /// A document whose text could not be changed in place, value by value.
    fn by_value(&self, text: &str, plan: &Plan) -> String {
        let Ok(mut document) = serde_json::from_str::<serde_json::Value>(text) else { return mark("document") };
        self.values(&mut document, plan);
        document.to_string()
    }

    fn values(&self, value: &mut serde_json::Value, plan: &Plan) {
        match value {
            serde_json::Value::String(text) => {
                if let Some(clean) = self.round(text, plan, &mut |_, _| ()) {
                    *text = clean;
                }
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(|item| self.values(item, plan)),
            serde_json::Value::Object(members) => members.values_mut().for_each(|member| self.values(member, plan)),
            _ => {}
        }
    }
}

/// Whether a document is a bare number.
fn is_number(text: &str) -> bool {
    text.trim().bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a cell is nothing but a mark.
fn is_marked(text: &str) -> bool {
    text.is_empty() || mark_length(text, 0) == Some(text.len())
}

/// What an older detector took out, read off the text that it left.
fn taken_out(before: &str, after: &str) -> Vec<Spotted> {
    let mut spotted = Vec::new();
    let (mut at, mut rest) = (0, after);
    while let Some(found) = rest.find(MARKS[0]) {
        let length = mark_length(rest, found).unwrap_or(rest.len() - found);
        let kind = rest[found..found + length].trim_start_matches(MARKS[0]).trim_end_matches(']').to_owned();
        let start = at + found;
        let whole = &rest[found..found + length];
        rest = &rest[found + length..];
        if before.get(start..).is_some_and(|old| old.starts_with(whole)) {
            at = start + length;
            continue;
        }
        let next = rest.find(MARKS[0]).map_or(rest, |next| &rest[..next]);
        let start = before.floor_char_boundary(start.min(before.len()));
        let end = match (rest.len() == next.len(), next.is_empty()) {
            (true, _) => before.len().saturating_sub(next.len()),
            (false, true) => start,
            (false, false) => before[start..].find(next).map_or(before.len(), |length| start + length),
        };
        // What was taken out line by line need not end where it began.
        at = before.floor_char_boundary(end.max(start).min(before.len()));
        spotted.push(Spotted { detector: kind.into(), start, end: at, score: 100, check: None, action: Action::Mask });
    }
    spotted
}

impl Redactor for Redaction {
    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.clean(text, &Plan::mask(), &mut |_, _| ())
    }

    fn column<'a>(&'a self, table: &Table, column: &Column) -> Option<Box<dyn ColumnRedactor + 'a>> {
        let plan = self.plan(table, column)?;
        let (nullable, json) = (!column.required, column.kind == Type::Json);
        Some(Box::new(InColumn { redaction: self, plan, nullable, json }))
    }
}

/// The redactor of one column.
struct InColumn<'a> {
    redaction: &'a Redaction,
    plan: Arc<Plan>,
    nullable: bool,
    /// Its cells are documents, a bare number among them.
    json: bool,
}

impl ColumnRedactor for InColumn<'_> {
    fn redact(&self, text: &str, found: &mut Vec<Finding>) -> Option<Cell> {
        if let Some(action) = self.plan.person.filter(|action| *action != Action::Keep && !is_marked(text)) {
            found.push(Finding { detector: PERSON.into(), action: action.name() });
            return Some(self.cell(self.redaction.value(PERSON, action, text)));
        }
        let mut tell = |detector, action: Action| found.push(Finding { detector, action: action.name() });
        match self.redaction.clean(text, &self.plan, &mut tell) {
            Cow::Borrowed(_) => None,
            Cow::Owned(clean) if self.json && is_number(text) => Some(self.cell(format!("\"{clean}\""))),
            Cow::Owned(clean) => Some(self.cell(clean)),
        }
    }
}

impl InColumn<'_> {
    fn cell(&self, clean: String) -> Cell {
        if clean.is_empty() && self.nullable { Cell::Null } else { Cell::Text(clean) }
    }
}

impl Redaction {
    /// The policy's plan for a column.
    pub fn plan(&self, table: &Table, column: &Column) -> Option<Arc<Plan>> {
        let named = (table.name, column.name);
        if let Some(plan) = self.plans.read().get(&named) {
            return plan.clone();
        }
        let plan = self.policy.plan(table, column).map(Arc::new);
        self.plans.write().insert(named, plan.clone());
        plan
    }
}

#[cfg(test)]
mod tests;
