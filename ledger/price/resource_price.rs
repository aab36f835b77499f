//! `resource_price`: what Kubernetes resources cost, and since when.

use engine::arrow::array::RecordBatch;
use engine::{Column, Result, Rows, Table, Type, Value};

use super::answer::Cells;
use super::history::{Dated, Validity};

/// Prices of Kubernetes resources.
pub static RESOURCE_PRICE: Table = Table {
    key: &["price_list", "resource", "region", "instance_type", "selector", "valid_from"],
    time: "valid_from",
    ..Table::new(
        "resource_price",
        "What a Kubernetes resource costs by the hour or the GiB, and since when. A price that changed has several rows, one for each validity; the current one has no end.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the price.").required(),
            Column::new("price_list", Type::Name, "The list that it comes from: `opencost`, or the name given at the import.").required(),
            Column::new("provider", Type::Name, "Cloud that the list is for."),
            Column::new("resource", Type::Name, "What is priced: `cpu`, `spot_cpu`, `ram`, `spot_ram`, `gpu`, `storage`, `network_zone`, `network_region`, `network_internet`, `load_balancer`; or as a whole: `node`, `pv`.").required(),
            Column::new("region", Type::Name, "Region that it is for; empty is any.").required(),
            Column::new("instance_type", Type::Name, "Machine type that it is for; empty is any.").required(),
            Column::new("selector", Type::Text, "Which node, volume or GPU it is for, as `field=value`: `metadata.labels.pool=gold`; empty is any.").required(),
            Column::new("unit", Type::Name, "What the price is for one of: `core-hour`, `GiB-hour`, `gpu-hour`, `GiB`, `hour`.").required(),
            Column::new("unit_price", Type::Decimal, "The price of one unit.").required(),
            Column::new("currency", Type::Name, "ISO 4217 code of the price's currency.").required(),
            Column::new("valid_from", Type::Time, "The price is good from here on.").required(),
            Column::new("valid_to", Type::Time, "And no longer from here on; null while it is good."),
            Column::new("x_key", Type::Text, "The list's own name for this price."),
            Column::new("x_raw", Type::Text, "The price as the list writes it, where it has more than 18 decimals."),
        ],
    )
};

/// One row of [`RESOURCE_PRICE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePrice {
    /// The list.
    pub price_list: String,
    /// The cloud.
    pub provider: String,
    /// What is priced.
    pub resource: String,
    /// Where; empty for anywhere.
    pub region: String,
    /// On which machines; empty for any.
    pub instance_type: String,
    /// Which one, as `field=value`; empty for any.
    pub selector: String,
    /// What the price is for one of.
    pub unit: String,
    /// In units of 10⁻¹⁸.
    pub unit_price: i128,
    /// ISO 4217.
    pub currency: String,
    /// When it is good.
    pub validity: Validity,
    /// The list's own name for it.
    pub key: Option<String>,
    /// The price as written, where the decimal is not exact.
    pub raw: Option<String>,
}

impl ResourcePrice {
    /// Reads the rows of a question for every column of the table.
    pub fn read(batch: &RecordBatch) -> Result<Vec<ResourcePrice>> {
        let cells = Cells::read(&RESOURCE_PRICE, batch)?;
        let price = |at: usize| ResourcePrice {
            price_list: cells.text("price_list", at),
            provider: cells.text("provider", at),
            resource: cells.text("resource", at),
            region: cells.text("region", at),
            instance_type: cells.text("instance_type", at),
            selector: cells.text("selector", at),
            unit: cells.text("unit", at),
            unit_price: cells.decimal("unit_price", at).unwrap_or_default(),
            currency: cells.text("currency", at),
            validity: cells.validity(at),
            key: cells.maybe_text("x_key", at),
            raw: cells.maybe_text("x_raw", at),
        };
        Ok((0..cells.rows()).map(price).collect())
    }

    /// Writes the row.
    pub fn write(&self, tenant: &str, rows: &mut Rows) -> Result<()> {
        rows.set("tenant", tenant)
            .set("price_list", self.price_list.as_str())
            .set("provider", Some(self.provider.as_str()).filter(|provider| !provider.is_empty()))
            .set("resource", self.resource.as_str())
            .set("region", self.region.as_str())
            .set("instance_type", self.instance_type.as_str())
            .set("selector", self.selector.as_str())
            .set("unit", self.unit.as_str())
            .set("unit_price", Value::Decimal(self.unit_price))
            .set("currency", self.currency.as_str())
            .set("valid_from", Value::Time(self.validity.from))
            .set("valid_to", self.validity.to.map_or(Value::Null, Value::Time))
            .set("x_key", self.key.as_deref())
            .set("x_raw", self.raw.as_deref());
        rows.end_row()
    }
}

impl Dated for ResourcePrice {
    fn identity(&self) -> String {
        [&self.resource, &self.region, &self.instance_type, &self.selector].map(String::as_str).join(" | ")
    }

    fn group(&self) -> String {
        self.identity()
    }

    fn agrees(&self, other: &Self) -> bool {
        let same = ResourcePrice { validity: other.validity, ..self.clone() };
        same == *other
    }

    fn validity(&mut self) -> &mut Validity {
        &mut self.validity
    }

    fn price(&self) -> (i128, &str) {
        (self.unit_price, &self.currency)
    }
}
