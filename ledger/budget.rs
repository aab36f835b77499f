//! Budgets: so far, when their windows end.

mod window;

pub use window::{Duration, next_reset};
