//! What the rules ask and stock SQL does not answer: JSON of a form, and a product that matches a cost, exactly.

use std::sync::Arc;

use engine::arrow::array::{Array, AsArray, BooleanArray};
use engine::arrow::compute::cast;
use engine::arrow::datatypes::{DataType, Decimal128Type, i256};
use engine::datafusion::error::{DataFusionError, Result};
use engine::datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use engine::table::{DECIMAL_PRECISION, DECIMAL_SCALE};
use serde_json::Value;

/// Every function of the rules.
pub fn all() -> Vec<ScalarUDF> {
    vec![json("focus_json_object", is_object), json("focus_key_value", is_key_value), product()]
}

fn is_object(value: &Value) -> bool {
    value.is_object()
}

fn is_key_value(value: &Value) -> bool {
    let scalar = |v: &Value| !v.is_object() && !v.is_array();
    value.as_object().is_some_and(|map| map.values().all(scalar))
}

fn json(name: &'static str, holds: fn(&Value) -> bool) -> ScalarUDF {
    let body = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let texts = cast(&ColumnarValue::values_to_arrays(arguments)?[0], &DataType::Utf8)?;
        // Files repeat themselves: the last text and its verdict are remembered.
        let mut last: (Option<&str>, bool) = (None, true);
        let verdicts: BooleanArray = texts
            .as_string::<i32>()
            .iter()
            .map(|text| {
                if text.is_some() && text != last.0 {
                    last = (text, text.is_some_and(|t| serde_json::from_str(t).is_ok_and(|value| holds(&value))));
                }
                text.map(|_| last.1)
            })
            .collect();
        Ok(ColumnarValue::Array(Arc::new(verdicts)))
    };
    create_udf(name, vec![DataType::Utf8], DataType::Boolean, Volatility::Immutable, Arc::new(body))
}

/// `focus_product(price, quantity, cost)`: price × quantity is the cost, but for a provider's rounding: a millionth of
/// the currency, or a ten-thousandth of the cost.
fn product() -> ScalarUDF {
    let decimal = DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE);
    let body = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let [price, quantity, cost] = arrays.as_slice() else {
            return Err(DataFusionError::Execution("focus_product takes three numbers".to_owned()));
        };
        let (price, quantity, cost) = (
            price.as_primitive::<Decimal128Type>(),
            quantity.as_primitive::<Decimal128Type>(),
            cost.as_primitive::<Decimal128Type>(),
        );
        let verdict = |at: usize| {
            let there = price.is_valid(at) && quantity.is_valid(at) && cost.is_valid(at);
            there.then(|| matches(price.value(at), quantity.value(at), cost.value(at)))
        };
        let verdicts: BooleanArray = (0..price.len()).map(verdict).collect();
        Ok(ColumnarValue::Array(Arc::new(verdicts)))
    };
    let arguments = vec![decimal.clone(), decimal.clone(), decimal];
    create_udf("focus_product", arguments, DataType::Boolean, Volatility::Immutable, Arc::new(body))
}

/// All three in units of 10⁻¹⁸; the product of two 128-bit numbers fits 256 bits.
fn matches(price: i128, quantity: i128, cost: i128) -> bool {
    let one = i256::from_i128(10i128.pow(DECIMAL_SCALE.unsigned_abs().into()));
    let product = i256::from_i128(price).wrapping_mul(i256::from_i128(quantity));
    let cost = i256::from_i128(cost).wrapping_mul(one);
    let off = product.wrapping_sub(cost).wrapping_abs();
    let millionth = one.wrapping_mul(i256::from_i128(10i128.pow(12)));
    off <= millionth || off <= cost.wrapping_abs().wrapping_div(i256::from_i128(10_000))
}
