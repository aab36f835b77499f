//! The link in a message by which somebody says that its rows are known: signed, and good for a while. Whoever has it needs
//! no key, so that it does this and nothing else.

use std::path::Path;
use std::time::Duration;

use hmac::{Hmac, Mac};
use serde::Deserialize;
use sha2::Sha256;
use url::Url;

use super::settings::secret;

/// How long a link is good unless it is said.
const VALID: Duration = Duration::from_secs(3 * 86_400);
/// A shorter secret is guessed.
const SECRET_BYTES_MIN: usize = 16;
/// What is signed begins with this: the same secret signs nothing else with it.
const PURPOSE: &str = "stellwerk acknowledge 1";
/// Where links lead to, under the server's own address.
pub const PATH: &str = "acknowledge";

/// Makes links, and knows its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Links {
    /// Where people reach the server.
    url: Url,
    secret: Vec<u8>,
    valid: Duration,
}

impl std::fmt::Debug for Links {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Links").field("url", &self.url.as_str()).field("valid", &self.valid).finish_non_exhaustive()
    }
}

/// How the settings say it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    url: String,
    secret: String,
    #[serde(default)]
    valid: Option<String>,
}

/// Why a link does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It is not one of ours.
    Forged,
    /// Its time is over.
    Over,
}

impl Words {
    pub(super) fn read(self, folder: &Path) -> Result<Links, String> {
        let url = Url::parse(&self.url).map_err(|e| format!("`{}` is no URL: {e}", self.url))?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            return Err(format!(
                "`{}` is not where a server is reached: write https://host, with a path at most",
                self.url
            ));
        }
        let secret = secret(&self.secret, folder)?.into_bytes();
        if secret.len() < SECRET_BYTES_MIN {
            return Err(format!("its secret has {} bytes, and needs {SECRET_BYTES_MIN}", secret.len()));
        }
        let valid = self.valid.as_deref().map_or(Ok(VALID), engine::parse_span)?;
        if valid.is_zero() {
            return Err("a link that is good for no time is none".to_owned());
        }
        Ok(Links { url, secret, valid })
    }
}

impl Links {
    /// The link of a message, by its job.
    pub fn of(&self, job: &str, now_us: i64) -> String {
        let until_s = now_us / 1_000_000 + i64::try_from(self.valid.as_secs()).unwrap_or(i64::MAX / 2_000_000);
        let signature = hex::encode(self.mac(job, until_s).finalize().into_bytes());
        format!("{}/{PATH}/{job}/{until_s}/{signature}", self.url.as_str().trim_end_matches('/'))
    }

    /// Whether a link with these parts is ours and still good.
    pub fn check(&self, job: &str, until_s: i64, signature: &str, now_us: i64) -> Result<(), Unfit> {
        let signature = hex::decode(signature).map_err(|_| Unfit::Forged)?;
        // Compared in the same time wherever they differ.
        self.mac(job, until_s).verify_slice(&signature).map_err(|_| Unfit::Forged)?;
        if until_s < now_us / 1_000_000 { Err(Unfit::Over) } else { Ok(()) }
    }

    fn mac(&self, job: &str, until_s: i64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("a key of any length will do");
        // A line break stands in no id.
        mac.update(format!("{PURPOSE}\n{until_s}\n{job}").as_bytes());
        mac
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_800_000_000_000_000;

    fn links(secret: &str) -> Links {
        let url = Url::parse("https://stellwerk.example/on/").unwrap();
        Links { url, secret: secret.as_bytes().to_vec(), valid: Duration::from_secs(60) }
    }

    #[test]
    fn a_link_is_good_for_its_job_and_its_time() {
        let ours = links("0123456789abcdef");
        let link = ours.of("job-1", NOW_US);
        let parts: Vec<&str> =
            link.strip_prefix("https://stellwerk.example/on/acknowledge/").unwrap().split('/').collect();
        let [job, until, signature] = parts[..] else { panic!("{link}") };
        let until: i64 = until.parse().unwrap();
        assert_eq!((job, until), ("job-1", NOW_US / 1_000_000 + 60));
        assert_eq!(ours.check(job, until, signature, NOW_US + 60_000_000), Ok(()));
        assert_eq!(ours.check(job, until, signature, NOW_US + 61_000_000), Err(Unfit::Over));
        for (job, until, signature) in [
            ("job-2", until, signature),
            (job, until + 1, signature),
            (job, until, &signature[2..]),
            (job, until, "nothing"),
            (job, until, ""),
        ] {
            assert_eq!(ours.check(job, until, signature, NOW_US), Err(Unfit::Forged), "{job} {until} {signature}");
        }
        assert_eq!(links("0123456789abcdeg").check(job, until, signature, NOW_US), Err(Unfit::Forged));
        assert!(!format!("{ours:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn settings_that_would_not_do_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "0123456789abcdef\n").unwrap();
        std::fs::write(folder.path().join("short"), "0123").unwrap();
        let check = |url: &str, secret: &str, valid: Option<&str>| {
            Words { url: url.to_owned(), secret: secret.to_owned(), valid: valid.map(str::to_owned) }
                .read(folder.path())
        };
        assert_eq!(check("https://a.example", "file:key", None).unwrap().valid, VALID);
        for (url, secret, valid, part) in [
            ("a.example", "file:key", None, "no URL"),
            ("ftp://a.example", "file:key", None, "where a server is reached"),
            ("https://a.example?x=1", "file:key", None, "where a server is reached"),
            ("https://a.example", "0123456789abcdef", None, "stands elsewhere"),
            ("https://a.example", "file:short", None, "needs 16"),
            ("https://a.example", "file:key", Some("soon"), "no span"),
            ("https://a.example", "file:key", Some("0s"), "no time"),
        ] {
            let refused = check(url, secret, valid).unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
    }
}
