//! The parts of a document, in their order: what is asked, and the sentence that says why.

/// One part.
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// What the figures say.
    pub why: &'static str,
    /// The question; `{month}` is the first instant of the billing period.
    pub sql: &'static str,
}

/// Every part of a document.
pub const SECTIONS: &[Section] = &[
    Section {
        title: "In all",
        why: "Billed is what invoices ask for; effective spreads commitments over what they cover. Estimated is the part that no bill covers yet.",
        sql: "SELECT currency, billed_cost, effective_cost, list_cost, coalesce(estimated_cost, 0) AS estimated_cost, coalesce(corrected_cost, 0) AS corrected_cost, charges
              FROM cost_by_tenant WHERE month = {month} ORDER BY currency",
    },
    Section {
        title: "Against the month before",
        why: "The services that changed most, up to the same day of both months.",
        sql: "SELECT service, currency, month_to_date AS effective_cost, last_month_same_days AS month_before_cost, change AS change_cost, change_ratio
              FROM cost_month_to_date WHERE month = {month} ORDER BY abs(change) DESC, service LIMIT 12",
    },
    Section {
        title: "By service",
        why: "Where the money goes.",
        sql: "SELECT provider, service, currency, billed_cost, effective_cost FROM cost_by_service WHERE month = {month}
              ORDER BY effective_cost DESC NULLS LAST, service LIMIT 20",
    },
    Section {
        title: "By environment and application",
        why: "What carries the tags of an environment and an application, and what carries none.",
        sql: "SELECT environment, app, currency, billed_cost, effective_cost FROM cost_by_environment WHERE month = {month}
              ORDER BY effective_cost DESC NULLS LAST, app LIMIT 20",
    },
    Section {
        title: "By cost centre",
        why: "Who is charged for it in the books.",
        sql: "SELECT cost_center, owner, currency, billed_cost, effective_cost FROM cost_by_cost_center WHERE month = {month}
              ORDER BY effective_cost DESC NULLS LAST, cost_center LIMIT 20",
    },
    Section {
        title: "By project, task, pipeline run and agent",
        why: "What caused it.",
        sql: "SELECT project, task, pipeline_run, agent, app, currency, effective_cost FROM cost_chargeback
              WHERE month = {month} AND (project IS NOT NULL OR task IS NOT NULL OR pipeline_run IS NOT NULL OR agent IS NOT NULL)
              ORDER BY effective_cost DESC NULLS LAST, project, task LIMIT 20",
    },
    Section {
        title: "What a unit costs",
        why: "Builds, deployments, requests and tokens, as far as costs name what they are of.",
        sql: "SELECT unit, subject, currency, quantity, cost, unit_cost FROM unit_cost WHERE month = {month} ORDER BY unit, cost DESC, subject LIMIT 20",
    },
    Section {
        title: "Estimates and bills",
        why: "What was estimated before the bill came, and how far off it was.",
        sql: "SELECT service, currency, estimated_cost, billed_cost, difference AS difference_cost, open_cost FROM cost_estimate_delta
              WHERE month = {month} ORDER BY billed_cost DESC NULLS LAST, service LIMIT 20",
    },
    Section {
        title: "Corrections of earlier months",
        why: "What was booked anew for months that are closed.",
        sql: "SELECT CAST(corrected_month AS DATE) AS corrected, service, currency, taken_back AS taken_back_cost, booked AS booked_cost, billed_cost FROM cost_correction
              WHERE month = {month} ORDER BY corrected_month, service LIMIT 20",
    },
    Section {
        title: "Odd days",
        why: "Days that cost far more or less than the same weekday of the eight weeks before.",
        sql: "SELECT CAST(on_day AS DATE) AS on_day, service, currency, cost, expected_cost, round(score, 1) AS score FROM cost_anomaly
              WHERE is_anomaly AND date_trunc('month', on_day) = {month} ORDER BY abs(score) DESC, on_day LIMIT 12",
    },
    Section {
        title: "Paid for in vain",
        why: "Idle, unattached, unused, oversized.",
        sql: "SELECT kind, cluster, subject, currency, cost FROM cost_waste WHERE month = {month} ORDER BY cost DESC NULLS LAST, subject LIMIT 20",
    },
    Section {
        title: "Commitments",
        why: "How much of each commitment was used.",
        sql: "SELECT coalesce(commitment, commitment_id) AS commitment, currency, used_cost, unused_cost, utilization FROM cost_commitment_utilization
              WHERE month = {month} ORDER BY unused_cost DESC, commitment LIMIT 12",
    },
    Section {
        title: "Labels",
        why: "Which part of the cost carries the labels that chargeback needs.",
        sql: "SELECT label, currency, effective_cost, labelled_cost, coverage FROM cost_tag_coverage WHERE month = {month} ORDER BY currency, label",
    },
    Section {
        title: "Without a price",
        why: "Usage that costs nothing here only because no price is known.",
        sql: "SELECT service, model, reason, charges FROM cost_unpriced WHERE month = {month} ORDER BY charges DESC, service LIMIT 12",
    },
];
