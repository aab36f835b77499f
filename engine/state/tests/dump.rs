//! The database as lines, from one database into the other, and values that leave it.

use std::io::BufReader;

use super::*;
use crate::needles::Needles;

async fn dump(state: &State) -> String {
    let mut lines = Vec::new();
    state.snapshot().await.unwrap().write(state.is_sqlite(), &mut lines).await.unwrap();
    String::from_utf8(lines).unwrap()
}

/// SQLite says 1 where PostgreSQL says true; everything else is the same.
fn plain(dump: &str) -> String {
    dump.replace(",true", ",1").replace(",false", ",0")
}

async fn fill(state: &State) {
    let tenant = "INSERT INTO tenant (id, name, created_at) VALUES ('acme', 'Acme \"&\" Söhne', 7)";
    state.execute(tenant, &[]).await.unwrap();
    let key = "INSERT INTO api_key (id, tenant, name, role, scopes, teams, roles, hash, created_at)
        VALUES ($1, 'acme', 'Ana Meier', 'tenant', 'read', '', '', 'h', 8)";
    for id in 0..200 {
        state.execute(key, &[format!("k{id}").into()]).await.unwrap();
    }
    let hold = "INSERT INTO legal_hold (id, tables, tenant, about_subject, reason, placed_by, placed_at)
        VALUES ('h1', '*', NULL, $1, 'by ANA MEIER', 'ana meier and Ana Meier', 9)";
    state.execute(hold, &[true.into()]).await.unwrap();
}

async fn loaded(settings: &Settings, lines: &str) -> State {
    let state = State::open(settings).await.unwrap();
    state.load(Box::new(BufReader::new(lines.as_bytes()))).await.unwrap();
    state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_is_one_moment_and_becomes_the_same_database() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let state = State::open(&Settings::new(from.path())).await.unwrap();
    fill(&state).await;
    let then = state.snapshot().await.unwrap();
    let later = "INSERT INTO tenant (id, name, created_at) VALUES ('later', 'Later', 10)";
    state.execute(later, &[]).await.unwrap();
    let mut lines = Vec::new();
    let dumped = then.write(true, &mut lines).await.unwrap();
    let lines = String::from_utf8(lines).unwrap();
    assert!(!lines.contains("Later") && dumped.rows > 201, "{dumped:?}");
    let copy = loaded(&Settings::new(to.path()), &lines).await;
    assert_eq!(dump(&copy).await, lines);
    // A used database is not written over, and half a dump is none.
    let again = copy.load(Box::new(BufReader::new(lines.as_bytes()))).await.unwrap_err();
    assert_eq!(again.kind(), Kind::Conflict);
    let fresh = tempfile::tempdir().unwrap();
    let fresh = State::open(&Settings::new(fresh.path())).await.unwrap();
    let refused = async |lines: &str| fresh.load(Box::new(BufReader::new(lines.as_bytes()))).await.unwrap_err();
    for cut in [lines.len() / 2, lines.rfind("{\"end\"").unwrap()] {
        assert_eq!(refused(&lines[..cut]).await.kind(), Kind::Corrupt);
    }
    let unknown = lines.replace("{\"table\":\"tenant\"", "{\"table\":\"tenants_of_tomorrow\"").replace(
        "\"columns\":[\"id\",\"name\",\"created_at\",\"ended_at\"],\"table\":\"tenant\"",
        "\"columns\":[\"id\"],\"table\":\"tenants_of_tomorrow\"",
    );
    let newer = refused(&unknown).await;
    assert!(newer.to_string().contains("use a newer one"), "{newer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_database_becomes_the_other_and_back() {
    let Some(server) = Postgres::start() else { return };
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sqlite = State::open(&Settings::new(first.path())).await.unwrap();
    fill(&sqlite).await;
    let lines = dump(&sqlite).await;
    let postgres = loaded(&server.settings(first.path(), "restored").await, &lines).await;
    let there = dump(&postgres).await;
    assert_eq!(plain(&there), plain(&lines));
    let back = loaded(&Settings::new(second.path()), &there).await;
    assert_eq!(dump(&back).await, lines);
    scrub(&postgres).await;
}

/// One tenant's rows, and those that are nobody's: a key of the platform, a hold over all.
async fn scrub_one_tenant(state: &State) {
    let needles = Needles::new(&["Ana Meier".to_owned()]).unwrap();
    state.execute("INSERT INTO tenant (id, name, created_at) VALUES ('other', 'Ana Meier Ltd', 7)", &[]).await.unwrap();
    let keys = "INSERT INTO api_key (id, tenant, name, role, scopes, teams, roles, hash, created_at)
        VALUES ('o1', 'other', 'Ana Meier', 'tenant', 'read', '', '', 'h', 8),
            ('p1', NULL, 'Ana Meier', 'platform', 'admin', '', '', 'h', 8)";
    state.execute(keys, &[]).await.unwrap();
    let other = Some(&["other", "platform"][..]);
    let found = state.find_values(&needles, &|table| table != "legal_hold", other).await.unwrap();
    let mut own: Vec<_> = found.own.iter().map(|f| (f.table.as_str(), f.column.as_str(), f.cells)).collect();
    own.sort_unstable();
    assert_eq!((&own[..], found.elsewhere), (&[("api_key", "name", 2), ("tenant", "name", 1)][..], 200));
    state.mask_values(&needles, &|table| table == "api_key", other, &|n| format!("[{n}]")).await.unwrap();
    let left = "SELECT tenant, count(*) AS n FROM api_key WHERE name = 'Ana Meier' GROUP BY tenant";
    let left = state.fetch(left, &[]).await.unwrap();
    assert_eq!((left.len(), left[0].get::<String>("tenant").unwrap()), (1, "acme".to_owned()));
    state.execute("DELETE FROM api_key WHERE id IN ('o1', 'p1')", &[]).await.unwrap();
    state.execute("DELETE FROM tenant WHERE id = 'other'", &[]).await.unwrap();
}

async fn scrub(state: &State) {
    scrub_one_tenant(state).await;
    let needles = Needles::new(&["Ana Meier".to_owned()]).unwrap();
    let wants = |table: &str| table != "tenant";
    let found = state.find_values(&needles, &wants, None).await.unwrap().own;
    let found: Vec<_> = found.iter().map(|f| (f.table.as_str(), f.column.as_str(), f.cells)).collect();
    let wanted = [("api_key", "name", 200), ("legal_hold", "placed_by", 1), ("legal_hold", "reason", 1)];
    assert!(wanted.iter().all(|one| found.contains(one)) && found.len() == 3, "{found:?}");
    state.mask_values(&needles, &wants, None, &|n| format!("[{n}]")).await.unwrap();
    assert!(state.find_values(&needles, &wants, None).await.unwrap().own.is_empty());
    let by: String = state.fetch("SELECT placed_by FROM legal_hold", &[]).await.unwrap()[0].get("placed_by").unwrap();
    assert!(by.contains(" and ") && by.contains('[') && !by.contains("Meier"), "{by}");
    state.write_anew(&["api_key", "legal_hold"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_masked_value_leaves_the_file() {
    let data = tempfile::tempdir().unwrap();
    let state = State::open(&Settings::new(data.path())).await.unwrap();
    fill(&state).await;
    scrub(&state).await;
    let needles = Needles::new(&["Ana Meier".to_owned()]).unwrap();
    for file in std::fs::read_dir(data.path()).unwrap() {
        let path = file.unwrap().path();
        assert!(!needles.is_in(&std::fs::read(&path).unwrap()), "{}", path.display());
    }
}
