//! A store of things with parts, whose history says what changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use engine::{Catalogue, Clock, Column, Frame, NoRedaction, Ports, Rows, Scope, Settings, Store, Table, Type, Value};

use crate::evaluate::table;
use crate::score::{self, Book, Scorecard, Stored, Which};

pub const CARD: &str = "
name: things
title: Things
owner: test
levels: [none, some, all]
entity: {kind: thing, sql: 'SELECT tenant, name AS entity, kind FROM thing'}
checks:
- id: ok
  level: some
  title: It is well
  sql: SELECT tenant, name AS entity, ok AS passed, kind AS evidence FROM thing
  changed: &things SELECT DISTINCT name AS entity FROM thing_history WHERE _seq >= $since
- id: seen
  level: some
  title: It was well within the hour
  weight: 3
  max_age: 1h
  filter: kind = 'a'
  sql: SELECT tenant, name AS entity, ok AS passed, seen_at AS observed_at FROM thing
  changed: *things
- id: part
  level: all
  title: Its parts are well
  sql: SELECT tenant, thing AS entity, bool_and(ok) AS passed, count(*) AS evidence FROM part GROUP BY tenant, thing
  changed: SELECT DISTINCT thing AS entity FROM part_history WHERE _seq >= $since
";

pub fn card() -> Scorecard {
    Scorecard::parse(CARD).unwrap()
}

static THING: Table = Table {
    key: &["name"],
    time: "ingested_at",
    ..Table::new(
        "thing",
        "Things.",
        &[
            Column::new("tenant", Type::Name, "Tenant.").required(),
            Column::new("name", Type::Text, "Name.").required(),
            Column::new("ok", Type::Bool, "Whether it is well."),
            Column::new("kind", Type::Text, "What it is."),
            Column::new("seen_at", Type::Time, "When that was seen."),
        ],
    )
};

static PART: Table = Table {
    key: &["thing", "part"],
    time: "ingested_at",
    ..Table::new(
        "part",
        "Parts of things.",
        &[
            Column::new("tenant", Type::Name, "Tenant.").required(),
            Column::new("thing", Type::Text, "The thing.").required(),
            Column::new("part", Type::Text, "The part.").required(),
            Column::new("ok", Type::Bool, "Whether it is well."),
        ],
    )
};

static THING_HISTORY: Table = Table {
    time: "ingested_at",
    ..Table::new(
        "thing_history",
        "Things that changed.",
        &[Column::new("tenant", Type::Name, "Tenant.").required(), Column::new("name", Type::Text, "Name.").required()],
    )
};

static PART_HISTORY: Table = Table {
    time: "ingested_at",
    ..Table::new(
        "part_history",
        "Parts that changed.",
        &[
            Column::new("tenant", Type::Name, "Tenant.").required(),
            Column::new("thing", Type::Text, "The thing.").required(),
        ],
    )
};

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Thing { name: u8, ok: Option<bool>, is_a: bool, age_minutes: i64 },
    Part { name: u8, part: u8, ok: bool },
    DropThing { name: u8 },
    DropPart { name: u8, part: u8 },
    Wait(i64),
    Evaluate,
}

#[derive(Debug)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

pub struct Ground {
    pub store: Arc<Store>,
    clock: Arc<Hand>,
    _folder: tempfile::TempDir,
}

impl Ground {
    pub async fn open() -> Ground {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hand(AtomicI64::new(chrono::Utc::now().timestamp_micros())));
        let catalogue = Catalogue {
            tables: vec![&THING, &PART, &THING_HISTORY, &PART_HISTORY],
            views: score::VIEWS.to_vec(),
            state_tables: score::STATE_TABLES.to_vec(),
            ..Catalogue::default()
        };
        let ports = Ports { clock: clock.clone(), redactor: Arc::new(NoRedaction) };
        let store = Store::open(Settings::new(folder.path()), catalogue, ports).await.unwrap();
        Ground { store, clock, _folder: folder }
    }

    pub fn scope(&self) -> Scope {
        Scope::platform("test")
    }

    pub fn now(&self) -> i64 {
        self.clock.now_us()
    }

    pub async fn stored(&self) -> Stored {
        Book::new(self.store.state().clone()).stored("things").await.unwrap()
    }

    /// Cells of a question as text; null is a hyphen.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let (schema, rows) = table(&self.store, &self.scope(), sql, self.now()).await.unwrap();
        let cell = |value: &serde_json::Value| match value {
            serde_json::Value::Null => "-".to_owned(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        rows.iter().map(|row| schema.fields().iter().map(|field| cell(&row[field.name()])).collect()).collect()
    }

    pub async fn does(&self, step: &Step) {
        // A tick later than whatever was before.
        self.clock.0.fetch_add(1_000_000, Ordering::SeqCst);
        match step {
            Step::Thing { name, ok, is_a, age_minutes } => {
                let seen = self.now() - age_minutes * 60_000_000;
                let mut rows = Rows::new(&THING);
                rows.set("tenant", "t").set("name", format!("n{name}")).set("ok", *ok);
                rows.set("kind", if *is_a { "a" } else { "b" }).set("seen_at", Value::Time(seen));
                rows.end_row().unwrap();
                self.append(rows, thing_changed(*name)).await;
            }
            Step::DropThing { name } => {
                let mut rows = Rows::new(&THING);
                rows.set("tenant", "t").set("name", format!("n{name}"));
                rows.end_delete().unwrap();
                self.append(rows, thing_changed(*name)).await;
            }
            Step::Part { name, part, ok } => {
                let mut rows = Rows::new(&PART);
                rows.set("tenant", "t").set("thing", format!("n{name}")).set("part", format!("p{part}")).set("ok", *ok);
                rows.end_row().unwrap();
                self.append(rows, part_changed(*name)).await;
            }
            Step::DropPart { name, part } => {
                let mut rows = Rows::new(&PART);
                rows.set("tenant", "t").set("thing", format!("n{name}")).set("part", format!("p{part}"));
                rows.end_delete().unwrap();
                self.append(rows, part_changed(*name)).await;
            }
            Step::Wait(minutes) => {
                self.clock.0.fetch_add(minutes * 60_000_000, Ordering::SeqCst);
            }
            Step::Evaluate => {
                score::run(&self.store, &self.scope(), &card(), false).await.unwrap();
            }
        }
    }

    async fn append(&self, mut rows: Rows, mut history: Rows) {
        let mut frame = Frame::new("test");
        frame.push_rows(&mut rows);
        frame.push_rows(&mut history);
        self.store.append(frame).await.unwrap();
    }

    /// What is stored is what looking at everything finds now.
    pub async fn is_whole(&self, steps: &[Step]) {
        let stored = self.stored().await;
        let tick = stored.last_tick.unwrap();
        let full = score::evaluate(&self.store, &self.scope(), &card(), tick, Which::All).await.unwrap();
        let kept: Vec<_> =
            stored.results.iter().map(|(at, kept)| (at, kept.outcome, &kept.evidence, kept.observed_us)).collect();
        let found: Vec<_> =
            full.results.iter().map(|(at, found)| (at, found.outcome, &found.evidence, found.observed_us)).collect();
        assert_eq!(kept, found, "{steps:?}");
        assert!(stored.entities.keys().eq(full.entities.keys()), "{steps:?}");
        let live = self.rows("SELECT s.level, e.level FROM score s JOIN score_entity e ON e.entity = s.entity AND e.tenant = s.tenant").await;
        assert!(live.iter().all(|row| row[0] == row[1]), "{live:?} {steps:?}");
    }
}

fn thing_changed(name: u8) -> Rows {
    let mut rows = Rows::new(&THING_HISTORY);
    rows.set("tenant", "t").set("name", format!("n{name}"));
    rows.end_row().unwrap();
    rows
}

fn part_changed(name: u8) -> Rows {
    let mut rows = Rows::new(&PART_HISTORY);
    rows.set("tenant", "t").set("thing", format!("n{name}"));
    rows.end_row().unwrap();
    rows
}
