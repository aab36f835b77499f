//! Objects that are locked as they are put: until a time nobody deletes or replaces that version of them. Only S3's interface
//! has it, and only in buckets that were made for it; the store itself refuses the rest.

use std::collections::HashMap;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::error::{Error, Result};

const MODE_HEADER: &str = "x-amz-object-lock-mode";
const UNTIL_HEADER: &str = "x-amz-object-lock-retain-until-date";

/// Who may lift a lock before its time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockMode {
    /// Those to whom the bucket's owner gave the right to bypass it.
    #[default]
    Governance,
    /// Nobody, its owner neither.
    Compliance,
}

impl LockMode {
    /// As people and tables spell it.
    pub fn word(self) -> &'static str {
        match self {
            LockMode::Governance => "governance",
            LockMode::Compliance => "compliance",
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            LockMode::Governance => "GOVERNANCE",
            LockMode::Compliance => "COMPLIANCE",
        }
    }
}

/// How objects are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// Who may lift it.
    pub mode: LockMode,
    /// Until when, µs since 1970.
    pub until_us: i64,
}

impl Lock {
    fn headers(self) -> HashMap<String, String> {
        // Whole seconds, as the interface documents them.
        let until = rfc3339(self.until_us - self.until_us.rem_euclid(1_000_000));
        HashMap::from([(MODE_HEADER.to_owned(), self.mode.as_str().to_owned()), (UNTIL_HEADER.to_owned(), until)])
    }
}

/// The objects of a place, as [`super::objects`] opens it, of which every one that is put is locked. For writing only.
#[cfg(feature = "aws")]
pub fn locked(place: &str, options: &[(String, String)], lock: Lock) -> Result<(Arc<dyn ObjectStore>, Path)> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
    use object_store::{ClientOptions, HeaderMap};
    use url::Url;

    let failed = |e| Error::unavailable(&format!("open {place}"), e);
    let url = Url::parse(place).ok().filter(|url| url.scheme() == "s3");
    let url = url.ok_or_else(|| unknown(place))?;
    let headers = HeaderMap::try_from(&lock.headers());
    let headers = headers.map_err(|e| Error::invalid(format!("lock objects of {place}: {e}")))?;
    // These are signed with the request. A put with a lock needs a checksum.
    let client = ClientOptions::new().with_default_headers(headers);
    let begun =
        AmazonS3Builder::new().with_url(place).with_client_options(client).with_checksum_algorithm(Checksum::SHA256);
    let builder = options.iter().fold(begun, |builder, (key, value)| {
        match key.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            Ok(key) => builder.with_config(key, value),
            Err(_) => builder,
        }
    });
    let path = Path::parse(url.path()).map_err(|e| Error::invalid(format!("the URL {place:?}: {e}")))?;
    Ok((Arc::new(builder.build().map_err(failed)?), path))
}

/// This program was built without the one store that has locks.
#[cfg(not(feature = "aws"))]
pub fn locked(place: &str, _: &[(String, String)], _: Lock) -> Result<(Arc<dyn ObjectStore>, Path)> {
    Err(unknown(place))
}

fn unknown(place: &str) -> Error {
    Error::invalid(format!("objects in {place} cannot be locked: only s3:// has locks, in buckets with Object Lock"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_two_headers_and_s3s_alone() {
        let lock = Lock { mode: LockMode::Compliance, until_us: 1_793_620_800_123_456 };
        let headers = lock.headers();
        assert_eq!(
            (headers[MODE_HEADER].as_str(), headers[UNTIL_HEADER].as_str()),
            ("COMPLIANCE", "2026-11-02T12:00:00Z")
        );
        for place in ["/tmp/folder", "gs://bucket/audit", "not a url://"] {
            assert!(locked(place, &[], lock).unwrap_err().to_string().contains("only s3://"), "{place}");
        }
    }
}
