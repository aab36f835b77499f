//! The columns of FOCUS Contract Commitment 1.4, by the names of the specification.

use engine::Type;

use super::{FocusColumn, Format, Level, Version};

/// The columns of FOCUS Contract Commitment 1.4, by the names of the specification.
pub const CONTRACT_COMMITMENT: [FocusColumn; 30] = [
    FocusColumn::new(
        "BillingCurrency",
        Type::Name,
        "ISO 4217 code of every cost column without `PricingCurrency` in its name.",
    )
    .level(Level::Mandatory)
    .format(Format::Currency)
    .since(Version::V1_3),
    FocusColumn::new("ContractCommitmentApplicability", Type::Json, "What the commitment covers, as JSON.")
        .level(Level::Mandatory)
        .not_null()
        .format(Format::JsonObject)
        .since(Version::V1_4),
    FocusColumn::new("ContractCommitmentBenefitCategory", Type::Name, "What the commitment gives in return.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4)
        .allowed(&["Discount", "Entitlement", "Availability", "Other"]),
    FocusColumn::new("ContractCommitmentCategory", Type::Name, "Whether it commits to spend or to use.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_3)
        .allowed(&["Spend", "Usage"]),
    FocusColumn::new("ContractCommitmentCost", Type::Decimal, "Money committed over the whole commitment.")
        .level(Level::Mandatory)
        .since(Version::V1_3),
    FocusColumn::new("ContractCommitmentCreated", Type::Time, "When the commitment was recorded.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("ContractCommitmentDescription", Type::Text, "The commitment in the provider's words.")
        .level(Level::Mandatory)
        .since(Version::V1_3),
    FocusColumn::new("ContractCommitmentDiscountPercentage", Type::Decimal, "Discount that the commitment earns.")
        .level(Level::Mandatory)
        .since(Version::V1_4),
    FocusColumn::new("ContractCommitmentDurationType", Type::Name, "Length of the commitment in the provider's words.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("ContractCommitmentFulfillmentInterval", Type::Name, "How often the commitment must be met.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4)
        .allowed(&[
            "Hourly",
            "Daily",
            "Weekly",
            "Monthly",
            "Quarterly",
            "Semi-Annual",
            "Annual",
            "Full Period",
            "Transactional",
            "Custom",
        ]),
    FocusColumn::new("ContractCommitmentId", Type::Text, "The commitment.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_3),
    FocusColumn::new("ContractCommitmentLastUpdated", Type::Time, "When the record last changed.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("ContractCommitmentLifecycleStatus", Type::Name, "Where the commitment stands in its life.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4)
        .allowed(&["Proposed", "Pending", "Active", "Exhausted", "Expired", "Canceled", "Superseded"]),
    FocusColumn::new("ContractCommitmentModel", Type::Name, "Whether what one interval leaves unused is lost.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4)
        .allowed(&["Continuous", "Discontinuous"]),
    FocusColumn::new(
        "ContractCommitmentOfferCategory",
        Type::Name,
        "Whether it was negotiated or is offered to everybody.",
    )
    .level(Level::Mandatory)
    .not_null()
    .since(Version::V1_4)
    .allowed(&["Negotiated", "Public"]),
    FocusColumn::new("ContractCommitmentPaymentInterval", Type::Name, "How often it is paid.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4)
        .allowed(&["One-Time", "Monthly", "Quarterly", "Semi-Annual", "Annual", "Custom"]),
    FocusColumn::new("ContractCommitmentPaymentModel", Type::Name, "How much of it is paid upfront.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4)
        .allowed(&["No Upfront", "Partial Upfront", "All Upfront"]),
    FocusColumn::new("ContractCommitmentPaymentUpfrontPercentage", Type::Decimal, "Share that is paid upfront.")
        .level(Level::Conditional)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("ContractCommitmentPeriodEnd", Type::Time, "End of the commitment, exclusive.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_3),
    FocusColumn::new("ContractCommitmentPeriodStart", Type::Time, "Start of the commitment, inclusive.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_3),
    FocusColumn::new("ContractCommitmentQuantity", Type::Decimal, "Quantity committed over the whole commitment.")
        .level(Level::Mandatory)
        .since(Version::V1_3),
    FocusColumn::new("ContractCommitmentType", Type::Name, "The provider's word for the kind of commitment.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_3),
    FocusColumn::new("ContractCommitmentUnit", Type::Name, "Unit of ContractCommitmentQuantity.")
        .level(Level::Mandatory)
        .format(Format::Unit)
        .since(Version::V1_3),
    FocusColumn::new("ContractId", Type::Text, "Contract that holds the commitment.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_3),
    FocusColumn::new("ContractPeriodEnd", Type::Time, "End of the contract, exclusive.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_3),
    FocusColumn::new("ContractPeriodStart", Type::Time, "Start of the contract, inclusive.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_3),
    FocusColumn::new("InvoiceIssuerName", Type::Name, "Who sends the invoice.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
    FocusColumn::new("PricingCurrency", Type::Name, "Currency or virtual currency of the `PricingCurrency…` columns.")
        .level(Level::Conditional)
        .not_null()
        .format(Format::Currency)
        .since(Version::V1_4),
    FocusColumn::new(
        "PricingCurrencyContractCommitmentCost",
        Type::Decimal,
        "Money committed, in the pricing currency.",
    )
    .level(Level::Conditional)
    .since(Version::V1_4),
    FocusColumn::new("ServiceProviderName", Type::Name, "Who makes the service available for purchase.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_4),
];
