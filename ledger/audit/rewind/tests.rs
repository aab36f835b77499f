//! The log cut back to every moment that it had, on both databases.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use engine::backup::Summary;
use engine::{NoRedaction, Scope, Settings};

use super::super::append::{Head, head};
use super::super::proof::prove_consistency;
use super::super::retire;
use super::super::tests::ground::{Hand, Postgres};
use super::super::verify::verify;
use super::super::{Audit, Entry};
use super::*;
use crate::directory::OsDice;

fn summary(id: &str) -> Summary {
    Summary {
        id: id.to_owned(),
        at: String::new(),
        seq: 1,
        rows: 0,
        state_rows: 0,
        files: 0,
        size_bytes: 0,
        new_bytes: None,
    }
}

fn moment(state_us: i64, to_us: i64) -> Moment {
    Moment { to_us, facts: summary("later"), state: summary("earlier"), state_us, log_rows: None }
}

/// Groups of rows that cross two segments, and the head behind each.
async fn fill(state: &Arc<State>, hand: &Arc<Hand>) -> Vec<(i64, Head)> {
    let audit = Audit::start(state.clone(), hand.clone(), Arc::new(OsDice), Arc::new(NoRedaction)).await.unwrap();
    let mut marks = vec![(hand.now_us() - 1, head(state).await.unwrap())];
    for rows in [1, 5, 4_089, 1, 1, 4_095, 3] {
        let mut transaction = state.transaction().await.unwrap();
        let entry = |n: usize| {
            let action = if n.is_multiple_of(2) { "commit" } else { "key.create" };
            Entry::new(&Scope::platform("ana"), action, n.to_string())
        };
        audit.record_in(&mut transaction, (0..rows).map(entry).collect()).await.unwrap();
        transaction.commit().await.unwrap();
        marks.push((hand.now_us(), head(state).await.unwrap()));
        hand.turn(Duration::from_secs(1));
    }
    audit.close().await;
    marks
}

async fn suite(settings: Settings) {
    let state = Arc::new(State::open(&settings).await.unwrap());
    let hand = Arc::new(Hand::default());
    let marks = fill(&state, &hand).await;
    let rewind = Rewind::new(hand.clone(), Arc::new(OsDice), Caller::operator());
    let began = marks[0].0;
    let missing = |rows: u64| match rows {
        0 => Vec::new(),
        rows => vec![Changes { action: "key.create".to_owned(), count: i64::try_from(rows).unwrap() }],
    };
    // Half of every group changes the state, the commits among them do not.
    let odd = [1_u64, 5, 4_089, 1, 1, 4_095, 3].map(|rows| rows / 2);
    for (at, (to_us, was)) in marks.iter().enumerate().rev() {
        let told = rewind.cut(&state, &moment(began, *to_us)).await.unwrap();
        assert_eq!(told, missing(odd.iter().take(at).sum()), "moment {at}");
        let now = head(&state).await.unwrap();
        assert_eq!((now.size, &now.log), (was.size + 1, &was.log), "moment {at}");
        let grown = prove_consistency(&state, was.size, None).await.unwrap();
        assert_eq!(grown.from_root, was.root, "moment {at}");
        let found = verify(&state, Vec::new(), &[]).await.unwrap();
        assert!(found.is_good() && found.rows == was.size + 1, "moment {at}: {found:?}");
        let last = "SELECT action, detail FROM audit ORDER BY seq DESC LIMIT 1";
        let last = state.fetch(last, &[]).await.unwrap().pop().unwrap();
        assert_eq!(last.get::<String>("action").unwrap(), "backup.restore");
        assert!(last.get::<String>("detail").unwrap().contains("earlier"));
    }
    state.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    let data = tempfile::tempdir().unwrap();
    suite(Settings::new(data.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    let Some(server) = Postgres::start() else { return };
    let data = tempfile::tempdir().unwrap();
    suite(server.settings(data.path(), "rewind").await).await;
}

/// A row whose time is no later than the moment, but which the state of that moment does not have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_of_the_state_ends_with_the_rows_that_it_goes_with() {
    let data = tempfile::tempdir().unwrap();
    let state = Arc::new(State::open(&Settings::new(data.path())).await.unwrap());
    let hand = Arc::new(Hand::default());
    let marks = fill(&state, &hand).await;
    let rewind = Rewind::new(hand.clone(), Arc::new(OsDice), Caller::operator());
    let rows = |at: usize| Some(i64::try_from(marks[at].1.size).unwrap());
    let of = |state_us, to_us, log_rows| Moment { log_rows, ..moment(state_us, to_us) };
    // Behind the state: what the log says since is missing, by places, not by times.
    let told = rewind.cut(&state, &of(marks[7].0, marks[7].0 + 1, rows(6))).await.unwrap();
    assert_eq!(told, [Changes { action: "key.create".to_owned(), count: 1 }]);
    assert_eq!(head(&state).await.unwrap().size, marks[7].1.size + 1);
    // At it.
    let told = rewind.cut(&state, &of(marks[7].0, marks[7].0, rows(6))).await.unwrap();
    assert_eq!((told, head(&state).await.unwrap().size), (Vec::new(), marks[6].1.size + 1));
    assert!(verify(&state, Vec::new(), &[]).await.unwrap().is_good());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_or_has_moved_out_is_refused() {
    let (data, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let state = Arc::new(State::open(&Settings::new(data.path())).await.unwrap());
    let hand = Arc::new(Hand::default());
    let marks = fill(&state, &hand).await;
    let rewind = Rewind::new(hand.clone(), Arc::new(OsDice), Caller::operator());
    state.execute("UPDATE audit SET leaf_hash = $1 WHERE seq = 8192", &["00".repeat(32).into()]).await.unwrap();
    let refused = rewind.cut(&state, &moment(0, marks[7].0)).await.unwrap_err();
    assert!(refused.kind() == Kind::Corrupt && refused.to_string().contains("do not give the root"), "{refused}");
    assert_eq!(head(&state).await.unwrap(), marks[7].1, "nothing was changed");

    let to = super::super::export::Destination::open(away.path().to_str().unwrap(), &[]).unwrap();
    let log = marks[7].1.log.clone().unwrap();
    retire::retire(&state, &log, hand.now_us(), &to, false, hand.now_us()).await.unwrap();
    let refused = rewind.cut(&state, &moment(0, marks[2].0)).await.unwrap_err();
    assert!(refused.kind() == Kind::Limit && refused.to_string().contains("moved out"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_erased_since_is_told_again() {
    let data = tempfile::tempdir().unwrap();
    let state = Arc::new(State::open(&Settings::new(data.path())).await.unwrap());
    let hand = Arc::new(Hand::default());
    let audit = Audit::start(state.clone(), hand.clone(), Arc::new(OsDice), Arc::new(NoRedaction)).await.unwrap();
    let entry = |action, subject: &str| Entry::new(&Scope::platform("ana"), action, subject);
    audit.record(entry("key.create", "k1")).await.unwrap();
    let to_us = hand.now_us();
    hand.turn(Duration::from_secs(1));
    let ranges = json!({"table": "cost_line", "ranges": [[3, 4]]});
    audit.record(entry("erase.rows", "cost_line").of_tenant(Some("acme")).with_exactly(ranges.clone())).await.unwrap();
    audit.close().await;
    let rewind = Rewind::new(hand.clone(), Arc::new(OsDice), Caller::operator());
    rewind.cut(&state, &moment(to_us, to_us)).await.unwrap();
    let told = state.fetch("SELECT action, tenant, detail FROM audit ORDER BY seq", &[]).await.unwrap();
    let actions: Vec<String> = told.iter().map(|row| row.get("action").unwrap()).collect();
    assert_eq!(actions, ["key.create", "backup.restore", "erase.rows"]);
    let detail: String = told[2].get("detail").unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&detail).unwrap(), ranges);
    assert_eq!(told[2].get::<Option<String>>("tenant").unwrap().as_deref(), Some("acme"));
    assert!(verify(&state, Vec::new(), &[]).await.unwrap().is_good());
}
