#![allow(clippy::unwrap_used)]

use super::*;
use crate::rows::State as RowState;

const TEXT: &str = "-- ---\n-- owner: o\n-- every: 1s\n-- key: k\n-- ---\nSELECT 1 AS k";

async fn book() -> (tempfile::TempDir, Book) {
    let folder = tempfile::tempdir().unwrap();
    let state = Arc::new(Database::open(&engine::Settings::new(folder.path())).await.unwrap());
    let book = Book::new(state);
    book.load(&[Rule::parse("r", TEXT).unwrap()], 0).await.unwrap();
    (folder, book)
}

fn run(tick: i64, status: &'static str) -> Run {
    Run {
        rule: "r".to_owned(),
        tick,
        version: String::new(),
        status,
        query_id: None,
        rows: 1,
        counts: [1, 0, 0],
        result: Vec::new(),
        error: None,
        began_us: tick,
        ended_us: tick,
    }
}

fn difference(tick: i64) -> Difference {
    let (watch, data) = (String::new(), Map::new());
    let row = Tracked { state: RowState::Firing, epoch: tick, watch, since: tick, flaps: 0, data };
    Difference { tracked: vec![("[1]".to_owned(), row)], ..Difference::default() }
}

async fn commit(book: &Book, run: &Run, difference: &Difference, after: &After) -> bool {
    let mut open = book.state.transaction().await.unwrap();
    let counts = Book::write(&mut open, run, difference, &[], after).await.unwrap();
    if counts {
        open.commit().await.unwrap();
    }
    counts
}

#[tokio::test]
async fn of_two_runs_that_saw_the_same_one_counts() {
    let (_folder, book) = book().await;
    let after = After { next_us: Some(9), ..After::default() };
    assert!(commit(&book, &run(5, "done"), &difference(5), &after).await);
    // It compared with what was tracked before the first one.
    assert!(!commit(&book, &run(6, "done"), &difference(6), &after).await);
    assert_eq!(book.tracked("r").await.unwrap()["[1]"].epoch, 5);
    let again = After { last_tick: Some(5), ..after };
    assert!(!commit(&book, &run(5, "done"), &difference(7), &again).await, "a tick has one run");
    assert!(commit(&book, &run(8, "done"), &difference(8), &again).await);
    assert_eq!(book.entry("r").await.unwrap().unwrap().last_tick, Some(8));
}

#[tokio::test]
async fn a_run_that_changed_nothing_gives_way_and_ticks_can_be_left_out() {
    let (_folder, book) = book().await;
    let after = After { next_us: Some(9), ..After::default() };
    assert!(commit(&book, &run(5, "error"), &Difference::default(), &after).await);
    assert!(commit(&book, &run(5, "done"), &difference(5), &after).await);
    assert_eq!(book.due(9).await.unwrap().len(), 1);
    book.pass_over("r", Some(20)).await.unwrap();
    assert!(book.due(19).await.unwrap().is_empty());
    assert_eq!(book.next_tick().await.unwrap(), Some(20));
}
