//! The front matter of a rule, field by field.

use std::time::Duration;

use engine::parse_span;

use super::Fault;
use super::call::Call;
use super::field::Field;
use super::fresh::Fresh;
use super::timing::{Catchup, Cron, Overlap, Timing};
use crate::rows::Transition;

/// Everything that a rule says besides its SELECT.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Header {
    /// Who answers for it.
    pub owner: String,
    /// Why it exists.
    pub why: Option<String>,
    /// When it runs.
    pub timing: Timing,
    /// The columns that say which row is which.
    pub key: Vec<String>,
    /// A row is changed when one of these is.
    pub watch: Vec<String>,
    /// A row must stay this long before it is new.
    pub hold: Duration,
    /// A row must be gone this long before it is resolved.
    pub keep: Duration,
    /// What the first run does with what it finds.
    pub start: Start,
    /// More new rows than this hold the run.
    pub limit: Option<Limit>,
    /// Actions in a span of time; more wait.
    pub rate: Option<Rate>,
    /// Which rows of a run are one message.
    pub group: Option<Group>,
    /// What happens when runs overlap.
    pub overlap: Overlap,
    /// What happens with missed ticks.
    pub catchup: Catchup,
    /// What is done with a new row.
    pub new: Vec<Call>,
    /// What is done with a changed row.
    pub changed: Vec<Call>,
    /// What is done when a row is gone.
    pub resolved: Vec<Call>,
    /// Tables that must have been written lately, or a run changes nothing.
    pub fresh: Vec<Fresh>,
    /// Who must agree first.
    pub approve: Option<Approval>,
    /// How urgent its actions are; lower ones run first.
    pub priority: Option<i64>,
    /// Where each field stands in the file.
    lines: Vec<(String, usize)>,
}

/// What the first run of a rule does with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// What is there already is taken as known.
    Baseline,
    /// It is new.
    #[default]
    Fire,
}

/// How many rows may become new in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// So many rows.
    pub rows: Option<usize>,
    /// So many percent of the rows that are tracked.
    pub percent: Option<usize>,
}

impl Limit {
    /// Whether so many new rows beside so many tracked ones are too many. Both bounds must be broken where both are given:
    /// a share of few rows says little.
    pub fn broken(self, new: usize, tracked: usize) -> bool {
        let rows = self.rows.map(|rows| new > rows);
        let percent = self.percent.map(|percent| new * 100 > tracked * percent);
        match (rows, percent) {
            (Some(rows), Some(percent)) => rows && percent,
            (rows, percent) => rows.or(percent).unwrap_or(false),
        }
    }
}

/// So many actions in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which time.
    pub per: Duration,
}

/// Rows of a run that are one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Columns whose cells they have in common; without any, all rows of the run.
    pub by: Vec<String>,
    /// Rows that the message shows; it counts the others.
    pub most: usize,
}

/// Who must agree before a rule's actions are done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The group whose members vote.
    pub group: String,
    /// How many of them.
    pub quorum: u32,
    /// No answer until then is a no.
    pub deadline: Duration,
}

/// Every field with its sentence, for errors and help.
pub const FIELDS: &[(&str, &str)] = &[
    ("owner", "who answers for the rule (required)"),
    ("why", "why it exists"),
    ("every", "how often it runs: 30s, 5m, 1h"),
    ("cron", "when it runs: 0 9 * * 1-5 Europe/Berlin"),
    ("on", "tables whose new rows make it run: [cost_line]"),
    ("spread", "how far rules of one interval are spread: 1m"),
    ("key", "columns that say which row is which: [tenant, budget] (required)"),
    ("watch", "columns whose change makes a row changed: [level]"),
    ("for", "how long a row must be there before it is new: 10m"),
    ("keep", "how long a row must be gone before it is resolved: 10m"),
    ("start", "baseline or fire: what the first run does with what is there"),
    ("limit", "more new rows than this hold the run: 50, 20%"),
    ("rate", "actions in a span of time, more wait: 10/1m"),
    ("group", "rows of a run that are one message, and how many it shows: 20, or [namespace], 20"),
    ("overlap", "skip, queue, allow or replace"),
    ("catchup", "none, one or all of the missed ticks, and a window: one, 1d"),
    ("fresh", "tables that must have been written lately, or the run changes nothing: k8s_watch 15m, cost_run 2d"),
    ("new", "what is done with a new row: notify(\"team\", \"{name} is new\")"),
    ("changed", "what is done with a changed row"),
    ("resolved", "what is done when a row is gone"),
    ("priority", "how urgent its actions are, 100 unless it is said; lower ones run first: 10"),
    ("approve", "who must agree first: GROUP QUORUM DEADLINE, such as platform-leads 1 24h"),
];

impl Header {
    /// Reads the fields; everything that is wrong comes back at once.
    pub(super) fn of(fields: &[Field]) -> Result<Header, Vec<Fault>> {
        let mut header = Header::default();
        let mut faults = Vec::new();
        for (at, field) in fields.iter().enumerate() {
            let twice = fields[..at].iter().any(|earlier| earlier.name == field.name);
            let outcome = match twice {
                true => Err(format!("`{}` stands twice", field.name)),
                false => header.set(&field.name, &field.value),
            };
            faults.extend(outcome.err().map(|what| Fault::at(field.line, what)));
            header.lines.push((field.name.clone(), field.line));
        }
        let end = fields.last().map_or(1, |field| field.line);
        let mut missing = |is_missing: bool, what: &str| {
            if is_missing {
                faults.push(Fault::at(end, what));
            }
        };
        let has = |name: &str| fields.iter().any(|field| field.name == name);
        missing(!has("owner"), "`owner` is missing: who answers for the rule");
        missing(!has("key"), "`key` is missing: the columns that say which row is which");
        let timed = has("every") || has("cron") || has("on");
        missing(!timed, "`every`, `cron` or `on` is missing: when the rule runs");
        let watches = header.watch.is_empty() && !header.changed.is_empty();
        missing(watches, "`changed` needs `watch`: the columns whose change counts");
        if faults.is_empty() { Ok(header) } else { Err(faults) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "owner" => self.owner = filled(name, value)?,
            "why" => self.why = Some(filled(name, value)?),
            "every" => self.timing.set_every(value)?,
            "cron" => self.timing.cron = Some(Cron::parse(value)?),
            "on" => self.timing.on = names(value)?,
            "spread" => self.timing.spread = parse_span(value)?,
            "key" => self.key = names(value)?,
            "watch" => self.watch = names(value)?,
            "for" => self.hold = parse_span(value)?,
            "keep" => self.keep = parse_span(value)?,
            "start" => self.start = start(value)?,
            "limit" => self.limit = Some(limit(value)?),
            "rate" => self.rate = Some(rate(value)?),
            "group" => self.group = Some(group(value)?),
            "overlap" => self.overlap = Overlap::parse(value)?,
            "catchup" => self.catchup = Catchup::parse(value)?,
            "fresh" => self.fresh = Fresh::parse_all(value)?,
            "new" => self.new = calls(value)?,
            "changed" => self.changed = calls(value)?,
            "resolved" => self.resolved = calls(value)?,
            "approve" => self.approve = Some(approval(value)?),
            "priority" => self.priority = Some(priority(value)?),
            _ => {
                let known: Vec<_> = FIELDS.iter().map(|(name, _)| *name).collect();
                return Err(format!("`{name}` is no field; there are {}", known.join(", ")));
            }
        }
        Ok(())
    }

    /// The line of a field in the file; of one that is not there, the first.
    pub fn line(&self, name: &str) -> usize {
        self.lines.iter().find(|(field, _)| field == name).map_or(1, |(_, line)| *line)
    }

    /// The actions of a transition.
    pub fn on(&self, transition: Transition) -> &[Call] {
        match transition {
            Transition::New => &self.new,
            Transition::Changed => &self.changed,
            Transition::Resolved => &self.resolved,
        }
    }

    /// The actions of each transition.
    pub fn calls(&self) -> impl Iterator<Item = (Transition, &Call)> {
        Transition::ALL
            .into_iter()
            .flat_map(|transition| self.on(transition).iter().map(move |call| (transition, call)))
    }
}

fn filled(name: &str, value: &str) -> Result<String, String> {
    if value.is_empty() { Err(format!("`{name}` says nothing")) } else { Ok(value.to_owned()) }
}

fn calls(value: &str) -> Result<Vec<Call>, String> {
    if value == "none" { Ok(Vec::new()) } else { Call::parse_all(value) }
}

/// `[a, b]`, or one name alone.
fn names(value: &str) -> Result<Vec<String>, String> {
    let inner = value.strip_prefix('[').map_or(Some(value), |inner| inner.strip_suffix(']'));
    let inner = inner.ok_or_else(|| format!("`{value}` is not closed by `]`"))?;
    let names: Vec<String> = inner.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect();
    if names.iter().any(String::is_empty) {
        return Err(format!("`{value}` is no list of names: write [a, b]"));
    }
    if let Some((at, name)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(format!("`{name}` stands twice, at place {}", at + 1));
    }
    Ok(names)
}

fn start(value: &str) -> Result<Start, String> {
    match value {
        "baseline" => Ok(Start::Baseline),
        "fire" => Ok(Start::Fire),
        _ => Err(format!("`{value}` is no start; there are baseline and fire")),
    }
}

fn limit(value: &str) -> Result<Limit, String> {
    let wrong = || format!("`{value}` is no limit: write 50, 20% or 50, 20%");
    let mut limit = Limit { rows: None, percent: None };
    for part in value.split(',').map(str::trim) {
        let (place, number) = match part.strip_suffix('%') {
            Some(number) => (&mut limit.percent, number),
            None => (&mut limit.rows, part),
        };
        let number = number.trim().parse().map_err(|_| wrong())?;
        if place.replace(number).is_some() {
            return Err(wrong());
        }
    }
    Ok(limit)
}

fn rate(value: &str) -> Result<Rate, String> {
    let wrong = || format!("`{value}` is no rate: write 10/1m");
    let (count, per) = value.split_once('/').ok_or_else(wrong)?;
    let count: u32 = count.trim().parse().map_err(|_| wrong())?;
    let per = parse_span(per)?;
    if count == 0 || per.is_zero() { Err(wrong()) } else { Ok(Rate { count, per }) }
}

fn priority(value: &str) -> Result<i64, String> {
    let number = value.parse().ok().filter(|number| (0..=1_000).contains(number));
    number.ok_or_else(|| format!("`{value}` is no priority: write a number from 0 (first) to 1000 (last)"))
}

fn group(value: &str) -> Result<Group, String> {
    let most_max = crate::actions::ROWS_SHOWN_MAX;
    let wrong = || format!("`{value}` is no group: write 20 or [namespace], 20, with a number up to {most_max}");
    let (by, most) = match value.rsplit_once(']') {
        Some((by, most)) => (names(&format!("{by}]"))?, most.trim().strip_prefix(',').ok_or_else(wrong)?),
        None => (Vec::new(), value),
    };
    let most = most.trim().parse().map_err(|_| wrong())?;
    if (1..=most_max).contains(&most) { Ok(Group { by, most }) } else { Err(wrong()) }
}

fn approval(value: &str) -> Result<Approval, String> {
    let wrong = || format!("`{value}` is no approval: write GROUP QUORUM DEADLINE, such as platform-leads 1 24h");
    let words: Vec<_> = value.split_whitespace().collect();
    let [group, quorum, deadline] = words.as_slice() else { return Err(wrong()) };
    let quorum: u32 = quorum.parse().map_err(|_| wrong())?;
    let deadline = parse_span(deadline)?;
    if quorum == 0 || deadline.is_zero() {
        return Err(wrong());
    }
    Ok(Approval { group: (*group).to_owned(), quorum, deadline })
}
