//! The full cycle over a real S3 server: tables on it, then the log on it too, with no trusted local disk.

use crate::harness::{Ground, Server, Service, skipped};
use crate::records::logs;

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
    let address = service.fact("endpoint").trim_start_matches("http://").to_owned();
    for _ in 0..300 {
        if std::net::TcpStream::connect(&address).is_ok() {
            return Some(Bucket { service, _ground: ground });
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("MinIO did not listen on {address}");
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
