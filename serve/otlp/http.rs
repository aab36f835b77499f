//! OTLP over HTTP: protobuf or JSON, plain, gzip or zstd; every answer in the encoding of its request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::{Error, Kind, Result, Scope};
use ingest::otel::{Encoding, Signal};

use super::answer::{ExportResponse, RpcStatus, code, retry_after};
use super::body::{self, Compression};
use super::{Delivery, Doors, IDEMPOTENCY_KEY};

/// Room taken for a body whose size is not known beforehand.
const UNKNOWN_BODY_BYTES: usize = 1 << 20;

/// Answers one export request.
pub(super) async fn export(signal: Signal, State(doors): State<Arc<Doors>>, request: Request) -> Response {
    let Some(encoding) = encoding(request.headers()) else {
        let text = "Content-Type must be application/x-protobuf or application/json";
        return status(StatusCode::UNSUPPORTED_MEDIA_TYPE, tonic::Code::InvalidArgument, text, Encoding::Json);
    };
    let Some(compression) = Compression::of(request.headers()) else {
        let text = "Content-Encoding must be gzip, zstd or identity";
        let mut refusal = status(StatusCode::UNSUPPORTED_MEDIA_TYPE, tonic::Code::InvalidArgument, text, encoding);
        refusal.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"));
        return refusal;
    };
    let Some(scope) = request.extensions().get::<Scope>().cloned() else {
        return status(StatusCode::UNAUTHORIZED, tonic::Code::Unauthenticated, "a key is needed", encoding);
    };
    match take(signal, &doors, request, encoding, compression, scope).await {
        Ok(answer) => reply(StatusCode::OK, encoding, answer.body(signal, encoding)),
        Err(error) => failure(&error, encoding),
    }
}

async fn take(
    signal: Signal,
    doors: &Doors,
    request: Request,
    encoding: Encoding,
    compression: Compression,
    scope: Scope,
) -> Result<ExportResponse> {
    let (parts, body) = request.into_parts();
    let key = match parts.headers.get(IDEMPOTENCY_KEY).map(|key| key.to_str()) {
        None => None,
        Some(Ok(key)) => Some(key.to_owned()),
        Some(Err(_)) => return Err(Error::invalid(format!("{IDEMPOTENCY_KEY} must be visible ASCII"))),
    };
    // A claim beyond the limit is refused by `read`, after it let the sender finish; it takes no room.
    let claimed = body::claimed_bytes(&parts.headers).and_then(|bytes| usize::try_from(bytes).ok());
    let room = claimed.filter(|bytes| *bytes <= ingest::otel::REQUEST_BYTES_MAX).unwrap_or(UNKNOWN_BODY_BYTES);
    let _room = doors.reserve(room)?;
    let received = body::read(&parts.headers, body).await?;
    let body = match compression {
        Compression::Identity => received,
        compressed => {
            let inflating = tokio::task::spawn_blocking(move || body::decompress(received, compressed));
            inflating.await.map_err(|error| Error::new(Kind::Internal, format!("decompress a request: {error}")))??
        }
    };
    let _more_room = doors.reserve(body.len().saturating_sub(room))?;
    let taken = doors.take(Delivery { source: "otlp/http", signal, encoding, body, scope, key }).await?;
    Ok(ExportResponse::of(&taken))
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/x-protobuf") {
        Some(Encoding::Protobuf)
    } else if essence.eq_ignore_ascii_case("application/json") {
        Some(Encoding::Json)
    } else {
        None
    }
}

fn reply(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response {
    let content_type = match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    };
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

fn status(status: StatusCode, code: tonic::Code, message: &str, encoding: Encoding) -> Response {
    reply(status, encoding, RpcStatus::new(code, message, None).body(encoding))
}

fn failure(error: &Error, encoding: Encoding) -> Response {
    let kind = error.kind();
    let http = match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Denied => StatusCode::FORBIDDEN,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Limit => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Overloaded { .. } | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Corrupt | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let delay = retry_after(kind);
    let mut response = reply(http, encoding, RpcStatus::new(code(kind), &error.to_string(), delay).body(encoding));
    if let Some(delay) = delay {
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    response
}
