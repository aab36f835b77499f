//! Floor 1: money and trust. Cost lines as FOCUS names them, their views and rules; estimates that bills replace, periods
//! that are sealed; prices, rates of exchange and allocation; policies; tenants and keys. Imports `engine` only.

pub mod allocate;
pub mod answer;
pub mod audit;
pub mod budget;
pub mod check;
pub mod cost_line;
pub mod decimal;
pub mod directory;
pub mod erase;
pub mod estimate;
pub mod exchange;
pub mod focus;
pub mod period;
pub mod policy;
pub mod price;
pub mod principal;
pub mod retention;
pub mod rewrite;
mod sealed;
pub mod views;

pub use audit::{Audit, Entry, Outcome};
pub use cost_line::{BILLING_PERIOD_TABLE, CONTRACT_COMMITMENT_TABLE, COST_LINE, COST_RUN, INVOICE_DETAIL_TABLE};
pub use exchange::FX_RATE;
pub use policy::{POLICY_AUDIT, POLICY_VIOLATION};
pub use price::{MODEL_PRICE, RESOURCE_PRICE};
pub use views::VIEWS;

/// Every state table that the ledger declares.
pub fn state_tables() -> Vec<&'static engine::StateTable> {
    [directory::STATE_TABLES, audit::STATE_TABLES, budget::STATE_TABLES, retention::STATE_TABLES, erase::STATE_TABLES]
        .concat()
}

/// Every table that the ledger declares.
pub const TABLES: &[&engine::Table] = &[
    &COST_LINE,
    &CONTRACT_COMMITMENT_TABLE,
    &INVOICE_DETAIL_TABLE,
    &BILLING_PERIOD_TABLE,
    &COST_RUN,
    &POLICY_VIOLATION,
    &POLICY_AUDIT,
    &MODEL_PRICE,
    &RESOURCE_PRICE,
    &FX_RATE,
];
