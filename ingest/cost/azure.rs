//! Azure's own cost exports (ActualCost, AmortizedCost; EA, MCA and pay-as-you-go headers) as FOCUS rows.
//!
//! The two exports are two views of the same usage, so each fills only the cost that it states, and loading both counts
//! nothing twice: ActualCost fills `BilledCost`, AmortizedCost fills `EffectiveCost`; the other one is null. Where nobody
//! says which it is and no row is paid by a commitment, both are one and both costs are filled. What the
//! export does not state (list cost, contracted cost) is null too. Every original column stays in `x_extra`.

use super::batch::Cells;
use super::instant;
use super::layout::{Form, Header};

/// The FOCUS columns that a row of Azure's own form gives, in the order of [`Mapper::map`].
pub const MAPPED: [&str; 39] = [
    "BilledCost",
    "EffectiveCost",
    "BillingCurrency",
    "BillingAccountId",
    "BillingAccountName",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "ContractedUnitPrice",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ServiceCategory",
    "ServiceName",
    "SubAccountId",
    "SubAccountName",
    "Tags",
    "AvailabilityZone",
    "ConsumedQuantity",
    "ConsumedUnit",
];

/// Whether a header is one of Azure's own cost exports.
pub fn is_native(header: &Header) -> bool {
    let any = |names: &[&str]| names.iter().any(|n| header.position(n).is_some());
    any(COST) && any(DATE) && any(&["metercategory", "meterid"])
}

/// Whether a header can only be what was billed: the pay-as-you-go form knows no purchases, so nothing is amortised.
pub fn is_usage_only(header: &Header) -> bool {
    is_native(header) && header.position("chargetype").is_none()
}

/// Names of the cost.
pub const COST: &[&str] = &["costinbillingcurrency", "cost", "pretaxcost"];
const DATE: &[&str] = &["date", "usagedatetime"];

/// Finds the cells of a header once, and maps row after row.
#[derive(Debug, Clone)]
pub struct Mapper {
    form: Form,
    cost: Option<usize>,
    date: Option<usize>,
    currency: Option<usize>,
    quantity: Option<usize>,
    unit: Option<usize>,
    unit_price: Option<usize>,
    list_price: Option<usize>,
    account: Option<usize>,
    account_name: Option<usize>,
    period_start: Option<usize>,
    period_end: Option<usize>,
    charge_type: Option<usize>,
    frequency: Option<usize>,
    pricing_model: Option<usize>,
    product: Option<usize>,
    benefit: Option<usize>,
    benefit_name: Option<usize>,
    reservation: Option<usize>,
    reservation_name: Option<usize>,
    invoice: Option<usize>,
    publisher: Option<usize>,
    publisher_type: Option<usize>,
    location: Option<usize>,
    resource: Option<usize>,
    resource_name: Option<usize>,
    family: Option<usize>,
    meter_category: Option<usize>,
    subscription: Option<usize>,
    subscription_name: Option<usize>,
    tags: Option<usize>,
    zone: Option<usize>,
}

impl Mapper {
    /// The mapper of a file.
    pub fn new(header: &Header, form: Form) -> Mapper {
        let at = |names: &[&str]| names.iter().find_map(|n| header.position(n));
        Mapper {
            form,
            cost: at(COST),
            date: at(DATE),
            currency: at(&["billingcurrency", "billingcurrencycode", "currency"]),
            quantity: at(&["quantity", "usagequantity"]),
            unit: at(&["unitofmeasure"]),
            unit_price: at(&["unitprice"]),
            list_price: at(&["paygprice"]),
            account: at(&["billingaccountid"]),
            account_name: at(&["billingaccountname"]),
            period_start: at(&["billingperiodstartdate"]),
            period_end: at(&["billingperiodenddate"]),
            charge_type: at(&["chargetype"]),
            frequency: at(&["frequency"]),
            pricing_model: at(&["pricingmodel"]),
            product: at(&["product", "productname"]),
            benefit: at(&["benefitid"]),
            benefit_name: at(&["benefitname"]),
            reservation: at(&["reservationid"]),
            reservation_name: at(&["reservationname"]),
            invoice: at(&["invoiceid"]),
            publisher: at(&["publishername"]),
            publisher_type: at(&["publishertype"]),
            location: at(&["resourcelocation"]),
            resource: at(&["resourceid", "instanceid", "instancename"]),
            resource_name: at(&["resourcename"]),
            family: at(&["servicefamily"]),
            meter_category: at(&["metercategory"]),
            subscription: at(&["subscriptionid", "subscriptionguid"]),
            subscription_name: at(&["subscriptionname"]),
            tags: at(&["tags"]),
            zone: at(&["availabilityzone"]),
        }
    }

    /// The FOCUS cells of a row, in the order of [`MAPPED`].
    pub fn map(&self, row: &impl Cells) -> Vec<Option<String>> {
        let get = |cell: Option<usize>| cell.and_then(|at| row.cell(at)).map(str::to_owned);
        let cost = get(self.cost);
        let (billed, effective) = match self.form {
            Form::AzureAmortized => (None, cost),
            Form::AzureCost => (cost.clone(), cost),
            _ => (cost, None),
        };
        let date = get(self.date);
        let charge_type = get(self.charge_type).unwrap_or_else(|| "Usage".to_owned());
        let model = get(self.pricing_model).unwrap_or_default();
        let commitment = get(self.benefit).or_else(|| get(self.reservation));
        let (category, status) = charge(&charge_type, commitment.is_some(), &model);
        let kind = commitment.as_ref().and_then(|id| commitment_kind(&model, id));
        let publisher = get(self.publisher)
            .or_else(|| (get(self.publisher_type).is_none_or(|t| t == "Azure")).then(|| "Microsoft".to_owned()));
        let location = get(self.location);
        let is_consumed = category == Some("Usage") && status != Some("Unused");
        vec![
            billed,
            effective,
            get(self.currency),
            get(self.account).or_else(|| get(self.subscription)),
            get(self.account_name),
            get(self.period_start).map(|d| day(&d, 0)).or_else(|| date.as_deref().map(month)),
            get(self.period_end).map(|d| day(&d, 1)),
            date.as_deref().map(|d| day(d, 0)),
            date.as_deref().map(|d| day(d, 1)),
            category.map(str::to_owned),
            None,
            get(self.product),
            get(self.frequency).map(|f| frequency(&f)),
            kind.map(|k| k.0.to_owned()),
            commitment,
            get(self.benefit_name).or_else(|| get(self.reservation_name)),
            status.map(str::to_owned),
            kind.map(|k| k.1.to_owned()),
            get(self.unit_price),
            get(self.invoice),
            Some("Microsoft".to_owned()),
            get(self.list_price),
            Some(pricing_category(&model).to_owned()),
            get(self.quantity),
            get(self.unit),
            Some("Microsoft".to_owned()),
            publisher,
            location.as_ref().map(|l| l.to_lowercase().replace(' ', "")),
            location,
            get(self.resource),
            get(self.resource_name),
            Some(service_category(get(self.family).as_deref()).to_owned()),
            get(self.meter_category),
            get(self.subscription),
            get(self.subscription_name),
            get(self.tags).map(|t| braced(&t)),
            get(self.zone),
            get(self.quantity).filter(|_| is_consumed),
            get(self.unit).filter(|_| is_consumed),
        ]
    }
}

/// ChargeCategory and CommitmentDiscountStatus by Azure's ChargeType.
fn charge(charge_type: &str, committed: bool, model: &str) -> (Option<&'static str>, Option<&'static str>) {
    match charge_type.to_ascii_lowercase().as_str() {
        "usage" if committed && matches!(model, "Reservation" | "SavingsPlan") => (Some("Usage"), Some("Used")),
        "usage" => (Some("Usage"), None),
        "unusedreservation" | "unusedsavingsplan" => (Some("Usage"), Some("Unused")),
        "purchase" => (Some("Purchase"), None),
        "tax" => (Some("Tax"), None),
        "credit" => (Some("Credit"), None),
        _ => (Some("Adjustment"), None),
    }
}

/// CommitmentDiscountCategory and CommitmentDiscountType.
fn commitment_kind(model: &str, id: &str) -> Option<(&'static str, &'static str)> {
    let id = id.to_ascii_lowercase();
    if model == "SavingsPlan" || id.contains("savingsplan") {
        Some(("Spend", "Savings Plan"))
    } else if model == "Reservation" || id.contains("reservation") {
        Some(("Usage", "Reservation"))
    } else {
        None
    }
}

fn pricing_category(model: &str) -> &'static str {
    match model {
        "Reservation" | "SavingsPlan" => "Committed",
        "Spot" => "Dynamic",
        "" | "OnDemand" => "Standard",
        _ => "Other",
    }
}

fn frequency(text: &str) -> String {
    match text {
        "UsageBased" => "Usage-Based".to_owned(),
        "OneTime" => "One-Time".to_owned(),
        other => other.to_owned(),
    }
}

/// ServiceCategory by Azure's ServiceFamily; what has no counterpart is `Other`.
fn service_category(family: Option<&str>) -> &'static str {
    match family.unwrap_or_default() {
        "AI + Machine Learning" => "AI and Machine Learning",
        "Analytics" => "Analytics",
        "Compute" | "Containers" => "Compute",
        "Databases" => "Databases",
        "Developer Tools" => "Developer Tools",
        "Integration" => "Integration",
        "Internet of Things" => "Internet of Things",
        "Management and Governance" => "Management and Governance",
        "Media" => "Media",
        "Migration" | "Azure Migrate" => "Migration",
        "Networking" => "Networking",
        "Security" => "Security",
        "Storage" => "Storage",
        "Web" => "Web",
        _ => "Other",
    }
}

/// The day as ISO 8601, `later` days on. What is no date stays as it is and is refused where the row is built.
fn day(text: &str, later: i64) -> String {
    instant::parse_us(text).map_or_else(|_| text.to_owned(), |at| iso(at.micros + later * 86_400_000_000))
}

fn month(text: &str) -> String {
    instant::parse_us(text).map_or_else(|_| text.to_owned(), |at| iso(instant::month_start(at.micros)))
}

fn iso(micros: i64) -> String {
    let (year, month, day) = instant::date(micros);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Azure writes the tags' object without its braces.
fn braced(tags: &str) -> String {
    if tags.trim_start().starts_with('{') { tags.to_owned() } else { format!("{{{tags}}}") }
}
