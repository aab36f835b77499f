//! Which tenants' rows a team or a role may see, and in which groups a caller is.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Result, State};

use super::key::ApiKey;
use crate::principal::Principal;

/// Teams above each other; a longer chain is a cycle that the directory refuses.
const ANCESTORS_MAX: usize = 64;

const PARENTS: &str = "SELECT id, spec FROM directory_entity WHERE tenant = $1 AND kind = 'Team'";
const GRANTS: &str = "SELECT tenant, grantee, access FROM tenant_grant";
/// A tenant that was ended is nobody's to see.
const ENDED: &str = "SELECT id FROM tenant WHERE ended_at IS NOT NULL";

/// The key's principal with the groups it is in and the tenants they were granted.
pub(super) async fn granted(state: &State, key: &ApiKey, principal: Principal) -> Result<Principal> {
    if key.teams.is_empty() && key.roles.is_empty() {
        return Ok(principal);
    }
    let mut groups: BTreeSet<String> = key.roles.iter().map(|role| format!("role:{role}")).collect();
    let mut by_tenant: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (tenant, team) in key.teams.iter().filter_map(|team| team.split_once('/')) {
        by_tenant.entry(tenant).or_default().push(team);
    }
    for (tenant, teams) in by_tenant {
        let parents = parents(state, tenant).await?;
        for team in teams {
            // A team that the directory no longer has gives nothing.
            let mut at = parents.get_key_value(team).map(|(team, _)| team);
            for _ in 0..ANCESTORS_MAX {
                let Some(team) = at else { break };
                groups.insert(format!("{tenant}/{team}"));
                at = parents.get(team).and_then(|parent| parents.get_key_value(parent.as_ref()?)).map(|(team, _)| team);
            }
        }
    }
    let ended = state.fetch(ENDED, &[]).await?;
    let ended: BTreeSet<String> = ended.iter().map(|row| row.get("id")).collect::<Result<_>>()?;
    let (mut reads, mut writes) = (BTreeSet::new(), BTreeSet::new());
    for row in state.fetch(GRANTS, &[]).await? {
        let (grantee, tenant, access): (String, String, String) =
            (row.get("grantee")?, row.get("tenant")?, row.get("access")?);
        let is_ours = groups.contains(grantee.strip_prefix("team:").unwrap_or(&grantee));
        if is_ours && !ended.contains(&tenant) {
            if access == "write" {
                writes.insert(tenant.clone());
            }
            reads.insert(tenant);
        }
    }
    let (reads, writes): (Vec<String>, Vec<String>) = (reads.into_iter().collect(), writes.into_iter().collect());
    Ok(principal.with_groups(groups.into_iter().collect(), &reads, &writes))
}

/// A tenant's teams with their parents.
async fn parents(state: &State, tenant: &str) -> Result<BTreeMap<String, Option<String>>> {
    let mut parents: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut claimed = Vec::new();
    for row in state.fetch(PARENTS, &[tenant.into()]).await? {
        let (id, spec): (String, String) = (row.get("id")?, row.get("spec")?);
        let spec: serde_json::Value = serde_json::from_str(&spec).unwrap_or_default();
        let bare = |text: &str| text.rsplit(['/', ':']).next().unwrap_or(text).to_owned();
        for child in spec["children"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str) {
            claimed.push((bare(child), id.clone()));
        }
        parents.insert(id, spec["parent"].as_str().map(bare));
    }
    for (child, parent) in claimed {
        if let Some(of) = parents.get_mut(&child) {
            of.get_or_insert(parent);
        }
    }
    Ok(parents)
}
