//! Files over HTTPS: whole or not at all, taken up again where they broke off, held against their hash.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use engine::{Error, Kind, Result};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Response, StatusCode, Url};

use super::manifest::hash;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(30);
/// A transfer that does not move for this long is taken up again.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// Times that a broken transfer is taken up again.
const TRIES_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of a page of an index.
const PAGE_BYTES_MAX: usize = 32 << 20;

/// Follows a transfer.
pub trait Watch: Send + Sync {
    /// A file of so many bytes is being fetched, if its size is known.
    fn begin(&self, file: &str, bytes: Option<u64>);
    /// So much of it is there.
    fn reached(&self, bytes: u64);
    /// What is done now.
    fn say(&self, what: &str);
}

/// Follows nothing.
#[derive(Debug)]
pub struct Silent;

impl Watch for Silent {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn reached(&self, _: u64) {}
    fn say(&self, _: &str) {}
}

/// Fetches files.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    bearer: Option<HeaderValue>,
}

impl Client {
    /// A client without a key.
    pub fn new() -> Result<Client> {
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIME_MAX).read_timeout(IDLE_TIME_MAX);
        let http = http.user_agent(concat!("stellwerk/", env!("CARGO_PKG_VERSION"))).build();
        Ok(Client { http: http.map_err(|e| unavailable("make an HTTP client", e))?, bearer: None })
    }

    /// The same with a token.
    pub fn with_token(mut self, token: &str) -> Result<Client> {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| Error::invalid("the token has characters that no header takes"))?;
        value.set_sensitive(true);
        self.bearer = Some(value);
        Ok(self)
    }

    /// A page of text, and the address that it came from in the end.
    pub async fn text(&self, url: &str, accept: Option<&'static str>) -> Result<(Url, String)> {
        let address = parse(url)?;
        let shown = shown(&address);
        let mut request = self.request(address);
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        let answer = request.send().await.map_err(|e| unavailable(&format!("fetch {shown}"), e))?;
        let answer = good(answer, &shown)?;
        let url = answer.url().clone();
        let (mut answer, mut body) = (answer, Vec::new());
        while let Some(bytes) = answer.chunk().await.map_err(|e| unavailable(&format!("fetch {shown}"), e))? {
            body.extend_from_slice(&bytes);
            if body.len() > PAGE_BYTES_MAX {
                return Err(Error::new(Kind::TooLarge, format!("{shown} has more than {PAGE_BYTES_MAX} bytes")));
            }
        }
        Ok((url, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Fetches a file to where it has another name until it is whole and has this hash. What a former try left is used.
    pub async fn download(&self, url: &Url, to: &Path, sha256: &str, watch: &dyn Watch) -> Result<()> {
        if to.is_file() && hash(to)? == sha256 {
            return Ok(());
        }
        let part = to.with_file_name(format!("{}.part", to.file_name().unwrap_or_default().to_string_lossy()));
        let mut tries = 0;
        loop {
            match self.transfer(url, &part, watch).await {
                Ok(()) => break,
                Err(error) if error.kind() == Kind::Unavailable && tries < TRIES_MAX => {
                    tries += 1;
                    watch.say(&format!("{error}; taken up again"));
                    tokio::time::sleep(PAUSE * tries).await;
                }
                Err(error) => return Err(error),
            }
        }
        let found = hash(&part)?;
        if found != sha256 {
            // Taking it up again would not help.
            let _ = fs::remove_file(&part);
            let text = format!("{} has the sha256 {found}, {sha256} is pinned: it is not used", shown(url));
            return Err(Error::new(Kind::Corrupt, text));
        }
        fs::rename(&part, to).map_err(|e| Error::unavailable(&format!("name {}", to.display()), e))
    }

    /// Fetches a file whose hash nobody has pinned; false if there is none.
    pub async fn download_unpinned(&self, url: &str, to: &Path, watch: &dyn Watch) -> Result<bool> {
        let url = parse(url)?;
        match self.transfer(&url, to, watch).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::NotFound => {
                let _ = fs::remove_file(to);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Everything that is missing of a file.
    async fn transfer(&self, url: &Url, part: &Path, watch: &dyn Watch) -> Result<()> {
        let shown = shown(url);
        let doing = format!("fetch {shown}");
        let there = fs::metadata(part).map_or(0, |meta| meta.len());
        let mut request = self.request(url.clone());
        if there > 0 {
            request = request.header(RANGE, format!("bytes={there}-"));
        }
        let answer = request.send().await.map_err(|e| unavailable(&doing, e))?;
        if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // Everything is there, or more than that: the hash will tell.
            return Ok(());
        }
        let mut answer = good(answer, &shown)?;
        let continued = answer.status() == StatusCode::PARTIAL_CONTENT && begins_at(&answer) == Some(there);
        let mut reached = if continued { there } else { 0 };
        let name = part.file_name().unwrap_or_default().to_string_lossy().into_owned();
        watch.begin(name.trim_end_matches(".part"), answer.content_length().map(|more| more + reached));
        let mut options = OpenOptions::new();
        let opened = options.create(true).write(true).append(continued).truncate(!continued).open(part);
        let mut file: File = opened.map_err(|e| Error::unavailable(&format!("write {}", part.display()), e))?;
        while let Some(bytes) = answer.chunk().await.map_err(|e| unavailable(&doing, e))? {
            file.write_all(&bytes).map_err(|e| Error::new(Kind::Limit, format!("write {}: {e}", part.display())))?;
            reached += bytes.len() as u64;
            watch.reached(reached);
        }
        file.sync_all().map_err(|e| Error::unavailable(&format!("write {}", part.display()), e))
    }

    fn request(&self, url: Url) -> reqwest::RequestBuilder {
        let request = self.http.get(url);
        match &self.bearer {
            Some(bearer) => request.header(AUTHORIZATION, bearer.clone()),
            None => request,
        }
    }
}

fn parse(url: &str) -> Result<Url> {
    Url::parse(url).map_err(|e| Error::invalid(format!("{url} is no address: {e}")))
}

/// An address as it may stand in logs: without a name or a password.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn unavailable(doing: &str, cause: reqwest::Error) -> Error {
    Error::unavailable(doing, cause.without_url())
}

/// An answer that is one.
fn good(answer: Response, shown: &str) -> Result<Response> {
    let status = answer.status();
    let kind = match status.as_u16() {
        200..300 => return Ok(answer),
        401 | 403 => Kind::Denied,
        404 | 410 => Kind::NotFound,
        408 | 429 | 500.. => Kind::Unavailable,
        _ => Kind::Invalid,
    };
    Err(Error::new(kind, format!("{shown} answers {status}")))
}

/// The first byte of a part of a file.
fn begins_at(answer: &Response) -> Option<u64> {
    let value = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    value.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}
