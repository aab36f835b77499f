//! Decimal arithmetic for money: computed in 256 bits, rounded half-even (as Python's `decimal` does), checked at the
//! end. The stock kernels wrap or overflow at the ledger's scale of 18.

use arrow::datatypes::{DataType, i256};

use crate::table::{DECIMAL_PRECISION, DECIMAL_SCALE};

/// An operator over two decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Op {
    /// As SQL writes it.
    pub fn sign(self) -> &'static str {
        match self {
            Op::Add => "+",
            Op::Subtract => "-",
            Op::Multiply => "*",
            Op::Divide => "/",
            Op::Modulo => "%",
        }
    }

    /// Digits after the point of the result: never fewer than the operands have, and for a quotient or a product of
    /// long fractions 18 or the longer operand's.
    pub fn scale(self, left: i8, right: i8) -> i8 {
        let longer = left.max(right);
        let scale = match self {
            Op::Add | Op::Subtract | Op::Modulo => longer,
            Op::Multiply => left.saturating_add(right).min(longer.max(DECIMAL_SCALE)),
            Op::Divide => longer.max(DECIMAL_SCALE),
        };
        scale.clamp(0, DECIMAL_PRECISION as i8)
    }

    /// Computes one value at the result scale of [`Op::scale`].
    pub fn apply(self, left: i256, right: i256, scales: Scales) -> Outcome {
        let Scales { left: left_scale, right: right_scale, result } = scales;
        let value = match self {
            Op::Multiply => left.checked_mul(right).and_then(|p| shift(p, result - left_scale - right_scale)),
            Op::Divide if right == i256::ZERO => return Outcome::Null,
            Op::Divide => shift(left, result + right_scale - left_scale).and_then(|n| divide_half_even(n, right)),
            Op::Modulo if right == i256::ZERO => return Outcome::Null,
            Op::Modulo => shift(left, result - left_scale)
                .zip(shift(right, result - right_scale))
                .and_then(|(l, r)| l.checked_rem(r)),
            Op::Add => shift(left, result - left_scale)
                .zip(shift(right, result - right_scale))
                .and_then(|(l, r)| l.checked_add(r)),
            Op::Subtract => shift(left, result - left_scale)
                .zip(shift(right, result - right_scale))
                .and_then(|(l, r)| l.checked_sub(r)),
        };
        match value.and_then(narrow) {
            Some(value) => Outcome::Value(value),
            None => Outcome::Overflow,
        }
    }
}

/// Digits after the point of the operands and of the result.
#[derive(Debug, Clone, Copy)]
pub struct Scales {
    pub left: i32,
    pub right: i32,
    pub result: i32,
}

/// What an operation gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Value(i128),
    /// The divisor is zero.
    Null,
    /// More than 38 digits.
    Overflow,
}

/// Smallest value with 39 digits.
const TOO_LARGE: i128 = 10_i128.pow(DECIMAL_PRECISION as u32);
/// 10^76 is the largest power of ten in 256 bits.
const EXPONENT_MAX: i32 = 76;

/// A value of at most 38 digits.
pub fn narrow(value: i256) -> Option<i128> {
    value.to_i128().filter(|v| (-TOO_LARGE < *v) && (*v < TOO_LARGE))
}

/// Multiplies by 10^digits; for negative digits divides, half-even.
pub fn shift(value: i256, digits: i32) -> Option<i256> {
    if digits == 0 {
        return Some(value);
    }
    if digits.abs() > EXPONENT_MAX {
        // Nothing but zero survives either way.
        return if digits < 0 || value == i256::ZERO { Some(i256::ZERO) } else { None };
    }
    let power = power_of_ten(digits.unsigned_abs());
    if digits > 0 { value.checked_mul(power) } else { divide_half_even(value, power) }
}

fn power_of_ten(exponent: u32) -> i256 {
    match 10_i128.checked_pow(exponent) {
        Some(power) => i256::from_i128(power),
        None => i256::from_i128(10).wrapping_pow(exponent),
    }
}

/// Divides, and rounds a tie to the even neighbour. The divisor is not zero.
pub fn divide_half_even(numerator: i256, divisor: i256) -> Option<i256> {
    if let (Some(n), Some(d)) = (numerator.to_i128(), divisor.to_i128())
        && let (Some(quotient), Some(rest)) = (n.checked_div(d), n.checked_rem(d))
    {
        let away = match rest.unsigned_abs().cmp(&(d.unsigned_abs() - rest.unsigned_abs())) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => quotient % 2 != 0,
            std::cmp::Ordering::Greater => true,
        };
        let step = if (n < 0) == (d < 0) { 1 } else { -1 };
        return Some(i256::from_i128(quotient).wrapping_add(i256::from_i128(if away { step } else { 0 })));
    }
    let quotient = numerator.checked_div(divisor)?;
    let rest = numerator.checked_rem(divisor)?.checked_abs()?;
    let left_over = divisor.checked_abs()?.checked_sub(rest)?;
    let odd = quotient.to_parts().0 & 1 == 1;
    if rest > left_over || (rest == left_over && odd) {
        let step = if numerator.is_negative() == divisor.is_negative() { i256::ONE } else { i256::MINUS_ONE };
        return quotient.checked_add(step);
    }
    Some(quotient)
}

/// The decimal type that an operand counts as: its own, or the exact one of an integer.
pub fn as_decimal(kind: &DataType) -> Option<DataType> {
    match kind {
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => Some(DataType::Decimal128(*p, *s)),
        DataType::Decimal128(..) | DataType::Decimal256(..) => Some(kind.clone()),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
            Some(DataType::Decimal128(10, 0))
        }
        DataType::UInt32 | DataType::Int64 | DataType::UInt64 => Some(DataType::Decimal128(20, 0)),
        DataType::Null => Some(DataType::Decimal128(1, 0)),
        DataType::Dictionary(_, value) => as_decimal(value),
        _ => None,
    }
}

/// Digits after the point of a decimal type.
pub fn scale_of(kind: &DataType) -> Option<i8> {
    match kind {
        DataType::Decimal32(_, s)
        | DataType::Decimal64(_, s)
        | DataType::Decimal128(_, s)
        | DataType::Decimal256(_, s) => Some(*s),
        _ => None,
    }
}

/// The type of every computed decimal: 38 digits.
pub fn result_type(scale: i8) -> DataType {
    DataType::Decimal128(DECIMAL_PRECISION, scale)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn half_even(n: i128, d: i128) -> i128 {
        divide_half_even(i256::from_i128(n), i256::from_i128(d)).unwrap().to_i128().unwrap()
    }

    #[test]
    fn ties_go_to_the_even_neighbour() {
        for (n, d, expected) in [
            (5, 10, 0),
            (15, 10, 2),
            (25, 10, 2),
            (-5, 10, 0),
            (-15, 10, -2),
            (25, -10, -2),
            (26, 10, 3),
            (-26, 10, -3),
            (0, 7, 0),
            (i128::MAX, 1, i128::MAX),
            (7, i128::MAX, 0),
        ] {
            assert_eq!(half_even(n, d), expected, "{n}/{d}");
        }
        let wide = i256::from_i128(i128::MAX).checked_mul(i256::from_i128(1000)).unwrap();
        let one_and_a_half = wide.checked_add(i256::from_i128(500)).unwrap();
        assert_eq!(divide_half_even(one_and_a_half, i256::from_i128(1000)).unwrap().to_i128(), None);
    }

    #[test]
    fn scales_follow_the_rule() {
        for (op, left, right, scale) in [
            (Op::Multiply, 18, 0, 18),
            (Op::Multiply, 18, 18, 18),
            (Op::Multiply, 2, 2, 4),
            (Op::Multiply, 12, 12, 18),
            (Op::Multiply, 24, 18, 24),
            (Op::Divide, 2, 2, 18),
            (Op::Divide, 24, 2, 24),
            (Op::Add, 2, 18, 18),
            (Op::Multiply, 38, 38, 38),
            (Op::Divide, 60, 1, 38),
        ] {
            assert_eq!(op.scale(left, right), scale, "{left} {} {right}", op.sign());
        }
    }
}
