//! `model_price`: what a model's tokens cost, and since when.

use engine::arrow::array::RecordBatch;
use engine::{Column, Result, Rows, Table, Type, Value};

use super::answer::Cells;
use super::history::{Dated, Validity};

/// Prices of models.
pub static MODEL_PRICE: Table = Table {
    key: &["price_list", "model", "provider", "dimension", "service_tier", "above_tokens", "valid_from"],
    time: "valid_from",
    ..Table::new(
        "model_price",
        "What a unit of a model's usage costs, and since when. A price that changed has several rows, one for each validity; the current one has no end.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the price; SQL's functions use those of `default`.").required(),
            Column::new("price_list", Type::Name, "The list that it comes from: `litellm`, `langfuse`, or the name given at the import. Lists with a name of their own are asked first.").required(),
            Column::new("model", Type::Text, "The model, as its list writes it.").required(),
            Column::new("provider", Type::Name, "Provider of the model; empty where the list means any.").required(),
            Column::new("mode", Type::Name, "What the model does: `chat`, `embedding`, `image_generation` …"),
            Column::new("match_pattern", Type::Text, "Regular expression for the names that this price is for, beside the model's own."),
            Column::new("dimension", Type::Name, "What is priced: `input`, `output`, `cache_read`, `cache_write_5m`, `cache_write_1h`, `reasoning`, `audio_input`, `audio_output`, `image_input` …; other prices stand under the list's own name.").required(),
            Column::new("service_tier", Type::Name, "`standard`, `batch`, `flex`, `priority` …").required(),
            Column::new("above_tokens", Type::Int, "The price is for requests with more input tokens than this; 0 is every request.").unit("tokens").required(),
            Column::new("unit", Type::Name, "What the price is for one of: `token`, `image`, `second`, `query` …").required(),
            Column::new("unit_price", Type::Decimal, "The price of one unit.").required(),
            Column::new("currency", Type::Name, "ISO 4217 code of the price's currency.").required(),
            Column::new("valid_from", Type::Time, "The price is good from here on.").required(),
            Column::new("valid_to", Type::Time, "And no longer from here on; null while it is good."),
            Column::new("x_key", Type::Text, "The list's own name for this price."),
            Column::new("x_raw", Type::Text, "The price as the list writes it, where it has more than 18 decimals."),
        ],
    )
};

/// One row of [`MODEL_PRICE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPrice {
    /// The list.
    pub price_list: String,
    /// The model.
    pub model: String,
    /// Its provider; empty for any.
    pub provider: String,
    /// What it does.
    pub mode: String,
    /// Names that it is for.
    pub match_pattern: Option<String>,
    /// What is priced.
    pub dimension: String,
    /// For which tier of service.
    pub service_tier: String,
    /// For requests with more input tokens than this.
    pub above_tokens: i64,
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

impl ModelPrice {
    /// Reads the rows of a question for every column of the table.
    pub fn read(batch: &RecordBatch) -> Result<Vec<ModelPrice>> {
        let cells = Cells::read(&MODEL_PRICE, batch)?;
        let price = |at: usize| ModelPrice {
            price_list: cells.text("price_list", at),
            model: cells.text("model", at),
            provider: cells.text("provider", at),
            mode: cells.text("mode", at),
            match_pattern: cells.maybe_text("match_pattern", at),
            dimension: cells.text("dimension", at),
            service_tier: cells.text("service_tier", at),
            above_tokens: cells.number("above_tokens", at).unwrap_or_default(),
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
            .set("model", self.model.as_str())
            .set("provider", self.provider.as_str())
            .set("mode", Some(self.mode.as_str()).filter(|mode| !mode.is_empty()))
            .set("match_pattern", self.match_pattern.as_deref())
            .set("dimension", self.dimension.as_str())
            .set("service_tier", self.service_tier.as_str())
            .set("above_tokens", self.above_tokens)
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

impl Dated for ModelPrice {
    fn identity(&self) -> String {
        let above = self.above_tokens.to_string();
        [&self.model, &self.provider, &self.dimension, &self.service_tier, &above].map(String::as_str).join(" | ")
    }

    fn group(&self) -> String {
        format!("{} | {}", self.model, self.provider)
    }

    fn agrees(&self, other: &Self) -> bool {
        let same = ModelPrice { validity: other.validity, ..self.clone() };
        same == *other
    }

    fn validity(&mut self) -> &mut Validity {
        &mut self.validity
    }

    fn price(&self) -> (i128, &str) {
        (self.unit_price, &self.currency)
    }
}
