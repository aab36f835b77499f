//! One error type for the floor. The message says what we were doing; the kind says what the caller should do.

use std::time::Duration;

/// What the caller should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The input is wrong; sending it again will not help. HTTP 400.
    Invalid,
    /// There is no such thing. HTTP 404.
    NotFound,
    /// The same key with another body, or another owner. HTTP 409.
    Conflict,
    /// The scope does not allow it. HTTP 403.
    Denied,
    /// The input is larger than its limit. HTTP 413.
    TooLarge,
    /// A queue is full: try again after this long. HTTP 503, gRPC RESOURCE_EXHAUSTED.
    Overloaded { retry_after: Duration },
    /// The question exceeded its time, row or memory limit. HTTP 422.
    Limit,
    /// The disk, the object store or the database failed. HTTP 503.
    Unavailable,
    /// Stored bytes are not what was written. HTTP 500.
    Corrupt,
    /// A defect of ours. HTTP 500.
    Internal,
}

/// An error of the engine, and of the floors that only pass it on.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: String,
    #[source]
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of any kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), cause: None }
    }

    /// The input is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(Kind::Invalid, message)
    }

    /// Something outside failed while we were doing `doing`; the cause is part of the message.
    pub fn unavailable(doing: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Error { kind: Kind::Unavailable, message: format!("{doing}: {cause}"), cause: Some(Box::new(cause)) }
    }

    /// The same error with what we were doing in front.
    pub fn context(mut self, doing: &str) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// What the caller should do.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}
