//! `stellwerk ingest`: files become rows, with a progress bar for people and a summary for everybody.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ::ingest::kubernetes::live::Wish as Clusters;
use ::ingest::sources::SOURCES;
use ::ingest::{FileOptions, Progress, Summary};
use clap::Args;
use clap::builder::PossibleValue;
use engine::{Error, Kind, Result};
use indicatif::{ProgressBar, ProgressStyle};

use super::exit::{self, Exit};
use super::live::Live;
use super::place::Place;
use super::print;
use crate::reach::{Reach, reach};

const AFTER: &str = "\
Reading the same path again changes nothing: what is there already counts as repeated. A record that does not parse is
kept in the table `reject` with its reason and does not fail the command; a file or run that is refused as a whole (torn,
not readable, of another kind) does: the others are still read, and the exit code is 1.

Examples:
  stellwerk ingest cost ./exports --data ./data
  stellwerk ingest k8s nodes.json pods.yaml --cluster prod-1 --data ./data
  stellwerk ingest sarif ./reports --target ghcr.io/acme/shop:1.4 --data ./data
  stellwerk ingest git https://github.com/acme/shop --ref main --data ./data
  stellwerk ingest otlp traces.json --tenant acme --data ./data --format json
  stellwerk ingest ado --organization https://dev.azure.com/acme --auth pat:env:ADO_PAT --follow --data ./data
  stellwerk ingest k8s --kubeconfig ~/.kube/config --context prod --context test --follow --data ./data

With --kubeconfig or --in-cluster, `k8s` lists whole clusters, page by page, and marks as gone what they no longer have;
with --follow it stays, watches every kind and keeps the tables equal to the clusters: SELECT * FROM k8s_watch says how
true they are. Followed are the kinds with tables of their own and the custom resources of Argo CD, KEDA, Gatekeeper,
External Secrets and cert-manager; --resource adds others.";

/// Read files into the store.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Ingest {
    /// What the files are.
    #[arg(value_parser = kinds())]
    kind: String,
    /// Files or folders; a repository's URL, too (git).
    #[arg(required_unless_present_any = ["kubeconfig", "in_cluster", "organization"], conflicts_with_all = ["kubeconfig", "in_cluster", "organization"], value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Tenant of rows that name none.
    #[arg(long, value_name = "TENANT", env = "STELLWERK_TENANT")]
    tenant: Option<String>,
    /// Name of the Kubernetes cluster (k8s); a live one has its kubeconfig's.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Name of the cost export (cost), for files without a manifest.
    #[arg(long, value_name = "NAME")]
    export: Option<String>,
    /// What was looked at (sbom, sarif), for reports that do not say it.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Branch, tag or commit (git); without it, the branch that is checked out.
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
    /// How the summary is written.
    #[arg(long, value_enum, default_value = "text")]
    format: SummaryFormat,
    /// The same as --format json.
    #[arg(long)]
    json: bool,
    /// Stay after the first pass, and keep the tables equal to the clusters (k8s) or the organization (ado).
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    ado: super::ado::Organization,
    #[command(flatten)]
    live: Live,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SummaryFormat {
    /// A line a path.
    Text,
    /// One JSON document.
    Json,
}

fn kinds() -> clap::builder::PossibleValuesParser {
    let values = SOURCES.iter().map(|source| PossibleValue::new(source.kind()).help(source.doc()));
    clap::builder::PossibleValuesParser::new(values.collect::<Vec<_>>())
}

impl Ingest {
    /// Reads every path, the next one too where one is refused.
    pub async fn run(mut self) -> Result<Exit> {
        if self.json {
            self.format = SummaryFormat::Json;
        }
        let wish = self.ado.wish(self.tenant.clone(), self.follow)?;
        if wish.is_some() && self.kind != "ado" {
            return Err(Error::invalid(format!(
                "organizations are read by `ingest ado`, not by `ingest {}`",
                self.kind
            )));
        }
        let live = self.live.wish(&self.kind, self.follow && wish.is_none())?;
        let reach = reach(&self.place.settings(), true).await?;
        let done = tokio::select! {
            done = async {
                match &wish {
                    Some(wish) => super::ado::read(reach.as_ref(), wish, self.json()).await,
                    None => self.read(reach.as_ref(), live).await,
                }
            } => done,
            _ = tokio::signal::ctrl_c() => Ok(Exit(Exit::INTERRUPTED)),
        };
        let closed = reach.close().await;
        done.and_then(|exit| closed.map(|()| exit))
    }

    fn json(&self) -> bool {
        self.format == SummaryFormat::Json
    }

    async fn read(&self, reach: &dyn Reach, live: Option<(PathBuf, Clusters)>) -> Result<Exit> {
        let homes = live.iter().map(|(home, _)| home.clone());
        let paths: Vec<PathBuf> = self.paths.iter().cloned().chain(homes).collect();
        let options = FileOptions {
            tenant: self.tenant.clone(),
            cluster: self.cluster.clone(),
            export: self.export.clone(),
            target: self.target.clone(),
            reference: self.reference.clone(),
            live: live.map(|(_, wish)| wish),
            ..FileOptions::default()
        };
        let mut results = Vec::with_capacity(paths.len());
        for path in &paths {
            let bar = Bar::new();
            let read = match path.exists() || self.is_remote(path) {
                true => reach.ingest(&self.kind, path, &options, &bar).await,
                false => Err(Error::invalid(format!("there is no {}", path.display()))),
            };
            bar.clear();
            if self.format == SummaryFormat::Text {
                match &read {
                    Ok(summary) => print::text(&line(path, summary))?,
                    Err(error) => {
                        exit::say(error);
                        Exit(Exit::PROBLEMS)
                    }
                };
            }
            let stop = read.as_ref().is_err_and(|e| !is_refusal(e));
            results.push((path, read));
            if stop {
                break;
            }
        }
        if self.format == SummaryFormat::Json {
            print::text(&format!("{:#}\n", document(&self.kind, &results)))?;
        }
        let code = |read: &Result<Summary>| match read {
            Ok(summary) if summary.refused == 0 => Exit::OK,
            Ok(_) => Exit::PROBLEMS,
            Err(error) if is_refusal(error) => Exit::PROBLEMS,
            Err(error) => exit::code(error),
        };
        Ok(Exit(results.iter().map(|(_, read)| code(read)).max().unwrap_or(Exit::OK)))
    }
}

impl Ingest {
    /// A repository may lie on another machine.
    fn is_remote(&self, path: &Path) -> bool {
        self.kind == "git" && ::ingest::git::is_remote(path)
    }
}

/// Whether the path is to blame, so that the next one may still be read.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), Kind::Invalid | Kind::NotFound | Kind::Conflict | Kind::TooLarge | Kind::Denied)
}

fn line(path: &Path, summary: &Summary) -> String {
    let plural = |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let mut text = format!("{}: {} accepted", path.display(), plural(summary.accepted, "record", "records"));
    if summary.rejected > 0 {
        text.push_str(&format!(", {} rejected (see the table reject)", summary.rejected));
    }
    if summary.repeated > 0 {
        text.push_str(&format!(", {} read before", plural(summary.repeated, "file or run was", "files or runs were")));
    }
    if summary.refused > 0 {
        text.push_str(&format!(", {} refused", plural(summary.refused, "file or run", "files or runs")));
    }
    text.push_str(&format!(", from {}\n", plural(summary.files, "file", "files")));
    summary.notes.iter().for_each(|note| text.push_str(&format!("  {note}\n")));
    text
}

fn document(kind: &str, results: &[(&PathBuf, Result<Summary>)]) -> serde_json::Value {
    let mut total = Summary::default();
    let mut paths = Vec::new();
    for (path, read) in results {
        paths.push(match read {
            Ok(summary) => {
                total.add(summary.clone());
                let mut entry = serde_json::json!(summary);
                entry["path"] = serde_json::json!(path);
                entry
            }
            Err(error) => serde_json::json!({"path": path, "error": error.to_string(), "kind": crate::http::problem::kind_name(error.kind())}),
        });
    }
    let refused = total.refused + results.iter().filter(|(_, read)| read.is_err()).count() as u64;
    serde_json::json!({
        "kind": kind, "paths": paths, "files": total.files, "accepted": total.accepted, "rejected": total.rejected,
        "repeated": total.repeated, "refused": refused,
    })
}

/// A bar over the bytes of all files that the path holds; hidden where stderr is no terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        let form = "{spinner} {wide_msg} {bytes:>10} / {total_bytes:<10} {bytes_per_sec:>12} {bar:24} {eta:>4}";
        let style = ProgressStyle::with_template(form).expect("the bar's template is valid");
        bar.set_style(style.progress_chars("━╾ "));
        bar.enable_steady_tick(Duration::from_millis(120));
        Bar(bar)
    }

    fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn begin(&self, path: &Path, bytes: u64) {
        let name = path.file_name().unwrap_or(path.as_os_str());
        self.0.set_message(crate::output::table::printable(&name.to_string_lossy()));
        self.0.inc_length(bytes);
    }
    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}
