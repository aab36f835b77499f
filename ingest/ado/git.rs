//! `ado_project`, `ado_repository`, `ado_ref`, `ado_commit`: where code lies.

use engine::{Column, Table, Type};

use super::origin::{ORGANIZATION, PROJECT, PROJECT_ID, TENANT, VERSION};
use super::shape::Shape;

/// Projects of the organization.
pub static ADO_PROJECT: Table = Table {
    key: &["organization", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_project",
        "Projects of the organization.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Text, "Id of the project.").required(),
            Column::new("name", Type::Name, "Name."),
            Column::new("description", Type::Text, "What it is for."),
            Column::new("state", Type::Name, "`wellFormed`, `createPending`, `deleting` …"),
            Column::new("visibility", Type::Name, "`private` or `public`."),
            Column::new("revision", Type::Int, "Counts its changes."),
            Column::new("last_update_time", Type::Time, "When it was changed last."),
            Column::new("default_team", Type::Text, "Name of its default team."),
            Column::new("url", Type::Text, "REST address."),
            VERSION,
        ],
    )
};

/// How [`ADO_PROJECT`] is read.
pub static PROJECT_SHAPE: Shape = Shape { table: &ADO_PROJECT, paths: &[] };

/// Git repositories, as hooks and the source last told of them.
pub static ADO_REPOSITORY: Table = Table {
    key: &["organization", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_repository",
        "Git repositories, as hooks and the source last told of them.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Text, "Id of the repository.").required(),
            Column::new("name", Type::Name, "Name."),
            Column::new("default_branch", Type::Text, "Default branch (`refs/heads/main`)."),
            Column::new("size_bytes", Type::Int, "Size."),
            Column::new("is_disabled", Type::Bool, "Nobody can use it."),
            Column::new("is_fork", Type::Bool, "Made as a fork."),
            Column::new("is_in_maintenance", Type::Bool, "Locked for maintenance."),
            Column::new("parent_repository_id", Type::Text, "Id of the repository that it was forked from."),
            Column::new("remote_url", Type::Text, "Address for clones over HTTPS."),
            Column::new("ssh_url", Type::Text, "Address for clones over SSH."),
            Column::new("web_url", Type::Text, "Address for people."),
            Column::new("url", Type::Text, "REST address."),
            VERSION,
        ],
    )
};

/// How [`ADO_REPOSITORY`] is read.
pub static REPOSITORY: Shape =
    Shape { table: &ADO_REPOSITORY, paths: &[("size_bytes", "size"), ("parent_repository_id", "parentRepository.id")] };

/// Branches and tags, and where they stand.
pub static ADO_REF: Table = Table {
    key: &["organization", "repository_id", "name"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_ref",
        "Branches and tags, and where they stand.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("repository_id", Type::Text, "Id of the repository.").required(),
            Column::new("repository", Type::Name, "Name of the repository when it was told of."),
            Column::new("name", Type::Text, "Name (`refs/heads/main`).").required(),
            Column::new("object_id", Type::Text, "Commit or annotated tag that it stands at."),
            Column::new("peeled_object_id", Type::Text, "Commit behind an annotated tag."),
            Column::new("creator", Type::Text, "Display name of who made it."),
            Column::new("creator_unique_name", Type::Text, "Unique name of who made it."),
            Column::new("is_locked", Type::Bool, "Nobody can push to it."),
            Column::new("url", Type::Text, "REST address."),
            VERSION,
        ],
    )
};

/// How [`ADO_REF`] is read.
pub static REF: Shape =
    Shape { table: &ADO_REF, paths: &[("object_id", "objectId|newObjectId"), ("repository", "repository.name")] };

/// Commits that pushes brought.
pub static ADO_COMMIT: Table = Table {
    key: &["organization", "repository_id", "commit_id"],
    version: Some("version"),
    time: "committer_date",
    ..Table::new(
        "ado_commit",
        "Commits that pushes brought.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("repository_id", Type::Text, "Id of the repository.").required(),
            Column::new("repository", Type::Name, "Name of the repository when it was told of."),
            Column::new("commit_id", Type::Text, "SHA-1 of the commit.").required(),
            Column::new("author_name", Type::Text, "Who wrote it."),
            Column::new("author_email", Type::Text, "E-mail address of who wrote it."),
            Column::new("author_date", Type::Time, "When it was written."),
            Column::new("committer_name", Type::Text, "Who committed it."),
            Column::new("committer_email", Type::Text, "E-mail address of who committed it."),
            Column::new("committer_date", Type::Time, "When it was committed."),
            Column::new("comment", Type::Text, "Its message, cut where the source cuts it."),
            Column::new("comment_truncated", Type::Bool, "The source cut the message."),
            Column::new("push_id", Type::Int, "Push that brought it."),
            Column::new("parents", Type::Json, "Commits that it follows."),
            Column::new("change_counts", Type::Json, "Files added, edited and deleted."),
            Column::new("url", Type::Text, "REST address."),
            VERSION,
        ],
    )
};

/// How [`ADO_COMMIT`] is read.
pub static COMMIT: Shape = Shape {
    table: &ADO_COMMIT,
    paths: &[
        ("author_name", "author.name"),
        ("author_email", "author.email"),
        ("author_date", "author.date"),
        ("committer_name", "committer.name"),
        ("committer_email", "committer.email"),
        ("committer_date", "committer.date"),
        ("push_id", "push.pushId"),
        ("repository", "repository.name"),
    ],
};
