//! Reports become rows, a bounded frame at a time. A report's own row comes last: until it is there, none of its findings
//! counts, and an earlier report's findings are not taken for fixed.

use engine::reject::Reject;
use engine::{Idempotency, Rows};

use super::bom::{SBOM, SBOM_COMPONENT, SBOM_DEPENDENCY};
use super::detect::Contents;
use super::finding::SECURITY_FINDING;
use super::report::{Report, SECURITY_REPORT};
use super::vex::VEX_STATEMENT;
use crate::Parsed;
use crate::json::Reason;

/// Rows of one frame before the next begins.
const FRAME_ROWS: usize = 1_000;

/// Whose rows, from which file.
pub struct Origin<'a> {
    /// The source's word.
    pub word: &'static str,
    /// Tenant of the rows.
    pub tenant: &'a str,
    /// Owner of idempotency keys.
    pub owner: &'a str,
    /// SHA-256 of the file.
    pub hash: [u8; 32],
    /// What was looked at, where a document does not say.
    pub target: Option<&'a str>,
}

/// Rows of all tables under construction.
struct Unit<'a> {
    origin: &'a Origin<'a>,
    tables: Vec<Rows>,
    accepted: u64,
    rejects: Vec<Reject>,
    done: Vec<Parsed>,
}

const TABLES: [&engine::Table; 6] =
    [&SECURITY_FINDING, &VEX_STATEMENT, &SBOM_COMPONENT, &SBOM_DEPENDENCY, &SBOM, &SECURITY_REPORT];

impl<'a> Unit<'a> {
    fn rows(&mut self, table: &engine::Table) -> &mut Rows {
        let at =
            TABLES.iter().position(|known| known.name == table.name).expect("every table written stands in the list");
        &mut self.tables[at]
    }

    /// Counts a record's row, or refuses it.
    fn put(&mut self, written: Result<(), Reason>, place: impl FnOnce() -> String) {
        match written {
            Ok(()) => self.accepted += 1,
            Err(reason) => self.reject(reason, place(), String::new()),
        }
        if self.tables.iter().map(Rows::len).sum::<usize>() + self.rejects.len() >= FRAME_ROWS {
            self.close();
        }
    }

    fn reject(&mut self, reason: Reason, place: String, body: String) {
        self.rejects.push(Reject { kind: self.origin.word, reason, place: Some(place), body: body.into_bytes() });
    }

    /// Ends a frame.
    fn close(&mut self) {
        let rejects = std::mem::take(&mut self.rejects);
        let mut parsed = Parsed { accepted: std::mem::take(&mut self.accepted), rejects, ..Parsed::default() };
        for rows in self.tables.iter_mut().filter(|rows| !rows.is_empty()) {
            parsed.batches.push(engine::Batch { table: rows.table(), rows: rows.finish() });
        }
        let target = self.origin.target.map(crate::files::key_part).unwrap_or_default();
        let key = format!("scan:{}:{target}:{}:{}", self.origin.owner, hex::encode(self.origin.hash), self.done.len());
        parsed.idempotency = Some(Idempotency { key, body_hash: self.origin.hash });
        self.done.push(parsed);
    }

    fn report(&mut self, report: &Report, id: &str) {
        let tenant = self.origin.tenant;
        for (i, statement) in report.statements.iter().enumerate() {
            let written = statement.write(tenant, id, i + 1, report, self.rows(&VEX_STATEMENT));
            self.put(written, || format!("statement {}", i + 1));
        }
        if let Some(bom) = &report.bom {
            for i in 0..bom.components.len() {
                let written = bom.write_component(tenant, id, i, self.rows(&SBOM_COMPONENT));
                self.put(written, || format!("component {}", i + 1));
            }
            for i in 0..bom.dependencies.len() {
                let written = bom.write_dependency(tenant, id, i, self.rows(&SBOM_DEPENDENCY));
                // A relation is no record of its own.
                if let Err(reason) = written {
                    self.reject(reason, format!("dependency {}", i + 1), String::new());
                }
                if self.rows(&SBOM_DEPENDENCY).len() >= FRAME_ROWS {
                    self.close();
                }
            }
            if let Err(reason) = bom.write(tenant, report, id, self.rows(&SBOM)) {
                self.reject(reason, "sbom".to_owned(), String::new());
            }
        }
        for (i, finding) in report.findings.iter().enumerate() {
            let written = finding.write(tenant, report, id, i + 1, self.rows(&SECURITY_FINDING));
            self.put(written, || format!("finding {}", i + 1));
        }
        for refused in &report.refused {
            self.reject(refused.reason.clone(), refused.place.clone(), refused.body.clone());
        }
        if let Err(reason) = report.write(tenant, id, self.rows(&SECURITY_REPORT)) {
            self.reject(reason, "report".to_owned(), String::new());
        }
    }
}

/// The rows of a file, in frames.
pub fn units(mut contents: Contents, origin: &Origin<'_>) -> Vec<Parsed> {
    let tables = TABLES.iter().map(|table| Rows::new(table)).collect();
    let mut unit = Unit { origin, tables, accepted: 0, rejects: Vec::new(), done: Vec::new() };
    let file = hex::encode(&origin.hash[..16]);
    for (i, report) in contents.reports.iter_mut().enumerate() {
        if let Some(target) = origin.target.filter(|_| report.target.is_empty()) {
            report.target = target.to_owned();
        }
        unit.report(report, &format!("{file}-{}", i + 1));
    }
    for refused in contents.refused {
        unit.reject(refused.reason, refused.place, refused.body);
    }
    unit.close();
    unit.done
}
