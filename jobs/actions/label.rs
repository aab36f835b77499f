//! `label`: a tag on a work item of Azure DevOps, put there or, when the row is gone, taken off.

use ingest::ado::client::item::{change, read};

use super::ticket::{refusal, tracker};
use super::world::{World, said, with};
use crate::queue::{Claimed, Ended};

/// What separates tags in a work item.
const BETWEEN: &str = "; ";

pub(super) async fn act(world: &World, job: &Claimed) -> Result<Ended, Ended> {
    let (client, _) = tracker(world)?;
    let (project, label) = (with(job, "project"), with(job, "label").trim());
    let given = &job.arguments["with"]["item"];
    let id = given.as_i64().or_else(|| given.as_str()?.trim().parse().ok());
    let Some(id) = id.filter(|_| !label.is_empty() && !label.contains(';')) else {
        return Err(Ended::Refused {
            error: format!("`label` takes the number of a work item and a tag, not {given} and {label:?}"),
        });
    };
    let item = read(client, id).await.map_err(|refused| refusal(&refused))?;
    if item["fields"]["System.TeamProject"] != project {
        return Err(Ended::Refused { error: format!("the work item {id} does not belong to {project}") });
    }
    let target = format!("work item {id} of {}", client.organization());
    let done = |response: &str| Ok(Ended::Done { target: target.clone(), response: response.to_owned() });
    let tags = said(&item["fields"], "System.Tags");
    let Some(tags) = tagged(tags, label, said(&job.arguments, "transition") != "resolved") else {
        return done("unchanged");
    };
    change(client, &item, &[("System.Tags", &tags)]).await.map_err(|refused| refusal(&refused))?;
    done(&tags)
}

/// The tags with one more or one less; `None` where they are so already. Case tells no tags apart.
fn tagged(tags: &str, label: &str, wanted: bool) -> Option<String> {
    let mut all: Vec<&str> = tags.split(';').map(str::trim).filter(|tag| !tag.is_empty()).collect();
    let there = all.iter().position(|tag| tag.eq_ignore_ascii_case(label));
    match (there, wanted) {
        (None, true) => all.push(label),
        (Some(at), false) => drop(all.remove(at)),
        _ => return None,
    }
    Some(all.join(BETWEEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_there_once_or_not() {
        assert_eq!(tagged("", "x", true), Some("x".to_owned()));
        assert_eq!(tagged("a; b", "x", true), Some("a; b; x".to_owned()));
        assert_eq!(tagged("a; X", "x", true), None);
        assert_eq!(tagged("a; X; b", "x", false), Some("a; b".to_owned()));
        assert_eq!(tagged("a", "x", false), None);
    }
}
