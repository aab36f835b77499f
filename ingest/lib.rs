//! Floor 2: the outside becomes rows. Each source parses bytes at the door, once, into batches of its tables; what does
//! not parse goes to `reject` with its reason. Knows nothing of HTTP or of the index.

pub mod ado;
pub mod allocation;
mod bounded;
pub mod cost;
pub mod documents;
pub mod files;
pub mod git;
pub mod hook;
mod json;
mod known;
pub mod kubernetes;
mod markup;
pub mod otel;
pub mod parsed;
pub mod price;
pub mod redact;
#[cfg(test)]
mod shown;
pub mod sources;
mod stream;
pub mod supply_chain;

pub use parsed::Parsed;
pub use sources::{FileOptions, Progress, Source, Summary};
