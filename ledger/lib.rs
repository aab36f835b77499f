//! Floor 1: money and trust. Cost lines as FOCUS names them, their views and rules; prices and allocation; policies;
//! tenants and keys. Imports `engine` only.

pub mod allocate;
pub mod budget;
pub mod check;
pub mod cost_line;
pub mod decimal;
pub mod directory;
pub mod focus;
pub mod policy;
pub mod price;
pub mod principal;
pub mod views;

pub use cost_line::{BILLING_PERIOD_TABLE, CONTRACT_COMMITMENT_TABLE, COST_LINE, COST_RUN, INVOICE_DETAIL_TABLE};
pub use policy::{POLICY_AUDIT, POLICY_VIOLATION};
pub use price::{MODEL_PRICE, RESOURCE_PRICE};
pub use views::VIEWS;

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
];
