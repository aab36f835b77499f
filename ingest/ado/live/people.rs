//! Who belongs to what, who runs jobs, who may deploy, what hooks there are, and what the organization noted of itself.

use engine::{Result, Value as Cell};
use futures::future::try_join_all;
use serde_json::Value;

use super::super::cells::{int, path};
use super::super::client::{Ask, Host, Paging, segment};
use super::super::origin::{Origin, Told};
use super::super::{
    ADO_AGENT, ADO_AGENT_POOL, ADO_ELASTIC_POOL, ADO_GROUP, ADO_HOOK_SUBSCRIPTION, ADO_MEMBERSHIP, ADO_USER, AGENT,
    AGENT_POOL, AUDIT_ENTRY, ELASTIC_POOL, GROUP, HOOK_SUBSCRIPTION, MEMBERSHIP, USER,
};
use super::book::{Known, Listed};
use super::code::AT_ONCE;
use super::cursor::Cursor;
use super::reading::Listing;
use super::{Count, Pass, rfc3339, word};

/// The graph is still in preview.
const GRAPH_API: &str = "7.1-preview.1";
/// Entries of one page of the audit log.
const AUDIT_PAGE: &str = "1000";
/// How far back the audit log reaches.
const AUDIT_DAYS: i64 = 90;

impl Pass<'_> {
    /// Groups, users and memberships.
    pub async fn people(&self) -> Result<()> {
        let all = |_: &Known| true;
        let groups = Listing {
            stream: "groups",
            project: None,
            ask: Ask::get(Host::Graph, "_apis/graph/groups").api(GRAPH_API),
            paging: Paging::Token,
            member: "value",
            sweep: &[(&ADO_GROUP, &all)],
        };
        let Some(found) = self.list(groups, &|o, item, told| GROUP.write(o, item, told)).await? else { return Ok(()) };
        let users = Listing {
            stream: "users",
            project: None,
            ask: Ask::get(Host::Graph, "_apis/graph/users").api(GRAPH_API),
            paging: Paging::Token,
            member: "value",
            sweep: &[(&ADO_USER, &all)],
        };
        self.list(users, &|o, item, told| USER.write(o, item, told)).await?;
        let descriptors: Vec<String> = found.iter().filter_map(|g| word(g, &["descriptor"])).collect();
        let asked_us = self.client.time().now_us();
        let mut listed = Listed::new();
        for some in descriptors.chunks(AT_ONCE) {
            for keys in try_join_all(some.iter().map(|group| self.members(group, asked_us))).await? {
                keys.into_iter().for_each(|(table, keys)| listed.entry(table).or_default().extend(keys));
            }
        }
        let gone = self.book.sweep(&ADO_MEMBERSHIP, &listed, asked_us, &all).await?;
        self.count("memberships", None, Count { read: 0, changed: 0, gone });
        Ok(())
    }

    async fn members(&self, group: &str, asked_us: i64) -> Result<Listed> {
        let ask = Ask::get(Host::Graph, format!("_apis/graph/Memberships/{}", segment(group)));
        let members = match self.client.all(ask.with("direction", "down").api(GRAPH_API), Paging::Whole, "value").await
        {
            Ok(members) => members,
            Err(refused) => return self.tolerate("memberships", refused).map(|()| Listed::new()),
        };
        let write = |o: &Origin, item: &Value, told: &mut Told| MEMBERSHIP.write(o, item, told);
        let (keys, changed) = self.write("memberships", None, &members, asked_us, None, &write).await?;
        self.count("memberships", None, Count { read: members.len() as u64, changed, gone: 0 });
        Ok(keys)
    }

    /// Pools, scale sets and agents.
    pub async fn agents(&self) -> Result<()> {
        let all = |_: &Known| true;
        let pools = Listing {
            stream: "agent_pools",
            project: None,
            ask: Ask::get(Host::Core, "_apis/distributedtask/pools"),
            paging: Paging::Whole,
            member: "value",
            sweep: &[(&ADO_AGENT_POOL, &all)],
        };
        let Some(found) = self.list(pools, &|o, item, told| AGENT_POOL.write(o, item, told)).await? else {
            return Ok(());
        };
        for pool in &found {
            // Agents that Microsoft runs are nobody's.
            let hosted = path(pool, &["isHosted"]).and_then(Value::as_bool) == Some(true);
            let Some(id) = path(pool, &["id"]).and_then(int).filter(|_| !hosted) else { continue };
            let in_pool = |known: &Known| known.text("pool_id") == id.to_string();
            let agents = Listing {
                stream: "agents",
                project: None,
                ask: Ask::get(Host::Core, format!("_apis/distributedtask/pools/{id}/agents"))
                    .with("includeCapabilities", "true"),
                paging: Paging::Whole,
                member: "value",
                sweep: &[(&ADO_AGENT, &in_pool)],
            };
            let write = |o: &Origin, item: &Value, told: &mut Told| {
                AGENT.write_with(o, item, &[("pool_id", Cell::from(id))], told)
            };
            self.list(agents, &write).await?;
        }
        let elastic = Listing {
            stream: "elastic_pools",
            project: None,
            ask: Ask::get(Host::Core, "_apis/distributedtask/elasticpools"),
            paging: Paging::Whole,
            member: "value",
            sweep: &[(&ADO_ELASTIC_POOL, &all)],
        };
        let write = |o: &Origin, item: &Value, told: &mut Told| {
            let id = path(item, &["poolId"]).and_then(int);
            let pool = found.iter().find(|p| path(p, &["id"]).and_then(int) == id);
            let name = pool.and_then(|p| word(p, &["name"]));
            ELASTIC_POOL.write_with(o, item, &[("pool_name", Cell::from(name))], told)
        };
        self.list(elastic, &write).await?;
        Ok(())
    }

    /// Service-hook subscriptions.
    pub async fn subscriptions(&self) -> Result<()> {
        let all = |_: &Known| true;
        let listing = Listing {
            stream: "hook_subscriptions",
            project: None,
            ask: Ask::get(Host::Core, "_apis/hooks/subscriptions"),
            paging: Paging::Whole,
            member: "value",
            sweep: &[(&ADO_HOOK_SUBSCRIPTION, &all)],
        };
        self.list(listing, &|o, item, told| HOOK_SUBSCRIPTION.write(o, item, told)).await?;
        Ok(())
    }

    /// The audit log since the last reading.
    pub async fn audit(&self) -> Result<()> {
        let now_us = self.client.time().now_us();
        let before = self.book.position("audit", "").await?.and_then(|p| crate::json::instant_us(&p));
        let from = before.unwrap_or_else(|| self.since_us()).max(now_us - AUDIT_DAYS * 86_400_000_000);
        let ask = Ask::get(Host::Audit, "_apis/audit/auditlog").api("7.1-preview.1").with("skipAggregation", "true");
        let ask = ask.with("startTime", rfc3339(from)).with("endTime", rfc3339(now_us)).with("batchSize", AUDIT_PAGE);
        let mut token: Option<String> = None;
        loop {
            let page = token.iter().fold(ask.clone(), |ask, token| ask.with("continuationToken", token));
            let answer = match self.client.ask(&page).await {
                Ok(answer) => answer,
                Err(refused) => return self.tolerate("audit", refused),
            };
            // Documented samples wrap it once more.
            let inner = answer.body.get("value").filter(|v| v.is_object()).unwrap_or(&answer.body);
            let entries =
                path(inner, &["decoratedAuditLogEntries"]).and_then(Value::as_array).cloned().unwrap_or_default();
            let next = word(inner, &["continuationToken"]).filter(|next| Some(next) != token.as_ref());
            let more = path(inner, &["hasMore"]).and_then(Value::as_bool) == Some(true) && next.is_some();
            // The newest come first: only the end of the last page is the end of the span.
            let cursor = Cursor { stream: "audit", part: String::new(), position: rfc3339(now_us) };
            let write = |o: &Origin, item: &Value, told: &mut Told| AUDIT_ENTRY.write(o, item, told);
            let moved = (!more).then_some(&cursor);
            let (_, changed) = self.write("audit", None, &entries, answer.asked_us, moved, &write).await?;
            self.count("audit", None, Count { read: entries.len() as u64, changed, gone: 0 });
            if !more {
                return Ok(());
            }
            token = next;
        }
    }
}
