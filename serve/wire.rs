//! Builds the components from the registers of every floor. Decides nothing itself.

use std::path::Path;
use std::sync::Arc;

use engine::{Catalogue, Clock, Ports, Result, Settings, StateTable, Store, Table, View, WallClock};
use ingest::redact::Redaction;
use ingest::redact::policy::Policy;
use ledger::directory::{Directory, OsDice};
use ledger::price::Prices;

use crate::house::House;
use crate::reference::{FunctionEntry, Reference};

/// Every table, view and function of every floor; the functions over a price book of their own.
pub fn catalogue() -> Catalogue {
    catalogue_over(&Arc::new(Prices::new(Arc::new(WallClock))))
}

/// Every table, view and function of every floor.
fn catalogue_over(prices: &Arc<Prices>) -> Catalogue {
    let functions = ledger::price::functions(prices);
    Catalogue { tables: tables(), views: views(), state_tables: state_tables(), functions }
}

/// Every table of every floor.
fn tables() -> Vec<&'static Table> {
    let mut tables =
        vec![&engine::reject::REJECT, &engine::query_log::QUERY_LOG, &engine::redaction_finding::REDACTION_FINDING];
    tables.extend(ledger::TABLES);
    for table in ingest::sources::tables() {
        // A source also names the tables of lower floors that it writes.
        if !tables.iter().any(|known| known.name == table.name) {
            tables.push(table);
        }
    }
    tables
}

/// Every view of every floor.
fn views() -> Vec<&'static View> {
    [ledger::VIEWS, &ingest::sources::views()].concat()
}

/// Every state table of every floor.
fn state_tables() -> Vec<&'static StateTable> {
    let mut tables = vec![&engine::state::LEASE];
    tables.extend(ledger::directory::STATE_TABLES);
    tables
}

/// The SQL reference of everything above.
pub fn reference() -> Reference {
    let catalogue = catalogue();
    let functions = engine::sql::functions::docs().into_iter().chain(catalogue.functions.iter().map(|f| f.doc));
    let functions = functions.map(|f| FunctionEntry {
        name: f.name.to_owned(),
        signature: f.signature.to_owned(),
        doc: f.sentence.to_owned(),
        example: f.example.to_owned(),
    });
    Reference::of(&catalogue.tables, &catalogue.views, &catalogue.state_tables, functions.collect())
}

/// The redactor, with the rules of a file if there is one.
pub fn redaction(rules: Option<&Path>) -> Result<Redaction> {
    Ok(Redaction::new(rules.map(Policy::read).transpose()?.unwrap_or_default()))
}

/// Opens the store and what stands on it. One process at a time: fails with `Conflict` and the owner's process id.
pub async fn open(settings: Settings) -> Result<Arc<House>> {
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let redaction = redaction(settings.redaction.as_deref())?;
    let ports = Ports { clock: Arc::clone(&clock), redactor: Arc::new(redaction) };
    let prices = Arc::new(Prices::new(Arc::clone(&clock)));
    let store = Store::open(settings, catalogue_over(&prices), ports).await?;
    prices.load(&store).await?;
    let directory = Directory::new(Arc::clone(store.state()), clock, Arc::new(OsDice));
    Ok(Arc::new(House::new(store, directory, prices, reference())))
}
