//! Rules over one charge, with the ids of the FOCUS validator's model.
//!
//! Where that model's condition says less than its text, the text is followed: it flags every purchase with an
//! EffectiveCost (the text: those that cover future charges) and every row whose provider is not its invoice issuer
//! (the text: those paid to a third party), which no file shows.

use super::rule::Rule;
use crate::focus::{Dataset, Version};

/// Null exactly as another column is: (column, the other, id null, id not null or none where FOCUS only says SHOULD or MAY).
const PAIRS: [(&str, &str, &str, Option<&str>); 15] = [
    ("CommitmentDiscountName", "CommitmentDiscountId", "CommitmentDiscountName-C-004-C", None),
    (
        "CommitmentDiscountCategory",
        "CommitmentDiscountId",
        "CommitmentDiscountCategory-C-003-C",
        Some("CommitmentDiscountCategory-C-004-C"),
    ),
    (
        "CommitmentDiscountType",
        "CommitmentDiscountId",
        "CommitmentDiscountType-C-004-C",
        Some("CommitmentDiscountType-C-005-C"),
    ),
    ("CommitmentDiscountStatus", "CommitmentDiscountId", "CommitmentDiscountStatus-C-003-C", None),
    (
        "CommitmentDiscountUnit",
        "CommitmentDiscountQuantity",
        "CommitmentDiscountUnit-C-005-C",
        Some("CommitmentDiscountUnit-C-006-C"),
    ),
    ("CapacityReservationStatus", "CapacityReservationId", "CapacityReservationStatus-C-003-C", None),
    ("ConsumedUnit", "ConsumedQuantity", "ConsumedUnit-C-005-C", Some("ConsumedUnit-C-006-C")),
    ("PricingUnit", "PricingQuantity", "PricingUnit-C-005-C", Some("PricingUnit-C-006-C")),
    ("RegionName", "RegionId", "RegionName-C-004-C", Some("RegionName-C-005-C")),
    ("ResourceName", "ResourceId", "ResourceName-C-004-C", None),
    ("ResourceType", "ResourceId", "ResourceType-C-004-C", Some("ResourceType-C-005-C")),
    ("SkuMeter", "SkuId", "SkuMeter-C-004-C", None),
    ("SubAccountName", "SubAccountId", "SubAccountName-C-004-C", Some("SubAccountName-C-005-C")),
    ("SubAccountType", "SubAccountId", "SubAccountType-C-004-C", Some("SubAccountType-C-005-C")),
    ("AllocatedResourceName", "AllocatedResourceId", "AllocatedResourceName-pair", None),
];

/// Null for taxes; not null for usage and purchases that correct nothing: (column, id null, id not null).
const PRICED: [(&str, &str, Option<&str>); 7] = [
    ("PricingQuantity", "PricingQuantity-C-004-C", Some("PricingQuantity-C-005-C")),
    ("PricingCategory", "PricingCategory-C-003-C", Some("PricingCategory-C-004-C")),
    ("SkuId", "SkuId-C-004-C", Some("SkuId-C-005-C")),
    ("SkuPriceId", "SkuPriceId-C-004-C", Some("SkuPriceId-C-005-C")),
    ("ListUnitPrice", "ListUnitPrice-C-004-C", Some("ListUnitPrice-C-005-C")),
    ("ContractedUnitPrice", "ContractedUnitPrice-C-005-C", Some("ContractedUnitPrice-C-006-C")),
    ("PricingCurrencyListUnitPrice", "PricingCurrencyListUnitPrice-C-004-C", None),
];

const CHARGED: &str = "\"ChargeCategory\" IN ('Usage', 'Purchase') AND (\"ChargeClass\" IS DISTINCT FROM 'Correction')";

/// Every rule over one charge.
pub fn rules(version: Version) -> Vec<Rule> {
    let known = |name: &str| Dataset::CostAndUsage.columns().iter().any(|c| c.name == name && c.is_in(version));
    let mut rules = Vec::new();
    for (column, of, null, not_null) in PAIRS.iter().filter(|(column, ..)| known(column)) {
        let title = format!("{column} MUST be null when {of} is null.");
        rules.push(Rule::row(*null, title, &[column, of], format!("\"{column}\" IS NOT NULL AND \"{of}\" IS NULL")));
        if let Some(id) = not_null {
            let title = format!("{column} MUST NOT be null when {of} is not null.");
            rules.push(Rule::row(*id, title, &[column, of], format!("\"{column}\" IS NULL AND \"{of}\" IS NOT NULL")));
        }
    }
    for (column, null, not_null) in PRICED.iter().filter(|(column, ..)| known(column)) {
        let title = format!("{column} MUST be null when ChargeCategory is \"Tax\".");
        rules.push(Rule::row(
            *null,
            title,
            &[column, "ChargeCategory"],
            format!("\"ChargeCategory\" = 'Tax' AND \"{column}\" IS NOT NULL"),
        ));
        if let Some(id) = not_null {
            let title = format!(
                "{column} MUST NOT be null when ChargeCategory is \"Usage\" or \"Purchase\" and ChargeClass is not \"Correction\"."
            );
            rules.push(Rule::row(
                *id,
                title,
                &[column, "ChargeCategory"],
                format!("{CHARGED} AND \"{column}\" IS NULL"),
            ));
        }
    }
    rules.extend(of_categories());
    rules.extend(of_costs());
    rules.extend(of_periods());
    if version >= Version::V1_1 {
        rules.extend(of_commitment_quantities());
    }
    if version >= Version::V1_3 {
        rules.push(Rule::row(
            "AllocatedMethodId-split",
            "AllocatedMethodId MUST NOT be null when AllocatedResourceId is not null.",
            &["AllocatedMethodId", "AllocatedResourceId"],
            "\"AllocatedResourceId\" IS NOT NULL AND \"AllocatedMethodId\" IS NULL",
        ));
    }
    rules
}

fn of_categories() -> Vec<Rule> {
    vec![
        Rule::row(
            "ConsumedQuantity-C-004-C",
            "ConsumedQuantity MUST be null when ChargeCategory is not \"Usage\", or CommitmentDiscountStatus is \"Unused\".",
            &["ConsumedQuantity", "ChargeCategory"],
            "\"ConsumedQuantity\" IS NOT NULL AND (\"ChargeCategory\" <> 'Usage' OR \"CommitmentDiscountStatus\" = 'Unused')",
        ),
        Rule::row(
            "ConsumedQuantity-C-006-C",
            "ConsumedQuantity MUST NOT be null for usage that is neither an unused commitment nor a correction.",
            &["ConsumedQuantity", "ChargeCategory"],
            "\"ConsumedQuantity\" IS NULL AND \"ChargeCategory\" = 'Usage' AND (\"CommitmentDiscountStatus\" IS DISTINCT FROM 'Unused') AND (\"ChargeClass\" IS DISTINCT FROM 'Correction')",
        ),
        Rule::row(
            "ChargeFrequency-C-004-C",
            "ChargeFrequency MUST NOT be \"Usage-Based\" when ChargeCategory is \"Purchase\".",
            &["ChargeFrequency", "ChargeCategory"],
            "\"ChargeFrequency\" = 'Usage-Based' AND \"ChargeCategory\" = 'Purchase'",
        ),
        Rule::row(
            "ChargeDescription-C-003-O",
            "ChargeDescription SHOULD NOT be null.",
            &["ChargeDescription"],
            "\"ChargeDescription\" IS NULL",
        )
        .warning(),
        Rule::row(
            "CommitmentDiscountStatus-C-004-C",
            "CommitmentDiscountStatus MUST NOT be null for usage with a CommitmentDiscountId.",
            &["CommitmentDiscountStatus", "CommitmentDiscountId", "ChargeCategory"],
            "\"CommitmentDiscountStatus\" IS NULL AND \"CommitmentDiscountId\" IS NOT NULL AND \"ChargeCategory\" = 'Usage'",
        ),
        Rule::row(
            "CapacityReservationStatus-C-004-C",
            "CapacityReservationStatus MUST NOT be null for usage with a CapacityReservationId.",
            &["CapacityReservationStatus", "CapacityReservationId", "ChargeCategory"],
            "\"CapacityReservationStatus\" IS NULL AND \"CapacityReservationId\" IS NOT NULL AND \"ChargeCategory\" = 'Usage'",
        ),
        Rule::row(
            "CapacityReservationId-C-005-C",
            "CapacityReservationId MUST NOT be null when CapacityReservationStatus is \"Unused\".",
            &["CapacityReservationId", "CapacityReservationStatus"],
            "\"CapacityReservationId\" IS NULL AND \"CapacityReservationStatus\" = 'Unused'",
        ),
    ]
}

fn of_costs() -> Vec<Rule> {
    let product = |price: &str, cost: &str| {
        format!(
            "(\"ChargeClass\" IS DISTINCT FROM 'Correction') AND NOT focus_product(\"{price}\", \"PricingQuantity\", \"{cost}\")"
        )
    };
    vec![
        Rule::row(
            "EffectiveCost-C-005-C",
            "EffectiveCost MUST be 0 for the purchase of a commitment, which covers future charges.",
            &["EffectiveCost", "ChargeCategory", "CommitmentDiscountId"],
            "\"EffectiveCost\" <> 0 AND \"ChargeCategory\" = 'Purchase' AND \"CommitmentDiscountId\" IS NOT NULL",
        ),
        Rule::row(
            "EffectiveCost-unused",
            "EffectiveCost of an unused part of a commitment MUST NOT be negative outside corrections.",
            &["EffectiveCost", "CommitmentDiscountStatus"],
            "\"EffectiveCost\" < 0 AND \"CommitmentDiscountStatus\" = 'Unused' AND (\"ChargeClass\" IS DISTINCT FROM 'Correction')",
        ),
        Rule::row(
            "ListCost-C-009-C",
            "The product of ListUnitPrice and PricingQuantity MUST match the ListCost outside corrections.",
            &["ListCost", "ListUnitPrice", "PricingQuantity"],
            product("ListUnitPrice", "ListCost"),
        ),
        Rule::row(
            "ContractedUnitPrice-C-011-C",
            "The product of ContractedUnitPrice and PricingQuantity MUST match the ContractedCost outside corrections.",
            &["ContractedCost", "ContractedUnitPrice", "PricingQuantity"],
            product("ContractedUnitPrice", "ContractedCost"),
        ),
        Rule::row(
            "EffectiveCost-list",
            "EffectiveCost SHOULD NOT be higher than ListCost for usage.",
            &["EffectiveCost", "ListCost", "ChargeCategory"],
            "\"ChargeCategory\" = 'Usage' AND \"ListCost\" > 0 AND \"EffectiveCost\" > \"ListCost\" AND (\"CommitmentDiscountStatus\" IS DISTINCT FROM 'Unused')",
        )
        .warning(),
    ]
}

fn of_periods() -> Vec<Rule> {
    vec![
        Rule::row(
            "BillingPeriodEnd-after-start",
            "BillingPeriodEnd MUST be after BillingPeriodStart: ends are exclusive.",
            &["BillingPeriodStart", "BillingPeriodEnd"],
            "\"BillingPeriodEnd\" <= \"BillingPeriodStart\"",
        ),
        Rule::row(
            "ChargePeriodEnd-after-start",
            "ChargePeriodEnd MUST be after ChargePeriodStart: ends are exclusive.",
            &["ChargePeriodStart", "ChargePeriodEnd"],
            "\"ChargePeriodEnd\" <= \"ChargePeriodStart\"",
        ),
        Rule::row(
            "ChargePeriodStart-in-billing-period",
            "Usage that corrects nothing SHOULD arise before its billing period ends.",
            &["ChargePeriodStart", "BillingPeriodEnd", "ChargeCategory"],
            "\"ChargeCategory\" = 'Usage' AND \"ChargePeriodStart\" >= \"BillingPeriodEnd\"",
        )
        .warning(),
        Rule::row(
            "ChargeClass-C-003-C",
            "ChargeClass MUST be null when the row corrects a charge of the current billing period.",
            &["ChargeClass", "ChargePeriodStart", "BillingPeriodStart"],
            "\"ChargeClass\" = 'Correction' AND \"ChargePeriodStart\" >= \"BillingPeriodStart\"",
        ),
    ]
}

fn of_commitment_quantities() -> Vec<Rule> {
    vec![
        Rule::row(
            "CommitmentDiscountQuantity-C-005-C",
            "CommitmentDiscountQuantity MUST NOT be null for usage and purchases with a CommitmentDiscountId that correct nothing.",
            &["CommitmentDiscountQuantity", "CommitmentDiscountId", "ChargeCategory"],
            format!("{CHARGED} AND \"CommitmentDiscountId\" IS NOT NULL AND \"CommitmentDiscountQuantity\" IS NULL"),
        ),
        Rule::row(
            "CommitmentDiscountQuantity-C-007-C",
            "CommitmentDiscountQuantity MUST be null without a CommitmentDiscountId or for other charges than usage and purchases.",
            &["CommitmentDiscountQuantity", "CommitmentDiscountId", "ChargeCategory"],
            "\"CommitmentDiscountQuantity\" IS NOT NULL AND (\"CommitmentDiscountId\" IS NULL OR \"ChargeCategory\" NOT IN ('Usage', 'Purchase'))",
        ),
    ]
}
