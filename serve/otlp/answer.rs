//! What the doors answer: the export response and `google.rpc.Status`, in protobuf and JSON.

use std::time::Duration;

use bytes::Bytes;
use engine::Kind;
use ingest::otel::{Encoding, Signal};
use prost::Message;
use serde_json::json;

use super::Taken;

/// The export response; the three signals differ in the name of one JSON field only.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportResponse {
    /// Absent when everything was accepted.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// What was refused.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialSuccess {
    /// Log records, spans or data points.
    #[prost(int64, tag = "1")]
    pub rejected: i64,
    /// Why.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

impl ExportResponse {
    pub fn of(taken: &Taken) -> Self {
        let partial_success = (taken.rejected > 0).then(|| PartialSuccess {
            rejected: i64::try_from(taken.rejected).unwrap_or(i64::MAX),
            error_message: taken.reasons.clone(),
        });
        ExportResponse { partial_success }
    }

    /// The body of an HTTP answer, in the request's encoding.
    pub fn body(&self, signal: Signal, encoding: Encoding) -> Vec<u8> {
        let rejected = match signal {
            Signal::Logs => "rejectedLogRecords",
            Signal::Traces => "rejectedSpans",
            Signal::Metrics => "rejectedDataPoints",
        };
        match (encoding, &self.partial_success) {
            (Encoding::Protobuf, _) => self.encode_to_vec(),
            (Encoding::Json, None) => b"{}".to_vec(),
            // The protobuf JSON mapping writes 64-bit integers as text.
            (Encoding::Json, Some(partial)) => {
                json!({"partialSuccess": {rejected: partial.rejected.to_string(), "errorMessage": partial.error_message}})
                    .to_string()
                    .into_bytes()
            }
        }
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub retry_delay: Option<RetryDelay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RetryDelay {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// Type URL under which exporters look for the delay.
pub(super) const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

impl RpcStatus {
    pub fn new(code: tonic::Code, message: &str, retry_after: Option<Duration>) -> Self {
        let retry = |delay: Duration| Any {
            type_url: RETRY_INFO.to_owned(),
            value: RetryInfo {
                retry_delay: Some(RetryDelay {
                    seconds: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
                    nanos: i32::try_from(delay.subsec_nanos()).expect("nanoseconds below a second fit"),
                }),
            }
            .encode_to_vec()
            .into(),
        };
        RpcStatus {
            code: code as i32,
            message: message.to_owned(),
            details: retry_after.map(retry).into_iter().collect(),
        }
    }

    /// The body of an HTTP answer. JSON leaves the details out: they would need the types' descriptors.
    pub fn body(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Protobuf => self.encode_to_vec(),
            Encoding::Json => json!({"code": self.code, "message": self.message}).to_string().into_bytes(),
        }
    }
}

/// gRPC's code for an error. OTLP's senders retry UNAVAILABLE, and RESOURCE_EXHAUSTED only when it carries a delay; so a
/// request that can never fit is RESOURCE_EXHAUSTED without one.
pub(super) fn code(kind: Kind) -> tonic::Code {
    match kind {
        Kind::Invalid => tonic::Code::InvalidArgument,
        Kind::NotFound => tonic::Code::NotFound,
        Kind::Conflict => tonic::Code::AlreadyExists,
        Kind::Denied => tonic::Code::PermissionDenied,
        Kind::TooLarge | Kind::Overloaded { .. } => tonic::Code::ResourceExhausted,
        Kind::Limit => tonic::Code::FailedPrecondition,
        Kind::Unavailable => tonic::Code::Unavailable,
        Kind::Corrupt | Kind::Internal => tonic::Code::Internal,
    }
}

/// When to come back, where that helps.
pub(super) fn retry_after(kind: Kind) -> Option<Duration> {
    match kind {
        Kind::Overloaded { retry_after } => Some(retry_after),
        _ => None,
    }
}
