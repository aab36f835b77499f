//! `ado_changeset`, `ado_message`: TFVC check-ins and messages of team rooms.

use engine::{Column, Table, Type};

use super::origin::{ORGANIZATION, PROJECT, PROJECT_ID, TENANT, VERSION};
use super::shape::Shape;

/// Check-ins to Team Foundation Version Control.
pub static ADO_CHANGESET: Table = Table {
    key: &["organization", "changeset_id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_changeset",
        "Check-ins to Team Foundation Version Control.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("changeset_id", Type::Int, "Number of the changeset.").required(),
            Column::new("author", Type::Text, "Display name of its author."),
            Column::new("author_unique_name", Type::Text, "Unique name of its author."),
            Column::new("checked_in_by", Type::Text, "Display name of who checked it in."),
            Column::new("checked_in_by_unique_name", Type::Text, "Unique name of who checked it in."),
            Column::new("created_date", Type::Time, "When it was checked in."),
            Column::new("comment", Type::Text, "Its comment."),
            Column::new("url", Type::Text, "REST address."),
            VERSION,
        ],
    )
};

/// How [`ADO_CHANGESET`] is read.
pub static CHANGESET: Shape = Shape { table: &ADO_CHANGESET, paths: &[] };

/// Messages posted to team rooms.
pub static ADO_MESSAGE: Table = Table {
    key: &["organization", "posted_room_id", "posted_time", "id"],
    version: Some("version"),
    time: "posted_time",
    ..Table::new(
        "ado_message",
        "Messages posted to team rooms.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("posted_room_id", Type::Int, "Number of the room.").required(),
            Column::new("id", Type::Int, "Number of the message; 0 where the event does not say.").required(),
            Column::new("content", Type::Text, "Its text."),
            Column::new("message_type", Type::Name, "`normal`, `system` …"),
            Column::new("posted_time", Type::Time, "When it was posted.").required(),
            Column::new("posted_by", Type::Text, "Display name of who posted it."),
            Column::new("posted_by_unique_name", Type::Text, "Unique name of who posted it."),
            VERSION,
        ],
    )
};

/// How [`ADO_MESSAGE`] is read.
pub static MESSAGE: Shape = Shape { table: &ADO_MESSAGE, paths: &[] };
