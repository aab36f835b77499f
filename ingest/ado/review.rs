//! `ado_pull_request_vote`, `ado_pull_request_thread`, `ado_pull_request_comment`: what reviewers did.

use engine::{Column, Table, Type};

use super::origin::{ORGANIZATION, PROJECT, PROJECT_ID, TENANT, VERSION};
use super::shape::Shape;

/// Reviewers of pull requests and how they voted.
pub static ADO_PULL_REQUEST_VOTE: Table = Table {
    key: &["organization", "repository_id", "pull_request_id", "reviewer_id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_pull_request_vote",
        "Reviewers of pull requests and how they voted.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("repository_id", Type::Text, "Id of the repository.").required(),
            Column::new("pull_request_id", Type::Int, "Number of the pull request.").required(),
            Column::new("reviewer_id", Type::Text, "Id of the reviewer.").required(),
            Column::new("reviewer", Type::Text, "Display name of the reviewer."),
            Column::new("reviewer_unique_name", Type::Text, "Unique name of the reviewer."),
            Column::new(
                "vote",
                Type::Int,
                "10 approved, 5 approved with suggestions, 0 none, -5 waits for the author, -10 rejected.",
            ),
            Column::new("is_required", Type::Bool, "The pull request waits for this reviewer."),
            Column::new("is_container", Type::Bool, "A group, not a person."),
            Column::new("has_declined", Type::Bool, "Declined to review."),
            Column::new("is_flagged", Type::Bool, "Flagged for attention."),
            VERSION,
        ],
    )
};

/// How [`ADO_PULL_REQUEST_VOTE`] is read.
pub static PULL_REQUEST_VOTE: Shape =
    Shape { table: &ADO_PULL_REQUEST_VOTE, paths: &[("reviewer_id", "id"), ("reviewer", ".")] };

/// Threads of pull requests, the system own ones too: votes, pushes and status changes are threads.
pub static ADO_PULL_REQUEST_THREAD: Table = Table {
    key: &["organization", "repository_id", "pull_request_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_pull_request_thread",
        "Threads of pull requests, the system own ones too: votes, pushes and status changes are threads.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("repository_id", Type::Text, "Id of the repository.").required(),
            Column::new("pull_request_id", Type::Int, "Number of the pull request.").required(),
            Column::new("id", Type::Int, "Number of the thread in its pull request.").required(),
            Column::new(
                "status",
                Type::Name,
                "`active`, `fixed`, `wontFix`, `closed`, `byDesign`, `pending`; null for threads of the system.",
            ),
            Column::new(
                "thread_type",
                Type::Name,
                "What the system tells by it: `VoteUpdate`, `RefUpdate`, `StatusUpdate`, `ReviewersUpdate` …; null for people.",
            ),
            Column::new("vote_result", Type::Int, "The vote that a `VoteUpdate` tells."),
            Column::new("author", Type::Text, "Display name of who wrote its first comment."),
            Column::new("author_unique_name", Type::Text, "Unique name of who wrote its first comment."),
            Column::new("published_date", Type::Time, "When it was opened."),
            Column::new("last_updated_date", Type::Time, "When it was changed last."),
            Column::new("file_path", Type::Text, "File that it is about."),
            Column::new("comment_count", Type::Int, "Comments in it that are not deleted."),
            Column::new("is_deleted", Type::Bool, "Deleted."),
            VERSION,
        ],
    )
};

/// How [`ADO_PULL_REQUEST_THREAD`] is read.
pub static PULL_REQUEST_THREAD: Shape = Shape {
    table: &ADO_PULL_REQUEST_THREAD,
    paths: &[
        ("thread_type", "properties.CodeReviewThreadType.$value"),
        ("vote_result", "properties.CodeReviewVoteResult.$value"),
        ("author", "author"),
        ("file_path", "threadContext.filePath"),
        ("pull_request_id", "pullRequestId"),
    ],
};

/// Comments on pull requests.
pub static ADO_PULL_REQUEST_COMMENT: Table = Table {
    key: &["organization", "repository_id", "pull_request_id", "thread_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_pull_request_comment",
        "Comments on pull requests.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("repository_id", Type::Text, "Id of the repository.").required(),
            Column::new("pull_request_id", Type::Int, "Number of the pull request.").required(),
            Column::new("thread_id", Type::Int, "Number of its thread; 0 where a hook does not say.").required(),
            Column::new("id", Type::Int, "Number of the comment in its thread.").required(),
            Column::new("parent_comment_id", Type::Int, "Comment that it answers; 0 for none."),
            Column::new("author", Type::Text, "Display name of its author."),
            Column::new("author_unique_name", Type::Text, "Unique name of its author."),
            Column::new("content", Type::Text, "Its text."),
            Column::new("comment_type", Type::Name, "`text`, `codeChange` or `system`."),
            Column::new("published_date", Type::Time, "When it was written."),
            Column::new("last_updated_date", Type::Time, "When it was changed last."),
            Column::new("last_content_updated_date", Type::Time, "When its text was changed last."),
            Column::new("is_deleted", Type::Bool, "Deleted; the text may stay."),
            VERSION,
        ],
    )
};

/// How [`ADO_PULL_REQUEST_COMMENT`] is read.
pub static PULL_REQUEST_COMMENT: Shape = Shape { table: &ADO_PULL_REQUEST_COMMENT, paths: &[] };
