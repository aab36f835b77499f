//! Work items and pull requests as texts: their fields, then what was said about them.

use super::{MaterialSource, Pace};

/// Work items with their comments. A deleted one is no text.
pub const WORK_ITEM: MaterialSource = MaterialSource {
    name: "ado_work_item",
    doc: "Work items of Azure DevOps: title, description, acceptance criteria, steps to reproduce, comments.",
    tables: &["ado_work_item", "ado_work_item_comment"],
    sql: include_str!("work_item.sql"),
    pace: Pace::SOON,
    is_written: true,
};

/// Pull requests with what people wrote in their threads.
pub const PULL_REQUEST: MaterialSource = MaterialSource {
    name: "ado_pull_request",
    doc: "Pull requests of Azure DevOps: title, description, comments of people.",
    tables: &["ado_pull_request", "ado_pull_request_comment"],
    sql: include_str!("pull_request.sql"),
    pace: Pace::SOON,
    is_written: true,
};
