//! The directory's tables, as SQL sees them, and views with a table's face for each kind.

use engine::{Column, StateTable, Type, View};

/// Everybody whose rows are kept apart.
pub static TENANT: StateTable = StateTable {
    name: "tenant",
    doc: "Everybody whose rows are kept apart. A tenant sees itself only.",
    columns: &[
        Column::new("id", Type::Text, "The tenant's id, as it stands in every row's tenant column.").required(),
        Column::new("name", Type::Text, "Name for people.").required(),
        Column::new("created_at", Type::Time, "When it was made.").required(),
        Column::new("ended_at", Type::Time, "When it was taken out of the directory; its rows stay, its keys ended."),
    ],
    hidden: &[],
    tenant: Some("id"),
};

/// Keys that speak for the platform or for a tenant.
pub static API_KEY: StateTable = StateTable {
    name: "api_key",
    doc: "Keys that speak for the platform or for a tenant; never the secret or its hash.",
    columns: &[
        Column::new("id", Type::Text, "The public part of the key: `swk_<id>_…`.").required(),
        Column::new(
            "tenant",
            Type::Text,
            "The tenant it speaks for; null for the platform and for what is only granted.",
        ),
        Column::new("name", Type::Text, "What the key is for; the caller's name in `query_log` and `audit`.")
            .required(),
        Column::new("role", Type::Text, "`platform`, `tenant`, or `granted`: no tenant of its own.").required(),
        Column::new("scopes", Type::Text, "What it may do, as words: `read write`, `admin` …").required(),
        Column::new("teams", Type::Text, "The teams it is in, as `tenant/team`, divided by blanks.").required(),
        Column::new("roles", Type::Text, "The roles it has, divided by blanks; grants name them.").required(),
        Column::new("created_at", Type::Time, "When it was made.").required(),
        Column::new("last_used_at", Type::Time, "When it was last used, to ten minutes."),
        Column::new("expires_at", Type::Time, "When it ends by itself."),
        Column::new("rotated_from", Type::Text, "The key that it replaces."),
        Column::new("rotated_to", Type::Text, "The key that replaces it."),
        Column::new("revoked_at", Type::Time, "When it was revoked; null while it is good."),
    ],
    hidden: &["hash"],
    tenant: Some("tenant"),
};

/// Everything that the directory knows.
pub static DIRECTORY_ENTITY: StateTable = StateTable {
    name: "directory_entity",
    doc: "Everything that the directory knows, as `stellwerk tenant apply` last made it. `project`, `team`, `member`, `cost_center`, `application`, `data_class` and `objective` are views of it.",
    columns: &[
        Column::new("tenant", Type::Text, "Whose it is; `platform` for what is shared.").required(),
        Column::new(
            "kind",
            Type::Text,
            "`Tenant`, `Project`, `Team`, `Member`, `CostCenter`, `Application`, `DataClass` or `Grant`.",
        )
        .required(),
        Column::new("id", Type::Text, "Its name, unique among its kind and tenant.").required(),
        Column::new("title", Type::Text, "Name for people."),
        Column::new("description", Type::Text, "What it is for."),
        Column::new("owner", Type::Text, "The team or member that owns it."),
        Column::new("spec", Type::Json, "What is particular to its kind, as in its document.").required(),
        Column::new("labels", Type::Json, "`labels`, `annotations`, `tags` and `links` of its document.").required(),
        Column::new("version", Type::Int, "The version of the directory that last changed it.").required(),
        Column::new("changed_at", Type::Time, "When that was.").required(),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// Who is in which team.
pub static TEAM_MEMBER: StateTable = StateTable {
    name: "team_member",
    doc: "Who is in which team, whether the team or the member says so.",
    columns: &[
        Column::new("tenant", Type::Text, "The tenant of both.").required(),
        Column::new("team", Type::Text, "The team.").required(),
        Column::new("member", Type::Text, "The member.").required(),
        Column::new("role", Type::Text, "What it is in the team; `member` if nothing was said.").required(),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// Who may see whose rows.
pub static TENANT_GRANT: StateTable = StateTable {
    name: "tenant_grant",
    doc: "Who beside a tenant's own keys may see its rows. A tenant sees who may see it.",
    columns: &[
        Column::new("tenant", Type::Text, "The tenant whose rows may be seen.").required(),
        Column::new("grantee", Type::Text, "`team:tenant/team` or `role:name`.").required(),
        Column::new("access", Type::Text, "`read` or `write`.").required(),
        Column::new("source", Type::Text, "The grant in the directory, as `tenant/name`.").required(),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// Versions of the directory.
pub static DIRECTORY_VERSION: StateTable = StateTable {
    name: "directory_version",
    doc: "Every time that the directory was changed. Seen by the platform only; a tenant sees its own part in `directory_change`.",
    columns: &[
        Column::new("version", Type::Int, "The version, from 1.").required(),
        Column::new("at", Type::Time, "When it was applied.").required(),
        Column::new("actor", Type::Text, "Who applied it.").required(),
        Column::new("origin", Type::Text, "The folder, or `api`.").required(),
        Column::new("hash", Type::Text, "SHA-256 over the documents, hexadecimal: the same documents have the same.")
            .required(),
        Column::new("created", Type::Int, "How much was new.").required(),
        Column::new("changed", Type::Int, "How much was changed.").required(),
        Column::new("deleted", Type::Int, "How much went.").required(),
    ],
    hidden: &[],
    tenant: None,
};

/// The history of the directory.
pub static DIRECTORY_CHANGE: StateTable = StateTable {
    name: "directory_change",
    doc: "The history of the directory: what each version changed.",
    columns: &[
        Column::new("version", Type::Int, "The version.").required(),
        Column::new("tenant", Type::Text, "Whose it is; `platform` for what is shared.").required(),
        Column::new("kind", Type::Text, "Its kind.").required(),
        Column::new("id", Type::Text, "Its name.").required(),
        Column::new("action", Type::Text, "`create`, `change` or `delete`.").required(),
        Column::new("at", Type::Time, "When.").required(),
        Column::new("before", Type::Json, "As it was; null where it is new."),
        Column::new("after", Type::Json, "As it is since; null where it went."),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// Every state table of the directory.
pub const STATE_TABLES: &[&StateTable] =
    &[&TENANT, &API_KEY, &DIRECTORY_ENTITY, &TEAM_MEMBER, &TENANT_GRANT, &DIRECTORY_VERSION, &DIRECTORY_CHANGE];

/// The directory's views.
pub const VIEWS: &[&View] = &[&PROJECT, &TEAM, &MEMBER, &COST_CENTER, &APPLICATION, &DATA_CLASS, &OBJECTIVE];

/// Work that belongs together.
pub static PROJECT: View = View {
    name: "project",
    doc: "Projects of the directory, with owner, cost center, class of data, environments and repositories.",
    sql: "SELECT tenant, id, title, description, owner, spec ->> 'costCenter' AS cost_center, spec ->> 'dataClass' AS data_class,
        spec -> 'environments' AS environments, spec -> 'repositories' AS repositories, spec ->> 'domain' AS domain, labels, version, changed_at
        FROM directory_entity WHERE kind = 'Project'",
};

/// Teams.
pub static TEAM: View = View {
    name: "team",
    doc: "Teams of the directory with their parents; `team_member` says who is in them.",
    sql: "SELECT tenant, id, title, description, spec ->> 'type' AS type, spec ->> 'parent' AS parent,
        spec -> 'profile' ->> 'email' AS email, labels, version, changed_at
        FROM directory_entity WHERE kind = 'Team'",
};

/// People and machines.
pub static MEMBER: View = View {
    name: "member",
    doc: "People and machines of the directory.",
    sql: "SELECT tenant, id, title, spec -> 'profile' ->> 'displayName' AS display_name, spec -> 'profile' ->> 'email' AS email,
        spec -> 'roles' AS roles, labels, version, changed_at
        FROM directory_entity WHERE kind = 'Member'",
};

/// Who pays.
pub static COST_CENTER: View = View {
    name: "cost_center",
    doc: "Cost centers of the directory; those of the tenant `platform` are shared.",
    sql: "SELECT tenant, id, title, description, owner, spec ->> 'code' AS code, spec ->> 'parent' AS parent, labels, version, changed_at
        FROM directory_entity WHERE kind = 'CostCenter'",
};

/// What runs.
pub static APPLICATION: View = View {
    name: "application",
    doc: "Applications (Backstage's components) of the directory, with owner, project, cost center and class of data.",
    sql: "SELECT tenant, id, title, description, owner, spec ->> 'type' AS type, spec ->> 'lifecycle' AS lifecycle,
        spec ->> 'project' AS project, spec ->> 'costCenter' AS cost_center, spec ->> 'dataClass' AS data_class,
        spec ->> 'repository' AS repository, labels, version, changed_at
        FROM directory_entity WHERE kind = 'Application'",
};

/// How data must be treated.
pub static DATA_CLASS: View = View {
    name: "data_class",
    doc: "Classes of data in the directory; those of the tenant `platform` are shared.",
    sql: "SELECT tenant, id, title, description, CAST(spec ->> 'level' AS BIGINT) AS level,
        COALESCE(spec ->> 'personal', 'false') = 'true' AS personal, CAST(spec ->> 'retentionDays' AS BIGINT) AS retention_days,
        labels, version, changed_at
        FROM directory_entity WHERE kind = 'DataClass'",
};

/// What must succeed.
pub static OBJECTIVE: View = View {
    name: "objective",
    doc: "Service-level objectives of the directory: what share of a service's requests must succeed; those of the tenant `platform` are shared. The rule reliability/error_budget_burn goes by them.",
    sql: "SELECT tenant, id, title, description, owner, spec ->> 'service' AS service, CAST(spec ->> 'target' AS DOUBLE) AS target_percent,
        labels, version, changed_at
        FROM directory_entity WHERE kind = 'Objective'",
};
