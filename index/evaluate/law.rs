//! The law of the fusion: on no collection worse than the better leg, by weights that have not seen the collection.

use rayon::prelude::*;
use serde::Serialize;

use super::measure::bootstrap;
use super::report::Report;
use crate::fuse::learn::{Judged, fit, ndcg};
use crate::fuse::{Weights, fuse};

/// The rank up to which gains count.
const K: usize = 10;

/// A collection, judged by weights that were fitted to the others.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOut {
    /// The collection.
    pub name: String,
    /// nDCG@10 of what words find.
    pub text: f64,
    /// Of what vectors find.
    pub vector: f64,
    /// Of both by the weights before.
    pub fusion_before: f64,
    /// Of both by the weights that were fitted to the others.
    pub fusion: f64,
    /// How far the fusion by fitted weights is ahead of the better leg, and the ends of its interval of 95 percent.
    pub lead: (f64, f64, f64),
    /// The same by the weights before.
    pub lead_before: (f64, f64, f64),
    /// What was fitted to the others.
    pub weights: Weights,
}

impl LeftOut {
    /// The law's lower end: a point below the better leg.
    pub const LOW: f64 = -0.01;

    /// Whether the collection keeps it.
    pub fn holds(&self) -> bool {
        self.lead.1 >= LeftOut::LOW
    }
}

/// Fits weights to all collections but one, for each; every collection counts the same, whatever its size. Those that are
/// judged by spans take no part.
pub fn left_out(reports: &[Report], before: &Weights) -> Vec<LeftOut> {
    let judged: Vec<&Report> =
        reports.iter().filter(|report| report.by_documents() && report.model.is_some()).collect();
    let each = |at: usize| {
        let others = judged.iter().enumerate().filter(|(other, _)| *other != at);
        let weights = fit(&others.map(|(_, report)| report.judged.as_slice()).collect::<Vec<_>>(), before);
        of(judged[at], before, weights)
    };
    (0..judged.len()).into_par_iter().map(each).collect()
}

fn of(report: &Report, before: &Weights, weights: Weights) -> LeftOut {
    let values = |ids: &dyn Fn(&Judged) -> Vec<u64>| -> Vec<f64> {
        report.judged.iter().map(|one| ndcg(ids(one).into_iter(), &one.relevant, K)).collect()
    };
    let fused = |weights: &Weights| {
        values(&|one| fuse(&one.question, &one.text, &one.vector, K, weights).iter().map(|hit| hit.id).collect())
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let text = values(&|one| one.text.iter().map(|hit| hit.id).collect());
    let vector = values(&|one| one.vector.iter().map(|hit| hit.id).collect());
    let best = if mean(&text) >= mean(&vector) { &text } else { &vector };
    let lead = |fused: &[f64]| {
        let ahead = bootstrap(&fused.iter().zip(best).map(|(fused, best)| fused - best).collect::<Vec<_>>());
        (ahead.mean, ahead.low, ahead.high)
    };
    let (fused_before, fused) = (fused(before), fused(&weights));
    LeftOut {
        name: report.name.clone(),
        text: mean(&text),
        vector: mean(&vector),
        fusion_before: mean(&fused_before),
        fusion: mean(&fused),
        lead: lead(&fused),
        lead_before: lead(&fused_before),
        weights,
    }
}
