//! Severities of every tool in one scale: critical, high, medium, low, info, unknown.

use super::cvss;

/// A severity as it was written, and what it is in the one scale.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Severity {
    /// `critical`, `high`, `medium`, `low`, `info` or `unknown`.
    pub normal: Option<&'static str>,
    /// The tool's own word.
    pub original: Option<String>,
}

impl Severity {
    /// A severity by its tool's word.
    pub fn of(word: Option<&str>) -> Severity {
        Severity { normal: word.and_then(normal), original: word.map(str::to_owned) }
    }

    /// The same, with a CVSS score to fall back on.
    pub fn or_score(self, score: Option<f64>) -> Severity {
        let vague = matches!(self.normal, None | Some("unknown"));
        let normal = if vague { score.map(of_score).or(self.normal) } else { self.normal };
        Severity { normal, ..self }
    }

    /// A severity that we give, because the tool has none.
    pub fn given(normal: &'static str) -> Severity {
        Severity { normal: Some(normal), original: None }
    }
}

/// The one scale's word for a tool's word.
pub fn normal(word: &str) -> Option<&'static str> {
    Some(match word.trim().to_ascii_lowercase().as_str() {
        "critical" | "blocker" | "crit" | "very-high" => "critical",
        "high" | "error" | "important" | "severe" | "serious" | "major" => "high",
        "medium" | "moderate" | "warning" | "warn" | "middle" => "medium",
        "low" | "minor" => "low",
        "info" | "informational" | "information" | "note" | "notice" | "none" | "negligible" | "style"
        | "recommendation" => "info",
        "unknown" | "undefined" | "unassigned" | "" => "unknown",
        _ => return None,
    })
}

/// The severity of a CVSS score, by CVSS v3's table.
pub fn of_score(score: f64) -> &'static str {
    match score {
        score if score >= 9.0 => "critical",
        score if score >= 7.0 => "high",
        score if score >= 4.0 => "medium",
        score if score > 0.0 => "low",
        _ => "info",
    }
}

/// A CVSS rating: the vector as written, and its base score, given or computed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rating {
    /// `2.0`, `3.0`, `3.1`, `4.0`.
    pub version: Option<String>,
    /// The vector.
    pub vector: Option<String>,
    /// The base score.
    pub score: Option<f64>,
}

impl Rating {
    /// A rating of what a report gives; a missing score is computed from a vector of version 2 or 3.
    pub fn of(vector: Option<&str>, score: Option<f64>) -> Option<Rating> {
        let vector = vector.map(str::trim).filter(|vector| !vector.is_empty());
        let score = score.filter(|score| (0.0..=10.0).contains(score)).or_else(|| vector.and_then(cvss::base_score));
        let version = vector.map(cvss::version).map(str::to_owned);
        (vector.is_some() || score.is_some()).then(|| Rating { version, vector: vector.map(str::to_owned), score })
    }

    /// The better of two: the newer version first, 3 before 4 (of which fewer give scores), then the higher score.
    pub fn better(one: Option<Rating>, other: Option<Rating>) -> Option<Rating> {
        let rank = |rating: &Rating| match rating.version.as_deref() {
            Some(version) if version.starts_with('3') => 3,
            Some(version) if version.starts_with('4') => 2,
            Some(_) => 1,
            None => 0,
        };
        match (one, other) {
            (Some(one), Some(other)) => {
                let ahead = (rank(&other), other.score.unwrap_or(-1.0)) > (rank(&one), one.score.unwrap_or(-1.0));
                Some(if ahead { other } else { one })
            }
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_and_scores() {
        for (word, expected) in
            [("CRITICAL", Some("critical")), ("Moderate", Some("medium")), ("Negligible", Some("info")), ("odd", None)]
        {
            assert_eq!(normal(word), expected, "{word}");
        }
        assert_eq!(Severity::of(Some("UNKNOWN")).or_score(Some(7.5)).normal, Some("high"));
        assert_eq!(Severity::of(Some("low")).or_score(Some(7.5)).normal, Some("low"));
        let three = Rating::of(Some("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"), None);
        let two = Rating::of(Some("AV:N/AC:M/Au:N/C:C/I:C/A:C"), None);
        assert_eq!((three.as_ref().unwrap().score, two.as_ref().unwrap().score), (Some(10.0), Some(9.3)));
        assert_eq!(Rating::better(two, three.clone()), three);
    }
}
