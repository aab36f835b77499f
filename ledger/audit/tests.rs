//! The log over both databases: what is appended by many at once verifies and is proved; what is changed below it is found.

#![allow(clippy::unwrap_used)]

pub(crate) mod ground;

use engine::{NoRedaction, Scope, Settings};
use serde_json::json;

use super::export::{Destination, log_name, sign};
use super::merkle::SEGMENT_LEAVES;
use super::proof::{prove_consistency, prove_inclusion};
use super::root::SigningKey;
use super::siem::Format;
use super::verify::{Verdict, Wrong, verify};
use super::*;
use crate::directory::OsDice;
use ground::{Hand, Postgres};

async fn open(settings: &Settings) -> (Arc<State>, Arc<Audit>, Arc<Hand>) {
    let state = Arc::new(State::open(settings).await.unwrap());
    let hand = Arc::new(Hand::default());
    let audit = Audit::start(state.clone(), hand.clone(), Arc::new(OsDice), Arc::new(NoRedaction)).await.unwrap();
    (state, Arc::new(audit), hand)
}

fn entry(n: usize) -> Entry {
    let scope = Scope::tenant(if n.is_multiple_of(3) { "acme" } else { "globex" }, "ana");
    let behalf = n.is_multiple_of(2).then_some("bo");
    Entry::new(&scope, "key.create", format!("k{n}")).because("scope keys").on_behalf_of(behalf).with(json!({ "n": n }))
}

async fn verdict(state: &State) -> Verdict {
    verify(state, Vec::new(), &[]).await.unwrap()
}

async fn suite(settings: Settings) {
    let (state, audit, _) = open(&settings).await;
    many_at_once(&state, &audit).await;
    a_transaction_that_fails_leaves_nothing(&state, &audit).await;
    rows_and_growth_are_proved(&state).await;
    an_erased_name_is_no_finding(&state, &audit).await;
    every_change_is_found(&state).await;
    audit.close().await;
    assert!(audit.record(entry(0)).await.is_err(), "a closed log takes nothing");
    two_processes(&settings).await;
    segments_move_out(&settings).await;
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
    suite(server.settings(data.path(), "audit").await).await;
}

async fn many_at_once(state: &Arc<State>, audit: &Arc<Audit>) {
    assert!(verdict(state).await.is_good(), "an empty log");
    let tasks = (0..8).map(|task| {
        let audit = audit.clone();
        tokio::spawn(async move {
            let mut places = Vec::new();
            for n in 0..25 {
                places.push(audit.record(entry(25 * task + n)).await.unwrap());
            }
            places
        })
    });
    let mut places = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        places.extend(task.await.unwrap());
    }
    places.sort_unstable();
    assert_eq!(places, (0..200).collect::<Vec<u64>>(), "every place is given once");
    let found = verdict(state).await;
    assert!(found.is_good() && found.rows == 200, "{found:?}");
    let groups = state.fetch("SELECT COUNT(*) AS n FROM audit_commit", &[]).await.unwrap();
    let groups: i64 = groups[0].get("n").unwrap();
    assert!(groups < 200, "entries that waited together are durable together: {groups} groups");
    let (lines, next) = export::events(state, 190, Format::Jsonl).await.unwrap();
    assert_eq!((lines.len(), next), (10, None));
}

async fn a_transaction_that_fails_leaves_nothing(state: &State, audit: &Audit) {
    let mut dropped = state.transaction().await.unwrap();
    audit.record_in(&mut dropped, vec![entry(0), entry(1)]).await.unwrap();
    drop(dropped);
    assert_eq!(verdict(state).await.rows, 200);
    let mut kept = state.transaction().await.unwrap();
    assert_eq!(audit.record_in(&mut kept, vec![entry(0), entry(1)]).await.unwrap(), 200);
    kept.commit().await.unwrap();
    assert_eq!(audit.record(entry(2)).await.unwrap(), 202);
}

async fn rows_and_growth_are_proved(state: &State) {
    for (seq, size) in [(0, None), (202, None), (7, Some(8)), (7, Some(150)), (149, Some(150))] {
        let proof = prove_inclusion(state, seq, size).await.unwrap();
        assert!(proof.holds() && proof.size == size.unwrap_or(203), "{seq} {size:?}");
    }
    for (from, to) in [(0, None), (1, None), (203, None), (64, Some(65)), (100, Some(200))] {
        assert!(prove_consistency(state, from, to).await.unwrap().holds(), "{from} {to:?}");
    }
    for wrong in [prove_inclusion(state, 203, None).await.is_err(), prove_inclusion(state, 5, Some(5)).await.is_err()] {
        assert!(wrong);
    }
    assert!(
        prove_consistency(state, 5, Some(4)).await.is_err() && prove_consistency(state, 5, Some(999)).await.is_err()
    );
}

async fn an_erased_name_is_no_finding(state: &State, audit: &Audit) {
    state.execute("UPDATE audit SET on_behalf_of = NULL WHERE seq = 200", &[]).await.unwrap();
    assert_eq!(verdict(state).await.findings[0].wrong, Wrong::Changed, "the salt is still there");
    state.execute("DELETE FROM audit_salt WHERE seq = 200 AND field = 'on_behalf_of'", &[]).await.unwrap();
    let found = verdict(state).await;
    assert!(found.is_good() && found.erased == 1, "{found:?}");
    assert!(prove_inclusion(state, 200, None).await.unwrap().holds(), "the proof is as it was");
    let before = prove_inclusion(state, 202, None).await.unwrap();
    assert_eq!(audit.erase("bo", None, &Caller::operator()).await.unwrap(), 101, "every second row, but the one above");
    let found = verdict(state).await;
    assert!(found.is_good() && found.erased == 102 && found.rows == 204, "{found:?}");
    assert_eq!(prove_inclusion(state, 202, Some(203)).await.unwrap(), before);
}

/// What somebody with a shell on the database may do: a statement, what is found, and the row that is named.
const TAMPERING: &[(&str, Wrong, u64)] = &[
    ("UPDATE audit SET subject = 'k999' WHERE seq = 17", Wrong::Changed, 17),
    ("UPDATE audit SET outcome = 'denied' WHERE seq = 0", Wrong::Changed, 0),
    ("UPDATE audit SET at = at + 1 WHERE seq = 203", Wrong::Changed, 203),
    ("UPDATE audit SET tenant = NULL WHERE seq = 3", Wrong::Changed, 3),
    ("UPDATE audit SET actor = 'eve' WHERE seq = 5", Wrong::Changed, 5),
    ("UPDATE audit SET reason = reason || ' ' WHERE seq = 6", Wrong::Changed, 6),
    ("UPDATE audit SET leaf_hash = 'zz' WHERE seq = 8", Wrong::Changed, 8),
    ("UPDATE audit SET actor_commitment = NULL WHERE seq = 9", Wrong::Changed, 9),
    (
        "UPDATE audit_salt SET salt = '00000000000000000000000000000000' WHERE seq = 10 AND field = 'actor'",
        Wrong::Changed,
        10,
    ),
    ("DELETE FROM audit_salt WHERE seq = 11", Wrong::Changed, 11),
    ("DELETE FROM audit WHERE seq = 12", Wrong::Removed, 12),
    ("DELETE FROM audit WHERE seq = 0", Wrong::Removed, 0),
    ("DELETE FROM audit WHERE seq = 203", Wrong::Cut, 203),
    ("DELETE FROM audit WHERE seq >= 100", Wrong::Cut, 150),
    ("UPDATE audit SET seq = CASE seq WHEN 13 THEN 13013 ELSE seq END WHERE seq = 13", Wrong::Removed, 13),
    ("UPDATE audit SET seq = 204 WHERE seq = 203", Wrong::Cut, 203),
    (
        "INSERT INTO audit SELECT 204, at, tenant, actor, on_behalf_of, personal, action, subject, reason, outcome, occurrences, trace_id, detail, actor_commitment, on_behalf_commitment, personal_commitment, leaf_hash FROM audit WHERE seq = 1",
        Wrong::Inserted,
        204,
    ),
    (
        "INSERT INTO audit SELECT -1, at, tenant, actor, on_behalf_of, personal, action, subject, reason, outcome, occurrences, trace_id, detail, actor_commitment, on_behalf_commitment, personal_commitment, leaf_hash FROM audit WHERE seq = 1",
        Wrong::Inserted,
        0,
    ),
    ("UPDATE audit_head SET root = '00' WHERE id = 1", Wrong::Root, 203),
    ("UPDATE audit_head SET size = 150 WHERE id = 1", Wrong::Cut, 150),
    ("UPDATE audit_commit SET root = '00' WHERE size = 204", Wrong::Rewritten, 203),
];

async fn every_change_is_found(state: &State) {
    const TABLES: [&str; 4] = ["audit", "audit_salt", "audit_commit", "audit_head"];
    let run = |sql: String| async move { state.execute(engine::sqlx::AssertSqlSafe(sql), &[]).await.unwrap() };
    for table in TABLES {
        run(format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}")).await;
    }
    for (sql, wrong, seq) in TAMPERING {
        assert!(state.execute(*sql, &[]).await.unwrap() > 0, "{sql}");
        let found = verdict(state).await;
        let named = found.findings.iter().any(|f| f.wrong == *wrong && (f.from..=f.to).contains(seq));
        assert!(named, "{sql}\n{:?}", found.findings);
        for table in TABLES {
            run(format!("DELETE FROM {table}")).await;
            run(format!("INSERT INTO {table} SELECT * FROM kept_{table}")).await;
        }
        assert!(verdict(state).await.is_good(), "as it was after {sql}");
    }
}

/// Two processes on one database give out each place once, and their rows are one tree.
async fn two_processes(settings: &Settings) {
    let (state, one, _) = open(settings).await;
    let (_, two, _) = match settings.state {
        Some(_) => open(settings).await,
        // A SQLite file has one owner; there, two writers of one process stand in for it.
        None => (
            state.clone(),
            Arc::new(
                Audit::start(state.clone(), Arc::new(Hand::default()), Arc::new(OsDice), Arc::new(NoRedaction))
                    .await
                    .unwrap(),
            ),
            Arc::default(),
        ),
    };
    let tasks = [one.clone(), two.clone()].into_iter().flat_map(|audit| {
        (0..4).map(move |task| {
            let audit = audit.clone();
            tokio::spawn(async move {
                for n in 0..20 {
                    audit.record(entry(100 * task + n)).await.unwrap();
                }
            })
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let found = verdict(&state).await;
    assert!(found.is_good() && found.rows == 204 + 160, "{found:?}");
    one.close().await;
    two.close().await;
    state.close().await;
}

async fn segments_move_out(settings: &Settings) {
    let (state, audit, hand) = open(settings).await;
    let there = verdict(&state).await.rows;
    let wanted = usize::try_from(2 * SEGMENT_LEAVES + 5 - there).unwrap();
    let mut transaction = state.transaction().await.unwrap();
    audit.record_in(&mut transaction, (0..wanted).map(entry).collect()).await.unwrap();
    transaction.commit().await.unwrap();
    let (data, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = SigningKey::ensure(data.path(), &OsDice).unwrap();
    let to = Destination::open(away.path().to_str().unwrap(), &[]).unwrap();
    let root = sign(&state, &key, audit.now_us()).await.unwrap();
    to.put_root(&state, &root).await.unwrap();
    to.put_root(&state, &root).await.unwrap();
    let log = log_name(&state).await.unwrap();
    hand.turn(std::time::Duration::from_secs(60));
    let none = retire::retire(&state, &log, 0, &to, false, audit.now_us()).await.unwrap();
    assert!(none.is_empty(), "nothing is that old");
    let planned = retire::retire(&state, &log, audit.now_us(), &to, true, audit.now_us()).await.unwrap();
    assert_eq!(planned.iter().map(|s| (s.from, s.to)).collect::<Vec<_>>(), [(0, 4095), (4096, 8191)]);
    let retired = retire::retire(&state, &log, audit.now_us(), &to, false, audit.now_us()).await.unwrap();
    assert_eq!(retired, planned);
    assert!(retire::retire(&state, &log, audit.now_us(), &to, false, audit.now_us()).await.unwrap().is_empty(), "once");
    let roots = to.roots(&log).await.unwrap();
    assert_eq!(roots, [root]);
    let found = verify(&state, roots, &[key.public()]).await.unwrap();
    assert!(found.is_good() && (found.rows, found.retired) == (5, 2 * SEGMENT_LEAVES), "{found:?}");
    assert_eq!(found.signed_rows, 2 * SEGMENT_LEAVES + 5);
    assert!(prove_inclusion(&state, 8_193, None).await.unwrap().holds());
    assert!(prove_consistency(&state, 8_192, None).await.unwrap().holds());
    assert_eq!(prove_inclusion(&state, 5, None).await.unwrap_err().kind(), engine::Kind::NotFound, "it lies elsewhere");
    assert!(retire::check(&state, &log, &[]).await.unwrap().is_empty());
    let file = away.path().join(format!("segments/{log}/0000000001.jsonl"));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("\"k", "\"x", 1)).unwrap();
    let findings = retire::check(&state, &log, &[]).await.unwrap();
    assert_eq!((findings[0].wrong, findings[0].from), (Wrong::Rewritten, SEGMENT_LEAVES));
    audit.record(entry(1)).await.unwrap();
    assert!(verdict(&state).await.is_good(), "the log goes on");
    audit.close().await;
}

#[tokio::test]
async fn denials_are_counted_exactly() {
    let data = tempfile::tempdir().unwrap();
    let (state, audit, hand) = open(&Settings::new(data.path())).await;
    for n in 0..137 {
        audit.denied(Entry::new(&Scope::platform("unknown"), "key.use", format!("k{n}")).because("unknown key")).await;
        if n == 60 {
            hand.turn(WINDOW);
            audit.sweep().await;
        }
    }
    audit.close().await;
    let sum = state
        .fetch("SELECT CAST(SUM(occurrences) AS BIGINT) AS n, COUNT(*) AS r FROM audit WHERE outcome = 'denied'", &[])
        .await
        .unwrap();
    assert_eq!(sum[0].get::<i64>("n").unwrap(), 137);
    assert_eq!(sum[0].get::<i64>("r").unwrap(), 2 * (i64::from(SAMPLED_MAX) + 1));
    assert!(verdict(&state).await.is_good());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_erased_of_one_tenant_and_of_none() {
    let data = tempfile::tempdir().unwrap();
    let state = Arc::new(State::open(&Settings::new(data.path())).await.unwrap());
    let hand = Arc::new(Hand::default());
    let audit = Audit::start(state.clone(), hand.clone(), Arc::new(OsDice), Arc::new(NoRedaction)).await.unwrap();
    for tenant in [Some("acme"), Some("other"), None] {
        let entry = Entry::new(&Scope::platform("ana meier"), "key.create", "ana meier's").of_tenant(tenant);
        audit.record(entry).await.unwrap();
    }
    let needles = engine::Needles::new(&["Ana Meier".to_owned()]).unwrap();
    assert_eq!(audit.leaves_with(&needles, Some("acme")).await.unwrap(), [0, 2]);
    assert_eq!(audit.leaves_with(&needles, None).await.unwrap(), [0, 1, 2]);
    assert_eq!(audit.names_with(&needles, Some("acme")).await.unwrap(), ["ana meier"]);
    assert_eq!(audit.erase("ana meier", Some("acme"), &Caller::operator()).await.unwrap(), 2);
    let left = state.fetch("SELECT tenant FROM audit WHERE actor = 'ana meier'", &[]).await.unwrap();
    assert_eq!((left.len(), left[0].get::<String>("tenant").unwrap()), (1, "other".to_owned()));
    assert!(audit.names_with(&needles, Some("acme")).await.unwrap().is_empty());
    assert_eq!(audit.names_with(&needles, Some("other")).await.unwrap(), ["ana meier"]);
    assert!(verdict(&state).await.is_good());
}
