//! The body of an answer as it arrives.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;

use super::connection::Failure;

/// Longest silence within an answer that is no watch.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Bytes of a document; lists of objects are read in pieces and know no such end.
const DOCUMENT_BYTES_MAX: usize = 32 << 20;

/// A body that arrives.
pub struct Answer {
    body: Body,
}

impl Answer {
    /// Of this body.
    pub fn new(body: Body) -> Self {
        Answer { body }
    }

    /// The next piece; none at the end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(Failure::broken(format!("the answer broke off: {error}"))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The next piece of an answer that must not fall silent.
    pub async fn piece_soon(&mut self) -> Result<Option<Bytes>, Failure> {
        let silent = |_| Failure::broken(format!("nothing came for {SILENCE_MAX:?}"));
        tokio::time::timeout(SILENCE_MAX, self.piece()).await.map_err(silent)?
    }

    /// The whole body as a document.
    pub async fn json(mut self) -> Result<Value, Failure> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece_soon().await? {
            if whole.len() + piece.len() > DOCUMENT_BYTES_MAX {
                return Err(Failure::broken(format!("the answer is longer than {DOCUMENT_BYTES_MAX} bytes")));
            }
            whole.extend_from_slice(&piece);
        }
        serde_json::from_slice(&whole).map_err(|e| Failure::broken(format!("the answer is no JSON: {e}")))
    }
}
