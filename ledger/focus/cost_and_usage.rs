//! The columns of FOCUS Cost and Usage 1.0 to 1.4, by the names of the specification.

use engine::Type;

use super::{FocusColumn, Format, Level, Version};

/// The columns of FOCUS Cost and Usage 1.0 to 1.4, by the names of the specification.
pub const COST_AND_USAGE: [FocusColumn; 67] = [
    FocusColumn::new(
        "AllocatedMethodDetails",
        Type::Json,
        "How a split cost was divided: a JSON object of elements with ratio, unit and quantity.",
    )
    .level(Level::Recommended)
    .format(Format::JsonObject)
    .since(Version::V1_3),
    FocusColumn::new("AllocatedMethodId", Type::Name, "Name of the method that divided a shared cost.")
        .level(Level::Conditional)
        .since(Version::V1_3),
    FocusColumn::new(
        "AllocatedResourceId",
        Type::Text,
        "The consumer that a share of a split cost is given to; null is the part nobody took.",
    )
    .level(Level::Conditional)
    .since(Version::V1_3),
    FocusColumn::new("AllocatedResourceName", Type::Text, "Display name of the consumer of a split cost.")
        .level(Level::Conditional)
        .since(Version::V1_3),
    FocusColumn::new("AllocatedTags", Type::Json, "Tags of the consumer of a split cost, as a JSON object.")
        .level(Level::Conditional)
        .format(Format::KeyValue)
        .since(Version::V1_3),
    FocusColumn::new("AvailabilityZone", Type::Name, "Isolated area within a region in which the resource ran.")
        .level(Level::Recommended),
    FocusColumn::new(
        "BilledCost",
        Type::Decimal,
        "What the invoice asks for this charge; sums to the invoice. Purchases in full, no amortisation.",
    )
    .level(Level::Mandatory)
    .not_null(),
    FocusColumn::new("BillingAccountId", Type::Name, "Account at the issuer that the charge is invoiced to.")
        .level(Level::Mandatory)
        .not_null(),
    FocusColumn::new("BillingAccountName", Type::Name, "Display name of the billing account.").level(Level::Mandatory),
    FocusColumn::new("BillingAccountType", Type::Name, "The issuer's word for the kind of billing account.")
        .level(Level::Conditional)
        .not_null()
        .since(Version::V1_2),
    FocusColumn::new(
        "BillingCurrency",
        Type::Name,
        "ISO 4217 code of every cost column without `PricingCurrency` in its name.",
    )
    .level(Level::Mandatory)
    .not_null()
    .format(Format::Currency),
    FocusColumn::new("BillingPeriodEnd", Type::Time, "End of the invoice's period, exclusive.")
        .level(Level::Mandatory)
        .not_null(),
    FocusColumn::new("BillingPeriodStart", Type::Time, "Start of the invoice's period, inclusive.")
        .level(Level::Mandatory)
        .not_null(),
    FocusColumn::new(
        "CapacityReservationId",
        Type::Text,
        "Capacity reservation that the charge uses or leaves unused.",
    )
    .level(Level::Conditional)
    .since(Version::V1_1),
    FocusColumn::new("CapacityReservationStatus", Type::Name, "Whether the reserved capacity was used.")
        .level(Level::Conditional)
        .since(Version::V1_1)
        .allowed(&["Used", "Unused"]),
    FocusColumn::new("ChargeCategory", Type::Name, "What kind of charge it is.")
        .level(Level::Mandatory)
        .not_null()
        .allowed(&["Usage", "Purchase", "Tax", "Credit", "Adjustment"]),
    FocusColumn::new(
        "ChargeClass",
        Type::Name,
        "`Correction` for a row that corrects a closed billing period, else null.",
    )
    .level(Level::Mandatory)
    .allowed(&["Correction"]),
    FocusColumn::new("ChargeDescription", Type::Text, "The charge in the provider's words.").level(Level::Mandatory),
    FocusColumn::new("ChargeFrequency", Type::Name, "How often the charge occurs.")
        .level(Level::Recommended)
        .not_null()
        .allowed(&["One-Time", "Recurring", "Usage-Based"]),
    FocusColumn::new("ChargePeriodEnd", Type::Time, "End of the time in which the charge arose, exclusive.")
        .level(Level::Mandatory)
        .not_null(),
    FocusColumn::new("ChargePeriodStart", Type::Time, "Start of the time in which the charge arose, inclusive.")
        .level(Level::Mandatory)
        .not_null(),
    FocusColumn::new("CommitmentDiscountCategory", Type::Name, "Whether the commitment is to spend or to use.")
        .level(Level::Conditional)
        .allowed(&["Spend", "Usage"]),
    FocusColumn::new(
        "CommitmentDiscountId",
        Type::Name,
        "Commitment (reservation, savings plan) that the charge buys, uses or leaves unused.",
    )
    .level(Level::Conditional),
    FocusColumn::new("CommitmentDiscountName", Type::Name, "Display name of the commitment.").level(Level::Conditional),
    FocusColumn::new(
        "CommitmentDiscountQuantity",
        Type::Decimal,
        "How much of the commitment the row buys or uses, in its unit.",
    )
    .level(Level::Conditional)
    .since(Version::V1_1),
    FocusColumn::new("CommitmentDiscountStatus", Type::Name, "Whether this part of the commitment was used.")
        .level(Level::Conditional)
        .allowed(&["Used", "Unused"]),
    FocusColumn::new("CommitmentDiscountType", Type::Name, "The provider's word for the kind of commitment.")
        .level(Level::Conditional),
    FocusColumn::new("CommitmentDiscountUnit", Type::Name, "Unit of CommitmentDiscountQuantity.")
        .level(Level::Conditional)
        .format(Format::Unit)
        .since(Version::V1_1),
    FocusColumn::new(
        "CommitmentProgramEligibilityDetails",
        Type::Json,
        "Commitment programmes that could have covered the charge, as JSON.",
    )
    .level(Level::Conditional)
    .format(Format::JsonObject)
    .since(Version::V1_4),
    FocusColumn::new("ConsumedQuantity", Type::Decimal, "How much was used, as measured.").level(Level::Conditional),
    FocusColumn::new("ConsumedUnit", Type::Name, "Unit of ConsumedQuantity.")
        .level(Level::Conditional)
        .format(Format::Unit),
    FocusColumn::new("ContractApplied", Type::Json, "Contract commitments that the charge counts against, as JSON.")
        .level(Level::Conditional)
        .format(Format::JsonObject)
        .since(Version::V1_3),
    FocusColumn::new(
        "ContractedCost",
        Type::Decimal,
        "ContractedUnitPrice times PricingQuantity: cost after negotiated discounts, before commitments.",
    )
    .level(Level::Mandatory)
    .not_null(),
    FocusColumn::new("ContractedUnitPrice", Type::Decimal, "Negotiated price of one pricing unit.")
        .level(Level::Conditional)
        .format(Format::NonNegative),
    FocusColumn::new(
        "EffectiveCost",
        Type::Decimal,
        "Amortised cost: the purchase row carries none of it, used and unused rows all.",
    )
    .level(Level::Mandatory)
    .not_null(),
    FocusColumn::new("HostProviderName", Type::Name, "Whose infrastructure the service ran on.")
        .level(Level::Mandatory)
        .since(Version::V1_3),
    FocusColumn::new("InvoiceDetailId", Type::Text, "Line of the Invoice Detail dataset that this charge is part of.")
        .level(Level::Conditional)
        .since(Version::V1_4),
    FocusColumn::new("InvoiceId", Type::Name, "Invoice that the charge stands on; null before it is issued.")
        .level(Level::Conditional)
        .since(Version::V1_2),
    FocusColumn::new("InvoiceIssuerName", Type::Name, "Who sends the invoice.").level(Level::Mandatory).not_null(),
    FocusColumn::new("ListCost", Type::Decimal, "ListUnitPrice times PricingQuantity: cost without any discount.")
        .level(Level::Mandatory)
        .not_null(),
    FocusColumn::new("ListUnitPrice", Type::Decimal, "Published price of one pricing unit.")
        .level(Level::Conditional)
        .format(Format::NonNegative),
    FocusColumn::new("PricingCategory", Type::Name, "Pricing model that applied.")
        .level(Level::Conditional)
        .allowed(&["Standard", "Dynamic", "Committed", "Other"]),
    FocusColumn::new("PricingCurrency", Type::Name, "Currency or virtual currency of the `PricingCurrency…` columns.")
        .level(Level::Conditional)
        .not_null()
        .format(Format::Currency)
        .since(Version::V1_2),
    FocusColumn::new(
        "PricingCurrencyContractedUnitPrice",
        Type::Decimal,
        "Negotiated price of one pricing unit in the pricing currency.",
    )
    .level(Level::Conditional)
    .format(Format::NonNegative)
    .since(Version::V1_2),
    FocusColumn::new("PricingCurrencyEffectiveCost", Type::Decimal, "Amortised cost in the pricing currency.")
        .level(Level::Conditional)
        .not_null()
        .since(Version::V1_2),
    FocusColumn::new(
        "PricingCurrencyListUnitPrice",
        Type::Decimal,
        "Published price of one pricing unit in the pricing currency.",
    )
    .level(Level::Conditional)
    .format(Format::NonNegative)
    .since(Version::V1_2),
    FocusColumn::new("PricingQuantity", Type::Decimal, "How much was priced, in pricing units.")
        .level(Level::Mandatory),
    FocusColumn::new("PricingUnit", Type::Name, "Unit that prices are per, blocks included (`1000000 Tokens`).")
        .level(Level::Mandatory)
        .format(Format::Unit),
    FocusColumn::new(
        "ProviderName",
        Type::Name,
        "Who sold the service; FOCUS 1.3 and older, since then ServiceProviderName.",
    )
    .level(Level::Mandatory)
    .not_null()
    .until(Version::V1_3),
    FocusColumn::new("PublisherName", Type::Name, "Who made the service; FOCUS 1.3 and older.")
        .level(Level::Mandatory)
        .not_null()
        .until(Version::V1_3),
    FocusColumn::new("RegionId", Type::Name, "Region in the provider's code.").level(Level::Conditional),
    FocusColumn::new("RegionName", Type::Name, "Display name of the region.").level(Level::Conditional),
    FocusColumn::new("ResourceId", Type::Text, "The resource that caused the charge.").level(Level::Conditional),
    FocusColumn::new("ResourceName", Type::Text, "Display name of the resource.").level(Level::Conditional),
    FocusColumn::new("ResourceType", Type::Name, "The provider's word for the kind of resource.")
        .level(Level::Conditional),
    FocusColumn::new("ServiceCategory", Type::Name, "Core function of the service, one of the standard's.")
        .level(Level::Mandatory)
        .not_null()
        .allowed(&[
            "AI and Machine Learning",
            "Analytics",
            "Business Applications",
            "Compute",
            "Databases",
            "Developer Tools",
            "Multicloud",
            "Identity",
            "Integration",
            "Internet of Things",
            "Management and Governance",
            "Media",
            "Migration",
            "Mobile",
            "Networking",
            "Security",
            "Storage",
            "Web",
            "Other",
        ]),
    FocusColumn::new("ServiceName", Type::Name, "The service in the provider's words.")
        .level(Level::Mandatory)
        .not_null(),
    FocusColumn::new("ServiceProviderName", Type::Name, "Who makes the service available for purchase.")
        .level(Level::Mandatory)
        .not_null()
        .since(Version::V1_3),
    FocusColumn::new(
        "ServiceSubcategory",
        Type::Name,
        "Finer function of the service; each belongs to one ServiceCategory.",
    )
    .level(Level::Recommended)
    .not_null()
    .since(Version::V1_1),
    FocusColumn::new("SkuId", Type::Name, "The stock keeping unit, whatever its price.").level(Level::Conditional),
    FocusColumn::new("SkuMeter", Type::Name, "What the SKU measures.").level(Level::Conditional).since(Version::V1_1),
    FocusColumn::new(
        "SkuPriceDetails",
        Type::Json,
        "Properties of the SKU price (`InstanceType`, `CoreCount` …), as a JSON object.",
    )
    .level(Level::Conditional)
    .format(Format::KeyValue)
    .since(Version::V1_1),
    FocusColumn::new("SkuPriceId", Type::Name, "The SKU price that was applied.").level(Level::Conditional),
    FocusColumn::new("SubAccountId", Type::Name, "Subscription, project or linked account.").level(Level::Conditional),
    FocusColumn::new("SubAccountName", Type::Name, "Display name of the sub account.").level(Level::Conditional),
    FocusColumn::new("SubAccountType", Type::Name, "The provider's word for the kind of sub account.")
        .level(Level::Conditional)
        .since(Version::V1_2),
    FocusColumn::new("Tags", Type::Json, "Tags of the resource as a JSON object; a tag without value is `true`.")
        .level(Level::Conditional)
        .format(Format::KeyValue),
];
