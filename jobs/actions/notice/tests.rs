#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;

/// So late that everything is long ago.
const LATER: i64 = 100 * 86_400_000_000;

async fn state() -> (tempfile::TempDir, State) {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(&engine::Settings::new(folder.path())).await.unwrap();
    (folder, state)
}

fn row(key: &str, zone: &str) -> Row {
    let (key, row) = (json!([key]), json!({ "k": key, "zone": zone, "n": 3 }));
    Row { key, epoch: 5, row, message: String::new() }
}

fn wish(rule: &str, cells: &[(&str, &str)], span_us: i64) -> NewSilence {
    let cells: BTreeMap<String, String> = cells.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let (who, why) = ("otto".to_owned(), "it is mended".to_owned());
    NewSilence { rule: rule.to_owned(), cells, starts_us: None, span_us, who, why }
}

async fn fires(state: &State, key: &str, to: &str) {
    let values = [json!([key]).to_string().into(), to.into()];
    let sql = "INSERT INTO rule_row (rule, key, state, epoch, watch, since, flaps, data) VALUES ('r', $1, $2, 5, '', 5, 0, '{}')";
    state.execute(sql, &values).await.unwrap();
}

#[tokio::test]
async fn a_silence_keeps_back_what_it_names_and_no_longer_than_it_says() {
    let (_folder, state) = state().await;
    Silence::add(&state, &wish("shop/*", &[("zone", "a"), ("n", "3")], 100), 1_000).await.unwrap();
    for (rule, zone, at, silenced) in [
        ("shop/pods", "a", 1_000, true),
        ("shop/pods", "b", 1_000, false),
        ("shops", "a", 1_000, false),
        ("shop/pods", "a", 1_099, true),
        ("shop/pods", "a", 1_100, false),
        ("shop/pods", "a", 999, false),
    ] {
        let mut rows = vec![row("x", zone), row("y", "elsewhere")];
        let taken = take_silenced(&state, rule, &mut rows, at).await.unwrap();
        assert_eq!((taken.len(), rows.len()), if silenced { (1, 1) } else { (0, 2) }, "{rule} {zone} {at}");
    }
}

#[tokio::test]
async fn wrong_silences_are_refused_and_expired_ones_end() {
    let (_folder, state) = state().await;
    for (rule, span, part) in
        [("", 5, "which rule"), ("a*b", 5, "at the end"), ("a", 0, "in the future"), ("a", i64::MAX, "at most")]
    {
        let error = Silence::add(&state, &wish(rule, &[], span), 1_000).await.unwrap_err();
        assert!(error.to_string().contains(part), "{rule}: {error}");
    }
    let silence = Silence::add(&state, &wish("*", &[], 100), 1_000).await.unwrap();
    Silence::expire(&state, &silence.id, 1_050).await.unwrap();
    assert_eq!(Silence::expire(&state, &silence.id, 1_060).await.unwrap_err().kind(), Kind::NotFound);
    assert!(Silence::all(&state, 1_050).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_row_is_open_while_it_fires_and_nobody_knows_of_it() {
    let (_folder, state) = state().await;
    for (key, to) in [("a", "firing"), ("b", "clearing"), ("c", "firing"), ("d", "pending")] {
        fires(&state, key, to).await;
    }
    acknowledge(&state, "r", "[\"c\"]", "otto", None, 9).await.unwrap();
    assert_eq!(acknowledge(&state, "r", "[\"d\"]", "otto", None, 9).await.unwrap_err().kind(), Kind::NotFound);
    let mut rows: Vec<Row> = ["a", "b", "c", "d", "e"].iter().map(|key| row(key, "z")).collect();
    retain_open(&state, "r", &mut rows).await.unwrap();
    assert_eq!(rows, [row("a", "z")]);
    let mut later = vec![Row { epoch: 6, ..row("a", "z") }];
    retain_open(&state, "r", &mut later).await.unwrap();
    assert!(later.is_empty(), "another life of the key is another row");
}

#[tokio::test]
async fn steps_are_counted_and_forgotten_with_their_rows() {
    let (_folder, state) = state().await;
    let rows = [row("a", "z"), row("b", "z")];
    assert_eq!(steps_taken(&state, "r", &rows, "P1").await.unwrap(), 0);
    let mut open = state.transaction().await.unwrap();
    escalated(&mut open, "r", &rows[..1], "P1", 0, 7).await.unwrap();
    escalated(&mut open, "r", &rows[..1], "P1", 1, 8).await.unwrap();
    open.commit().await.unwrap();
    assert_eq!(steps_taken(&state, "r", &rows, "P1").await.unwrap(), 2);
    fires(&state, "a", "firing").await;
    forget(&state, LATER).await.unwrap();
    assert_eq!(steps_taken(&state, "r", &rows, "P1").await.unwrap(), 2);
    state.execute("DELETE FROM rule_row", &[]).await.unwrap();
    forget(&state, LATER).await.unwrap();
    assert_eq!(steps_taken(&state, "r", &rows, "P1").await.unwrap(), 0);
}
