//! Who pays for a cluster: what its nodes, volumes and balancers cost, spread over the containers that used them, as
//! OpenCost's model does it, and exact: every part adds up to its whole, whatever is shared, filtered or grouped.
//!
//! Decided on single rows, purely; grouping comes last. A row receives, in this order: its own cost; its part of what the
//! cluster costs beside its nodes (tenancy); its part of its node's idle; its part of shared rows and of overhead.

mod condition;
mod focus;
mod property;
mod row;
mod spread;
mod usage;
mod volume;

pub use condition::Condition;
pub use focus::{METHOD, Period, split_rows};
pub use property::{Property, Selector, key};
pub use row::{Costs, Idle, Input, Labels, Row, Tenancy};
pub use spread::{Entry, Options, Outcome, Share, Split, allocate};
pub use usage::{Asset, NodePrice, Rates, Use, adjustment, hours_used, idle_of, node_rates, priced, total_efficiency};
pub use volume::{Mount, by_overlap, volume_shares};

/// What nobody used.
pub const IDLE: &str = "__idle__";
/// What has no value for a property.
pub const UNALLOCATED: &str = "__unallocated__";
/// What was paid for and mounted nowhere.
pub const UNMOUNTED: &str = "__unmounted__";
/// What the cluster costs beside its nodes, where it is not shared.
pub const TENANCY: &str = "__tenancy__";

#[cfg(test)]
mod tests;
