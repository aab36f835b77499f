//! Questions that supply chains are asked: what is open now, and what a release changed.

use engine::View;

/// The views.
pub const VIEWS: &[&View] = &[&SECURITY_FINDING_CURRENT, &SBOM_DIFF];

/// Findings over time and tools.
pub static SECURITY_FINDING_CURRENT: View = View {
    name: "security_finding_current",
    doc: "Every finding once for each target, whichever tools report it: first and last seen, `state` (`open`, `suppressed`, `fixed`) with VEX applied, and `fixed_in`, the report in which it was missing for the first time.",
    sql: include_str!("views/security_finding_current.sql"),
};

/// Differences of consecutive SBOMs.
pub static SBOM_DIFF: View = View {
    name: "sbom_diff",
    doc: "What each SBOM changed against the one before it of the same subject: components added, removed, of another version or licence. Any two are compared by `stellwerk sbom diff`.",
    sql: include_str!("views/sbom_diff.sql"),
};
