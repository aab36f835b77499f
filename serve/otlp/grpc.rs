//! OTLP over gRPC. The three services differ in nothing but their path, and the message is parsed from its bytes like a
//! body over HTTP, so one codec that hands the bytes through serves them all.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Buf, Bytes};
use engine::{Error, Scope};
use ingest::otel::{Encoding, REQUEST_BYTES_MAX, Signal};
use prost::Message;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};

use super::answer::{ExportResponse, RpcStatus, code, retry_after};
use super::{Delivery, Doors, IDEMPOTENCY_KEY};

/// The path of a signal's collector service.
pub(super) fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    }
}

/// Answers one call.
pub(super) async fn export(signal: Signal, State(doors): State<Arc<Doors>>, request: Request) -> Response {
    let content_type = request.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    if !content_type.is_some_and(|value| value.starts_with(b"application/grpc")) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let Some(scope) = request.extensions().get::<Scope>().cloned() else {
        return Status::unauthenticated("a key is needed").into_http::<axum::body::Body>();
    };
    let mut grpc = Grpc::new(Raw)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(REQUEST_BYTES_MAX);
    let response = grpc.unary(Export { signal, doors, scope }, request).await;
    // The library calls a message beyond the limit OUT_OF_RANGE, which OTLP's senders retry for ever.
    let out_of_range = response.headers().get("grpc-status").is_some_and(|status| status == "11");
    if out_of_range {
        let text = format!("a request may take {REQUEST_BYTES_MAX} bytes, compressed and decompressed");
        return Status::resource_exhausted(text).into_http::<axum::body::Body>();
    }
    response.map(axum::body::Body::new)
}

/// One call's service.
struct Export {
    signal: Signal,
    doors: Arc<Doors>,
    scope: Scope,
}

impl UnaryService<Bytes> for Export {
    type Response = ExportResponse;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<ExportResponse>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (signal, doors, scope) = (self.signal, Arc::clone(&self.doors), self.scope.clone());
        Box::pin(async move {
            let key = match request.metadata().get(IDEMPOTENCY_KEY).map(|key| key.to_str()) {
                None => None,
                Some(Ok(key)) => Some(key.to_owned()),
                Some(Err(_)) => {
                    return Err(Status::invalid_argument(format!("{IDEMPOTENCY_KEY} must be visible ASCII")));
                }
            };
            let body = request.into_inner();
            let _room = doors.reserve(body.len()).map_err(|error| status(&error))?;
            let delivery = Delivery { source: "otlp/grpc", signal, encoding: Encoding::Protobuf, body, scope, key };
            let taken = doors.take(delivery).await.map_err(|error| status(&error))?;
            Ok(tonic::Response::new(ExportResponse::of(&taken)))
        })
    }
}

fn status(error: &Error) -> Status {
    let (code, message, delay): (Code, _, _) = (code(error.kind()), error.to_string(), retry_after(error.kind()));
    match delay {
        None => Status::new(code, message),
        delay => {
            let details = RpcStatus::new(code, &message, delay).encode_to_vec();
            Status::with_details(code, message, details.into())
        }
    }
}

/// Hands the request's bytes through and encodes the answer.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = ExportResponse;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = ExportResponse;
    type Error = Status;

    fn encode(&mut self, answer: ExportResponse, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        answer.encode(into).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
