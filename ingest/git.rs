//! Repositories: commits, files, CODEOWNERS, manifests and documents at a ref become `git_commit`, `git_ref`, `git_file`,
//! `codeowners_rule`, `git_manifest`, `git_dependency` and `document`.
//!
//! Only what changed is read again: commits by their id, files by their blob's. The row of the ref comes last; until it is
//! there, the next reading goes through everything once more and adds what is missing.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use async_trait::async_trait;
use engine::{Error, Kind, Result, Scope, Store, Table};
use tokio::sync::mpsc;

use crate::documents::{self, DOCUMENT};
use crate::files::{self, Reading};
use crate::{FileOptions, Parsed, Progress, Source, Summary, known};

pub mod change;
pub mod codeowners;
mod commit;
mod file;
mod history;
mod manifest;
mod message;
mod remote;
#[cfg(test)]
mod tests;

pub use codeowners::CODEOWNERS_RULE;
pub use commit::{GIT_COMMIT, GIT_REF};
pub use file::GIT_FILE;
pub use manifest::{GIT_DEPENDENCY, GIT_MANIFEST};
pub use remote::is_remote;

/// Frames that are read ahead of the store.
const FRAMES_WAITING_MAX: usize = 2;

/// What the store holds of a repository and ref.
#[derive(Debug, Default)]
pub struct Known {
    /// The commit at which the ref stood.
    head: Option<String>,
    /// Ids of commits.
    commits: HashSet<String>,
    /// Blobs of files by path.
    files: HashMap<String, String>,
    /// Hash and version of documents by path.
    documents: HashMap<String, (String, i64)>,
    /// Blob of CODEOWNERS by line.
    rules: HashMap<i64, String>,
    /// Dependencies by manifest: scope and name.
    needs: HashMap<String, Vec<(String, String)>>,
    /// Manifests by path.
    manifests: HashSet<String>,
}

/// What is read.
#[derive(Debug)]
struct Job {
    tenant: String,
    repository: remote::Repository,
    reference: String,
    head: git2::Oid,
    known: Known,
}

/// What became of a reading, beside its rows.
#[derive(Debug, Default)]
struct Told {
    files: u64,
    files_skipped: u64,
    commits_skipped: u64,
}

fn lost(doing: &str) -> impl Fn(git2::Error) -> Error {
    move |cause| Error::invalid(format!("{doing}: {}", cause.message()))
}

/// The ref's name in tables, and its commit. Without a name it is the branch that the repository has checked out.
fn resolve(repository: &remote::Repository, wanted: Option<&str>) -> Result<(String, git2::Oid)> {
    let open = git2::Repository::open(&repository.folder)
        .map_err(lost(&format!("open the repository {}", repository.name)))?;
    let name = match wanted {
        Some(wanted) => wanted.to_owned(),
        None => {
            let head = open.head().map_err(lost(&format!("find the branch of {}", repository.name)))?;
            head.shorthand().map_or_else(|_| "HEAD".to_owned(), str::to_owned)
        }
    };
    let found = open.revparse_single(wanted.unwrap_or("HEAD"));
    let found =
        found.or_else(|e| wanted.map_or(Err(e), |name| open.revparse_single(&format!("refs/remotes/origin/{name}"))));
    let commit = found.and_then(|object| object.peel_to_commit());
    let commit = commit
        .map_err(|e| Error::new(Kind::NotFound, format!("{} has no ref {name}: {}", repository.name, e.message())))?;
    Ok((name, commit.id()))
}

/// Asks the store what it holds.
async fn ask(store: &Store, scope: &Scope, tenant: &str, repository: &str, reference: &str) -> Result<Known> {
    let of_ref = [tenant, repository, reference];
    let filter = "WHERE tenant = $1 AND repository = $2 AND ref = $3";
    let rows = |sql: String| async move { known::rows(store, scope, &sql, &of_ref).await };
    let mut known = Known::default();
    known.head = rows(format!("SELECT sha FROM git_ref {filter}")).await?.into_iter().flatten().flatten().next();
    let commits = "SELECT sha FROM git_commit WHERE tenant = $1 AND repository = $2";
    known.commits = known::rows(store, scope, commits, &of_ref[..2]).await?.into_iter().flatten().flatten().collect();
    for row in rows(format!("SELECT path, blob FROM git_file {filter}")).await? {
        if let [Some(path), Some(blob)] = row.as_slice() {
            known.files.insert(path.clone(), blob.clone());
        }
    }
    for row in rows(format!("SELECT CAST(line AS VARCHAR), content_hash FROM codeowners_rule {filter}")).await? {
        if let [Some(line), Some(blob)] = row.as_slice() {
            known.rules.extend(line.parse().ok().map(|line| (line, blob.clone())));
        }
    }
    for row in rows(format!("SELECT path, scope, name FROM git_dependency {filter}")).await? {
        if let [Some(path), Some(scope), Some(name)] = row.as_slice() {
            known.needs.entry(path.clone()).or_default().push((scope.clone(), name.clone()));
        }
    }
    known.manifests =
        rows(format!("SELECT path FROM git_manifest {filter}")).await?.into_iter().flatten().flatten().collect();
    known.documents = documents::stored(store, scope, tenant, repository, reference).await?;
    Ok(known)
}

/// Repositories.
#[derive(Debug)]
pub struct Git;

#[async_trait]
impl Source for Git {
    fn kind(&self) -> &'static str {
        "git"
    }

    fn doc(&self) -> &'static str {
        "Git repositories, by folder or URL: commits, files, CODEOWNERS, manifests and documents at --ref; only what changed is read again"
    }

    fn tables(&self) -> Vec<&'static Table> {
        vec![&GIT_COMMIT, &GIT_REF, &GIT_FILE, &CODEOWNERS_RULE, &GIT_MANIFEST, &GIT_DEPENDENCY, &DOCUMENT]
    }

    async fn ingest_path(
        &self,
        store: &Store,
        scope: &Scope,
        path: &Path,
        options: &FileOptions,
        progress: &dyn Progress,
    ) -> Result<Summary> {
        let named = files::tenant(scope, options)?;
        let tenant = scope.owner(named.as_deref()).to_owned();
        let repository = remote::find(path, &store.settings().data).await?;
        let (reference, head) = resolve(&repository, options.reference.as_deref())?;
        let known = ask(store, scope, &tenant, &repository.name, &reference).await?;
        let name = repository.name.clone();
        let mut summary = Summary::default();
        if known.head.as_deref() == Some(head.to_string().as_str()) {
            summary.files = known.files.len() as u64;
            summary.repeated = (known.files.len() + known.commits.len()) as u64;
            let note = format!(
                "{reference} still stands at {head}: {} commits and {} files were read before",
                known.commits.len(),
                known.files.len()
            );
            summary.notes.push(note);
            return Ok(summary);
        }
        let reading = Reading { kind: "git", extensions: &[], store, scope, progress };
        let (frames, mut units) = mpsc::channel::<Parsed>(FRAMES_WAITING_MAX);
        let job = Job { tenant, repository, reference, head, known };
        // libgit2 reads from the disk and is bound to its thread.
        let reader = tokio::task::spawn_blocking(move || history::read(&job, &frames));
        while let Some(unit) = units.recv().await {
            documents::append(&reading, vec![unit], &name, &mut summary).await?;
        }
        let told = reader.await.map_err(|e| Error::unavailable(&format!("read the repository {name}"), e))??;
        summary.files = told.files;
        summary.repeated = told.files_skipped + told.commits_skipped;
        if summary.repeated > 0 {
            summary
                .notes
                .push(format!("{} commits and {} files were read before", told.commits_skipped, told.files_skipped));
        }
        Ok(summary)
    }
}
