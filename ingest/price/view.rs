//! What model calls cost, from their spans and the prices of their day.

use engine::View;

/// Every model call with its cost.
pub static LLM_CALL_COST: View = View {
    name: "llm_call_cost",
    doc: "Every span of a model call with what it cost by the prices of its day. `cost` is NULL where the model has no price: see `unpriced_usage`.",
    sql: include_str!("view/llm_call_cost.sql"),
};

/// What has no price.
pub static UNPRICED_USAGE: View = View {
    name: "unpriced_usage",
    doc: "Models that were called and have no price: how often, with how many tokens, and why. `stellwerk price check` fails while it has a row.",
    sql: include_str!("view/unpriced_usage.sql"),
};
