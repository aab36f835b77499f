//! Reads the members of one object into the cells of its row: a path of member names, a column, the column's type.

use engine::{Rows, Value as Cell};
use serde_json::Value;

use super::resources;
use crate::json::{self, Reason, at};

/// The columns that every object's own table has, around those of its kind.
macro_rules! object_columns {
    ($($own:expr),* $(,)?) => {
        &[
            engine::Column::new("tenant", engine::Type::Name, "Label `tenant`, else the sender's tenant.").required(),
            engine::Column::new("cluster", engine::Type::Name, "Name of the cluster, as the sender gave it.").required(),
            engine::Column::new("namespace", engine::Type::Name, "Namespace; empty for objects of the cluster.").required(),
            engine::Column::new("name", engine::Type::Text, "Name of the object.").required(),
            engine::Column::new("uid", engine::Type::Text, "Identity over the object's whole life; null in manifests."),
            engine::Column::new("resource_version", engine::Type::Text, "The API server's version of this state."),
            engine::Column::new("creation_timestamp", engine::Type::Time, "When the object was created."),
            engine::Column::new("deletion_timestamp", engine::Type::Time, "When its deletion was asked for; it still exists while finalizers hold it."),
            engine::Column::new("env", engine::Type::Name, "Label `env` or `environment`."),
            engine::Column::new("app", engine::Type::Name, "Label `app.kubernetes.io/name`, `app` or `k8s-app`."),
            engine::Column::new("version", engine::Type::Name, "Label `app.kubernetes.io/version` or `version`."),
            engine::Column::new("cost_center", engine::Type::Name, "Label `cost-center`."),
            engine::Column::new("owner_kind", engine::Type::Name, "Kind of the controlling owner."),
            engine::Column::new("owner_name", engine::Type::Text, "Name of the controlling owner."),
            $($own,)*
            engine::Column::new("labels", engine::Type::Json, "All labels."),
            engine::Column::new("annotations", engine::Type::Json, "All annotations."),
        ]
    };
}
pub(super) use object_columns;

/// One object beside the row that it becomes.
pub struct Cells<'a, 'r> {
    object: &'a Value,
    rows: &'r mut Rows,
}

/// The cells so far, or why the object does not fit.
pub type Written<'c, 'a, 'r> = Result<&'c mut Cells<'a, 'r>, Reason>;

impl<'a, 'r> Cells<'a, 'r> {
    /// Of this object (or a part of it), into the row under construction.
    pub fn new(object: &'a Value, rows: &'r mut Rows) -> Self {
        Cells { object, rows }
    }

    /// A value that was found otherwise.
    pub fn set(&mut self, column: &str, value: impl Into<Cell>) -> &mut Self {
        self.rows.set(column, value);
        self
    }

    /// Text; empty counts as absent, as the API server leaves out what is empty.
    pub fn text(&mut self, column: &str, path: &str) -> Written<'_, 'a, 'r> {
        let found = json::text(self.object, &parts(path))?.filter(|text| !text.is_empty());
        Ok(self.set(column, found))
    }

    /// A whole number.
    pub fn int(&mut self, column: &str, path: &str) -> Written<'_, 'a, 'r> {
        let found = json::int(self.object, &parts(path))?;
        Ok(self.set(column, found))
    }

    /// A whole number that the API server leaves out where it is zero.
    pub fn count(&mut self, column: &str, path: &str) -> Written<'_, 'a, 'r> {
        let found = json::int(self.object, &parts(path))?;
        let has_status = at(self.object, &["status"]).is_some() || !path.starts_with("status.");
        Ok(self.set(column, found.or(has_status.then_some(0))))
    }

    /// A truth value.
    pub fn bool(&mut self, column: &str, path: &str) -> Written<'_, 'a, 'r> {
        let found = json::boolean(self.object, &parts(path))?;
        Ok(self.set(column, found))
    }

    /// An instant.
    pub fn time(&mut self, column: &str, path: &str) -> Written<'_, 'a, 'r> {
        let found = json::time(self.object, &parts(path))?;
        Ok(self.set(column, found.map(Cell::Time)))
    }

    /// Whatever stands there, as JSON.
    pub fn json(&mut self, column: &str, path: &str) -> Written<'_, 'a, 'r> {
        let found = json::document(self.object, &parts(path));
        Ok(self.set(column, found))
    }

    /// A number or a percentage, as text.
    pub fn int_or_text(&mut self, column: &str, path: &str) -> Written<'_, 'a, 'r> {
        let found = at(self.object, &parts(path)).map(plain);
        Ok(self.set(column, found))
    }

    /// A quantity in whole units (bytes), by its name in the resource list at `path`.
    pub fn whole(&mut self, column: &str, path: &str, name: &str) -> Written<'_, 'a, 'r> {
        let list = at(self.object, &parts(path)).unwrap_or(&Value::Null);
        let found = resources::quantity(list, name, path)?.map(|quantity| quantity.whole());
        Ok(self.set(column, found))
    }
}

/// Member names of a path.
fn parts(path: &str) -> Vec<&str> {
    path.split('.').collect()
}

/// A JSON value as a person writes it: text without its quotes.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The status of one of the object's conditions, with its reason and message.
#[derive(Debug, Clone, Copy, Default)]
pub struct Condition<'a> {
    pub status: Option<bool>,
    pub reason: Option<&'a str>,
    pub message: Option<&'a str>,
}

/// A condition by its type; nothing where the object has none of it.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Condition<'a> {
    let conditions = at(object, &["status", "conditions"]).and_then(Value::as_array);
    let is = |value: &&Value| value.get("type").and_then(Value::as_str) == Some(kind);
    let Some(found) = conditions.and_then(|all| all.iter().find(is)) else { return Condition::default() };
    let word = |name: &str| found.get(name).and_then(Value::as_str).filter(|word| !word.is_empty());
    let status = match word("status") {
        Some("True") => Some(true),
        Some("False") => Some(false),
        _ => None,
    };
    Condition { status, reason: word("reason"), message: word("message") }
}
