//! A web hook of anybody: JSON, signed as standardwebhooks.com has it (id, time and body together, so that a message that
//! is sent again by somebody else can be told), and over the body alone as GitHub does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::told::Told;

/// Over the body alone: `sha256=` and the HMAC in hex.
const BODY_SIGNATURE: &str = "x-stellwerk-signature-256";
/// The message's id: the same for every repetition.
const ID: &str = "webhook-id";
/// Seconds since 1970 at which it was sent.
const TIMESTAMP: &str = "webhook-timestamp";
/// `v1,` and the HMAC over `id.timestamp.body` in base64.
const SIGNATURE: &str = "webhook-signature";

pub fn body(told: &Told) -> Value {
    told.json()
}

pub fn headers(secret: Option<&[u8]>, id: &str, now_us: i64, body: &str) -> Vec<(&'static str, String)> {
    let seconds = (now_us / 1_000_000).to_string();
    let mut headers = vec![(ID, id.to_owned()), (TIMESTAMP, seconds.clone())];
    if let Some(secret) = secret {
        let whole = hmac(secret, &[id.as_bytes(), b".", seconds.as_bytes(), b".", body.as_bytes()]);
        headers.push((SIGNATURE, format!("v1,{}", STANDARD.encode(whole))));
        headers.push((BODY_SIGNATURE, format!("sha256={}", hex::encode(hmac(secret, &[body.as_bytes()])))));
    }
    headers
}

fn hmac(secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length is one");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn the_signature_is_the_standard_one() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let body = r#"{"test": 2432232314}"#;
        let headers = headers(Some(&secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_000_000, body);
        let signature = &headers.iter().find(|(name, _)| *name == SIGNATURE).expect("it is signed").1;
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(headers[1], (TIMESTAMP, "1614265330".to_owned()));
    }
}
