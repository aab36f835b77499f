//! A branch with a change in somebody's repository, made so that everything may be done twice: a commit follows from what it
//! holds, a ref moves only from where it must stand, and what is there already is done.
//!
//! The `git` program does it, over any address it knows. Objects are made in a bare repository of our own, which may be
//! thrown away at any time.

use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use engine::{Error, Kind, Result};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::files::content_hash;

/// Longest that one run of git may take.
const RUN_TIME_MAX: Duration = Duration::from_secs(120);
/// Bytes of a changed file.
const FILE_BYTES_MAX: usize = 4 << 20;
/// Who commits: what bears this address is ours, and may be taken back.
pub const COMMITTER: (&str, &str) = ("Stellwerk", "stellwerk@localhost");

/// Somebody's repository, and the one in which changes to it are made.
#[derive(Debug, Clone)]
pub struct Workplace {
    /// Where it lies: a folder or an address.
    remote: String,
    /// The header that proves who we are, for addresses over HTTP.
    authorization: Option<String>,
    folder: PathBuf,
}

/// One commit that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// The commit it follows.
    pub base: &'a str,
    /// The files of the base with the changed ones.
    pub tree: &'a str,
    /// Its message.
    pub message: &'a str,
    /// Its time, seconds since 1970: the same at every attempt.
    pub at_s: i64,
}

impl Workplace {
    /// For a repository; `data` is where its working copy lies, made if it is not there.
    pub async fn open(remote: &str, authorization: Option<String>, data: &Path) -> Result<Workplace> {
        if remote.starts_with('-') {
            return Err(Error::invalid(format!("{remote} is no address of a repository")));
        }
        let folder = data.join("git-changes").join(&hex::encode(content_hash(remote.as_bytes()))[..32]);
        let place = Workplace { remote: remote.to_owned(), authorization, folder };
        if !place.folder.join("HEAD").exists() {
            let doing = |e| Error::unavailable(&format!("create {}", place.folder.display()), e);
            std::fs::create_dir_all(&place.folder).map_err(doing)?;
            place.run(&["init", "--bare", "--quiet", "."], &[], None).await?;
        }
        Ok(place)
    }

    /// Where a branch stands; `None` if it is not there.
    pub async fn stands(&self, branch: &str) -> Result<Option<String>> {
        let name = format!("refs/heads/{}", branch_name(branch)?);
        let told = self.run(&["ls-remote", "--", &self.remote, &name], &[], None).await?;
        let line = told.lines().find_map(|line| line.split_once('\t').filter(|(_, found)| *found == name));
        Ok(line.map(|(id, _)| id.to_owned()))
    }

    /// Fetches a branch; its commit.
    pub async fn fetch(&self, branch: &str) -> Result<String> {
        let name = format!("refs/heads/{}", branch_name(branch)?);
        let there = self.stands(branch).await?;
        let missing = || Error::new(Kind::NotFound, format!("the repository has no branch {branch}"));
        let commit = there.ok_or_else(missing)?;
        self.run(&["fetch", "--quiet", "--no-tags", "--", &self.remote, &name], &[], None).await?;
        Ok(commit)
    }

    /// Puts a branch where it must not be yet. One that stands there already is done; where another stands it is told.
    pub async fn put_branch(&self, branch: &str, commit: &str) -> Result<String> {
        self.push(branch, commit, None).await
    }

    /// Moves a branch from one commit to another. One that is there already is done.
    pub async fn move_branch(&self, branch: &str, from: &str, to: &str) -> Result<String> {
        self.push(branch, to, Some(from)).await
    }

    async fn push(&self, branch: &str, commit: &str, from: Option<&str>) -> Result<String> {
        let name = format!("refs/heads/{}", branch_name(branch)?);
        let lease = format!("--force-with-lease={name}:{}", from.unwrap_or_default());
        let wanted = format!("{commit}:{name}");
        match self.run(&["push", "--quiet", &lease, "--", &self.remote, &wanted], &[], None).await {
            Ok(_) => Ok(commit.to_owned()),
            Err(error) => match self.stands(branch).await? {
                Some(stands) if stands == commit => Ok(stands),
                Some(stands) if from.is_none() || from != Some(stands.as_str()) => Err(Error::new(
                    Kind::Conflict,
                    format!("the branch {branch} stands at {stands}: somebody moved it"),
                )),
                _ => Err(error),
            },
        }
    }

    /// Deletes a branch that holds nothing but what is ours beside the target. False where it was not there.
    pub async fn delete_branch(&self, branch: &str, target: &str) -> Result<bool> {
        let name = format!("refs/heads/{}", branch_name(branch)?);
        let Some(stands) = self.stands(branch).await? else { return Ok(false) };
        let target_at = self.fetch(target).await?;
        self.run(&["fetch", "--quiet", "--no-tags", "--", &self.remote, &name], &[], None).await?;
        let range = format!("{target_at}..{stands}");
        let committers = self.run(&["log", "--format=%ce", &range], &[], None).await?;
        if let Some(other) = committers.lines().find(|email| *email != COMMITTER.1) {
            let text = format!("the branch {branch} holds a commit of {other}, and is not deleted");
            return Err(Error::new(Kind::Conflict, text));
        }
        let (lease, gone) = (format!("--force-with-lease={name}:{stands}"), format!(":{name}"));
        match self.run(&["push", "--quiet", &lease, "--", &self.remote, &gone], &[], None).await {
            Ok(_) => Ok(true),
            Err(_) if self.stands(branch).await?.is_none() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The files of a commit that was fetched, with some of them changed; `None` where that changes nothing.
    pub async fn tree(&self, base: &str, files: &[(String, String)]) -> Result<Option<String>> {
        let index = tempfile_in(&self.folder);
        let with_index = [("GIT_INDEX_FILE", index.as_str())];
        let made = self.tree_in(base, files, &with_index).await;
        // What git leaves of an index is no harm, and nobody's.
        let _ = std::fs::remove_file(&index);
        let (before, after) = made?;
        Ok((before != after).then_some(after))
    }

    async fn tree_in(&self, base: &str, files: &[(String, String)], env: &[(&str, &str)]) -> Result<(String, String)> {
        self.run(&["read-tree", base], env, None).await?;
        for (path, content) in files {
            let path = file_path(path)?;
            if content.len() > FILE_BYTES_MAX {
                let text = format!("{path} has {} bytes, at most {FILE_BYTES_MAX}", content.len());
                return Err(Error::new(Kind::TooLarge, text));
            }
            let blob = self.run(&["hash-object", "-w", "--stdin"], &[], Some(content.as_bytes())).await?;
            let before = self.run(&["ls-tree", base, "--", path], &[], None).await?;
            let mode = if before.starts_with("100755 ") { "100755" } else { "100644" };
            let entry = format!("{mode},{},{path}", blob.trim());
            self.run(&["update-index", "--add", "--cacheinfo", &entry], env, None).await?;
        }
        let after = self.run(&["write-tree"], env, None).await?;
        let before = self.run(&["rev-parse", &format!("{base}^{{tree}}")], &[], None).await?;
        Ok((before.trim().to_owned(), after.trim().to_owned()))
    }

    /// Makes a commit here; its id follows from what it says.
    pub async fn commit(&self, commit: &Commit<'_>) -> Result<String> {
        let date = format!("{} +0000", commit.at_s);
        let (name, email) = COMMITTER;
        let env = [
            ("GIT_AUTHOR_NAME", name),
            ("GIT_AUTHOR_EMAIL", email),
            ("GIT_AUTHOR_DATE", date.as_str()),
            ("GIT_COMMITTER_NAME", name),
            ("GIT_COMMITTER_EMAIL", email),
            ("GIT_COMMITTER_DATE", date.as_str()),
        ];
        let args = ["commit-tree", commit.tree, "-p", commit.base, "-F", "-"];
        let id = self.run(&args, &env, Some(commit.message.as_bytes())).await?;
        Ok(id.trim().to_owned())
    }

    async fn run(&self, args: &[&str], env: &[(&str, &str)], input: Option<&[u8]>) -> Result<String> {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.folder).args(args).envs(env.iter().copied());
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C");
        if let Some(header) = &self.authorization {
            // In the environment, because arguments are seen by everybody on the machine.
            command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "http.extraHeader");
            command.env("GIT_CONFIG_VALUE_0", format!("Authorization: {header}"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::invalid("the program git, which changes repositories, is not installed")
            }
            _ => Error::unavailable("run git", e),
        })?;
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let input = input.unwrap_or_default().to_vec();
        let feed = async move {
            // A git that needs no more of it says why on stderr.
            let _ = stdin.write_all(&input).await;
        };
        let both = async { tokio::join!(feed, child.wait_with_output()).1 };
        let done = tokio::time::timeout(RUN_TIME_MAX, both).await;
        let done = done.map_err(|e| Error::unavailable(&format!("wait for git {}", args[0]), e))?;
        let done = done.map_err(|e| Error::unavailable("run git", e))?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&done.stderr).replace(&self.remote, "the repository");
        Err(Error::new(Kind::Unavailable, format!("git {} failed: {}", args[0], said.trim())))
    }
}

/// A name for an index that nobody else uses.
fn tempfile_in(folder: &Path) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    folder.join(format!("index-{}-{number}", std::process::id())).display().to_string()
}

/// The name, where git would take it as a branch's.
pub fn branch_name(name: &str) -> Result<&str> {
    let part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.ends_with(".lock");
    let sign = |c: char| c.is_ascii_alphanumeric() || "-_./+".contains(c);
    let is_good = name.len() <= 200
        && !name.starts_with('-')
        && name.chars().all(sign)
        && name.split('/').all(part)
        && !name.contains("..");
    if is_good { Ok(name) } else { Err(Error::invalid(format!("{name:?} is no name of a branch"))) }
}

/// The path, where it stays within the repository and outside of what is git's own.
pub fn file_path(path: &str) -> Result<&str> {
    let parts: Vec<Component<'_>> = Path::new(path).components().collect();
    let is_plain = |part: &Component<'_>| match part {
        Component::Normal(name) => !name.eq_ignore_ascii_case(".git"),
        _ => false,
    };
    let is_good = !parts.is_empty()
        && parts.iter().all(is_plain)
        && !path.ends_with('/')
        && !path.contains(['\\', ',', '\n', '\0'])
        && !path.contains("//");
    if is_good { Ok(path) } else { Err(Error::invalid(format!("{path:?} is no path of a file within a repository"))) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn git(folder: &Path, args: &[&str]) -> String {
        let done = std::process::Command::new("git").arg("-C").arg(folder).args(args).output().unwrap();
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// A bare repository with one commit on `main`.
    fn remote(folder: &Path) -> String {
        let (bare, work) = (folder.join("shop.git"), folder.join("work"));
        std::fs::create_dir_all(&work).unwrap();
        git(folder, &["init", "--bare", "--quiet", "-b", "main", bare.to_str().unwrap()]);
        git(&work, &["init", "--quiet", "-b", "main"]);
        std::fs::write(work.join("README.md"), "hello\n").unwrap();
        git(&work, &["add", "."]);
        git(&work, &["-c", "user.name=Ana", "-c", "user.email=ana@example.org", "commit", "--quiet", "-m", "first"]);
        git(&work, &["push", "--quiet", bare.to_str().unwrap(), "main"]);
        bare.display().to_string()
    }

    #[tokio::test]
    async fn everything_may_be_done_twice() {
        let folder = tempfile::tempdir().unwrap();
        let bare = remote(folder.path());
        let files = [("docs/a.md".to_owned(), "a\n".to_owned()), ("README.md".to_owned(), "bye\n".to_owned())];
        let mut commits = Vec::new();
        for attempt in 0..2 {
            // Each attempt may come from a process that knows nothing, on a machine whose copy is gone.
            let data = folder.path().join(format!("data-{attempt}"));
            let place = Workplace::open(&bare, None, &data).await.unwrap();
            let base = place.fetch("main").await.unwrap();
            if attempt == 0 {
                assert_eq!(place.stands("swk/1").await.unwrap(), None);
            }
            if attempt == 0 {
                place.put_branch("swk/1", &base).await.unwrap();
            }
            let tree = place.tree(&base, &files).await.unwrap().unwrap();
            let wanted = Commit { base: &base, tree: &tree, message: "change\n", at_s: 1_700_000_000 };
            let commit = place.commit(&wanted).await.unwrap();
            assert_eq!(place.move_branch("swk/1", &base, &commit).await.unwrap(), commit);
            assert_eq!(place.stands("swk/1").await.unwrap().as_deref(), Some(commit.as_str()));
            commits.push(commit);
        }
        assert_eq!(commits[0], commits[1]);
        let bare = PathBuf::from(bare);
        assert_eq!(git(&bare, &["rev-list", "--count", "main..swk/1"]), "1");
        assert_eq!(git(&bare, &["show", "swk/1:docs/a.md"]), "a");
        let place = Workplace::open(bare.to_str().unwrap(), None, folder.path()).await.unwrap();
        let base = place.fetch("main").await.unwrap();
        assert_eq!(place.tree(&base, &[("README.md".to_owned(), "hello\n".to_owned())]).await.unwrap(), None);
        let moved = place.put_branch("swk/1", &base).await.unwrap_err();
        assert_eq!(moved.kind(), Kind::Conflict, "{moved}");
        assert!(place.delete_branch("swk/1", "main").await.unwrap());
        assert!(!place.delete_branch("swk/1", "main").await.unwrap(), "it is gone already");
    }

    #[tokio::test]
    async fn what_somebody_else_committed_is_not_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let bare = remote(folder.path());
        let work = folder.path().join("work");
        git(&work, &["checkout", "--quiet", "-b", "swk/2"]);
        git(
            &work,
            &[
                "-c",
                "user.name=Ana",
                "-c",
                "user.email=ana@example.org",
                "commit",
                "--quiet",
                "--allow-empty",
                "-m",
                "hers",
            ],
        );
        git(&work, &["push", "--quiet", &bare, "swk/2"]);
        let place = Workplace::open(&bare, None, folder.path()).await.unwrap();
        let refused = place.delete_branch("swk/2", "main").await.unwrap_err();
        assert!(refused.kind() == Kind::Conflict && refused.to_string().contains("ana@example.org"), "{refused}");
    }

    #[test]
    fn names_and_paths_that_leave_the_repository_are_refused() {
        for good in ["a", "stellwerk/12-ab", "feature/x.y"] {
            branch_name(good).unwrap();
        }
        for bad in ["", "-x", "a..b", "a b", "/a", "a/", ".a", "a.lock", "a~1", "a:b"] {
            assert!(branch_name(bad).is_err(), "{bad}");
        }
        for good in ["a", "deploy/values.yaml", ".github/x"] {
            file_path(good).unwrap();
        }
        for bad in ["", "/etc/passwd", "../x", "a/../../x", ".git/config", "a/.GIT/x", "a//b", "a/", "a\\b", "a,b"] {
            assert!(file_path(bad).is_err(), "{bad}");
        }
    }
}
