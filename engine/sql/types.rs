//! Type names of other databases, and times in the ledger's own resolution.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as Sql, ExactNumberInfo};

use crate::table::{DECIMAL_PRECISION, DECIMAL_SCALE};

/// Plans the type names that the stock planner does not know, or reads too narrowly: a bare DECIMAL is the ledger's, and
/// a TIMESTAMP counts microseconds in UTC (nanoseconds end in the year 2262, and exports use the year 9999).
#[derive(Debug)]
pub struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, name: &Sql) -> Result<Option<FieldRef>> {
        Ok(planned(name).map(|kind| Arc::new(Field::new("", kind, true))))
    }
}

fn planned(name: &Sql) -> Option<DataType> {
    Some(match name {
        Sql::Float64 => DataType::Float64,
        Sql::Float32 => DataType::Float32,
        Sql::Int64 | Sql::Unsigned | Sql::UnsignedInteger | Sql::Signed | Sql::SignedInteger => DataType::Int64,
        Sql::Numeric(ExactNumberInfo::None)
        | Sql::Decimal(ExactNumberInfo::None)
        | Sql::Dec(ExactNumberInfo::None)
        | Sql::BigNumeric(_)
        | Sql::BigDecimal(_) => DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
        Sql::JSON | Sql::JSONB => DataType::Utf8,
        Sql::Timestamp(Some(9), _) => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        Sql::Timestamp(..) | Sql::Datetime(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Sql::Custom(custom, sizes) => return custom_type(&custom.to_string(), sizes),
        _ => return None,
    })
}

/// Names that the parser does not know as types.
fn custom_type(name: &str, sizes: &[String]) -> Option<DataType> {
    match name.to_lowercase().as_str() {
        "number" => {
            let size = |at: usize| sizes.get(at).map(|size| size.trim().parse::<u8>());
            let digits = match size(0) {
                Some(digits) => digits.ok()?,
                None => return Some(DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE)),
            };
            let scale = i8::try_from(size(1).unwrap_or(Ok(0)).ok()?).ok()?;
            (1..=DECIMAL_PRECISION).contains(&digits).then_some(DataType::Decimal128(digits, scale))
        }
        "timestamp_ntz" | "timestamp_ltz" | "timestamp_tz" | "timestamptz" | "datetime2" => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
        }
        "hugeint" => Some(DataType::Decimal128(DECIMAL_PRECISION, 0)),
        "variant" | "string" => Some(DataType::Utf8),
        "long" => Some(DataType::Int64),
        _ => None,
    }
}

/// Whether a type is text, plain or dictionary-encoded.
pub(crate) fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}
