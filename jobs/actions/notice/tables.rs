//! The tables of silences, acknowledgements and escalations.

use engine::{Column, StateTable, Type};

/// What is not told for a while.
pub static SILENCE: StateTable = StateTable {
    name: "silence",
    doc: "What is not told for a while: rules, and rows by their cells. A row that still fires afterwards is told then. Seen by the platform only.",
    columns: &[
        Column::new("id", Type::Text, "Its id.").required(),
        Column::new("rule", Type::Text, "The rule; a `*` at its end stands for any rest.").required(),
        Column::new("cells", Type::Json, "Cells that a row must have, by column.").required(),
        Column::new("starts_at", Type::Time, "From when.").required(),
        Column::new("ends_at", Type::Time, "Until when; an expired one ended when it was expired.").required(),
        Column::new("who", Type::Text, "Who wants it.").required(),
        Column::new("why", Type::Text, "Why.").required(),
        Column::new("created_at", Type::Time, "When it was made.").required(),
    ],
    hidden: &[],
    tenant: None,
};

/// Who knows of a row.
pub static ACKNOWLEDGEMENT: StateTable = StateTable {
    name: "acknowledgement",
    doc: "Who said of a firing row that it is known: nobody else is told later. Seen by the platform only.",
    columns: &[
        Column::new("rule", Type::Text, "The rule.").required(),
        Column::new("key", Type::Json, "The row's key, a list.").required(),
        Column::new("epoch", Type::Time, "Which of its lives: the tick at which it began to fire.").required(),
        Column::new("who", Type::Text, "Who said so.").required(),
        Column::new("why", Type::Text, "What else was said."),
        Column::new("at", Type::Time, "When.").required(),
    ],
    hidden: &[],
    tenant: None,
};

/// Who was told later.
pub static ESCALATION: StateTable = StateTable {
    name: "escalation",
    doc: "Steps of routes that were taken because nobody acknowledged a firing row in time. Seen by the platform only.",
    columns: &[
        Column::new("rule", Type::Text, "The rule.").required(),
        Column::new("key", Type::Json, "The row's key, a list.").required(),
        Column::new("epoch", Type::Time, "Which of its lives: the tick at which it began to fire.").required(),
        Column::new("route", Type::Text, "The route.").required(),
        Column::new("step", Type::Int, "Which step of the route, from zero.").required(),
        Column::new("at", Type::Time, "When it was taken.").required(),
    ],
    hidden: &[],
    tenant: None,
};

/// Every state table of notices.
pub const STATE_TABLES: &[&StateTable] = &[&SILENCE, &ACKNOWLEDGEMENT, &ESCALATION];
