//! Where a JSON function looks: its key and path arguments, read once when they are constants.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::Int64Type;
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

use crate::sql::path::{self, Step};

/// How the arguments behind the document are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Keys {
    /// A key, an index, or a path that starts with `$`; several are followed one after the other.
    Chain,
    /// Every argument is a path from the root.
    Paths,
    /// MySQL's `'one' | 'all'`, then paths.
    OneOrAll,
    /// The arguments say nothing about where to look (`from_json`'s shape).
    Ignored,
}

/// Where to look in one document.
#[derive(Debug, Default)]
pub(crate) struct At {
    pub(crate) paths: Vec<Vec<Step>>,
    /// One of the paths is enough.
    pub(crate) one: bool,
}

/// The places of every row; read once where the keys are constants.
pub(crate) struct Paths {
    keys: Keys,
    columns: Vec<ArrayRef>,
    constant: bool,
    current: Option<At>,
}

impl Paths {
    /// `None` if a constant path is NULL or no path: every row is NULL.
    pub(crate) fn new(keys: Keys, args: &[ColumnarValue], rows: usize) -> Result<Option<Paths>> {
        let constant = args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let columns: Vec<ArrayRef> =
            args.iter().map(|arg| arg.to_array(if constant { 1 } else { rows })).collect::<Result<_>>()?;
        let mut paths = Paths { keys, columns, constant, current: None };
        if constant {
            paths.current = paths.read(0);
            if paths.current.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(paths))
    }

    /// The places in one row's document; `None` if a key is NULL or no path.
    pub(crate) fn row(&mut self, row: usize) -> Option<&At> {
        if !self.constant {
            self.current = self.read(row);
        }
        self.current.as_ref()
    }

    fn read(&self, row: usize) -> Option<At> {
        let mut at = At::default();
        if self.keys == Keys::Ignored {
            return Some(at);
        }
        let mut keys: Vec<Vec<Step>> = Vec::new();
        for (position, column) in self.columns.iter().enumerate() {
            if column.is_null(row) {
                return None;
            }
            if let Some(indexes) = column.as_primitive_opt::<Int64Type>() {
                keys.push(vec![Step::Index(indexes.value(row))]);
                continue;
            }
            let text = column.as_string_opt::<i32>()?.value(row);
            if self.keys == Keys::OneOrAll && position == 0 {
                at.one = text.eq_ignore_ascii_case("one");
                continue;
            }
            let is_key = self.keys == Keys::Chain && !text.starts_with(['$', '{']);
            keys.push(if is_key { vec![Step::Key(text.to_owned())] } else { path::parse(text)? });
        }
        at.paths = match self.keys {
            Keys::Chain => vec![keys.concat()],
            Keys::Paths | Keys::OneOrAll | Keys::Ignored => keys,
        };
        Some(at)
    }
}
