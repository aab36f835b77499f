//! The budgets as a request meets them: by tenant, each with the predicates that all must hold.

use std::collections::HashMap;
use std::sync::Arc;

use engine::{Error, Kind, Result};

use super::attributes::{Attributes, Scalar};
use super::definition::{Budget, EVERYBODY};
use super::unit::Amounts;

/// A budget that is stored, with the id of what it counts.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The id.
    pub id: Arc<str>,
    /// How often it was changed.
    pub version: i64,
    /// The budget.
    pub budget: Arc<Budget>,
}

/// One budget in the plan.
#[derive(Debug)]
pub struct Line {
    /// As it is stored.
    pub stored: Stored,
    /// The budgets around it: a charge is in this one only if it is in all of them.
    around: Vec<Arc<Budget>>,
}

impl Line {
    /// The budget.
    pub fn budget(&self) -> &Budget {
        &self.stored.budget
    }

    /// Whether it counts the request at this instant.
    pub fn counts(&self, attributes: &Attributes, now_us: i64) -> bool {
        let lives = |budget: &Budget| budget.life.0 <= now_us && now_us < budget.life.1;
        let holds = |budget: &Budget| lives(budget) && budget.scope.matches(attributes);
        self.budget().counts.calls && holds(self.budget()) && self.around.iter().all(|budget| holds(budget))
    }

    /// A column and the text that must stand in it for the budget to count a request, if there is one such.
    fn asks(&self) -> Option<(u16, Arc<str>)> {
        let all = std::iter::once(self.budget()).chain(self.around.iter().map(AsRef::as_ref));
        all.map(|budget| &budget.scope).find_map(|scope| scope.asks()).map(|(column, text)| (column, Arc::clone(text)))
    }

    /// How much of it the request takes. Without a price it takes what the budget says, or nothing may be taken.
    pub fn amount(&self, amounts: &Amounts) -> Result<i64> {
        let budget = self.budget();
        amounts.of(&budget.unit).or(budget.unpriced).ok_or_else(|| {
            Error::new(
                Kind::Invalid,
                format!(
                    "price_unknown: budget {} counts {}, and the request says no amount in it; currencies are not converted",
                    budget.name, budget.unit
                ),
            )
        })
    }

    /// The scope as SQL over cost lines, or `None` where the bill does not have what it names.
    pub fn ledger_scope(&self) -> Option<String> {
        if !self.budget().counts.ledger {
            return None;
        }
        let all = std::iter::once(self.budget()).chain(self.around.iter().map(AsRef::as_ref));
        let parts = all.map(|budget| budget.scope.reads_ledger().then(|| budget.scope.sql()));
        parts.collect::<Option<Vec<_>>>().map(|parts| parts.join(" AND "))
    }
}

/// Every budget of one edition.
#[derive(Debug, Default)]
pub struct Plan {
    /// Which edition.
    pub edition: i64,
    /// The budgets.
    pub lines: Vec<Line>,
    by_tenant: HashMap<Arc<str>, Places>,
    everybody: Places,
}

/// Places of budgets, found by what a request says: of hundreds of budgets, one a project or a key, few can count it.
#[derive(Debug, Default)]
struct Places {
    /// Columns that some budget asks a text of.
    columns: Vec<u16>,
    by_text: HashMap<(u16, Arc<str>), Vec<usize>>,
    /// Those that ask no such thing.
    others: Vec<usize>,
}

impl Places {
    fn add(&mut self, at: usize, asks: Option<(u16, Arc<str>)>) {
        let Some((column, text)) = asks else { return self.others.push(at) };
        if !self.columns.contains(&column) {
            self.columns.push(column);
        }
        self.by_text.entry((column, text)).or_default().push(at);
    }

    fn find(&self, attributes: &Attributes, found: &mut Vec<usize>) {
        let begun = found.len();
        found.extend(&self.others);
        for column in &self.columns {
            if let Some(Scalar::Text(text)) = attributes.get(*column) {
                found.extend(self.by_text.get(&(*column, Arc::clone(text))).into_iter().flatten());
            }
        }
        found[begun..].sort_unstable();
    }
}

impl Plan {
    /// Puts them together; they were checked when they were stored.
    pub fn new(edition: i64, stored: Vec<Stored>) -> Plan {
        let by_name: HashMap<(Arc<str>, Arc<str>), Arc<Budget>> = stored
            .iter()
            .map(|s| ((Arc::clone(&s.budget.tenant), Arc::clone(&s.budget.name)), Arc::clone(&s.budget)))
            .collect();
        let mut plan = Plan { edition, ..Plan::default() };
        for (at, stored) in stored.into_iter().enumerate() {
            let mut around = Vec::new();
            let mut parent = stored.budget.parent.as_ref().and_then(|name| by_name.get(name));
            while let Some(budget) = parent.filter(|budget| !around.iter().any(|known| Arc::ptr_eq(known, budget))) {
                around.push(Arc::clone(budget));
                parent = budget.parent.as_ref().and_then(|name| by_name.get(name));
            }
            let line = Line { stored, around };
            let places = match line.budget().tenant.as_ref() {
                EVERYBODY => &mut plan.everybody,
                _ => plan.by_tenant.entry(Arc::clone(&line.budget().tenant)).or_default(),
            };
            places.add(at, line.asks());
            plan.lines.push(line);
        }
        plan
    }

    /// Places of the budgets that may count a tenant's request, in one order everywhere.
    pub fn may_count(&self, tenant: &str, attributes: &Attributes) -> Vec<usize> {
        let mut found = Vec::new();
        self.everybody.find(attributes, &mut found);
        if let Some(places) = self.by_tenant.get(tenant) {
            places.find(attributes, &mut found);
        }
        found
    }
}
