//! The shape of the code is a test: floors, owners, registers, docs in step, names, sizes. Reads files, nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Crates from the ground up, with what each may import.
const FLOORS: &[(&str, &[&str])] = &[
    ("engine", &[]),
    ("ledger", &["engine"]),
    ("ingest", &["engine", "ledger"]),
    ("index", &["engine", "ledger"]),
    ("jobs", &["engine", "ledger", "ingest", "index"]),
    ("serve", &["engine", "ledger", "ingest", "index", "jobs"]),
];

/// Outside crates that not everybody may depend on. The others reach them through the owner's re-exports or not at all.
const OWNERS: &[(&str, &[&str])] = &[
    ("arrow", &["engine"]),
    ("lance", &["engine"]),
    ("lance-index", &["engine"]),
    ("lance-io", &["engine"]),
    ("lance-core", &["engine"]),
    ("lance-table", &["engine"]),
    ("lancedb", &["engine"]),
    ("datafusion", &["engine"]),
    ("object_store", &["engine"]),
    ("parquet", &["engine"]),
    ("sqlx", &["engine"]),
    ("regorus", &["ledger"]),
    ("ring", &["ledger"]),
    ("kube-cel", &["ledger"]),
    ("reqwest", &["ingest", "index", "jobs", "serve"]),
    ("csv", &["ingest"]),
    ("serde_yaml_ng", &["ledger", "ingest", "jobs"]),
    ("kube", &["ingest"]),
    ("git2", &["ingest"]),
    ("opentelemetry-proto", &["ingest", "serve"]),
    ("candle-core", &["index"]),
    ("candle-nn", &["index"]),
    ("candle-transformers", &["index"]),
    ("tokenizers", &["index"]),
    ("tantivy", &["index"]),
    ("tree-sitter", &["index"]),
    ("tokio-cron-scheduler", &["jobs"]),
    ("croner", &["jobs"]),
    ("axum", &["serve"]),
    ("tonic", &["serve"]),
    ("tower", &["serve"]),
    ("tower-http", &["serve"]),
    ("hyper", &["serve"]),
    ("hyper-util", &["serve"]),
    ("clap", &["serve"]),
    ("rustyline", &["serve"]),
    ("indicatif", &["serve"]),
    ("prometheus-client", &["serve"]),
    ("tracing-subscriber", &["serve"]),
    ("anyhow", &["serve"]),
    ("pgwire", &["serve"]),
    ("rmcp", &["serve"]),
];

/// Functions and constants that list what exists. A declaration that none of them names does not exist for a user.
const REGISTERS: &[&str] = &[
    "fn tables(",
    "fn views(",
    "fn catalogue(",
    "fn state_tables(",
    "const TABLES",
    "static TABLES",
    "const VIEWS",
    "static VIEWS",
    "const STATE_TABLES",
    "static STATE_TABLES",
    "const SOURCES",
];

const LINES_MAX: usize = 600;
const FIXTURE_BYTES_MAX: u64 = 5 << 20;
const NAMES_REFUSED: &[&str] = &["mod", "util", "utils", "helper", "helpers", "common", "manager", "misc"];

/// What is wrong, one line each, so that one run names everything.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn add(&mut self, place: &Path, what: impl AsRef<str>) {
        let place = place.strip_prefix(root()).unwrap_or(place);
        self.0.push(format!("{}: {}", place.display(), what.as_ref()));
    }

    fn none(self) {
        assert!(self.0.is_empty(), "{} untidy places:\n  {}", self.0.len(), self.0.join("\n  "));
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|cause| panic!("read {}: {cause}", path.display()))
}

/// Every file below `dir`, sorted; hidden folders and build output left out.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let hidden = name.starts_with('.') && name != ".ci";
            if hidden || ["target", "demo-data", "__pycache__"].contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    files(dir).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs")).collect()
}

/// Sources of the crates, with the crate's name.
fn sources() -> Vec<(&'static str, PathBuf)> {
    FLOORS
        .iter()
        .flat_map(|(name, _)| rust_files(&root().join(name)).into_iter().map(move |path| (*name, path)))
        .collect()
}

/// Names under `[dependencies]` (with `dev`, under `[dev-dependencies]` too) and whether the version is the workspace's.
fn dependencies(manifest: &str, dev: bool) -> Vec<(String, bool)> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let counts = section == "[dependencies]" || (dev && section == "[dev-dependencies]");
        let Some((left, right)) = line.split_once('=').filter(|_| counts) else { continue };
        let name = left.trim().trim_end_matches(".workspace");
        found.push((name.to_owned(), left.contains(".workspace") || right.contains("workspace = true")));
    }
    found
}

#[test]
fn crates_import_only_from_lower_floors() {
    let mut findings = Findings::default();
    for (name, below) in FLOORS {
        let manifest = root().join(name).join("Cargo.toml");
        for (dependency, from_workspace) in dependencies(&read(&manifest), true) {
            if FLOORS.iter().any(|(other, _)| *other == dependency) && !below.contains(&dependency.as_str()) {
                findings.add(&manifest, format!("{name} may not import {dependency}"));
            }
            if !from_workspace {
                findings.add(&manifest, format!("the version of {dependency} belongs into the root Cargo.toml"));
            }
        }
    }
    for (name, path) in sources() {
        let (_, below) = FLOORS.iter().find(|(floor, _)| *floor == name).expect("sources come from the floors");
        for line in read(&path).lines() {
            let imported =
                line.trim_start().strip_prefix("use ").and_then(|rest| rest.split("::").next()).unwrap_or("");
            let is_crate = FLOORS.iter().any(|(other, _)| *other == imported && *other != name);
            let own_module = path.with_extension("").join(imported).with_extension("rs").exists();
            if is_crate && !below.contains(&imported) && !own_module {
                findings.add(&path, format!("{name} may not use {imported}"));
            }
        }
    }
    findings.none();
}

#[test]
fn outside_crates_have_owners() {
    let mut findings = Findings::default();
    for (name, _) in FLOORS {
        let manifest = root().join(name).join("Cargo.toml");
        for (dependency, _) in dependencies(&read(&manifest), false) {
            let owners = OWNERS.iter().find(|(owned, _)| *owned == dependency).map(|(_, owners)| *owners);
            if owners.is_some_and(|owners| !owners.contains(name)) {
                findings.add(&manifest, format!("{dependency} belongs to {}", owners.unwrap_or_default().join(", ")));
            }
        }
    }
    findings.none();
}

/// The text of every register: from its head to the end of its block.
fn register_text() -> String {
    let mut text = String::new();
    for (_, path) in sources() {
        let source = read(&path);
        for register in REGISTERS {
            for (at, _) in source.match_indices(register) {
                let rest = &source[at..];
                let end = ["\n}", "\n    }", "];"].iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
                text.push_str(&rest[..end]);
                text.push('\n');
            }
        }
    }
    text
}

fn has_word(text: &str, word: &str) -> bool {
    let edge = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .any(|(at, _)| edge(text[..at].chars().next_back()) && edge(text[at + word.len()..].chars().next()))
}

/// The name between `before` and the next of `: ` in a declaration line.
fn declared<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    let line = line.trim_start();
    let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
    let rest = line.strip_prefix("static ").or_else(|| line.strip_prefix("const "))?;
    let (name, of) = rest.split_once(':')?;
    of.trim_start().strip_prefix(kind).is_some_and(|rest| rest.trim_start().starts_with('=')).then_some(name.trim())
}

#[test]
fn what_is_declared_is_registered() {
    let registers = register_text();
    let mut findings = Findings::default();
    for (_, path) in product() {
        for line in without_tests(&read(&path)).lines() {
            for kind in ["Table", "View", "StateTable"] {
                if let Some(name) = declared(line, kind).filter(|name| !has_word(&registers, name)) {
                    findings.add(&path, format!("{kind} {name} stands in no register ({})", REGISTERS.join(", ")));
                }
            }
            if let Some(name) = line.strip_prefix("impl Source for ").map(|rest| rest.trim_end_matches([' ', '{', '}']))
            {
                if !has_word(&registers, name) {
                    findings.add(&path, format!("source {name} does not stand in SOURCES"));
                }
            }
        }
    }
    findings.none();
}

/// The source before its test module, which by custom is the last thing in a file. (`mod tests;` may stand at the top.)
fn without_tests(source: &str) -> &str {
    let mut marks = source.match_indices("#[cfg(test)]").map(|(at, _)| at);
    let inline = marks.find(|at| source[*at..].find('{') < source[*at..].find(';'));
    &source[..inline.unwrap_or(source.len())]
}

/// Whether a file is compiled for tests only: by its name, or because its parent says so.
fn is_test(path: &Path) -> bool {
    if path.with_extension("").components().any(|part| part.as_os_str() == "tests") {
        return true;
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let folder = path.parent().expect("a file lies in a folder");
    let parents = [folder.with_extension("rs"), folder.join("lib.rs")];
    parents.iter().filter_map(|parent| fs::read_to_string(parent).ok()).any(|parent| {
        let mut lines = parent.lines().map(str::trim).peekable();
        std::iter::from_fn(|| lines.next().map(|line| (line, lines.peek().copied()))).any(|(line, next)| {
            line == "#[cfg(test)]" && next.is_some_and(|next| next.ends_with(&format!("mod {stem};")))
        })
    })
}

/// Sources that are part of the binary.
fn product() -> impl Iterator<Item = (&'static str, PathBuf)> {
    sources().into_iter().filter(|(_, path)| !is_test(path))
}

/// The string literals that follow `Column::new(` up to its closing bracket: name and doc.
fn columns(source: &str) -> Vec<(String, Option<String>)> {
    let literal = |text: &str| -> Option<(String, usize)> {
        let start = text.find('"')? + 1;
        let mut end = start;
        let bytes = text.as_bytes();
        while bytes.get(end).is_some_and(|b| *b != b'"') {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        Some((text.get(start..end)?.to_owned(), end + 1))
    };
    let mut found = Vec::new();
    for (at, head) in source.match_indices("Column::new(") {
        let rest = &source[at + head.len()..];
        if !rest.trim_start().starts_with('"') {
            continue; // A function that makes columns, not a declaration.
        }
        let Some((name, after)) = literal(rest) else { continue };
        let doc = literal(&rest[after..]).map(|(doc, _)| doc).filter(|doc| doc.len() > 3);
        found.push((name, doc));
    }
    found
}

#[test]
fn columns_are_documented_and_spelled_one_way() {
    let mut findings = Findings::default();
    let mut spellings: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, path) in product() {
        for (name, doc) in columns(without_tests(&read(&path))) {
            if doc.is_none() {
                findings.add(&path, format!("column {name} has no sentence of documentation"));
            }
            spellings.entry(name.to_lowercase()).or_default().insert(name);
        }
    }
    for names in spellings.values().filter(|names| names.len() > 1) {
        findings.add(root(), format!("SQL folds case, so these columns are one: {names:?}"));
    }
    findings.none();
}

#[test]
fn files_are_nouns_of_readable_length() {
    let mut findings = Findings::default();
    let rooms = FLOORS.iter().map(|(name, _)| *name).chain(["tests", "benches"]);
    for path in rooms.flat_map(|room| rust_files(&root().join(room))) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if stem.split('_').any(|word| NAMES_REFUSED.contains(&word)) {
            findings.add(&path, "the name says nothing about the content");
        }
        let lines = read(&path).lines().count();
        if lines > LINES_MAX {
            findings
                .add(&path, format!("{lines} lines, at most {LINES_MAX}: look for the second thing hiding in there"));
        }
        let parent = path.parent().expect("a file lies in a folder");
        let roots = ["lib", "main", "build"];
        let declaring = [parent.with_extension("rs"), parent.join("lib.rs"), parent.join("main.rs")];
        let is_declared = declaring
            .iter()
            .filter(|file| file.exists())
            .any(|file| has_word(&read(file), &format!("mod {stem};")) || has_module(file, &stem));
        if !roots.contains(&stem.as_str()) && !is_declared {
            findings.add(&path, "no parent declares this module, so nothing compiles it");
        }
    }
    findings.none();
}

fn has_module(file: &Path, stem: &str) -> bool {
    read(file)
        .lines()
        .any(|line| line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub ") == format!("mod {stem};"))
}

#[test]
fn code_has_no_loose_ends() {
    let mut findings = Findings::default();
    // Written apart, so that this file passes its own test.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("HA", "CK:")];
    let homes = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];
    let fixtures = root().join("tests/fixtures");
    for path in files(root()).into_iter().filter(|path| !path.starts_with(&fixtures)) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let code =
            path.extension().is_some_and(|e| ["rs", "py", "sh", "sql", "toml", "md"].iter().any(|code| e == *code));
        for (number, line) in text.lines().enumerate().filter(|_| code) {
            if let Some(mark) = marks.iter().find(|mark| line.contains(**mark)) {
                findings.add(&path, format!("line {}: {mark}: finish it, or file it", number + 1));
            }
            if homes.iter().any(|home| line.contains(home)) {
                findings.add(&path, format!("line {}: names a path of one machine", number + 1));
            }
        }
    }
    for (_, path) in product() {
        let source = read(&path);
        for (number, line) in without_tests(&source).lines().enumerate().filter(|(_, line)| line.contains(".unwrap()"))
        {
            if !line.trim_start().starts_with("//") {
                findings.add(&path, format!("line {}: unwrap outside tests: `expect` argues", number + 1));
            }
        }
    }
    findings.none();
}

#[test]
fn documents_are_in_step() {
    let mut findings = Findings::default();
    let (readme, map) = (root().join("README.md"), root().join("ARCHITECTURE.md"));
    let makefile = read(&root().join("Makefile"));
    let cli: String = rust_files(&root().join("serve")).iter().map(|path| read(path)).collect();
    for document in [&readme, &root().join("CONTRIBUTING.md"), &root().join("deploy/README.md")] {
        let text = read(document);
        for target in commands(&text, "make").filter(|target| !makefile.contains(&format!("\n{target}:"))) {
            findings.add(document, format!("`make {target}` is no target"));
        }
        for command in commands(&text, "stellwerk") {
            let variant = command[..1].to_uppercase() + &command[1..];
            if !has_word(&cli, &variant) {
                findings.add(document, format!("`stellwerk {command}` is no command"));
            }
        }
    }
    let text = read(&map);
    for (name, path) in sources() {
        let module =
            path.strip_prefix(root().join(name)).expect("sources lie in their crate").iter().next().map(Path::new);
        let stem = module.and_then(Path::file_stem).unwrap_or_default().to_string_lossy().into_owned();
        if stem != "lib" && !text.contains(&format!("`{stem}`")) && !text.contains(&format!("`{stem}.rs`")) {
            findings.add(&map, format!("the code map does not name `{stem}` of {name}"));
        }
    }
    findings.none();
}

/// Words that follow a program's name in the code blocks and code spans of a document.
fn commands<'a>(text: &'a str, program: &'a str) -> impl Iterator<Item = &'a str> {
    let mut in_block = false;
    let lines = text.lines().flat_map(move |line| {
        in_block ^= line.starts_with("```");
        let code: Vec<&str> = if in_block { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        code
    });
    lines.filter_map(move |code| {
        let code = code.trim().trim_start_matches("$ ");
        let word = code.strip_prefix(program)?.strip_prefix(' ')?.split_whitespace().next()?;
        word.chars().all(|c| c.is_ascii_lowercase()).then_some(word)
    })
}

#[test]
fn fixtures_are_small_and_have_a_source() {
    let mut findings = Findings::default();
    let fixtures = root().join("tests/fixtures");
    let bytes: u64 = files(&fixtures).iter().filter_map(|path| fs::metadata(path).ok()).map(|meta| meta.len()).sum();
    if bytes >= FIXTURE_BYTES_MAX {
        findings.add(&fixtures, format!("{bytes} bytes of fixtures, fewer than {FIXTURE_BYTES_MAX} are allowed"));
    }
    for area in
        fs::read_dir(&fixtures).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_dir())
    {
        let text = fs::read_to_string(area.join("README.md")).unwrap_or_default().to_lowercase();
        if !text.contains("licen") && !text.contains("apache") && !text.contains("mit") {
            findings.add(&area, "a README.md with source and licence is missing");
        }
    }
    findings.none();
}
