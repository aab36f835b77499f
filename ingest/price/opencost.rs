//! OpenCost's prices: the JSON of default prices by the hour, and the CSV sheet of prices for single nodes, volumes and
//! GPUs, chosen by a field of the object.

use engine::{Error, Result};
use ledger::price::{ResourcePrice, Validity};
use serde::Deserialize;

use super::PriceList;
use super::entries::{Entries, Read, number, price};

const CURRENCY: &str = "USD";
/// Names of the JSON, what they price, and by what unit.
const CONFIG: &[(&str, &str, &str)] = &[
    ("CPU", "cpu", "core-hour"),
    ("spotCPU", "spot_cpu", "core-hour"),
    ("RAM", "ram", "GiB-hour"),
    ("spotRAM", "spot_ram", "GiB-hour"),
    ("GPU", "gpu", "gpu-hour"),
    ("spotGPU", "spot_gpu", "gpu-hour"),
    ("storage", "storage", "GiB-hour"),
    ("zoneNetworkEgress", "network_zone", "GiB"),
    ("regionNetworkEgress", "network_region", "GiB"),
    ("internetNetworkEgress", "network_internet", "GiB"),
    ("defaultLBPrice", "load_balancer", "hour"),
];
/// Columns that a sheet must have.
const SHEET: [&str; 4] = ["InstanceID", "AssetClass", "InstanceIDField", "MarketPriceHourly"];

/// Whether a JSON document has such prices.
pub fn is_config(text: &str) -> bool {
    let entries: std::result::Result<Entries<'_>, _> = serde_json::from_str(text);
    entries.is_ok_and(|entries| entries.get("CPU").is_some() && entries.get("RAM").is_some())
}

/// Whether the first line is a sheet's header.
pub fn is_sheet(text: &str) -> bool {
    let header: Vec<&str> = text.lines().next().unwrap_or_default().split(',').map(str::trim).collect();
    SHEET.iter().all(|name| header.contains(name))
}

fn row(list: &str, key: String, read: Read) -> ResourcePrice {
    ResourcePrice {
        price_list: list.to_owned(),
        provider: String::new(),
        resource: String::new(),
        region: String::new(),
        instance_type: String::new(),
        selector: String::new(),
        unit: String::new(),
        unit_price: read.units,
        currency: CURRENCY.to_owned(),
        validity: Validity { from: 0, to: None },
        key: Some(key),
        raw: read.raw,
    }
}

/// Reads the JSON of default prices.
pub fn read_config(text: &str, list: &str) -> Result<PriceList> {
    let entries = Entries::read(text, "OpenCost's default prices")?;
    let mut found = PriceList::default();
    let currency = entries.text("currencyCode").filter(|code| !code.is_empty());
    for (name, resource, unit) in CONFIG {
        let Some(value) = entries.get(name).filter(|value| value.get() != "\"\"") else { continue };
        let read = price(value, name)?.ok_or_else(|| Error::invalid(format!("{name}: {value} is no price")))?;
        found.resources.push(ResourcePrice {
            provider: entries.text("provider").unwrap_or_default(),
            resource: (*resource).to_owned(),
            unit: (*unit).to_owned(),
            currency: currency.clone().unwrap_or_else(|| CURRENCY.to_owned()),
            ..row(list, (*name).to_owned(), read)
        });
    }
    Ok(found)
}

#[derive(Deserialize)]
struct SheetRow {
    #[serde(rename = "InstanceID")]
    instance_id: String,
    #[serde(rename = "Region", default)]
    region: String,
    #[serde(rename = "AssetClass")]
    asset_class: String,
    #[serde(rename = "InstanceIDField")]
    field: String,
    #[serde(rename = "InstanceType", default)]
    instance_type: String,
    #[serde(rename = "MarketPriceHourly")]
    price: String,
}

/// Reads a sheet.
pub fn read_sheet(text: &str, list: &str) -> Result<PriceList> {
    let mut found = PriceList::default();
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    for (at, record) in reader.deserialize().enumerate() {
        let place = format!("row {}", at + 1);
        let record: SheetRow = record.map_err(|e| Error::invalid(format!("{place}: {e}")))?;
        let (resource, unit) = match record.asset_class.to_ascii_lowercase().as_str() {
            "node" => ("node", "hour"),
            "pv" => ("pv", "GiB-hour"),
            "gpu" => ("gpu", "gpu-hour"),
            other => return Err(Error::invalid(format!("{place}: {other:?} is no asset class; node, pv and gpu are"))),
        };
        let key = format!("{}={}", record.field, record.instance_id);
        found.resources.push(ResourcePrice {
            resource: resource.to_owned(),
            region: record.region,
            instance_type: record.instance_type,
            selector: key.clone(),
            unit: unit.to_owned(),
            ..row(list, key, number(&record.price, &place)?)
        });
    }
    match found.resources.is_empty() {
        true => Err(Error::invalid("the price sheet has no row")),
        false => Ok(found),
    }
}
