//! Holds objects against a set: what belongs to a constraint is prepared once, what belongs to an object once an object.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kube_cel::cel::{self, Context};
use serde_json::Value;

use super::cel as cel_engine;
use super::constraint::{Constraint, Point};
use super::inventory::Inventory;
use super::rego::{self, Rego};
use super::review::Review;
use super::set::PolicySet;
use super::template::Template;
use super::{Engine, Finding, Verdict, Violation};

const REGO: &str = "rego";
const CEL: &str = "cel";

/// Reviews for one thread.
pub struct Reviewer {
    engine: Engine,
    /// Compiled Rego with its inventory, by template; an error is the reason to deny.
    rego: BTreeMap<String, Result<Rego, String>>,
    functions: Context<'static>,
    prepared: Vec<Prepared>,
    /// Which constraints are about a kind; found out once a kind.
    about: HashMap<(String, String), Arc<[usize]>>,
    namespaces: Option<Inventory>,
}

/// A constraint with what the engines need of it.
struct Prepared {
    constraint: Arc<Constraint>,
    template: Option<Arc<Template>>,
    for_rego: regorus::Value,
    for_cel: cel::Value,
    document: cel::Value,
}

impl Reviewer {
    pub(super) fn new(set: &PolicySet, engine: Engine, inventory: Option<&Inventory>) -> Reviewer {
        let data = inventory.map(Inventory::value);
        let rego = set.templates.values().filter_map(|template| {
            let compiled = template.rego.as_ref()?.as_ref().map_err(Clone::clone);
            let given = compiled.and_then(|rego| match (rego.reads_inventory(), &data) {
                (false, _) => Ok(rego.clone()),
                (true, Some(data)) => rego.with_inventory(data),
                (true, None) => Err("it reads other objects, and none are given".to_owned()),
            });
            Some((template.kind.clone(), given))
        });
        let prepare = |constraint: &Arc<Constraint>| {
            let template = set.templates.get(&constraint.kind).cloned();
            let given = constraint.parameters();
            let parameters = template.as_ref().map_or_else(|| Value::Null, |t| t.defaulted(given));
            // CEL sees null where a constraint has no parameters, as in the API server.
            let for_cel =
                if given.is_none() && parameters == serde_json::json!({}) { &Value::Null } else { &parameters };
            let mut document = constraint.document.clone();
            if let Some(spec) = document.get_mut("spec").and_then(Value::as_object_mut).filter(|_| !for_cel.is_null()) {
                spec.insert("parameters".to_owned(), parameters.clone());
            }
            Prepared {
                constraint: Arc::clone(constraint),
                for_rego: rego::value(&parameters),
                for_cel: cel_engine::value(for_cel),
                document: cel_engine::value(&document),
                template,
            }
        };
        Reviewer {
            engine,
            rego: rego.collect(),
            functions: cel_engine::functions(),
            prepared: set.constraints.iter().map(prepare).collect(),
            about: HashMap::new(),
            namespaces: inventory.map(Inventory::only_namespaces),
        }
    }

    /// Holds an object against every constraint that is enforced at this point and matches.
    pub fn review(&mut self, review: Review, point: Point) -> Verdict {
        let review = self.placed(review);
        let (mut violations, mut evaluated) = (Vec::new(), 0);
        for at in self.about(&review).iter() {
            let actions = self.prepared[*at].constraint.actions(point);
            if actions.is_empty() {
                continue;
            }
            let matching = self.prepared[*at].constraint.matching.as_ref().map_err(Clone::clone);
            let matched = matching.and_then(|m| {
                let found: Result<Vec<bool>, String> = review.subjects().map(|s| m.matches(s)).collect();
                found.map(|found| found.contains(&true))
            });
            let outcomes = match matched {
                Ok(false) => continue,
                Ok(true) => self.evaluate(*at, &review),
                Err(why) => vec![(REGO, Err(why))],
            };
            evaluated += 1;
            let prepared = &self.prepared[*at];
            for action in &actions {
                outcomes
                    .iter()
                    .for_each(|(engine, outcome)| violations.extend(prepared.violations(action, engine, outcome)));
            }
        }
        Verdict::of(violations, evaluated)
    }

    /// The review with its namespace, where the inventory knows it.
    fn placed(&self, review: Review) -> Review {
        if review.namespace().is_some() {
            return review;
        }
        let known = self.namespaces.as_ref().and_then(|n| n.namespace(review.namespace_name()));
        let known = known.cloned();
        review.in_namespace(known)
    }

    fn about(&mut self, review: &Review) -> Arc<[usize]> {
        let (group, kind) = review.group_and_kind();
        let prepared = &self.prepared;
        let entry = self.about.entry((group.to_owned(), kind.to_owned()));
        let found = entry.or_insert_with(|| {
            let is_about = |p: &Prepared| p.constraint.matching.as_ref().map_or(true, |m| m.is_about(group, kind));
            prepared.iter().enumerate().filter(|(_, p)| is_about(p)).map(|(at, _)| at).collect()
        });
        Arc::clone(found)
    }

    /// What each engine that is asked finds.
    fn evaluate(&mut self, at: usize, review: &Review) -> Vec<(&'static str, Outcome)> {
        let prepared = &self.prepared[at];
        let Some(template) = &prepared.template else {
            return vec![(REGO, Err(format!("there is no template {}", prepared.constraint.kind)))];
        };
        let (has_rego, has_cel) = (template.rego.is_some(), template.cel.is_some());
        let wants_rego = has_rego && (self.engine != Engine::Cel || !has_cel);
        let wants_cel = has_cel && (self.engine != Engine::Rego || !has_rego);
        let mut outcomes = Vec::with_capacity(2);
        if wants_rego {
            let compiled = self.rego.get_mut(&prepared.constraint.kind);
            outcomes.push((
                REGO,
                match compiled {
                    Some(Ok(rego)) => caught(|| rego.evaluate(review.for_rego(), &prepared.for_rego)),
                    Some(Err(why)) => Err(why.clone()),
                    None => Err("its Rego was not compiled".to_owned()),
                },
            ));
        }
        if wants_cel {
            outcomes.push((
                CEL,
                match &template.cel {
                    Some(Ok(cel)) => {
                        caught(|| cel.evaluate(&self.functions, review, &prepared.document, &prepared.for_cel))
                    }
                    Some(Err(why)) => Err(why.clone()),
                    None => Err("it has no CEL".to_owned()),
                },
            ));
        }
        // Where both agree, Rego's words stand for both.
        if let Some((_, cel)) = outcomes.get(1) {
            let difference = difference(&outcomes[0].1, cel);
            outcomes.truncate(1);
            outcomes.extend(difference.map(|why| (CEL, Err(why))));
        }
        outcomes
    }
}

type Outcome = Result<Vec<Finding>, String>;

/// What two engines say differently, if they do.
fn difference(rego: &Outcome, cel: &Outcome) -> Option<String> {
    let word = |outcome: &Outcome| match outcome {
        Ok(findings) if findings.is_empty() => "allows".to_owned(),
        Ok(_) => "denies".to_owned(),
        Err(why) => format!("cannot be evaluated ({why})"),
    };
    let (rego, cel) = (word(rego), word(cel));
    (rego != cel).then(|| format!("its engines differ: Rego {rego}, CEL {cel}"))
}

/// A panic of an engine is an error like any other.
fn caught(evaluate: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(evaluate))
        .unwrap_or_else(|cause| Err(format!("its engine broke off: {}", told(&*cause))))
}

fn told(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<&str>().map(|t| (*t).to_owned());
    text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}

impl Prepared {
    fn violations(&self, action: &str, engine: &str, outcome: &Outcome) -> Vec<Violation> {
        let violation = |message: String, details, is_failure| Violation {
            constraint_kind: self.constraint.kind.clone(),
            constraint_name: self.constraint.name.clone(),
            template: self.template.as_ref().map_or_else(|| self.constraint.kind.to_lowercase(), |t| t.name.clone()),
            enforcement_action: action.to_owned(),
            message,
            details,
            engine: engine.to_owned(),
            is_failure,
        };
        match outcome {
            Ok(findings) => findings.iter().map(|f| violation(f.message.clone(), f.details.clone(), false)).collect(),
            Err(why) => vec![violation(format!("cannot be evaluated, so it denies: {why}"), None, true)],
        }
    }
}
