//! AWS's Cost and Usage Report as FOCUS rows, with the names of its CSV (`lineItem/UnblendedCost`) and those of Athena and
//! CUR 2.0 (`line_item_unblended_cost`). The rules are those of the FinOps Foundation's converters; where a rule speaks of
//! an empty word, the cell is null. Every original column stays in `x_extra`.

use std::collections::HashMap;

use ledger::decimal;
use serde_json::{Map, Value};

use super::layout::Header;
use super::mapping::Mapping;
use super::records::RowCells;

/// The FOCUS columns that a row gives, in the order of [`Mapper::map`].
pub const MAPPED: [&str; 39] = [
    "AvailabilityZone",
    "BilledCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "ConsumedQuantity",
    "ConsumedUnit",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceProviderName",
    "SkuId",
    "SkuPriceId",
    "SubAccountId",
    "Tags",
];

/// A column's name without what the two forms differ in.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// Whether a header is a Cost and Usage Report's.
pub fn is_native(header: &Header) -> bool {
    let names: Vec<String> = header.names.iter().map(|name| plain(name)).collect();
    let has = |name: &str| names.iter().any(|n| n == name);
    has("lineitemlineitemtype") && (has("lineitemunblendedcost") || has("lineitemnetunblendedcost"))
}

/// Finds the cells of a header once, and maps row after row.
pub struct Mapper {
    places: HashMap<String, usize>,
    /// Tags by their own names.
    tags: Vec<(String, usize)>,
    /// Athena's names: the rules differ in what an unknown way to buy is called.
    is_flat: bool,
}

impl Mapper {
    /// The mapper of a file.
    pub fn new(header: &Header) -> Mapper {
        let mut places = HashMap::new();
        let mut tags = Vec::new();
        for (at, name) in header.names.iter().enumerate() {
            let tag = name.strip_prefix("resourceTags/").or_else(|| name.strip_prefix("resource_tags_"));
            match tag {
                Some(tag) => tags.push((tag.to_owned(), at)),
                None => drop(places.entry(plain(name)).or_insert(at)),
            }
        }
        let is_flat = header.lower.iter().any(|name| name.starts_with("line_item_"));
        Mapper { places, tags, is_flat }
    }

    fn get<'a>(&self, row: &'a dyn RowCells, name: &str) -> Option<&'a str> {
        self.places.get(name).and_then(|at| row.text(*at))
    }

    /// The first of these that is there.
    fn first(&self, row: &dyn RowCells, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.get(row, name)).map(str::to_owned)
    }

    fn number(&self, row: &dyn RowCells, name: &str) -> Option<i128> {
        self.get(row, name).and_then(|text| decimal::parse(text).ok()).map(|number| number.units)
    }

    fn effective_cost(&self, row: &dyn RowCells, kind: &str, reservation: Option<&str>) -> Option<String> {
        let of = |name: &str| self.get(row, name).map(str::to_owned);
        let both = |left: &str, right: &str, sign: i128| {
            let (left, right) = (self.number(row, left)?, self.number(row, right)?);
            left.checked_add(sign * right).map(decimal::text)
        };
        match kind {
            "SavingsPlanCoveredUsage" => of("savingsplansavingsplaneffectivecost"),
            "SavingsPlanRecurringFee" => both("savingsplantotalcommitmenttodate", "savingsplanusedcommitment", -1),
            "SavingsPlanNegation" | "SavingsPlanUpfrontFee" => Some("0".to_owned()),
            "DiscountedUsage" => of("reservationeffectivecost"),
            "RIFee" => both("reservationunusedamortizedupfrontfeeforbillingperiod", "reservationunusedrecurringfee", 1),
            "Fee" if reservation.is_some() => Some("0".to_owned()),
            _ => of("lineitemunblendedcost"),
        }
    }

    fn list_cost(&self, row: &dyn RowCells) -> Option<String> {
        match self.number(row, "pricingpublicondemandrate") {
            Some(rate) => {
                let amount = self.number(row, "lineitemusageamount")?;
                decimal::product(rate, amount).map(decimal::text)
            }
            None => self.first(row, &["pricingpublicondemandcost"]),
        }
    }

    fn tags(&self, row: &dyn RowCells) -> Option<String> {
        // CUR 2.0 has them as one document.
        if let Some(document) = self.get(row, "resourcetags") {
            return Some(document.to_owned());
        }
        let cells = self.tags.iter().filter_map(|(name, at)| Some((name.clone(), Value::from(row.text(*at)?))));
        let map: Map<String, Value> = cells.collect();
        (!map.is_empty()).then(|| Value::Object(map).to_string())
    }
}

impl Mapping for Mapper {
    fn map(&self, row: &dyn RowCells) -> Vec<Option<String>> {
        let get = |name: &str| self.get(row, name).map(str::to_owned);
        let kind = self.get(row, "lineitemlineitemtype").unwrap_or_default();
        let plan = self.get(row, "savingsplansavingsplanarn");
        let reservation = self.get(row, "reservationreservationarn");
        let resource = self.get(row, "lineitemresourceid");
        let parts: Vec<&str> = resource.unwrap_or_default().split(':').collect();
        let product = self.get(row, "lineitemproductcode");
        let commitment = match (plan, reservation) {
            (Some(_), _) => Some(("Spend", "Savings Plan")),
            (None, Some(_)) => Some(("Usage", "Reserved Instances (RI)")),
            (None, None) => None,
        };
        vec![
            get("lineitemavailabilityzone"),
            self.first(row, &["lineitemnetunblendedcost", "lineitemunblendedcost"]),
            get("billpayeraccountid"),
            get("lineitemcurrencycode"),
            get("billbillingperiodenddate"),
            get("billbillingperiodstartdate"),
            charge_category(kind).map(str::to_owned),
            None,
            get("lineitemlineitemdescription"),
            frequency(self.get(row, "billbilltype").unwrap_or_default()).map(str::to_owned),
            get("lineitemusageenddate"),
            get("lineitemusagestartdate"),
            commitment.map(|(category, _)| category.to_owned()),
            plan.or(reservation).map(str::to_owned),
            commitment.and_then(|_| commitment_status(kind)).map(str::to_owned),
            commitment.map(|(_, kind)| kind.to_owned()),
            get("lineitemusageamount"),
            get("pricingunit"),
            self.effective_cost(row, kind, reservation),
            get("billinvoiceid"),
            get("billinvoicingentity"),
            self.list_cost(row),
            get("pricingpublicondemandrate"),
            pricing_category(self.get(row, "productpurchaseoption"), self.is_flat).map(str::to_owned),
            self.first(row, &["reservationtotalreservedunits", "lineitemusageamount"]),
            get("pricingunit"),
            Some("AWS".to_owned()),
            get("lineitemlegalentity"),
            self.first(row, &["productregion", "productregioncode"]),
            resource.map(str::to_owned),
            parts.get(6).map(|name| title(name)),
            parts.get(6).and_then(|_| parts.get(5)).map(|kind| (*kind).to_owned()),
            Some(service_category(product.unwrap_or_default()).to_owned()),
            product.map(str::to_owned),
            Some("AWS".to_owned()),
            get("productsku"),
            self.first(row, &["pricingratecode", "pricingrateid"]),
            get("lineitemusageaccountid"),
            self.tags(row),
        ]
    }
}

fn charge_category(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Tax" => "Tax",
        "Fee" | "SavingsPlanUpfrontFee" | "RIFee" | "SavingsPlanRecurringFee" => "Purchase",
        "Usage"
        | "SavingsPlanCoveredUsage"
        | "SavingsPlanNegation"
        | "DiscountedUsage"
        | "BundledDiscount"
        | "Discount"
        | "PrivateRateDiscount"
        | "EdpDiscount" => "Usage",
        "Credit" | "Refund" => "Adjustment",
        _ => return None,
    })
}

/// Covered usage used its commitment; the fee of a reservation carries what went unused.
fn commitment_status(kind: &str) -> Option<&'static str> {
    match kind {
        "SavingsPlanCoveredUsage" | "DiscountedUsage" => Some("Used"),
        _ => None,
    }
}

fn frequency(bill: &str) -> Option<&'static str> {
    match bill {
        "Refund" | "Purchase" => Some("One-Time"),
        "Anniversary" => Some("Recurring"),
        _ => None,
    }
}

fn pricing_category(option: Option<&str>, is_flat: bool) -> Option<&'static str> {
    match option {
        Some("On-Demand" | "Dedicated Hosts") => Some("Standard"),
        Some("Reserved Instances") => Some("Committed"),
        Some("Spot Instances") => Some("Dynamic"),
        _ => is_flat.then_some("Other"),
    }
}

/// The first letter of each word is large, the others are small.
fn title(text: &str) -> String {
    let mut is_start = true;
    let cased = text.chars().map(|c| {
        let (starts, alphanumeric) = (is_start, c.is_alphanumeric());
        is_start = !alphanumeric;
        if starts { c.to_uppercase().collect::<String>() } else { c.to_lowercase().collect() }
    });
    cased.collect()
}

/// Words in product codes and the category of what has them; the first that fits.
const CATEGORIES: &[(&str, &str)] = &[
    ("datatransfer", "Networking"),
    ("route53", "Networking"),
    ("cloudfront", "Networking"),
    ("vpc", "Networking"),
    ("elb", "Networking"),
    ("directconnect", "Networking"),
    ("transitgateway", "Networking"),
    ("apigateway", "Integration"),
    ("queueservice", "Integration"),
    ("sns", "Integration"),
    ("ses", "Integration"),
    ("states", "Integration"),
    ("events", "Integration"),
    ("amazonmq", "Integration"),
    ("sagemaker", "AI and Machine Learning"),
    ("bedrock", "AI and Machine Learning"),
    ("rekognition", "AI and Machine Learning"),
    ("comprehend", "AI and Machine Learning"),
    ("rds", "Databases"),
    ("dynamodb", "Databases"),
    ("elasticache", "Databases"),
    ("docdb", "Databases"),
    ("neptune", "Databases"),
    ("redshift", "Analytics"),
    ("glue", "Analytics"),
    ("athena", "Analytics"),
    ("kinesis", "Analytics"),
    ("quicksight", "Analytics"),
    ("elasticmapreduce", "Analytics"),
    ("msk", "Analytics"),
    ("s3", "Storage"),
    ("glacier", "Storage"),
    ("efs", "Storage"),
    ("fsx", "Storage"),
    ("backup", "Storage"),
    ("storagegateway", "Storage"),
    ("ec2", "Compute"),
    ("lambda", "Compute"),
    ("ecs", "Compute"),
    ("eks", "Compute"),
    ("ecr", "Compute"),
    ("lightsail", "Compute"),
    ("batch", "Compute"),
    ("kms", "Security"),
    ("secretsmanager", "Security"),
    ("guardduty", "Security"),
    ("waf", "Security"),
    ("inspector", "Security"),
    ("securityhub", "Security"),
    ("macie", "Security"),
    ("cloudhsm", "Security"),
    ("cloudwatch", "Management and Governance"),
    ("cloudtrail", "Management and Governance"),
    ("config", "Management and Governance"),
    ("systemsmanager", "Management and Governance"),
    ("servicecatalog", "Management and Governance"),
    ("cloudformation", "Management and Governance"),
    ("codebuild", "Developer Tools"),
    ("codepipeline", "Developer Tools"),
    ("codeartifact", "Developer Tools"),
    ("xray", "Developer Tools"),
    ("migration", "Migration"),
    ("iot", "Internet of Things"),
    ("workspaces", "Compute"),
    ("connect", "Business Applications"),
];

fn service_category(product: &str) -> &'static str {
    let product = product.to_ascii_lowercase();
    CATEGORIES.iter().find(|(word, _)| product.contains(word)).map_or("Other", |(_, category)| category)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use csv::StringRecord;

    use super::*;

    fn map(header: &str, row: &str) -> HashMap<&'static str, Option<String>> {
        let header = Header::new(header.split(',')).unwrap();
        assert!(is_native(&header));
        let row = StringRecord::from(row.split(',').collect::<Vec<_>>());
        MAPPED.into_iter().zip(Mapper::new(&header).map(&row)).collect()
    }

    fn check(kind: &str, cells: &[(&str, &str)], expected: &[(&str, Option<&str>)]) {
        for flat in [false, true] {
            let spelled = |name: &str| match flat {
                false => name.to_owned(),
                true => {
                    let mut text = String::new();
                    for c in name.chars() {
                        match c {
                            '/' => text.push('_'),
                            c if c.is_ascii_uppercase() && !text.ends_with('_') => {
                                text.push('_');
                                text.push(c.to_ascii_lowercase());
                            }
                            c => text.push(c.to_ascii_lowercase()),
                        }
                    }
                    text
                }
            };
            let mut names = vec![spelled("lineItem/LineItemType"), spelled("lineItem/UnblendedCost")];
            let mut row = vec![kind, "10"];
            for (name, cell) in cells {
                names.push(spelled(name));
                row.push(cell);
            }
            let made = map(&names.join(","), &row.join(","));
            for (column, value) in expected {
                assert_eq!(made[column].as_deref(), *value, "{kind} {column} {flat}");
            }
        }
    }

    #[test]
    fn each_kind_of_line_costs_what_the_rules_say() {
        check(
            "Usage",
            &[],
            &[("EffectiveCost", Some("10")), ("BilledCost", Some("10")), ("ChargeCategory", Some("Usage"))],
        );
        check(
            "Usage",
            &[("lineItem/NetUnblendedCost", "8")],
            &[("BilledCost", Some("8")), ("EffectiveCost", Some("10"))],
        );
        let plan = [("savingsPlan/SavingsPlanARN", "arn:sp"), ("savingsPlan/SavingsPlanEffectiveCost", "7.5")];
        check(
            "SavingsPlanCoveredUsage",
            &plan,
            &[
                ("EffectiveCost", Some("7.5")),
                ("CommitmentDiscountCategory", Some("Spend")),
                ("CommitmentDiscountId", Some("arn:sp")),
                ("CommitmentDiscountType", Some("Savings Plan")),
                ("CommitmentDiscountStatus", Some("Used")),
            ],
        );
        check("SavingsPlanNegation", &plan, &[("EffectiveCost", Some("0")), ("ChargeCategory", Some("Usage"))]);
        check("SavingsPlanUpfrontFee", &[], &[("EffectiveCost", Some("0")), ("ChargeCategory", Some("Purchase"))]);
        check(
            "SavingsPlanRecurringFee",
            &[("savingsPlan/TotalCommitmentToDate", "5.5"), ("savingsPlan/UsedCommitment", "5.25")],
            &[("EffectiveCost", Some("0.25"))],
        );
        check(
            "RIFee",
            &[
                ("reservation/ReservationARN", "arn:ri"),
                ("reservation/UnusedAmortizedUpfrontFeeForBillingPeriod", "1E-7"),
                ("reservation/UnusedRecurringFee", "2"),
                ("reservation/TotalReservedUnits", "744"),
                ("lineItem/UsageAmount", "1"),
            ],
            &[
                ("EffectiveCost", Some("2.0000001")),
                ("PricingQuantity", Some("744")),
                ("CommitmentDiscountCategory", Some("Usage")),
                ("CommitmentDiscountType", Some("Reserved Instances (RI)")),
            ],
        );
        check("DiscountedUsage", &[("reservation/EffectiveCost", "3")], &[("EffectiveCost", Some("3"))]);
        check("Fee", &[("reservation/ReservationARN", "arn:ri")], &[("EffectiveCost", Some("0"))]);
        check("Fee", &[], &[("EffectiveCost", Some("10")), ("ChargeCategory", Some("Purchase"))]);
        check("Credit", &[], &[("ChargeCategory", Some("Adjustment"))]);
        check("Tax", &[], &[("ChargeCategory", Some("Tax"))]);
        check("SomethingNew", &[], &[("ChargeCategory", None)]);
    }

    #[test]
    fn prices_regions_and_resources_follow_the_rules() {
        check(
            "Usage",
            &[
                ("pricing/publicOnDemandRate", "4.0E-7"),
                ("lineItem/UsageAmount", "3"),
                ("pricing/publicOnDemandCost", "9"),
            ],
            &[("ListCost", Some("0.0000012")), ("ListUnitPrice", Some("4.0E-7"))],
        );
        check("Usage", &[("pricing/publicOnDemandCost", "9")], &[("ListCost", Some("9"))]);
        check(
            "Usage",
            &[("lineItem/ResourceId", "arn:aws:logs:eu-west-1:1234:log-group:/aws/LAMBDA/my-fn")],
            &[("ResourceType", Some("log-group")), ("ResourceName", Some("/Aws/Lambda/My-Fn"))],
        );
        check("Usage", &[("lineItem/ResourceId", "i-0abc")], &[("ResourceType", None), ("ResourceName", None)]);
        check("Usage", &[("product/PurchaseOption", "Spot Instances")], &[("PricingCategory", Some("Dynamic"))]);
        check("Usage", &[("bill/BillType", "Anniversary")], &[("ChargeFrequency", Some("Recurring"))]);
        check("Usage", &[("pricing/RateId", "12")], &[("SkuPriceId", Some("12"))]);
        let tags = map(
            "lineItem/LineItemType,lineItem/UnblendedCost,resourceTags/user:team,lineItem/ProductCode",
            "Usage,1,shop,AmazonEC2",
        );
        assert_eq!(tags["Tags"].as_deref(), Some("{\"user:team\":\"shop\"}"));
        assert_eq!(tags["ServiceCategory"].as_deref(), Some("Compute"));
        assert_eq!(tags["PricingCategory"], None);
    }
}
