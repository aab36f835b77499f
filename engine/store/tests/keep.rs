//! Retention, holds, erasure and backups of a store.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::*;
use crate::backup::{self, BackupPlace};
use crate::erase::{Also, Order};
use crate::keep::{Expired, Hold, Keeper, Kept};
use crate::needles::Needles;

const HOUR_US: i64 = 3_600_000_000;
const NOW_US: i64 = 1_000 * HOUR_US;

#[derive(Debug, Default)]
struct Rules {
    kept: Mutex<Kept>,
    fails: Mutex<bool>,
    gone: Mutex<Vec<Expired>>,
}

#[async_trait]
impl Keeper for Rules {
    async fn kept(&self, table: &'static Table) -> Result<Kept> {
        match (*self.fails.lock(), table.name) {
            (true, _) => Err(Error::new(Kind::Unavailable, "nobody knows")),
            (false, "event" | "thing") => Ok(self.kept.lock().clone()),
            _ => Ok(Kept::declared(table)),
        }
    }

    async fn expired(&self, expired: &Expired) {
        self.gone.lock().push(expired.clone());
    }
}

fn needles(values: &[&str]) -> Needles {
    Needles::new(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn event(tenant: &str, trace: &str, at_us: i64) -> Frame {
    let mut rows = Rows::new(&EVENT);
    rows.set("tenant", tenant).set("time", Value::Time(at_us)).set("trace", trace).set("size", at_us / HOUR_US);
    rows.end_row().unwrap();
    let mut frame = Frame::new("test");
    frame.push_rows(&mut rows);
    frame
}

/// A store with events of these hours, each list a fragment, alternately of two tenants.
async fn hours(dir: &Path, fragments: &[&[i64]]) -> (Arc<Store>, Arc<Rules>) {
    let store = open_at(dir, Arc::new(Still(NOW_US))).await;
    let rules = Arc::new(Rules::default());
    store.set_keeper(rules.clone());
    for fragment in fragments {
        for (n, hour) in fragment.iter().enumerate() {
            let (tenant, trace) = if n % 2 == 0 { ("a", "mail ana@acme.example") } else { ("b", "by Bo Mayer") };
            store.append(event(tenant, trace, hour * HOUR_US)).await.unwrap();
        }
        store.flush().await.unwrap();
    }
    (store, rules)
}

fn keep(hours: u64) -> Option<Duration> {
    Some(Duration::from_secs(3600 * hours))
}

const LEFT: &str = "SELECT tenant, size FROM event ORDER BY size, tenant";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_fragments_go_whole_and_old_rows_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, rules) = hours(dir.path(), &[&[100, 101], &[102, 900], &[910, 911]]).await;
    *rules.kept.lock() = Kept { others: keep(500), ..Kept::default() };
    let due = store.due(&EVENT, &rules.kept.lock().clone()).await.unwrap();
    assert_eq!((due.rows, due.due_rows, due.held_rows), (6, 3, 0));
    assert!(due.size_bytes > 0 && due.due_bytes > 0 && due.due_bytes < due.size_bytes);
    store.sweep().await.unwrap();
    assert_eq!(ask(&store, LEFT).await, "b 900; a 910; b 911");
    let gone = rules.gone.lock().clone();
    assert_eq!((gone.len(), gone[0].rows, gone[0].rows_in_whole_fragments), (1, 3, 2));
    store.sweep().await.unwrap();
    assert_eq!(rules.gone.lock().len(), 1, "the second round finds nothing");
    // A look back to before what is gone is refused, one to after it is not.
    let back = |at: i64| {
        let question = Question::from(LEFT);
        let store = store.clone();
        async move {
            let answer = store.query_as_of(&Scope::platform("test"), question, Limits::default(), at).await?;
            answer.stream.try_collect::<Vec<_>>().await.map_err(crate::sql::session::from_datafusion)
        }
    };
    let refused = back(NOW_US - 600 * HOUR_US).await.unwrap_err();
    assert!(refused.kind() == Kind::Limit && refused.to_string().contains("past their retention"), "{refused}");
    back(NOW_US).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_have_times_of_their_own_and_holds_win() {
    let kept = |tenants: &[(&str, Option<Duration>)], others, holds: Vec<Hold>| Kept {
        tenants: tenants.iter().map(|(tenant, keep)| ((*tenant).to_owned(), *keep)).collect::<BTreeMap<_, _>>(),
        others,
        holds,
    };
    let hold = |tenant: Option<&str>, subject: Option<&str>| Hold {
        id: "h".to_owned(),
        tenant: tenant.map(str::to_owned),
        subject: subject.map(|subject| needles(&[subject])),
    };
    let all = "a 100; b 101; a 900; b 901";
    for (why, kept, left, held) in [
        ("one keeps for ever", kept(&[("a", None)], keep(500), vec![]), "a 100; a 900; b 901", 0),
        ("one keeps less", kept(&[("b", keep(10))], keep(500), vec![]), "a 900", 0),
        ("one alone", kept(&[("b", keep(500))], None, vec![]), "a 100; a 900; b 901", 0),
        ("everything is held", kept(&[], keep(500), vec![hold(None, None)]), all, 2),
        ("a tenant is held", kept(&[], keep(500), vec![hold(Some("a"), None)]), "a 100; a 900; b 901", 1),
        ("a subject is held", kept(&[], keep(500), vec![hold(None, Some("BO MAYER"))]), "b 101; a 900; b 901", 1),
        ("a subject of another", kept(&[], keep(500), vec![hold(Some("a"), Some("Bo Mayer"))]), "a 900; b 901", 0),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (store, rules) = hours(dir.path(), &[&[100, 101], &[900, 901]]).await;
        *rules.kept.lock() = kept.clone();
        assert_eq!(store.due(&EVENT, &kept).await.unwrap().held_rows, held, "{why}");
        store.sweep().await.unwrap();
        assert_eq!(ask(&store, LEFT).await, left, "{why}");
    }
    let dir = tempfile::tempdir().unwrap();
    let (store, rules) = hours(dir.path(), &[&[100, 101]]).await;
    (*rules.kept.lock(), *rules.fails.lock()) = (kept(&[], keep(1), vec![]), true);
    store.sweep().await.unwrap();
    assert_eq!(ask(&store, LEFT).await, "a 100; b 101", "who does not know what is held deletes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_keeps_everything_looks_back_as_far_as_it_likes() {
    let dir = tempfile::tempdir().unwrap();
    let (store, rules) = hours(dir.path(), &[&[100, 101], &[900, 901]]).await;
    let tenants = BTreeMap::from([("a".to_owned(), None)]);
    *rules.kept.lock() = Kept { tenants, others: keep(500), ..Kept::default() };
    store.sweep().await.unwrap();
    for (tenant, allowed) in [("a", true), ("b", false)] {
        let scope = Scope::tenant(tenant, "test");
        let answer =
            store.query_as_of(&scope, Question::from(LEFT), Limits::default(), NOW_US - 600 * HOUR_US).await.unwrap();
        assert_eq!(answer.stream.try_collect::<Vec<_>>().await.is_ok(), allowed, "{tenant}");
    }
}

fn order(values: &[&str], tenant: Option<&str>) -> Order {
    Order { tenant: tenant.map(str::to_owned), needles: needles(values), also: Vec::new(), tables: Vec::new() }
}

fn named(name: &str, phase: &str) -> Frame {
    thing("a", name, Some(phase))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_erased_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = hours(dir.path(), &[&[100, 101], &[102]]).await;
    // In a keyed table: a current row, one that it superseded, one that is deleted already, and one whose key is the value.
    for (frame, flushed) in [
        (named("door", "Ana Meier was here"), true),
        (named("door", "opened by ana meier"), true),
        (named("gone", "Ana Meier"), false),
        (named("window", "shut"), true),
        (named("Ana Meier", "open"), true),
        (thing("b", "theirs", Some("Ana Meier")), true),
    ] {
        store.append(frame).await.unwrap();
        if flushed {
            store.flush().await.unwrap();
        }
    }
    let dead = store.facts("thing").unwrap();
    let filter = datafusion::logical_expr::col("name").eq(datafusion::logical_expr::lit("gone"));
    assert_eq!(dead.delete(filter).await.unwrap(), 1);
    // What is not flushed yet is found, too.
    store.append(event("a", "ANA@acme.example again", 103 * HOUR_US)).await.unwrap();
    let wanted = order(&["ana@acme.example", "Ana Meier"], Some("a"));
    let found = store.look(wanted.clone()).await.unwrap();
    let seen: Vec<_> =
        found.columns.iter().map(|s| (s.table.as_str(), s.column.as_str(), s.rows, s.rows_deleted)).collect();
    assert_eq!(seen, [("event", "trace", 3, 3), ("thing", "name", 1, 1), ("thing", "phase", 2, 0)]);
    assert_eq!((found.dead_rows, found.elsewhere_rows), (1, 1));

    let done = store.erase(wanted.clone()).await.unwrap();
    let sums: Vec<_> = done.iter().map(|t| (t.table.as_str(), t.rows_deleted, t.rows_masked)).collect();
    assert_eq!(sums, [("event", 3, 0), ("thing", 1, 2)]);
    assert_eq!(ask(&store, LEFT).await, "b 101");
    let things = "SELECT tenant, name, phase FROM thing ORDER BY tenant, name";
    let left = "a door opened by [erased]; a window shut; b theirs Ana Meier";
    assert_eq!(ask(&store, things).await, left);
    let again = store.look(wanted.clone()).await.unwrap();
    assert_eq!((again.columns.len(), again.dead_rows, again.elsewhere_rows), (0, 0, 1));
    assert!(store.erase(wanted).await.unwrap().is_empty(), "the second run finds nothing");

    // The other tenant's row goes, too; then no byte of the values is left anywhere.
    store.erase(order(&["Ana Meier"], None)).await.unwrap();
    store.clean_all().await.unwrap();
    store.part_log().await.unwrap();
    let scanned = store.scan_files(&needles(&["ana@acme.example", "Ana Meier"]), &[]).await.unwrap();
    assert!(scanned.files > 10 && scanned.bytes > 1000, "{scanned:?}");
    assert_eq!(scanned.holding, Vec::<String>::new());
    let refused = ask_as(&store, &Scope::platform("test"), "SELECT * FROM as_of('event', 1)").await.unwrap_err();
    assert!(refused.to_string().contains("were erased"), "{refused}");
    // The store goes on, and starts again, with what is left.
    let next = store.status().next_seq;
    store.append(event("a", "after", 104 * HOUR_US)).await.unwrap();
    store.maintain().await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = reopen(dir.path()).await;
    assert_eq!(ask(&store, LEFT).await, "b 101; a 104");
    assert_eq!(ask(&store, things).await, left.replace("Ana Meier", "[erased]"));
    assert!(store.status().next_seq > next);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_go_with_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for name in ["one", "two", "three"] {
        store.append(named(name, "quiet")).await.unwrap();
    }
    let also = Also { table: "thing", column: "name", cells: ["one", "three"].map(str::to_owned).into() };
    store.erase(Order { also: vec![also], ..order(&["nobody at all"], None) }).await.unwrap();
    assert_eq!(ask(&store, "SELECT name FROM thing").await, "two");
}

/// Restores the newest backup, and opens what came of it.
async fn restored(place: &BackupPlace, dir: &Path, at_us: Option<i64>) -> Arc<Store> {
    backup::restore(&Settings::new(dir), place, None, at_us).await.unwrap();
    open(dir).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_shows_one_moment_while_others_write() {
    let (dir, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path()).await;
    let place = BackupPlace::open(kept.path().join("backups").to_str().unwrap(), &[]).unwrap();
    let keyed = |key: &str, frame: Frame| Frame {
        idempotency: Some(crate::frame::Idempotency { key: key.into(), body_hash: [7; 32] }),
        ..frame
    };
    store.append(keyed("k1", named("first", "here"))).await.unwrap();
    load(&store, vec![bill("2026-01", &[1, 2])]).await;
    std::fs::write(dir.path().join("some.key"), "secret").unwrap();
    // Each frame writes to two tables: the backup holds both rows of it or none.
    let writing = {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 1..=200_i64 {
                let mut frame = events("a", &[n]);
                frame.batches.extend(named(&format!("n{n}"), "here").batches);
                store.append(frame).await.unwrap();
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(30)).await;
    let first = backup::create(&store, &place, &["some.key".into()]).await.unwrap();
    writing.await.unwrap();
    let second = backup::create(&store, &place, &[]).await.unwrap();
    assert!(first.files > 0 && second.rows > first.rows && second.seq > first.seq, "{first:?} {second:?}");
    assert_eq!(backup::list(&place).await.unwrap().len(), 2);
    let checked = backup::verify(&place, Some(&first.id)).await.unwrap();
    assert_eq!((checked.files, checked.findings), (first.files, vec![]));
    // Old files may go afterwards: the backup has its own.
    store.clean_all().await.unwrap();

    let target = tempfile::tempdir().unwrap();
    let data = target.path().join("data");
    let first_at = chrono::DateTime::parse_from_rfc3339(&first.at).unwrap().timestamp_micros();
    let back = restored(&place, &data, Some(first_at)).await;
    // Questions are rows, too.
    assert_eq!(back.status().next_seq, first.seq, "no place in the log is given out twice");
    let (events, things) =
        (ask(&back, "SELECT count(*), max(size) FROM event").await, ask(&back, "SELECT count(*) FROM thing").await);
    let (count, newest) = events.split_once(' ').unwrap();
    assert_eq!(count, if count == "0" { count } else { newest }, "every frame up to one is there");
    assert_eq!(things, (count.parse::<i64>().unwrap() + 1).to_string(), "and whole");
    let asked = format!("SELECT count(*) FROM as_of('thing', {})", first.seq - 1);
    assert_eq!(ask(&store, &asked).await, things, "as the store itself remembers the moment");
    assert_eq!(ask(&back, "SELECT sum(\"Cost\") FROM bill").await, ask(&store, "SELECT sum(\"Cost\") FROM bill").await);
    assert_eq!(std::fs::read_to_string(data.join("some.key")).unwrap(), "secret");
    assert!(back.append(keyed("k1", named("first", "here"))).await.unwrap().repeated, "keys are remembered");
    back.append(named("later", "here")).await.unwrap();
    back.close().await.unwrap();

    let newest = restored(&place, &target.path().join("newest"), None).await;
    assert_eq!(ask(&newest, "SELECT count(*), max(size) FROM event").await, "200 200");

    // What is refused: a folder in use, a damaged file, a time before the first backup.
    let restore = async |dir: &Path, at| backup::restore(&Settings::new(dir), &place, None, at).await.unwrap_err();
    assert_eq!(restore(&data, None).await.kind(), Kind::Conflict);
    assert_eq!(restore(&target.path().join("none"), Some(1)).await.kind(), Kind::NotFound);
    let objects = kept.path().join("backups/objects");
    let mut files: Vec<_> =
        std::fs::read_dir(objects).unwrap().flat_map(|d| std::fs::read_dir(d.unwrap().path()).unwrap()).collect();
    let damaged = files.swap_remove(0).unwrap().path();
    std::fs::remove_file(&damaged).unwrap();
    std::fs::write(&damaged, "damaged").unwrap();
    let findings: Vec<String> = {
        let mut all = Vec::new();
        for id in [&first.id, &second.id] {
            all.extend(backup::verify(&place, Some(id)).await.unwrap().findings);
        }
        all
    };
    assert!(!findings.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_was_cut_off_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("restore.unfinished"), "").unwrap();
    let catalogue = Catalogue { tables: vec![&EVENT, &crate::reject::REJECT, &QUERY_LOG], ..Catalogue::default() };
    let ports = Ports { clock: Arc::new(WallClock), redactor: Arc::new(NoRedaction) };
    let refused = Store::open(Settings::new(dir.path()), catalogue, ports).await.unwrap_err();
    assert!(refused.kind() == Kind::Corrupt && refused.to_string().contains("restore again"), "{refused}");
}
