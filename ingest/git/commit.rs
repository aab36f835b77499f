//! `git_commit` and `git_ref`: the history.

use engine::{Column, Index, Rows, Table, Type, Value as Cell};
use git2::{Commit, Diff, Signature};

use super::message::Message;
use crate::json::Reason;

/// Commits.
pub static GIT_COMMIT: Table = Table {
    key: &["repository", "sha"],
    time: "committed_at",
    indexes: &[Index::BTree("sha")],
    ..Table::new(
        "git_commit",
        "Every commit that the refs read so far reach, once a repository.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the row.").required(),
            Column::new("repository", Type::Text, "The repository: its URL or folder, without credentials.").required(),
            Column::new("sha", Type::Text, "Id of the commit.").required(),
            Column::new("parents", Type::Json, "Ids of its parents, a list.").required(),
            Column::new("tree", Type::Text, "Id of its tree."),
            Column::new("author_name", Type::Text, "Who wrote it."),
            Column::new("author_email", Type::Text, "Address of who wrote it."),
            Column::new("authored_at", Type::Time, "When it was written."),
            Column::new("committer_name", Type::Text, "Who committed it."),
            Column::new("committer_email", Type::Text, "Address of who committed it."),
            Column::new("committed_at", Type::Time, "When it was committed.").required(),
            Column::new("subject", Type::Text, "First line of the message.").required(),
            Column::new("body", Type::Text, "The rest of the message."),
            Column::new("trailers", Type::Json, "Trailers by name: `{\"Signed-off-by\": [\"…\"]}`."),
            Column::new("signed_off_by", Type::Json, "Values of Signed-off-by, a list."),
            Column::new("co_authors", Type::Json, "Values of Co-authored-by, a list."),
            Column::new("is_merge", Type::Bool, "Whether it has several parents.").required(),
            Column::new("insertions", Type::Int, "Lines that it adds against its parent; null for merges."),
            Column::new("deletions", Type::Int, "Lines that it takes away; null for merges."),
            Column::new("files_changed", Type::Int, "Files that it changes; null for merges."),
            Column::new(
                "conventional_type",
                Type::Name,
                "Type by Conventional Commits (`feat`, `fix`), in small letters.",
            ),
            Column::new("conventional_scope", Type::Name, "Scope by Conventional Commits."),
            Column::new("is_breaking", Type::Bool, "Whether it says that it breaks something.").required(),
            Column::new("work_items", Type::Json, "Work items that it names, a list of `AB#12` and `#34`."),
        ],
    )
};

/// Refs that were read.
pub static GIT_REF: Table = Table {
    key: &["repository", "ref"],
    time: "ingested_at",
    ..Table::new(
        "git_ref",
        "Branches, tags and commits that were read, with the commit at which they stood.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the row.").required(),
            Column::new("repository", Type::Text, "The repository.").required(),
            Column::new("ref", Type::Text, "Branch, tag or commit.").required(),
            Column::new("sha", Type::Text, "The commit at which it stood.").required(),
            Column::new("committed_at", Type::Time, "When that commit was made."),
            Column::new("files", Type::Int, "Files at that commit.").required(),
        ],
    )
};

/// Microseconds since 1970 of a signature.
pub fn at_us(signature: &Signature<'_>) -> i64 {
    signature.when().seconds().saturating_mul(1_000_000)
}

/// Adds a commit's row; a merge has no difference of its own.
pub fn write(
    tenant: &str,
    repository: &str,
    commit: &Commit<'_>,
    diff: Option<&Diff<'_>>,
    rows: &mut Rows,
) -> Result<(), Reason> {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let message = Message::read(&lossy(commit.message_bytes()));
    let (author, committer) = (commit.author(), commit.committer());
    let parents: Vec<String> = commit.parent_ids().map(|id| id.to_string()).collect();
    let stats = diff.and_then(|diff| diff.stats().ok());
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    rows.set("tenant", tenant)
        .set("repository", repository)
        .set("sha", commit.id().to_string())
        .set("is_merge", parents.len() > 1)
        .set("parents", serde_json::json!(parents).to_string())
        .set("tree", commit.tree_id().to_string())
        .set("author_name", lossy(author.name_bytes()))
        .set("author_email", lossy(author.email_bytes()))
        .set("authored_at", Cell::Time(at_us(&author)))
        .set("committer_name", lossy(committer.name_bytes()))
        .set("committer_email", lossy(committer.email_bytes()))
        .set("committed_at", Cell::Time(at_us(&committer)))
        .set("signed_off_by", cell(&message.trailer("Signed-off-by")))
        .set("co_authors", cell(&message.trailer("Co-authored-by")))
        .set("trailers", (!message.trailers.is_empty()).then(|| serde_json::json!(message.trailers).to_string()))
        .set("work_items", cell(&message.work_items))
        .set("subject", message.subject)
        .set("body", message.body)
        .set("insertions", stats.as_ref().map(|stats| count(stats.insertions())))
        .set("deletions", stats.as_ref().map(|stats| count(stats.deletions())))
        .set("files_changed", stats.as_ref().map(|stats| count(stats.files_changed())))
        .set("conventional_type", message.kind)
        .set("conventional_scope", message.scope)
        .set("is_breaking", message.breaking);
    rows.end_row().map_err(|e| e.to_string())
}

fn cell(list: &[String]) -> Option<String> {
    (!list.is_empty()).then(|| serde_json::json!(list).to_string())
}
