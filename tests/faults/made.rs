//! Data directories that the engine itself makes before a server comes to them: tables of an older program, and a table
//! that is large enough to be indexed.

use std::path::Path;
use std::sync::Arc;

use engine::{Catalogue, Load, NoRedaction, Ports, Rows, Settings, Store, Table, Value, WallClock};
use futures::StreamExt;
use ingest::otel::OTEL_LOG;

use crate::records::now_ns;

/// Rows of one fragment that maintenance takes for settled, and indexes.
const SETTLED_ROWS: usize = 600_000;
const BATCH_ROWS: usize = 20_000;

/// Makes the tables of OpenTelemetry in `data`, each without its last column.
pub fn older_tables(data: &Path) {
    with_store(data, ingest::otel::tables().into_iter().map(older).collect(), |_| Box::pin(async {}));
}

/// Makes a table of logs with one settled fragment.
pub fn large_table(data: &Path) {
    with_store(data, ingest::otel::tables(), |store| {
        Box::pin(async move {
            let mut rows = Rows::new(&OTEL_LOG);
            for number in 0..BATCH_ROWS {
                rows.set("tenant", "default").set("service_name", "settled");
                rows.set("time", Value::Time(i64::try_from(now_ns()).expect("before the year 2262")));
                rows.set("trace_id", format!("{number:032x}"));
                rows.end_row().expect("a row of logs");
            }
            let batches = vec![rows.finish(); SETTLED_ROWS / BATCH_ROWS];
            let batches = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
            store
                .load(Load { table: &OTEL_LOG, source: "made".to_owned(), batches })
                .await
                .expect("the rows are loaded");
        })
    });
}

type Work = std::pin::Pin<Box<dyn Future<Output = ()>>>;

fn with_store(data: &Path, tables: Vec<&'static Table>, work: impl FnOnce(Arc<Store>) -> Work) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let catalogue = Catalogue { tables, ..Catalogue::default() };
    let ports = Ports { clock: Arc::new(WallClock), redactor: Arc::new(NoRedaction) };
    runtime.block_on(async {
        let store = Store::open(Settings::new(data), catalogue, ports).await.expect("a store opens");
        work(Arc::clone(&store)).await;
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
        key: table.key,
        set: table.set,
        time: table.time,
        tenant: table.tenant,
        source: table.source,
        ingested_at: table.ingested_at,
        retention_days: table.retention_days,
        ..Table::new(table.name, table.doc, kept)
    }))
}
