//! Azure DevOps, live: one pass reads what is new since the last, heals what hooks told in part or not at all, and notes
//! what is gone. Cursors travel in the frames of the rows that they stand for, so a pass may end anywhere and begin again.

mod book;
pub(crate) mod code;
mod cursor;
mod item;
mod people;
pub(crate) mod pipeline;
mod quality;
mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::{Error, Kind, Result, Scope, Store};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cells::{path, text};
use super::client::{Client, Credential, Hosts, Time, Traffic, WallTime};
use super::origin::Origin;
use book::Book;
pub use cursor::ADO_CURSOR;

/// How far back the first pass reads what has no end: builds, tests, audit.
const SINCE_DAYS_DEFAULT: u32 = 365;
/// How long between two passes that follow.
const EVERY_DEFAULT: Duration = Duration::from_secs(60);
/// How long a follower waits after a pass that failed.
const AFTER_FAILURE_US: i64 = 30_000_000;
/// Notes of one pass.
const NOTES_MAX: usize = 50;

/// What to read, as the command line says it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Wish {
    /// Address of the organization.
    pub organization: String,
    /// How to sign in (`pat:env:NAME` …).
    pub auth: String,
    /// Names of projects; none means all.
    #[serde(default)]
    pub projects: Vec<String>,
    /// Other addresses of hosts (`graph=URL`).
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Tenant of the rows.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Go on after the first pass.
    #[serde(default)]
    pub follow: bool,
    /// Seconds between two passes.
    #[serde(default)]
    pub every_s: Option<u64>,
    /// Days back that the first pass reads.
    #[serde(default)]
    pub since_days: Option<u32>,
}

/// What became of one stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Resources read.
    pub read: u64,
    /// Rows that were new or different.
    pub changed: u64,
    /// Rows whose resource is gone.
    pub gone: u64,
}

/// What one pass did.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// By stream (`pull_requests`, `builds` …).
    pub streams: BTreeMap<String, Count>,
    /// Resources that did not become rows; they lie in `reject`.
    pub rejected: u64,
    /// What a person should know: streams that the credential may not read.
    pub notes: Vec<String>,
    /// Requests and waits.
    pub traffic: Traffic,
}

impl Outcome {
    /// All streams together.
    pub fn total(&self) -> Count {
        self.streams.values().fold(Count::default(), |sum, one| Count {
            read: sum.read + one.read,
            changed: sum.changed + one.changed,
            gone: sum.gone + one.gone,
        })
    }
}

/// Told how far a pass is.
pub trait Watch: Send + Sync {
    /// A stream (of a project) was read to its end.
    fn stream(&self, name: &str, project: Option<&str>, count: Count);
    /// A pass ended.
    fn pass(&self, outcome: &Outcome);
    /// A pass failed and will be tried again.
    fn failed(&self, error: &Error);
}

/// Tells nobody.
#[derive(Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn stream(&self, _: &str, _: Option<&str>, _: Count) {}
    fn pass(&self, _: &Outcome) {}
    fn failed(&self, _: &Error) {}
}

/// One organization being read.
pub struct Live {
    client: Client,
    wish: Wish,
    book: Book,
}

/// A project, as passes need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Project {
    id: String,
    name: String,
}

impl Live {
    /// For a wish, with the machine's time.
    pub fn open(store: Arc<Store>, scope: &Scope, wish: Wish) -> Result<Live> {
        Live::with_time(store, scope, wish, Arc::new(WallTime))
    }

    /// For a wish, with this time.
    pub fn with_time(store: Arc<Store>, scope: &Scope, wish: Wish, time: Arc<dyn Time>) -> Result<Live> {
        let hosts = wish.hosts.iter().try_fold(Hosts::of(&wish.organization)?, |hosts, named| hosts.with(named))?;
        let credential: Credential = wish.auth.parse()?;
        let named =
            crate::files::tenant(scope, &crate::FileOptions { tenant: wish.tenant.clone(), ..Default::default() })?;
        let tenant = scope.owner(named.as_deref()).to_owned();
        let client = Client::new(hosts, credential, time)?;
        let book = Book::new(store, scope.clone(), tenant, client.organization().to_owned());
        Ok(Live { client, wish, book })
    }

    /// The client, with its figures.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// One pass, or passes without end. A follower goes on after a failure: a token may be renewed, a source come back.
    pub async fn run(&self, watch: &dyn Watch) -> Result<Outcome> {
        if !self.wish.follow {
            return self.pass(watch).await;
        }
        let every = Duration::from_secs(self.wish.every_s.unwrap_or(EVERY_DEFAULT.as_secs()));
        let every_us = i64::try_from(every.as_micros()).unwrap_or(i64::MAX);
        let time = Arc::clone(self.client.time());
        loop {
            let began_us = time.now_us();
            match self.pass(watch).await {
                Ok(_) => time.sleep_until(began_us + every_us).await,
                Err(error) if error.kind() == Kind::Invalid => return Err(error),
                Err(error) => {
                    watch.failed(&error);
                    time.sleep_until(time.now_us() + AFTER_FAILURE_US).await;
                }
            }
        }
    }

    /// Reads everything once.
    pub async fn pass(&self, watch: &dyn Watch) -> Result<Outcome> {
        let pass = Pass {
            client: &self.client,
            book: &self.book,
            watch,
            since_days: self.wish.since_days.unwrap_or(SINCE_DAYS_DEFAULT),
            outcome: Mutex::default(),
        };
        self.book.begin();
        let projects = pass.projects(&self.wish.projects).await?;
        for project in &projects {
            pass.repositories(project).await?;
            pass.pull_requests(project).await?;
            pass.builds(project).await?;
            pass.waits(project).await?;
            pass.queues(project).await?;
            pass.tests(project).await?;
            pass.releases(project).await?;
        }
        pass.work_items(&projects, self.wish.projects.is_empty()).await?;
        pass.endpoints(&projects, self.wish.projects.is_empty()).await?;
        pass.agents().await?;
        pass.people().await?;
        pass.subscriptions().await?;
        pass.audit().await?;
        let mut outcome = pass.outcome.into_inner();
        outcome.traffic = self.client.traffic();
        watch.pass(&outcome);
        Ok(outcome)
    }
}

/// One pass on its way.
pub(crate) struct Pass<'a> {
    client: &'a Client,
    book: &'a Book,
    watch: &'a dyn Watch,
    since_days: u32,
    outcome: Mutex<Outcome>,
}

impl Pass<'_> {
    /// Where rows stand that were asked for at this time.
    fn origin(&self, project: Option<&Project>, asked_us: i64) -> Origin {
        let origin = self.book.origin(asked_us);
        project.map_or(origin.clone(), |p| origin.of_project(Some(p.id.clone()), Some(p.name.clone())))
    }

    /// The earliest time that the first pass looks back to, as the interface writes times.
    fn since_us(&self) -> i64 {
        self.client.time().now_us() - i64::from(self.since_days) * 86_400_000_000
    }

    fn count(&self, stream: &str, project: Option<&Project>, count: Count) {
        {
            let mut outcome = self.outcome.lock();
            let sum = outcome.streams.entry(stream.to_owned()).or_default();
            *sum = Count {
                read: sum.read + count.read,
                changed: sum.changed + count.changed,
                gone: sum.gone + count.gone,
            };
        }
        self.watch.stream(stream, project.map(|p| p.name.as_str()), count);
    }

    fn note(&self, note: String) {
        let mut outcome = self.outcome.lock();
        if outcome.notes.len() < NOTES_MAX && !outcome.notes.contains(&note) {
            outcome.notes.push(note);
        }
    }

    fn rejected(&self, count: u64) {
        self.outcome.lock().rejected += count;
    }
}

/// RFC 3339, as parameters want it.
pub(crate) fn rfc3339(at_us: i64) -> String {
    let at = chrono::DateTime::from_timestamp_micros(at_us).unwrap_or_default();
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// A text of a resource.
pub(crate) fn word(resource: &Value, names: &[&str]) -> Option<String> {
    path(resource, names).and_then(text)
}
