//! Builds the components from the registers of every floor. Decides nothing itself.

use std::path::Path;
use std::sync::Arc;

use engine::{
    Catalogue, Clock, Embedder, Error, Ports, Redactor, Result, Settings, StateTable, Store, Table, View, WallClock,
};
use index::answer::Retriever;
use index::search::room::SearchRoom;
use ingest::redact::Redaction;
use ingest::redact::policy::Policy;
use ledger::audit::{Audit, Book};
use ledger::budget::{Budgets, Options};
use ledger::directory::{Dice, Directory, OsDice};
use ledger::price::Prices;
use ledger::retention::Policy as Retained;

use crate::answers::{Answers, ChatOptions};
use crate::cli::embedder::{EmbedderArgs, cache};
use crate::house::House;
use crate::house::keep::Keep;
use crate::models::Named;
use crate::reference::{FunctionEntry, Reference};

/// Every table, view and function of every floor; the functions over a price book of their own.
pub fn catalogue() -> Catalogue {
    catalogue_over(&Arc::new(Prices::new(Arc::new(WallClock))), &SearchRoom::new())
}

/// Every table, view and function of every floor.
fn catalogue_over(prices: &Arc<Prices>, search: &Arc<SearchRoom>) -> Catalogue {
    let mut functions = ledger::price::functions(prices);
    functions.extend(index::search::functions::functions(search));
    let table_functions = index::search::functions::table_functions(search);
    Catalogue { tables: tables(), views: views(), state_tables: state_tables(), functions, table_functions }
}

/// Every table of every floor.
fn tables() -> Vec<&'static Table> {
    let mut tables =
        vec![&engine::reject::REJECT, &engine::query_log::QUERY_LOG, &engine::redaction_finding::REDACTION_FINDING];
    tables.extend(ledger::TABLES);
    tables.extend(index::TABLES);
    tables.extend(jobs::actions::TABLES);
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
    [ledger::VIEWS, ledger::directory::VIEWS, jobs::score::VIEWS, &ingest::sources::views()].concat()
}

/// Every state table of every floor.
fn state_tables() -> Vec<&'static StateTable> {
    let mut tables = vec![&engine::state::LEASE];
    tables.extend(ledger::state_tables());
    tables.extend(jobs::book::STATE_TABLES);
    tables.extend(jobs::score::STATE_TABLES);
    tables.extend(jobs::actions::notice::STATE_TABLES);
    tables
}

/// The SQL reference of everything above.
pub fn reference() -> Reference {
    let catalogue = catalogue();
    let brought = catalogue.functions.iter().map(|f| f.doc).chain(catalogue.table_functions.iter().map(|f| f.doc));
    let functions = engine::sql::functions::docs().into_iter().chain(brought);
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

/// Lets a house answer questions from what its search finds, with the model that the options name.
pub fn answers(house: &House, chat: &ChatOptions) -> Result<()> {
    let search: Arc<dyn Retriever> = house.search.clone();
    house.set_answers(Answers::new(search, chat, &cache()?, Arc::clone(&house.metrics))?);
    Ok(())
}

/// Opens the store and what stands on it. One process at a time: fails with `Conflict` and the owner's process id.
pub async fn open(settings: Settings) -> Result<Arc<House>> {
    open_with(settings, Arc::new(Named::new(EmbedderArgs::of_environment())), None).await
}

/// The same with what opens models, and the model that embeds.
pub async fn open_with(
    settings: Settings,
    models: Arc<Named>,
    embedder: Option<Arc<dyn Embedder>>,
) -> Result<Arc<House>> {
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let redaction = redaction(settings.redaction.as_deref())?;
    let redactor: Arc<dyn Redactor> = Arc::new(redaction);
    let ports = Ports { clock: Arc::clone(&clock), redactor: Arc::clone(&redactor) };
    let policy =
        settings.retention.as_deref().map(|path| Retained::read(path, &tables())).transpose()?.unwrap_or_default();
    let prices = Arc::new(Prices::new(Arc::clone(&clock)));
    let search = SearchRoom::new();
    let store = Store::open(settings, catalogue_over(&prices, &search), ports).await?;
    prices.load(&store).await?;
    search.furnish(Arc::clone(&store), models);
    let state = Arc::clone(store.state());
    let audit = Arc::new(Audit::start(Arc::clone(&state), Arc::clone(&clock), Arc::new(OsDice), redactor).await?);
    store.set_witness(Arc::new(Book::new(Arc::clone(&audit))));
    let keep = Keep::new(&store, &audit, &search, policy);
    let options = Options { trail: Some(audit.clone()), ..node(store.settings())? };
    let budgets = Budgets::open(Arc::clone(&state), Arc::clone(&clock), options).await?;
    budgets.run_commits();
    let directory = Directory::new(state, clock, Arc::new(OsDice)).with_audit(Arc::clone(&audit));
    Ok(Arc::new(
        House::new(store, directory, audit, prices, search, budgets, reference())
            .with_embedder(embedder)
            .with_keep(keep),
    ))
}

/// Name of the file that names the data directory among the nodes of a state database.
const HOME_FILE: &str = "node.id";

/// Who this process is among the nodes that share budgets: a name of its data directory, and one of this start.
fn node(settings: &Settings) -> Result<Options> {
    let drawn = || {
        let mut bytes = [0; 12];
        OsDice.fill(&mut bytes).map(|()| hex::encode(bytes))
    };
    let path = settings.data.join(HOME_FILE);
    let home = match std::fs::read_to_string(&path) {
        Ok(home) if !home.trim().is_empty() => home.trim().to_owned(),
        _ => {
            let home = drawn()?;
            std::fs::write(&path, &home).map_err(|e| Error::unavailable(&format!("write {}", path.display()), e))?;
            home
        }
    };
    Ok(Options::new(&drawn()?, &home, settings.state.is_none()))
}
