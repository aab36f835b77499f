//! `ado_group`, `ado_user`, `ado_membership`: who belongs to what.

use engine::{Column, Table, Type};

use super::origin::{ORGANIZATION, PROJECT, PROJECT_ID, TENANT, VERSION};
use super::shape::Shape;

/// Groups of the organization and its projects.
pub static ADO_GROUP: Table = Table {
    key: &["organization", "descriptor"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_group",
        "Groups of the organization and its projects.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("descriptor", Type::Text, "What names it to other resources.").required(),
            Column::new("display_name", Type::Text, "Name."),
            Column::new("principal_name", Type::Text, "Name with its scope (`[Project]\\Contributors`)."),
            Column::new("mail_address", Type::Text, "E-mail address."),
            Column::new("description", Type::Text, "What it is for."),
            Column::new("origin", Type::Name, "Where it comes from (`vsts`, `aad`)."),
            Column::new("origin_id", Type::Text, "Its id there."),
            Column::new("group_domain", Type::Text, "Scope that it belongs to."),
            Column::new("is_deleted", Type::Bool, "Deleted."),
            Column::new("url", Type::Text, "REST address."),
            VERSION,
        ],
    )
};

/// How [`ADO_GROUP`] is read.
pub static GROUP: Shape = Shape { table: &ADO_GROUP, paths: &[("group_domain", "domain")] };

/// Users of the organization.
pub static ADO_USER: Table = Table {
    key: &["organization", "descriptor"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_user",
        "Users of the organization.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("descriptor", Type::Text, "What names the user to other resources.").required(),
            Column::new("display_name", Type::Text, "Name."),
            Column::new("principal_name", Type::Text, "Name to sign in with."),
            Column::new("mail_address", Type::Text, "E-mail address."),
            Column::new("origin", Type::Name, "Where the user comes from (`aad`, `msa`)."),
            Column::new("origin_id", Type::Text, "The id there."),
            Column::new("meta_type", Type::Name, "`member` or `guest`."),
            Column::new("directory_alias", Type::Text, "Alias in the directory."),
            Column::new("url", Type::Text, "REST address."),
            VERSION,
        ],
    )
};

/// How [`ADO_USER`] is read.
pub static USER: Shape = Shape { table: &ADO_USER, paths: &[] };

/// Who is a member of which group; groups may be members of groups.
pub static ADO_MEMBERSHIP: Table = Table {
    key: &["organization", "container_descriptor", "member_descriptor"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_membership",
        "Who is a member of which group; groups may be members of groups.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("container_descriptor", Type::Text, "The group.").required(),
            Column::new("member_descriptor", Type::Text, "The member.").required(),
            VERSION,
        ],
    )
};

/// How [`ADO_MEMBERSHIP`] is read.
pub static MEMBERSHIP: Shape = Shape { table: &ADO_MEMBERSHIP, paths: &[] };
