//! `information_schema`: the standard's tables, with the comments of the declarations.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::error::Result as DfResult;

use super::catalogue::{CATALOG, SCHEMA};
use crate::store::Catalogue;
use crate::table::{Column, SEQ};

/// The tables of `information_schema`.
pub const TABLES: &[&str] = &["tables", "columns", "views", "schemata"];

/// One table of `information_schema`; `views` has the columns of the planned views.
pub fn table(
    name: &str,
    catalogue: &Catalogue,
    views: &HashMap<&'static str, SchemaRef>,
) -> DfResult<Option<Arc<dyn TableProvider>>> {
    let batch = match name {
        "tables" => tables(catalogue),
        "columns" => columns(catalogue, views),
        "views" => text(
            &["table_catalog", "table_schema", "table_name", "definition"],
            catalogue
                .views
                .iter()
                .map(|v| vec![CATALOG.into(), SCHEMA.into(), v.name.into(), v.sql.trim().into()])
                .collect(),
        ),
        "schemata" => text(
            &["catalog_name", "schema_name"],
            [SCHEMA, "information_schema"].iter().map(|s| vec![CATALOG.into(), (*s).into()]).collect(),
        ),
        _ => return Ok(None),
    }?;
    Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
}

fn text(names: &[&str], rows: Vec<Vec<String>>) -> DfResult<RecordBatch> {
    let arrays = names.iter().enumerate().map(|(i, name)| {
        let array: ArrayRef =
            Arc::new(rows.iter().map(|r| (!r[i].is_empty()).then_some(r[i].as_str())).collect::<StringArray>());
        (*name, array, true)
    });
    Ok(RecordBatch::try_from_iter_with_nullable(arrays)?)
}

fn tables(catalogue: &Catalogue) -> DfResult<RecordBatch> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut push = |name: &str, kind: &str, doc: &str| {
        rows.push(vec![CATALOG.into(), SCHEMA.into(), name.into(), kind.into(), doc.into()]);
    };
    catalogue.tables.iter().for_each(|t| push(t.name, "BASE TABLE", t.doc));
    catalogue.state_tables.iter().for_each(|t| push(t.name, "BASE TABLE", t.doc));
    catalogue.views.iter().for_each(|v| push(v.name, "VIEW", v.doc));
    text(&["table_catalog", "table_schema", "table_name", "table_type", "table_comment"], rows)
}

fn columns(catalogue: &Catalogue, views: &HashMap<&'static str, SchemaRef>) -> DfResult<RecordBatch> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut places: Vec<i64> = Vec::new();
    let mut push = |table: &str, place: usize, name: &str, kind: String, required: bool, doc: &str, unit: &str| {
        let nullable = if required { "NO" } else { "YES" };
        places.push(place as i64 + 1);
        rows.push(vec![
            CATALOG.into(),
            SCHEMA.into(),
            table.into(),
            name.into(),
            nullable.into(),
            kind,
            doc.into(),
            unit.into(),
        ]);
    };
    let declared: HashMap<&str, &Column> =
        catalogue.tables.iter().flat_map(|t| t.columns).map(|c| (c.name, c)).collect();
    for table in &catalogue.tables {
        for (i, c) in table.columns.iter().enumerate() {
            push(table.name, i, c.name, c.kind.sql().to_owned(), c.required, c.doc, c.unit.unwrap_or_default());
        }
        for (i, (name, kind, doc)) in store_columns(table).into_iter().enumerate() {
            push(table.name, table.columns.len() + i, name, kind.to_owned(), true, doc, "");
        }
    }
    for table in &catalogue.state_tables {
        for (i, c) in table.columns.iter().enumerate() {
            push(table.name, i, c.name, c.kind.sql().to_owned(), c.required, c.doc, c.unit.unwrap_or_default());
        }
    }
    for view in &catalogue.views {
        for (i, field) in views.get(view.name).iter().flat_map(|s| s.fields().iter()).enumerate() {
            let same = declared.get(field.name().as_str());
            let kind = same.map_or_else(|| field.data_type().to_string(), |c| c.kind.sql().to_owned());
            push(
                view.name,
                i,
                field.name(),
                kind,
                false,
                same.map_or("", |c| c.doc),
                same.and_then(|c| c.unit).unwrap_or_default(),
            );
        }
    }
    let names = [
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "is_nullable",
        "data_type",
        "column_comment",
        "unit",
    ];
    let text = text(&names, rows)?;
    let mut arrays: Vec<(&str, ArrayRef, bool)> =
        names.iter().zip(text.columns()).map(|(n, a)| (*n, a.clone(), true)).collect();
    arrays.insert(4, ("ordinal_position", Arc::new(Int64Array::from(places)), false));
    Ok(RecordBatch::try_from_iter_with_nullable(arrays)?)
}

/// The store's own columns of a table: name, SQL type, documentation.
pub fn store_columns(table: &crate::table::Table) -> Vec<(&'static str, &'static str, &'static str)> {
    vec![
        (table.source, "VARCHAR", "The door or file that the row came through."),
        (table.ingested_at, "TIMESTAMP(6) UTC", "When the row was acknowledged."),
        (SEQ, "BIGINT", "The row's place in the log; grows with every row of the store."),
    ]
}
