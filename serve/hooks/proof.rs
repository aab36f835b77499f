//! Whether a sender is who it says: signatures over the bytes as they came, tokens and passwords, compared in constant time.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use ingest::hook::{Form, Proof};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Signatures of one header that are looked at.
const SIGNATURES_MAX: usize = 16;

/// Why a sender is turned away; for the audit log, the sender is told less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unproven {
    /// The header that should prove it is not there, or unreadable.
    Missing,
    /// It proves nothing.
    Wrong,
    /// It is signed, and too old or too early.
    Stale,
}

impl Unproven {
    pub fn as_str(self) -> &'static str {
        match self {
            Unproven::Missing => "no signature or credential",
            Unproven::Wrong => "the signature or credential is wrong",
            Unproven::Stale => "the signed time is too far from ours",
        }
    }
}

/// Checks a delivery. `header` answers with the value of a header.
pub fn check(proof: &Proof, header: &dyn Fn(&str) -> Option<String>, raw: &[u8], now_us: i64) -> Result<(), Unproven> {
    match proof {
        Proof::Bearer(tokens) => {
            let given = header("authorization").and_then(|value| after_scheme(&value, "bearer"));
            any(tokens, given.ok_or(Unproven::Missing)?.as_bytes())
        }
        Proof::Basic { user, passwords } => {
            let given = header("authorization").and_then(|value| after_scheme(&value, "basic"));
            let given = given.and_then(|packed| STANDARD.decode(packed).ok()).ok_or(Unproven::Missing)?;
            let at = given.iter().position(|byte| *byte == b':').ok_or(Unproven::Missing)?;
            let named = given[..at].ct_eq(user.as_bytes());
            let known = any(passwords, &given[at + 1..]);
            if bool::from(named) { known } else { Err(Unproven::Wrong) }
        }
        Proof::Hmac { keys, form, tolerance } => {
            let signed = Signed::of(form, header)?;
            let said = signed.any_of(keys, raw);
            let far = signed.seconds.map(|seconds| (now_us / 1_000_000).abs_diff(seconds) > tolerance.as_secs());
            match (said, far) {
                (false, _) => Err(Unproven::Wrong),
                (true, Some(true)) => Err(Unproven::Stale),
                (true, _) => Ok(()),
            }
        }
    }
}

fn any(known: &[String], given: &[u8]) -> Result<(), Unproven> {
    let one = known.iter().fold(subtle::Choice::from(0), |found, one| found | one.as_bytes().ct_eq(given));
    if bool::from(one) { Ok(()) } else { Err(Unproven::Wrong) }
}

/// What stands behind `Bearer ` or `Basic `.
fn after_scheme(value: &str, scheme: &str) -> Option<String> {
    let (named, rest) = value.trim().split_once(' ')?;
    named.eq_ignore_ascii_case(scheme).then(|| rest.trim().to_owned())
}

/// Signatures with what stands before the body where they were made.
struct Signed {
    before: String,
    seconds: Option<i64>,
    signatures: Vec<Vec<u8>>,
}

impl Signed {
    fn of(form: &Form, header: &dyn Fn(&str) -> Option<String>) -> Result<Signed, Unproven> {
        let needed = |name: &str| header(name).filter(|value| !value.is_empty()).ok_or(Unproven::Missing);
        let time = |name: &str| needed(name)?.trim().parse::<i64>().map_err(|_| Unproven::Missing);
        let (before, seconds, signatures) = match form {
            Form::GitHub => (String::new(), None, vec![unpacked(&needed("x-hub-signature-256")?, "sha256=")]),
            Form::Standard => {
                let (id, seconds) = (needed("webhook-id")?, time("webhook-timestamp")?);
                let list = needed("webhook-signature")?;
                let ours = list.split(' ').filter_map(|one| one.strip_prefix("v1,")).take(SIGNATURES_MAX);
                (format!("{id}.{seconds}."), Some(seconds), ours.map(|one| STANDARD.decode(one).ok()).collect())
            }
            Form::Header { signature, timestamp } => {
                let given = unpacked(&needed(signature)?, "sha256=");
                let seconds = timestamp.as_deref().map(time).transpose()?;
                (seconds.map_or_else(String::new, |seconds| format!("{seconds}.")), seconds, vec![given])
            }
        };
        let signatures: Vec<Vec<u8>> = signatures.into_iter().flatten().collect();
        if signatures.is_empty() { Err(Unproven::Missing) } else { Ok(Signed { before, seconds, signatures }) }
    }

    fn any_of(&self, keys: &[Vec<u8>], raw: &[u8]) -> bool {
        keys.iter().any(|key| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is one");
            mac.update(self.before.as_bytes());
            mac.update(raw);
            self.signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
        })
    }
}

/// The bytes of a signature in hex or base64.
fn unpacked(text: &str, prefix: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let text = text.strip_prefix(prefix).unwrap_or(text);
    hex::decode(text).ok().or_else(|| STANDARD.decode(text).ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn hmac(form: Form, keys: &[&str]) -> Proof {
        let keys = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        Proof::Hmac { keys, form, tolerance: Duration::from_secs(300) }
    }

    fn checked(proof: &Proof, headers: &[(&str, &str)], raw: &str, seconds: i64) -> Result<(), Unproven> {
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        check(proof, &header, raw.as_bytes(), seconds * 1_000_000)
    }

    /// The example of GitHub's documentation.
    #[test]
    fn githubs_own_example_is_good_and_nothing_else_is() {
        let proof = hmac(Form::GitHub, &["another", "It's a Secret to Everybody"]);
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(checked(&proof, &[("x-hub-signature-256", good)], "Hello, World!", 0), Ok(()));
        assert_eq!(checked(&proof, &[("x-hub-signature-256", good)], "Hello, World", 0), Err(Unproven::Wrong));
        assert_eq!(checked(&proof, &[("x-hub-signature-256", &good[..39])], "Hello, World!", 0), Err(Unproven::Wrong));
        for headers in [&[][..], &[("x-hub-signature-256", "")], &[("x-hub-signature-256", "sha256=zz")]] {
            assert_eq!(checked(&proof, headers, "Hello, World!", 0), Err(Unproven::Missing));
        }
    }

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn a_signed_time_must_be_near_ours() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let proof = Proof::Hmac { keys: vec![key], form: Form::Standard, tolerance: Duration::from_secs(300) };
        let signature = "v1a,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let headers = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", signature),
        ];
        let body = r#"{"test": 2432232314}"#;
        assert_eq!(checked(&proof, &headers, body, 1_614_265_330 + 300), Ok(()));
        assert_eq!(checked(&proof, &headers, body, 1_614_265_330 - 301), Err(Unproven::Stale));
        let moved = [headers[0], ("webhook-timestamp", "1614265999"), headers[2]];
        assert_eq!(checked(&proof, &moved, body, 1_614_265_999), Err(Unproven::Wrong));
    }

    #[test]
    fn a_header_of_ones_own_may_sign_a_time_too() {
        let form =
            |timestamp: Option<&str>| Form::Header { signature: "x-sign".into(), timestamp: timestamp.map(Into::into) };
        let mut mac = Hmac::<Sha256>::new_from_slice(b"k").unwrap();
        mac.update(b"100.body");
        let packed = STANDARD.encode(mac.finalize().into_bytes());
        let headers = [("x-sign", packed.as_str()), ("x-time", "100")];
        assert_eq!(checked(&hmac(form(Some("x-time")), &["k"]), &headers, "body", 100), Ok(()));
        assert_eq!(checked(&hmac(form(Some("x-time")), &["k"]), &headers[..1], "body", 100), Err(Unproven::Missing));
        assert_eq!(checked(&hmac(form(None), &["k"]), &headers, "100.body", 9_999), Ok(()));
    }

    #[test]
    fn tokens_and_passwords() {
        let bearer = Proof::Bearer(vec!["old".into(), "new".into()]);
        let basic = Proof::Basic { user: "argo".into(), passwords: vec!["a:b".into()] };
        let packed = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for (proof, value, wanted) in [
            (&bearer, "Bearer new".to_owned(), Ok(())),
            (&bearer, "bearer old".to_owned(), Ok(())),
            (&bearer, "Bearer newer".to_owned(), Err(Unproven::Wrong)),
            (&bearer, packed("argo:new"), Err(Unproven::Missing)),
            (&basic, packed("argo:a:b"), Ok(())),
            (&basic, packed("argo:a"), Err(Unproven::Wrong)),
            (&basic, packed("other:a:b"), Err(Unproven::Wrong)),
            (&basic, "Basic !".to_owned(), Err(Unproven::Missing)),
        ] {
            assert_eq!(checked(proof, &[("authorization", &value)], "", 0), wanted, "{value}");
        }
    }
}
