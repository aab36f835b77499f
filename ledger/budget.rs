//! Budgets that cannot be overspent, and quotas. What they are is data ([`definition`]), what they count is a predicate
//! ([`predicate`]), and when they begin anew is a calendar's or a clock's matter ([`calendar`], [`window`]).
//!
//! Money moves in two phases. A request reserves an upper bound of what it may take, in every budget that counts it or in
//! none; then it posts what it took, voids, or expires, which counts in full until somebody says otherwise. A node decides
//! in memory out of slices that the state database gave it ([`book`]), writes what it decided in groups ([`commit`]), and
//! has its slices for as long as it renews its lease ([`adopt`]). What all nodes may hand out and what was spent never
//! exceed the limit together, so nothing that nodes do at the same time can overspend it. Only a call that took more than
//! it reserved can, and what the bill adds afterwards: both are booked in full, and told.

mod adopt;
mod attributes;
mod billed;
mod book;
mod calendar;
mod commit;
mod definition;
mod elsewhere;
mod evaluate;
mod forecast;
mod keep;
mod node;
mod plan;
mod predicate;
mod quota;
mod register;
mod request;
mod rows;
mod tables;
#[cfg(test)]
mod tests;
mod told;
mod trail;
mod unit;
mod window;

pub use attributes::{Attributes, Declared, Sort, declared};
pub use calendar::{Period, Place, Window};
pub use definition::{Budget, CostColumn, Counts, EVERYBODY, File, Measure, Threshold, nesting};
pub use forecast::{Day, Forecast, Standing, forecast};
pub use keep::{Keeper, TICK};
pub use node::{Budgets, Options};
pub use plan::{Line, Plan, Stored};
pub use predicate::Predicate;
pub use quota::{OverQuota, Quota, Quotas, Rate, Room};
pub use register::{Action, Author, Change, Revision};
pub use request::{Allowed, Key, Reason, Refusal, Request, Settled, State, TTL_MAX, Verdict, WAIT_MAX};
pub use tables::{
    BUDGET, BUDGET_EVENT, BUDGET_FORECAST, BUDGET_RESERVATION, BUDGET_REVISION, BUDGET_WINDOW, QUOTA, STATE_TABLES,
};
pub use trail::Trail;
pub use unit::{Amounts, Unit};
pub use window::{Duration, next_reset};
