//! Floor 2: documents cut into chunks, indexed as full text and vectors, asked, and answered from. Imports `engine` and
//! `ledger`, never `ingest`: what siblings share is a table.

pub mod answer;
pub mod chat;
pub mod chunk;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod embed;
pub mod evaluate;
pub mod fuse;
pub mod material;
pub mod model;
pub mod passage;
pub mod prefix;
pub mod search;
pub mod stored;
pub mod text;
pub mod vector;

use engine::Table;

/// Every table of this room.
pub const TABLES: &[&Table] = stored::TABLES;
