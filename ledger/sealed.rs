//! Values that must be kept for a while in a database whose files are searched for them: they stand there so that no search
//! of bytes finds them. It is no protection from who can read the row.

use engine::{Error, Kind, Result};
use sha2::{Digest, Sha256};

use crate::directory::{Dice, OsDice};

/// The bytes of the key stream from a salt.
fn stream(salt: &[u8]) -> impl Iterator<Item = u8> + '_ {
    (0_u64..).flat_map(move |block| {
        let mut hasher = Sha256::new();
        hasher.update(salt);
        hasher.update(block.to_be_bytes());
        <[u8; 32]>::from(hasher.finalize())
    })
}

/// Values as one text.
pub(crate) fn seal(values: &[String]) -> Result<String> {
    let mut salt = [0; 16];
    OsDice.fill(&mut salt)?;
    let json = serde_json::json!(values).to_string();
    let sealed: Vec<u8> = json.bytes().zip(stream(&salt)).map(|(byte, key)| byte ^ key).collect();
    Ok(format!("{}:{}", hex::encode(salt), hex::encode(sealed)))
}

/// The values of such a text.
pub(crate) fn open(sealed: &str) -> Result<Vec<String>> {
    let broken = || Error::new(Kind::Corrupt, "a sealed list of values cannot be read");
    let (salt, bytes) = sealed.split_once(':').ok_or_else(broken)?;
    let (salt, bytes) = (hex::decode(salt).map_err(|_| broken())?, hex::decode(bytes).map_err(|_| broken())?);
    let json: Vec<u8> = bytes.iter().zip(stream(&salt)).map(|(byte, key)| byte ^ key).collect();
    serde_json::from_slice(&json).map_err(|_| broken())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_and_is_not_seen() {
        let values = vec!["ana@acme.example".to_owned(), "Ana Müller".to_owned()];
        let sealed = seal(&values).unwrap();
        assert_eq!(open(&sealed).unwrap(), values);
        assert!(!sealed.contains("ana") && sealed != seal(&values).unwrap());
        for broken in ["", "x", "00:zz", "00:00"] {
            assert_eq!(open(broken).unwrap_err().kind(), Kind::Corrupt, "{broken}");
        }
    }
}
