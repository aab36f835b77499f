//! The register of sources, in plain sight. A file on disk is read by the source of its kind, from the command line and
//! from the server's control socket alike.

use std::path::Path;

use async_trait::async_trait;
use engine::{Result, Scope, Store, Table};

/// Told how far a long read is. Bytes of the files as they lie on disk.
pub trait Progress: Send + Sync {
    /// A file of this size begins.
    fn begin(&self, path: &Path, bytes: u64);
    /// This many more bytes are read.
    fn advance(&self, bytes: u64);
}

/// Tells nobody.
#[derive(Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &Path, _: u64) {}
    fn advance(&self, _: u64) {}
}

/// What the caller may say about a file.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct FileOptions {
    /// Tenant of rows that name none; only a platform scope may say it.
    pub tenant: Option<String>,
    /// Name of the Kubernetes cluster (`k8s`).
    pub cluster: Option<String>,
    /// Name of the cost export (`cost`), for files without a manifest; default: the file's folder and name.
    pub export: Option<String>,
    /// Follow Kubernetes clusters instead of reading files (`k8s`); the path is the kubeconfig.
    #[serde(default)]
    pub live: Option<crate::kubernetes::live::Wish>,
    /// What was looked at (`sbom`, `sarif`), for reports that do not say it.
    #[serde(default)]
    pub target: Option<String>,
    /// Branch, tag or commit (`git`); default: the branch that is checked out.
    #[serde(default)]
    pub reference: Option<String>,
    /// Name of the price list (`price`); default: the file's format.
    #[serde(default)]
    pub price_list: Option<String>,
    /// When the prices begin to hold (`price`), in microseconds since 1970; default: now, and always for a first list.
    #[serde(default)]
    pub valid_from: Option<i64>,
    /// The file's format (`price`); default: what its content says.
    #[serde(default)]
    pub format: Option<String>,
}

/// What became of one path.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Summary {
    /// Files read.
    pub files: u64,
    /// Records that became rows.
    pub accepted: u64,
    /// Records kept in `reject`.
    pub rejected: u64,
    /// Files or runs that were there already: nothing was added.
    pub repeated: u64,
    /// Files or runs that were refused as a whole while others of the same path were read.
    #[serde(default)]
    pub refused: u64,
    /// One line each for what a person should know (a superseded run, a file of unknown form).
    pub notes: Vec<String>,
}

impl Summary {
    /// Adds another path's counts.
    pub fn add(&mut self, other: Summary) {
        self.files += other.files;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.repeated += other.repeated;
        self.refused += other.refused;
        self.notes.extend(other.notes);
    }
}

/// One kind of input.
#[async_trait]
pub trait Source: Send + Sync {
    /// The word on the command line: `cost`, `otlp`, `k8s`, `ado`, `price`.
    fn kind(&self) -> &'static str;
    /// What it reads, for the help text.
    fn doc(&self) -> &'static str;
    /// The tables it writes.
    fn tables(&self) -> Vec<&'static Table>;
    /// Reads one file or folder and makes its rows durable. Reading the same path again changes nothing.
    async fn ingest_path(
        &self,
        store: &Store,
        scope: &Scope,
        path: &Path,
        options: &FileOptions,
        progress: &dyn Progress,
    ) -> Result<Summary>;
}

/// Every source.
pub const SOURCES: &[&dyn Source] = &[
    &crate::cost::Cost,
    &crate::otel::Otlp,
    &crate::kubernetes::Kubernetes,
    &crate::ado::Ado,
    &crate::supply_chain::Reports::SBOM,
    &crate::supply_chain::Reports::SARIF,
    &crate::documents::Docs,
    &crate::git::Git,
    &crate::price::Price,
];

/// Every table that ingest declares.
pub fn tables() -> Vec<&'static Table> {
    SOURCES.iter().flat_map(|source| source.tables()).chain(crate::hook::TABLES.iter().copied()).collect()
}

/// Every view that ingest declares.
pub fn views() -> Vec<&'static engine::View> {
    [
        crate::kubernetes::VIEWS,
        crate::ado::delivery::VIEWS,
        crate::supply_chain::views::VIEWS,
        crate::documents::views::VIEWS,
        crate::price::VIEWS,
        crate::cost::VIEWS,
    ]
    .concat()
}
