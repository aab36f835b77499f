//! Rules over several rows: what names one thing must name it the same way in all of them.

use super::rule::Rule;
use crate::focus::{Dataset, Version};

/// Every rule over several rows of a dataset.
pub fn rules(dataset: Dataset, version: Version) -> Vec<Rule> {
    match dataset {
        Dataset::CostAndUsage => of_charges(version),
        Dataset::ContractCommitment => vec![
            ends_after("ContractCommitmentPeriodEnd", "ContractCommitmentPeriodStart"),
            ends_after("ContractPeriodEnd", "ContractPeriodStart"),
            unique("ContractCommitmentId").warning(),
        ],
        Dataset::InvoiceDetail => vec![ends_after("BillingPeriodEnd", "BillingPeriodStart"), unique("InvoiceDetailId")],
        Dataset::BillingPeriod => vec![ends_after("BillingPeriodEnd", "BillingPeriodStart"), overlaps()],
    }
}

fn of_charges(version: Version) -> Vec<Rule> {
    let mut rules = vec![
        one("SkuPriceId-C-008-M", "SkuPriceId", "SkuId"),
        one("ServiceName-C-005-C", "ServiceName", "ServiceCategory"),
        one("CommitmentDiscountId-one-category", "CommitmentDiscountId", "CommitmentDiscountCategory"),
        one("CommitmentDiscountId-one-type", "CommitmentDiscountId", "CommitmentDiscountType"),
        one("BillingPeriodStart-one-end", "BillingPeriodStart", "BillingPeriodEnd"),
        one("SubAccountId-one-name", "SubAccountId", "SubAccountName").warning(),
        one("BillingAccountId-one-name", "BillingAccountId", "BillingAccountName").warning(),
        one("BillingAccountId-one-currency", "BillingAccountId", "BillingCurrency").warning(),
        one("ResourceId-one-name", "ResourceId", "ResourceName").warning(),
        one("ResourceId-one-type", "ResourceId", "ResourceType").warning(),
        one("RegionId-one-name", "RegionId", "RegionName").warning(),
        overlaps(),
        Rule::unseen(
            "EffectiveCost-C-012-C",
            "Over its term, the EffectiveCost of a commitment's usage MUST equal the BilledCost of its purchases.",
            "a file of one period does not hold the whole term",
        ),
        Rule::unseen(
            "BilledCost-C-005-C",
            "BilledCost MUST be 0 for charges whose payment a third party receives.",
            "who receives the payment is not in the file",
        ),
        Rule::unseen(
            "SkuPriceId-C-013-M",
            "SkuPriceId MUST reference a price of a provided price list.",
            "the price list is not in the file",
        ),
    ];
    if version >= Version::V1_1 {
        rules.push(one("ServiceName-C-008-C", "ServiceName", "ServiceSubcategory").warning());
        rules.push(one("CommitmentDiscountId-one-unit", "CommitmentDiscountId", "CommitmentDiscountUnit"));
    }
    if version >= Version::V1_2 {
        rules.push(one("InvoiceId-one-issuer", "InvoiceId", "InvoiceIssuerName"));
        rules.push(one("InvoiceId-one-currency", "InvoiceId", "BillingCurrency"));
        rules.push(one("InvoiceId-one-period", "InvoiceId", "BillingPeriodStart").warning());
        rules.push(Rule::unseen(
            "BilledCost-C-007-M",
            "The sum of BilledCost of an InvoiceId MUST match the invoice.",
            "the invoice is not in the file; compare the views CostAndUsage and InvoiceDetail",
        ));
    }
    rules
}

/// `key` names one thing, which has one `value`.
fn one(id: &str, key: &'static str, value: &'static str) -> Rule {
    let query = format!(
        "SELECT CONCAT('{key} ', CAST(\"{key}\" AS VARCHAR), ' has ', CAST(COUNT(DISTINCT \"{value}\") AS VARCHAR), ' values of {value}, first in row ', CAST(MIN(x_source_row) AS VARCHAR)) AS what \
         FROM t WHERE \"{key}\" IS NOT NULL AND \"{value}\" IS NOT NULL GROUP BY \"{key}\" HAVING COUNT(DISTINCT \"{value}\") > 1 ORDER BY MIN(x_source_row)"
    );
    Rule::rows(id, format!("One {key} MUST have one {value}."), &[key, value], query)
}

fn unique(key: &'static str) -> Rule {
    let query = format!(
        "SELECT CONCAT('{key} ', CAST(\"{key}\" AS VARCHAR), ' stands in ', CAST(COUNT(*) AS VARCHAR), ' rows, first in row ', CAST(MIN(x_source_row) AS VARCHAR)) AS what \
         FROM t WHERE \"{key}\" IS NOT NULL GROUP BY \"{key}\" HAVING COUNT(*) > 1 ORDER BY MIN(x_source_row)"
    );
    Rule::rows(format!("{key}-unique"), format!("{key} MUST be unique."), &[key], query)
}

fn ends_after(end: &'static str, start: &'static str) -> Rule {
    let title = format!("{end} MUST be after {start}: ends are exclusive.");
    Rule::row(format!("{end}-after-start"), title, &[start, end], format!("\"{end}\" <= \"{start}\""))
}

/// The billing periods of one issuer lie one behind the other.
fn overlaps() -> Rule {
    let query = "WITH p AS (SELECT DISTINCT \"InvoiceIssuerName\" AS issuer, \"BillingPeriodStart\" AS since, \"BillingPeriodEnd\" AS until FROM t) \
         SELECT CONCAT('billing periods of ', CAST(a.issuer AS VARCHAR), ' overlap: ', CAST(a.since AS VARCHAR), ' to ', CAST(a.until AS VARCHAR), ' and one from ', CAST(b.since AS VARCHAR)) AS what \
         FROM p a JOIN p b ON a.issuer = b.issuer WHERE a.since < b.since AND b.since < a.until";
    let columns = ["InvoiceIssuerName", "BillingPeriodStart", "BillingPeriodEnd"];
    Rule::rows("BillingPeriod-overlap", "Billing periods of one invoice issuer MUST NOT overlap.", &columns, query)
}
