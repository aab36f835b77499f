#![allow(clippy::unwrap_used)]

//! Budgets over a real SQLite file: what nodes do at once, what a crash leaves, and what the books say afterwards. The same
//! rules on PostgreSQL, and over the real binary, stand in the end-to-end tests.

mod bill;
mod model;
mod scenes;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use engine::{Clock, Settings, State as StateDatabase};
use serde_json::json;

use super::*;

/// A clock that is turned by hand.
#[derive(Debug)]
struct TestClock(AtomicI64);

/// The 2nd of November 2026, noon UTC: a Monday.
const NOON_US: i64 = 1_793_620_800_000_000;
const SECOND_US: i64 = 1_000_000;

impl TestClock {
    fn advance(&self, us: i64) {
        self.0.fetch_add(us, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A state database that nodes share.
struct Ground {
    state: Arc<StateDatabase>,
    clock: Arc<TestClock>,
    starts: std::cell::Cell<u32>,
    _folder: tempfile::TempDir,
}

impl Ground {
    async fn new() -> Ground {
        let folder = tempfile::tempdir().unwrap();
        let state = Arc::new(StateDatabase::open(&Settings::new(folder.path())).await.unwrap());
        let clock = Arc::new(TestClock(AtomicI64::new(NOON_US)));
        Ground { state, clock, starts: std::cell::Cell::new(0), _folder: folder }
    }

    /// A start of the node whose data directory is `home`.
    async fn node(&self, home: &str, sole: bool) -> Arc<Budgets> {
        self.starts.set(self.starts.get() + 1);
        let options = Options::new(&format!("{home}-{}", self.starts.get()), home, sole);
        Budgets::open(Arc::clone(&self.state), self.clock.clone(), options).await.unwrap()
    }

    async fn apply(&self, budgets: &Budgets, text: &str) -> Vec<Change> {
        let author = Author { name: "tester".to_owned(), tenant: None };
        budgets.apply(text, &author, false).await.unwrap()
    }

    /// One number of the state database.
    async fn number(&self, sql: &'static str) -> i64 {
        self.state.fetch(sql, &[]).await.unwrap()[0].get("n").unwrap()
    }

    /// How the books must be at any time, whatever happened: nodes together have what the windows say, open reservations
    /// hold what is reserved, and no hard budget has given away more than it has and what calls took beyond their word.
    async fn check_books(&self) {
        let torn = "SELECT COUNT(*) AS n FROM budget_window w WHERE w.granted_units <> (SELECT COALESCE(SUM(s.granted_units), 0)
            FROM budget_slice s WHERE s.budget_id = w.budget_id AND s.starts_at = w.starts_at) OR w.reserved_units < 0 OR w.granted_units < 0 OR w.spent_units < 0";
        assert_eq!(self.number(torn).await, 0, "slices and windows agree");
        let over = "SELECT COUNT(*) AS n FROM budget_window a JOIN budget b ON b.id = a.budget_id WHERE b.kind = 'hard' AND
            (SELECT SUM(w.spent_units + w.granted_units - w.overrun_units) FROM budget_window w WHERE w.budget_id = a.budget_id
             AND (w.starts_at = a.starts_at OR (b.span = 'rolling' AND w.starts_at <= a.starts_at AND w.ends_at > a.starts_at))) > b.limit_units";
        assert_eq!(self.number(over).await, 0, "spent and granted stay within the limit");
        let unheld = "SELECT COUNT(*) AS n FROM budget_window w JOIN budget b ON b.id = w.budget_id
            WHERE b.kind = 'hard' AND w.reserved_units > w.granted_units";
        assert_eq!(self.number(unheld).await, 0, "what is reserved is granted");
    }
}

fn request(id: &str, app: &str, usd: &str) -> Request {
    let object = json!({"x_app": app});
    let attributes = Attributes::parse(object.as_object().unwrap()).unwrap();
    Request::new("acme", id, attributes, Amounts::parse([("USD", usd)]).unwrap()).unwrap()
}

fn key(id: &str) -> Key {
    ("acme".into(), id.into())
}

fn usd(text: &str) -> Amounts {
    Amounts::parse([("USD", text)]).unwrap()
}

/// One budget of a tenant.
fn budget(name: &str, limit: &str, more: &str) -> String {
    format!("{{name: {name}, tenant: acme, unit: USD, limit: \"{limit}\", {more}}}")
}

fn refusal(verdict: Verdict) -> Refusal {
    match verdict {
        Verdict::Refused(refusal) => refusal,
        other => panic!("refused: {other:?}"),
    }
}

fn is_allowed(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Allowed(_))
}
