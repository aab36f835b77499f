//! FOCUS's own names for the ledger: its published queries run over these views as they are written. And what was split
//! over who used it.

use engine::View;

const COST_AND_USAGE_SQL: &str = include_str!("views/cost_and_usage.sql");

/// The views; those of FOCUS's datasets under the names that it uses.
pub const VIEWS: &[&View] =
    &[&COST_AND_USAGE, &FOCUS_DATA_TABLE, &CONTRACT_COMMITMENT, &INVOICE_DETAIL, &BILLING_PERIOD, &COST_ALLOCATION];

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
    doc: "Charges split over who used them: the rows of `cost_line` with an `AllocatedMethodId`, such as `stellwerk cost allocate --format focus` writes. Where the bill's own rows of the same nodes are there too, both say the same cost.",
    sql: include_str!("views/cost_allocation.sql"),
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
