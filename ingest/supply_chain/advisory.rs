//! Names of vulnerabilities: CVE and GHSA out of any text, and the one by which tools are compared.

use std::sync::LazyLock;

use regex::Regex;

static CVE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\bCVE-\d{4}-\d{4,19}\b").expect("the pattern of CVE ids is valid"));
static GHSA: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\bGHSA(-[23456789cfghjmpqrvwx]{4}){3}\b").expect("the pattern of GHSA ids is valid")
});
static CWE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\bCWE[-:_ /]*(\d{1,6})\b").expect("the pattern of CWE ids is valid"));

/// CVE and GHSA ids in a text, in their usual spelling.
pub fn named_in(text: &str) -> Vec<String> {
    let cves = CVE.find_iter(text).map(|found| found.as_str().to_ascii_uppercase());
    let ghsas = GHSA.find_iter(text).map(|found| format!("GHSA{}", found.as_str()[4..].to_ascii_lowercase()));
    let mut found: Vec<String> = cves.chain(ghsas).collect();
    found.sort();
    found.dedup();
    found
}

/// CWE ids in a text, as `CWE-79`.
pub fn weaknesses_in(text: &str) -> Vec<String> {
    CWE.captures_iter(text).map(|found| format!("CWE-{}", found[1].trim_start_matches('0'))).collect()
}

/// The name by which the same vulnerability is known in every tool: its first CVE, else its first GHSA, else the tool's id.
pub fn canonical(id: &str, aliases: &[String]) -> String {
    let mut names = named_in(id);
    aliases.iter().for_each(|alias| names.extend(named_in(alias)));
    names.sort();
    names.into_iter().next().unwrap_or_else(|| id.trim().to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_texts() {
        assert_eq!(named_in("BDSA-2020-1001 (cve-2020-11022)"), ["CVE-2020-11022"]);
        assert_eq!(
            named_in("CVE-1999-0001-package-1 and GHSA-FPJ8-gq4v-p354"),
            ["CVE-1999-0001", "GHSA-fpj8-gq4v-p354"]
        );
        assert_eq!(canonical("GHSA-fpj8-gq4v-p354", &["CVE-2025-66614".to_owned()]), "CVE-2025-66614");
        assert_eq!(canonical("ksv014", &[]), "KSV014");
        assert_eq!(weaknesses_in("external/cwe/cwe-079, CWE: 89"), ["CWE-79", "CWE-89"]);
    }
}
