//! A store restored to moments between its backups is what `as_of` says of these moments.

use async_trait::async_trait;

use super::*;
use crate::backup::{self, BackupPlace, Changes, Journal, Moment, RestoredTo, To};
use crate::clock::rfc3339;

const TABLES: &[&Table] = &[&EVENT, &THING, &TOLD, &BILL, &crate::reject::REJECT, &QUERY_LOG];
const ASKED: &[(&str, &str)] = &[
    ("event", "trace, size"),
    ("thing", "name, phase"),
    ("told", "name, rev, phase"),
    ("bill", "month, CAST(\"Cost\" AS VARCHAR)"),
];

/// State without a history.
struct NoHistory;

#[async_trait]
impl Journal for NoHistory {
    fn tables(&self) -> &[&'static str] {
        &[]
    }

    async fn cut(&self, _: &State, _: &Moment) -> Result<Vec<Changes>> {
        Ok(Vec::new())
    }
}

async fn answers(store: &Store, at_us: Option<i64>) -> Vec<String> {
    let mut answers = Vec::new();
    for (table, columns) in ASKED {
        let of = at_us.map_or((*table).to_owned(), |at| format!("as_of('{table}', '{}')", rfc3339(at)));
        answers.push(ask(store, &format!("SELECT tenant, {columns}, _seq FROM {of} ORDER BY _seq")).await);
    }
    answers
}

/// Something is written; later ones add to, replace and delete what earlier ones wrote.
async fn step(store: &Store, n: i64) {
    let name = format!("n{}", n * 7 % 5);
    match n * 13 % 6 {
        0 => drop(store.append(events("a", &[n, n + 1])).await.unwrap()),
        1 => drop(store.append(thing("a", &name, Some(&format!("p{n}")))).await.unwrap()),
        2 => drop(store.append(thing("a", &name, None)).await.unwrap()),
        // Out of order: the newest revision was told of first.
        3 => drop(store.append(told(&name, Some(100 - n), Some(&format!("p{n}")))).await.unwrap()),
        4 => drop(load(store, vec![bill(&format!("2026-0{}", n % 2 + 1), &[n.into(), 1])]).await),
        _ => store.flush().await.unwrap(),
    }
}

async fn restored_to(place: &BackupPlace, dir: &Path, to_us: i64) -> Result<RestoredTo> {
    backup::restore_to(&Settings::new(dir), place, TABLES, To::Exactly(to_us), &NoHistory).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_moment_between_two_backups_is_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("data")).await;
    let place = BackupPlace::open(dir.path().join("backups").to_str().unwrap(), &[]).unwrap();
    let key = |key: &str| Frame {
        idempotency: Some(crate::frame::Idempotency { key: key.into(), body_hash: [7; 32] }),
        ..events("b", &[1])
    };
    let mut marks = Vec::new();
    for n in 1..=48 {
        if [1, 24].contains(&n) {
            backup::create(&store, &place, &[]).await.unwrap();
        }
        step(&store, n).await;
        if n == 30 {
            store.append(key("early")).await.unwrap();
            store.maintain().await.unwrap();
        }
        if n == 44 {
            store.append(key("late")).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        marks.push(WallClock.now_us());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let last = backup::create(&store, &place, &[]).await.unwrap();
    store.append(events("late", &[1])).await.unwrap();
    for (number, n) in [3, 15, 22, 25, 33, 41, 47].into_iter().enumerate() {
        let (to_us, target) = (marks[n], dir.path().join(format!("r{n}")));
        let restored = restored_to(&place, &target, to_us).await.unwrap();
        assert_eq!(restored.to, rfc3339(to_us));
        assert!(restored.is_whole() && restored.notes.is_empty(), "{restored:?}");
        // The last step before a backup has nothing behind it.
        assert!(restored.facts.seq > restored.state.seq, "{restored:?}");
        assert_eq!(restored.later_rows > 0, ![22, 47].contains(&n), "moment {n}: {restored:?}");
        let back = open(&target).await;
        assert_eq!(answers(&back, None).await, answers(&store, Some(to_us)).await, "moment {n}");
        // It goes on as a store of its own, behind every place that was ever given out.
        assert!(back.status().next_seq >= restored.facts.seq, "{restored:?}");
        if number == 4 {
            assert!(back.append(key("early")).await.unwrap().repeated, "acknowledged before the moment");
            assert!(!back.append(key("late")).await.unwrap().repeated, "what came later is new again");
        }
        back.append(thing("a", "n0", Some("anew"))).await.unwrap();
        let anew = "SELECT count(*) FROM thing WHERE phase = 'anew'";
        assert_eq!(ask(&back, anew).await, "1");
        back.close().await.unwrap();
        drop(back);
        let back = reopen(&target).await;
        back.maintain().await.unwrap();
        assert_eq!(ask(&back, anew).await, "1", "moment {n}, after a restart");
    }
    let refused = restored_to(&place, &dir.path().join("late"), WallClock.now_us()).await.unwrap_err();
    assert!(refused.kind() == Kind::NotFound && refused.to_string().contains(&last.at), "{refused}");
    let refused = restored_to(&place, &dir.path().join("early"), 1).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_of_which_rows_were_dropped_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let catalogue =
        Catalogue { tables: TABLES.to_vec(), state_tables: vec![&crate::state::LEASE], ..Catalogue::default() };
    let settings = Settings { as_of_horizon: Duration::ZERO, ..Settings::new(dir.path().join("data")) };
    let ports = Ports { clock: Arc::new(WallClock), redactor: Arc::new(NoRedaction) };
    let store = Store::open(settings, catalogue, ports).await.unwrap();
    let place = BackupPlace::open(dir.path().join("backups").to_str().unwrap(), &[]).unwrap();
    store.append(thing("a", "x", Some("old"))).await.unwrap();
    backup::create(&store, &place, &[]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    let old = WallClock.now_us();
    tokio::time::sleep(Duration::from_millis(2)).await;
    store.append(thing("a", "x", Some("new"))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    store.sweep().await.unwrap();
    let swept = WallClock.now_us();
    backup::create(&store, &place, &[]).await.unwrap();
    let refused = restored_to(&place, &dir.path().join("old"), old).await.unwrap_err();
    assert!(refused.kind() == Kind::Limit && refused.to_string().contains("thing was at"), "{refused}");
    let half = Store::open(
        Settings::new(dir.path().join("old")),
        Catalogue::default(),
        Ports { clock: Arc::new(WallClock), redactor: Arc::new(NoRedaction) },
    );
    assert!(half.await.unwrap_err().to_string().contains("restore again"), "half a restore is no store");
    restored_to(&place, &dir.path().join("new"), swept).await.unwrap();
    let back = open(&dir.path().join("new")).await;
    assert_eq!(ask(&back, "SELECT phase FROM thing").await, "new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_backups_go_and_what_others_need_stays() {
    const DAY_US: i64 = 86_400_000_000;
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("data")).await;
    let place = BackupPlace::open(dir.path().join("backups").to_str().unwrap(), &[]).unwrap();
    let mut made = Vec::new();
    for n in 0..4 {
        store.append(events("a", &[n])).await.unwrap();
        made.push(backup::create(&store, &place, &[]).await.unwrap());
        tokio::time::sleep(Duration::from_millis(5)).await;
        if n == 1 {
            // What the first two shared is no longer in the next ones.
            store
                .erase(crate::erase::Order {
                    tenant: None,
                    needles: crate::needles::Needles::new(&["nobody at all".to_owned()]).unwrap(),
                    also: vec![crate::erase::Also { table: "event", column: "trace", cells: ["t0".to_owned()].into() }],
                    tables: Vec::new(),
                })
                .await
                .unwrap();
        }
    }
    let at = |n: usize| chrono::DateTime::parse_from_rfc3339(&made[n].at).unwrap().timestamp_micros();
    let now = WallClock.now_us();
    let ids = |range: std::ops::Range<usize>| made[range].iter().map(|m| m.id.clone()).collect::<Vec<_>>();
    assert!(backup::prune(&place, at(1), now, false).await.unwrap().backups.is_empty(), "the last before it stays");
    let planned = backup::prune(&place, at(3), now, true).await.unwrap();
    assert_eq!((planned.backups, planned.left), (ids(0..2), 2));
    assert_eq!(backup::list(&place).await.unwrap().len(), 4, "a plan changes nothing");
    let first = backup::prune(&place, at(3), now, false).await.unwrap();
    assert_eq!((&first.backups, first.files), (&ids(0..2), 0), "files wait");
    assert!(first.waiting_files > 0, "{first:?}");
    // Not yet, and then once and for all.
    assert_eq!(backup::prune(&place, at(3), now + DAY_US - 1, false).await.unwrap().files, 0);
    let ripe = backup::prune(&place, at(3), now + DAY_US, false).await.unwrap();
    assert_eq!((ripe.files, ripe.waiting_files), (first.waiting_files, 0), "{ripe:?}");
    assert_eq!(backup::prune(&place, at(3), now + 3 * DAY_US, false).await.unwrap().files, 0);
    for id in ids(2..4) {
        assert_eq!(backup::verify(&place, Some(&id)).await.unwrap().findings, Vec::<String>::new());
    }
    restored_to(&place, &dir.path().join("back"), at(2)).await.unwrap();
    let back = open(&dir.path().join("back")).await;
    assert_eq!(ask(&back, "SELECT count(*) FROM event").await, "2");
}

/// The files of a place of backups that are called by their content.
fn objects(folder: &Path) -> std::collections::BTreeSet<std::path::PathBuf> {
    let folders = std::fs::read_dir(folder.join("objects")).unwrap();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

async fn tenants(store: &Store) -> Vec<String> {
    let rows = store.state().fetch("SELECT id FROM tenant WHERE id LIKE 't%' ORDER BY id", &[]).await.unwrap();
    rows.iter().map(|row| row.get("id").unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_two_backups_the_state_is_the_one_that_was_put_aside_last() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("data")).await;
    let folder = dir.path().join("backups");
    let place = BackupPlace::open(folder.to_str().unwrap(), &[]).unwrap();
    let none = backup::ship_state(&store, &place, &["audit"]).await.unwrap_err();
    assert!(none.kind() == Kind::NotFound && none.to_string().contains("holds no backup"), "{none}");
    backup::create(&store, &place, &[]).await.unwrap();
    let (mut times, mut shipped_files) = (Vec::new(), Vec::new());
    for n in 1..=6_i64 {
        store.append(events("a", &[n])).await.unwrap();
        let sql = "INSERT INTO tenant (id, name, created_at) VALUES ($1, 'T', 1)";
        store.state().execute(sql, &[format!("t{n}").into()]).await.unwrap();
        if n % 2 == 0 {
            let before = objects(&folder);
            let shipped = backup::ship_state(&store, &place, &["audit"]).await.unwrap();
            shipped_files.extend(objects(&folder).difference(&before).cloned());
            assert!(shipped.new_bytes > 0, "{shipped:?}");
            let again = backup::ship_state(&store, &place, &["audit"]).await.unwrap();
            assert_eq!((again.new_bytes, again.held), (0, shipped.held), "nothing has changed");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        times.push(WallClock.now_us());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    backup::create(&store, &place, &[]).await.unwrap();
    assert_eq!(backup::states(&place, 0).await.unwrap().len(), 6);
    let restored = async |name: String, to: To| {
        let target = dir.path().join(name);
        let restored = backup::restore_to(&Settings::new(&target), &place, TABLES, to, &NoHistory).await.unwrap();
        let back = open(&target).await;
        let events = ask(&back, "SELECT count(*) FROM event").await;
        (restored, events.parse::<usize>().unwrap(), tenants(&back).await.len())
    };
    for n in 1..=6 {
        let state = n / 2 * 2;
        let (exact, events, tenants) = restored(format!("exact{n}"), To::Exactly(times[n - 1])).await;
        assert_eq!((events, tenants, exact.to), (n, state, rfc3339(times[n - 1])), "moment {n}");
        // Facts and state of one moment: that of the state.
        let (whole, events, tenants) = restored(format!("whole{n}"), To::Whole(times[n - 1])).await;
        assert_eq!((events, tenants, &whole.to), (state, state, &whole.state_at), "moment {n}");
    }
    let checked = backup::verify(&place, None).await.unwrap();
    assert_eq!((checked.states, &checked.findings[..]), (6, &[][..]), "{checked:?}");

    // A piece that only states have is changed.
    let path = &shipped_files[0];
    let content = std::fs::read(path).unwrap();
    std::fs::write(path, [&content[..], b" "].concat()).unwrap();
    assert!(backup::verify(&place, None).await.unwrap().findings[0].contains("not what was written"));
    std::fs::write(path, content).unwrap();

    // With the first backup go the states behind it that no moment needs any more.
    let last = backup::newest(&place).await.unwrap().unwrap();
    let pruned = backup::prune(&place, last + 1, last, false).await.unwrap();
    assert_eq!((pruned.backups.len(), pruned.states), (1, 6), "{pruned:?}");
    assert!(backup::states(&place, 0).await.unwrap().is_empty() && pruned.waiting_files > 0, "{pruned:?}");
}
