//! `fx(amount, from, to [, at])`: an amount in another currency, by the rate of its day. What has no rate is NULL.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use engine::Type;
use engine::arrow::array::{Array, ArrayRef, AsArray, Decimal128Builder};
use engine::arrow::datatypes::{DataType, Decimal128Type, TimestampMicrosecondType};
use engine::datafusion::common::{Result, plan_err};
use engine::datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use engine::sql::functions::{Function, FunctionDoc};
use engine::table::{DECIMAL_PRECISION, DECIMAL_SCALE};

use crate::price::Prices;

const SIGNATURE: &str = "fx(amount, from, to [, at])";

/// The function, over the shared rates.
pub fn functions(prices: &Arc<Prices>) -> Vec<Function> {
    let udf = Fx { prices: Arc::clone(prices), signature: Signature::user_defined(Volatility::Stable) };
    let doc = FunctionDoc {
        name: "fx",
        signature: SIGNATURE,
        sentence: "An amount in another currency, by the rate of the day (`fx_rate`), exact in decimals; NULL where there is no rate. Without `at`, today's rate.",
        example: "fx(10, 'EUR', 'EUR')",
    };
    vec![Function { udf: Arc::new(ScalarUDF::new_from_impl(udf)), doc }]
}

#[derive(Debug)]
struct Fx {
    prices: Arc<Prices>,
    signature: Signature,
}

impl PartialEq for Fx {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.prices, &other.prices)
    }
}

impl Eq for Fx {}

impl Hash for Fx {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for Fx {
    fn name(&self) -> &str {
        "fx"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let all = [Type::Decimal.arrow(), DataType::Utf8, DataType::Utf8, Type::Time.arrow()];
        match types.len() {
            3 | 4 => Ok(all[..types.len()].to_vec()),
            _ => plan_err!("fx does not take these arguments: {SIGNATURE}"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let columns: Vec<ArrayRef> = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<_>>()?;
        let (amounts, now, exchange) =
            (columns[0].as_primitive::<Decimal128Type>(), self.prices.now(), self.prices.exchange());
        let (from, to) = (columns[1].as_string::<i32>(), columns[2].as_string::<i32>());
        let times = columns.get(3).map(|times| times.as_primitive::<TimestampMicrosecondType>());
        let mut converted =
            Decimal128Builder::with_capacity(rows).with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE)?;
        for row in 0..rows {
            // An unknown day has no rate; only a call without the argument means today.
            let at = times.map_or(Some(now), |times| times.is_valid(row).then(|| times.value(row)));
            let whole = amounts.is_valid(row) && from.is_valid(row) && to.is_valid(row);
            converted.append_option(
                at.filter(|_| whole)
                    .and_then(|at| exchange.convert(amounts.value(row), from.value(row), to.value(row), at)),
            );
        }
        Ok(ColumnarValue::Array(Arc::new(converted.finish())))
    }
}
