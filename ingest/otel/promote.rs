//! Attributes that have a column of their own. An attribute fills its column when its value can be read as the column's
//! type; it leaves the JSON rest only when the column holds exactly it, so no type conflict ever loses a value.

use engine::arrow::array::ArrayRef;
use engine::{Column, Type};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

use super::cells::{Cell, Int, Json, Name, Text};
use super::value;

/// A column that an attribute fills.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promotion {
    pub column: Column,
    /// The attribute of the current semantic conventions.
    pub key: &'static str,
    /// Older or looser names, tried in order when `key` is absent; they stay in the JSON rest under their own name.
    pub aliases: &'static [&'static str],
}

/// A promoted attribute: `name` is the column, of type `Name`, `Text` or `Int`.
pub(super) const fn promote(
    name: &'static str,
    kind: Type,
    key: &'static str,
    aliases: &'static [&'static str],
    doc: &'static str,
) -> Promotion {
    Promotion { column: Column::new(name, kind, doc), key, aliases }
}

/// The columns of a list of promotions.
pub(super) const fn columns<const N: usize>(promotions: &[Promotion; N]) -> [Column; N] {
    let mut columns = [promotions[0].column; N];
    let mut at = 0;
    while at < N {
        columns[at] = promotions[at].column;
        at += 1;
    }
    columns
}

/// Where an attribute list holds the value of each promotion: the best name wins, then the last of that name.
pub(super) fn find(promotions: &[Promotion], attributes: &[KeyValue], found: &mut Vec<Option<Found>>) {
    found.clear();
    found.resize(promotions.len(), None);
    for (at, attribute) in attributes.iter().enumerate() {
        let key = attribute.key.as_str();
        for (promotion, slot) in promotions.iter().zip(found.iter_mut()) {
            let rank = if promotion.key == key {
                0
            } else {
                match promotion.aliases.iter().position(|alias| *alias == key) {
                    Some(alias) => alias + 1,
                    None => continue,
                }
            };
            if slot.is_none_or(|best| rank <= best.rank) {
                *slot = Some(Found { at, rank });
            }
        }
    }
}

/// Position of an attribute, and how good its name is: 0 is the current one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub at: usize,
    pub rank: usize,
}

/// The promoted columns of a table and the rest of the attributes.
pub(super) struct Promoted {
    promotions: &'static [Promotion],
    columns: Vec<PromotedColumn>,
    attributes: Json,
    found: Vec<Option<Found>>,
    taken: Vec<bool>,
}

enum PromotedColumn {
    Name(Name),
    Text(Text),
    Int(Int),
}

impl Promoted {
    pub fn new(promotions: &'static [Promotion]) -> Self {
        let columns = promotions.iter().map(|promotion| match promotion.column.kind {
            Type::Int => PromotedColumn::Int(Int::default()),
            Type::Text => PromotedColumn::Text(Text::default()),
            _ => PromotedColumn::Name(Name::default()),
        });
        Promoted {
            promotions,
            columns: columns.collect(),
            attributes: Json::default(),
            found: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// Appends one row.
    pub fn set(&mut self, attributes: &[KeyValue]) {
        find(self.promotions, attributes, &mut self.found);
        self.taken.clear();
        self.taken.resize(attributes.len(), false);
        for (column, found) in self.columns.iter_mut().zip(&self.found) {
            let value = found.and_then(|found| attributes[found.at].value.as_ref());
            let exact = column.set(value);
            if let Some(found) = found.filter(|found| exact && found.rank == 0) {
                self.taken[found.at] = true;
            }
        }
        // An earlier value of a key that was taken is superseded, not a rest.
        let superseded = |at: usize| {
            self.found
                .iter()
                .flatten()
                .any(|f| self.taken[f.at] && f.at > at && attributes[f.at].key == attributes[at].key)
        };
        let gone = |at: usize| self.taken[at] || superseded(at);
        if (0..attributes.len()).all(gone) {
            self.attributes.null();
        } else {
            self.attributes.write(|out| value::write_pairs(out, attributes, gone));
        }
    }

    /// The promoted columns, then `attributes`.
    pub fn finish(&mut self) -> Vec<ArrayRef> {
        let mut arrays: Vec<ArrayRef> = self.columns.iter_mut().map(PromotedColumn::finish).collect();
        arrays.push(self.attributes.finish());
        arrays
    }
}

impl PromotedColumn {
    /// Appends one cell and says whether it holds the value exactly as it was.
    fn set(&mut self, value: Option<&AnyValue>) -> bool {
        let inner = value.and_then(|v| v.value.as_ref());
        match (self, inner) {
            (PromotedColumn::Name(column), Some(Value::StringValue(text))) => {
                column.repeat(Some(text), 1);
                true
            }
            (PromotedColumn::Name(column), _) => {
                column.repeat(value::label(value).as_deref(), 1);
                false
            }
            (PromotedColumn::Text(column), Some(Value::StringValue(text))) => {
                column.set(Some(text));
                true
            }
            (PromotedColumn::Text(column), _) => {
                column.set(value::label(value).as_deref());
                false
            }
            (PromotedColumn::Int(column), Some(Value::IntValue(int))) => {
                column.set(Some(*int));
                true
            }
            (PromotedColumn::Int(column), Some(Value::StringValue(text))) => {
                column.set(text.parse().ok());
                false
            }
            (PromotedColumn::Int(column), _) => {
                column.set(None);
                false
            }
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            PromotedColumn::Name(column) => column.finish(),
            PromotedColumn::Text(column) => column.finish(),
            PromotedColumn::Int(column) => column.finish(),
        }
    }
}
