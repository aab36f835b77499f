//! Base scores of CVSS vectors, versions 2 and 3, by FIRST's formulas. Version 4 is a table of expert rankings: its score is
//! taken where a report gives it, and not computed.

/// The version that a vector names; version 2 names none.
pub fn version(vector: &str) -> &str {
    vector.strip_prefix("CVSS:").and_then(|rest| rest.split('/').next()).unwrap_or("2.0")
}

/// The base score of a vector.
pub fn base_score(vector: &str) -> Option<f64> {
    let metric = |name: &str| {
        let named =
            |part: &str| part.split_once(':').filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
        vector.trim_matches(['(', ')']).split('/').find_map(named)
    };
    match version(vector) {
        "3.0" | "3.1" => score_3(&metric, version(vector) == "3.1"),
        "2.0" => score_2(&metric),
        _ => None,
    }
}

type Metric<'a> = &'a dyn Fn(&str) -> Option<String>;

fn score_3(metric: Metric<'_>, newer: bool) -> Option<f64> {
    let weight = |name: &str, weights: &[(&str, f64)]| {
        let value = metric(name)?;
        weights.iter().find(|(letter, _)| *letter == value).map(|(_, weight)| *weight)
    };
    let changed = metric("S")? == "C";
    let harm = &[("H", 0.56), ("L", 0.22), ("N", 0.0)];
    let (c, i, a) = (weight("C", harm)?, weight("I", harm)?, weight("A", harm)?);
    let iss = 1.0 - (1.0 - c) * (1.0 - i) * (1.0 - a);
    let impact = if changed { 7.52 * (iss - 0.029) - 3.25 * (iss - 0.02).powi(15) } else { 6.42 * iss };
    let privileges =
        if changed { [("N", 0.85), ("L", 0.68), ("H", 0.5)] } else { [("N", 0.85), ("L", 0.62), ("H", 0.27)] };
    let ease = 8.22
        * weight("AV", &[("N", 0.85), ("A", 0.62), ("L", 0.55), ("P", 0.2)])?
        * weight("AC", &[("L", 0.77), ("H", 0.44)])?
        * weight("PR", &privileges)?
        * weight("UI", &[("N", 0.85), ("R", 0.62)])?;
    if impact <= 0.0 {
        return Some(0.0);
    }
    let raw = if changed { 1.08 * (impact + ease) } else { impact + ease };
    Some(round_up(raw.min(10.0), newer))
}

/// Up to one digit; version 3.1 guards against the noise of floats.
fn round_up(score: f64, newer: bool) -> f64 {
    if !newer {
        return (score * 10.0).ceil() / 10.0;
    }
    let scaled = (score * 100_000.0).round();
    if scaled % 10_000.0 == 0.0 { scaled / 100_000.0 } else { ((scaled / 10_000.0).floor() + 1.0) / 10.0 }
}

fn score_2(metric: Metric<'_>) -> Option<f64> {
    let weight = |name: &str, weights: &[(&str, f64)]| {
        let value = metric(name)?;
        weights.iter().find(|(letter, _)| *letter == value).map(|(_, weight)| *weight)
    };
    let harm = &[("N", 0.0), ("P", 0.275), ("C", 0.66)];
    let (c, i, a) = (weight("C", harm)?, weight("I", harm)?, weight("A", harm)?);
    let impact = 10.41 * (1.0 - (1.0 - c) * (1.0 - i) * (1.0 - a));
    let ease = 20.0
        * weight("AV", &[("L", 0.395), ("A", 0.646), ("N", 1.0)])?
        * weight("AC", &[("H", 0.35), ("M", 0.61), ("L", 0.71)])?
        * weight("Au", &[("M", 0.45), ("S", 0.56), ("N", 0.704)])?;
    let factor = if impact == 0.0 { 0.0 } else { 1.176 };
    Some(((0.6 * impact + 0.4 * ease - 1.5) * factor * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_published_vectors() {
        for (vector, expected) in [
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", Some(7.5)),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", Some(10.0)),
            ("CVSS:3.0/AV:L/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N", Some(2.2)),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", Some(6.1)),
            ("AV:N/AC:L/Au:N/C:N/I:N/A:P", Some(5.0)),
            ("(AV:N/AC:M/Au:N/C:C/I:C/A:C)", Some(9.3)),
            ("CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:L/VI:L/VA:N/SC:N/SI:N/SA:N", None),
            ("CVSS:3.1/AV:N", None),
            ("rubbish", None),
        ] {
            assert_eq!(base_score(vector), expected, "{vector}");
        }
    }
}
