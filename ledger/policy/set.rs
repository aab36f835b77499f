//! Templates and constraints that belong together: a folder of them, as it is kept in a repository.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use engine::{Error, Result};
use serde_json::Value;

use super::constraint::Constraint;
use super::document;
use super::template::Template;
use super::{Engine, Inventory, Reviewer};

/// Templates by the kind of their constraints, and the constraints.
#[derive(Debug, Default, Clone)]
pub struct PolicySet {
    pub(super) templates: BTreeMap<String, Arc<Template>>,
    pub(super) constraints: Vec<Arc<Constraint>>,
    /// What a reader of the folder should know: files that hold no policy, names given twice.
    pub notes: Vec<String>,
}

impl PolicySet {
    /// Reads every template and constraint in a file or below a folder; other documents are left alone. Fails on a file
    /// that cannot be read and on a policy that is none; one that only cannot be evaluated is kept, and denies.
    pub fn load(path: &Path) -> Result<PolicySet> {
        let mut set = PolicySet::default();
        for file in document::files(path)? {
            let documents = match document::read(&file) {
                Ok(documents) => documents,
                // A folder of policies may hold templates of other tools; what names no policy is none.
                Err(error) if !names_policy(&file) => {
                    set.notes.push(format!("left out: {error}"));
                    continue;
                }
                Err(error) => return Err(error),
            };
            for document in documents {
                let failed = |why: String| Error::invalid(format!("read {}: {why}", file.display()));
                if Template::is(&document) {
                    set.add_template(&document).map_err(failed)?;
                } else if Constraint::is(&document) {
                    set.add_constraint(document).map_err(failed)?;
                }
            }
        }
        set.note_orphans();
        Ok(set)
    }

    /// Adds a template; one of the same kind is replaced.
    pub fn add_template(&mut self, document: &Value) -> Result<(), String> {
        let template = Template::load(document)?;
        for reason in template.reasons() {
            self.notes.push(format!("template {} denies: {reason}", template.name));
        }
        if let Some(other) = self.templates.insert(template.kind.clone(), Arc::new(template)) {
            self.notes.push(format!("template {} is given twice; the last counts", other.name));
        }
        Ok(())
    }

    /// Adds a constraint; one of the same kind and name is replaced.
    pub fn add_constraint(&mut self, document: Value) -> Result<(), String> {
        let constraint = Constraint::load(document)?;
        if let Err(why) = &constraint.matching {
            self.notes.push(format!("{}/{} denies: {why}", constraint.kind, constraint.name));
        }
        let same = |c: &Arc<Constraint>| c.kind == constraint.kind && c.name == constraint.name;
        match self.constraints.iter().position(same) {
            Some(at) if self.constraints[at].document == constraint.document => {}
            Some(at) => {
                self.notes.push(format!("{}/{} is given twice; the last counts", constraint.kind, constraint.name));
                self.constraints[at] = Arc::new(constraint);
            }
            None => self.constraints.push(Arc::new(constraint)),
        }
        Ok(())
    }

    fn note_orphans(&mut self) {
        let without = self.constraints.iter().filter(|c| !self.templates.contains_key(&c.kind));
        let notes: Vec<String> =
            without.map(|c| format!("{}/{} denies: there is no template {}", c.kind, c.name, c.kind)).collect();
        self.notes.extend(notes);
    }

    /// How many templates and constraints there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.templates.len(), self.constraints.len())
    }

    /// The template of a kind.
    pub fn template(&self, kind: &str) -> Option<&Template> {
        self.templates.get(kind).map(Arc::as_ref)
    }

    /// The kinds that constraints are about, or `None` if one is about any.
    pub fn kinds(&self) -> Option<Vec<String>> {
        let mut kinds = Vec::new();
        for constraint in &self.constraints {
            kinds.extend(constraint.matching.as_ref().ok()?.kinds()?.map(str::to_owned));
        }
        kinds.sort();
        kinds.dedup();
        Some(kinds)
    }

    /// Whether a constraint needs other objects than the one under review; the kinds it needs, or all where it does not say.
    pub fn inventory_kinds(&self) -> Option<Vec<String>> {
        let used = self.constraints.iter().filter_map(|c| self.templates.get(&c.kind)).filter(|t| t.reads_inventory());
        let mut kinds: Option<Vec<String>> = None;
        for template in used {
            match (template.kinds_read(), &mut kinds) {
                (None, _) => return Some(Vec::new()),
                (Some(read), Some(kinds)) => kinds.extend(read.iter().cloned()),
                (Some(read), None) => kinds = Some(read.to_vec()),
            }
        }
        kinds
    }

    /// What reviews one object after the other; one a thread. Without an inventory, what needs one denies.
    pub fn reviewer(&self, engine: Engine, inventory: Option<&Inventory>) -> Reviewer {
        Reviewer::new(self, engine, inventory)
    }
}

fn names_policy(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.contains("ConstraintTemplate") || text.contains("constraints.gatekeeper.sh")
}
