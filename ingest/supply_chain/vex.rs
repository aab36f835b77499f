//! `vex_statement`: what somebody says about a vulnerability in a product: CycloneDX's analysis, OpenVEX, CSAF.

use engine::{Column, Index, Rows, Table, Type, Value as Cell};
use serde_json::Value;

use super::advisory;
use super::lenient::{cell, instant, items, owned, scalar, text};
use super::purl::Purl;
use super::report::Report;
use crate::json::Reason;

/// VEX statements.
pub static VEX_STATEMENT: Table = Table {
    key: &["report_id", "number"],
    time: "ingested_at",
    indexes: &[Index::BTree("vulnerability")],
    ..Table::new(
        "vex_statement",
        "One row for each VEX statement about one vulnerability in one product. The newest counts; `security_finding_current` applies them.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the row.").required(),
            Column::new("report_id", Type::Text, "The document; see `security_report`.").required(),
            Column::new("number", Type::Int, "Which statement of its document, counted from 1.").required(),
            Column::new("document_id", Type::Text, "The document's own id."),
            Column::new("author", Type::Text, "Who says so."),
            Column::new("vulnerability", Type::Text, "CVE, else GHSA, else the id that the document gives.").required(),
            Column::new("aliases", Type::Json, "Other ids of the vulnerability, a list."),
            Column::new(
                "product",
                Type::Text,
                "The product as the document names it: package URL, CycloneDX link, name.",
            )
            .required(),
            Column::new(
                "product_key",
                Type::Text,
                "The product as findings name it: a package URL without qualifiers, else as written.",
            )
            .required(),
            Column::new(
                "subcomponent_key",
                Type::Text,
                "Part of the product that the statement is about, in the same form.",
            ),
            Column::new("vex_status", Type::Name, "`affected`, `not_affected`, `fixed` or `under_investigation`.")
                .required(),
            Column::new(
                "vex_status_original",
                Type::Name,
                "The document's own word (`in_triage`, `exploitable`, `known_not_affected`).",
            ),
            Column::new("vex_justification", Type::Name, "Why it is not affected, in the document's word."),
            Column::new("detail", Type::Text, "Explanation or impact statement."),
            Column::new("response", Type::Text, "What is done or to be done about it."),
            Column::new("issued_at", Type::Time, "When it was said; null where the document does not say."),
        ],
    )
};

/// One statement.
#[derive(Debug, Clone, Default)]
pub struct Statement {
    /// The document's id.
    pub document_id: Option<String>,
    /// Who says so.
    pub author: Option<String>,
    /// The vulnerability's id.
    pub vulnerability: String,
    /// Other ids.
    pub aliases: Vec<String>,
    /// The product.
    pub product: String,
    /// Part of it.
    pub subcomponent: Option<String>,
    /// The document's word.
    pub status: String,
    /// Why it is not affected.
    pub justification: Option<String>,
    /// Explanation.
    pub detail: Option<String>,
    /// What is done.
    pub response: Option<String>,
    /// When it was said.
    pub issued_us: Option<i64>,
}

/// One of the four statuses for a document's word.
pub fn status(word: &str) -> Option<&'static str> {
    Some(match word.trim().to_ascii_lowercase().as_str() {
        "not_affected" | "false_positive" | "known_not_affected" => "not_affected",
        "affected" | "exploitable" | "known_affected" | "first_affected" | "last_affected" | "recommended" => {
            "affected"
        }
        "fixed" | "resolved" | "resolved_with_pedigree" | "first_fixed" => "fixed",
        "under_investigation" | "in_triage" => "under_investigation",
        _ => return None,
    })
}

/// What a status makes of a finding.
pub fn state(status: &str) -> Option<&'static str> {
    match status {
        "not_affected" => Some("suppressed"),
        "fixed" => Some("fixed"),
        _ => None,
    }
}

/// A product as findings name it.
pub fn product_key(product: &str) -> String {
    Purl::read(product).map_or_else(|| product.trim().to_owned(), |purl| purl.normal())
}

impl Statement {
    /// Adds its row.
    pub fn write(
        &self,
        tenant: &str,
        report_id: &str,
        number: usize,
        report: &Report,
        rows: &mut Rows,
    ) -> Result<(), Reason> {
        let status = status(&self.status).ok_or_else(|| format!("{} is no VEX status", self.status))?;
        rows.set("tenant", tenant)
            .set("report_id", report_id)
            .set("number", i64::try_from(number).unwrap_or(i64::MAX))
            .set("document_id", self.document_id.clone())
            .set("author", self.author.clone())
            .set("vulnerability", advisory::canonical(&self.vulnerability, &self.aliases))
            .set("aliases", cell(&self.aliases))
            .set("product", self.product.as_str())
            .set("product_key", product_key(&self.product))
            .set("subcomponent_key", self.subcomponent.as_deref().map(product_key))
            .set("vex_status", status)
            .set("vex_status_original", self.status.as_str())
            .set("vex_justification", self.justification.clone())
            .set("detail", self.detail.clone())
            .set("response", self.response.clone())
            .set("issued_at", self.issued_us.or(report.observed_us).map(Cell::Time));
        rows.end_row().map_err(|e| e.to_string())
    }
}

/// Reads an OpenVEX document.
pub fn openvex(document: &Value) -> Result<Report, Reason> {
    let mut report = Report::of("OpenVEX", text(document, &["tooling"]).unwrap_or("openvex"));
    report.format_version =
        text(document, &["@context"]).and_then(|context| context.rsplit('/').next()).map(str::to_owned);
    report.target = owned(document, &["@id"]).unwrap_or_default();
    report.observed_us = instant(document, &["last_updated"]).or_else(|| instant(document, &["timestamp"]));
    for (i, said) in items(document, &["statements"]).iter().enumerate() {
        match openvex_statement(document, said) {
            Ok(statements) => report.statements.extend(statements),
            Err(reason) => report.refuse(reason, format!("statements[{i}]"), said),
        }
    }
    Ok(report)
}

fn openvex_statement(document: &Value, said: &Value) -> Result<Vec<Statement>, Reason> {
    // Version 0.0.1 wrote texts where later ones write objects.
    let vulnerability = owned(said, &["vulnerability"]).or_else(|| owned(said, &["vulnerability", "name"]));
    let vulnerability =
        vulnerability.or_else(|| owned(said, &["vulnerability", "@id"])).ok_or("vulnerability is missing")?;
    let status_word = owned(said, &["status"]).ok_or("status is missing")?;
    status(&status_word).ok_or_else(|| format!("{status_word} is no VEX status"))?;
    let base = Statement {
        document_id: owned(document, &["@id"]),
        author: owned(document, &["author"]),
        vulnerability,
        aliases: super::lenient::texts(said, &["vulnerability", "aliases"]),
        status: status_word,
        justification: owned(said, &["justification"]),
        detail: owned(said, &["impact_statement"]).or_else(|| owned(said, &["status_notes"])),
        response: owned(said, &["action_statement"]),
        issued_us: instant(said, &["last_updated"]).or_else(|| instant(said, &["timestamp"])),
        ..Statement::default()
    };
    let named = |product: &Value| {
        let identifier = ["purl", "cpe23", "cpe22"].iter().find_map(|kind| owned(product, &["identifiers", kind]));
        product.as_str().map(str::to_owned).or_else(|| owned(product, &["@id"])).or(identifier)
    };
    let mut statements = Vec::new();
    for product in items(said, &["products"]) {
        let name = named(product).ok_or("a product has no id")?;
        let parts: Vec<String> = items(product, &["subcomponents"]).iter().filter_map(named).collect();
        let parts = if parts.is_empty() { vec![None] } else { parts.into_iter().map(Some).collect() };
        for subcomponent in parts {
            statements.push(Statement { product: name.clone(), subcomponent, ..base.clone() });
        }
    }
    if statements.is_empty() { Err("products are missing".to_owned()) } else { Ok(statements) }
}

/// Reads a CSAF document of the VEX profile; a security advisory has the same parts.
pub fn csaf(document: &Value) -> Result<Report, Reason> {
    let mut report =
        Report::of("CSAF", text(document, &["document", "tracking", "generator", "engine", "name"]).unwrap_or("csaf"));
    report.format_version = scalar(document, &["document", "csaf_version"]);
    report.target = owned(document, &["document", "tracking", "id"]).unwrap_or_default();
    report.observed_us = instant(document, &["document", "tracking", "current_release_date"]);
    let products = csaf_products(document);
    for (i, vulnerability) in items(document, &["vulnerabilities"]).iter().enumerate() {
        let ids: Vec<String> = items(vulnerability, &["ids"]).iter().filter_map(|id| owned(id, &["text"])).collect();
        let Some(name) = owned(vulnerability, &["cve"]).or_else(|| ids.first().cloned()) else {
            report.refuse("cve is missing".to_owned(), format!("vulnerabilities[{i}]"), vulnerability);
            continue;
        };
        let statuses = vulnerability.get("product_status").and_then(Value::as_object).into_iter().flatten();
        for (word, listed) in statuses.filter(|(word, _)| status(word).is_some()) {
            for id in listed.as_array().into_iter().flatten().filter_map(Value::as_str) {
                let of_product = |list: &str, member: &str| {
                    let concerns =
                        |entry: &&Value| items(entry, &["product_ids"]).iter().any(|p| p.as_str() == Some(id));
                    items(vulnerability, &[list]).iter().find(concerns).and_then(|entry| owned(entry, &[member]))
                };
                report.statements.push(Statement {
                    document_id: owned(document, &["document", "tracking", "id"]),
                    author: owned(document, &["document", "publisher", "name"]),
                    vulnerability: name.clone(),
                    aliases: ids.clone(),
                    product: products
                        .iter()
                        .find(|(known, _)| known == id)
                        .map_or(id, |(_, name)| name.as_str())
                        .to_owned(),
                    status: word.clone(),
                    justification: of_product("flags", "label"),
                    detail: of_product("threats", "details"),
                    response: of_product("remediations", "details"),
                    ..Statement::default()
                });
            }
        }
    }
    Ok(report)
}

/// Every product of the tree by its id: its package URL, else its name.
fn csaf_products(document: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<&Value> = document.get("product_tree").into_iter().collect();
    while let Some(branch) = open.pop() {
        open.extend(items(branch, &["branches"]));
        let named = items(branch, &["full_product_names"]).iter().chain(branch.get("product"));
        let named = named.chain(items(branch, &["relationships"]).iter().filter_map(|r| r.get("full_product_name")));
        for product in named {
            let name = owned(product, &["product_identification_helper", "purl"]).or_else(|| owned(product, &["name"]));
            found.extend(owned(product, &["product_id"]).zip(name));
        }
    }
    found
}
