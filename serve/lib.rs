//! Floor 4: the doors. HTTP, OTLP, hooks, the control socket and the command line turn what callers say into calls of
//! the floors below, and their answers into bytes. Decides nothing about rows, money or rules.
//!
//! Who asks is found once, in `auth`; every door below it reads `axum::Extension<engine::Scope>` and nothing else.

#![recursion_limit = "256"]

pub mod answers;
pub mod auth;
pub mod cli;
pub mod control;
pub mod cost;
pub mod hooks;
pub mod house;
pub mod http;
pub mod metrics;
pub mod models;
pub mod notices;
pub mod otlp;
pub mod output;
pub mod reach;
pub mod reference;
mod resident;
pub mod rules;
pub mod scores;
pub mod shell;
pub mod wire;
pub mod work;
