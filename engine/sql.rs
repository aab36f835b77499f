//! Asking: SQL over the tables of one scope.

pub mod aggregate;
pub mod arithmetic;
pub mod catalogue;
pub mod decimal;
pub mod dialect;
pub mod function_idioms;
pub mod functions;
pub mod grouping;
pub mod guard;
pub mod idioms;
pub mod information;
pub mod install;
pub mod json;
pub mod json_column;
pub mod json_places;
pub mod lateral;
pub mod limit;
mod name_codes;
pub mod names;
mod narrow;
pub mod parse;
pub mod path;
pub mod period;
pub mod planner;
#[cfg(test)]
mod proof;
pub mod provider;
pub mod refuse;
pub mod session;
pub mod spelling;
pub mod table_function;
pub mod time;
pub mod time_format;
pub mod time_kernels;
pub mod truncate;
pub mod types;

pub use install::install;
pub use names::Names;
pub use parse::parse;
