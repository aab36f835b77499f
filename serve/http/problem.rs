//! An error as the callers of the HTTP doors see it: `{"error", "kind", "query_id"?}` with the status that the kind asks for.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::{Error, Kind};
use serde::{Deserialize, Serialize};

/// The JSON body of every error.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Problem {
    /// What went wrong, for the person who must act.
    pub error: String,
    /// What the caller should do: the error's kind in snake case.
    pub kind: String,
    /// The question's id in `query_log`, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub query_id: Option<String>,
    #[serde(skip)]
    status: Option<StatusCode>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

impl Problem {
    /// A problem that is not an engine error.
    pub fn new(status: StatusCode, kind: &str, error: impl Into<String>) -> Self {
        Problem { error: error.into(), kind: kind.to_owned(), query_id: None, status: Some(status), retry_after: None }
    }

    /// The same problem about this question.
    pub fn of_query(mut self, query_id: &str) -> Self {
        self.query_id = Some(query_id.to_owned());
        self
    }

    /// The same problem with another status.
    pub fn with_status(self, status: StatusCode) -> Self {
        Problem { status: Some(status), ..self }
    }

    /// The error that this problem describes; how a client turns an answer back.
    pub fn into_error(self) -> Error {
        Error::new(kind_named(&self.kind), self.error)
    }

    /// The problem as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!(self)
    }
}

/// Stands in the extensions of an answer that says that the caller may not, with what it says: whoever keeps the audit log
/// reads it.
#[derive(Debug, Clone)]
pub struct Denied(pub String);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let retry_after = match error.kind() {
            Kind::Overloaded { retry_after } => Some(retry_after),
            _ => None,
        };
        Problem {
            error: in_one_line(&error),
            kind: kind_name(error.kind()).to_owned(),
            query_id: None,
            status: Some(status(error.kind())),
            retry_after,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(&self)).into_response();
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if status == StatusCode::FORBIDDEN {
            response.extensions_mut().insert(Denied(self.error));
        }
        response
    }
}

/// The error and the causes that it does not already name.
pub fn in_one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        cause = error.source();
    }
    line
}

/// The HTTP status of a kind.
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Denied => StatusCode::FORBIDDEN,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Limit => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Overloaded { .. } | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Corrupt | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The kind's name in JSON and in metrics.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "invalid",
        Kind::NotFound => "not_found",
        Kind::Conflict => "conflict",
        Kind::Denied => "denied",
        Kind::TooLarge => "too_large",
        Kind::Overloaded { .. } => "overloaded",
        Kind::Limit => "limit",
        Kind::Unavailable => "unavailable",
        Kind::Corrupt => "corrupt",
        Kind::Internal => "internal",
    }
}

fn kind_named(name: &str) -> Kind {
    match name {
        "invalid" | "unacceptable" => Kind::Invalid,
        "not_found" => Kind::NotFound,
        "conflict" => Kind::Conflict,
        "denied" | "unauthenticated" => Kind::Denied,
        "too_large" => Kind::TooLarge,
        "overloaded" => Kind::Overloaded { retry_after: Duration::from_secs(1) },
        "limit" => Kind::Limit,
        "unavailable" => Kind::Unavailable,
        "corrupt" => Kind::Corrupt,
        _ => Kind::Internal,
    }
}
