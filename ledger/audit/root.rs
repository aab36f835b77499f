//! Signed roots: what the whole log was at a moment, under Ed25519, in a file that can lie where the operator of the
//! database cannot write.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use engine::{Error, Kind, Result};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::directory::Dice;

/// Name of the signing key's file in a data directory.
pub const KEY_FILE: &str = "audit.key";
/// What the signed text begins with.
const DOMAIN: &str = "stellwerk audit root v1";

/// The root of the log at a moment, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRoot {
    /// Tells the log from every other.
    pub log: String,
    /// Rows under the root.
    pub size: u64,
    /// The root, hexadecimal.
    pub root: String,
    /// Microseconds since 1970, UTC.
    pub at_us: i64,
    /// The public key, hexadecimal.
    pub key: String,
    /// The signature over the above, hexadecimal.
    pub signature: String,
}

impl SignedRoot {
    fn text(&self) -> String {
        let SignedRoot { log, size, root, at_us, key, .. } = self;
        format!("{DOMAIN}\n{log}\n{size}\n{root}\n{at_us}\n{key}\n")
    }

    /// Whether the signature is that of the key it names.
    pub fn is_signed(&self) -> bool {
        let (Ok(key), Ok(signature)) = (hex::decode(&self.key), hex::decode(&self.signature)) else { return false };
        UnparsedPublicKey::new(&ED25519, key).verify(self.text().as_bytes(), &signature).is_ok()
    }

    /// Reads one from a document.
    pub fn parse(text: &str, origin: &str) -> Result<SignedRoot> {
        serde_json::from_str(text).map_err(|e| Error::invalid(format!("{origin} is no signed root: {e}")))
    }
}

/// The key that signs roots.
pub struct SigningKey {
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// The key of a data directory; made if there is none, in a file that only its owner can read.
    pub fn ensure(data: &Path, dice: &dyn Dice) -> Result<SigningKey> {
        if let Some(key) = SigningKey::read(data)? {
            return Ok(key);
        }
        let path = data.join(KEY_FILE);
        let mut seed = [0; 32];
        dice.fill(&mut seed)?;
        write(&path, &hex::encode(seed)).map_err(|e| Error::unavailable(&format!("write {}", path.display()), e))?;
        SigningKey::of(&seed, &path)
    }

    /// The key of a data directory, if it has one.
    pub fn read(data: &Path) -> Result<Option<SigningKey>> {
        let path = data.join(KEY_FILE);
        let doing = format!("read {}", path.display());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::unavailable(&doing, error)),
        };
        let mode = std::fs::metadata(&path).map_err(|e| Error::unavailable(&doing, e))?.permissions().mode();
        if mode & 0o077 != 0 {
            let text = format!("{} can be read by others (mode {:o}): `chmod 600` it", path.display(), mode & 0o777);
            return Err(Error::new(Kind::Denied, text));
        }
        let mut seed = [0; 32];
        let read = hex::decode_to_slice(text.trim(), &mut seed);
        read.map_err(|_| Error::invalid(format!("{} does not hold 32 hexadecimal bytes", path.display())))?;
        SigningKey::of(&seed, &path).map(Some)
    }

    fn of(seed: &[u8; 32], path: &Path) -> Result<SigningKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        let pair = pair.map_err(|e| Error::invalid(format!("{} is no key: {e}", path.display())))?;
        Ok(SigningKey { pair })
    }

    /// The public key, hexadecimal.
    pub fn public(&self) -> String {
        hex::encode(self.pair.public_key())
    }

    /// Signs a root.
    pub fn sign(&self, log: &str, size: u64, root: &str, at_us: i64) -> SignedRoot {
        let mut signed = SignedRoot {
            log: log.to_owned(),
            size,
            root: root.to_owned(),
            at_us,
            key: self.public(),
            signature: String::new(),
        };
        signed.signature = hex::encode(self.pair.sign(signed.text().as_bytes()));
        signed
    }
}

/// Whole or not there, and durable before the first signature is given out.
fn write(path: &Path, seed: &str) -> std::io::Result<()> {
    let staged = path.with_extension("key.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
    file.write_all(format!("{seed}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&staged, path)?;
    File::open(path.parent().expect("the key's file lies in the data directory"))?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::directory::OsDice;

    #[test]
    fn a_root_is_signed_by_the_key_of_its_directory() {
        let data = tempfile::tempdir().unwrap();
        assert!(SigningKey::read(data.path()).unwrap().is_none());
        let key = SigningKey::ensure(data.path(), &OsDice).unwrap();
        let again = SigningKey::ensure(data.path(), &OsDice).unwrap();
        assert_eq!(key.public(), again.public());
        let path = data.path().join(KEY_FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let root = key.sign("log", 3, "ab", 1);
        assert!(root.is_signed());
        assert_eq!(SignedRoot::parse(&serde_json::to_string(&root).unwrap(), "x").unwrap(), root);
        for other in [
            SignedRoot { size: 4, ..root.clone() },
            SignedRoot { root: "ac".to_owned(), ..root.clone() },
            SignedRoot { log: "other".to_owned(), ..root.clone() },
            SignedRoot { at_us: 2, ..root.clone() },
            SignedRoot { signature: "00".repeat(64), ..root.clone() },
            SignedRoot { key: "zz".to_owned(), ..root.clone() },
        ] {
            assert!(!other.is_signed(), "{other:?}");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(SigningKey::read(data.path()).unwrap_err().kind(), Kind::Denied);
    }

    /// RFC 8032, test 1 of Ed25519.
    #[test]
    fn the_signature_is_ed25519() {
        let mut seed = [0; 32];
        hex::decode_to_slice("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", &mut seed).unwrap();
        let key = SigningKey::of(&seed, Path::new("x")).unwrap();
        assert_eq!(key.public(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let signed = hex::encode(key.pair.sign(b""));
        assert!(signed.starts_with("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"), "{signed}");
    }
}
