//! A data directory as an older program left it: the same tables without their last column.

use std::path::Path;
use std::sync::Arc;

use engine::{Catalogue, NoRedaction, Ports, Settings, Store, Table, WallClock};

/// Makes the tables of some sources in `data`, each without its last column.
pub fn tables(data: &Path) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let tables = ingest::otel::tables().into_iter().map(older).collect();
    let catalogue = Catalogue { tables, ..Catalogue::default() };
    let ports = Ports { clock: Arc::new(WallClock), redactor: Arc::new(NoRedaction) };
    runtime.block_on(async {
        let store = Store::open(Settings::new(data), catalogue, ports).await.expect("an older store opens");
        store.close().await.expect("and closes");
    });
}

/// Tests may leak: a declaration lives as long as its program.
fn older(table: &'static Table) -> &'static Table {
    let kept = &table.columns[..table.columns.len() - 1];
    let needed = |name: &str| kept.iter().any(|column| column.name == name);
    let whole = table.key.iter().chain(&table.set).all(|name| needed(name)) && needed(table.tenant);
    if !whole {
        return table;
    }
    Box::leak(Box::new(Table {
        columns: kept,
        key: table.key,
        set: table.set,
        time: table.time,
        tenant: table.tenant,
        source: table.source,
        ingested_at: table.ingested_at,
        indexes: &[],
        retention_days: table.retention_days,
        ..Table::new(table.name, table.doc, kept)
    }))
}
