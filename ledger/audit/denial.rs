//! Denials, sampled: a caller who is refused a thousand times a second must not fill the log, and must not be able to hide
//! in it. The first few of a window are rows of their own, the rest is one row that says exactly how many they were.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::entry::Entry;

/// How long denials of a kind are counted together.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Denials of a window that are rows of their own.
pub const SAMPLED_MAX: u32 = 5;
/// Kinds of denials that are counted apart; what comes beyond is counted together.
const KINDS_MAX: usize = 512;

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    tenant: Option<String>,
    actor: String,
    action: &'static str,
    reason: Option<String>,
}

#[derive(Debug)]
struct Window {
    began_us: i64,
    last_us: i64,
    /// The first one, as the form of the row that counts the others.
    form: Entry,
    sampled: u32,
    more: i64,
}

/// The windows that are open.
#[derive(Debug, Default)]
pub(super) struct Denials {
    open: Mutex<HashMap<Kind, Window>>,
}

impl Denials {
    /// Notes a denial; answers what is to be written now: itself, and windows that have ended.
    pub fn note(&self, entry: Entry, now_us: i64) -> Vec<Entry> {
        let mut write = self.ended(now_us);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kind = Kind {
            tenant: entry.tenant.clone(),
            actor: entry.actor.clone(),
            action: entry.action,
            reason: entry.reason.clone(),
        };
        if open.len() >= KINDS_MAX && !open.contains_key(&kind) {
            kind = Kind { tenant: None, actor: "many".to_owned(), action: "denials", reason: None };
        }
        let window = open.entry(kind.clone()).or_insert_with(|| {
            let form = Entry { tenant: kind.tenant, actor: kind.actor, action: kind.action, ..entry.clone() };
            Window { began_us: now_us, last_us: now_us, form, sampled: 0, more: 0 }
        });
        window.last_us = now_us;
        if window.sampled < SAMPLED_MAX {
            window.sampled += 1;
            write.push(entry);
        } else {
            window.more += 1;
        }
        write
    }

    /// The counts of windows that have ended by now.
    pub fn ended(&self, now_us: i64) -> Vec<Entry> {
        let oldest_us = now_us.saturating_sub(WINDOW.as_micros() as i64);
        // A window from the future means that the clock was set back: it ends, too.
        self.take(|window| window.began_us <= oldest_us || window.began_us > now_us)
    }

    /// The counts of every window.
    pub fn all(&self) -> Vec<Entry> {
        self.take(|_| true)
    }

    fn take(&self, over: impl Fn(&Window) -> bool) -> Vec<Entry> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = Vec::new();
        open.retain(|_, window| {
            let over = over(window);
            if over && window.more > 0 {
                counts.push(window.count());
            }
            !over
        });
        counts
    }
}

impl Window {
    fn count(&self) -> Entry {
        let detail = serde_json::json!({
            "sampled": self.sampled, "from_us": self.began_us, "to_us": self.last_us, "first_subject": self.form.subject,
        });
        Entry { subject: "many".to_owned(), on_behalf_of: None, trace_id: None, ..self.form.clone() }
            .with(detail)
            .counted(self.more)
    }
}

#[cfg(test)]
mod tests {
    use engine::Scope;

    use super::super::entry::Outcome;
    use super::*;

    fn denial(n: usize) -> Entry {
        let scope = Scope::tenant("acme", if n.is_multiple_of(2) { "even" } else { "odd" });
        Entry::new(&scope, "sql.ask", format!("q{n}")).because("no scope read").ended(Outcome::Denied)
    }

    #[test]
    fn the_sum_of_occurrences_is_exact() {
        let denials = Denials::default();
        let mut written = Vec::new();
        for n in 0..1_000 {
            // Ten a second: windows end on the way.
            written.extend(denials.note(denial(n), n as i64 * 100_000));
        }
        written.extend(denials.all());
        for (actor, wanted) in [("even", 500), ("odd", 500)] {
            let rows = written.iter().filter(|entry| entry.actor == actor);
            assert_eq!(rows.map(|entry| entry.occurrences).sum::<i64>(), wanted);
        }
        assert!(written.len() < 2 * 3 * (SAMPLED_MAX as usize + 1), "{}", written.len());
        assert!(denials.all().is_empty());
    }

    #[test]
    fn invented_names_do_not_grow_without_bound() {
        let denials = Denials::default();
        let entry = |n| Entry::new(&Scope::tenant("t", &format!("caller-{n}")), "key.use", "k").ended(Outcome::Denied);
        let mut sum: i64 = (0..4_000).flat_map(|n| denials.note(entry(n), 0)).map(|e| e.occurrences).sum();
        assert!(denials.open.lock().expect("whole").len() <= KINDS_MAX + 1);
        sum += denials.all().iter().map(|entry| entry.occurrences).sum::<i64>();
        assert_eq!(sum, 4_000);
    }
}
