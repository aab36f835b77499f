//! An evaluation as people and programs read it.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

use index::evaluate::law::LeftOut;
use index::evaluate::measure::Interval;
use index::evaluate::{Leg, Report, Step};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

/// How far an evaluation is, on a terminal.
pub struct Bar(Option<(String, ProgressBar)>);

impl Bar {
    /// Without a terminal there is none.
    pub fn new(name: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{msg:40} {bar:40} {pos}/{len} ({eta})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(Some((name.to_owned(), bar)))
    }

    /// Moves on.
    pub fn told(&self, step: Step, done: usize, of: usize) {
        let Some((name, bar)) = &self.0 else { return };
        let doing = match step {
            Step::Index => "documents",
            Step::Place => "prefixes",
            Step::Embed => "vectors",
            Step::Ask => "questions",
        };
        bar.set_message(format!("{name}: {doing}"));
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    }

    /// Goes away.
    pub fn done(self) {
        if let Some((_, bar)) = self.0 {
            bar.finish_and_clear();
        }
    }
}

fn cell(interval: &Interval) -> String {
    format!("{:.4} [{:.3} {:.3}]", interval.mean, interval.low, interval.high)
}

/// One collection.
pub fn table(report: &Report) -> String {
    let (documents, chunks, questions) = report.counts;
    let model = report.model.as_deref().unwrap_or("no vectors");
    let placed = report.placed_by.as_deref().map_or_else(String::new, |name| format!(", prefixes by {name}"));
    let mut out =
        format!("{}: {documents} documents, {chunks} chunks, {questions} questions, {model}{placed}\n", report.name);
    let heads: Vec<&str> = report.ran().map(Leg::name).collect();
    let _ = write!(out, "{:<16}", "");
    for head in heads {
        let _ = write!(out, " {head:<24}");
    }
    out.push('\n');
    for scores in report.scores() {
        let _ = write!(out, "{:<16}", scores.measure);
        for (_, interval) in &scores.legs {
            let _ = write!(out, " {:<24}", cell(interval));
        }
        out.push('\n');
    }
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let _ = write!(out, "{name:<16}");
        for leg in report.ran() {
            let _ = write!(out, " {:<24}", format!("{:.2} ms", report.time(leg, share).as_secs_f64() * 1e3));
        }
        out.push('\n');
    }
    if let Some(ahead) = report.ahead() {
        let points = |value: f64| format!("{:+.2}", 100.0 * value);
        let _ = writeln!(
            out,
            "fusion is {} points ahead of the better leg [{} {}]",
            points(ahead.mean),
            points(ahead.low),
            points(ahead.high)
        );
    }
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n\n"
}

/// Several collections, a line each.
pub fn overview(reports: &[Report]) -> String {
    let mut out =
        format!("{:<24} {:>8} {:>8} {:>8}  {}\n", "ndcg@10", "text", "vector", "fusion", "ahead of the better leg");
    for report in reports {
        let _ = write!(out, "{:<24}", report.name);
        for leg in Leg::ALL {
            match report.mean("ndcg@10", leg).filter(|_| report.ran().any(|ran| ran == leg)) {
                Some(mean) => out.push_str(&format!(" {:>8.2}", 100.0 * mean)),
                None => out.push_str("        -"),
            }
        }
        if let Some(ahead) = report.ahead() {
            let _ = write!(out, "  {:+.2} [{:+.2} {:+.2}]", 100.0 * ahead.mean, 100.0 * ahead.low, 100.0 * ahead.high);
        }
        out.push('\n');
    }
    let mean = mean(reports);
    if !mean.is_empty() {
        let _ = write!(out, "{:<24}", "mean");
        for (_, mean) in mean {
            let _ = write!(out, " {:>8.2}", 100.0 * mean);
        }
        out.push('\n');
    }
    out
}

/// The mean of nDCG@10 over the collections that have it, by leg.
fn mean(reports: &[Report]) -> Vec<(Leg, f64)> {
    let legs = Leg::ALL.into_iter().filter_map(|leg| {
        let ran: Option<Vec<f64>> = reports
            .iter()
            .filter(|report| report.mean("ndcg@10", Leg::Text).is_some())
            .map(|report| report.mean("ndcg@10", leg))
            .collect();
        let means = ran.filter(|means| !means.is_empty())?;
        Some((leg, means.iter().sum::<f64>() / means.len() as f64))
    });
    legs.collect()
}

/// One document: a collection's own, or all by their names with the mean.
pub fn json(reports: &[Report]) -> Value {
    if let [report] = reports {
        return report.json();
    }
    let sets: Map<String, Value> = reports.iter().map(|report| (report.name.clone(), report.json())).collect();
    let mean: Map<String, Value> =
        mean(reports).into_iter().map(|(leg, mean)| (leg.name().to_owned(), json!(mean))).collect();
    json!({"sets": sets, "mean": {"ndcg@10": mean}})
}

/// The law, collection by collection, and its second half: on average two points above the best single leg.
pub fn law(law: &[LeftOut]) -> String {
    let mut out = format!(
        "\n{:<24} {:>8} {:>8}  {:<24} {}\n",
        "by the others' weights", "best leg", "fusion", "ahead of the better leg", "the law"
    );
    let points =
        |(mean, low, high): (f64, f64, f64)| format!("{:+.2} [{:+.2} {:+.2}]", 100.0 * mean, 100.0 * low, 100.0 * high);
    for one in law {
        let (best, fusion) = (100.0 * one.text.max(one.vector), 100.0 * one.fusion);
        let verdict = if one.holds() { "holds" } else { "does not hold" };
        let _ = writeln!(out, "{:<24} {best:>8.2} {fusion:>8.2}  {:<24} {verdict}", one.name, points(one.lead));
    }
    let mean = |value: &dyn Fn(&LeftOut) -> f64| 100.0 * law.iter().map(value).sum::<f64>() / law.len().max(1) as f64;
    let single = mean(&|one| one.text).max(mean(&|one| one.vector));
    let fusion = mean(&|one| one.fusion);
    let _ =
        writeln!(out, "{:<24} {single:>8.2} {fusion:>8.2}  {:+.2} over the best single leg", "mean", fusion - single);
    out
}

/// The same beside everything else.
pub fn with_law(mut all: Value, law: &[LeftOut]) -> Value {
    all["leave_one_out"] = json!(law);
    all
}

/// Every question's traits, lists and judgements.
pub fn lists(reports: &[Report]) -> Value {
    let hits = |hits: &[index::text::Hit]| -> Value { hits.iter().map(|hit| json!([hit.id, hit.score])).collect() };
    let sets: Map<String, Value> = reports
        .iter()
        .map(|report| {
            let questions = report.judged.iter().map(|one| {
                json!({"question": one.question, "text": hits(&one.text), "vector": hits(&one.vector), "relevant": one.relevant})
            });
            (report.name.clone(), questions.collect())
        })
        .collect();
    sets.into()
}
