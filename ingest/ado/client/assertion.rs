//! A service principal that proves itself by a certificate: a short-lived JWT under its key (RFC 7523), which Entra wants as
//! PS256 with the certificate's SHA-256 in its header.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::{Error, Kind, Result};
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use serde_json::json;
use sha2::{Digest, Sha256};

/// What the token endpoint calls it.
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How long an assertion is good for.
const LIFE_S: i64 = 600;
/// How far the clocks of both sides may differ.
const SKEW_S: i64 = 60;

/// A certificate with its key.
pub struct Certificate {
    key: Arc<dyn SigningKey>,
    thumbprint: [u8; 32],
}

impl Certificate {
    /// Reads both from a file in PEM; the first certificate counts.
    pub fn read(path: &Path) -> Result<Certificate> {
        let shown = path.display();
        let denied = |why: String| Error::new(Kind::Denied, why);
        let pem = std::fs::read(path).map_err(|e| denied(format!("read the certificate in {shown}: {e}")))?;
        let certificate = CertificateDer::from_pem_slice(&pem)
            .map_err(|e| denied(format!("{shown} holds no certificate in PEM: {e}")))?;
        let key = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|e| denied(format!("{shown} holds no key in PEM beside its certificate: {e}")))?;
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
            .map_err(|e| denied(format!("the key in {shown} cannot sign: {e}")))?;
        Ok(Certificate { key, thumbprint: Sha256::digest(&certificate).into() })
    }

    /// Says for ten minutes that who holds the key is `client`, to the token endpoint at `audience`.
    pub fn assertion(&self, audience: &str, client: &str, now_us: i64) -> Result<String> {
        let denied = |why: String| Error::new(Kind::Denied, format!("sign in by a certificate: {why}"));
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]);
        let signer = signer.ok_or_else(|| denied("its key is not RSA, which Entra wants".to_owned()))?;
        let (now_s, part) =
            (now_us.div_euclid(1_000_000), |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string()));
        let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(self.thumbprint)});
        let claims = json!({"aud": audience, "iss": client, "sub": client, "iat": now_s, "nbf": now_s - SKEW_S, "exp": now_s + LIFE_S,
            "jti": hex::encode(rand::random::<[u8; 16]>())});
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = signer.sign(signed.as_bytes()).map_err(|e| denied(e.to_string()))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
