//! Allocations as FOCUS writes them: the charge of a node, volume or balancer split into rows of the resources that used
//! it. A row without `AllocatedResourceId` is what nobody used.

use std::collections::{BTreeMap, BTreeSet};

use super::row::Row;
use super::spread::{Options, Outcome, Share, Split};
use crate::decimal;

/// Name and version of the rules, as `AllocatedMethodId`.
pub const METHOD: &str = "stellwerk-opencost-1";

/// The window as FOCUS writes it: RFC 3339, and the month's bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// First instant of the window.
    pub start: String,
    /// First instant after it.
    pub end: String,
    /// First instant of the billing period.
    pub billing_start: String,
    /// First instant after it.
    pub billing_end: String,
    /// ISO 4217.
    pub currency: String,
    /// Hours of the window, in units of 10⁻¹⁸.
    pub hours: i128,
    /// Who sells and hosts the cluster.
    pub provider: String,
}

/// The options in words, for `AllocatedMethodDetails`.
fn details(options: &Options) -> serde_json::Value {
    let idle = match options.share_idle {
        Share::None => "none",
        Share::Weighted => "weighted",
        Share::Even => "even",
    };
    let split = if options.split == Split::Even { "even" } else { "weighted" };
    serde_json::json!({ "share_idle": idle, "share_split": split, "overhead": decimal::text(options.overhead), "shared": options.shared.len() })
}

/// One FOCUS row for each row of the input that is shown, and one for idle. Cells by column; an empty text is null.
pub fn split_rows(
    rows: &[Row],
    outcome: &Outcome,
    options: &Options,
    period: &Period,
) -> Vec<BTreeMap<&'static str, String>> {
    let details = details(options).to_string();
    let common = |cost: i128, account: &str| {
        let cost = decimal::text(cost);
        BTreeMap::from([
            ("BillingAccountId", account.to_owned()),
            ("BillingAccountName", account.to_owned()),
            ("AllocatedMethodId", METHOD.to_owned()),
            ("AllocatedMethodDetails", details.clone()),
            ("BilledCost", cost.clone()),
            ("EffectiveCost", cost.clone()),
            ("ListCost", cost.clone()),
            ("ContractedCost", cost),
            ("BillingCurrency", period.currency.clone()),
            ("ChargePeriodStart", period.start.clone()),
            ("ChargePeriodEnd", period.end.clone()),
            ("BillingPeriodStart", period.billing_start.clone()),
            ("BillingPeriodEnd", period.billing_end.clone()),
            ("ChargeCategory", "Usage".to_owned()),
            ("ChargeFrequency", "Usage-Based".to_owned()),
            ("ChargeClass", String::new()),
            ("HostProviderName", period.provider.clone()),
            ("InvoiceIssuerName", period.provider.clone()),
            ("ServiceProviderName", period.provider.clone()),
            ("PricingQuantity", decimal::text(period.hours)),
            ("PricingUnit", "Hours".to_owned()),
            ("ServiceSubcategory", "Containers".to_owned()),
            ("ServiceCategory", "Compute".to_owned()),
            ("ServiceName", "Kubernetes".to_owned()),
            ("x_estimate", "true".to_owned()),
        ])
    };
    let mut found = Vec::new();
    for (row, entry) in rows.iter().zip(&outcome.rows) {
        let Some(entry) = entry else { continue };
        let mut shown = common(entry.total(), &row.cluster);
        let id = [&row.cluster, &row.namespace, &row.pod, &row.container].map(String::as_str).join("/");
        let place = if row.node.is_empty() { &row.cluster } else { &row.node };
        shown.insert("ResourceId", place.clone());
        shown.insert("ChargeDescription", format!("{id} on {place}"));
        shown.insert("AllocatedResourceId", id);
        shown.insert("AllocatedResourceName", row.container.clone());
        shown.insert("AllocatedTags", serde_json::json!(*row.labels).to_string());
        shown.insert("x_cluster", row.cluster.clone());
        shown.insert("x_namespace", row.namespace.clone());
        shown.insert("x_pod", row.pod.clone());
        shown.insert("x_workload", row.controller.clone());
        found.push(shown);
    }
    if outcome.idle != 0 {
        let clusters: BTreeSet<&str> = rows.iter().map(|row| row.cluster.as_str()).collect();
        let mut idle = common(outcome.idle, &clusters.into_iter().collect::<Vec<_>>().join("+"));
        idle.insert("ChargeDescription", "idle".to_owned());
        found.push(idle);
    }
    found
}
