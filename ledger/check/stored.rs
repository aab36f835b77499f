//! Rules over the ledger as a whole, as SQL: what a single file does not show. Each row of an answer breaks the rule, and
//! says where in its column `what`.

use super::rule::Severity;

/// One rule over what is stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredRule {
    /// Its id.
    pub id: &'static str,
    /// What must hold.
    pub title: &'static str,
    /// Whether the ledger is wrong, or only worth a look.
    pub severity: Severity,
    /// What breaks it.
    pub sql: &'static str,
}

const fn error(id: &'static str, title: &'static str, sql: &'static str) -> StoredRule {
    StoredRule { id, title, severity: Severity::Error, sql }
}

const fn warning(id: &'static str, title: &'static str, sql: &'static str) -> StoredRule {
    StoredRule { id, title, severity: Severity::Warning, sql }
}

/// Every rule over what is stored.
pub const STORED_RULES: &[StoredRule] = &[
    error(
        "usage-priced",
        "Usage has a price; without one it costs 0 because nobody knows better.",
        "SELECT concat(CAST(charges AS VARCHAR), ' rows of ', coalesce(tenant, ''), ', ', coalesce(model, service, ''), ' in ', CAST(CAST(month AS DATE) AS VARCHAR), ': ', reason) AS what
         FROM cost_unpriced ORDER BY charges DESC",
    ),
    error(
        "currency-stated",
        "Every charge has a currency.",
        "SELECT concat(CAST(count(*) AS VARCHAR), ' charges of ', x_tenant, ' from ', coalesce(x_source, '')) AS what
         FROM cost_line WHERE \"BillingCurrency\" IS NULL AND (\"BilledCost\" <> 0 OR \"EffectiveCost\" <> 0) GROUP BY x_tenant, x_source",
    ),
    error(
        "currencies-have-rates",
        "A tenant's charges of a month that are in several currencies have a rate of exchange between them.",
        "WITH used AS (
           SELECT DISTINCT x_tenant AS tenant, coalesce(\"BillingPeriodStart\", date_trunc('month', \"ChargePeriodStart\")) AS month, \"BillingCurrency\" AS currency
           FROM cost_line WHERE \"BillingCurrency\" IS NOT NULL
         )
         SELECT concat(a.tenant, ' has charges in ', CAST(a.currency AS VARCHAR), ' and ', CAST(b.currency AS VARCHAR), ' in ', CAST(CAST(a.month AS DATE) AS VARCHAR), ' and fx_rate has no rate between them') AS what
         FROM used a JOIN used b ON b.tenant = a.tenant AND b.month = a.month AND a.currency < b.currency
         WHERE fx(1, a.currency, b.currency, a.month) IS NULL ORDER BY 1",
    ),
    error(
        "split-conserved",
        "What is split over its users is what was billed: parts and what is taken back add up to nothing.",
        "SELECT concat(x_set, ': the parts of what was billed are off by ', CAST(sum(\"BilledCost\") AS VARCHAR), ' ', CAST(\"BillingCurrency\" AS VARCHAR)) AS what
         FROM cost_line
         WHERE x_estimated_cost IS NOT NULL OR (x_estimate_key IS NOT NULL AND NOT coalesce(x_estimate, false))
         GROUP BY x_set, \"BillingCurrency\" HAVING coalesce(sum(\"BilledCost\"), 0) <> 0 OR coalesce(sum(\"EffectiveCost\"), 0) <> 0 ORDER BY 1",
    ),
    error(
        "estimate-not-billed",
        "What is billed is no estimate any more.",
        "SELECT concat(CAST(count(*) AS VARCHAR), ' estimates of ', e.x_tenant, ' for ', coalesce(e.\"ResourceId\", '')) AS what
         FROM cost_line e
         JOIN cost_line b ON lower(b.\"ResourceId\") = lower(e.\"ResourceId\") AND date_trunc('day', b.\"ChargePeriodStart\") = date_trunc('day', e.\"ChargePeriodStart\")
           AND (b.x_tenant = e.x_tenant OR b.x_tenant = 'default')
         WHERE e.x_estimate AND e.x_estimate_key IS NOT NULL AND NOT coalesce(b.x_estimate, false) AND b.x_estimate_key IS NULL AND b.\"ChargeCategory\" = 'Usage' AND b.\"ChargeClass\" IS NULL
         GROUP BY e.x_tenant, e.\"ResourceId\" ORDER BY 1",
    ),
    error(
        "idle-not-negative",
        "No node gave more than it has: negative idle says that prices or usage are wrong.",
        "SELECT concat(coalesce(\"ResourceName\", \"ResourceId\", ''), ' of ', coalesce(x_cluster, ''), ' on ', CAST(CAST(\"ChargePeriodStart\" AS DATE) AS VARCHAR), ': ', CAST(\"BilledCost\" AS VARCHAR)) AS what
         FROM cost_line WHERE \"AllocatedMethodId\" IS NOT NULL AND \"AllocatedResourceId\" IS NULL AND \"BilledCost\" < 0 AND \"ChargeClass\" IS NULL
         ORDER BY \"ChargePeriodStart\"",
    ),
    error(
        "sealed-corrected-only",
        "What arises for a sealed period later is a correction.",
        "SELECT concat(CAST(count(*) AS VARCHAR), ' charges of ', c.x_tenant, ' for the sealed period from ', CAST(CAST(s.\"BillingPeriodStart\" AS DATE) AS VARCHAR), ' stand in the one from ', CAST(CAST(c.\"BillingPeriodStart\" AS DATE) AS VARCHAR), ' and are no corrections') AS what
         FROM cost_line c
         JOIN billing_period s ON s.x_tenant = c.x_tenant AND s.x_sealed_at IS NOT NULL
           AND c.\"ChargePeriodStart\" >= s.\"BillingPeriodStart\" AND c.\"ChargePeriodStart\" < s.\"BillingPeriodEnd\" AND c.\"BillingPeriodStart\" >= s.\"BillingPeriodEnd\"
         WHERE c.\"ChargeCategory\" = 'Usage' AND c.\"ChargeClass\" IS DISTINCT FROM 'Correction'
         GROUP BY c.x_tenant, s.\"BillingPeriodStart\", c.\"BillingPeriodStart\" ORDER BY 1",
    ),
    error(
        "invoices-agree",
        "The charges of an invoice add up to its lines.",
        "SELECT concat('invoice ', invoice_id, ' of ', tenant, ': ', CAST(invoiced_cost AS VARCHAR), ' invoiced, ', CAST(charged_cost AS VARCHAR), ' charged, ', coalesce(CAST(currency AS VARCHAR), '')) AS what
         FROM invoice_reconciliation WHERE charged_cost IS NOT NULL AND invoiced_cost IS NOT NULL AND difference <> 0 ORDER BY 1",
    ),
    warning(
        "periods-present",
        "No month lacks between the first and the last one of an issuer.",
        "WITH month AS (
           SELECT DISTINCT x_tenant AS tenant, \"InvoiceIssuerName\" AS issuer, date_trunc('month', \"BillingPeriodStart\") AS month
           FROM cost_line WHERE \"BillingPeriodStart\" IS NOT NULL AND \"InvoiceIssuerName\" IS NOT NULL
         ), next AS (
           SELECT tenant, issuer, month, lead(month) OVER (PARTITION BY tenant, issuer ORDER BY month) AS following FROM month
         )
         SELECT concat(tenant, ' has nothing of ', CAST(issuer AS VARCHAR), ' between ', CAST(CAST(month AS DATE) AS VARCHAR), ' and ', CAST(CAST(following AS DATE) AS VARCHAR)) AS what
         FROM next WHERE following > month + INTERVAL '1 month' ORDER BY 1",
    ),
    warning(
        "periods-sealed",
        "A period that its issuer closed, or that ended more than 45 days ago, is sealed.",
        "SELECT concat('the period from ', CAST(CAST(period_start AS DATE) AS VARCHAR), ' of ', tenant, ', ', coalesce(CAST(issuer AS VARCHAR), 'no issuer'), ' is ', state) AS what
         FROM billing_period_state WHERE state = 'closed' OR (state = 'open' AND period_end < now() - INTERVAL '45 days') ORDER BY 1",
    ),
    warning(
        "runs-whole",
        "No delivery of costs was torn or refused last.",
        "SELECT concat(export, ' ', coalesce(CAST(CAST(billing_period AS DATE) AS VARCHAR), ''), ': run ', run_id, ' is ', state, ': ', coalesce(reason, '')) AS what
         FROM (SELECT *, row_number() OVER (PARTITION BY tenant, x_set ORDER BY ingested_at DESC, _seq DESC) AS place FROM cost_run) AS r
         WHERE place = 1 AND state IN ('torn', 'refused') ORDER BY 1",
    ),
];
