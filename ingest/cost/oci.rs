//! Oracle Cloud's cost report as FOCUS rows, by the rules of the FinOps Foundation's converters: what is billed is the
//! overage, which is empty where a commitment pays; what it costs is `cost/myCost`. Every original column stays in `x_extra`.

use serde_json::{Map, Value};

use super::instant;
use super::layout::Header;
use super::mapping::Mapping;
use super::records::RowCells;

/// The FOCUS columns that a row gives, in the order of [`Mapper::map`].
pub const MAPPED: [&str; 25] = [
    "AvailabilityZone",
    "BilledCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "PricingUnit",
    "ProviderName",
    "RegionId",
    "ResourceId",
    "ServiceName",
    "ServiceProviderName",
    "SkuId",
    "SubAccountId",
    "Tags",
];

/// Whether a header is a cost report's.
pub fn is_native(header: &Header) -> bool {
    ["cost/mycost", "lineitem/intervalusagestart"].iter().all(|name| header.position(name).is_some())
}

/// Finds the cells of a header once, and maps row after row.
pub struct Mapper {
    header: Header,
    tags: Vec<(String, usize)>,
}

impl Mapper {
    /// The mapper of a file.
    pub fn new(header: &Header) -> Mapper {
        let tags = header.names.iter().enumerate().filter_map(|(at, name)| {
            let tag = name.strip_prefix("tags/")?;
            Some((tag.to_owned(), at))
        });
        Mapper { tags: tags.collect(), header: header.clone() }
    }
}

impl Mapping for Mapper {
    fn map(&self, row: &dyn RowCells) -> Vec<Option<String>> {
        let get = |name: &str| self.header.position(name).and_then(|at| row.text(at)).map(str::to_owned);
        let start = get("lineitem/intervalusagestart");
        let (period_start, period_end) = start.as_deref().map(month).unzip();
        let tags = self.tags.iter().filter_map(|(name, at)| Some((name.clone(), Value::from(row.text(*at)?))));
        let tags: Map<String, Value> = tags.collect();
        let is_correction = get("lineitem/iscorrection").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        vec![
            get("product/availabilitydomain"),
            get("cost/mycostoverage"),
            get("cost/subscriptionid"),
            get("cost/currencycode"),
            period_end,
            period_start,
            Some("Usage".to_owned()),
            is_correction.then(|| "Correction".to_owned()),
            get("product/description"),
            get("lineitem/intervalusageend"),
            start,
            get("usage/billedquantity"),
            get("cost/skuunitdescription"),
            get("cost/unitprice"),
            get("cost/mycost"),
            Some("Oracle".to_owned()),
            get("cost/skuunitdescription"),
            Some("Oracle".to_owned()),
            get("product/region"),
            get("product/resourceid"),
            get("product/service"),
            Some("Oracle".to_owned()),
            get("cost/productsku"),
            get("lineitem/tenantid"),
            (!tags.is_empty()).then(|| Value::Object(tags).to_string()),
        ]
    }
}

/// The month that an hour is of, its end excluded. What is no time stays as it is and is refused where the row is built.
fn month(text: &str) -> (String, String) {
    let Ok(at) = instant::parse(text) else { return (text.to_owned(), text.to_owned()) };
    let start = instant::month_start(at.micros);
    let iso = |micros: i64| {
        let (year, month, day) = instant::date(micros);
        format!("{year:04}-{month:02}-{day:02}")
    };
    // The first day after the month's 28th that is another month's.
    (iso(start), iso(instant::month_start(start + 32 * 86_400_000_000)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use csv::StringRecord;

    use super::*;

    #[test]
    fn an_hour_becomes_a_charge_of_its_month() {
        let header = "lineItem/intervalUsageStart,lineItem/intervalUsageEnd,cost/myCost,cost/myCostOverage,tags/a.b,lineItem/isCorrection";
        let header = Header::new(header.split(',')).unwrap();
        assert!(is_native(&header));
        let row =
            StringRecord::from(vec!["2023-11-30T23:00Z", "2023-12-01T00:00:00Z", "4.81298076439E-7", "", "x", "true"]);
        let made: std::collections::HashMap<_, _> = MAPPED.into_iter().zip(Mapper::new(&header).map(&row)).collect();
        let got = |name: &str| made[name].as_deref();
        assert_eq!((got("BillingPeriodStart"), got("BillingPeriodEnd")), (Some("2023-11-01"), Some("2023-12-01")));
        assert_eq!((got("EffectiveCost"), got("BilledCost")), (Some("4.81298076439E-7"), None));
        assert_eq!((got("Tags"), got("ChargeClass")), (Some("{\"a.b\":\"x\"}"), Some("Correction")));
    }
}
