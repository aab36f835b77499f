//! Floor 3: rules, schedule, durable queue; actions on the world. A rule is a SELECT; its rows are proposals, compared with
//! the rows that it tracks; only the difference acts.

pub mod actions;
pub mod approval;
pub mod book;
pub mod check;
#[cfg(test)]
mod databases;
pub mod evaluate;
pub mod flow;
pub mod freshness;
pub mod given;
pub mod preview;
pub mod queue;
pub mod rows;
pub mod rule;
pub mod runner;
pub mod schedule;
pub mod score;
pub mod shipped;
pub mod trial;
