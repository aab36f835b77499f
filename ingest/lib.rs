//! Floor 2: the outside becomes rows. Each source parses bytes at the door, once, into batches of its tables; what does
//! not parse goes to `reject` with its reason. Knows nothing of HTTP or of the index.

pub mod ado;
mod bounded;
pub mod cost;
pub mod files;
mod json;
pub mod kubernetes;
pub mod otel;
pub mod parsed;
pub mod redact;
#[cfg(test)]
mod shown;
pub mod sources;
mod stream;

pub use parsed::Parsed;
pub use sources::{FileOptions, Progress, Source, Summary};
