//! Approvals: people are asked before something is done. Who votes has proved who it is, nobody agrees to a wish of its own,
//! one no is a no, and no answer until the deadline is a no.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::clock::rfc3339;
use engine::state::Row;
use engine::{Column, Error, Kind, Result, Scope, State as Database, StateTable, Tenants, Type, Value as Cell};
use ledger::audit::Audit;
use ledger::principal::Caller;
use serde_json::{Value, json};

use crate::flow::desk::name;
use crate::queue::wake;

/// Approvals that one listing shows.
const LISTED_MAX: i64 = 500;
/// Characters of a voter's reason.
const WHY_CHARS_MAX: usize = 2_000;
/// Who may vote where no group is meant.
pub const ANYBODY: &str = "*";

/// What people were asked.
pub static APPROVAL: StateTable = StateTable {
    name: "approval",
    doc: "What people were asked before something was done, and how they decided. A tenant sees what is its own matter.",
    columns: &[
        Column::new("id", Type::Text, "Its id.").required(),
        Column::new("job", Type::Text, "The flow that waits.").required(),
        Column::new("round", Type::Int, "Which time that flow runs.").required(),
        Column::new("step", Type::Text, "Its step.").required(),
        Column::new("tenant", Type::Text, "Whose matter it is; null where it is the platform's own."),
        Column::new("ask", Type::Text, "What is asked.").required(),
        Column::new("voters", Type::Text, "The group whose members vote; `*` for everybody who may write.").required(),
        Column::new("quorum", Type::Int, "How many must agree.").required(),
        Column::new("requester", Type::Text, "Who wants it, and does not vote.").required(),
        Column::new("deadline", Type::Time, "No answer until then is a no.").required(),
        Column::new(
            "decision",
            Type::Text,
            "`approved`, `denied`, or `withdrawn` where the flow ended; null while it is open.",
        ),
        Column::new("reason", Type::Text, "Who decided, and why."),
        Column::new("decided_at", Type::Time, "When it was decided."),
        Column::new("created_at", Type::Time, "When it was asked.").required(),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// Votes.
pub static VOTE: StateTable = StateTable {
    name: "vote",
    doc: "Votes on approvals. Seen by the platform only.",
    columns: &[
        Column::new("approval", Type::Text, "The approval.").required(),
        Column::new("voter", Type::Text, "Who voted.").required(),
        Column::new("yes", Type::Bool, "Whether it agreed.").required(),
        Column::new("why", Type::Text, "Why."),
        Column::new("at", Type::Time, "When.").required(),
    ],
    hidden: &[],
    tenant: None,
};

/// What is asked, as far as a vote needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Who wants it.
    pub requester: String,
    /// How many must agree.
    pub quorum: usize,
    /// No answer until then is a no.
    pub deadline_us: i64,
    /// What was decided.
    pub decision: Option<String>,
}

/// One vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// Who.
    pub voter: String,
    /// Whether it agrees.
    pub yes: bool,
}

/// What a vote comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// More must agree.
    Open,
    /// It may be done.
    Approved,
    /// It may not.
    Denied,
    /// It was cast before, and says the same.
    Again,
}

/// What a vote of somebody who may vote comes to, beside those that were cast: pure.
pub fn verdict(asked: &Asked, cast: &[Ballot], ballot: &Ballot, now_us: i64) -> Result<Verdict> {
    let conflict = |text: String| Err(Error::new(Kind::Conflict, text));
    if let Some(before) = cast.iter().find(|before| before.voter == ballot.voter) {
        if before.yes == ballot.yes {
            return Ok(Verdict::Again);
        }
        return conflict(format!("{} has voted the other way already; a vote is not taken back", ballot.voter));
    }
    if let Some(decision) = &asked.decision {
        return conflict(format!("it was {decision} already"));
    }
    if now_us >= asked.deadline_us {
        return conflict(format!("its deadline was {}, and no answer until then is a no", rfc3339(asked.deadline_us)));
    }
    if is_one(&ballot.voter, &asked.requester) {
        return Err(Error::new(
            Kind::Denied,
            format!("{} wants it, and nobody agrees to a wish of its own", ballot.voter),
        ));
    }
    if !ballot.yes {
        return Ok(Verdict::Denied);
    }
    let agreed = cast.iter().filter(|before| before.yes).count() + 1;
    Ok(if agreed >= asked.quorum { Verdict::Approved } else { Verdict::Open })
}

/// Whether two names may be one person's: the owner of a rule and whoever speaks for the platform have no tenant before
/// their names, and `acme/ana` may be the `ana` who wrote the rule.
fn is_one(voter: &str, requester: &str) -> bool {
    let bare = |name: &str| name.rsplit_once('/').map_or_else(|| name.to_owned(), |(_, bare)| bare.to_owned());
    let unbound = !voter.contains('/') || !requester.contains('/');
    voter == requester || (unbound && bare(voter) == bare(requester))
}

/// Whether somebody is in the group that votes on a tenant's matter. The platform's operators are in every group.
pub fn may_vote(scope: &Scope, operates: bool, voters: &str, tenant: Option<&str>) -> bool {
    let sees = tenant.map_or(scope.tenants == Tenants::All, |tenant| scope.tenants.covers(tenant));
    let Some(groups) = scope.groups() else { return sees && operates };
    let home = tenant.map(|tenant| format!("{tenant}/{voters}"));
    let is_meant =
        |group: &String| group == voters || group.strip_prefix("role:") == Some(voters) || Some(group) == home.as_ref();
    sees && (voters == ANYBODY || groups.iter().any(is_meant))
}

/// Where people see what they are asked, and vote.
#[derive(Debug, Clone)]
pub struct Approvals {
    state: Arc<Database>,
    audit: Option<Arc<Audit>>,
}

const SELECT: &str = "SELECT id, job, round, step, tenant, ask, voters, quorum, requester, deadline, decision, reason, \
                      decided_at, created_at FROM approval";

impl Approvals {
    /// Over the state database; votes are audited where there is a log.
    pub fn new(state: Arc<Database>, audit: Option<Arc<Audit>>) -> Self {
        Approvals { state, audit }
    }

    /// What is asked, newest first; with `all` also what was decided.
    pub async fn list(&self, all: bool, tenants: &Tenants) -> Result<Vec<Value>> {
        let sql = format!("{SELECT} WHERE ($1 OR decision IS NULL) ORDER BY id DESC LIMIT $2");
        let rows = self.state.fetch(engine::sqlx::AssertSqlSafe(sql), &[all.into(), Cell::Int(LISTED_MAX)]).await?;
        let mut votes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for row in self.state.fetch("SELECT approval, voter, yes, why, at FROM vote ORDER BY at, voter", &[]).await? {
            votes.entry(row.get("approval")?).or_default().push(vote(&row)?);
        }
        let mut asked = Vec::with_capacity(rows.len());
        for row in &rows {
            let tenant: Option<String> = row.get("tenant")?;
            if tenant.as_deref().map_or(*tenants == Tenants::All, |tenant| tenants.covers(tenant)) {
                asked.push(shown(row, votes.remove(&row.get::<String>("id")?).unwrap_or_default())?);
            }
        }
        Ok(asked)
    }

    /// One of them.
    pub async fn show(&self, id: &str, tenants: &Tenants) -> Result<Value> {
        let none = || {
            Error::new(Kind::NotFound, format!("there is no approval {id}; `stellwerk approval list --all` shows them"))
        };
        let sql = format!("{SELECT} WHERE id = $1");
        let rows = self.state.fetch(engine::sqlx::AssertSqlSafe(sql), &[id.into()]).await?;
        let row = rows.first().ok_or_else(none)?;
        let tenant: Option<String> = row.get("tenant")?;
        if !tenant.as_deref().map_or(*tenants == Tenants::All, |tenant| tenants.covers(tenant)) {
            return Err(none());
        }
        let votes = "SELECT voter, yes, why, at FROM vote WHERE approval = $1 ORDER BY at, voter";
        let votes = self.state.fetch(votes, &[id.into()]).await?;
        shown(row, votes.iter().map(vote).collect::<Result<_>>()?)
    }

    /// Casts a vote of a caller that has proved who it is; `operates` where it operates the platform. The vote, what it
    /// decides, and its row in the audit log are one transaction.
    pub async fn cast(
        &self,
        id: &str,
        yes: bool,
        why: Option<&str>,
        caller: &Caller,
        operates: bool,
        now_us: i64,
    ) -> Result<Verdict> {
        let why = why.map(|why| self.state.redactor().redact(why).chars().take(WHY_CHARS_MAX).collect::<String>());
        let none = || Error::new(Kind::NotFound, format!("there is no approval {id}"));
        let job = self.state.fetch("SELECT job FROM approval WHERE id = $1", &[id.into()]).await?;
        let job: String = job.first().ok_or_else(none)?.get("job")?;
        let mut open = self.state.transaction().await?;
        // The flow first, as whoever drives it does: two that hold one row each would wait for each other.
        wake(&mut open, &job, now_us).await?;
        open.execute("UPDATE approval SET quorum = quorum WHERE id = $1", &[id.into()]).await?;
        let held = "SELECT tenant, voters, quorum, requester, deadline, decision, step FROM approval WHERE id = $1";
        let rows = open.fetch(held, &[id.into()]).await?;
        let row = rows.first().ok_or_else(none)?;
        let (tenant, voters): (Option<String>, String) = (row.get("tenant")?, row.get("voters")?);
        let ballot = Ballot { voter: name(caller), yes };
        if !may_vote(&caller.scope, operates, &voters, tenant.as_deref()) {
            let text = format!("{} is not in the group {voters}, whose members vote on it", ballot.voter);
            return Err(Error::new(Kind::Denied, text));
        }
        let asked = Asked {
            requester: row.get("requester")?,
            quorum: usize::try_from(row.get::<i64>("quorum")?).unwrap_or(usize::MAX),
            deadline_us: row.get("deadline")?,
            decision: row.get("decision")?,
        };
        let cast = open.fetch("SELECT voter, yes FROM vote WHERE approval = $1", &[id.into()]).await?;
        let cast = cast.iter().map(|row| Ok(Ballot { voter: row.get("voter")?, yes: row.get("yes")? }));
        let verdict = verdict(&asked, &cast.collect::<Result<Vec<_>>>()?, &ballot, now_us)?;
        if verdict == Verdict::Again {
            return Ok(verdict);
        }
        let values =
            [id.into(), ballot.voter.as_str().into(), Cell::Bool(yes), why.as_deref().into(), Cell::Time(now_us)];
        open.execute("INSERT INTO vote (approval, voter, yes, why, at) VALUES ($1, $2, $3, $4, $5)", &values).await?;
        let word = match verdict {
            Verdict::Approved => Some("approved"),
            Verdict::Denied => Some("denied"),
            Verdict::Open | Verdict::Again => None,
        };
        if let Some(word) = word {
            let reason = why.as_deref().map_or_else(String::new, |why| format!(": {why}"));
            let values = [id.into(), word.into(), format!("by {}{reason}", ballot.voter).into(), Cell::Time(now_us)];
            let sql =
                "UPDATE approval SET decision = $2, reason = $3, decided_at = $4 WHERE id = $1 AND decision IS NULL";
            open.execute(sql, &values).await?;
        }
        if let Some(audit) = &self.audit {
            let entry = caller.entry("approval.vote", id).of_tenant(tenant.as_deref());
            let detail = json!({ "job": job, "yes": yes, "decision": word });
            audit.record_in(&mut open, vec![entry.with(detail)]).await?;
        }
        open.commit().await?;
        Ok(verdict)
    }
}

fn vote(row: &Row) -> Result<Value> {
    Ok(json!({
        "voter": row.get::<String>("voter")?, "yes": row.get::<bool>("yes")?, "why": row.get::<Option<String>>("why")?,
        "at": rfc3339(row.get("at")?),
    }))
}

fn shown(row: &Row, votes: Vec<Value>) -> Result<Value> {
    let text = |name: &str| row.get::<Option<String>>(name);
    Ok(json!({
        "id": text("id")?, "job": text("job")?, "step": text("step")?, "tenant": text("tenant")?, "ask": text("ask")?,
        "voters": text("voters")?, "quorum": row.get::<i64>("quorum")?, "requester": text("requester")?,
        "deadline": rfc3339(row.get("deadline")?), "decision": text("decision")?, "reason": text("reason")?,
        "decided_at": row.get::<Option<i64>>("decided_at")?.map(rfc3339), "created_at": rfc3339(row.get("created_at")?),
        "votes": votes,
    }))
}

#[cfg(test)]
mod tests;
