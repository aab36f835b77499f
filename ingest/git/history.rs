//! One reading of a repository: new commits, changed files and what they hold.

use std::collections::{HashMap, HashSet};

use engine::reject::Reject;
use engine::{Result, Rows, Value as Cell};
use git2::{Diff, Oid, Repository, Sort, TreeWalkMode, TreeWalkResult};
use tokio::sync::mpsc::Sender;

use super::codeowners::{self, CODEOWNERS_RULE, Codeowners};
use super::commit::{self, GIT_COMMIT, GIT_REF};
use super::file::{self, File, GIT_FILE, Place};
use super::manifest::{self, GIT_DEPENDENCY, GIT_MANIFEST};
use super::{Job, Told, lost};
use crate::Parsed;
use crate::documents::{self, DOCUMENT, Document, Page, is_document, is_packed};

/// Rows of one frame before the next begins.
const FRAME_ROWS: usize = 2_000;
/// Bytes of documents in one frame.
const FRAME_BYTES: usize = 4 << 20;
/// Bytes of a manifest or a CODEOWNERS file that is read.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// Rows of all tables under construction.
struct Unit<'a> {
    frames: &'a Sender<Parsed>,
    tables: Vec<Rows>,
    accepted: u64,
    bytes: usize,
    rejects: Vec<Reject>,
    closed: bool,
}

const TABLES: [&engine::Table; 7] =
    [&GIT_COMMIT, &GIT_FILE, &CODEOWNERS_RULE, &GIT_MANIFEST, &GIT_DEPENDENCY, &DOCUMENT, &GIT_REF];

impl<'a> Unit<'a> {
    fn new(frames: &'a Sender<Parsed>) -> Self {
        let tables = TABLES.iter().map(|table| Rows::new(table)).collect();
        Unit { frames, tables, accepted: 0, bytes: 0, rejects: Vec::new(), closed: false }
    }

    fn rows(&mut self, table: &engine::Table) -> &mut Rows {
        let at =
            TABLES.iter().position(|known| known.name == table.name).expect("every table written stands in the list");
        &mut self.tables[at]
    }

    fn put(&mut self, written: std::result::Result<(), String>, place: &str) {
        match written {
            Ok(()) => self.accepted += 1,
            Err(reason) => self.reject(reason, place, Vec::new()),
        }
        if self.tables.iter().map(Rows::len).sum::<usize>() >= FRAME_ROWS || self.bytes >= FRAME_BYTES {
            self.close();
        }
    }

    fn reject(&mut self, reason: String, place: &str, body: Vec<u8>) {
        self.rejects.push(Reject { kind: "git", reason, place: Some(place.to_owned()), body });
    }

    /// Hands a frame on; when nobody takes it any more, the reading ends.
    fn close(&mut self) {
        let mut parsed =
            Parsed { accepted: self.accepted, rejects: std::mem::take(&mut self.rejects), ..Parsed::default() };
        for rows in self.tables.iter_mut().filter(|rows| !rows.is_empty()) {
            parsed.batches.push(engine::Batch { table: rows.table(), rows: rows.finish() });
        }
        (self.accepted, self.bytes) = (0, 0);
        self.closed |= self.frames.blocking_send(parsed).is_err();
    }
}

/// Reads everything that is new.
pub fn read(job: &Job, frames: &Sender<Parsed>) -> Result<Told> {
    let name = &job.repository.name;
    let open = Repository::open(&job.repository.folder).map_err(lost(&format!("open the repository {name}")))?;
    let mut unit = Unit::new(frames);
    let mut files = files(&open, job)?;
    let owners = owners(&open, job, &files, &mut unit)?;
    // Another CODEOWNERS may name other owners for every file.
    let changed_owners =
        owners.as_ref().map(|(_, blob)| blob.as_str()) != job.known.rules.values().next().map(String::as_str);
    let is_changed = |file: &File| job.known.files.get(&file.path) != Some(&file.blob);
    // Another order of a wiki's folder moves its pages.
    let moved = files.iter().filter(|file| is_order(&file.path) && is_changed(file));
    let moved: HashSet<String> = moved.map(|file| folder(&file.path).to_owned()).collect();
    let is_moved = |file: &File| is_document(&file.path) && moved.contains(folder(&file.path));
    let is_new = |file: &File| changed_owners || is_changed(file) || is_moved(file);
    let wanted: HashSet<String> = files.iter().filter(|file| is_new(file)).map(|file| file.path.clone()).collect();
    let (last, commits_skipped) = commits(&open, job, wanted.clone(), &mut unit)?;
    let here: HashSet<String> = files.iter().map(|file| file.path.clone()).collect();
    let orders = orders(&open, &files);
    let around = Around { open: &open, job, owners: owners.as_ref().map(|(owners, _)| owners), orders: &orders };
    for file in files.iter_mut().filter(|file| wanted.contains(&file.path)) {
        if unit.closed {
            break;
        }
        file.last = last.get(&file.path).cloned();
        write_file(&around, file, &mut unit);
    }
    remove(job, &here, &mut unit);
    let place = place(job);
    let rows = unit.rows(&GIT_REF);
    let committed_us = open.find_commit(job.head).ok().map(|commit| commit::at_us(&commit.committer()));
    rows.set("tenant", place.tenant)
        .set("repository", place.repository)
        .set("ref", place.reference)
        .set("sha", job.head.to_string())
        .set("committed_at", committed_us.map(Cell::Time))
        .set("files", i64::try_from(files.len()).unwrap_or(i64::MAX));
    let written = rows.end_row().map_err(|e| e.to_string());
    unit.put(written, "ref");
    unit.close();
    Ok(Told { files: files.len() as u64, files_skipped: (files.len() - wanted.len()) as u64, commits_skipped })
}

fn place(job: &Job) -> Place<'_> {
    Place { tenant: &job.tenant, repository: &job.repository.name, reference: &job.reference }
}

/// The files at the head, submodules included.
fn files(open: &Repository, job: &Job) -> Result<Vec<File>> {
    let doing = lost("read the tree");
    let tree = open.find_commit(job.head).and_then(|commit| commit.tree()).map_err(&doing)?;
    let mut found = Vec::new();
    let walked = tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        if entry.kind() != Some(git2::ObjectType::Tree) {
            let path = format!("{folder}{}", String::from_utf8_lossy(entry.name_bytes()));
            found.push(File { path, blob: entry.id().to_string(), mode: entry.filemode(), ..File::default() });
        }
        TreeWalkResult::Ok
    });
    walked.map_err(&doing)?;
    Ok(found)
}

/// What is known beside a file.
struct Around<'a> {
    open: &'a Repository,
    job: &'a Job,
    owners: Option<&'a Codeowners>,
    orders: &'a Orders,
}

/// For each folder of a wiki, the places of its pages.
type Orders = HashMap<String, HashMap<String, i64>>;

fn is_order(path: &str) -> bool {
    path == ".order" || path.ends_with("/.order")
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn orders(open: &Repository, files: &[File]) -> Orders {
    let orders = files.iter().filter(|file| is_order(&file.path));
    let read = |file: &File| Some((folder(&file.path).to_owned(), documents::order_of(&text(open, &file.blob)?)));
    orders.filter_map(read).collect()
}

/// Reads CODEOWNERS, and writes its rules where they changed. Returns the rules and their blob.
fn owners(open: &Repository, job: &Job, files: &[File], unit: &mut Unit<'_>) -> Result<Option<(Codeowners, String)>> {
    let found = codeowners::PLACES.iter().find_map(|place| files.iter().find(|file| file.path == *place));
    let read = found.and_then(|file| Some((Codeowners::read(&text(open, &file.blob)?), file)));
    let place = place(job);
    let lines: HashSet<i64> =
        read.iter().flat_map(|(read, _)| &read.rules).filter_map(|rule| i64::try_from(rule.line).ok()).collect();
    for gone in job.known.rules.keys().filter(|line| !lines.contains(*line)) {
        let rows = unit.rows(&CODEOWNERS_RULE);
        rows.set("tenant", place.tenant)
            .set("repository", place.repository)
            .set("ref", place.reference)
            .set("line", *gone);
        let written = rows.end_delete().map_err(|e| e.to_string());
        unit.put(written, "CODEOWNERS");
    }
    let Some((read, file)) = read else { return Ok(None) };
    if job.known.rules.values().any(|blob| *blob != file.blob) || job.known.rules.is_empty() {
        let rows = unit.rows(&CODEOWNERS_RULE);
        let written = read.write(place.tenant, place.repository, place.reference, &file.path, &file.blob, rows);
        unit.accepted += written.as_ref().map_or(0, |count| count.saturating_sub(1));
        unit.put(written.map(|_| ()), &file.path);
        for (line, words, reason) in &read.refused {
            unit.reject(reason.clone(), &format!("{}, line {line}", file.path), words.clone().into_bytes());
        }
    }
    let blob = file.blob.clone();
    Ok(Some((read, blob)))
}

/// The text of a blob that is not too large.
fn text(open: &Repository, blob: &str) -> Option<String> {
    let blob = open.find_blob(Oid::from_str(blob).ok()?).ok()?;
    (blob.content().len() as u64 <= MANIFEST_BYTES_MAX).then(|| String::from_utf8_lossy(blob.content()).into_owned())
}

/// The commit that changed each path last, and when.
type Last = HashMap<String, (String, i64)>;

/// Writes new commits, newest first, and finds for each wanted path the commit that changed it last.
fn commits(open: &Repository, job: &Job, mut wanted: HashSet<String>, unit: &mut Unit<'_>) -> Result<(Last, u64)> {
    let doing = lost("walk the history");
    let mut walk = open.revwalk().map_err(&doing)?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME).map_err(&doing)?;
    walk.push(job.head).map_err(&doing)?;
    let (mut last, mut skipped) = (Last::new(), 0);
    for id in walk {
        let id = id.map_err(&doing)?;
        let is_known = job.known.commits.contains(&id.to_string());
        skipped += u64::from(is_known);
        if unit.closed || (is_known && wanted.is_empty()) {
            continue;
        }
        let commit = open.find_commit(id).map_err(&doing)?;
        // A merge repeats what its parents did.
        let diff = (commit.parent_count() <= 1).then(|| difference(open, &commit)).transpose().map_err(&doing)?;
        if let Some(diff) = diff.as_ref().filter(|_| !wanted.is_empty()) {
            let at_us = commit::at_us(&commit.committer());
            for path in diff.deltas().filter_map(|delta| delta.new_file().path_bytes()) {
                if let Some(path) = wanted.take(&*String::from_utf8_lossy(path)) {
                    last.insert(path, (id.to_string(), at_us));
                }
            }
        }
        if !is_known {
            let written =
                commit::write(&job.tenant, &job.repository.name, &commit, diff.as_ref(), unit.rows(&GIT_COMMIT));
            unit.put(written, &id.to_string());
        }
    }
    Ok((last, skipped))
}

fn difference<'r>(open: &'r Repository, commit: &git2::Commit<'r>) -> std::result::Result<Diff<'r>, git2::Error> {
    let before = if commit.parent_count() == 0 { None } else { Some(commit.parent(0)?.tree()?) };
    open.diff_tree_to_tree(before.as_ref(), Some(&commit.tree()?), None)
}

/// The file's row, and what it is beside a file.
fn write_file(around: &Around<'_>, file: &mut File, unit: &mut Unit<'_>) {
    let Around { open, job, .. } = *around;
    let place = place(job);
    let owners = around.owners.map(|owners| owners.of(&file.path).to_vec()).unwrap_or_default();
    // A submodule's commit is not in this repository, a link's content is a path.
    let is_file = matches!(file.mode, 0o100_644 | 0o100_755 | 0o100_664);
    let blob = Oid::from_str(&file.blob).and_then(|id| open.find_blob(id)).ok();
    if let Some(blob) = &blob {
        file.bytes = Some(blob.content().len() as u64);
        file.is_binary = Some(blob.is_binary());
    }
    let written = file.write(place, &owners, unit.rows(&GIT_FILE));
    let path = file.path.clone();
    unit.put(written, &path);
    let Some(blob) = blob.filter(|_| is_file) else { return };
    write_manifest(job, file, blob.content(), unit);
    // What hangs on a wiki's pages is no page.
    let readable = is_packed(&path) || !blob.is_binary();
    if is_document(&path) && readable && !path.split('/').any(|part| part == ".attachments") {
        write_document(around, file, blob.content(), &owners, unit);
    }
}

fn write_manifest(job: &Job, file: &File, body: &[u8], unit: &mut Unit<'_>) {
    let Some(reader) = manifest::reader(&file.path).filter(|_| body.len() as u64 <= MANIFEST_BYTES_MAX) else { return };
    let place = place(job);
    let read = reader(&String::from_utf8_lossy(body));
    let needs = read.as_ref().map(|read| read.dependencies.as_slice()).unwrap_or_default();
    for (scope, name) in job.known.needs.get(&file.path).into_iter().flatten() {
        if !needs.iter().any(|need| need.scope == *scope && need.name == *name) {
            let written = manifest::delete_dependency(place, &file.path, scope, name, unit.rows(&GIT_DEPENDENCY));
            unit.put(written, &file.path);
        }
    }
    match read {
        Err(reason) => {
            unit.reject(reason, &file.path, body.to_vec());
            if job.known.manifests.contains(&file.path) {
                let written = manifest::delete(place, &file.path, unit.rows(&GIT_MANIFEST));
                unit.put(written, &file.path);
            }
        }
        Ok(read) => {
            let mut wishes = std::mem::replace(unit.rows(&GIT_DEPENDENCY), Rows::new(&GIT_DEPENDENCY));
            let written = read.write(place, &file.path, &file.blob, unit.rows(&GIT_MANIFEST), &mut wishes);
            *unit.rows(&GIT_DEPENDENCY) = wishes;
            unit.put(written, &file.path);
        }
    }
}

fn write_document(around: &Around<'_>, file: &File, body: &[u8], owners: &[String], unit: &mut Unit<'_>) {
    let job = around.job;
    let mut page = match Page::read(&file.path, body) {
        Ok(page) => page,
        Err(reason) => return unit.reject(reason, &file.path, Vec::new()),
    };
    let order = around.orders.get(folder(&file.path));
    if order.is_some() {
        page.title = documents::wiki_title(&file.path);
    }
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let position = order.and_then(|order| order.get(name.rsplit_once('.').map_or(name, |(stem, _)| stem)).copied());
    let before = job.known.documents.get(&file.path);
    let version = before.map_or(1, |(hash, version)| if *hash == file.blob { *version } else { version + 1 });
    unit.bytes += page.text.len();
    let uri = format!("{}/{}", job.repository.name, file.path);
    let document = Document {
        tenant: &job.tenant,
        origin: &job.repository.name,
        reference: &job.reference,
        path: &file.path,
        uri: Some(&uri),
        page: &page,
        content_hash: &file.blob,
        version,
        bytes: file.bytes.unwrap_or_default(),
        modified_us: file.last.as_ref().map(|(_, at)| *at),
        owners,
        position,
    };
    let written = document.write(unit.rows(&DOCUMENT));
    unit.put(written, &file.path);
}

/// Takes away the rows of what the head no longer has.
fn remove(job: &Job, here: &HashSet<String>, unit: &mut Unit<'_>) {
    let place = place(job);
    for path in job.known.files.keys().filter(|path| !here.contains(*path)) {
        let written = file::delete(place, path, unit.rows(&GIT_FILE));
        unit.put(written, path);
    }
    for path in job.known.manifests.iter().filter(|path| !here.contains(*path)) {
        let written = manifest::delete(place, path, unit.rows(&GIT_MANIFEST));
        unit.put(written, path);
        for (scope, name) in job.known.needs.get(path).into_iter().flatten() {
            let written = manifest::delete_dependency(place, path, scope, name, unit.rows(&GIT_DEPENDENCY));
            unit.put(written, path);
        }
    }
    for path in job.known.documents.keys().filter(|path| !here.contains(*path)) {
        let written =
            crate::documents::delete(place.tenant, place.repository, place.reference, path, unit.rows(&DOCUMENT));
        unit.put(written, path);
    }
}
