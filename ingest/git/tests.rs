#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use git2::{Oid, Repository, Signature, Time};

use super::*;
use crate::shown::rows;

/// A repository of a test's own.
struct Made {
    folder: tempfile::TempDir,
    repository: Repository,
    at: std::cell::Cell<i64>,
}

impl Made {
    fn new() -> Made {
        let folder = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        options.initial_head("main");
        let repository = Repository::init_opts(folder.path(), &options).unwrap();
        Made { folder, repository, at: std::cell::Cell::new(1_700_000_000) }
    }

    /// Commits these files over what is there; `None` takes a file away.
    fn commit(&self, files: &[(&str, Option<&str>)], message: &str) -> Oid {
        let mut index = self.repository.index().unwrap();
        for (path, text) in files {
            let full = self.folder.path().join(path);
            match text {
                Some(text) => {
                    std::fs::create_dir_all(full.parent().unwrap()).unwrap();
                    std::fs::write(full, text).unwrap();
                    index.add_path(Path::new(path)).unwrap();
                }
                None => index.remove_path(Path::new(path)).unwrap(),
            }
        }
        let tree = self.repository.find_tree(index.write_tree().unwrap()).unwrap();
        index.write().unwrap();
        self.at.set(self.at.get() + 60);
        let who = Signature::new("Ada", "ada@example.com", &Time::new(self.at.get(), 0)).unwrap();
        let parent = self.repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<_> = parent.iter().collect();
        self.repository.commit(Some("HEAD"), &who, &who, message, &tree, &parents).unwrap()
    }

    fn read(&self, known: Known) -> (Parsed, Told) {
        let repository = remote::Repository { name: "r".to_owned(), folder: PathBuf::from(self.folder.path()) };
        let (reference, head) = resolve(&repository, None).unwrap();
        assert_eq!(reference, "main");
        let (frames, mut units) = mpsc::channel(1_000);
        let told = history::read(&Job { tenant: "t".to_owned(), repository, reference, head, known }, &frames).unwrap();
        drop(frames);
        let mut whole = Parsed::default();
        while let Ok(unit) = units.try_recv() {
            whole.accepted += unit.accepted;
            whole.batches.extend(unit.batches);
            whole.rejects.extend(unit.rejects);
        }
        (whole, told)
    }
}

#[test]
fn a_repository_becomes_rows() {
    let made = Made::new();
    made.commit(
        &[
            ("README.md", Some("# Hello\n")),
            ("src/main.rs", Some("fn main() {}\n")),
            ("Cargo.toml", Some("[package]\nname = \"a\"\n[dependencies]\nb = \"1\"\n")),
        ],
        "feat: begin (AB#7)",
    );
    let second = made.commit(
        &[("CODEOWNERS", Some("* @all\n/src/ @dev\n")), ("src/main.rs", Some("fn main() {}\n// x\n"))],
        "fix(x)!: more\n\nSigned-off-by: Ada <a@b>\n",
    );
    let (parsed, told) = made.read(Known::default());
    assert!(parsed.rejects.is_empty(), "{:?}", parsed.rejects);
    assert_eq!((told.files, told.files_skipped, told.commits_skipped), (4, 0, 0));
    let commits = rows(&parsed, &GIT_COMMIT);
    assert_eq!(commits.len(), 2);
    assert_eq!(
        (&commits[0]["conventional_type"], &commits[0]["is_breaking"], &commits[0]["insertions"]),
        (&"fix".into(), &true.into(), &3.into())
    );
    assert_eq!((&commits[1]["work_items"], &commits[1]["files_changed"]), (&"[\"AB#7\"]".into(), &3.into()));
    let files = rows(&parsed, &GIT_FILE);
    let main = files.iter().find(|row| row["path"] == "src/main.rs").unwrap();
    assert_eq!(
        (&main["owners"], &main["last_commit"], &main["language"]),
        (&"[\"@dev\"]".into(), &second.to_string().into(), &"Rust".into())
    );
    assert_eq!(rows(&parsed, &CODEOWNERS_RULE).len(), 2);
    assert_eq!(rows(&parsed, &GIT_DEPENDENCY)[0]["name"], "b");
    assert_eq!(rows(&parsed, &DOCUMENT)[0]["title"], "Hello");
    assert_eq!(rows(&parsed, &GIT_REF)[0]["sha"], second.to_string());
}

#[test]
fn a_wiki_keeps_its_order() {
    let made = Made::new();
    made.commit(
        &[(".order", Some("Start\nNext-page\n")), ("Next-page.md", Some("# X\n")), (".attachments/a.md", Some("no"))],
        "wiki",
    );
    let (parsed, _) = made.read(Known::default());
    let pages = rows(&parsed, &DOCUMENT);
    assert_eq!(pages.len(), 1);
    assert_eq!((&pages[0]["title"], &pages[0]["position"]), (&"Next page".into(), &2.into()));
}

#[test]
fn only_what_changed_is_read() {
    let made = Made::new();
    let first = made.commit(&[("a.md", Some("# A\n")), ("b.md", Some("# B\n"))], "one");
    let (parsed, _) = made.read(Known::default());
    let blobs: HashMap<String, String> = rows(&parsed, &GIT_FILE)
        .iter()
        .map(|row| (row["path"].as_str().unwrap().to_owned(), row["blob"].as_str().unwrap().to_owned()))
        .collect();
    let known = || Known {
        commits: HashSet::from([first.to_string()]),
        documents: blobs.iter().map(|(path, blob)| (path.clone(), (blob.clone(), 1))).collect(),
        files: blobs.clone(),
        ..Known::default()
    };
    made.commit(&[("a.md", Some("# A2\n")), ("b.md", None), ("c.txt", Some("c"))], "two");
    let (parsed, told) = made.read(known());
    assert_eq!((told.files, told.files_skipped, told.commits_skipped), (2, 0, 1));
    assert_eq!(rows(&parsed, &GIT_COMMIT).len(), 1);
    let ops = |table| {
        rows(&parsed, table)
            .iter()
            .map(|row| format!("{} {}", row["path"].as_str().unwrap(), row["_op"]))
            .collect::<Vec<_>>()
    };
    assert_eq!(ops(&GIT_FILE), ["a.md null", "c.txt null", "b.md 1"]);
    assert_eq!(rows(&parsed, &DOCUMENT)[0]["version"], 2);
}
