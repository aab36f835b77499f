//! `ado_work_item_revision`, `ado_work_item_comment`: how work items came to be what they are.

use engine::{Column, Table, Type};

use super::origin::{ORGANIZATION, PROJECT, PROJECT_ID, TENANT, VERSION};
use super::shape::Shape;

/// Revisions of work items: one row each, with the state after it. What changed is what the revision before has otherwise.
pub static ADO_WORK_ITEM_REVISION: Table = Table {
    key: &["organization", "work_item_id", "rev"],
    version: Some("version"),
    time: "changed_date",
    ..Table::new(
        "ado_work_item_revision",
        "Revisions of work items: one row each, with the state after it. What changed is what the revision before has otherwise.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("work_item_id", Type::Int, "Number of the work item.").required(),
            Column::new("rev", Type::Int, "Number of the revision.").required(),
            Column::new("work_item_type", Type::Name, "`Bug`, `User Story`, `Task` …"),
            Column::new("state", Type::Name, "State after it."),
            Column::new("reason", Type::Name, "Why it is in its state."),
            Column::new("title", Type::Text, "Title after it."),
            Column::new("assigned_to", Type::Text, "Display name of who works on it."),
            Column::new("assigned_to_unique_name", Type::Text, "Unique name of who works on it."),
            Column::new("changed_by", Type::Text, "Display name of who made the revision."),
            Column::new("changed_by_unique_name", Type::Text, "Unique name of who made the revision."),
            Column::new("changed_date", Type::Time, "When it was made."),
            Column::new("area_path", Type::Name, "Area, with backslashes."),
            Column::new("iteration_path", Type::Name, "Iteration, with backslashes."),
            Column::new("is_deleted", Type::Bool, "The item went to the recycle bin by it."),
            Column::new("fields", Type::Json, "All fields after it."),
            VERSION,
        ],
    )
};

/// How [`ADO_WORK_ITEM_REVISION`] is read.
pub static WORK_ITEM_REVISION: Shape = Shape { table: &ADO_WORK_ITEM_REVISION, paths: &[] };

/// Comments on work items.
pub static ADO_WORK_ITEM_COMMENT: Table = Table {
    key: &["organization", "work_item_id", "comment_id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_work_item_comment",
        "Comments on work items.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("work_item_id", Type::Int, "Number of the work item.").required(),
            Column::new(
                "comment_id",
                Type::Text,
                "Number of the comment; `rev:N` where an old event tells only the revision.",
            )
            .required(),
            Column::new("comment_version", Type::Int, "Counts its changes."),
            Column::new("text", Type::Text, "Its text."),
            Column::new("created_by", Type::Text, "Display name of its author."),
            Column::new("created_by_unique_name", Type::Text, "Unique name of its author."),
            Column::new("created_date", Type::Time, "When it was written."),
            Column::new("modified_date", Type::Time, "When it was changed last."),
            Column::new("is_deleted", Type::Bool, "Deleted."),
            VERSION,
        ],
    )
};

/// How [`ADO_WORK_ITEM_COMMENT`] is read.
pub static WORK_ITEM_COMMENT: Shape = Shape {
    table: &ADO_WORK_ITEM_COMMENT,
    paths: &[
        ("comment_id", "commentId|id"),
        ("comment_version", "version"),
        ("created_by", "createdBy|revisedBy"),
        ("created_date", "createdDate|revisedDate"),
    ],
};
