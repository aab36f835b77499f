//! SMTP as a sender speaks it (RFC 5321), with STARTTLS (RFC 3207) and AUTH (RFC 4954). One connection a mail; TLS that was
//! asked for is never done without.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::settings::{Mail, Tls};

/// A whole mail, from the connection to the last answer.
const MAIL_TIME_MAX: Duration = Duration::from_secs(60);
/// Bytes of one line of an answer, and lines of one answer.
const LINE_BYTES_MAX: u64 = 2_048;
const LINES_MAX: usize = 100;

/// Why a mail was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It would not be another time, either.
    Final(String),
    /// It may be later.
    Passing(String),
}

impl From<std::io::Error> for Refused {
    fn from(error: std::io::Error) -> Self {
        Refused::Passing(error.to_string())
    }
}

/// Sends a message to all recipients, or to none. Answers what the server said at the end.
pub async fn send(mail: &Mail, message: &str) -> Result<String, Refused> {
    let late = |_| Refused::Passing(format!("the server was not done within {MAIL_TIME_MAX:?}"));
    tokio::time::timeout(MAIL_TIME_MAX, talk(mail, message)).await.map_err(late)?
}

async fn talk(mail: &Mail, message: &str) -> Result<String, Refused> {
    let stream = TcpStream::connect((mail.host.as_str(), mail.port)).await?;
    match mail.tls {
        Tls::None => {
            let mut plain = Connection::new(stream);
            plain.greeted().await?;
            plain.deliver(mail, message).await
        }
        Tls::Tls => {
            let mut wrapped = Connection::new(encrypted(mail, stream).await?);
            wrapped.greeted().await?;
            wrapped.deliver(mail, message).await
        }
        Tls::StartTls => {
            let mut plain = Connection::new(stream);
            plain.greeted().await?;
            if !plain.hello().await?.iter().any(|word| word == "STARTTLS") {
                let why = "it does not offer STARTTLS; write tls: none if it should stay in the clear";
                return Err(Refused::Final(why.to_owned()));
            }
            plain.say("STARTTLS", 220).await?;
            // What somebody put behind the answer in the clear counts for nothing.
            let mut wrapped = Connection::new(encrypted(mail, plain.stream.into_inner()).await?);
            wrapped.deliver(mail, message).await
        }
    }
}

async fn encrypted(mail: &Mail, stream: TcpStream) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Refused> {
    let broken = |why: String| Refused::Final(format!("TLS cannot be prepared: {why}"));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|e| broken(e.to_string()))?;
    let name = ServerName::try_from(mail.host.clone()).map_err(|e| broken(e.to_string()))?;
    Ok(TlsConnector::from(Arc::new(config.with_no_client_auth())).connect(name, stream).await?)
}

/// A conversation with a server.
struct Connection<S> {
    stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(stream: S) -> Self {
        Connection { stream: BufReader::new(stream) }
    }

    async fn greeted(&mut self) -> Result<(), Refused> {
        self.heard("the greeting", 220).await.map(|_| ())
    }

    /// Says who speaks; answers the words that the server's offers begin with, and those of AUTH.
    async fn hello(&mut self) -> Result<Vec<String>, Refused> {
        let lines = self.say("EHLO [127.0.0.1]", 250).await?;
        let upper = lines.iter().skip(1).map(|line| line.to_ascii_uppercase());
        Ok(upper
            .flat_map(|line| {
                let mut words = line.split_whitespace().map(str::to_owned);
                let first = words.next().unwrap_or_default();
                let of_auth: Vec<String> = match first.as_str() {
                    "AUTH" => words.map(|word| format!("AUTH {word}")).collect(),
                    _ => Vec::new(),
                };
                std::iter::once(first).chain(of_auth)
            })
            .collect())
    }

    async fn deliver(&mut self, mail: &Mail, message: &str) -> Result<String, Refused> {
        let offers = self.hello().await?;
        if let Some((name, word)) = &mail.credentials {
            self.log_in(&offers, name, word).await?;
        }
        self.say(&format!("MAIL FROM:<{}>", mail.from.address), 250).await?;
        for to in &mail.to {
            self.say(&format!("RCPT TO:<{}>", to.address), 250).await?;
        }
        self.say("DATA", 354).await?;
        let mut data = String::with_capacity(message.len() + 64);
        for line in message.split_inclusive("\r\n") {
            // A dot at the beginning of a line is doubled: alone it would end the mail.
            data.push_str(if line.starts_with('.') { "." } else { "" });
            data.push_str(line);
        }
        self.stream.write_all(data.as_bytes()).await?;
        let taken = self.say(".", 250).await?;
        // It is taken; how the conversation ends changes nothing.
        let _ = self.say("QUIT", 221).await;
        Ok(format!("250 {}", taken.join(" ")))
    }

    async fn log_in(&mut self, offers: &[String], name: &str, word: &str) -> Result<(), Refused> {
        let offered = |kind: &str| offers.iter().any(|offer| offer == kind);
        if offered("AUTH PLAIN") {
            let plain = STANDARD.encode(format!("\0{name}\0{word}"));
            return self.secretly(&format!("AUTH PLAIN {plain}"), 235).await;
        }
        if offered("AUTH LOGIN") {
            self.secretly("AUTH LOGIN", 334).await?;
            self.secretly(&STANDARD.encode(name), 334).await?;
            return self.secretly(&STANDARD.encode(word), 235).await;
        }
        Err(Refused::Final("it offers neither AUTH PLAIN nor AUTH LOGIN".to_owned()))
    }

    /// Says a line, and answers the lines that come back without their codes.
    async fn say(&mut self, line: &str, wanted: u16) -> Result<Vec<String>, Refused> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.stream.flush().await?;
        self.heard(line, wanted).await
    }

    /// The same for a line that no error repeats.
    async fn secretly(&mut self, line: &str, wanted: u16) -> Result<(), Refused> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.stream.flush().await?;
        self.heard("the credentials", wanted).await.map(|_| ())
    }

    async fn heard(&mut self, doing: &str, wanted: u16) -> Result<Vec<String>, Refused> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            (&mut self.stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
            let line = String::from_utf8_lossy(&line);
            let strange =
                || Refused::Passing(format!("it answered {doing} with no line of SMTP: {:?}", line.trim_end()));
            let code: u16 = line.get(..3).and_then(|code| code.parse().ok()).ok_or_else(strange)?;
            lines.push(line.get(4..).unwrap_or_default().trim_end().to_owned());
            if line.as_bytes().get(3) == Some(&b'-') && lines.len() < LINES_MAX {
                continue;
            }
            if code == wanted {
                return Ok(lines);
            }
            let why = format!("it answered {doing} with {code} {}", lines.join(" "));
            return Err(if (500..600).contains(&code) { Refused::Final(why) } else { Refused::Passing(why) });
        }
    }
}
