//! Price lists: LiteLLM's and Langfuse's models, OpenCost's price sheets; and rates of exchange. A list is read whole or not
//! at all, and changes only what differs from what is known: the old price ends, the new one begins.

mod apply;
mod entries;
mod fx;
mod langfuse;
mod litellm;
mod opencost;
mod view;

use std::path::Path;

use async_trait::async_trait;
use engine::{Error, Result, Scope, Store, Table, View};
use ledger::exchange::FxRate;
use ledger::price::{ModelPrice, ResourcePrice};

use crate::{FileOptions, Progress, Source, Summary};

/// The word on the command line.
pub const KIND: &str = "price";
/// Views over prices and what was used.
pub const VIEWS: &[&View] = &[&view::LLM_CALL_COST, &view::UNPRICED_USAGE];
/// Bytes of a price list; the largest known one has 3 MB.
const LIST_BYTES_MAX: u64 = 256 << 20;
/// Names of the formats.
pub const FORMATS: [&str; 4] = ["litellm", "langfuse", "opencost", "fx"];

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Litellm,
    Langfuse,
    Opencost,
    OpencostSheet,
    Fx,
}

/// A list as read: prices without their validity.
#[derive(Debug, Default)]
struct PriceList {
    models: Vec<ModelPrice>,
    resources: Vec<ResourcePrice>,
    rates: Vec<FxRate>,
    /// What a person should know.
    notes: Vec<String>,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Format::Litellm => FORMATS[0],
            Format::Langfuse => FORMATS[1],
            Format::Opencost | Format::OpencostSheet => FORMATS[2],
            Format::Fx => FORMATS[3],
        }
    }

    /// Name of the list where nobody gives one.
    fn list(self) -> &'static str {
        if self == Format::Fx { fx::ECB } else { self.name() }
    }

    /// What the content shows; a format that the caller names must be it.
    fn of(text: &str, named: Option<&str>) -> Result<Format> {
        let start = text.trim_start_matches('\u{feff}').trim_start();
        let found = match start.as_bytes().first() {
            Some(b'[') => Format::Langfuse,
            Some(b'{') if opencost::is_config(start) => Format::Opencost,
            Some(b'{') => Format::Litellm,
            _ if opencost::is_sheet(start) => Format::OpencostSheet,
            _ if fx::is_rates(start) => Format::Fx,
            _ => {
                let text = "this is no price list: neither LiteLLM's map, nor Langfuse's list, nor OpenCost's prices, nor rates of exchange";
                return Err(Error::invalid(text));
            }
        };
        match named {
            Some(named) if named != found.name() => {
                Err(Error::invalid(format!("this is a price list of {}, not of {named}", found.name())))
            }
            _ => Ok(found),
        }
    }
}

fn read(text: &str, format: Format, list: &str) -> Result<PriceList> {
    let text = text.trim_start_matches('\u{feff}');
    match format {
        Format::Litellm => litellm::read(text, list),
        Format::Langfuse => langfuse::read(text, list),
        Format::Opencost => opencost::read_config(text, list),
        Format::OpencostSheet => opencost::read_sheet(text, list),
        Format::Fx => fx::read(text, list),
    }
}

/// The resource prices of a file of OpenCost's, without a store.
pub fn resource_prices(path: &Path) -> Result<Vec<ResourcePrice>> {
    let read_text = std::fs::read_to_string(path);
    let text = read_text.map_err(|e| Error::invalid(format!("read {}: {e}", path.display())))?;
    let format =
        Format::of(&text, Some(Format::Opencost.name())).map_err(|e| e.context(&path.display().to_string()))?;
    Ok(read(&text, format, format.name()).map_err(|e| e.context(&path.display().to_string()))?.resources)
}

/// Reads price lists.
#[derive(Debug, Clone, Copy, Default)]
pub struct Price;

#[async_trait]
impl Source for Price {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn doc(&self) -> &'static str {
        "price lists: LiteLLM's model_prices map, Langfuse's default-model-prices, OpenCost's default prices (JSON) and price sheets (CSV), rates of exchange (CSV: date, from, to, rate; or the ECB's)"
    }

    fn tables(&self) -> Vec<&'static Table> {
        vec![&ledger::MODEL_PRICE, &ledger::RESOURCE_PRICE, &ledger::FX_RATE]
    }

    async fn ingest_path(
        &self,
        store: &Store,
        scope: &Scope,
        path: &Path,
        options: &FileOptions,
        progress: &dyn Progress,
    ) -> Result<Summary> {
        let named = crate::files::tenant(scope, options)?;
        let failed = |e: std::io::Error| Error::invalid(format!("read {}: {e}", path.display()));
        let file = std::fs::File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        progress.begin(path, size);
        let bytes = crate::files::unpack(file, LIST_BYTES_MAX)?;
        let place = path.display().to_string();
        let text = String::from_utf8(bytes).map_err(|_| Error::invalid(format!("{place} is not UTF-8")))?;
        let format = Format::of(&text, options.format.as_deref()).map_err(|e| e.context(&place))?;
        let name = options.price_list.clone().unwrap_or_else(|| format.list().to_owned());
        let list = read(&text, format, &name).map_err(|e| e.context(&place))?;
        progress.advance(size);
        let source = path.file_name().map_or_else(|| KIND.to_owned(), |name| name.to_string_lossy().into_owned());
        let applying = apply::Applying {
            store,
            tenant: scope.owner(named.as_deref()),
            name: &name,
            source,
            valid_from: options.valid_from,
        };
        applying.apply(list).await.map_err(|e| e.context(&place))
    }
}

#[cfg(test)]
mod tests;
