//! The form of an API key: `swk_<id>_<secret>`. The id is public and finds the row; of the secret only a hash is kept.

use std::fmt;

use engine::{Error, Result};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What every key begins with, so that scanners of repositories and our own redactor find one that leaked.
pub const PREFIX: &str = "swk_";
/// Characters of the public id: 62 bits.
const ID_CHARS: usize = 12;
/// Characters of the secret: 32 bytes of entropy in base 62.
const SECRET_CHARS: usize = 43;
const ID_ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const SECRET_ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The named door through which randomness comes in, so that a simulation can turn it.
pub trait Dice: Send + Sync + fmt::Debug {
    /// Fills `bytes` with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]) -> Result<()>;
}

/// The operating system's generator.
#[derive(Debug, Default)]
pub struct OsDice;

impl Dice for OsDice {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        use rand::TryRngCore;
        rand::rngs::OsRng.try_fill_bytes(bytes).map_err(|e| Error::unavailable("read the system's randomness", e))
    }
}

/// A whole key, shown to its owner once. It prints as its id only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
}

impl Secret {
    /// A new key.
    pub fn mint(dice: &dyn Dice) -> Result<Self> {
        let id = draw(dice, ID_ALPHABET, ID_CHARS)?;
        let secret = draw(dice, SECRET_ALPHABET, SECRET_CHARS)?;
        Ok(Secret { text: format!("{PREFIX}{id}_{secret}") })
    }

    /// A presented text, if it has the form of a key.
    pub fn parse(presented: &str) -> Option<Self> {
        let (id, secret) = presented.trim().strip_prefix(PREFIX)?.split_once('_')?;
        let fits = |text: &str, alphabet: &[u8], chars: usize| {
            text.len() == chars && text.bytes().all(|b| alphabet.contains(&b))
        };
        let whole = fits(id, ID_ALPHABET, ID_CHARS) && fits(secret, SECRET_ALPHABET, SECRET_CHARS);
        whole.then(|| Secret { text: presented.trim().to_owned() })
    }

    /// The public id.
    pub fn id(&self) -> &str {
        &self.text[PREFIX.len()..PREFIX.len() + ID_CHARS]
    }

    /// The whole key, for its owner and for the file that holds the bootstrap key; never for a log.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the whole key: what is stored. The secret has 256 random bits, so a slow hash would add nothing.
    pub(super) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }

    /// Whether this is the key of a stored hash; takes the same time for every answer.
    pub(super) fn is_of(&self, stored_hex: &str) -> bool {
        let mut stored = [0; 32];
        let readable = hex::decode_to_slice(stored_hex, &mut stored).is_ok();
        bool::from(self.hash().ct_eq(&stored)) && readable
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_…", self.id())
    }
}

/// Characters drawn evenly: bytes that would favour the alphabet's beginning are thrown away.
fn draw(dice: &dyn Dice, alphabet: &[u8], chars: usize) -> Result<String> {
    let fair = 256 / alphabet.len() * alphabet.len();
    let mut text = String::with_capacity(chars);
    let mut bytes = [0; 64];
    // A fair byte is drawn at least every second time; a door that gives none for so long is broken, not unlucky.
    for _ in 0..64 {
        dice.fill(&mut bytes)?;
        for byte in bytes.map(usize::from) {
            if byte < fair && text.len() < chars {
                text.push(char::from(alphabet[byte % alphabet.len()]));
            }
        }
        if text.len() == chars {
            return Ok(text);
        }
    }
    Err(Error::new(engine::Kind::Internal, "the source of randomness repeats itself"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Stuck(u8);
    impl Dice for Stuck {
        fn fill(&self, bytes: &mut [u8]) -> Result<()> {
            bytes.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn a_minted_key_parses_and_hides() {
        let key = Secret::mint(&OsDice).unwrap();
        assert_eq!(Secret::parse(&format!(" {}\n", key.reveal())), Some(key.clone()));
        assert_eq!(format!("{key:?}"), format!("swk_{}_…", key.id()));
        assert!(key.is_of(&hex::encode(key.hash())));
        assert!(!key.is_of(&hex::encode([0; 32])) && !key.is_of("") && !key.is_of("zz"));
        assert_ne!(key, Secret::mint(&OsDice).unwrap());
    }

    #[test]
    fn what_is_no_key_is_none() {
        let key = Secret::mint(&OsDice).unwrap();
        let text = key.reveal();
        for wrong in [
            "",
            "swk_",
            "swk__",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}x"),
            &text.replace("swk", "SWK"),
            "swk_ääääää_x",
        ] {
            assert_eq!(Secret::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn stuck_dice_are_found_out() {
        assert!(Secret::mint(&Stuck(255)).is_err());
        assert!(Secret::mint(&Stuck(0)).is_ok());
    }
}
