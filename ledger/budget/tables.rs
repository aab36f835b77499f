//! Budgets in SQL: the tables of the state database that people may read. `budget_status` puts them together.

use engine::{Column, StateTable, Type};

const UNITS: &str = "units: 10⁻⁹ of a currency, one token, one request";

/// What budgets there are.
pub static BUDGET: StateTable = StateTable {
    name: "budget",
    doc: "Budgets as they are defined. `budget_status` says how they stand.",
    columns: &[
        Column::new("tenant", Type::Text, "Whose charges count; `*` is every tenant's.").required(),
        Column::new("name", Type::Text, "Name within the tenant.").required(),
        Column::new("id", Type::Text, "What is counted under it; new whenever counting begins anew.").required(),
        Column::new("version", Type::Int, "Grows with every change; see `budget_revision`.").required(),
        Column::new("unit", Type::Text, "A currency, `tokens` or `requests`.").required(),
        Column::new("limit_units", Type::Int, "How much there is.").required().unit(UNITS),
        Column::new("kind", Type::Text, "`hard` refuses what would break it, `soft` only tells.").required(),
        Column::new("scope", Type::Text, "Which charges count: a SQL predicate over what is charged.").required(),
        Column::new("parent", Type::Text, "The budget around it, `tenant/name`: what is in this one is in that one."),
        Column::new("span", Type::Text, "`day`, `week`, `month`, `quarter`, `year`, `rolling`, `fixed` or `total`.")
            .required(),
        Column::new("zone", Type::Text, "Whose midnight begins a window.").required(),
        Column::new("starts_at", Type::Time, "From when it counts.").required(),
        Column::new("ends_at", Type::Time, "Until when.").required(),
        Column::new("definition", Type::Json, "As it was written.").required(),
        Column::new("changed_at", Type::Time, "When it was changed last.").required(),
        Column::new("changed_by", Type::Text, "By whom.").required(),
    ],
    hidden: &["grants"],
    tenant: Some("tenant"),
};

/// What quotas there are.
pub static QUOTA: StateTable = StateTable {
    name: "quota",
    doc: "Quotas as they are defined: how many requests and tokens a stretch of time takes, how many run at once.",
    columns: &[
        Column::new("tenant", Type::Text, "Whose requests count; `*` is every tenant's.").required(),
        Column::new("name", Type::Text, "Name within the tenant.").required(),
        Column::new("definition", Type::Json, "As it was written.").required(),
        Column::new("changed_at", Type::Time, "When it was changed last.").required(),
        Column::new("changed_by", Type::Text, "By whom.").required(),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// Every change of a budget or quota.
pub static BUDGET_REVISION: StateTable = StateTable {
    name: "budget_revision",
    doc: "Every change of a budget or quota, with what it was before and after.",
    columns: &[
        Column::new("tenant", Type::Text, "Whose it is.").required(),
        Column::new("name", Type::Text, "Its name.").required(),
        Column::new("kind", Type::Text, "`budget` or `quota`.").required(),
        Column::new("version", Type::Int, "Counted from 1.").required(),
        Column::new("action", Type::Text, "`created`, `changed` or `deleted`.").required(),
        Column::new("definition", Type::Json, "As it was written.").required(),
        Column::new("changed_at", Type::Time, "When.").required(),
        Column::new("changed_by", Type::Text, "By whom.").required(),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// What was spent by window.
pub static BUDGET_WINDOW: StateTable = StateTable {
    name: "budget_window",
    doc: "What was spent and reserved of each budget, by window; of a rolling one by bucket. Nothing is ever set back: a window that begins is a new row.",
    columns: &[
        Column::new("budget_id", Type::Text, "Which budget: `budget.id`.").required(),
        Column::new("starts_at", Type::Time, "Begin of the window or bucket.").required(),
        Column::new("ends_at", Type::Time, "From here on it counts no longer.").required(),
        Column::new("tenant", Type::Text, "Whose budget.").required(),
        Column::new("budget", Type::Text, "Its name.").required(),
        Column::new("unit", Type::Text, "What is counted.").required(),
        Column::new("spent_units", Type::Int, "What calls spent.").required().unit(UNITS),
        Column::new("billed_units", Type::Int, "What lines of the bill add.").required().unit(UNITS),
        Column::new("reserved_units", Type::Int, "What open reservations hold.").required().unit(UNITS),
        Column::new("granted_units", Type::Int, "What nodes may hand out without asking, reservations included.")
            .required()
            .unit(UNITS),
        Column::new("overrun_units", Type::Int, "Of what was spent, what nobody had reserved.").required().unit(UNITS),
        Column::new("charges", Type::Int, "Calls that were booked.").required(),
        Column::new("refusals", Type::Int, "Calls that were refused.").required(),
        Column::new("updated_at", Type::Time, "When it changed last.").required(),
    ],
    hidden: &["wanted_at"],
    tenant: Some("tenant"),
};

/// What is reserved, and what became of it.
pub static BUDGET_RESERVATION: StateTable = StateTable {
    name: "budget_reservation",
    doc: "Every reservation, kept for a week after its end: who wanted how much, and what it took. The same request id is the same reservation.",
    columns: &[
        Column::new("tenant", Type::Text, "Who pays.").required(),
        Column::new("request_id", Type::Text, "The caller's id of the request.").required(),
        Column::new("node", Type::Text, "The node that holds it.").required(),
        Column::new("state", Type::Text, "`open`; `posted`: what it took is booked; `voided`: it took nothing; `expired`: nobody said, so all of it counts.").required(),
        Column::new("amounts", Type::Json, "What was reserved, by unit.").required(),
        Column::new("posted", Type::Json, "What it took, by unit."),
        Column::new("legs", Type::Json, "The windows that it counts in: budget, begin, end, day, unit, units, whether it took them from a slice.").required(),
        Column::new("reserved_at", Type::Time, "When.").required(),
        Column::new("expires_at", Type::Time, "Until when it is held.").required(),
        Column::new("settled_at", Type::Time, "When it ended."),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// What every window will have cost.
pub static BUDGET_FORECAST: StateTable = StateTable {
    name: "budget_forecast",
    doc: "What a budget's window will have cost at its end: what it cost so far and, for each day to come, the median of the same weekday of the last eight weeks.",
    columns: &[
        Column::new("budget_id", Type::Text, "Which budget: `budget.id`.").required(),
        Column::new("tenant", Type::Text, "Whose.").required(),
        Column::new("starts_at", Type::Time, "Begin of the window.").required(),
        Column::new("p50_units", Type::Int, "As likely more as less.").required().unit(UNITS),
        Column::new("p90_units", Type::Int, "More in one of ten cases.").required().unit(UNITS),
        Column::new("days", Type::Int, "Days of history that it rests on.").required(),
        Column::new("made_at", Type::Time, "When it was made.").required(),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// What happened to budgets.
pub static BUDGET_EVENT: StateTable = StateTable {
    name: "budget_event",
    doc: "What happened to budgets. `threshold`: one was passed, once a window and amount. `refused`: calls were, one row a minute with their exact number. `reset`: a window began. `overrun`: more was spent than reserved, or billed than there is. `changed`: by whom.",
    columns: &[
        Column::new("id", Type::Text, "The same event has the same id.").required(),
        Column::new("tenant", Type::Text, "Whose budget.").required(),
        Column::new("budget", Type::Text, "Its name.").required(),
        Column::new("budget_id", Type::Text, "Which budget: `budget.id`.").required(),
        Column::new("window_start", Type::Time, "Begin of the window.").required(),
        Column::new("kind", Type::Text, "`threshold`, `refused`, `reset`, `overrun` or `changed`.").required(),
        Column::new("measure", Type::Text, "Of a threshold, what was looked at: `actual`, `reserved` or `forecast`."),
        Column::new("happened_at", Type::Time, "When; of several the last.").required(),
        Column::new("event_count", Type::Int, "How often.").required(),
        Column::new("unit", Type::Text, "What is counted.").required(),
        Column::new("threshold_units", Type::Int, "The threshold.").unit(UNITS),
        Column::new("limit_units", Type::Int, "The limit at that moment.").required().unit(UNITS),
        Column::new("spent_units", Type::Int, "What was spent at that moment.").required().unit(UNITS),
        Column::new("reserved_units", Type::Int, "What was reserved at that moment.").required().unit(UNITS),
        Column::new("details", Type::Json, "What else there is to say."),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// Every state table of budgets.
pub const STATE_TABLES: &[&StateTable] =
    &[&BUDGET, &QUOTA, &BUDGET_REVISION, &BUDGET_WINDOW, &BUDGET_RESERVATION, &BUDGET_FORECAST, &BUDGET_EVENT];
