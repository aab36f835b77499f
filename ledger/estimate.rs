//! Estimates give way to bills. What telemetry says is used is priced here and stands in the ledger as an estimate until
//! the provider bills the same thing for the same day. Then the bill is split over the estimates by their weight: each
//! becomes its part of the bill, with what was estimated and the difference beside it, and one row takes back from the
//! bill's own charge what its parts now carry. So every sum of the ledger is what was billed, plus estimates of what is not
//! billed yet; nothing counts twice in any view, whoever comes first, and the attribution of the estimates stays.
//!
//! Decided purely (`settle`) over one day, applied set by set (`apply`), and applied again after every delivery of costs.

mod apply;
mod key;
mod settle;

pub use apply::{Settlement, settle_stored};
pub use key::{model_key, resource_key, thing_of};
pub use settle::{Amounts, Bill, Estimate, Part, Settled, settle};

/// Tenant of the bills that the platform gets for everybody: they are split over all tenants' estimates.
pub const PAYER: &str = "default";
