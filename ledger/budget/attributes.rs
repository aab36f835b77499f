//! What a request says about itself, by the names that the ledger's columns have; the same predicate then reads a
//! request in memory and a cost line in SQL.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use engine::{Column, Error, Result, Type};

use crate::cost_line::{COST_LINE, TENANT};
use crate::decimal;

/// Attributes that only a call has. A budget whose scope names one counts calls, not lines of the bill.
const OF_CALLS: &[Column] = &[
    Column::new("x_user", Type::Text, "Who called, or on whose behalf."),
    Column::new("x_api_key", Type::Text, "Id of the key that called."),
    Column::new("x_agent_id", Type::Text, "The agent that called."),
    Column::new("x_task", Type::Text, "The task that the call belongs to."),
    Column::new("x_pipeline_run", Type::Text, "The pipeline run that the call belongs to."),
    Column::new("x_tool", Type::Text, "The tool that was called."),
];
/// Attributes of one request; more are refused.
const ATTRIBUTES_MAX: usize = 64;
/// Bytes of one attribute.
const TEXT_BYTES_MAX: usize = 4_096;

/// What an attribute holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Text.
    Text,
    /// An exact decimal.
    Number,
    /// True or false.
    Truth,
    /// A JSON object, read member by member.
    Document,
}

/// An attribute that predicates may name.
#[derive(Debug)]
pub struct Declared {
    /// Its name, as the ledger spells it.
    pub name: &'static str,
    /// What it holds.
    pub sort: Sort,
    /// Whether cost lines have it, too.
    pub in_ledger: bool,
}

static DECLARED: LazyLock<Vec<Declared>> = LazyLock::new(|| {
    let mut declared: Vec<Declared> = Vec::new();
    let ledger = COST_LINE.columns.iter().map(|column| (column, true));
    for (column, in_ledger) in ledger.chain(OF_CALLS.iter().map(|column| (column, false))) {
        let sort = match column.kind {
            Type::Name | Type::Text => Sort::Text,
            Type::Json => Sort::Document,
            Type::Bool => Sort::Truth,
            Type::Int | Type::Decimal => Sort::Number,
            // When something happened is the window's matter, not the scope's.
            Type::Time | Type::TimeNs | Type::Float | Type::Bytes | Type::Vector(_) => continue,
        };
        // A column that the ledger gained since is the ledger's.
        if !declared.iter().any(|known| known.name.eq_ignore_ascii_case(column.name)) {
            declared.push(Declared { name: column.name, sort, in_ledger });
        }
    }
    declared
});

static BY_NAME: LazyLock<HashMap<String, u16>> = LazyLock::new(|| {
    let number = |at: usize| u16::try_from(at).expect("a table has fewer than 65,536 columns");
    DECLARED.iter().enumerate().map(|(at, declared)| (declared.name.to_ascii_lowercase(), number(at))).collect()
});

/// Every attribute that a scope may name.
pub fn declared() -> &'static [Declared] {
    &DECLARED
}

/// The place of an attribute; SQL folds case, and so does this.
pub fn place(name: &str) -> Result<u16> {
    let found = BY_NAME.get(name).or_else(|| BY_NAME.get(&name.to_ascii_lowercase())).copied();
    found.ok_or_else(|| Error::invalid(format!("there is no column {name} in what is charged; `stellwerk tables cost_line` lists them, and calls have {} too", OF_CALLS.iter().map(|c| c.name).collect::<Vec<_>>().join(", "))))
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    Text(Arc<str>),
    /// Units of 10⁻¹⁸.
    Number(i128),
    /// True or false.
    Truth(bool),
}

/// What one request says about itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes {
    values: Vec<(u16, Scalar)>,
    members: Vec<(u16, Arc<str>, Arc<str>)>,
}

impl Attributes {
    /// From a JSON object: texts, numbers, truth values; objects of texts for JSON columns (`Tags`).
    pub fn parse(object: &serde_json::Map<String, serde_json::Value>) -> Result<Attributes> {
        let mut attributes = Attributes::default();
        for (name, value) in object {
            attributes.set(name, value).map_err(|e| e.context(&format!("attribute {name}")))?;
        }
        Ok(attributes)
    }

    /// Sets one attribute; null leaves it out.
    pub fn set(&mut self, name: &str, value: &serde_json::Value) -> Result<()> {
        use serde_json::Value;
        let at = place(name)?;
        if self.values.len() + self.members.len() >= ATTRIBUTES_MAX {
            return Err(Error::invalid(format!("a request has at most {ATTRIBUTES_MAX} attributes")));
        }
        let value = match (DECLARED[usize::from(at)].sort, value) {
            (_, Value::Null) => return Ok(()),
            (Sort::Text, Value::String(text)) => Scalar::Text(short(text)?),
            (Sort::Number, Value::String(text)) => Scalar::Number(number(text)?),
            (Sort::Number, Value::Number(value)) => Scalar::Number(number(&value.to_string())?),
            (Sort::Truth, Value::Bool(value)) => Scalar::Truth(*value),
            (Sort::Document, Value::Object(members)) => {
                for (key, value) in members {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    self.members.push((at, key.as_str().into(), short(&text)?));
                }
                return Ok(());
            }
            (sort, _) => return Err(Error::invalid(format!("it holds {sort:?}, and the value is something else"))),
        };
        self.put(at, value);
        Ok(())
    }

    /// Sets a text.
    pub fn text(&mut self, name: &str, value: &str) -> Result<()> {
        let at = place(name)?;
        self.put(at, Scalar::Text(short(value)?));
        Ok(())
    }

    /// The tenant that pays; only who knows the caller says it.
    pub(super) fn of_tenant(mut self, tenant: &Arc<str>) -> Attributes {
        let at = place(TENANT).expect("the ledger declares its tenant");
        self.put(at, Scalar::Text(Arc::clone(tenant)));
        self
    }

    fn put(&mut self, at: u16, value: Scalar) {
        self.values.retain(|(known, _)| *known != at);
        self.values.push((at, value));
    }

    /// The value at a place.
    pub fn get(&self, at: u16) -> Option<&Scalar> {
        self.values.iter().find(|(known, _)| *known == at).map(|(_, value)| value)
    }

    /// A member of the document at a place.
    pub fn member(&self, at: u16, key: &str) -> Option<&str> {
        let found = self.members.iter().find(|(known, name, _)| *known == at && name.as_ref() == key);
        found.map(|(_, _, value)| value.as_ref())
    }
}

fn short(text: &str) -> Result<Arc<str>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::invalid(format!("an attribute has at most {TEXT_BYTES_MAX} bytes")));
    }
    Ok(text.into())
}

fn number(text: &str) -> Result<i128> {
    decimal::parse(text).map(|number| number.units).map_err(|why| Error::invalid(format!("{text:?} {why}")))
}
