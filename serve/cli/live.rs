//! Which clusters are followed: options of `ingest k8s`, and what `serve --kubernetes` means by a word.

use std::path::PathBuf;
use std::time::Duration;

use ::ingest::kubernetes::Field;
use ::ingest::kubernetes::live::Wish;
use clap::Args;
use engine::{Error, Result};

use super::place::duration;

/// Where a pod finds its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Clusters themselves instead of files.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Live clusters (k8s)")]
pub struct Live {
    /// Read the clusters of this kubeconfig.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; without it, its current one. Repeat it for several clusters.
    #[arg(long, value_name = "NAME")]
    context: Vec<String>,
    /// Read the cluster that this process runs in, by its service account.
    #[arg(long)]
    in_cluster: bool,
    /// Follow these resources, too: applications.argoproj.io, *.example.org, * for all. Repeat it for several.
    #[arg(long, value_name = "PLURAL.GROUP")]
    resource: Vec<String>,
    /// Leave these resources out.
    #[arg(long, value_name = "PLURAL.GROUP")]
    without: Vec<String>,
    /// A member of a custom resource that `k8s_custom_resource.fields` gets: Application.argoproj.io:owner=spec.project.
    #[arg(long, value_name = "KIND.GROUP:NAME=PATH")]
    field: Vec<Field>,
    /// How often new kinds are looked for.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    discover_every: Duration,
    /// How often everything is listed again, in case that something on the way loses events.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    list_every: Duration,
    /// How often usage is asked for, where the cluster serves metrics.k8s.io.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    usage_every: Duration,
}

impl Live {
    /// The clusters' home and what is wanted of them, if clusters are meant.
    pub fn wish(&self, kind: &str, follow: bool) -> Result<Option<(PathBuf, Wish)>> {
        let home = match (&self.kubeconfig, self.in_cluster) {
            (_, true) => PathBuf::from(SERVICE_ACCOUNT),
            (Some(file), false) => file.clone(),
            (None, false) if follow => {
                return Err(Error::invalid(
                    "--follow needs a cluster (--kubeconfig FILE, --in-cluster) or an organization (--organization URL)",
                ));
            }
            (None, false) => return Ok(None),
        };
        if kind != "k8s" {
            return Err(Error::invalid(format!("clusters are read by `ingest k8s`, not by `ingest {kind}`")));
        }
        let wish = Wish {
            contexts: self.context.clone(),
            in_cluster: self.in_cluster,
            follow,
            resources: self.resource.clone(),
            without: self.without.clone(),
            fields: self.field.clone(),
            discover_every: self.discover_every,
            list_every: self.list_every,
            usage_every: self.usage_every,
        };
        Ok(Some((home, wish)))
    }
}

/// What `serve --kubernetes` means: a kubeconfig (with `#CONTEXT`, one of its contexts), or `in-cluster`.
pub fn home(word: &str) -> (PathBuf, Wish) {
    let wish = Wish { follow: true, ..Wish::default() };
    if word == "in-cluster" {
        return (PathBuf::from(SERVICE_ACCOUNT), Wish { in_cluster: true, ..wish });
    }
    match word.rsplit_once('#') {
        Some((file, context)) => (PathBuf::from(file), Wish { contexts: vec![context.to_owned()], ..wish }),
        None => (PathBuf::from(word), wish),
    }
}
