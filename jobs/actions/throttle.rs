//! `throttle` and `unthrottle`: a quota put in place and taken away, as the file of an operator would.

use engine::Kind;
use ledger::budget::Author;
use serde_json::json;

use super::world::{World, ended, given, said, with};
use crate::queue::{Claimed, Ended};

/// Puts the quota in place.
pub(super) async fn put(world: &World, job: &Claimed) -> Result<Ended, Ended> {
    let (tenant, name, rate) = (with(job, "tenant"), name(job), with(job, "rate"));
    let file = json!({ "quotas": [{ "tenant": tenant, "name": name, "requests": rate }] }).to_string();
    let doing = format!("throttle {tenant} to {rate}");
    let changes = world.inside()?.budgets.apply(&file, &author(job), false).await;
    let changes = changes.map_err(|error| ended(&error.context(&doing)))?;
    let done = changes.first().map_or("unchanged", |change| change.action.as_str());
    Ok(Ended::Done { target: format!("quota {tenant}/{name}"), response: format!("{done}: {rate}") })
}

/// Takes it away.
pub(super) async fn take(world: &World, job: &Claimed) -> Result<Ended, Ended> {
    let (tenant, name) = (with(job, "tenant"), name(job));
    let response = match world.inside()?.budgets.delete(tenant, &name, &author(job)).await {
        Ok(_) => "deleted",
        Err(error) if error.kind() == Kind::NotFound => "it was not there",
        Err(error) => return Err(ended(&error.context(&format!("unthrottle {tenant}")))),
    };
    Ok(Ended::Done { target: format!("quota {tenant}/{name}"), response: response.to_owned() })
}

/// The quota's name: a rule's may have signs that a name of quotas has not.
fn name(job: &Claimed) -> String {
    let given = given(job, "name").unwrap_or_else(|| said(&job.arguments, "rule"));
    given.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

fn author(job: &Claimed) -> Author {
    Author { name: format!("rule {}", said(&job.arguments, "rule")), tenant: None }
}
