//! Prefixes that a model's server writes: chunks are found by them and shown without them, only what changed is asked about
//! again, and a server that fails keeps nothing from being found.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{self, Ground, Server};
use crate::simulated::oracle::Oracle;

/// A trial's model of vectors.
const MODEL: &str = "hashed-128";
/// A debug build on a busy machine is given so much time.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the oracle says of every chunk with the word `valves`.
const SAID: &str = "From the quixotic airship manual of ada@example.org: how gas is refilled.";

fn text(more: &str) -> String {
    let filler = |word: &str| vec![word; 240].join(" ");
    format!("# Guide\n\nThe hangar. {}\n\n## Refill\n\nOpen both valves. {}\n\n{more}", filler("hull"), filler("gas"))
}

fn wiki(ground: &Ground) -> PathBuf {
    let wiki = ground.beside("wiki");
    fs::create_dir_all(&wiki).unwrap();
    fs::write(wiki.join("ship.md"), text("")).unwrap();
    fs::write(wiki.join("note.md"), "# Note\n\nOne chunk is all there is.\n").unwrap();
    wiki
}

fn ingest(ground: &Ground, folder: &Path) {
    ground.run(&["ingest", "docs", folder.to_str().unwrap()]).ok();
}

/// Speaks as long as it is well.
fn oracle(is_well: &Arc<AtomicBool>) -> Oracle {
    let is_well = Arc::clone(is_well);
    Oracle::answering(move |asked| {
        let prompt = asked["messages"][1]["content"].as_str()?;
        let chunk = prompt.split("<<<chunk").nth(1)?;
        let said = if chunk.contains("valves") { SAID } else { "Some other part of the manual." };
        is_well.load(Ordering::SeqCst).then(|| said.split_inclusive(' ').map(str::to_owned).collect())
    })
}

fn status(ground: &Ground) -> Value {
    serde_json::from_str(&ground.run(&["index", "status", "--json"]).ok().stdout).unwrap()
}

/// Waits until the status is as it should be.
fn until(ground: &Ground, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let now = status(ground);
        if is_so(&now) {
            return now;
        }
        assert!(begun.elapsed() < PATIENCE, "{now:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn placed(now: &Value) -> bool {
    let prefixes = &now["prefixes"];
    now["behind"] == false && prefixes["waiting"] == 0 && prefixes["written"].as_u64() > Some(0)
}

fn found(ground: &Ground, query: &str) -> Value {
    let done = ground.run(&["search", query, "--legs", "text", "--json"]);
    serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}{}", done.stdout, done.stderr))
}

#[test]
fn chunks_are_found_by_what_a_server_says_of_them() {
    let ground = Ground::new();
    let is_well = Arc::new(AtomicBool::new(false));
    let oracle = oracle(&is_well);
    let wiki = wiki(&ground);
    let model = oracle.model("big");
    let args = ["--embedder", MODEL, "--context-model", &model];
    let server = Server::start(&ground, &args);
    ingest(&ground, &wiki);
    // The server is away: everything is found all the same, and the status says who waits.
    let now = until(&ground, |now| now["prefixes"]["failed"].is_string() && now["active"]["missing"] == 0);
    assert_eq!((&now["prefixes"]["waiting"], &now["prefixes"]["written"]), (&json!(2), &json!(0)), "{now:#}");
    assert!(now["prefixes"]["failed"].as_str().unwrap().contains("503"), "{now:#}");
    assert_eq!(found(&ground, "open both valves")["hits"][0]["path"], "ship.md");
    assert_eq!(found(&ground, "quixotic airship")["hits"], json!([]));
    let shown = ground.run(&["index", "status"]).ok().stdout;
    assert!(shown.contains("prefixes by big /context-1: 0 chunks have one, 2 wait, 0 go without"), "{shown}");
    is_well.store(true, Ordering::SeqCst);
    until(&ground, placed);
    let hit = found(&ground, "quixotic airship")["hits"][0].clone();
    let span = hit["start"].as_u64().unwrap() as usize..hit["end"].as_u64().unwrap() as usize;
    assert_eq!(&text("")[span], hit["text"].as_str().unwrap(), "a hit is the document's own text");
    // What the model said passed the redactor before anything was made of it.
    let rows = ground.ask("SELECT DISTINCT prefix FROM chunk WHERE prefix LIKE '%quixotic%'");
    assert!(rows.len() == 1 && !rows[0][0].contains("ada@example.org") && rows[0][0].contains("airship"), "{rows:?}");
    assert_eq!(ground.ask("SELECT count(*) FROM chunk_prefix"), [["2"]]);
    let asked = oracle.count();
    // Only what changed is asked about again: not after a restart, and of a text once.
    let (code, _) = server.stop();
    assert_eq!(code, Some(0));
    let server = Server::start(&ground, &args);
    until(&ground, placed);
    assert_eq!((found(&ground, "quixotic airship")["hits"].as_array().unwrap().len(), oracle.count()), (1, asked));
    fs::write(wiki.join("ship.md"), text("## More\n\nAnd more.\n")).unwrap();
    ingest(&ground, &wiki);
    until(&ground, |now| placed(now) && now["chunks"] == 4);
    assert_eq!(oracle.count(), asked + 3, "of a document that changed every chunk is asked about, of others none");
    fs::write(wiki.join("ship.md"), text("")).unwrap();
    ingest(&ground, &wiki);
    until(&ground, |now| placed(now) && now["chunks"] == 3);
    assert_eq!(oracle.count(), asked + 3, "what stood before is known");
    // A build at the side of a server is of the server's settings.
    let other = ground.run(&["index", "build", "--context-model", "none"]);
    assert!(
        other.code == Some(3) && other.stderr.contains("another --context-model"),
        "{:?} {}",
        other.code,
        other.stderr
    );
    ground.run(&["index", "build", "--context-model", &oracle.model("big")]).ok();
    server.stop();
    // Without the option they stay, with none they go.
    assert_eq!(found(&ground, "quixotic airship")["hits"].as_array().unwrap().len(), 1);
    ground.run(&["index", "build", "--embedder", MODEL, "--context-model", "none"]).ok();
    assert_eq!(found(&ground, "quixotic airship")["hits"], json!([]));
    assert_eq!(status(&ground)["prefixes"], Value::Null);
    // A build says that the model failed when all the rest is done; the next one goes on.
    is_well.store(false, Ordering::SeqCst);
    fs::write(wiki.join("ship.md"), text("## Later\n\nZanzibar.\n")).unwrap();
    ingest(&ground, &wiki);
    let build = || ground.run(&["index", "build", "--embedder", MODEL, "--context-model", &oracle.model("big")]);
    let failed = build();
    assert!(failed.code == Some(3) && failed.stderr.contains("everything else is up to date"), "{}", failed.stderr);
    assert_eq!(found(&ground, "Zanzibar")["hits"][0]["path"], "ship.md");
    is_well.store(true, Ordering::SeqCst);
    assert!(build().ok().stdout.contains("3 chunks have one, 0 wait, 0 go without"));
}

#[test]
fn what_they_are_worth_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, lines: &[Value]| {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(folder.path().join(name), text).unwrap();
    };
    put("documents.jsonl", &[json!({"_id": "ship", "text": text("")})]);
    let piece = |id: &str, text: &str| json!({"_id": id, "doc_id": "ship", "text": text});
    put(
        "corpus.jsonl",
        &[piece("a", "Open both valves."), piece("b", "The hangar."), json!({"_id": "c", "text": "Else."})],
    );
    put("queries.jsonl", &[json!({"_id": "1", "text": "quixotic airship"})]);
    fs::write(folder.path().join("qrels.tsv"), "query-id\tcorpus-id\tscore\n1\ta\t1\n").unwrap();
    let oracle = oracle(&Arc::new(AtomicBool::new(true)));
    let kept = tempfile::tempdir().unwrap();
    let measure = |more: &[&str]| -> Value {
        let dir = [folder.path(), kept.path()].map(|path| path.to_str().unwrap());
        let args = ["eval", "retrieval", dir[0], "--legs", "text", "--format", "json", "--data-cache", dir[1]];
        let done = harness::run(&[&args[..], more].concat()).ok();
        serde_json::from_str(&done.stdout).unwrap()
    };
    assert_eq!(measure(&[])["ndcg@10"]["text"], 0.0);
    for _ in 0..2 {
        let report = measure(&["--context-model", &oracle.model("big")]);
        assert_eq!((&report["ndcg@10"]["text"], &report["prefixes_by"]), (&json!(1.0), &json!("big /context-1")));
        assert_eq!(oracle.count(), 2, "the pieces of a document, once");
    }
}
