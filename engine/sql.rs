//! Asking: SQL over the tables of one scope.

pub mod catalogue;
pub mod dialect;
pub mod guard;
pub mod idioms;
pub mod information;
pub mod install;
pub mod limit;
pub mod names;
pub mod parse;
pub mod planner;
pub mod provider;
pub mod refuse;
pub mod session;
pub mod spelling;

pub use install::install;
pub use names::Names;
pub use parse::parse;
