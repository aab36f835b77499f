//! FOCUS's own names for the ledger: its published queries run over these views as they are written. What was split over who
//! used it. And what analysts ask of costs: every column is explained where it is selected, every amount has one currency.

use engine::View;

const COST_AND_USAGE_SQL: &str = include_str!("views/cost_and_usage.sql");

/// Sums over charges by month, tenant and the columns of a file. A view's GROUP BY numbers what stands before the sums.
macro_rules! cost_by {
    ($file:literal, $group_by:literal) => {
        concat!(
            include_str!("views/cost_by/head.sql"),
            include_str!($file),
            include_str!("views/cost_by/sums.sql"),
            $group_by
        )
    };
}

/// The views; those of FOCUS's datasets under the names that it uses.
pub const VIEWS: &[&View] = &[
    &COST_AND_USAGE,
    &FOCUS_DATA_TABLE,
    &CONTRACT_COMMITMENT,
    &INVOICE_DETAIL,
    &BILLING_PERIOD,
    &COST_ALLOCATION,
    &BUDGET_STATUS,
    &COST_BY_TENANT,
    &COST_BY_SERVICE,
    &COST_BY_ENVIRONMENT,
    &COST_BY_COST_CENTER,
    &COST_CHARGEBACK,
    &COST_MONTH_TO_DATE,
    &COST_MONTH_AGAINST_BUDGET,
    &COST_ANOMALY,
    &COST_TAG_COVERAGE,
    &COST_COMMITMENT_COVERAGE,
    &COST_COMMITMENT_UTILIZATION,
    &COST_UNPRICED,
    &COST_ESTIMATE_DELTA,
    &COST_CORRECTION,
    &BILLING_PERIOD_STATE,
    &INVOICE_RECONCILIATION,
];

/// The ledger as FOCUS 1.4 and the versions before it name its columns; custom columns follow behind.
pub static COST_AND_USAGE: View = View {
    name: "CostAndUsage",
    doc: "FOCUS Cost and Usage: `cost_line` under the standard's names, 1.0 to 1.4; the `x_` columns follow behind.",
    sql: COST_AND_USAGE_SQL,
};

/// The same under the name that the published queries of FOCUS 1.0 to 1.2 use.
pub static FOCUS_DATA_TABLE: View = View {
    name: "focus_data_table",
    doc: "The same as `CostAndUsage`, under the name in FOCUS's query library.",
    sql: COST_AND_USAGE_SQL,
};

/// FOCUS Contract Commitment.
pub static CONTRACT_COMMITMENT: View = View {
    name: "ContractCommitment",
    doc: "FOCUS Contract Commitment: `contract_commitment` under the standard's name.",
    sql: include_str!("views/contract_commitment.sql"),
};

/// FOCUS Invoice Detail.
pub static INVOICE_DETAIL: View = View {
    name: "InvoiceDetail",
    doc: "FOCUS Invoice Detail: `invoice_detail` under the standard's name.",
    sql: include_str!("views/invoice_detail.sql"),
};

/// FOCUS Billing Period.
pub static BILLING_PERIOD: View = View {
    name: "BillingPeriod",
    doc: "FOCUS Billing Period: `billing_period` under the standard's name.",
    sql: include_str!("views/billing_period.sql"),
};

/// Charges split over who used them.
pub static COST_ALLOCATION: View = View {
    name: "cost_allocation",
    doc: "Charges split over who used them: the rows of `cost_line` with an `AllocatedMethodId`, such as `stellwerk cost allocate --write` makes. Where a bill came for what was split, its own charge is taken back by a row of the same resource, so that sums over the ledger count it once.",
    sql: include_str!("views/cost_allocation.sql"),
};

/// How every budget stands.
pub static BUDGET_STATUS: View = View {
    name: "budget_status",
    doc: "How every budget stands now: limit, what is spent (by calls and by the bill), what is reserved, what is left, the forecast, and its window.",
    sql: include_str!("views/budget_status.sql"),
};

/// Cost by month and tenant.
pub static COST_BY_TENANT: View = View {
    name: "cost_by_tenant",
    doc: "Cost by month and tenant.",
    sql: concat!(include_str!("views/cost_by/head.sql"), include_str!("views/cost_by/sums.sql"), "GROUP BY 1, 2, 3"),
};

/// Cost by month, tenant and service.
pub static COST_BY_SERVICE: View = View {
    name: "cost_by_service",
    doc: "Cost by month, tenant and service.",
    sql: cost_by!("views/cost_by/service.sql", "GROUP BY 1, 2, 3, 4, 5, 6"),
};

/// Cost by month, tenant, environment and application.
pub static COST_BY_ENVIRONMENT: View = View {
    name: "cost_by_environment",
    doc: "Cost by month, tenant, environment and application.",
    sql: cost_by!("views/cost_by/environment.sql", "GROUP BY 1, 2, 3, 4, 5"),
};

/// Cost by month, tenant, cost centre and owner.
pub static COST_BY_COST_CENTER: View = View {
    name: "cost_by_cost_center",
    doc: "Cost by month, tenant, cost centre and owner.",
    sql: cost_by!("views/cost_by/cost_center.sql", "GROUP BY 1, 2, 3, 4, 5"),
};

/// Cost by month, tenant, project, task, pipeline run, agent and application: who is charged for it.
pub static COST_CHARGEBACK: View = View {
    name: "cost_chargeback",
    doc: "Cost by month, tenant, project, task, pipeline run, agent and application: who is charged for it.",
    sql: cost_by!("views/cost_by/chargeback.sql", "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"),
};

/// Each month by tenant and service, up to its last day with a charge, beside the same days of the month before.
pub static COST_MONTH_TO_DATE: View = View {
    name: "cost_month_to_date",
    doc: "Each month by tenant and service, up to its last day with a charge, beside the same days of the month before.",
    sql: include_str!("views/cost_month_to_date.sql"),
};

/// Monthly budgets beside what their months cost.
pub static COST_MONTH_AGAINST_BUDGET: View = View {
    name: "cost_month_against_budget",
    doc: "Month to date against budget: each monthly budget in a currency by month, with its limit, the pace of the month, the month before and the forecast.",
    sql: include_str!("views/cost_month_against_budget.sql"),
};

/// Each day by tenant and service against the same weekdays of the eight weeks before, by median and median absolute deviation.
pub static COST_ANOMALY: View = View {
    name: "cost_anomaly",
    doc: "Each day by tenant and service against the same weekdays of the eight weeks before, by median and median absolute deviation.",
    sql: include_str!("views/cost_anomaly.sql"),
};

/// Which part of the cost carries the labels that chargeback needs.
pub static COST_TAG_COVERAGE: View = View {
    name: "cost_tag_coverage",
    doc: "Which part of the cost carries the labels that chargeback needs.",
    sql: include_str!("views/cost_tag_coverage.sql"),
};

/// Which part of usage that a commitment could cover is covered by one.
pub static COST_COMMITMENT_COVERAGE: View = View {
    name: "cost_commitment_coverage",
    doc: "Which part of usage that a commitment could cover is covered by one.",
    sql: include_str!("views/cost_commitment_coverage.sql"),
};

/// Which part of each commitment is used.
pub static COST_COMMITMENT_UTILIZATION: View = View {
    name: "cost_commitment_utilization",
    doc: "Which part of each commitment is used.",
    sql: include_str!("views/cost_commitment_utilization.sql"),
};

/// Usage in the ledger that has no price: `stellwerk cost check` fails while it has a row.
pub static COST_UNPRICED: View = View {
    name: "cost_unpriced",
    doc: "Usage in the ledger that has no price: `stellwerk cost check` fails while it has a row.",
    sql: include_str!("views/cost_unpriced.sql"),
};

/// What was estimated, what was billed of it, and what is not billed yet.
pub static COST_ESTIMATE_DELTA: View = View {
    name: "cost_estimate_delta",
    doc: "What was estimated, what was billed of it, and what is not billed yet.",
    sql: include_str!("views/cost_estimate_delta.sql"),
};

/// Corrections of earlier billing periods, by the period that they stand in and the month that they correct.
pub static COST_CORRECTION: View = View {
    name: "cost_correction",
    doc: "Corrections of earlier billing periods, by the period that they stand in and the month that they correct.",
    sql: include_str!("views/cost_correction.sql"),
};

/// Billing periods of the charges that are there: open, closed by their issuer, or sealed by the platform.
pub static BILLING_PERIOD_STATE: View = View {
    name: "billing_period_state",
    doc: "Billing periods of the charges that are there: open, closed by their issuer, or sealed by the platform.",
    sql: include_str!("views/billing_period_state.sql"),
};

/// Invoices by the charges of the ledger and by their own lines, and what they differ by.
pub static INVOICE_RECONCILIATION: View = View {
    name: "invoice_reconciliation",
    doc: "Invoices by the charges of the ledger and by their own lines, and what they differ by.",
    sql: include_str!("views/invoice_reconciliation.sql"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::focus::Dataset;

    #[test]
    fn every_focus_column_stands_once_in_its_view() {
        let sql_of = |d: Dataset| VIEWS.iter().find(|v| v.name == d.id()).expect("each dataset has a view").sql;
        for dataset in Dataset::ALL {
            let lines: Vec<_> = sql_of(dataset).lines().map(|l| l.trim().trim_end_matches(',')).collect();
            for column in dataset.columns() {
                let plain = format!("\"{}\"", column.name);
                let hits = lines.iter().filter(|l| **l == plain || l.ends_with(&format!(" AS {plain}"))).count();
                assert_eq!(hits, 1, "{} in {}", column.name, dataset.id());
            }
        }
    }
}
