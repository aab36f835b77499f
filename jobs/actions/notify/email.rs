//! A mail: its headers and its text, as RFC 5322 and 2045 have them. Its Message-ID is the job's name: whoever gets it twice
//! can tell that it is one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;

use super::super::settings::{Mail, Mailbox};
use super::super::world::failed;
use super::smtp::{self, Refused};
use super::told::{Told, shortened};
use crate::queue::{Claimed, Ended};

const SUBJECT_CHARS: usize = 200;
/// Characters of an encoded line.
const LINE_CHARS: usize = 76;

pub async fn send(mail: &Mail, told: &Told, job: &Claimed, target: &str, now_us: i64) -> Ended {
    let message = message(mail, told, &job.dedupe, now_us);
    match smtp::send(mail, &message).await {
        Ok(answer) => Ended::Done { target: target.to_owned(), response: shortened(&answer, 300) },
        Err(Refused::Final(why)) => Ended::Refused { error: format!("{target} refused the mail: {why}") },
        Err(Refused::Passing(why)) => failed(format!("{target}: the mail was not sent: {why}"), None),
    }
}

fn message(mail: &Mail, told: &Told, name: &str, now_us: i64) -> String {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let subject = told.title().split_whitespace().collect::<Vec<_>>().join(" ");
    let to: Vec<String> = mail.to.iter().map(address).collect();
    let date = DateTime::from_timestamp_micros(now_us).unwrap_or_default().to_rfc2822();
    let headers = [
        ("Date", date),
        ("From", address(&mail.from)),
        ("To", to.join(",\r\n ")),
        ("Subject", words(&shortened(&subject, SUBJECT_CHARS))),
        ("Message-ID", format!("<{name}@{}>", mail.from.domain())),
        // No person wrote it: no absence note is to answer it (RFC 3834).
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Transfer-Encoding", "quoted-printable".to_owned()),
    ];
    let mut message: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    message.push_str("\r\n");
    let link = told.acknowledge.as_ref().map_or_else(String::new, |link| format!("\nAcknowledge: {link}\n"));
    message.push_str(&quoted_printable(&format!("{}\n\nrule {}\n{link}", told.text(), told.rule)));
    message
}

/// An address as a header has it.
fn address(mailbox: &Mailbox) -> String {
    match &mailbox.name {
        None => mailbox.address.clone(),
        Some(name) if name.is_ascii() => format!("\"{}\" <{}>", name.replace('\\', "\\\\"), mailbox.address),
        Some(name) => format!("{} <{}>", words(name), mailbox.address),
    }
}

/// A header's text; what is not ASCII as encoded words (RFC 2047), cut between characters.
fn words(text: &str) -> String {
    if text.chars().all(|c| c.is_ascii() && !c.is_control()) {
        return text.to_owned();
    }
    // So many bytes of UTF-8 stay below 75 characters in base64 with what stands around.
    const BYTES: usize = 42;
    let mut pieces: Vec<String> = vec![String::new()];
    for sign in text.chars() {
        let last = pieces.last_mut().expect("there is one from the beginning");
        match last.len() + sign.len_utf8() > BYTES {
            true => pieces.push(sign.to_string()),
            false => last.push(sign),
        }
    }
    let encoded: Vec<String> = pieces.iter().map(|piece| format!("=?utf-8?B?{}?=", STANDARD.encode(piece))).collect();
    encoded.join("\r\n ")
}

/// A text in lines of ASCII that every server takes.
fn quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for line in text.replace("\r\n", "\n").replace('\r', "\n").lines() {
        let bytes = line.as_bytes();
        let mut column = 0;
        for (at, byte) in bytes.iter().enumerate() {
            // A blank at a line's end would be lost.
            let plain = matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (*byte == b' ' && at + 1 < bytes.len());
            let sign = if plain { char::from(*byte).to_string() } else { format!("={byte:02X}") };
            if column + sign.len() > LINE_CHARS - 1 {
                out.push_str("=\r\n");
                column = 0;
            }
            column += sign.len();
            out.push_str(&sign);
        }
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests;
