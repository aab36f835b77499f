//! The state database on a real PostgreSQL: keys and leases survive there, and stand in the same SQL as the facts.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::{Ground, Server, skipped};
use crate::records::logs;

/// A PostgreSQL of this test, stopped and removed with it.
pub struct Postgres {
    pub url: String,
    folder: PathBuf,
}

fn script(command: &str, folder: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/postgres.sh");
    Command::new(script).arg(command).arg(folder).output().expect("the script starts")
}

impl Postgres {
    pub fn start(ground: &Ground) -> Option<Postgres> {
        // PostgreSQL does not run as root, and its own user must be able to enter the folder.
        let folder = ground.beside("postgres");
        let above = folder.parent().expect("beside the data directory");
        std::fs::set_permissions(above, PermissionsExt::from_mode(0o755)).expect("the folder is ours");
        let output = script("start", &folder);
        if output.status.code() == Some(77) {
            skipped("PostgreSQL", String::from_utf8_lossy(&output.stderr).trim());
            return None;
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let url = said.lines().last().expect("the script prints a URL").to_owned();
        Some(Postgres { url, folder })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        script("stop", &self.folder);
    }
}

#[test]
fn state_lives_in_postgresql() {
    let ground = Ground::new();
    let Some(postgres) = Postgres::start(&ground) else { return };
    let args = ["--state", postgres.url.as_str()];
    let mut server = Server::start(&ground, &args);
    let key = server.key.clone();
    assert_eq!(
        server.connect().post("/v1/logs", "application/x-protobuf", logs("pg", &["one".to_owned()])).status,
        200
    );
    assert!(!ground.data().join("state.db").exists(), "no SQLite beside it");
    let tables = server.sql("SELECT table_name FROM information_schema.tables WHERE table_name = 'api_key'");
    assert_eq!(tables.rows, [["api_key"]]);
    let both = server.cell("SELECT count(*) FROM otel_log l JOIN api_key k ON 1 = 1 WHERE l.service_name = 'pg'");
    assert_eq!(both, "1", "facts and state in one question");
    server.kill9();
    let server = Server::start(&ground, &args);
    assert_eq!(server.key, key, "the key is known after a restart");
    assert_eq!(server.cell("SELECT count(*) FROM otel_log"), "1");
    let made = ground.run(&["key", "create", "ci", "--tenant", "acme"]).ok().stdout;
    assert!(made.starts_with("swk_"), "{made}");
    assert_eq!(server.cell("SELECT count(*) FROM audit WHERE action = 'key.create' AND tenant = 'acme'"), "1");
    let verified = ground.run(&["audit", "verify"]).ok().stdout;
    assert!(verified.contains("nothing was changed"), "{verified}");
}
