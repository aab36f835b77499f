//! What is fuzzed, and what must hold there for every input. A target takes any bytes and panics when a promise is broken;
//! it decides nothing by chance, so that an input that fails once fails always.

mod ado;
mod cost;
mod draw;
mod kubernetes;
mod manifest;
mod otlp;
mod rows;
mod scratch;
pub mod sql;
mod wal;
mod wal_files;

/// Every target by its name: the name of its corpus, its words and its test.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("otlp_protobuf", otlp::protobuf),
    ("otlp_json", otlp::json),
    ("ado", ado::delivery),
    ("kubernetes", kubernetes::objects),
    ("cost", cost::csv),
    ("manifest", manifest::folder),
    ("wal", wal::segment),
    ("wal_files", wal_files::folder),
    ("sql", sql::question),
];

/// The target of this name.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
