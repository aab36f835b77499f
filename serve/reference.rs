//! The SQL reference: every table, view, state table and function, from their declarations. `stellwerk tables`,
//! `GET /tables`, the shell's completion and the reference in Markdown are this one structure.

use engine::table::SEQ;
use engine::{Column, Index, StateTable, Table, Type, View};
use serde::{Deserialize, Serialize};

/// Everything a question may name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Tables, state tables and views, by name.
    pub tables: Vec<TableEntry>,
    /// Functions beyond DataFusion's own.
    pub functions: Vec<FunctionEntry>,
}

/// What a name in FROM stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// Append-mostly rows in the store.
    Table,
    /// A named SELECT.
    View,
    /// A table of the state database.
    State,
}

impl TableKind {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            TableKind::Table => "table",
            TableKind::View => "view",
            TableKind::State => "state",
        }
    }
}

/// One table, view or state table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Name in SQL.
    pub name: String,
    /// What it is.
    pub kind: TableKind,
    /// What it holds.
    pub doc: String,
    /// Rows that the asking scope sees, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rows: Option<u64>,
    /// The columns, in order; a view's are asked of the planner and may be missing.
    pub columns: Vec<ColumnEntry>,
    /// Identity within a tenant; empty where rows are only ever added.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub key: Vec<String>,
    /// Secondary indexes.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub indexes: Vec<String>,
    /// The column that says when the fact happened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<String>,
    /// The column that names the tenant; `None` where only the platform sees rows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tenant: Option<String>,
    /// Rows older than this are deleted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retention_days: Option<u32>,
    /// A view's SELECT.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sql: Option<String>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnEntry {
    /// Declared spelling.
    pub name: String,
    /// Type in SQL.
    #[serde(rename = "type")]
    pub kind: String,
    /// Unit of measure, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unit: Option<String>,
    /// Whether it is never null.
    pub required: bool,
    /// What it holds.
    pub doc: String,
}

/// One function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionEntry {
    /// Name in SQL.
    pub name: String,
    /// How it is called: `time_bucket(width, time)`.
    pub signature: String,
    /// What it answers.
    pub doc: String,
    /// An expression that runs.
    pub example: String,
}

impl Reference {
    /// The reference of these declarations, sorted by name.
    pub fn of(tables: &[&Table], views: &[&View], state: &[&StateTable], functions: Vec<FunctionEntry>) -> Reference {
        let mut entries: Vec<TableEntry> = tables.iter().map(|t| of_table(t)).collect();
        entries.extend(views.iter().map(|v| of_view(v)));
        entries.extend(state.iter().map(|s| of_state(s)));
        entries.sort_by_key(|entry| entry.name.to_lowercase());
        let mut functions = functions;
        functions.sort_by(|a, b| a.name.cmp(&b.name));
        Reference { tables: entries, functions }
    }

    /// The table of a name, in any case, as SQL finds it.
    pub fn table(&self, name: &str) -> Option<&TableEntry> {
        self.tables.iter().find(|t| t.name.eq_ignore_ascii_case(name))
    }

    /// The reference as a Markdown document.
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "# SQL reference\n\nGenerated from the declarations by `stellwerk tables --format markdown`.\n",
        );
        for (title, kind) in
            [("Tables", TableKind::Table), ("State tables", TableKind::State), ("Views", TableKind::View)]
        {
            let of_kind: Vec<&TableEntry> = self.tables.iter().filter(|t| t.kind == kind).collect();
            if !of_kind.is_empty() {
                text.push_str(&format!("\n## {title}\n"));
                of_kind.iter().for_each(|t| text.push_str(&t.markdown()));
            }
        }
        if !self.functions.is_empty() {
            text.push_str("\n## Functions\n\n| function | answers | example |\n|---|---|---|\n");
            for f in &self.functions {
                text.push_str(&format!("| `{}` | {} | `{}` |\n", cell(&f.signature), cell(&f.doc), cell(&f.example)));
            }
        }
        text
    }
}

impl TableEntry {
    /// The facts beside the columns, a line each: key, time, tenant, indexes, retention.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        if !self.key.is_empty() {
            facts.push(("key", format!("{} (the newest row of a key is the current one)", self.key.join(", "))));
        }
        let mut named = |label, value: &Option<String>| facts.extend(value.clone().map(|v| (label, v)));
        named("time", &self.time);
        named("tenant", &self.tenant);
        if !self.indexes.is_empty() {
            facts.push(("indexes", self.indexes.join(", ")));
        }
        match (self.kind, self.retention_days) {
            (TableKind::Table, Some(days)) => facts.push(("retention", format!("{days} days"))),
            (TableKind::Table, None) => facts.push(("retention", "kept".to_owned())),
            _ => {}
        }
        facts
    }

    fn markdown(&self) -> String {
        let mut text = format!("\n### `{}`\n\n{}\n", self.name, self.doc);
        let facts: Vec<String> = self.facts().into_iter().map(|(label, value)| format!("{label}: {value}")).collect();
        if !facts.is_empty() {
            text.push_str(&format!("\n{}\n", facts.join(" · ")));
        }
        if !self.columns.is_empty() {
            text.push_str("\n| column | type | unit | holds |\n|---|---|---|---|\n");
        }
        for c in &self.columns {
            let required = if c.required { " Never null." } else { "" };
            let unit = c.unit.as_deref().unwrap_or("");
            text.push_str(&format!(
                "| `{}` | {} | {} | {}{required} |\n",
                cell(&c.name),
                c.kind,
                cell(unit),
                cell(&c.doc)
            ));
        }
        if let Some(sql) = &self.sql {
            text.push_str(&format!("\n```sql\n{}\n```\n", sql.trim()));
        }
        text
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn of_column(column: &Column) -> ColumnEntry {
    ColumnEntry {
        name: column.name.to_owned(),
        kind: column.kind.sql().to_owned(),
        unit: column.unit.map(str::to_owned),
        required: column.required,
        doc: column.doc.to_owned(),
    }
}

fn of_table(table: &Table) -> TableEntry {
    let own = |name: &str, kind: Type, doc: &str| ColumnEntry {
        name: name.to_owned(),
        kind: kind.sql().to_owned(),
        unit: None,
        required: true,
        doc: doc.to_owned(),
    };
    let mut columns: Vec<ColumnEntry> = table.columns.iter().map(of_column).collect();
    columns.push(own(table.source, Type::Name, "The door or file the row came through."));
    columns.push(own(table.ingested_at, Type::Time, "When the row became durable."));
    columns.push(own(SEQ, Type::Int, "The row's place in the log."));
    let index = |index: &Index| match index {
        Index::BTree(column) => format!("B-tree on {column}"),
    };
    TableEntry {
        name: table.name.to_owned(),
        kind: TableKind::Table,
        doc: table.doc.to_owned(),
        rows: None,
        columns,
        key: table.key.iter().map(|k| (*k).to_owned()).collect(),
        indexes: table.indexes.iter().map(index).collect(),
        time: Some(table.time.to_owned()),
        tenant: Some(table.tenant.to_owned()),
        retention_days: table.retention_days,
        sql: None,
    }
}

fn of_view(view: &View) -> TableEntry {
    let (name, doc) = (view.name.to_owned(), view.doc.to_owned());
    TableEntry { sql: Some(view.sql.to_owned()), ..bare(name, TableKind::View, doc) }
}

fn of_state(table: &StateTable) -> TableEntry {
    TableEntry {
        columns: table.columns.iter().map(of_column).collect(),
        tenant: table.tenant.map(str::to_owned),
        ..bare(table.name.to_owned(), TableKind::State, table.doc.to_owned())
    }
}

fn bare(name: String, kind: TableKind, doc: String) -> TableEntry {
    TableEntry {
        name,
        kind,
        doc,
        rows: None,
        columns: Vec::new(),
        key: Vec::new(),
        indexes: Vec::new(),
        time: None,
        tenant: None,
        retention_days: None,
        sql: None,
    }
}
