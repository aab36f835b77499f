//! Operators with a meaning of their own: checked decimals, division that gives NULL for zero, JSON access.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, ScalarUDF, cast, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::sql::arithmetic::{Arithmetic, is_exact};
use crate::sql::decimal::Op;
use crate::sql::json;
use crate::sql::types::is_text;

/// Plans the operators and field accesses that the stock planner does not know or computes unchecked.
#[derive(Debug)]
pub struct Planner;

static ADD: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(Arithmetic::new(Op::Add))));
static SUBTRACT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(Arithmetic::new(Op::Subtract))));
static MULTIPLY: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(Arithmetic::new(Op::Multiply))));
static DIVIDE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(Arithmetic::new(Op::Divide))));
static MODULO: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(Arithmetic::new(Op::Modulo))));

impl ExprPlanner for Planner {
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        match raw.op {
            BinaryOperator::Plus => arithmetic(Op::Add, &ADD, raw, schema),
            BinaryOperator::Minus => arithmetic(Op::Subtract, &SUBTRACT, raw, schema),
            BinaryOperator::Multiply => arithmetic(Op::Multiply, &MULTIPLY, raw, schema),
            BinaryOperator::Divide => arithmetic(Op::Divide, &DIVIDE, raw, schema),
            BinaryOperator::Modulo => arithmetic(Op::Modulo, &MODULO, raw, schema),
            BinaryOperator::Arrow | BinaryOperator::HashArrow => {
                Ok(PlannerResult::Planned(json::get().call(vec![raw.left, raw.right])))
            }
            BinaryOperator::LongArrow | BinaryOperator::HashLongArrow => {
                Ok(PlannerResult::Planned(json::get_text().call(vec![raw.left, raw.right])))
            }
            _ => Ok(PlannerResult::Original(raw)),
        }
    }

    // `Tags["team"]` on a JSON text is the value as text, as on a map.
    fn plan_field_access(
        &self,
        raw: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let on_text = raw.expr.get_type(schema).is_ok_and(|kind| is_text(&kind));
        let key = match &raw.field_access {
            GetFieldAccess::NamedStructField { name } if on_text => lit(name.clone()),
            GetFieldAccess::ListIndex { key } if on_text => key.as_ref().clone(),
            _ => return Ok(PlannerResult::Original(raw)),
        };
        Ok(PlannerResult::Planned(json::get_text().call(vec![raw.expr, key])))
    }
}

fn arithmetic(
    op: Op,
    function: &Arc<ScalarUDF>,
    mut raw: RawBinaryExpr,
    schema: &DFSchema,
) -> Result<PlannerResult<RawBinaryExpr>> {
    let types = (raw.left.get_type(schema), raw.right.get_type(schema));
    let (Ok(mut left), Ok(mut right)) = types else { return Ok(PlannerResult::Original(raw)) };
    // A parameter is a text literal; beside an interval it is an instant, beside a number it is a number.
    if matches!(right, DataType::Interval(_)) && is_text_literal(&raw.left) {
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        raw.left = cast(raw.left, instant);
        return Ok(PlannerResult::Original(raw));
    }
    if left.is_numeric() && number_literal(&mut raw.right) {
        right = raw.right.get_type(schema)?;
    }
    if right.is_numeric() && number_literal(&mut raw.left) {
        left = raw.left.get_type(schema)?;
    }
    let divides = matches!(op, Op::Divide | Op::Modulo);
    let numbers = left.is_numeric() && right.is_numeric();
    let planned = is_exact(&left, &right) || (divides && numbers && !is_other_than_zero(&raw.right));
    if !planned {
        return Ok(PlannerResult::Original(raw));
    }
    Ok(PlannerResult::Planned(function.call(vec![raw.left, raw.right])))
}

fn is_text_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.try_as_str().is_some())
}

/// Turns a text literal that is a number into one.
fn number_literal(expr: &mut Expr) -> bool {
    let Expr::Literal(value, _) = &*expr else { return false };
    let Some(Some(text)) = value.try_as_str() else { return false };
    let Some(number) = parse_number(text.trim()) else { return false };
    *expr = lit(number);
    true
}

/// An integer, or an exact decimal of at most 38 digits.
fn parse_number(text: &str) -> Option<ScalarValue> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(ScalarValue::Int64(Some(whole)));
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all: String = [whole, fraction].concat();
    if all.is_empty() || all.len() > 38 || !all.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: i128 = all.parse().ok()?;
    let scale = i8::try_from(fraction.len()).ok()?;
    Some(ScalarValue::Decimal128(Some(if negative { -value } else { value }), 38, scale))
}

/// Whether the divisor is a constant that needs no look at zero.
fn is_other_than_zero(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => {
            !value.is_null() && ScalarValue::new_zero(&value.data_type()).is_ok_and(|zero| zero != *value)
        }
        _ => false,
    }
}
