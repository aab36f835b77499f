//! The one end-to-end binary: the real server on real folders, asked over its real doors. What needs a service that is
//! not installed here says so loudly and is skipped.
#![allow(clippy::unwrap_used)]
// Futures of the whole store in one test nest deeper than the default.
#![recursion_limit = "256"]

mod answer;
mod budgets;
mod cases;
mod charges;
mod clients;
mod doors;
mod embeddings;
mod erasures;
mod faults;
mod flows;
mod fuzz;
mod golden;
mod harness;
mod hooks;
mod keep;
mod kubernetes;
mod kubernetes_real;
mod moments;
mod n8n;
mod notices;
mod policy;
mod prefixes;
mod records;
mod redaction;
mod repositories;
mod retrieval;
mod rules;
mod scores;
mod search;
mod simulated;
mod slt;
mod state_postgres;
mod stop;
mod store_s3;
mod supply_chain;
mod tenancy;
mod tidy;
mod trust;
