//! SUM and AVG of decimals, summed in 256 bits and checked when the result is read. Everything else goes to the stock
//! aggregates. The result has 38 digits: SUM keeps its scale, AVG has at least 18 digits after the point.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Decimal256Array, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Field, FieldRef, UInt64Type, i256};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::functions_aggregate::{average::avg_udaf, sum::sum_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
};

use crate::sql::arithmetic::overflow;
use crate::sql::decimal::{divide_half_even, narrow, result_type, scale_of, shift};
use crate::table::{DECIMAL_PRECISION, DECIMAL_SCALE};

/// Digits of a state while it is summed.
const WIDE_DIGITS: u8 = 76;

/// The aggregates that stand in for the stock ones of the same name.
pub fn all() -> Vec<Arc<AggregateUDF>> {
    [(Kind::Sum, sum_udaf()), (Kind::Average, avg_udaf())]
        .into_iter()
        .map(|(kind, stock)| Arc::new(AggregateUDF::from(Checked { kind, stock })))
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Sum,
    Average,
}

/// SUM or AVG: decimals here, the rest in the stock function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    kind: Kind,
    stock: Arc<AggregateUDF>,
}

impl Checked {
    fn result_scale(&self, input: i8) -> i8 {
        let scale = match self.kind {
            Kind::Sum => input,
            Kind::Average => input.max(DECIMAL_SCALE),
        };
        scale.clamp(0, DECIMAL_PRECISION as i8)
    }

    fn rule(&self, fields: &[FieldRef]) -> Option<Rule> {
        let input = scale_of(fields.first()?.data_type())?;
        Some(Rule { kind: self.kind, input, result: self.result_scale(input) })
    }
}

impl AggregateUDFImpl for Checked {
    fn name(&self) -> &str {
        self.stock.name()
    }

    fn aliases(&self) -> &[String] {
        self.stock.aliases()
    }

    fn signature(&self) -> &Signature {
        self.stock.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.stock.inner().coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first().and_then(scale_of) {
            Some(scale) => Ok(result_type(self.result_scale(scale))),
            None => self.stock.return_type(types),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let Some(rule) = self.rule(args.input_fields) else { return self.stock.state_fields(args) };
        let wide = rule.wide();
        if args.is_distinct {
            let name = format_state_name(args.name, "distinct");
            return Ok(vec![Arc::new(Field::new_list(name, Field::new_list_field(wide, true), true))]);
        }
        Ok(vec![
            Arc::new(Field::new(format_state_name(args.name, "sum"), wide, true)),
            Arc::new(Field::new(format_state_name(args.name, "count"), DataType::UInt64, true)),
        ])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match self.rule(args.expr_fields) {
            Some(rule) if args.is_distinct => Ok(Box::new(DistinctTotal { rule, seen: HashMap::new() })),
            Some(rule) => Ok(Box::new(Total { rule, sum: Sum::default(), count: 0 })),
            None => self.stock.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match self.rule(args.expr_fields) {
            Some(_) => self.accumulator(args),
            None => self.stock.create_sliding_accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        match self.rule(args.expr_fields) {
            Some(_) => !args.is_distinct,
            None => self.stock.groups_accumulator_supported(args),
        }
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        match self.rule(args.expr_fields) {
            Some(rule) => Ok(Box::new(Totals { rule, sums: Vec::new(), counts: Vec::new() })),
            None => self.stock.create_groups_accumulator(args),
        }
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn set_monotonicity(&self, kind: &DataType) -> SetMonotonicity {
        self.stock.inner().set_monotonicity(kind)
    }
}

/// What is aggregated, and the scales of input and result.
#[derive(Debug, Clone, Copy)]
struct Rule {
    kind: Kind,
    input: i8,
    result: i8,
}

impl Rule {
    /// The type of sums on their way.
    fn wide(self) -> DataType {
        DataType::Decimal256(WIDE_DIGITS, self.input)
    }

    /// A column of any decimal type as one of 256 bits.
    fn widen(self, values: &ArrayRef) -> Result<Decimal256Array> {
        Ok(cast(values, &self.wide())?.as_primitive::<Decimal256Type>().clone())
    }

    /// The ledger's own decimals, which need no widening: sums of them are kept in two words.
    fn narrow(values: &ArrayRef) -> Option<&Decimal128Array> {
        values.as_primitive_opt::<Decimal128Type>()
    }

    /// The result of a sum and a count: nothing for no rows.
    fn result(self, sum: i256, count: u64) -> Result<Option<i128>> {
        if count == 0 {
            return Ok(None);
        }
        let scaled = shift(sum, i32::from(self.result) - i32::from(self.input));
        let value = match self.kind {
            Kind::Sum => scaled,
            Kind::Average => scaled.and_then(|n| divide_half_even(n, i256::from_i128(count.into()))),
        };
        match value.and_then(narrow) {
            Some(value) => Ok(Some(value)),
            None => Err(overflow(self.name(), self.result)),
        }
    }

    fn scalar(self, sum: i256, count: u64) -> Result<ScalarValue> {
        Ok(ScalarValue::Decimal128(self.result(sum, count)?, DECIMAL_PRECISION, self.result))
    }

    fn name(self) -> &'static str {
        match self.kind {
            Kind::Sum => "SUM",
            Kind::Average => "AVG",
        }
    }

    fn add(self, sum: i256, value: i256) -> Result<i256> {
        sum.checked_add(value).ok_or_else(|| overflow(self.name(), self.result))
    }
}

/// A sum in 256 bits, in a form to which 128 bits are added in a few instructions, without a copy of the column in 256.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    low: u128,
    high: i128,
}

impl Sum {
    /// Adds a decimal of 128 bits. Never overflows: it would take 2^127 of them.
    fn add(&mut self, value: i128) {
        let (low, carry) = self.low.overflowing_add(value.cast_unsigned());
        self.low = low;
        self.high += i128::from(carry) - i128::from(value < 0);
    }

    /// Adds a decimal of 256 bits.
    fn add_wide(&mut self, rule: Rule, value: i256) -> Result<()> {
        let sum = rule.add(self.wide(), value)?;
        (self.low, self.high) = sum.to_parts();
        Ok(())
    }

    fn wide(self) -> i256 {
        i256::from_parts(self.low, self.high)
    }
}

/// One sum and its count of values.
#[derive(Debug)]
struct Total {
    rule: Rule,
    sum: Sum,
    count: u64,
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if let Some(narrow) = Rule::narrow(&values[0]) {
            narrow.iter().flatten().for_each(|value| self.sum.add(value));
            self.count += (narrow.len() - narrow.null_count()) as u64;
            return Ok(());
        }
        for value in self.rule.widen(&values[0])?.iter().flatten() {
            self.sum.add_wide(self.rule, value)?;
            self.count += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in self.rule.widen(&values[0])?.iter().flatten() {
            self.sum.add_wide(self.rule, value.wrapping_neg())?;
            self.count -= 1;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.rule.scalar(self.sum.wide(), self.count)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = ScalarValue::Decimal256(Some(self.sum.wide()), WIDE_DIGITS, self.rule.input);
        Ok(vec![sum, ScalarValue::UInt64(Some(self.count))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (sums, counts) = (states[0].as_primitive::<Decimal256Type>(), states[1].as_primitive::<UInt64Type>());
        for (sum, count) in sums.iter().zip(counts) {
            self.sum.add_wide(self.rule, sum.unwrap_or(i256::ZERO))?;
            self.count += count.unwrap_or(0);
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The different values of `SUM(DISTINCT …)`, each with how often it is in the window frame.
#[derive(Debug)]
struct DistinctTotal {
    rule: Rule,
    seen: HashMap<i256, u64>,
}

impl Accumulator for DistinctTotal {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in self.rule.widen(&values[0])?.iter().flatten() {
            *self.seen.entry(value).or_default() += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in self.rule.widen(&values[0])?.iter().flatten() {
            if let Some(times) = self.seen.get_mut(&value) {
                *times -= 1;
                if *times == 0 {
                    self.seen.remove(&value);
                }
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.seen.keys().try_fold(i256::ZERO, |sum, value| self.rule.add(sum, *value))?;
        self.rule.scalar(sum, self.seen.len() as u64)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let input = self.rule.input;
        let values: Vec<ScalarValue> =
            self.seen.keys().map(|value| ScalarValue::Decimal256(Some(*value), WIDE_DIGITS, input)).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&values, &self.rule.wide()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in states[0].as_list::<i32>().iter().flatten() {
            self.update_batch(&[values])?;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.seen.capacity() * size_of::<(i256, u64)>()
    }
}

/// A sum and a count per group.
struct Totals {
    rule: Rule,
    sums: Vec<Sum>,
    counts: Vec<u64>,
}

impl Totals {
    fn grow(&mut self, groups: usize) {
        self.sums.resize(groups, Sum::default());
        self.counts.resize(groups, 0);
    }

    fn take(&mut self, emit: EmitTo) -> (impl Iterator<Item = i256> + use<>, Vec<u64>) {
        let sums = emit.take_needed(&mut self.sums);
        (sums.into_iter().map(Sum::wide), emit.take_needed(&mut self.counts))
    }

    fn as_state(&self, sums: impl Iterator<Item = i256>, counts: Vec<u64>) -> Vec<ArrayRef> {
        let sums = Decimal256Array::from_iter_values(sums).with_data_type(self.rule.wide());
        vec![Arc::new(sums), Arc::new(UInt64Array::from(counts))]
    }
}

fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

impl GroupsAccumulator for Totals {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        self.grow(group_count);
        if let Some(narrow) = Rule::narrow(&values[0]) {
            for ((row, &group), &value) in groups.iter().enumerate().zip(narrow.values()) {
                if narrow.is_valid(row) && passes(filter, row) {
                    self.sums[group].add(value);
                    self.counts[group] += 1;
                }
            }
            return Ok(());
        }
        let values = self.rule.widen(&values[0])?;
        for (row, &group) in groups.iter().enumerate() {
            if values.is_valid(row) && passes(filter, row) {
                self.sums[group].add_wide(self.rule, values.value(row))?;
                self.counts[group] += 1;
            }
        }
        Ok(())
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        let [sums, counts] = states else { return exec_err!("a decimal total has two states") };
        self.grow(group_count);
        let (sums, counts) = (sums.as_primitive::<Decimal256Type>(), counts.as_primitive::<UInt64Type>());
        for (row, &group) in groups.iter().enumerate() {
            if sums.is_valid(row) && counts.is_valid(row) && passes(filter, row) {
                self.sums[group].add_wide(self.rule, sums.value(row))?;
                self.counts[group] += counts.value(row);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let (sums, counts) = self.take(emit);
        let results: Vec<Option<i128>> =
            sums.zip(counts).map(|(sum, count)| self.rule.result(sum, count)).collect::<Result<_>>()?;
        Ok(Arc::new(Decimal128Array::from(results).with_data_type(result_type(self.rule.result))))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let (sums, counts) = self.take(emit);
        Ok(self.as_state(sums, counts))
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = self.rule.widen(&values[0])?;
        let counted: Vec<bool> = (0..values.len()).map(|row| values.is_valid(row) && passes(filter, row)).collect();
        let counts = counted.iter().map(|&counted| u64::from(counted)).collect();
        let sums =
            counted.iter().enumerate().map(|(row, &counted)| if counted { values.value(row) } else { i256::ZERO });
        Ok(self.as_state(sums, counts))
    }

    fn supports_convert_to_state(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<Sum>() + self.counts.capacity() * size_of::<u64>()
    }
}
