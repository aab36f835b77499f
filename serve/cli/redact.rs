//! `stellwerk redact`: what the redaction of personal data and secrets finds, in a text or in stored rows. Nothing is
//! changed.

mod preview;

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine::{Error, Result};
use ingest::redact::personal::kind::{Kind, Kinds};
use ingest::redact::personal::{Check, SURE};
use ingest::redact::policy::Plan;
use ingest::redact::{Redaction, Spotted};
use serde_json::json;

use super::exit::Exit;
use super::print;
use crate::wire;

const AFTER: &str = "\
Examples:
  journalctl -n 100 | stellwerk redact text
  stellwerk redact text --json < letter.txt
  stellwerk redact text --json --detect iban --detect de_tax_id --min-score 0 < letter.txt
  stellwerk redact preview --table otel_log --column body --data ./data";

/// Try the redaction of personal data and secrets on a text or on stored rows.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER)]
pub enum Redact {
    /// Redact what comes from stdin and print it.
    Text(Text),
    /// Say what would be found in stored rows now, by column and kind, without a value.
    Preview(preview::Preview),
}

/// Redact what comes from stdin and print it.
#[derive(Debug, Args)]
pub struct Text {
    /// Print the findings and the redacted text as JSON, a line a text; places count characters.
    #[arg(long)]
    json: bool,
    /// Look for these kinds only; without it, for all of them and for secrets. Repeat it.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    detect: Vec<Kind>,
    /// Report findings from this score on, of 1; what is less sure than 0.5 is never redacted.
    #[arg(long, value_name = "SCORE", default_value = "0.5", value_parser = score)]
    min_score: u8,
    /// Stdin holds several texts, each ended by a NUL byte.
    #[arg(long, short = '0')]
    null: bool,
    /// Rules of redaction (YAML); those for every table and column hold.
    #[arg(long, value_name = "FILE", env = "STELLWERK_REDACTION")]
    redaction: Option<PathBuf>,
}

fn kind(name: &str) -> std::result::Result<Kind, String> {
    Kind::of(name).ok_or_else(|| Kind::ALL.map(Kind::name).join(", "))
}

fn score(text: &str) -> std::result::Result<u8, String> {
    let score: f64 = text.parse().map_err(|_| "a score is a number from 0 to 1")?;
    // Between 0 and 100 after the check, so that nothing is cut off.
    if (0.0..=1.0).contains(&score) {
        Ok((score * 100.0).round() as u8)
    } else {
        Err("a score is from 0 to 1".to_owned())
    }
}

impl Redact {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Redact::Text(text) => text.run(),
            Redact::Preview(preview) => preview.run().await,
        }
    }
}

impl Text {
    fn run(self) -> Result<Exit> {
        let redaction = wire::redaction(self.redaction.as_deref())?;
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|e| Error::invalid(format!("read the text from stdin: {e}")))?;
        let input = String::from_utf8_lossy(&bytes);
        let plan = self.plan();
        let mut out = String::new();
        let texts: Vec<&str> = match self.null {
            true => input.strip_suffix('\0').unwrap_or(&input).split('\0').collect(),
            false => vec![&*input],
        };
        for text in texts {
            let clean = redaction.clean(text, &plan, &mut |_, _| ());
            if self.json {
                let findings = self.findings(&redaction, text, &plan);
                out.push_str(&json!({ "redacted": clean, "findings": findings }).to_string());
                out.push('\n');
            } else {
                out.push_str(&clean);
                if self.null {
                    out.push('\0');
                }
            }
        }
        print::text(&out)
    }

    /// Everything is masked, or the wanted kinds alone.
    fn plan(&self) -> Plan {
        if self.detect.is_empty() {
            return Plan::mask();
        }
        Plan::only(self.detect.iter().copied().collect::<Kinds>())
    }

    fn findings(&self, redaction: &Redaction, text: &str, plan: &Plan) -> Vec<serde_json::Value> {
        let mut counted = Characters { text, at: 0, characters: 0 };
        let spotted = redaction.spot(text, plan, self.min_score);
        spotted.iter().map(|spot| finding(spot, counted.before(spot.start), counted.before(spot.end))).collect()
    }
}

fn finding(spot: &Spotted, start: usize, end: usize) -> serde_json::Value {
    let check = spot.check.map(|check| match check {
        Check::Valid => "valid",
        Check::Absent => "none",
        Check::Failed => "failed",
    });
    json!({
        "type": spot.detector,
        "start": start,
        "end": end,
        "score": f64::from(spot.score) / 100.0,
        "check": check,
        "redacted": spot.score >= SURE,
    })
}

/// Counts characters up to places that come in order.
struct Characters<'a> {
    text: &'a str,
    at: usize,
    characters: usize,
}

impl Characters<'_> {
    fn before(&mut self, place: usize) -> usize {
        if place < self.at {
            (self.at, self.characters) = (0, 0);
        }
        self.characters += self.text[self.at..place].chars().count();
        self.at = place;
        self.characters
    }
}
