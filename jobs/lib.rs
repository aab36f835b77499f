//! Floor 3: rules, schedule, durable queue, workflows; actions on the world. So far it holds the process's own sweeps.

pub mod schedule;
