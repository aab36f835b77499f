#![allow(clippy::unwrap_used)]

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::super::super::settings::Tls;
use super::*;

/// A server that takes one connection, answers `rcpt` to a recipient, and tells everything that was said to it.
async fn sink(offers: &'static str, rcpt: &'static str) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.into_split();
        let (mut lines, mut said, mut in_data) = (BufReader::new(read).lines(), String::new(), false);
        write.write_all(b"220-welcome\r\n220 sink ESMTP\r\n").await.unwrap();
        while let Ok(Some(line)) = lines.next_line().await {
            said.push_str(&line);
            said.push('\n');
            let answer = match line.split(' ').next().unwrap_or_default() {
                _ if in_data && line == "." => {
                    in_data = false;
                    "250 2.0.0 taken"
                }
                _ if in_data => continue,
                "EHLO" => offers,
                "RCPT" => rcpt,
                "AUTH" => "235 you are",
                "DATA" => {
                    in_data = true;
                    "354 go on"
                }
                "QUIT" => "221 bye",
                _ => "250 ok",
            };
            if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                break;
            }
        }
        said
    });
    (port, serving)
}

fn mail(port: u16, tls: Tls) -> Mail {
    let address = |text: &str| Mailbox::parse(text).unwrap();
    Mail {
        host: "127.0.0.1".to_owned(),
        port,
        tls,
        credentials: None,
        from: address("Stellwerk <stellwerk@acme.example>"),
        to: vec![address("ops@acme.example"), address("Otto Müller <otto@acme.example>")],
        resend: false,
    }
}

fn job(message: &str, title: &str) -> Claimed {
    let arguments = json!({
        "rule": "shop/pods", "transition": "new", "key": ["web-0"], "route": "P1",
        "with": { "channel": "mail", "message": message, "title": title },
    });
    let (kind, dedupe) = ("notify".to_owned(), "abc:mail".to_owned());
    Claimed { id: "1".to_owned(), kind, arguments, dedupe, attempt: 1, attempts_max: 12 }
}

const OFFERS: &str = "250-sink\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME";

async fn sent(offers: &'static str, rcpt: &'static str, with: impl FnOnce(u16) -> Mail) -> (Ended, String) {
    let (port, serving) = sink(offers, rcpt).await;
    let job = job("Der Pod läuft nicht.\n.\nEnde ", "Pod\r\nBcc: evil@x.example");
    let ended = send(&with(port), &Told::of(&job.arguments), &job, "channel mail", 0).await;
    (ended, serving.await.unwrap())
}

#[tokio::test]
async fn a_mail_arrives_whole_and_says_who_it_is() {
    let (ended, said) = sent(OFFERS, "250 ok", |port| mail(port, Tls::None)).await;
    assert!(matches!(&ended, Ended::Done { response, .. } if response == "250 2.0.0 taken"), "{ended:?}");
    for part in [
        "MAIL FROM:<stellwerk@acme.example>",
        "RCPT TO:<ops@acme.example>",
        "RCPT TO:<otto@acme.example>",
        "Message-ID: <abc-mail@acme.example>",
        "From: \"Stellwerk\" <stellwerk@acme.example>",
        "=?utf-8?B?T3R0byBNw7xsbGVy?= <otto@acme.example>",
        "Auto-Submitted: auto-generated",
        "Date: Thu, 1 Jan 1970 00:00:00 +0000",
        "Subject: [P1] Pod Bcc: evil@x.example",
        // What a row says ends neither the headers nor the mail.
        "Der Pod l=C3=A4uft nicht.\n..\nEnde=20\n\nrule shop/pods\n.\nQUIT",
    ] {
        assert!(said.contains(part), "{part} is missing:\n{said}");
    }
    assert!(!said.contains("\nBcc:") && !said.contains("AUTH"), "{said}");
}

#[tokio::test]
async fn a_refusal_is_final_and_a_delay_is_not() {
    let plain = |port| mail(port, Tls::None);
    assert!(matches!(sent(OFFERS, "550 no such user", plain).await.0, Ended::Refused { .. }));
    assert!(matches!(sent(OFFERS, "451 try later", plain).await.0, Ended::Failed { .. }));
    assert!(matches!(sent(OFFERS, "what?", plain).await.0, Ended::Failed { .. }));
}

#[tokio::test]
async fn without_starttls_nothing_is_said_in_the_clear() {
    let (ended, said) = sent(OFFERS, "250 ok", |port| mail(port, Tls::StartTls)).await;
    assert!(matches!(&ended, Ended::Refused { error } if error.contains("STARTTLS")), "{ended:?}");
    assert!(!said.contains("MAIL FROM"), "{said}");
    // It offers what it cannot do: the mail does not go out without it.
    let (ended, said) = sent("250-sink\r\n250 STARTTLS", "250 ok", |port| mail(port, Tls::StartTls)).await;
    assert!(!matches!(ended, Ended::Done { .. }) && !said.contains("MAIL FROM"), "{ended:?}\n{said}");
}

#[tokio::test]
async fn credentials_are_sent_and_no_error_repeats_them() {
    let credentials = Some(("otto".to_owned(), "hidden".to_owned()));
    let with = |port| Mail { credentials: credentials.clone(), ..mail(port, Tls::None) };
    let (ended, said) = sent(OFFERS, "250 ok", with).await;
    assert!(matches!(ended, Ended::Done { .. }) && said.contains("AUTH PLAIN AG90dG8AaGlkZGVu"), "{ended:?}\n{said}");
    let (ended, _) = sent("250 sink", "250 ok", with).await;
    assert!(matches!(&ended, Ended::Refused { error } if error.contains("neither AUTH PLAIN")), "{ended:?}");
}

#[test]
fn texts_become_lines_of_ascii() {
    for (text, wanted) in [
        ("a=b \u{e9}", "a=3Db =C3=A9\r\n"),
        ("end \r\nnext\rlast", "end=20\r\nnext\r\nlast\r\n"),
        ("\u{0}\t", "=00=09\r\n"),
    ] {
        assert_eq!(quoted_printable(text), wanted, "{text:?}");
    }
    let long = quoted_printable(&"ä".repeat(100));
    assert!(long.lines().all(|line| line.len() <= LINE_CHARS), "{long}");
    assert_eq!(words("plain"), "plain");
    let subject = words(&"Größe ".repeat(20));
    assert!(subject.lines().count() > 2 && subject.lines().all(|line| line.trim_end().len() <= 76), "{subject}");
}
