//! Real clients against the real server: the OpenTelemetry SDK and its exporters, from PyPI. `tests/clients/otel_sdk.py`
//! sends and says, as JSON, what it believes to have sent.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Ground, Server, skipped};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python that `make test` prepared, if it could.
fn python() -> Option<PathBuf> {
    let cache = std::env::var_os("STELLWERK_CACHE").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
            .map(|cache| cache.join("stellwerk"))
    })?;
    let wants = std::fs::read(root().join("tests/clients/requirements.txt")).ok()?;
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&wants));
    let venv = cache.join(format!("venv-{}", &hash[..12]));
    venv.join("ready").exists().then(|| venv.join("bin/python"))
}

fn check(protocol: &str) {
    let Some(python) = python() else {
        skipped("OpenTelemetry SDK", "its Python environment is not there; make test prepares it");
        return;
    };
    let ground = Ground::new();
    let server = Server::start(&ground, &[]);
    let mut client = Command::new(python);
    client.arg(root().join("tests/clients/otel_sdk.py")).args([
        "--protocol",
        protocol,
        "--endpoint",
        &format!("http://{}", server.address),
    ]);
    let output = client.env("STELLWERK_KEY", &server.key).output().expect("python starts");
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), server.log());
    let sent: Value = serde_json::from_slice(&output.stdout).expect("the client prints JSON");

    for (table, name) in [("otel_log", "logs"), ("otel_span", "spans"), ("otel_metric", "metrics")] {
        let got = server.cell(&format!("SELECT count(*) FROM {table}"));
        assert_eq!(got, sent[name].to_string(), "{table} over {protocol}");
    }
    let ids: BTreeSet<String> =
        server.sql("SELECT DISTINCT trace_id FROM otel_span").rows.into_iter().flatten().collect();
    let expected =
        sent["trace_ids"].as_array().expect("a list").iter().map(|id| id.as_str().unwrap_or_default().to_owned());
    assert_eq!(ids, expected.collect::<BTreeSet<_>>(), "trace ids over {protocol}");
    assert_eq!(server.cell("SELECT count(*) FROM reject"), "0");
}

#[test]
fn the_opentelemetry_sdk_delivers_over_grpc() {
    check("grpc");
}

#[test]
fn the_opentelemetry_sdk_delivers_over_http() {
    check("http");
}
