//! One spelling per name. SQL names are case-insensitive here, but columns keep FOCUS's spelling (`BilledCost`), so a
//! dictionary leads from the lower-case name to the declared one.

use std::collections::{BTreeSet, HashMap, HashSet};

/// The declared names of tables, views and columns: lower case → declared spelling.
#[derive(Debug, Clone, Default)]
pub struct Names {
    exact: HashSet<String>,
    by_lower: HashMap<String, String>,
    conflicts: BTreeSet<(String, String)>,
}

impl Names {
    /// A dictionary of the given names; the first spelling of a name wins.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Names {
        let mut all = Names::default();
        for name in names {
            all.add(name);
        }
        all
    }

    /// Adds one name; another spelling of a known name is kept as a conflict.
    pub fn add(&mut self, name: &str) {
        let lower = name.to_lowercase();
        match self.by_lower.get(&lower) {
            Some(known) if known != name => {
                self.conflicts.insert((known.clone(), name.to_owned()));
            }
            Some(_) => {}
            None => {
                self.exact.insert(name.to_owned());
                self.by_lower.insert(lower, name.to_owned());
            }
        }
    }

    /// Pairs of spellings that differ only by case: the one in use and the one refused. A test keeps this empty.
    pub fn conflicts(&self) -> Vec<(String, String)> {
        self.conflicts.iter().cloned().collect()
    }

    /// The declared spelling of a name in any case.
    pub fn declared(&self, name: &str) -> Option<&str> {
        if let Some(exact) = self.exact.get(name) {
            return Some(exact);
        }
        self.by_lower.get(&name.to_lowercase()).map(String::as_str)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn any_case_leads_to_the_declared_spelling() {
        let names = Names::new(["BilledCost", "otel_span", "BilledCost"]);
        for (asked, declared) in [
            ("billedcost", Some("BilledCost")),
            ("BILLEDCOST", Some("BilledCost")),
            ("BilledCost", Some("BilledCost")),
            ("OTEL_SPAN", Some("otel_span")),
            ("nothing", None),
        ] {
            assert_eq!(names.declared(asked), declared, "{asked}");
        }
        assert!(names.conflicts().is_empty());
    }

    #[test]
    fn two_spellings_are_a_conflict() {
        let names = Names::new(["SubAccountId", "SubAccountID"]);
        assert_eq!(names.conflicts(), [("SubAccountId".to_owned(), "SubAccountID".to_owned())]);
        assert_eq!(names.declared("subaccountid"), Some("SubAccountId"));
    }
}
