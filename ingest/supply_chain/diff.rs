//! The difference of two bills of materials: what was added, what went, what changed its version or licence.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use engine::{Error, Result};
use serde::Serialize;

use super::bom::Component;
use super::detect;
use crate::files;

/// Bytes of an SBOM that is compared.
const BODY_BYTES_MAX: u64 = 256 << 20;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// `added`, `removed`, `version` or `licence`.
    pub change: &'static str,
    /// The package, without its version.
    pub package: String,
    /// Version in the first.
    pub version_before: Option<String>,
    /// Version in the second.
    pub version_after: Option<String>,
    /// Licences in the first.
    pub licences_before: Option<String>,
    /// Licences in the second.
    pub licences_after: Option<String>,
}

/// Versions of one package, each with its licences.
type Versions = BTreeMap<String, Option<String>>;

/// What is compared of a component.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// The package, without its version.
    pub package: String,
    /// Its version; empty where it has none.
    pub version: String,
    /// Its licences.
    pub licences: Option<String>,
}

impl Part {
    /// The parts of a bill of materials; files and what the document is about are none.
    fn of(components: &[Component]) -> Vec<Part> {
        let part = |component: &Component| Part {
            package: component.package(),
            version: component.version.clone().unwrap_or_default(),
            licences: component.licences.clone(),
        };
        components.iter().filter(|component| !component.is_file() && !component.is_subject).map(part).collect()
    }
}

fn by_package(parts: &[Part]) -> BTreeMap<String, Versions> {
    let mut found: BTreeMap<String, Versions> = BTreeMap::new();
    for part in parts {
        let licences = found.entry(part.package.clone()).or_default().entry(part.version.clone()).or_default();
        // A package may stand several times; what one of them says about licences counts.
        *licences = licences.take().max(part.licences.clone());
    }
    found
}

/// Compares two lists of components. One package in several versions is matched version by version first; what is left
/// over on both sides changed its version, in the order of the versions.
pub fn difference(before: &[Part], after: &[Part]) -> Vec<Change> {
    let (before, after) = (by_package(before), by_package(after));
    let packages: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let none = Versions::new();
    let mut changes = Vec::new();
    for package in packages {
        let (old, new) = (before.get(package).unwrap_or(&none), after.get(package).unwrap_or(&none));
        let mut gone = old.iter().filter(|(version, _)| !new.contains_key(*version));
        let mut come = new.iter().filter(|(version, _)| !old.contains_key(*version));
        loop {
            let (gone, come) = (gone.next(), come.next());
            let change = match (gone, come) {
                (None, None) => break,
                (Some(_), Some(_)) => "version",
                (Some(_), None) => "removed",
                (None, Some(_)) => "added",
            };
            changes.push(changed(change, package, gone, come));
        }
        for (version, licences) in old {
            if let Some(other) = new.get(version).filter(|other| *other != licences) {
                changes.push(changed("licence", package, Some((version, licences)), Some((version, other))));
            }
        }
    }
    changes
}

type Side<'a> = Option<(&'a String, &'a Option<String>)>;

fn changed(change: &'static str, package: &str, before: Side<'_>, after: Side<'_>) -> Change {
    let version = |side: Side<'_>| side.map(|(version, _)| version.clone()).filter(|version| !version.is_empty());
    let licences = |side: Side<'_>| side.and_then(|(_, licences)| licences.clone());
    Change {
        change,
        package: package.to_owned(),
        version_before: version(before),
        version_after: version(after),
        licences_before: licences(before),
        licences_after: licences(after),
    }
}

/// The parts of an SBOM in a file.
pub fn parts_of_file(path: &Path) -> Result<Vec<Part>> {
    let doing = format!("read {}", path.display());
    let file = std::fs::File::open(path).map_err(|e| Error::invalid(format!("{doing}: {e}")))?;
    let body = files::unpack(file, BODY_BYTES_MAX).map_err(|e| e.context(&doing))?;
    let text = String::from_utf8(body).map_err(|e| Error::invalid(format!("{doing}: not UTF-8: {e}")))?;
    let contents = detect::read(&text);
    if let Some(refused) = contents.refused.first() {
        return Err(Error::invalid(format!("{doing}: {}: {}", refused.place, refused.reason)));
    }
    let mut boms = contents.reports.into_iter().filter_map(|report| report.bom);
    let bom = boms.next().filter(|bom| !bom.partial);
    bom.map(|bom| Part::of(&bom.components)).ok_or_else(|| Error::invalid(format!("{doing}: it lists no components")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, version: &str, licences: &str) -> Part {
        let licences = (!licences.is_empty()).then(|| licences.to_owned());
        Part { package: name.to_owned(), version: version.to_owned(), licences }
    }

    #[test]
    fn every_kind_of_change() {
        let before = [
            part("a", "1", "MIT"),
            part("b", "1", "MIT"),
            part("c", "1", ""),
            part("d", "1", "MIT"),
            part("d", "2", "MIT"),
        ];
        let after = [
            part("a", "1", "Apache-2.0"),
            part("b", "2", "MIT"),
            part("e", "1", ""),
            part("d", "2", "MIT"),
            part("d", "3", "MIT"),
            part("d", "4", "MIT"),
        ];
        let told: Vec<String> = difference(&before, &after)
            .into_iter()
            .map(|c| {
                format!(
                    "{} {} {}>{}",
                    c.change,
                    c.package,
                    c.version_before.unwrap_or_default(),
                    c.version_after.unwrap_or_default()
                )
            })
            .collect();
        assert_eq!(
            told,
            ["licence a 1>1", "version b 1>2", "removed c 1>", "version d 1>3", "added d >4", "added e >1"]
        );
        assert!(difference(&before, &before).is_empty());
    }
}
