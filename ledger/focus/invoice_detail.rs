//! The columns of FOCUS Invoice Detail 1.4, by the names of the specification.

use engine::Type;

use super::{FocusColumn, Format, Level, Version};

/// The columns of FOCUS Invoice Detail 1.4, by the names of the specification.
pub const INVOICE_DETAIL: [FocusColumn; 22] = [
    FocusColumn::new(
        "BilledCost",
        Type::Decimal,
        "What the invoice asks for this charge; sums to the invoice. Purchases in full, no amortisation.",
    )
    .level(Level::Mandatory)
    .not_null()
    .since(Version::V1_4),
    FocusColumn::new("BillingAccountId", Type::Name, "Account at the issuer that the charge is invoiced to.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new(
        "BillingCurrency",
        Type::Name,
        "ISO 4217 code of every cost column without `PricingCurrency` in its name.",
    )
    .level(Level::Mandatory)
    .not_null()
    .format(Format::Currency)
    .since(Version::V1_4),
    FocusColumn::new("BillingPeriodEnd", Type::Time, "End of the invoice's period, exclusive.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("BillingPeriodStart", Type::Time, "Start of the invoice's period, inclusive.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("ChargeCategory", Type::Name, "What kind of charge it is.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4)
        .allowed(&["Usage", "Purchase", "Tax", "Credit", "Adjustment"]),
    FocusColumn::new("InvoiceDetailCreated", Type::Time, "When the line was created.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("InvoiceDetailDescription", Type::Text, "The line in the issuer's words.")
        .level(Level::Mandatory)
        .since(Version::V1_4),
    FocusColumn::new("InvoiceDetailGrain", Type::Json, "What the line groups its charges by, as JSON.")
        .level(Level::Mandatory)
        .format(Format::KeyValue)
        .since(Version::V1_4),
    FocusColumn::new("InvoiceDetailId", Type::Text, "Line of the Invoice Detail dataset that this charge is part of.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("InvoiceDetailLastUpdated", Type::Time, "When the line last changed.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("InvoiceId", Type::Name, "Invoice that the charge stands on; null before it is issued.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("InvoiceIssueDate", Type::Time, "When the invoice was issued.")
        .level(Level::Mandatory)
        .since(Version::V1_4),
    FocusColumn::new("InvoiceIssueStatus", Type::Name, "Whether the invoice is open, issued or voided.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4)
        .allowed(&["Open", "Issued", "Voided"]),
    FocusColumn::new("InvoiceIssuerName", Type::Name, "Who sends the invoice.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("PaymentCurrency", Type::Name, "Currency that the invoice is paid in.")
        .level(Level::Conditional)
        .not_null()
        .format(Format::Currency)
        .since(Version::V1_4),
    FocusColumn::new("PaymentCurrencyBilledCost", Type::Decimal, "The line in the payment currency.")
        .level(Level::Conditional)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new(
        "PaymentCurrencyInvoiceDetailId",
        Type::Text,
        "Line of the same charge in the payment currency's invoice.",
    )
    .level(Level::Conditional)
    .not_null()
    .since(Version::V1_4),
    FocusColumn::new("PaymentDueDate", Type::Time, "When the invoice is due.")
        .level(Level::Mandatory)
        .since(Version::V1_4),
    FocusColumn::new("PaymentTerms", Type::Name, "Terms of payment.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("PurchaseOrderNumber", Type::Text, "The buyer's order number.")
        .level(Level::Conditional)
        .since(Version::V1_4),
    FocusColumn::new("ReferenceInvoiceId", Type::Name, "Invoice that this one corrects or belongs to.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
];
