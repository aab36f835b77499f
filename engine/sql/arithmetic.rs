//! The operators `+ - * / %` as checked functions: decimals in 256 bits, and NULL for a division by zero of any number.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Scalar};
use arrow::compute::kernels::{numeric, zip};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, i256};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    type_coercion::binary::BinaryTypeCoercer,
};

use crate::sql::decimal::{Op, Outcome, Scales, as_decimal, result_type, scale_of};

/// One operator as a function; the planner puts it where the operator stood.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Arithmetic {
    op: Op,
    signature: Signature,
}

impl Arithmetic {
    /// The function of an operator.
    pub fn new(op: Op) -> Arithmetic {
        Arithmetic { op, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// The functions of all operators, for a session's registry.
    pub fn all() -> Vec<Arc<ScalarUDF>> {
        let all = [Op::Add, Op::Subtract, Op::Multiply, Op::Divide, Op::Modulo];
        all.into_iter().map(|op| Arc::new(ScalarUDF::from(Arithmetic::new(op)))).collect()
    }

    /// Types that both operands are brought to.
    fn operands(&self, left: &DataType, right: &DataType) -> Result<(DataType, DataType)> {
        if is_exact(left, right)
            && let (Some(left), Some(right)) = (as_decimal(left), as_decimal(right))
        {
            return Ok((left, right));
        }
        BinaryTypeCoercer::new(left, &self.operator(), right).get_input_types()
    }

    fn operator(&self) -> Operator {
        match self.op {
            Op::Add => Operator::Plus,
            Op::Subtract => Operator::Minus,
            Op::Multiply => Operator::Multiply,
            Op::Divide => Operator::Divide,
            Op::Modulo => Operator::Modulo,
        }
    }
}

/// Whether an operation is done in decimals: one side is a decimal and neither is a float.
pub fn is_exact(left: &DataType, right: &DataType) -> bool {
    (scale_of(left).is_some() || scale_of(right).is_some()) && as_decimal(left).is_some() && as_decimal(right).is_some()
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        match self.op {
            Op::Add => "checked_add",
            Op::Subtract => "checked_subtract",
            Op::Multiply => "checked_multiply",
            Op::Divide => "checked_divide",
            Op::Modulo => "checked_modulo",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    // The header of a column is the operator as the user wrote it.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [left, right] = args else { return plan_err!("{} takes two values", self.name()) };
        Ok(format!("{} {} {}", operand(left), self.op.sign(), operand(right)))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [left, right] = types else { return plan_err!("{} takes two values", self.name()) };
        let (left, right) = self.operands(left, right)?;
        Ok(vec![left, right])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [left, right] = types else { return plan_err!("{} takes two values", self.name()) };
        match (scale_of(left), scale_of(right)) {
            (Some(l), Some(r)) => Ok(result_type(self.op.scale(l, r))),
            _ => BinaryTypeCoercer::new(left, &self.operator(), right).get_result_type(),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return exec_err!("{} takes two values", self.name()) };
        let rows = match (left, right) {
            (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)) => 1,
            _ => args.number_rows,
        };
        let result: ArrayRef = match (scale_of(&left.data_type()), scale_of(&right.data_type())) {
            (Some(l), Some(r)) => {
                let result = self.op.scale(l, r);
                let scales = Scales { left: l.into(), right: r.into(), result: result.into() };
                Arc::new(
                    decimals(self.op, &Side::new(left)?, &Side::new(right)?, scales, rows)?
                        .with_data_type(result_type(result)),
                )
            }
            _ => null_for_zero(self.op, left, right, rows)?,
        };
        match (left, right) {
            (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)) => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
            }
            _ => Ok(ColumnarValue::Array(result)),
        }
    }
}

fn operand(expr: &Expr) -> String {
    let name = expr.schema_name();
    let nested = match expr {
        Expr::BinaryExpr(BinaryExpr { .. }) => true,
        Expr::ScalarFunction(function) => function.func.inner().is::<Arithmetic>(),
        _ => false,
    };
    if nested { format!("({name})") } else { name.to_string() }
}

/// An operand: a column of one of the two wide decimal types, or one value for all rows.
struct Side {
    array: ArrayRef,
    constant: bool,
}

impl Side {
    fn new(value: &ColumnarValue) -> Result<Side> {
        Ok(match value {
            ColumnarValue::Array(array) => Side { array: array.clone(), constant: false },
            ColumnarValue::Scalar(scalar) => Side { array: scalar.to_array()?, constant: true },
        })
    }

    /// A reader of values by row; `None` is NULL.
    fn reader(&self) -> Result<Box<dyn Fn(usize) -> Option<i256> + '_>> {
        let constant = self.constant;
        let at = move |row: usize| if constant { 0 } else { row };
        match self.array.data_type() {
            DataType::Decimal128(..) => {
                let array = self.array.as_primitive::<Decimal128Type>();
                Ok(Box::new(move |row| {
                    let row = at(row);
                    array.is_valid(row).then(|| i256::from_i128(array.value(row)))
                }))
            }
            DataType::Decimal256(..) => {
                let array = self.array.as_primitive::<Decimal256Type>();
                Ok(Box::new(move |row| {
                    let row = at(row);
                    array.is_valid(row).then(|| array.value(row))
                }))
            }
            other => exec_err!("{other} is no decimal"),
        }
    }
}

fn decimals(op: Op, left: &Side, right: &Side, scales: Scales, rows: usize) -> Result<Decimal128Array> {
    let (left, right) = (left.reader()?, right.reader()?);
    let mut values = Decimal128Array::builder(rows);
    for row in 0..rows {
        match (left(row), right(row)) {
            (Some(l), Some(r)) => match op.apply(l, r, scales) {
                Outcome::Value(value) => values.append_value(value),
                Outcome::Null => values.append_null(),
                Outcome::Overflow => return Err(overflow(op.sign(), scales.result)),
            },
            _ => values.append_null(),
        }
    }
    Ok(values.finish())
}

/// The error of a result that has more than 38 digits.
pub fn overflow(operation: &str, scale: impl std::fmt::Display) -> datafusion::error::DataFusionError {
    datafusion::error::DataFusionError::Execution(format!(
        "decimal overflow: the result of {operation} does not fit DECIMAL(38,{scale}); cast an operand to a smaller scale or to DOUBLE"
    ))
}

/// Integers and floats: the stock kernel, with NULL where the divisor is zero.
fn null_for_zero(op: Op, left: &ColumnarValue, right: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
    let (left, right) = (left.to_array(rows)?, right.to_array(rows)?);
    let zero = Scalar::new(ScalarValue::new_zero(right.data_type())?.to_array()?);
    let is_zero = arrow::compute::kernels::cmp::eq(&right, &zero)?;
    let null = Scalar::new(ScalarValue::try_from(right.data_type())?.to_array()?);
    let divisor = zip::zip(&is_zero, &null, &right)?;
    Ok(match op {
        Op::Divide => numeric::div(&left, &divisor)?,
        Op::Modulo => numeric::rem(&left, &divisor)?,
        Op::Add | Op::Subtract | Op::Multiply => return exec_err!("checked {} takes decimals", op.sign()),
    })
}
