//! What a caller should do about a failure of the state database.

use std::time::Duration;

use sqlx::error::{DatabaseError, ErrorKind};

use crate::error::{Error, Kind};

/// How long a caller waits before it tries a contended database again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The engine's error for a failure of the state database while `doing` something.
pub(super) fn fault(doing: &str, cause: sqlx::Error) -> Error {
    Error::new(kind(&cause), format!("{doing}: {cause}"))
}

fn kind(cause: &sqlx::Error) -> Kind {
    match cause {
        sqlx::Error::Database(database) => database_kind(database.as_ref()),
        sqlx::Error::PoolTimedOut => Kind::Overloaded { retry_after: RETRY_AFTER },
        sqlx::Error::RowNotFound => Kind::NotFound,
        sqlx::Error::Configuration(_) => Kind::Invalid,
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => Kind::Unavailable,
        _ => Kind::Internal,
    }
}

fn database_kind(cause: &dyn DatabaseError) -> Kind {
    match cause.kind() {
        ErrorKind::UniqueViolation => Kind::Conflict,
        ErrorKind::ForeignKeyViolation | ErrorKind::NotNullViolation | ErrorKind::CheckViolation => Kind::Invalid,
        _ => code_kind(&cause.code().unwrap_or_default()),
    }
}

/// PostgreSQL's SQLSTATE has five characters, SQLite's extended result code is a number whose low byte is the class.
fn code_kind(code: &str) -> Kind {
    if code.len() == 5 {
        return match (&code[..2], code) {
            // Serialization failure, deadlock, too many connections: the same call succeeds later.
            (_, "40001" | "40P01" | "53300") => Kind::Overloaded { retry_after: RETRY_AFTER },
            ("08" | "53" | "57" | "58" | "28" | "3D" | "25", _) => Kind::Unavailable,
            ("22", _) => Kind::Invalid,
            ("XX", _) => Kind::Corrupt,
            _ => Kind::Internal,
        };
    }
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(5 | 6) => Kind::Overloaded { retry_after: RETRY_AFTER }, // BUSY, LOCKED
        Ok(3 | 8 | 10 | 13 | 14) => Kind::Unavailable,              // PERM, READONLY, IOERR, FULL, CANTOPEN
        Ok(11 | 26) => Kind::Corrupt,                               // CORRUPT, NOTADB
        Ok(18) => Kind::TooLarge,                                   // TOOBIG
        _ => Kind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_the_caller_what_to_do() {
        for (code, wanted) in [
            ("40001", Kind::Overloaded { retry_after: RETRY_AFTER }),
            ("08006", Kind::Unavailable),
            ("22021", Kind::Invalid),
            ("42601", Kind::Internal),
            ("5", Kind::Overloaded { retry_after: RETRY_AFTER }),
            ("517", Kind::Overloaded { retry_after: RETRY_AFTER }),
            ("13", Kind::Unavailable),
            ("26", Kind::Corrupt),
            ("1", Kind::Internal),
            ("", Kind::Internal),
        ] {
            assert_eq!(code_kind(code), wanted, "{code}");
        }
    }
}
