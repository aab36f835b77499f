//! How a resource becomes a row. Azure DevOps names things alike everywhere, so a column is read from the member of its own
//! name (`finish_time` from `finishTime`), and a table says only where that is not so.

use engine::{Column, Table, Type, Value as Cell};
use serde_json::Value;

use super::cells::{float, identity, int, path, text, time};
use super::origin::{Origin, Told};
use crate::json::Reason;

/// Columns that the origin fills.
const FROM_ORIGIN: &[&str] = &["tenant", "organization", "project_id", "project", "version"];
/// End of the name of a column with the unique name of the person in the column before.
const UNIQUE_NAME: &str = "_unique_name";

/// A table, and where its cells are read from.
#[derive(Debug)]
pub struct Shape {
    pub table: &'static Table,
    /// Column and path, where the path is not the column's name: members with dots between, alternatives with bars.
    pub paths: &'static [(&'static str, &'static str)],
}

impl Shape {
    /// Adds the resource's row. A resource that does not name itself (a subscription may ask for minimal ones) has none.
    pub fn write(&self, origin: &Origin, resource: &Value, told: &mut Told) -> Result<(), Reason> {
        self.write_with(origin, resource, &[], told)
    }

    /// Adds the resource's row with cells that it does not carry itself.
    pub fn write_with(
        &self,
        origin: &Origin,
        resource: &Value,
        given: &[(&str, Cell)],
        told: &mut Told,
    ) -> Result<(), Reason> {
        let rows = told.rows(self.table);
        origin.set(rows);
        for column in self.table.columns {
            if let Some((_, cell)) = given.iter().find(|(name, cell)| *name == column.name && *cell != Cell::Null) {
                rows.set(column.name, cell.clone());
                continue;
            }
            if column.name == "version" {
                rows.set("version", origin.version);
            }
            if FROM_ORIGIN.contains(&column.name) {
                continue;
            }
            let cell = self.read(column, resource);
            if cell == Cell::Null && self.table.key.contains(&column.name) {
                rows.abandon_row();
                return Ok(());
            }
            rows.set(column.name, cell);
        }
        rows.end_row().map_err(|e| e.to_string())
    }

    /// Adds the end of a row: the source no longer has what this key names.
    pub fn forget(&self, origin: &Origin, key: &[(&str, Cell)], told: &mut Told) -> Result<(), Reason> {
        let rows = told.rows(self.table);
        rows.set("tenant", origin.tenant.as_str()).set("organization", origin.organization.as_str());
        if self.table.position("version").is_some() {
            rows.set("version", origin.version);
        }
        for (column, cell) in key {
            rows.set(column, cell.clone());
        }
        rows.end_delete().map_err(|e| e.to_string())
    }

    /// The cell of one column.
    pub fn read(&self, column: &Column, resource: &Value) -> Cell {
        let person = column.name.strip_suffix(UNIQUE_NAME);
        let name = person.unwrap_or(column.name);
        let found = match self.path(name) {
            Some(paths) => paths.split('|').find_map(|one| at(resource, one)),
            None => at(resource, &camel(name))
                .or_else(|| at(resource, &camel(name.strip_suffix("_id")?)).and_then(|of| path(of, &["id"]))),
        };
        let Some(found) = found else { return Cell::Null };
        if person.is_some() {
            return identity(found).unique_name.into();
        }
        match column.kind {
            Type::Name | Type::Text if self.is_person(name) => identity(found).display_name.into(),
            Type::Name | Type::Text => words(found).into(),
            Type::Json => Cell::Text(without_secrets(found).to_string()),
            Type::Bool => found.as_bool().map_or(Cell::Null, Cell::Bool),
            Type::Int => int(found).into(),
            Type::Float => float(found).into(),
            Type::Time => time(found).map_or(Cell::Null, Cell::Time),
            Type::Decimal | Type::TimeNs | Type::Bytes | Type::Vector(_) => Cell::Null,
        }
    }

    fn path(&self, column: &str) -> Option<&'static str> {
        self.paths.iter().find(|(name, _)| *name == column).map(|(_, path)| *path)
    }

    /// Whether the column behind this one holds the unique name of the person in it.
    fn is_person(&self, column: &str) -> bool {
        self.table.columns.iter().any(|c| c.name.strip_suffix(UNIQUE_NAME) == Some(column))
    }
}

/// The value at members with dots between; `.` is the resource itself.
pub fn at<'a>(resource: &'a Value, members: &str) -> Option<&'a Value> {
    if members == "." {
        return Some(resource).filter(|v| !v.is_null());
    }
    path(resource, &members.split('.').collect::<Vec<_>>())
}

/// A text; of an object, its name.
pub fn words(value: &Value) -> Option<String> {
    match value {
        Value::Object(_) => ["displayName", "name", "id"].iter().find_map(|name| path(value, &[name]).and_then(text)),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => text(value),
    }
}

/// `finish_time` as the sources spell it: `finishTime`.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        whole.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        whole.extend(letters);
    }
    whole
}

/// The same without what Azure DevOps marks as secret: values of secret variables, and what an endpoint authorizes with.
pub fn without_secrets(value: &Value) -> Value {
    const SECRET_MEMBERS: [&str; 4] = ["parameters", "accessToken", "authHeader", "basicAuthPassword"];
    match value {
        Value::Object(members) => {
            let secret = path(value, &["isSecret"]).and_then(Value::as_bool) == Some(true);
            let kept = members.iter().map(|(name, inner)| {
                let hidden = (secret && name.eq_ignore_ascii_case("value") && !inner.is_null())
                    || (SECRET_MEMBERS.contains(&name.as_str()) && members.contains_key("scheme"))
                    || (name != "parameters" && SECRET_MEMBERS.contains(&name.as_str()));
                (
                    name.clone(),
                    if hidden { Value::String("[redacted:ado-secret]".to_owned()) } else { without_secrets(inner) },
                )
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_secrets).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_spelled_as_the_sources_do() {
        for (column, member) in [("id", "id"), ("finish_time", "finishTime"), ("is_hosted", "isHosted")] {
            assert_eq!(camel(column), member);
        }
    }

    #[test]
    fn what_is_marked_secret_is_left_out() {
        for (given, kept) in [
            (
                json!({"v": {"value": "hush", "isSecret": true}}),
                json!({"v": {"value": "[redacted:ado-secret]", "isSecret": true}}),
            ),
            (json!({"v": {"value": "plain", "isSecret": false}}), json!({"v": {"value": "plain", "isSecret": false}})),
            (
                json!({"authorization": {"scheme": "Token", "parameters": {"apitoken": "hush"}}}),
                json!({"authorization": {"scheme": "Token", "parameters": "[redacted:ado-secret]"}}),
            ),
            (json!([{"parameters": {"a": 1}}]), json!([{"parameters": {"a": 1}}])),
            (
                json!({"consumerInputs": {"basicAuthPassword": "hush"}}),
                json!({"consumerInputs": {"basicAuthPassword": "[redacted:ado-secret]"}}),
            ),
        ] {
            assert_eq!(without_secrets(&given), kept);
        }
    }
}
