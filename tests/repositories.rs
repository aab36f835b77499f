//! Documents and repositories, read twice by the real binary: the second time only what changed.

use std::fs;
use std::path::Path;

use git2::{Repository, Signature, Time};
use serde_json::{Value, json};

use crate::harness::{Ground, Server};

/// Writes files into a repository and commits them; `None` takes a file away.
fn commit(repository: &Repository, files: &[(&str, Option<&str>)], message: &str, at: i64) {
    let folder = repository.workdir().expect("the repository has a folder").to_owned();
    let mut index = repository.index().unwrap();
    for (path, text) in files {
        match text {
            Some(text) => {
                fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
                fs::write(folder.join(path), text).unwrap();
                index.add_path(Path::new(path)).unwrap();
            }
            None => index.remove_path(Path::new(path)).unwrap(),
        }
    }
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    index.write().unwrap();
    let who = Signature::new("Ada", "ada@example.com", &Time::new(at, 0)).unwrap();
    let parent = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
    repository.commit(Some("HEAD"), &who, &who, message, &tree, &parent.iter().collect::<Vec<_>>()).unwrap();
}

fn summary(text: &str) -> (u64, u64, u64) {
    let told: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"));
    let of = |name: &str| told[name].as_u64().unwrap_or_default();
    (of("accepted"), of("rejected"), of("repeated"))
}

#[test]
fn a_repository_is_read_again_only_where_it_changed() {
    let ground = Ground::new();
    let folder = ground.beside("shop");
    let mut options = git2::RepositoryInitOptions::new();
    let repository = Repository::init_opts(&folder, options.initial_head("main")).unwrap();
    let adr = "# 1. Use X\n\nDate: 2026-03-01\n\n## Status\n\nAccepted\n\n## Decision\n\nWe use X.\n";
    let first = [
        ("README.md", Some("# Shop\n\nThis is the shop, and it is not for you.\n")),
        ("docs/adr/0001-use-x.md", Some(adr)),
        ("CODEOWNERS", Some("* @all\n/docs/ @docs\n")),
        ("package.json", Some(r#"{"name": "shop", "version": "1.0.0", "dependencies": {"a": "^1"}}"#)),
    ];
    commit(&repository, &first, "feat: begin (AB#12)", 1_767_225_600);
    let url = format!("file://{}", folder.display());
    let read = || summary(&ground.run(&["ingest", "git", &url, "--format", "json"]).ok().stdout);
    // A commit, four files, two rules, a manifest, two documents and the ref.
    assert_eq!(read(), (11, 0, 0));
    let rows = |ground: &Ground| ground.ask("SELECT max(_seq) FROM git_file").concat().concat();
    let before = rows(&ground);
    assert_eq!(read(), (0, 0, 5));
    assert_eq!(rows(&ground), before);
    assert_eq!(
        ground.ask("SELECT adr_number, adr_status, adr_date, adr_decision FROM adr"),
        [["1", "accepted", "2026-03-01", "We use X."]]
    );
    assert_eq!(ground.ask("SELECT path FROM git_file WHERE owners LIKE '%@docs%'"), [["docs/adr/0001-use-x.md"]]);
    assert_eq!(ground.ask("SELECT name, requirement FROM git_dependency"), [["a", "^1"]]);

    let second = [
        ("README.md", None),
        ("src/x.rs", Some("fn x() {}\n")),
        ("package.json", Some(r#"{"name": "shop", "version": "1.1.0", "dependencies": {"b": "^2"}}"#)),
    ];
    commit(&repository, &second, "fix!: replace a by b\n\nSigned-off-by: Ada <ada@example.com>\n", 1_767_312_000);
    let (_, rejected, repeated) = read();
    assert_eq!((rejected, repeated), (0, 3));
    assert_eq!(
        ground.ask("SELECT path FROM git_file ORDER BY path").concat(),
        ["CODEOWNERS", "docs/adr/0001-use-x.md", "package.json", "src/x.rs"]
    );
    assert_eq!(ground.ask("SELECT name FROM git_dependency"), [["b"]]);
    assert_eq!(ground.ask("SELECT count(*) FROM document WHERE title = 'Shop'"), [["0"]]);
    let commits = ground.ask("SELECT conventional_type, is_breaking, insertions, deletions, work_items FROM git_commit ORDER BY committed_at");
    assert_eq!(commits, [["feat", "false", "17", "0", "[\"AB#12\"]"], ["fix", "true", "2", "4", ""]]);
    assert_eq!(ground.ask("SELECT count(*) FROM reject"), [["0"]]);
    let lost = ground.run(&["ingest", "git", folder.to_str().unwrap(), "--ref", "none"]);
    assert!(lost.code == Some(1) && lost.stderr.contains("has no ref none"), "{}", lost.stderr);
}

#[test]
fn a_tree_of_documents_follows_its_files() {
    let ground = Ground::new();
    let folder = ground.beside("wiki");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(
        folder.join("a.md"),
        "---\ntitle: Erste\n---\n# A\n\nDie Anlage ist nicht in Betrieb und wird geprüft.\n",
    )
    .unwrap();
    fs::write(folder.join("sub/b.html"), "<html><head><title>B</title></head><body><h1>Bee</h1><p>This is the page, and it is for you.</p></body></html>").unwrap();
    // Through a running server, as an operator would.
    let server = Server::start(&ground, &[]);
    let read = || summary(&ground.run(&["ingest", "docs", folder.to_str().unwrap(), "--format", "json"]).ok().stdout);
    assert_eq!(read(), (2, 0, 0));
    assert_eq!(read(), (0, 0, 2));
    let told = || server.sql("SELECT path, title, language, version FROM document ORDER BY path").rows;
    assert_eq!(json!(told()), json!([["a.md", "Erste", "de", "1"], ["sub/b.html", "B", "en", "1"]]));
    fs::write(folder.join("a.md"), "# Neu\n").unwrap();
    fs::remove_file(folder.join("sub/b.html")).unwrap();
    assert_eq!(read(), (2, 0, 0));
    assert_eq!(json!(told()), json!([["a.md", "Neu", "NULL", "2"]]));
}
