//! Supply chain: SBOMs, scan reports and VEX of every common tool become `sbom`, `sbom_component`, `sbom_dependency`,
//! `security_report`, `security_finding` and `vex_statement`.
//!
//! A document's format is told by its content. A finding is counted as its tool means it: what a report repeats is one
//! finding with a count, what passed is none. Secrets are told by their place; their values are read and not kept.

use std::path::Path;

use async_trait::async_trait;
use engine::{Result, Scope, Store, Table};

use crate::files::{self, Reading};
use crate::{FileOptions, Parsed, Progress, Source, Summary};

mod advisory;
mod bom;
mod cvss;
mod cyclonedx;
mod detect;
mod diff;
mod exchange;
mod finding;
mod gitlab;
mod gitleaks;
mod grype;
mod kube_audit;
mod kubescape;
pub(crate) mod lenient;
mod purl;
mod report;
mod sarif;
mod severity;
mod spdx;
mod spdx3;
#[cfg(test)]
mod tests;
mod trivy;
mod trivy_operator;
mod vex;
pub mod views;
mod write;

pub use bom::{SBOM, SBOM_COMPONENT, SBOM_DEPENDENCY};
pub use diff::{Change, Part, difference, parts_of_file};
pub use finding::SECURITY_FINDING;
pub use report::SECURITY_REPORT;
pub use vex::VEX_STATEMENT;

/// Names' ends that reports have in folders.
const EXTENSIONS: &[&str] = &[
    "json",
    "xml",
    "jsonl",
    "ndjson",
    "sarif",
    "csv",
    "cdx",
    "spdx",
    "spdx3",
    "asff",
    "gitlab",
    "gitlab-codequality",
    "gsbom",
    "vex",
];

/// Reads one body of documents into frames.
fn units(body: &[u8], origin: &write::Origin<'_>) -> Vec<Parsed> {
    let contents = match std::str::from_utf8(body) {
        Ok(text) => detect::read(text),
        // Windows' shells redirect into UTF-16.
        Err(e) => match utf_16(body) {
            Some(text) => detect::read(&text),
            None => {
                let refused = report::Refused {
                    reason: format!("not UTF-8: {e}"),
                    place: "file".to_owned(),
                    body: String::new(),
                };
                detect::Contents { refused: vec![refused], ..detect::Contents::default() }
            }
        },
    };
    write::units(contents, origin)
}

fn utf_16(body: &[u8]) -> Option<String> {
    let wide =
        |from: fn([u8; 2]) -> u16| body[2..].chunks_exact(2).map(|pair| from([pair[0], pair[1]])).collect::<Vec<_>>();
    let units = match body {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => return None,
    };
    String::from_utf16(&units).ok()
}

/// Bills of materials and scan reports. Each word reads both: the format is told by content.
#[derive(Debug)]
pub struct Reports {
    kind: &'static str,
    doc: &'static str,
}

impl Reports {
    /// Bills of materials; reads scan reports, too.
    pub const SBOM: Reports = Reports {
        kind: "sbom",
        doc: "SBOMs and VEX: CycloneDX, SPDX, syft, OpenVEX, CSAF; the format is told by content, so every scan report is read, too",
    };
    /// Scan reports; reads bills of materials, too.
    pub const SARIF: Reports = Reports {
        kind: "sarif",
        doc: "Scan reports: SARIF, trivy, trivy-operator, grype, gitleaks, kubescape, kube-bench, kubeaudit, GitLab, ASFF, DefectDojo; told by content",
    };
}

#[async_trait]
impl Source for Reports {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn doc(&self) -> &'static str {
        self.doc
    }

    fn tables(&self) -> Vec<&'static Table> {
        vec![&SECURITY_REPORT, &SECURITY_FINDING, &SBOM, &SBOM_COMPONENT, &SBOM_DEPENDENCY, &VEX_STATEMENT]
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
        let tenant = scope.owner(named.as_deref());
        let owner = files::key_owner(scope, named.as_deref());
        let (word, target) = (self.kind, options.target.as_deref());
        let reading = Reading { kind: word, extensions: EXTENSIONS, store, scope, progress };
        let origin = |hash| write::Origin { word, tenant, owner: &owner, hash, target };
        reading.folder(path, |body, hash| units(body, &origin(hash))).await
    }
}
