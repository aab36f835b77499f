//! The full cycle over a real S3 server: tables on it, then the log on it too, with no trusted local disk.

use engine::object_store::aws::{AwsAuthorizer, AwsCredential};
use engine::object_store::client::HttpRequestBody;

use crate::harness::{Ground, Http, Server, Service, run, skipped};
use crate::records::{PROTOBUF, logs};

const USER: &str = "stellwerk";
const PASSWORD: &str = "stellwerk-tests";

/// A running S3 server with the bucket `tests`.
pub struct Bucket {
    service: Service,
    _ground: Ground,
}

/// Starts one. `None`: there is none here, and that was said.
pub fn bucket() -> Option<Bucket> {
    let ground = Ground::new();
    let Some(service) = Service::start("minio.sh", &[&ground.beside("minio")], 2) else {
        skipped("S3", "no MinIO here; make test builds it where go is installed");
        return None;
    };
    println!("S3 server of this run: {}", service.fact("version"));
    let bucket = Bucket { service, _ground: ground };
    let address = bucket.address();
    for _ in 0..300 {
        // It listens before it knows its disk, and answers 503 until then.
        if std::net::TcpStream::connect(address).is_ok() && bucket.ask("GET", "/tests", &[]).0 == 200 {
            return Some(bucket);
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("MinIO is not ready on {address}");
}

impl Bucket {
    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        self.service.fact("endpoint").trim_start_matches("http://").parse().expect("the script prints an address")
    }

    fn options(&self) -> Vec<String> {
        self.options_at(self.service.fact("endpoint"))
    }

    /// Options of a store that reaches it at another address, through a proxy.
    pub fn options_at(&self, endpoint: &str) -> Vec<String> {
        vec![
            format!("aws_endpoint={endpoint}"),
            format!("aws_access_key_id={USER}"),
            format!("aws_secret_access_key={PASSWORD}"),
            "aws_region=us-east-1".to_owned(),
            "allow_http=true".to_owned(),
        ]
    }

    fn args<'a>(&self, options: &'a [String], url: &'a str) -> Vec<&'a str> {
        let mut args = vec!["--store", url];
        options.iter().for_each(|option| args.extend(["--store-option", option.as_str()]));
        args
    }
}

#[test]
fn tables_live_on_s3() {
    let Some(bucket) = bucket() else { return };
    let options = bucket.options();
    let args = bucket.args(&options, "s3://tests/tables");
    let ground = Ground::new();
    let server = Server::start(&ground, &args);
    let ids: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    assert_eq!(server.connect().post("/v1/logs", "application/x-protobuf", logs("s3", &ids)).status, 200);
    assert_eq!(server.stop().0, Some(0));
    let server = Server::start(&ground, &args);
    assert_eq!(server.cell("SELECT count(DISTINCT body) FROM otel_log"), "500");
    // Roots of the audit log lie in a bucket as well as in a folder.
    let given: Vec<&str> = options.iter().flat_map(|option| ["--option", option.as_str()]).collect();
    let audit = |args: &[&str]| {
        ground.run(&[&["audit"][..], args, &given, &bucket.args(&options, "s3://tests/tables")].concat())
    };
    assert!(audit(&["export", "--to", "s3://tests/audit"]).ok().stdout.contains("signed"));
    let verified = audit(&["verify", "--root", "s3://tests/audit"]).ok().stdout;
    assert!(verified.contains("nothing was changed"), "{verified}");
}

/// Tables on S3, backed up to S3, restored on S3 and on a disk: the newest backup, and a moment between two.
#[test]
fn a_backup_on_s3_is_restored_on_s3_and_on_a_disk() {
    let Some(bucket) = bucket() else { return };
    let options = bucket.options();
    let given: Vec<&str> = options.iter().flat_map(|option| ["--option", option.as_str()]).collect();
    let ground = Ground::new();
    let server = Server::start(&ground, &bucket.args(&options, "s3://tests/origin"));
    let send = |body: &str| {
        let reply = server.connect().post("/v1/logs", PROTOBUF, logs("s3", &[body.to_owned()]));
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    let create = || {
        let done = ground.run(&[&["backup", "create", "s3://tests/backups", "--format", "json"][..], &given].concat());
        serde_json::from_str::<serde_json::Value>(&done.ok().stdout).expect("JSON")[0].clone()
    };
    send("first");
    let first = create();
    send("second");
    let to = server.cell("SELECT max(ingested_at) FROM otel_log");
    std::thread::sleep(std::time::Duration::from_millis(20));
    send("third");
    let second = create();
    assert!(second["new_bytes"].as_u64() < second["size_bytes"].as_u64(), "incremental: {second}");
    send("later");
    assert_eq!(server.stop().0, Some(0));
    let verified = run(&[&["backup", "verify", "s3://tests/backups"][..], &given].concat()).ok().stdout;
    assert!(verified.contains("are what was written"), "{verified}");

    let on_s3 = bucket.args(&options, "s3://tests/restored");
    let cases: [(&str, &[&str], &[&str], &[&str]); 4] = [
        ("newest", &[], &[], &["first", "second", "third"]),
        ("by-id", &["--id", first["id"].as_str().expect("an id")], &[], &["first"]),
        ("moment", &["--to", &to], &[], &["first", "second"]),
        ("on-s3", &["--to", &to], &on_s3, &["first", "second"]),
    ];
    for (name, which, store, wanted) in cases {
        let data = ground.beside(name);
        let place = [&["--data", data.to_str().expect("UTF-8")][..], store].concat();
        let restore = [&["backup", "restore", "s3://tests/backups"][..], &given, which, &place].concat();
        run(&restore).ok();
        let sql = "SELECT body FROM otel_log ORDER BY _seq";
        let rows = run(&[&["sql", sql, "--format", "csv"][..], &place].concat()).ok().stdout;
        assert_eq!(rows.lines().skip(1).collect::<Vec<_>>(), wanted, "{name}");
        let verified = run(&[&["audit", "verify"][..], &place].concat()).ok().stdout;
        assert!(verified.contains("nothing was changed"), "{name}: {verified}");
    }
    let data = ground.beside("twice");
    let again = ["backup", "restore", "s3://tests/backups", "--data", data.to_str().expect("UTF-8")];
    let refused = run(&[&again[..], &given, &on_s3].concat());
    assert!(refused.code == Some(3) && refused.stderr.contains("holds tables already"), "{}", refused.stderr);
}

impl Bucket {
    /// A request of S3's own interface, signed; answers status and body.
    fn ask(&self, method: &str, path: &str, more: &[(&str, &str)]) -> (u16, String) {
        let uri = format!("http://{}{path}", self.address());
        let mut request = hyper::Request::builder().method(method).uri(uri);
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let mut request = request.body(HttpRequestBody::empty()).expect("a valid request");
        let credential = AwsCredential { key_id: USER.into(), secret_key: PASSWORD.into(), token: None };
        let signing = AwsAuthorizer::new(&credential, "s3", "us-east-1");
        signing.try_authorize(&mut request, None).expect("a signature");
        let headers: Vec<(&str, &str)> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().expect("a header of text")))
            .collect();
        let reply = Http::new(self.address(), "").send(method, path, &headers, "").expect("a reply");
        (reply.status, reply.text())
    }
}

/// Roots in a bucket with locks: the store itself refuses to let that version go before its time.
#[test]
fn an_exported_root_is_locked() {
    let Some(bucket) = bucket() else { return };
    let (status, said) = bucket.ask("PUT", "/locked", &[("x-amz-bucket-object-lock-enabled", "true")]);
    assert_eq!(status, 200, "{said}");
    let options = bucket.options();
    let given: Vec<&str> = options.iter().flat_map(|option| ["--option", option.as_str()]).collect();
    let ground = Ground::new();
    ground.run(&["key", "create", "somebody", "--tenant", "acme"]).ok();
    let export = |to: &str, more: &[&str]| ground.run(&[&["audit", "export", "--to", to][..], &given, more].concat());
    export("s3://locked/audit", &["--lock", "2d"]).ok();
    let (_, listed) = bucket.ask("GET", "/locked?versions=", &[]);
    let between = |begin: &str, end: &str| {
        let rest = listed.split_once(begin).unwrap_or_else(|| panic!("{begin} in {listed}")).1;
        rest.split_once(end).expect("an end").0.to_owned()
    };
    let (key, version) = (between("<Key>", "</Key>"), between("<VersionId>", "</VersionId>"));
    assert!(key.starts_with("audit/roots/"), "{listed}");
    let (status, held) = bucket.ask("GET", &format!("/locked/{key}?retention="), &[]);
    assert!(status == 200 && held.contains("GOVERNANCE"), "{status} {held}");
    let (status, said) = bucket.ask("DELETE", &format!("/locked/{key}?versionId={version}"), &[]);
    // MinIO says 400, Amazon 403.
    assert!([400, 403].contains(&status) && said.contains("<Error>"), "{status} {said}");
    let kept = bucket.ask("GET", &format!("/locked/{key}?versionId={version}"), &[]);
    assert_eq!(kept.0, 200, "{}", kept.1);
    let verified = ground.run(&[&["audit", "verify", "--root", "s3://locked/audit"][..], &given].concat()).ok().stdout;
    assert!(verified.contains("nothing was changed"), "{verified}");
    // Where there are no locks, nothing is exported that only seems to be locked.
    for to in ["s3://tests/audit", ground.beside("folder").to_str().expect("UTF-8")] {
        let refused = export(to, &["--lock", "2d"]);
        assert!(refused.code != Some(0), "{to}: {}", refused.stdout);
    }
}

/// The rows of a hold in a bucket with locks: they outlast the hold, the rows themselves and who would delete them there.
#[test]
fn a_copy_of_held_rows_is_locked() {
    let Some(bucket) = bucket() else { return };
    let (status, said) = bucket.ask("PUT", "/evidence", &[("x-amz-bucket-object-lock-enabled", "true")]);
    assert_eq!(status, 200, "{said}");
    let options = bucket.options();
    let given: Vec<&str> = options.iter().flat_map(|option| ["--option", option.as_str()]).collect();
    let ground = Ground::new();
    let store = bucket.args(&options, "s3://tests/held");
    let server = Server::start(&ground, &store);
    let body = logs("shop", &["held one".to_owned(), "held two".to_owned()]);
    assert_eq!(server.connect().post("/v1/logs", "application/x-protobuf", body).status, 200);
    let json = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&ground.run(&[args, &["--format", "json"]].concat()).ok().stdout).expect("JSON")
    };
    let hold = json(&["hold", "add", "--table", "otel_log", "--reason", "matter 7"])[0].clone();
    let id = hold["id"].as_str().expect("an id");
    let lock = ["--lock", "2d", "--lock-mode", "compliance"];
    let copy = json(&[&["hold", "copy", id, "s3://evidence/m7"][..], &given, &lock].concat())[0].clone();
    assert_eq!((&copy["rows"], &copy["files"], &copy["lock_mode"]), (&2.into(), &1.into(), &"compliance".into()));
    ground.run(&["hold", "release", id, "--reason", "closed"]).ok();

    let (_, listed) = bucket.ask("GET", "/evidence?versions=", &[]);
    let found: Vec<(&str, &str)> = listed
        .split("<Version>")
        .skip(1)
        .map(|entry| {
            let between =
                |begin: &str, end: &str| entry.split_once(begin).expect("a tag").1.split_once(end).expect("an end").0;
            (between("<Key>", "</Key>"), between("<VersionId>", "</VersionId>"))
        })
        .collect();
    assert_eq!(found.len(), 2, "rows and their list: {listed}");
    for (key, version) in found {
        assert!(key.starts_with("m7/holds/"), "{key}");
        let (status, held) = bucket.ask("GET", &format!("/evidence/{key}?retention="), &[]);
        assert!(status == 200 && held.contains("COMPLIANCE"), "{status} {held}");
        let bypass = [("x-amz-bypass-governance-retention", "true")];
        let (status, said) = bucket.ask("DELETE", &format!("/evidence/{key}?versionId={version}"), &bypass);
        assert!([400, 403].contains(&status) && said.contains("<Error>"), "{status} {said}");
    }
    let check = [&["hold", "check", copy["id"].as_str().expect("an id")][..], &given].concat();
    assert!(ground.run(&check).ok().stdout.contains("1 files of"));
    // Deleted without its version, an object only seems to be gone: a check tells, and the locked version is still there.
    let path = copy["path"].as_str().expect("a path");
    assert_eq!(bucket.ask("DELETE", &format!("/evidence/m7/{path}"), &[]).0, 204);
    let missing = ground.run(&check);
    assert!(missing.code == Some(1) && missing.stdout.contains("it is missing"), "{}", missing.stdout);
    // Where there are no locks, nothing is copied that only seems to be locked, and nothing is noted.
    let again = json(&["hold", "add", "--table", "otel_log", "--reason", "matter 8"])[0].clone();
    let id = again["id"].as_str().expect("an id");
    for to in ["s3://tests/evidence", ground.beside("folder").to_str().expect("UTF-8")] {
        let refused = ground.run(&[&["hold", "copy", id, to][..], &given, &lock].concat());
        assert!(refused.code != Some(0), "{to}: {}", refused.stdout);
    }
    assert_eq!(server.cell("SELECT count(*) FROM hold_copy"), "1");
    assert_eq!(server.cell("SELECT count(*) FROM audit WHERE action = 'hold.copy'"), "1");
}

#[test]
fn without_a_local_disk_an_ack_is_still_durable() {
    let Some(bucket) = bucket() else { return };
    let options = bucket.options();
    let mut args = bucket.args(&options, "s3://tests/object-only");
    args.extend(["--wal", "store"]);
    let ids: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    let first = Ground::new();
    let mut server = Server::start(&first, &args);
    assert_eq!(server.connect().post("/v1/logs", "application/x-protobuf", logs("s3", &ids)).status, 200);
    server.kill9();
    // Another machine: nothing of the first one's folder is there.
    let second = Ground::new();
    let server = Server::start(&second, &args);
    assert_eq!(server.cell("SELECT count(DISTINCT body) FROM otel_log"), "500");
}
