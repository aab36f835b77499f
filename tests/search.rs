//! Searches by the real binary: documents are read, found over the command line and SQL, gone when they are deleted, and
//! there again after a restart, after a kill, and after another model was turned to.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Ground, Server};

/// A trial's model: no weights, the same on every machine.
const MODEL: &str = "hashed-128";
/// What was written is searchable within this time.
const FRESH: Duration = Duration::from_secs(1);
/// A debug build on a busy machine is given this much more.
const PATIENCE: Duration = Duration::from_secs(30);

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn wiki(ground: &Ground) -> std::path::PathBuf {
    let wiki = ground.beside("wiki");
    write(
        &wiki,
        &[
            (
                "keys.md",
                "# Keys\n\n## Rotate\n\nTo rotate the key of the vault, make a new one first.\n\n## Budget\n\nBudgets end at midnight.\n",
            ),
            ("nodes.md", "# Nodes\n\nDrain the node pool before an upgrade.\n"),
            ("secret.md", "---\nacl: [ops]\n---\n# Secret\n\nThe vault has a second door.\n"),
            ("knoten.md", "# Knoten\n\nVor dem Upgrade wird der Knotenpool geleert.\n"),
        ],
    );
    wiki
}

fn ingest(ground: &Ground, folder: &Path, more: &[&str]) {
    let folder = folder.to_str().unwrap();
    ground.run(&[&["ingest", "docs", folder][..], more].concat()).ok();
}

fn search(ground: &Ground, args: &[&str]) -> Value {
    let done = ground.run(&[&["search"][..], args, &["--json"]].concat());
    assert!(matches!(done.code, Some(0 | 1)), "{}\n{}", done.stdout, done.stderr);
    serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}", done.stdout))
}

fn paths(found: &Value) -> Vec<String> {
    let hits = found["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["path"].as_str().unwrap().to_owned()).collect()
}

fn status(ground: &Ground) -> Value {
    serde_json::from_str(&ground.run(&["index", "status", "--json"]).ok().stdout).unwrap()
}

/// Waits until the index waits for nothing.
fn settled(ground: &Ground) -> Value {
    let begun = Instant::now();
    loop {
        let now = status(ground);
        let missing = now["active"]["missing"].as_u64().unwrap_or(0);
        if now["waiting_documents"] == 0 && now["behind"] == false && missing == 0 {
            assert!(now["chunks"].as_u64() > Some(0), "there are documents: {now:#}");
            return now;
        }
        assert!(begun.elapsed() < PATIENCE, "{now:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn documents_are_found_by_words_without_a_model_and_that_is_said() {
    let ground = Ground::new();
    ingest(&ground, &wiki(&ground), &[]);
    let done = ground.run(&["search", "rotate the key", "-k", "2"]).ok();
    assert!(done.stderr.contains("full text only"), "{}", done.stderr);
    assert!(done.stdout.contains("Rotate") && done.stdout.contains("keys.md ["), "{}", done.stdout);
    let parts = ground.run(&["search", "rotate the key", "-k", "1", "--parts"]).ok();
    assert!(
        parts.stdout.trim_end().ends_with("  To rotate the key of the vault, make a new one first."),
        "{}",
        parts.stdout
    );
    let found = search(&ground, &["rotate the key", "-k", "2", "--explain"]);
    assert_eq!(paths(&found)[0], "keys.md");
    let hit = &found["hits"][0];
    let text = fs::read_to_string(ground.beside("wiki/keys.md")).unwrap();
    let span = hit["start"].as_u64().unwrap() as usize..hit["end"].as_u64().unwrap() as usize;
    assert_eq!(&text[span], hit["text"].as_str().unwrap());
    assert_eq!(hit["explain"]["text"]["rank"], 1);
    assert_eq!(ground.run(&["search", "xyzzy"]).code, Some(1));
    let refused = ground.run(&["search", "key", "--legs", "vector"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    let rows = ground.ask("SELECT path FROM search('Knotenpool leeren', 1)");
    assert_eq!(rows, [["knoten.md"]]);
}

#[test]
fn a_running_server_finds_what_was_just_written_and_nothing_that_is_gone() {
    let ground = Ground::new();
    let wiki = wiki(&ground);
    let server = Server::start(&ground, &["--embedder", MODEL]);
    ingest(&ground, &wiki, &["--tenant", "acme"]);
    settled(&ground);
    let mine = ["--tenant", "acme"];
    assert_eq!(paths(&search(&ground, &[&["rotate the key"][..], &mine].concat()))[0], "keys.md");
    // Nobody of another tenant, and nobody outside the group.
    assert!(paths(&search(&ground, &["rotate the key", "--tenant", "globex"])).is_empty());
    let guarded = |more: &[&str]| paths(&search(&ground, &[&["second door of the vault"][..], &mine, more].concat()));
    assert!(!guarded(&[]).contains(&"secret.md".to_owned()));
    assert_eq!(guarded(&["--group", "ops"])[0], "secret.md");
    // Within a second of the acknowledgement.
    write(&wiki, &[("fresh.md", "# Fresh\n\nZanzibar is where the cloves grow.\n")]);
    ingest(&ground, &wiki, &["--tenant", "acme"]);
    let begun = Instant::now();
    let took = loop {
        let sql = "SELECT count(*) FROM search('Zanzibar cloves', 3) WHERE path = 'fresh.md'";
        if ground.ask(sql) == [["1"]] {
            break begun.elapsed();
        }
        assert!(begun.elapsed() < PATIENCE, "not found");
    };
    if took > FRESH {
        println!("!!! it took {took:?} until a new document was found, on a busy machine");
    }
    fs::remove_file(wiki.join("keys.md")).unwrap();
    ingest(&ground, &wiki, &["--tenant", "acme"]);
    let begun = Instant::now();
    while paths(&search(&ground, &["rotate the key"])).contains(&"keys.md".to_owned()) {
        assert!(begun.elapsed() < PATIENCE, "a document that is gone is still found");
    }
    let before = settled(&ground);
    let (code, _) = server.stop();
    assert_eq!(code, Some(0));
    let _server = Server::start(&ground, &["--embedder", MODEL]);
    let after = settled(&ground);
    assert_eq!((&after["chunks"], &after["documents"]), (&before["chunks"], &before["documents"]));
    assert_eq!(after["embedded_inputs"], 0, "nothing is embedded again after a restart");
    assert_eq!(paths(&search(&ground, &["Zanzibar cloves", "-k", "1"])), ["fresh.md"]);
}

#[test]
fn another_model_is_built_beside_and_remembered() {
    let ground = Ground::new();
    ingest(&ground, &wiki(&ground), &[]);
    let index = |args: &[&str]| ground.run(&[&["index"][..], args].concat());
    let built = index(&["build", "--embedder", MODEL, "--json"]).ok();
    let built: Value = serde_json::from_str(&built.stdout).unwrap();
    assert_eq!((&built["active"]["model"], &built["active"]["missing"]), (&MODEL.into(), &0.into()));
    let _server = Server::start(&ground, &["--embedder", MODEL]);
    let built: Value = serde_json::from_str(&index(&["build", "--model", "hashed-500", "--json"]).ok().stdout).unwrap();
    assert_eq!(built["active"]["model"], "hashed-500");
    let found = search(&ground, &["rotate the key", "--legs", "vector"]);
    assert_eq!((paths(&found)[0].as_str(), &found["model"]), ("keys.md", &"hashed-500".into()));
    assert!(index(&["drop", "--model", MODEL]).ok().stdout.contains("vectors of hashed-128 are deleted"));
    assert_eq!(ground.ask("SELECT DISTINCT model FROM embedding"), Vec::<Vec<String>>::new());
    assert_eq!(ground.ask("SELECT DISTINCT model, width FROM embedding_1024"), [["hashed-500", "500"]]);
    let refused = index(&["build", "--model", "no-such-model"]);
    assert_ne!(refused.code, Some(0));
    assert_eq!(
        search(&ground, &["rotate the key"])["model"],
        "hashed-500",
        "a model that is not there changes nothing"
    );
}

/// Killed between any two steps of its work, the index is whole at the next start: the same answers as one built at once.
#[test]
fn a_kill_at_any_step_leaves_a_right_index() {
    let whole = {
        let ground = Ground::new();
        ingest(&ground, &wiki(&ground), &[]);
        ground.run(&["index", "build", "--embedder", MODEL]).ok();
        answers(&ground, MODEL)
    };
    for (point, build) in [
        ("chunks-written", None),
        ("text-committed", None),
        ("embedding-kept", None),
        ("embedding-kept", Some("hashed-96")),
        ("model-switched", Some("hashed-96")),
    ] {
        let ground = Ground::new();
        ingest(&ground, &wiki(&ground), &[]);
        let args = ["--embedder", MODEL, "--fail-at", point];
        match build {
            None => {
                // The follower comes to the point by itself; the server may not even say where it listens.
                if let Ok(mut server) = Server::try_start(&ground, &args) {
                    wait_for_kill(&mut server, point);
                }
            }
            Some(model) => {
                ground.run(&["index", "build", "--embedder", MODEL]).ok();
                let mut server = Server::start(&ground, &args);
                let done = ground.run(&["index", "build", "--model", model]);
                assert_ne!(done.code, Some(0), "{point}: {}", done.stdout);
                wait_for_kill(&mut server, point);
            }
        }
        let _server = Server::start(&ground, &["--embedder", MODEL]);
        settled(&ground);
        assert_eq!(answers(&ground, MODEL), whole, "after a kill at {point}");
    }
}

fn wait_for_kill(server: &mut Server, point: &str) {
    let begun = Instant::now();
    loop {
        match server.ended() {
            Some(status) => return assert_eq!(status.signal(), Some(9), "{point}: {status}"),
            None if begun.elapsed() > PATIENCE => panic!("{point} was not reached\n{}", server.log()),
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// What some questions find, whatever numbers the rows have.
fn answers(ground: &Ground, model: &str) -> Vec<String> {
    let mut all = Vec::new();
    for query in ["rotate the key", "Knotenpool", "vault door", "upgrade of a node pool"] {
        for legs in ["both", "text", "vector"] {
            let found = search(ground, &[query, "--legs", legs, "--embedder", model]);
            for hit in found["hits"].as_array().unwrap() {
                let score = hit["score"].as_f64().unwrap();
                all.push(format!("{legs} {} {} {score:.4}", hit["path"], hit["text"]));
            }
        }
    }
    all
}
