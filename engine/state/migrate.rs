//! The schema of the state database: one list of migrations, in plain sight, each run once and checked by its hash.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};

use super::fault::fault;
use crate::error::{Error, Kind, Result};

/// Every migration, oldest first. A shipped one is never edited: its hash is in every database that ran it.
pub(super) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "trust", include_str!("migrations/0001_trust.sql")),
    (2, "access", include_str!("migrations/0002_access.sql")),
    (3, "audit", include_str!("migrations/0003_audit.sql")),
    (5, "budget", include_str!("migrations/0005_budget.sql")),
    (6, "rules", include_str!("migrations/0006_rules.sql")),
    (8, "flows", include_str!("migrations/0008_flows.sql")),
    (9, "scores", include_str!("migrations/0009_scores.sql")),
    (10, "keep", include_str!("migrations/0010_keep.sql")),
    (12, "notice", include_str!("migrations/0012_notice.sql")),
    (13, "hold_copy", include_str!("migrations/0013_hold_copy.sql")),
    (14, "queue_group", include_str!("migrations/0014_queue_group.sql")),
];

/// Brings the schema up to date over a connection whose caller holds the migration lock inside a transaction, so that
/// either every missing migration is there afterwards or none.
pub(super) async fn migrate<C: Migrate>(connection: &mut C) -> Result<()> {
    let migrations = MIGRATIONS.iter().map(|(version, name, sql)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.set_locking(false); // The caller's lock ends with its transaction, sqlx's own would outlive a failure.
    migrator.run_direct(None, connection, false).await.map_err(explain)
}

fn explain(error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMissing(version) => Error::new(
            Kind::Conflict,
            format!(
                "the state database has migration {version}, which this program does not know: it was written by a newer version, start that one"
            ),
        ),
        MigrateError::VersionMismatch(version) => Error::new(
            Kind::Corrupt,
            format!("migration {version} of the state database is not the one that this program ships"),
        ),
        MigrateError::Execute(cause) => fault("migrate the state database", cause),
        MigrateError::ExecuteMigration(cause, version) => {
            fault(&format!("run migration {version} of the state database"), cause)
        }
        other => Error::new(Kind::Internal, format!("migrate the state database: {other}")),
    }
}
