//! When a rule runs: every so often, by a cron line in a zone, or when a table has new rows. A tick is an instant that
//! follows from the schedule alone, never from when a process was up.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use sha2::{Digest, Sha256};

/// The shortest distance of ticks.
const EVERY_MIN: Duration = Duration::from_secs(1);

/// When a rule runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Timing {
    /// Every so often, counted from 1970 in UTC.
    pub every: Option<Duration>,
    /// By the clock of a zone.
    pub cron: Option<Cron>,
    /// When one of these tables has new rows.
    pub on: Vec<String>,
    /// Rules of one interval are spread over this much of it, by the hash of their name.
    pub spread: Duration,
}

/// A cron line with its zone; what a clock skips or shows twice is decided as Vixie's cron does.
#[derive(Debug, Clone)]
pub struct Cron {
    line: croner::Cron,
    zone: Tz,
    text: String,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Cron {
    /// Reads `0 9 * * 1-5 Europe/Berlin`; without a zone it is UTC. A line that never fires is refused.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_matches('"').trim();
        let words: Vec<&str> = text.split_whitespace().collect();
        let (fields, zone) = match words.split_last() {
            Some((last, fields)) if fields.len() >= 5 && !is_field(last) => (fields.join(" "), *last),
            Some((last, [])) if last.starts_with('@') => ((*last).to_owned(), "UTC"),
            Some((zone, [name])) if name.starts_with('@') => ((*name).to_owned(), *zone),
            _ => (words.join(" "), "UTC"),
        };
        let zone: Tz =
            zone.parse().map_err(|_| format!("there is no time zone {zone}; write one such as Europe/Berlin"))?;
        let line = croner::Cron::from_str(&fields).map_err(|e| format!("`{fields}` is no cron line: {e}"))?;
        let cron = Cron { line, zone, text: text.to_owned() };
        // Far from any real date, so that what is refused does not depend on when it is read.
        let begin = Utc.with_ymd_and_hms(2024, 1, 1, 0, 0, 0).single().expect("a date");
        cron.next(begin).ok_or_else(|| format!("`{text}` never fires"))?;
        Ok(cron)
    }

    fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = self.line.find_next_occurrence(&after.with_timezone(&self.zone), false).ok()?;
        Some(next.with_timezone(&Utc))
    }
}

/// Whether a word is a field of a cron line and no zone.
fn is_field(word: &str) -> bool {
    let names = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
    let upper = word.to_ascii_uppercase();
    word.starts_with(|c: char| c.is_ascii_digit() || c == '*' || c == '?')
        || names.iter().any(|name| upper.starts_with(name))
}

impl Timing {
    /// The first tick after an instant (µs since 1970); `None` where only new rows make the rule run.
    pub fn next(&self, rule: &str, after_us: i64) -> Option<i64> {
        let every = self.every.map(|every| {
            let every = i64::try_from(every.as_micros()).unwrap_or(i64::MAX);
            let shift = self.shift(rule, every);
            ((after_us - shift).div_euclid(every) + 1) * every + shift
        });
        let cron = self.cron.as_ref().and_then(|cron| {
            let shift = self.shift(rule, i64::MAX);
            Some(cron.next(DateTime::from_timestamp_micros(after_us - shift)?)?.timestamp_micros() + shift)
        });
        every.into_iter().chain(cron).min()
    }

    fn shift(&self, rule: &str, within: i64) -> i64 {
        let spread = i64::try_from(self.spread.as_micros()).unwrap_or(i64::MAX).min(within);
        if spread == 0 {
            return 0;
        }
        let hash = Sha256::digest(rule.as_bytes());
        let number = u64::from_be_bytes(hash[..8].try_into().expect("eight bytes"));
        // Whole seconds: ticks stay readable.
        i64::try_from(number % u64::try_from(spread).expect("it is positive")).expect("it is less") / 1_000_000
            * 1_000_000
    }

    /// The distance of two ticks, for how old what a rule reads may be.
    pub fn interval(&self) -> Option<Duration> {
        self.every.or_else(|| {
            let cron = self.cron.as_ref()?;
            let first = cron.next(Utc.with_ymd_and_hms(2024, 1, 1, 0, 0, 0).single()?)?;
            let second = cron.next(first)?;
            (second - first).to_std().ok()
        })
    }

    pub(super) fn set_every(&mut self, text: &str) -> Result<(), String> {
        let every = engine::parse_span(text)?;
        if every < EVERY_MIN {
            return Err(format!("`{text}` is less than a second"));
        }
        self.every = Some(every);
        Ok(())
    }
}

/// What happens when a tick comes while the one before still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// It is left out.
    #[default]
    Skip,
    /// It waits.
    Queue,
    /// Both run.
    Allow,
    /// The older one is cancelled.
    Replace,
}

impl Overlap {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "skip" => Ok(Overlap::Skip),
            "queue" => Ok(Overlap::Queue),
            "allow" => Ok(Overlap::Allow),
            "replace" => Ok(Overlap::Replace),
            _ => Err(format!("`{text}` is no overlap; there are skip, queue, allow, replace")),
        }
    }
}

/// Which of the ticks that nobody was up for are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// None of them.
    None,
    /// The newest.
    One,
    /// Each, in order.
    All,
}

/// Ticks that were missed, and how far back they count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Catchup {
    /// Which of them.
    pub missed: Missed,
    /// Older ones are forgotten.
    pub window: Duration,
}

impl Default for Catchup {
    fn default() -> Self {
        Catchup { missed: Missed::One, window: Duration::from_secs(86_400) }
    }
}

impl Catchup {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (missed, window) = text.split_once(',').unwrap_or((text, ""));
        let missed = match missed.trim() {
            "none" => Missed::None,
            "one" => Missed::One,
            "all" => Missed::All,
            other => return Err(format!("`{other}` is no catchup; there are none, one, all, and a window: `one, 1d`")),
        };
        let window = if window.trim().is_empty() { Catchup::default().window } else { engine::parse_span(window)? };
        Ok(Catchup { missed, window })
    }

    /// Those of the ticks that are run, in order.
    pub fn of(self, missed: &[i64], now_us: i64) -> Vec<i64> {
        let oldest = now_us.saturating_sub(i64::try_from(self.window.as_micros()).unwrap_or(i64::MAX));
        let within = missed.iter().copied().filter(|tick| *tick >= oldest);
        match self.missed {
            Missed::None => Vec::new(),
            Missed::One => within.last().into_iter().collect(),
            Missed::All => within.collect(),
        }
    }
}
