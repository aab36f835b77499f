//! A request's body: read and decompressed within limits, so that neither a large upload nor a small bomb fills memory.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use engine::{Error, Kind, Result};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ingest::otel::REQUEST_BYTES_MAX;

/// A body that is refused is read on and dropped up to here, so that the sender lives to read the answer.
const DRAINED_BYTES_MAX: u64 = 256 << 20;
const DRAINED_FOR_MAX: Duration = Duration::from_secs(10);
/// Largest window of a zstd frame, as RFC 8878 recommends: 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Identity,
    Gzip,
    Zstd,
}

impl Compression {
    /// From `Content-Encoding`; `None` for what is not spoken here, several encodings included.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let (first, second) = (values.next(), values.next());
        match (first.map(|value| value.as_bytes().to_ascii_lowercase()).as_deref(), second) {
            (None | Some(b"" | b"identity"), None) => Some(Compression::Identity),
            (Some(b"gzip" | b"x-gzip"), None) => Some(Compression::Gzip),
            (Some(b"zstd"), None) => Some(Compression::Zstd),
            _ => None,
        }
    }
}

/// What the sender says the body's size is.
pub(super) fn claimed_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body of at most [`REQUEST_BYTES_MAX`] bytes.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes> {
    if claimed_bytes(headers).is_some_and(|bytes| bytes > REQUEST_BYTES_MAX as u64) {
        drain(body).await;
        return Err(too_large());
    }
    let mut body = body;
    match Limited::new(&mut body, REQUEST_BYTES_MAX).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            drain(body).await;
            Err(too_large())
        }
        Err(error) => Err(Error::invalid(format!("the body ended early: {error}"))),
    }
}

async fn drain(mut body: Body) {
    let reading = async {
        let mut dropped = 0;
        while let Some(Ok(frame)) = body.frame().await {
            dropped += frame.data_ref().map_or(0, |data| data.len() as u64);
            if dropped > DRAINED_BYTES_MAX {
                break;
            }
        }
    };
    // Too slow or too long: the connection is closed on the sender, who had its chance.
    let _ = tokio::time::timeout(DRAINED_FOR_MAX, reading).await;
}

/// Decompresses a body to at most [`REQUEST_BYTES_MAX`] bytes.
pub(super) fn decompress(body: Bytes, compression: Compression) -> Result<Bytes> {
    let mut plain = Vec::new();
    let limit = REQUEST_BYTES_MAX as u64 + 1;
    let outcome = match compression {
        Compression::Identity => return Ok(body),
        Compression::Gzip => flate2::bufread::MultiGzDecoder::new(&body[..]).take(limit).read_to_end(&mut plain),
        Compression::Zstd => zstd::stream::read::Decoder::with_buffer(&body[..]).and_then(|mut decoder| {
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            decoder.take(limit).read_to_end(&mut plain)
        }),
    };
    outcome.map_err(|error| Error::invalid(format!("the body is not well compressed: {error}")))?;
    match plain.len() > REQUEST_BYTES_MAX {
        true => Err(too_large()),
        false => Ok(plain.into()),
    }
}

fn too_large() -> Error {
    Error::new(Kind::TooLarge, format!("a request may take {REQUEST_BYTES_MAX} bytes, compressed and decompressed"))
}
