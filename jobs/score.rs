//! Scorecards: what a service, a tenant or a project should be, as checks in SQL, by level. A check passes, fails or is
//! unknown (its fact is missing or too old), and unknown never counts as passed. An entity's level is the highest one up to
//! which every check that applies passes; an approved exemption takes a check out until it expires.
//!
//! ```yaml
//! name: readiness
//! title: Ready for production
//! owner: platform
//! levels: [basic, bronze, silver]      # the first carries no checks
//! entity: {kind: workload, sql: "SELECT tenant, name AS entity FROM k8s_deployment"}
//! checks:
//! - id: replicas
//!   level: bronze
//!   title: It survives the loss of a pod
//!   sql: SELECT tenant, name AS entity, replicas >= 2 AS passed, replicas AS evidence FROM k8s_deployment
//! ```

mod book;
mod definition;
mod evaluate;
mod exemption;
mod outcome;
mod run;
mod stored;
mod tables;

pub use book::{Book, Counted, Run};
pub use definition::{Check, FILE_ENDINGS, Scorecard, read_all};
pub use evaluate::{Evaluated, Found, Which, check, evaluate};
pub use exemption::{Exemption, Exemptions, Request};
pub use outcome::{Fact, Outcome, Standing, standing};
pub use run::run;
pub use stored::{Kept, Stored};
pub use tables::{STATE_TABLES, VIEWS};

/// Who is scored: a tenant, and the entity's name within it.
pub type Key = (String, String);

#[cfg(test)]
mod tests;
