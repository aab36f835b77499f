//! Secrets that are known by their own form.

use std::borrow::Cow;
use std::sync::LazyLock;

use base64::Engine;
use regex::{Captures, Regex};

use super::mark;

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is part of the program and tested")
}

/// Where a word begins. In JSON a line break is `\n`: what begins a line there stands behind a letter.
const EDGE: &str = r"(\b|\\[bfnrt]|\\u[0-9a-fA-F]{4})";

/// PEM private keys, also with their line breaks escaped, also cut off before their end.
pub fn private_key(text: &str) -> Cow<'_, str> {
    static KEY: LazyLock<Regex> = LazyLock::new(|| {
        regex(concat!(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
            r#"(?:[^"]*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|(?:[^"\\]|\\[^"])*)"#
        ))
    });
    KEY.replace_all(text, mark("private_key"))
}

/// The mark, behind what [`EDGE`] found before the word.
fn behind_edge(kind: &str) -> String {
    format!("${{1}}{}", mark(kind))
}

/// JSON web tokens.
pub fn jwt(text: &str) -> Cow<'_, str> {
    static JWT: LazyLock<Regex> =
        LazyLock::new(|| regex(&format!(r"{EDGE}eyJ[A-Za-z0-9_-]{{8,}}\.eyJ[A-Za-z0-9_-]{{4,}}\.[A-Za-z0-9_-]*")));
    JWT.replace_all(text, behind_edge("jwt"))
}

/// Tokens with a prefix or a signature of their issuer.
pub fn token(text: &str) -> Cow<'_, str> {
    static TOKENS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
        [
            ("aws_access_key", r"(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
            ("github_token", r"(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})\b"),
            ("gitlab_token", r"glpat-[A-Za-z0-9_.-]{20,}"),
            ("slack_token", r"xox[abeoprs][a-z]?[-.][A-Za-z0-9.-]{10,}"),
            ("slack_webhook", r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9+/]{30,}"),
            ("npm_token", r"npm_[A-Za-z0-9]{36}\b"),
            ("pypi_token", r"pypi-[A-Za-z0-9_-]{50,}"),
            ("azure_devops_pat", r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}\b"),
            ("model_key", r"sk-(?:ant|proj|svcacct)-[A-Za-z0-9_-]{20,}"),
            ("google_api_key", r"AIza[A-Za-z0-9_-]{35}"),
            ("vault_token", r"hvs\.[A-Za-z0-9_-]{20,}"),
        ]
        .map(|(kind, form)| (kind, regex(&format!("{EDGE}{form}"))))
        .into()
    });
    let mut redacted = Cow::Borrowed(text);
    for (kind, form) in TOKENS.iter() {
        if let Cow::Owned(without) = form.replace_all(&redacted, behind_edge(kind)) {
            redacted = Cow::Owned(without);
        }
    }
    redacted
}

/// The signature of an Azure shared access signature; the rest of the URL stays.
pub fn shared_access_signature(text: &str) -> Cow<'_, str> {
    static SIGNATURE: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(^|[^A-Za-z_]|\\[bfnrt]|\\u[0-9a-fA-F]{4})sig=[A-Za-z0-9%+/=_-]{20,}"));
    SIGNATURE.replace_all(text, format!("${{1}}sig={}", mark("shared_access_signature")))
}

/// What follows `Bearer` and `Basic`. Both are words, too: a bearer is one that looks random, basic credentials are two
/// texts with a colon in base64.
pub fn authorization(text: &str) -> Cow<'_, str> {
    static SCHEME: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r#"(?i)(authorization\\*["']?\s*[:=]\s*\\*["']?\s*)?(\b|\\[bfnrt]|\\u[0-9a-f]{4})(bearer|basic)( +)([A-Za-z0-9._~+/-]{6,}=*)"#,
        )
    });
    let redacted = SCHEME.replace_all(text, |found: &Captures<'_>| {
        let part = |group| found.get(group).map_or("", |m| m.as_str());
        let (header, edge, scheme, space, value) = (part(1), part(2), part(3), part(4), part(5));
        let secret = if scheme.eq_ignore_ascii_case("basic") { is_basic(value) } else { is_bearer(value) };
        if secret || !header.is_empty() {
            format!("{header}{edge}{scheme}{space}{}", mark("authorization"))
        } else {
            part(0).to_owned()
        }
    });
    if redacted == text { Cow::Borrowed(text) } else { redacted }
}

fn is_basic(value: &str) -> bool {
    let padding = base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent);
    let decoder = base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, padding);
    let decoded = decoder.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.is_some_and(|pair| pair.contains(':') && !pair.contains(char::is_control))
}

fn is_bearer(value: &str) -> bool {
    value.len() >= 16 && value.bytes().any(|b| b.is_ascii_digit()) && value.bytes().any(|b| b.is_ascii_alphabetic())
}
