#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::rule::Rule;

fn header(more: &str) -> Header {
    let text = format!("-- ---\n-- owner: o\n-- every: 1s\n-- key: k\n-- watch: w\n{more}-- ---\nSELECT k, w FROM t");
    Rule::parse("r", &text).unwrap().header
}

fn seen(key: u8, watch: u8) -> Seen {
    let data = Map::from_iter([("k".to_owned(), key.into()), ("w".to_owned(), watch.into())]);
    Seen { key: format!("[{key}]"), watch: watch.to_string(), data }
}

fn apply(tracked: &mut BTreeMap<String, Tracked>, difference: &Difference) {
    tracked.extend(difference.tracked.iter().cloned());
    difference.forgotten.iter().for_each(|key| drop(tracked.remove(key)));
}

/// Rows at each second, what happened at each.
fn play(header: &Header, rows: &[&[(u8, u8)]]) -> Vec<String> {
    let mut tracked = BTreeMap::new();
    let tick = |(at, rows): (usize, &&[(u8, u8)])| {
        let seen = rows.iter().map(|(key, watch)| seen(*key, *watch)).collect();
        let difference = difference(header, &tracked, seen, at as i64 * 1_000_000, at == 0, false).unwrap();
        apply(&mut tracked, &difference);
        let said = difference.moves.iter().map(|m| format!("{}{}", m.transition.name(), m.key));
        said.collect::<Vec<_>>().join(" ")
    };
    rows.iter().enumerate().map(tick).collect()
}

#[test]
fn rows_live_as_the_rule_says() {
    let rows: &[&[(u8, u8)]] = &[&[(1, 0)], &[(1, 0)], &[(1, 1)], &[], &[(1, 1)], &[], &[], &[(1, 1)]];
    let cases = [
        ("", vec!["new[1]", "", "changed[1]", "resolved[1]", "new[1]", "resolved[1]", "", "new[1]"]),
        ("-- for: 2s\n", vec!["", "", "new[1]", "resolved[1]", "", "", "", ""]),
        ("-- keep: 1s\n", vec!["new[1]", "", "changed[1]", "", "", "", "resolved[1]", "new[1]"]),
        ("-- start: baseline\n", vec!["", "", "changed[1]", "resolved[1]", "new[1]", "resolved[1]", "", "new[1]"]),
    ];
    for (more, expected) in cases {
        assert_eq!(play(&header(more), rows), expected, "{more}");
    }
}

#[test]
fn too_many_new_rows_hold_the_run_until_it_is_released() {
    let header = header("-- limit: 2\n");
    let rows = || (0..3).map(|key| seen(key, 0)).collect::<Vec<_>>();
    let held = difference(&header, &BTreeMap::new(), rows(), 0, true, false).unwrap_err();
    assert_eq!(held, Stop::Held { new: 3, tracked: 0 });
    assert_eq!(difference(&header, &BTreeMap::new(), rows(), 0, true, true).unwrap().moves.len(), 3);
}

#[test]
fn a_key_that_stands_twice_changes_nothing() {
    let stop = difference(&header(""), &BTreeMap::new(), vec![seen(1, 0), seen(2, 0), seen(1, 1)], 0, true, false);
    assert_eq!(stop.unwrap_err(), Stop::DuplicateKey { key: "[1]".to_owned(), keys: 1 });
}

#[test]
fn an_action_has_one_name_in_each_life_of_a_row() {
    let header = header("");
    let mut tracked = BTreeMap::new();
    let mut names = std::collections::BTreeSet::new();
    for (at, rows) in [vec![seen(1, 0)], vec![seen(1, 1)], vec![], vec![seen(1, 0)]].into_iter().enumerate() {
        let again = difference(&header, &tracked, rows.clone(), at as i64, false, false).unwrap();
        let once = difference(&header, &tracked, rows, at as i64, false, false).unwrap();
        assert_eq!(once, again);
        for moved in &once.moves {
            assert!(names.insert(moved.dedupe("r", 0)) && names.insert(moved.dedupe("r", 1)), "{moved:?}");
        }
        apply(&mut tracked, &once);
    }
    assert_eq!(names.len(), 8);
}

/// What a rule without `for` and `keep` means, in a few lines: the rows that are there, and their watched cells.
fn model(before: &BTreeMap<u8, u8>, now: &BTreeMap<u8, u8>) -> Vec<String> {
    let new = now.keys().filter(|k| !before.contains_key(k)).map(|k| format!("new[{k}]"));
    let changed =
        now.iter().filter(|(k, w)| before.get(k).is_some_and(|old| old != *w)).map(|(k, _)| format!("changed[{k}]"));
    let resolved = before.keys().filter(|k| !now.contains_key(k)).map(|k| format!("resolved[{k}]"));
    new.chain(changed).chain(resolved).collect()
}

proptest! {
    #[test]
    fn the_machine_is_the_model(ticks in prop::collection::vec(prop::collection::btree_map(0_u8..6, 0_u8..3, 0..6), 1..12)) {
        let header = header("");
        let (mut tracked, mut before) = (BTreeMap::new(), BTreeMap::new());
        for (at, now) in ticks.iter().enumerate() {
            let rows = now.iter().map(|(key, watch)| seen(*key, *watch)).collect();
            let difference = difference(&header, &tracked, rows, at as i64, at == 0, false).unwrap();
            let said: Vec<_> = difference.moves.iter().map(|m| format!("{}{}", m.transition.name(), m.key)).collect();
            prop_assert_eq!(said, model(&before, now));
            apply(&mut tracked, &difference);
            prop_assert_eq!(tracked.len(), now.len());
            before = now.clone();
        }
    }

    #[test]
    fn a_row_is_never_new_twice_without_being_resolved(
        ticks in prop::collection::vec(prop::collection::btree_map(0_u8..3, 0_u8..2, 0..3), 1..30),
        hold in 0_u8..4, keep in 0_u8..4,
    ) {
        let header = header(&format!("-- for: {hold}s\n-- keep: {keep}s\n"));
        let mut tracked = BTreeMap::new();
        let mut open = std::collections::BTreeSet::new();
        for (at, now) in ticks.iter().enumerate() {
            let rows = now.iter().map(|(key, watch)| seen(*key, *watch)).collect();
            let difference = difference(&header, &tracked, rows, at as i64 * 1_000_000, at == 0, false).unwrap();
            for moved in &difference.moves {
                match moved.transition {
                    Transition::New => prop_assert!(open.insert(moved.key.clone())),
                    Transition::Changed => prop_assert!(open.contains(&moved.key)),
                    Transition::Resolved => prop_assert!(open.remove(&moved.key)),
                }
            }
            apply(&mut tracked, &difference);
            let firing = tracked.iter().filter(|(_, row)| row.state != State::Pending).map(|(key, _)| key.clone());
            prop_assert_eq!(firing.collect::<std::collections::BTreeSet<_>>(), open.clone());
        }
    }
}
