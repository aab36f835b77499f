//! Scorecards in SQL: what is kept, and how it stands now. Exemptions end by the clock: the views look at it, no job does.

use engine::{Column, StateTable, Type, View};

/// Scorecards as they were evaluated last.
pub static SCORECARD: StateTable = StateTable {
    name: "scorecard",
    doc: "Scorecards as they were evaluated last. `score` says how everybody stands. Seen by the platform only.",
    columns: &[
        Column::new("name", Type::Text, "Its name, for good.").required(),
        Column::new("version", Type::Text, "SHA-256 of its file.").required(),
        Column::new("title", Type::Text, "Its name for people.").required(),
        Column::new("owner", Type::Text, "Who answers for it.").required(),
        Column::new("why", Type::Text, "Why it exists."),
        Column::new("entity_kind", Type::Text, "What is scored, in one word.").required(),
        Column::new("levels", Type::Json, "Its levels from the lowest to the highest, a list.").required(),
        Column::new("text", Type::Text, "Its file.").required(),
        Column::new("last_tick", Type::Time, "The tick of its last evaluation that ended well."),
        Column::new("seen_seq", Type::Int, "Every row before this `_seq` was seen by it.").required(),
        Column::new("loaded_at", Type::Time, "When this version was evaluated first.").required(),
    ],
    hidden: &[],
    tenant: None,
};

/// Versions of checks.
pub static SCORECARD_CHECK: StateTable = StateTable {
    name: "scorecard_check",
    doc: "Every version that a check of a scorecard had: what was asked from when to when. Seen by the platform only.",
    columns: &[
        Column::new("scorecard", Type::Text, "The scorecard.").required(),
        Column::new("check_id", Type::Text, "The check, for good.").required(),
        Column::new("number", Type::Int, "Counts its versions from 1.").required(),
        Column::new("rule_version", Type::Text, "Changes with whatever decides.").required(),
        Column::new("level", Type::Text, "Name of its level.").required(),
        Column::new("weight", Type::Int, "How much it counts.").required(),
        Column::new("title", Type::Text, "What it asks.").required(),
        Column::new("why", Type::Text, "Why it is asked."),
        Column::new("sql", Type::Text, "Its SELECT.").required(),
        Column::new("since", Type::Time, "The tick from which on it was asked so.").required(),
        Column::new("until", Type::Time, "The tick from which on it was not; null while it is."),
    ],
    hidden: &[],
    tenant: None,
};

/// Who is scored.
pub static SCORE_ENTITY: StateTable = StateTable {
    name: "score_entity",
    doc: "Who is scored, with the level as the last evaluation had it; `score` has the level of this moment.",
    columns: &[
        Column::new("tenant", Type::Text, "Whose it is.").required(),
        Column::new("scorecard", Type::Text, "The scorecard.").required(),
        Column::new("entity", Type::Text, "Who is scored.").required(),
        Column::new("entity_kind", Type::Text, "What that is, in one word.").required(),
        Column::new("title", Type::Text, "Its name for people."),
        Column::new("owner", Type::Text, "Who answers for it."),
        Column::new("level", Type::Text, "Its level at the last evaluation.").required(),
        Column::new("top_level", Type::Text, "The highest level there is.").required(),
        Column::new("level_last_change", Type::Time, "The tick since which it has that level.").required(),
        Column::new("since", Type::Time, "The tick at which it was seen first.").required(),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// What checks say.
pub static SCORE_RESULT: StateTable = StateTable {
    name: "score_result",
    doc: "What every check says about everybody, exemptions aside; `score_check` has them, too.",
    columns: &[
        Column::new("tenant", Type::Text, "Whose it is.").required(),
        Column::new("scorecard", Type::Text, "The scorecard.").required(),
        Column::new("entity", Type::Text, "Who is scored.").required(),
        Column::new("check_id", Type::Text, "The check.").required(),
        Column::new("title", Type::Text, "What it asks.").required(),
        Column::new("level", Type::Text, "Name of its level.").required(),
        Column::new("level_order", Type::Int, "Place of its level, from 1.").required(),
        Column::new("level_below", Type::Text, "The level that whoever fails it has at most.").required(),
        Column::new("weight", Type::Int, "How much it counts.").required(),
        Column::new("result", Type::Text, "`pass`, `fail`, `unknown` (no fact, or one too old) or `not_applicable`.")
            .required(),
        Column::new("evidence", Type::Text, "What it was seen by."),
        Column::new("observed_at", Type::Time, "When that was seen."),
        Column::new("rule_version", Type::Text, "Which version of the check says so.").required(),
        Column::new("result_last_change", Type::Time, "The tick since which it says so.").required(),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// What checks said.
pub static SCORE_HISTORY: StateTable = StateTable {
    name: "score_history",
    doc: "Every change of what a check says, and of the version that says it.",
    columns: &[
        Column::new("tenant", Type::Text, "Whose it is.").required(),
        Column::new("scorecard", Type::Text, "The scorecard.").required(),
        Column::new("entity", Type::Text, "Who is scored.").required(),
        Column::new("check_id", Type::Text, "The check.").required(),
        Column::new("happened_at", Type::Time, "The tick of the change.").required(),
        Column::new("result_before", Type::Text, "What it said before; null the first time."),
        Column::new("result", Type::Text, "What it says since; `gone` where the check or the entity is no more.")
            .required(),
        Column::new("evidence", Type::Text, "What it was seen by."),
        Column::new("rule_version", Type::Text, "Which version of the check says so.").required(),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// Levels as they were.
pub static SCORE_LEVEL_HISTORY: StateTable = StateTable {
    name: "score_level_history",
    doc: "Every change of an entity's level, as evaluations saw it.",
    columns: &[
        Column::new("tenant", Type::Text, "Whose it is.").required(),
        Column::new("scorecard", Type::Text, "The scorecard.").required(),
        Column::new("entity", Type::Text, "Who is scored.").required(),
        Column::new("happened_at", Type::Time, "The tick of the change.").required(),
        Column::new("level_before", Type::Text, "Its level before; null the first time."),
        Column::new("level", Type::Text, "Its level since.").required(),
        Column::new(
            "score_percent",
            Type::Float,
            "What part of its checks passed then, by weight; null where none applied.",
        ),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// Checks that somebody need not pass for a while.
pub static SCORE_EXEMPTION: StateTable = StateTable {
    name: "score_exemption",
    doc: "Exemptions as they were asked for and decided; `score_exemption_current` says which hold.",
    columns: &[
        Column::new("tenant", Type::Text, "Whose it is.").required(),
        Column::new("id", Type::Text, "The exemption.").required(),
        Column::new("scorecard", Type::Text, "The scorecard.").required(),
        Column::new("entity", Type::Text, "Who need not pass.").required(),
        Column::new("check_id", Type::Text, "Which check.").required(),
        Column::new("reason", Type::Text, "Why.").required(),
        Column::new("requester", Type::Text, "Who asked.").required(),
        Column::new("requested_at", Type::Time, "When.").required(),
        Column::new("days", Type::Int, "For how many days from the decision on.").required(),
        Column::new("decision", Type::Text, "`approved` or `denied`; null before it."),
        Column::new("approver", Type::Text, "Who decided; never who asked."),
        Column::new("decided_at", Type::Time, "When; the exemption begins then."),
        Column::new("expires_at", Type::Time, "When it ends by itself."),
        Column::new("revoked_by", Type::Text, "Who ended it before."),
        Column::new("revoked_at", Type::Time, "When that was."),
    ],
    hidden: &[],
    tenant: Some("tenant"),
};

/// Evaluations.
pub static SCORE_RUN: StateTable = StateTable {
    name: "score_run",
    doc: "Every evaluation of a scorecard. Seen by the platform only.",
    columns: &[
        Column::new("scorecard", Type::Text, "The scorecard.").required(),
        Column::new("tick", Type::Time, "The instant that `$now` was.").required(),
        Column::new("version", Type::Text, "Which version of its file.").required(),
        Column::new("status", Type::Text, "`done`, or `error`: nothing changed.").required(),
        Column::new("entities", Type::Int, "Who was scored.").required(),
        Column::new("facts_asked", Type::Int, "Facts that were looked at; the others were as before.").required(),
        Column::new("results_changed", Type::Int, "Checks that say something else than before.").required(),
        Column::new("error", Type::Text, "Why nothing changed."),
        Column::new("began_at", Type::Time, "When it began.").required(),
        Column::new("ended_at", Type::Time, "When it ended.").required(),
    ],
    hidden: &[],
    tenant: None,
};

/// Exemptions with where they stand.
pub static SCORE_EXEMPTION_CURRENT: View = View {
    name: "score_exemption_current",
    doc: "Exemptions, and where each stands at this moment: `pending`, `approved`, `denied`, `expired` or `revoked`.",
    sql: include_str!("views/score_exemption_current.sql"),
};

/// Checks with exemptions.
pub static SCORE_CHECK: View = View {
    name: "score_check",
    doc: "What every check says about everybody at this moment: `pass`, `fail`, `unknown`, `not_applicable` or `exempt`.",
    sql: include_str!("views/score_check.sql"),
};

/// How everybody stands.
pub static SCORE: View = View {
    name: "score",
    doc: "How everybody stands at this moment: the level up to which every check that applies passes, and the part of the checks that pass.",
    sql: include_str!("views/score.sql"),
};

/// Every state table of scorecards.
pub const STATE_TABLES: &[&StateTable] = &[
    &SCORECARD,
    &SCORECARD_CHECK,
    &SCORE_ENTITY,
    &SCORE_RESULT,
    &SCORE_HISTORY,
    &SCORE_LEVEL_HISTORY,
    &SCORE_EXEMPTION,
    &SCORE_RUN,
];

/// Every view of scorecards.
pub const VIEWS: &[&View] = &[&SCORE, &SCORE_CHECK, &SCORE_EXEMPTION_CURRENT];
