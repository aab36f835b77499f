//! The columns of FOCUS Billing Period 1.4, by the names of the specification.

use engine::Type;

use super::{FocusColumn, Level, Version};

/// The columns of FOCUS Billing Period 1.4, by the names of the specification.
pub const BILLING_PERIOD: [FocusColumn; 6] = [
    FocusColumn::new("BillingPeriodCreated", Type::Time, "When the issuer opened the period.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("BillingPeriodEnd", Type::Time, "End of the invoice's period, exclusive.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("BillingPeriodLastUpdated", Type::Time, "When the issuer last changed the period.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("BillingPeriodStart", Type::Time, "Start of the invoice's period, inclusive.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new(
        "BillingPeriodStatus",
        Type::Name,
        "`Open` while charges may change, `Closed` when only corrections follow.",
    )
    .level(Level::Mandatory)
    .not_null()
    .since(Version::V1_4)
    .allowed(&["Open", "Closed"]),
    FocusColumn::new("InvoiceIssuerName", Type::Name, "Who sends the invoice.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
];
