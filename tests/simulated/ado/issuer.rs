//! Who gives out tokens: the token endpoint of Entra, and the metadata service of a machine. Both know one application, and
//! say what is wrong in Entra's words.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use engine::Clock;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::clock::Turned;

pub const TENANT: &str = "tenant-1";
pub const CLIENT: &str = "app-1";
/// Seconds that a token lasts.
const LIFE_S: i64 = 3_600;
/// Azure DevOps's id in Entra.
const RESOURCE: &str = "499b84ac-1321-427f-aa17-267ca6975798";

struct Inner {
    clock: Arc<Turned>,
    /// Client secrets and federated tokens that are good now.
    secrets: Vec<String>,
    /// A folder with certificates that are good now, each with its public key beside it.
    certificates: Vec<PathBuf>,
    /// Tokens with their ends.
    tokens: Vec<(String, i64)>,
    /// So many requests of the metadata service are put off.
    busy: u32,
}

/// The listening issuer.
#[derive(Clone)]
pub struct Issuer {
    inner: Arc<Mutex<Inner>>,
    address: SocketAddr,
}

/// An answer of the token endpoint.
type Told = (u16, Value);

impl Issuer {
    pub async fn open(clock: Arc<Turned>) -> Issuer {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Inner { clock, secrets: vec![], certificates: vec![], tokens: vec![], busy: 0 };
        let issuer = Issuer { inner: Arc::new(Mutex::new(inner)), address };
        let shared = issuer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(shared.clone(), request));
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        issuer
    }

    /// What `--host` says of it.
    pub fn hosts(&self) -> Vec<String> {
        ["login", "metadata"].map(|host| format!("{host}=http://{}", self.address)).to_vec()
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap())
    }

    /// This secret (or federated token) is good from now on, and no other.
    pub fn expect_secret(&self, secret: &str) {
        self.with(|inner| inner.secrets = vec![secret.to_owned()]);
    }

    /// The certificate in this folder is good from now on, and no other.
    pub fn expect_certificate(&self, folder: &Path) {
        self.with(|inner| inner.certificates = vec![folder.to_owned()]);
    }

    /// No token that was given out is good any longer.
    pub fn revoke(&self) {
        self.with(|inner| inner.tokens.iter_mut().for_each(|(_, until)| *until = 0));
    }

    /// So many requests of the metadata service are put off.
    pub fn be_busy(&self, requests: u32) {
        self.with(|inner| inner.busy = requests);
    }

    /// Every token that was given out.
    pub fn tokens(&self) -> Vec<String> {
        self.with(|inner| inner.tokens.iter().map(|(token, _)| token.clone()).collect())
    }

    /// Whether a header brings a token that is good now.
    pub fn accepts(&self, authorization: &str) -> bool {
        self.with(|inner| {
            let now_us = Clock::now_us(&*inner.clock);
            inner.tokens.iter().any(|(token, until)| authorization == format!("Bearer {token}") && now_us < *until)
        })
    }
}

async fn answer(issuer: Issuer, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    let (status, told) = match path[..] {
        [tenant, "oauth2", "v2.0", "token"] => {
            let form = pairs(&String::from_utf8_lossy(&body));
            issuer
                .with(|inner| inner.by_client(tenant, &form, &format!("http://{}{}", issuer.address, parts.uri.path())))
        }
        ["metadata", "identity", "oauth2", "token"] => {
            let asks = parts.headers.get("metadata").is_some_and(|value| value == "true");
            let query = pairs(parts.uri.query().unwrap_or(""));
            issuer.with(|inner| inner.by_machine(asks, &query))
        }
        _ => (404, json!({})),
    };
    Ok(Response::builder().status(status).body(Full::new(told.to_string().into())).unwrap())
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| super::door::percent(&text.replace('+', " "));
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decode(name), decode(value))).collect()
}

fn refused(status: u16, error: &str, words: &str) -> Told {
    (status, json!({"error": error, "error_description": words}))
}

impl Inner {
    fn give(&mut self) -> String {
        let token = format!("issued-token-{:04}", self.tokens.len());
        self.tokens.push((token.clone(), Clock::now_us(&*self.clock) + LIFE_S * 1_000_000));
        token
    }

    fn by_client(&mut self, tenant: &str, form: &[(String, String)], audience: &str) -> Told {
        let told = |name: &str| form.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value.as_str());
        if tenant != TENANT {
            return refused(400, "invalid_request", &format!("AADSTS90002: Tenant '{tenant}' not found."));
        }
        if told("client_id") != CLIENT {
            return refused(400, "unauthorized_client", "AADSTS700016: Application was not found in the directory.");
        }
        if told("grant_type") != "client_credentials" || told("scope") != format!("{RESOURCE}/.default") {
            return refused(400, "invalid_scope", "AADSTS70011: The provided value for scope is not valid.");
        }
        let is_secret = self.secrets.iter().any(|secret| secret == told("client_secret"));
        let typed = told("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let assertion = told("client_assertion");
        let is_asserted =
            typed && (self.secrets.iter().any(|secret| secret == assertion) || self.is_signed(assertion, audience));
        if is_secret || is_asserted {
            let token = self.give();
            return (200, json!({"token_type": "Bearer", "expires_in": LIFE_S, "access_token": token}));
        }
        match told("client_secret") {
            "" => refused(401, "invalid_client", &format!("AADSTS700027: The assertion {assertion} is not valid.")),
            secret => {
                refused(401, "invalid_client", &format!("AADSTS7000215: Invalid client secret provided: {secret}."))
            }
        }
    }

    fn by_machine(&mut self, asks: bool, query: &[(String, String)]) -> Told {
        let told = |name: &str| query.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value.as_str());
        if self.busy > 0 {
            self.busy -= 1;
            return ([410, 429][self.busy as usize % 2], json!({"error": "busy"}));
        }
        if !asks || told("resource") != RESOURCE || told("api-version") != "2018-02-01" {
            return refused(400, "invalid_request", "Required metadata header not specified");
        }
        if !["", CLIENT].contains(&told("client_id")) {
            return refused(400, "invalid_request", "Identity not found");
        }
        let token = self.give();
        (200, json!({"token_type": "Bearer", "expires_in": LIFE_S.to_string(), "access_token": token}))
    }

    /// Whether the key of a good certificate signed this assertion, for this application and endpoint, and now.
    fn is_signed(&self, assertion: &str, audience: &str) -> bool {
        let parts: Vec<&str> = assertion.split('.').collect();
        let [header, claims, signature] = parts[..] else { return false };
        let json = |part: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
        let (Some(head), Some(says), Ok(signature)) = (json(header), json(claims), URL_SAFE_NO_PAD.decode(signature))
        else {
            return false;
        };
        let now_s = Clock::now_us(&*self.clock) / 1_000_000;
        let in_time = says["nbf"].as_i64() <= Some(now_s) && says["exp"].as_i64() > Some(now_s);
        let named =
            says["iss"] == CLIENT && says["sub"] == CLIENT && says["aud"] == audience && says["jti"].is_string();
        let good = self.certificates.iter().any(|folder| {
            let thumbprint =
                URL_SAFE_NO_PAD.encode(Sha256::digest(std::fs::read(folder.join("certificate.der")).unwrap()));
            std::fs::write(folder.join("signed"), format!("{header}.{claims}")).unwrap();
            std::fs::write(folder.join("signature"), &signature).unwrap();
            let mut openssl = Command::new("openssl");
            openssl.args(["dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]);
            openssl.args(["-verify", "public.pem", "-signature", "signature", "signed"]).current_dir(folder);
            head["x5t#S256"] == thumbprint && openssl.output().unwrap().status.success()
        });
        in_time && named && head["alg"] == "PS256" && good
    }
}

/// Makes a certificate with its key, all of it in `app.pem`; `None` without openssl.
pub fn make_certificate(folder: &Path, kind: &[&str]) -> Option<PathBuf> {
    std::fs::create_dir_all(folder).unwrap();
    let openssl = |args: &[&str]| Command::new("openssl").args(args).current_dir(folder).output().ok();
    let mut request =
        vec!["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=app", "-keyout", "key.pem", "-out", "cert.pem"];
    request.extend(kind);
    openssl(&request).filter(|made| made.status.success())?;
    openssl(&["x509", "-in", "cert.pem", "-outform", "der", "-out", "certificate.der"])?;
    openssl(&["x509", "-in", "cert.pem", "-pubkey", "-noout", "-out", "public.pem"])?;
    let both =
        [std::fs::read(folder.join("cert.pem")).unwrap(), std::fs::read(folder.join("key.pem")).unwrap()].concat();
    std::fs::write(folder.join("app.pem"), both).unwrap();
    Some(folder.join("app.pem"))
}
