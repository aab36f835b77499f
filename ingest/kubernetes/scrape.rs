//! Usage as a Prometheus scrape of a kubelet tells it (`/metrics/resource`): lines of `name{labels} value time`. Only the
//! figures of containers and nodes are read; a scrape has many others.

use std::collections::BTreeMap;

use engine::{Rows, Value as Cell};

use super::meta::Origin;
use crate::json::{Reason, clip};

/// Lines that do not parse and are kept; more of them are a text of another kind.
const BROKEN_MAX: usize = 100;

/// Name of a sample, kind of what it is about, whether it is CPU (else memory).
const SAMPLES: &[(&str, &str, bool)] = &[
    ("container_cpu_usage_seconds_total", "Pod", true),
    ("container_memory_working_set_bytes", "Pod", false),
    ("node_cpu_usage_seconds_total", "Node", true),
    ("node_memory_working_set_bytes", "Node", false),
];

/// Whether a body is a scrape: only that begins with a comment of its kind.
pub fn is_scrape(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    body.starts_with(b"# HELP ") || body.starts_with(b"# TYPE ")
}

/// What is measured: kind, namespace, name, container, time in microseconds.
type Place = (&'static str, String, String, String, i64);

/// Figures of one place at one time.
#[derive(Debug, Default)]
struct Figures {
    cpu_seconds: Option<f64>,
    memory_bytes: Option<i64>,
}

/// Adds a row for each container and node; answers how many, and which lines are none.
pub fn read(text: &str, origin: Origin<'_>, rows: &mut Rows) -> (u64, Vec<(usize, Reason)>) {
    let (mut found, mut broken): (BTreeMap<Place, Figures>, Vec<(usize, Reason)>) = (BTreeMap::new(), Vec::new());
    for (at, line) in text.lines().enumerate() {
        if broken.len() >= BROKEN_MAX {
            break;
        }
        let line = line.trim();
        let name_end = line.find(['{', ' ']).unwrap_or(line.len());
        let Some(&(_, kind, cpu)) = SAMPLES.iter().find(|(name, ..)| *name == &line[..name_end]) else { continue };
        match sample(&line[name_end..], kind) {
            Ok((place, value)) => {
                let figures = found.entry(place).or_default();
                if cpu {
                    figures.cpu_seconds = Some(value);
                } else {
                    // Bytes are whole, and far below 2^53.
                    figures.memory_bytes = Some(value as i64);
                }
            }
            Err(reason) => broken.push((at + 1, reason)),
        }
    }
    let mut written = 0;
    for ((kind, namespace, name, container, time), figures) in found {
        rows.set("tenant", origin.scope.owner(origin.tenant))
            .set("cluster", origin.cluster)
            .set("kind", kind)
            .set("namespace", namespace)
            .set("name", name)
            .set("container", container)
            .set("time", Cell::Time(time))
            .set("cpu_seconds_total", figures.cpu_seconds)
            .set("memory_bytes", figures.memory_bytes);
        match rows.end_row() {
            Ok(()) => written += 1,
            Err(e) => broken.push((0, e.to_string())),
        }
    }
    (written, broken)
}

/// Labels, value and time of a sample: `{a="b"} 1.5 1700000000000`.
fn sample(rest: &str, kind: &'static str) -> Result<(Place, f64), Reason> {
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    let mut words = rest.split_whitespace();
    let value: Option<f64> = words.next().and_then(|word| word.parse().ok()).filter(|value: &f64| value.is_finite());
    let value = value.ok_or_else(|| format!("no value: {}", clip(rest)))?;
    let time_ms: Option<i64> = words.next().and_then(|word| word.parse().ok());
    let time = time_ms.and_then(|ms| ms.checked_mul(1_000)).ok_or("the sample has no time")?;
    let label = |name: &str| labels.get(name).cloned();
    let needed = |name: &str| label(name).ok_or_else(|| format!("the label {name} is missing"));
    let place = match kind {
        // A kubelet does not name its own node; Prometheus does, in one of these.
        "Node" => {
            let name = label("node").or_else(|| label("instance")).ok_or("the label node is missing")?;
            (kind, String::new(), name, String::new(), time)
        }
        _ => (kind, needed("namespace")?, needed("pod")?, needed("container")?, time),
    };
    Ok((place, value))
}

/// The labels up to their closing brace, and what follows it.
fn labels(text: &str) -> Result<(BTreeMap<String, String>, &str), Reason> {
    let mut labels = BTreeMap::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, after) = rest.split_once("=\"").ok_or_else(|| format!("no label: {}", clip(rest)))?;
        let (mut value, mut end, mut escaped) = (String::new(), None, false);
        for (at, c) in after.char_indices() {
            match (escaped, c) {
                (true, 'n') => value.push('\n'),
                (true, c) => value.push(c),
                (false, '\\') => {
                    escaped = true;
                    continue;
                }
                (false, '"') => {
                    end = Some(at + 1);
                    break;
                }
                (false, c) => value.push(c),
            }
            escaped = false;
        }
        let end = end.ok_or_else(|| format!("a label does not end: {}", clip(after)))?;
        labels.insert(name.trim().to_owned(), value);
        rest = after[end..].trim_start().trim_start_matches(',').trim_start();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn labels_end_where_they_end() {
        let (found, rest) = labels(r#"a="x\"}y",b="", } 1 2"#).unwrap();
        assert_eq!((found["a"].as_str(), found["b"].as_str(), rest), ("x\"}y", "", " 1 2"));
        assert!(labels(r#"a="x"#).is_err() && labels("a").is_err());
    }

    #[test]
    fn a_sample_says_what_and_when() {
        let (place, value) = sample(r#"{container="c",namespace="n",pod="p"} 12.5 1700000000123"#, "Pod").unwrap();
        assert_eq!(place, ("Pod", "n".to_owned(), "p".to_owned(), "c".to_owned(), 1_700_000_000_123_000));
        assert!((value - 12.5).abs() < 1e-9);
        let (place, _) = sample(r#"{node="n1"} 7 1700000000123"#, "Node").unwrap();
        assert_eq!(place.2, "n1");
        for (wrong, reason) in [
            (r#"{container="c",namespace="n",pod="p"} NaN 1"#, "no value"),
            (r#"{container="c",namespace="n",pod="p"} 1"#, "no time"),
            (r#"{container="c",pod="p"} 1 2"#, "namespace is missing"),
        ] {
            assert!(sample(wrong, "Pod").unwrap_err().contains(reason), "{wrong}");
        }
    }
}
