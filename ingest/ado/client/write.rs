//! Writes that may be repeated: refs move by compare-and-swap, what has a name is looked up before it is made, and what is
//! ours bears a mark.

use serde_json::{Value, json};

use super::super::cells::{path, text};
use super::{Ask, Client, Host, Refused, segment};

/// The object that a ref which is not there stands at.
pub const NOWHERE: &str = "0000000000000000000000000000000000000000";

/// One ref that is to move.
#[derive(Debug, Clone)]
pub struct Move {
    pub name: String,
    /// Where it must stand; [`NOWHERE`] for a new one.
    pub from: String,
    /// Where it is to stand; [`NOWHERE`] to delete it.
    pub to: String,
}

/// What became of one ref. The answer's status is 200 in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// It stands there now, or stood there before.
    Done,
    /// Somebody else moved it first: read it, and decide anew.
    Stale,
    /// Refused, with the source's own word (`rejectedByPolicy`, `locked`, `createBranchPermissionRequired` …).
    Refused(String),
}

/// Moves refs. A repetition after a lost answer is no failure: a ref that stands where it should is done.
pub async fn move_refs(client: &Client, repository: &str, moves: &[Move]) -> Result<Vec<Moved>, Refused> {
    let at = format!("_apis/git/repositories/{}/refs", segment(repository));
    let wanted = |m: &Move| json!({"name": m.name, "oldObjectId": m.from, "newObjectId": m.to});
    let ask = Ask::post(Host::Core, at, Value::Array(moves.iter().map(wanted).collect()));
    let answer = client.ask(&ask).await?;
    let mut done = Vec::with_capacity(moves.len());
    for wanted in moves {
        let found = answer
            .items("value")
            .iter()
            .find(|r| path(r, &["name"]).and_then(text).as_deref() == Some(wanted.name.as_str()));
        done.push(outcome(client, repository, wanted, found).await?);
    }
    Ok(done)
}

async fn outcome(client: &Client, repository: &str, wanted: &Move, told: Option<&Value>) -> Result<Moved, Refused> {
    let status = told.and_then(|told| path(told, &["updateStatus"]).and_then(text)).unwrap_or_default();
    match status.as_str() {
        "succeeded" | "succeededNonExistentRef" | "succeededCorruptRef" => Ok(Moved::Done),
        "staleOldObjectId" => {
            let stands = where_stands(client, repository, &wanted.name).await?;
            Ok(if stands.as_deref().unwrap_or(NOWHERE) == wanted.to { Moved::Done } else { Moved::Stale })
        }
        "" => Ok(Moved::Refused("the answer does not name it".to_owned())),
        other => Ok(Moved::Refused(other.to_owned())),
    }
}

/// Where a ref stands; `None` if it is not there.
pub async fn where_stands(client: &Client, repository: &str, name: &str) -> Result<Option<String>, Refused> {
    let short = name.strip_prefix("refs/").unwrap_or(name);
    let ask =
        Ask::get(Host::Core, format!("_apis/git/repositories/{}/refs", segment(repository))).with("filter", short);
    let answer = client.ask(&ask).await?;
    let found = answer.items("value").iter().find(|r| path(r, &["name"]).and_then(text).as_deref() == Some(name));
    Ok(found.and_then(|found| path(found, &["objectId"]).and_then(text)))
}
