//! `sbom`, `sbom_component`, `sbom_dependency`: what software is made of.

use engine::{Column, Index, Rows, Table, Type, Value as Cell};

use super::lenient::cell;
use super::purl::{Purl, shared_name};
use super::report::Report;
use crate::json::Reason;

/// SBOM documents.
pub static SBOM: Table = Table {
    key: &["sbom_id"],
    time: "ingested_at",
    ..Table::new(
        "sbom",
        "One row for each software bill of materials: an SBOM document, or the packages that a scan report lists.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the row.").required(),
            Column::new("sbom_id", Type::Text, "Identity of the document; the `report_id` of `security_report`.")
                .required(),
            Column::new("serial_number", Type::Text, "CycloneDX's serial number or SPDX's document namespace."),
            Column::new("document_version", Type::Text, "Version of the document under its serial number."),
            Column::new("format", Type::Name, "`CycloneDX`, `SPDX`, `syft`, `trivy` …").required(),
            Column::new("spec_version", Type::Name, "Version of the format."),
            Column::new("name", Type::Text, "Name of the document."),
            Column::new(
                "subject",
                Type::Text,
                "What it describes, without a version: two SBOMs of one subject can be compared.",
            )
            .required(),
            Column::new("subject_version", Type::Text, "Version of what it describes."),
            Column::new("subject_purl", Type::Text, "Package URL of what it describes."),
            Column::new("subject_type", Type::Name, "`application`, `container`, `library` …"),
            Column::new("created_at", Type::Time, "When it was made, by its own words."),
            Column::new("tools", Type::Json, "Tools that made it, a list."),
            Column::new("authors", Type::Json, "Who made it, a list."),
            Column::new("data_licence", Type::Name, "Licence of the document itself."),
            Column::new(
                "is_complete",
                Type::Bool,
                "False where only affected components are listed, as in grype's reports.",
            )
            .required(),
            Column::new("components", Type::Int, "Components, nested ones and services included, files not.")
                .required(),
            Column::new("files", Type::Int, "Files that are listed beside the components.").required(),
        ],
    )
};

/// Components of SBOMs.
pub static SBOM_COMPONENT: Table = Table {
    key: &["sbom_id", "number"],
    time: "ingested_at",
    indexes: &[Index::BTree("package"), Index::BTree("name")],
    ..Table::new(
        "sbom_component",
        "One row for each component of each SBOM: packages, nested ones, services, files.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the row.").required(),
            Column::new("sbom_id", Type::Text, "The SBOM; see `sbom`.").required(),
            Column::new("number", Type::Int, "Which component of its SBOM, counted from 1.").required(),
            Column::new("component_ref", Type::Text, "The document's own reference (`bom-ref`, `SPDXID`); null where it has none."),
            Column::new("bom_link", Type::Text, "CycloneDX's link to the component (`urn:cdx:serial/version#ref`), by which a VEX in another document names it."),
            Column::new("parent_ref", Type::Text, "Reference of the component that contains it."),
            Column::new("component_type", Type::Name, "`library`, `application`, `container`, `operating-system`, `file`, `service` …").required(),
            Column::new("name", Type::Text, "Name, without its group.").required(),
            Column::new("component_group", Type::Text, "Group, scope or namespace of the name."),
            Column::new("version", Type::Text, "Version."),
            Column::new("purl", Type::Text, "Package URL as written."),
            Column::new("package", Type::Text, "What is the same in another version: the package URL without version and qualifiers, else group and name.").required(),
            Column::new("cpe", Type::Text, "CPE."),
            Column::new("licences", Type::Text, "SPDX expression of its licences, as declared; several are joined by AND."),
            Column::new("licence_concluded", Type::Text, "Licence as somebody concluded it, where the document tells the two apart."),
            Column::new("hashes", Type::Json, "Hashes: `{\"SHA-256\": \"…\"}`."),
            Column::new("supplier", Type::Text, "Who supplies it."),
            Column::new("publisher", Type::Text, "Who published it, or its author."),
            Column::new("scope", Type::Name, "`required`, `optional` or `excluded`; `development` where the document says so."),
            Column::new("is_subject", Type::Bool, "Whether the SBOM is about this component.").required(),
            Column::new("description", Type::Text, "What it is."),
            Column::new("copyright", Type::Text, "Copyright notice."),
        ],
    )
};

/// Relations between components.
pub static SBOM_DEPENDENCY: Table = Table {
    key: &["sbom_id", "component_ref", "depends_on", "relation"],
    time: "ingested_at",
    ..Table::new(
        "sbom_dependency",
        "Which component of an SBOM depends on which, by the document's own references.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the row.").required(),
            Column::new("sbom_id", Type::Text, "The SBOM; see `sbom`.").required(),
            Column::new("component_ref", Type::Text, "Reference of the component that needs the other.").required(),
            Column::new("depends_on", Type::Text, "Reference of the component that it needs.").required(),
            Column::new(
                "relation",
                Type::Name,
                "`depends_on`, `provides`, `contains` or SPDX's relationship, in small letters.",
            )
            .required(),
        ],
    )
};

/// A bill of materials.
#[derive(Debug, Clone, Default)]
pub struct Bom {
    /// Serial number or namespace.
    pub serial_number: Option<String>,
    /// Version of the document.
    pub document_version: Option<String>,
    /// Name of the document.
    pub name: Option<String>,
    /// What it describes.
    pub subject: Component,
    /// When it was made.
    pub created_us: Option<i64>,
    /// Tools.
    pub tools: Vec<String>,
    /// Authors.
    pub authors: Vec<String>,
    /// Licence of the document.
    pub data_licence: Option<String>,
    /// Only affected components are listed.
    pub partial: bool,
    /// Components.
    pub components: Vec<Component>,
    /// Needs: who, whom, how.
    pub dependencies: Vec<(String, String, String)>,
}

/// One component.
#[derive(Debug, Clone, Default)]
pub struct Component {
    /// The document's reference.
    pub reference: Option<String>,
    /// Reference of its container.
    pub parent: Option<String>,
    /// `library`, `service`, `file` …
    pub kind: String,
    /// Group of the name.
    pub group: Option<String>,
    /// Name.
    pub name: String,
    /// Version.
    pub version: Option<String>,
    /// Package URL.
    pub purl: Option<String>,
    /// CPE.
    pub cpe: Option<String>,
    /// Declared licences.
    pub licences: Option<String>,
    /// Concluded licence.
    pub licence_concluded: Option<String>,
    /// Hashes, a JSON object.
    pub hashes: Option<String>,
    /// Supplier.
    pub supplier: Option<String>,
    /// Publisher or author.
    pub publisher: Option<String>,
    /// Scope.
    pub scope: Option<String>,
    /// The SBOM is about it.
    pub is_subject: bool,
    /// What it is.
    pub description: Option<String>,
    /// Copyright.
    pub copyright: Option<String>,
}

impl Component {
    /// What is the same in another version.
    pub fn package(&self) -> String {
        if let Some(purl) = self.purl.as_deref().and_then(Purl::read) {
            return purl.package();
        }
        match &self.group {
            Some(group) => shared_name(&format!("{group}/{}", self.name)),
            None => shared_name(&self.name),
        }
    }

    /// Whether it is a file beside the components.
    pub fn is_file(&self) -> bool {
        self.kind == "file"
    }
}

impl Bom {
    /// Adds the document's row.
    pub fn write(&self, tenant: &str, report: &Report, sbom_id: &str, rows: &mut Rows) -> Result<(), Reason> {
        let files = self.components.iter().filter(|component| component.is_file()).count();
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let subject = if self.subject.name.is_empty() { report.target.clone() } else { self.subject.package() };
        rows.set("tenant", tenant)
            .set("sbom_id", sbom_id)
            .set("serial_number", self.serial_number.clone())
            .set("document_version", self.document_version.clone())
            .set("format", report.format)
            .set("spec_version", report.format_version.clone())
            .set("name", self.name.clone())
            .set("subject", subject)
            .set("subject_version", self.subject.version.clone())
            .set("subject_purl", self.subject.purl.clone())
            .set("subject_type", (!self.subject.kind.is_empty()).then(|| self.subject.kind.clone()))
            .set("created_at", self.created_us.or(report.observed_us).map(Cell::Time))
            .set("tools", cell(&self.tools))
            .set("authors", cell(&self.authors))
            .set("data_licence", self.data_licence.clone())
            .set("is_complete", !self.partial)
            .set("components", count(self.components.len() - files))
            .set("files", count(files));
        rows.end_row().map_err(|e| e.to_string())
    }

    /// CycloneDX's link to a component of this document.
    fn link(&self, reference: &str) -> Option<String> {
        let serial = self.serial_number.as_deref()?.strip_prefix("urn:uuid:")?;
        Some(format!("urn:cdx:{serial}/{}#{reference}", self.document_version.as_deref().unwrap_or("1")))
    }

    /// Adds one component's row.
    pub fn write_component(&self, tenant: &str, sbom_id: &str, at: usize, rows: &mut Rows) -> Result<(), Reason> {
        let component = &self.components[at];
        rows.set("tenant", tenant)
            .set("sbom_id", sbom_id)
            .set("number", i64::try_from(at + 1).unwrap_or(i64::MAX))
            .set("component_ref", component.reference.clone())
            .set("bom_link", component.reference.as_deref().and_then(|reference| self.link(reference)))
            .set("parent_ref", component.parent.clone())
            .set("component_type", component.kind.as_str())
            .set("name", component.name.as_str())
            .set("component_group", component.group.clone())
            .set("version", component.version.clone())
            .set("purl", component.purl.clone())
            .set("package", component.package())
            .set("cpe", component.cpe.clone())
            .set("licences", component.licences.clone())
            .set("licence_concluded", component.licence_concluded.clone())
            .set("hashes", component.hashes.clone())
            .set("supplier", component.supplier.clone())
            .set("publisher", component.publisher.clone())
            .set("scope", component.scope.clone())
            .set("is_subject", component.is_subject)
            .set("description", component.description.clone())
            .set("copyright", component.copyright.clone());
        rows.end_row().map_err(|e| e.to_string())
    }

    /// Adds one relation's row.
    pub fn write_dependency(&self, tenant: &str, sbom_id: &str, at: usize, rows: &mut Rows) -> Result<(), Reason> {
        let (from, to, relation) = &self.dependencies[at];
        rows.set("tenant", tenant)
            .set("sbom_id", sbom_id)
            .set("component_ref", from.as_str())
            .set("depends_on", to.as_str())
            .set("relation", relation.as_str());
        rows.end_row().map_err(|e| e.to_string())
    }
}
