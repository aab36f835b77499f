//! Functions of time: parts (`month(t)`), days (`date(t)`), buckets, periods, differences, and texts in the formats of
//! other databases. Everything is UTC; an instant may also be given as text.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::{DatePart, cast, date_part};
use arrow::datatypes::{DataType, Int64Type, IntervalUnit};
use chrono::{DateTime, Datelike};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

use crate::sql::functions::FunctionDoc;
use crate::sql::time_format;
use crate::sql::time_kernels::{
    add, buckets, difference, in_period, instant, instants, micros, months_later, period, plain,
};
use crate::sql::types;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Make {
    Part(Part),
    Date,
    LastDay,
    Bucket,
    /// Whether an instant is in a named period.
    InPeriod,
    PeriodStart,
    PeriodEnd,
    /// Adds a number of units.
    Add {
        sign: i64,
    },
    /// Unit boundaries between two instants.
    Difference,
    /// Text in chrono's, PostgreSQL's or MySQL's format.
    Format {
        mysql: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    DayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Second,
}

impl Part {
    fn kernel(self) -> DatePart {
        match self {
            Part::Year => DatePart::Year,
            Part::Quarter => DatePart::Quarter,
            Part::Month => DatePart::Month,
            Part::Week => DatePart::WeekISO,
            Part::Day => DatePart::Day,
            Part::DayOfWeek => DatePart::DayOfWeekSunday0,
            Part::DayOfYear => DatePart::DayOfYear,
            Part::Hour => DatePart::Hour,
            Part::Minute => DatePart::Minute,
            Part::Second => DatePart::Second,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Time {
    name: &'static str,
    aliases: Vec<String>,
    make: Make,
    signature: Signature,
}

/// Name, aliases, result; then signature, sentence and example for the SQL reference.
type Entry = (&'static str, &'static [&'static str], Make, &'static str, &'static str, &'static str);

const ENTRIES: &[Entry] = &[
    ("year", &[], Make::Part(Part::Year), "year(t)", "The year of an instant.", "year(ChargePeriodStart)"),
    ("quarter", &[], Make::Part(Part::Quarter), "quarter(t)", "The quarter, 1 to 4.", "quarter(ChargePeriodStart)"),
    ("month", &[], Make::Part(Part::Month), "month(t)", "The month, 1 to 12.", "month(ChargePeriodStart)"),
    ("week", &["weekofyear"], Make::Part(Part::Week), "week(t)", "The ISO week, 1 to 53.", "week(ChargePeriodStart)"),
    ("day", &["dayofmonth"], Make::Part(Part::Day), "day(t)", "The day of the month.", "day(ChargePeriodStart)"),
    (
        "dayofweek",
        &[],
        Make::Part(Part::DayOfWeek),
        "dayofweek(t)",
        "The day of the week, 0 is Sunday.",
        "dayofweek(ChargePeriodStart)",
    ),
    (
        "dayofyear",
        &[],
        Make::Part(Part::DayOfYear),
        "dayofyear(t)",
        "The day of the year.",
        "dayofyear(ChargePeriodStart)",
    ),
    ("hour", &[], Make::Part(Part::Hour), "hour(t)", "The hour, 0 to 23.", "hour(ChargePeriodStart)"),
    ("minute", &[], Make::Part(Part::Minute), "minute(t)", "The minute.", "minute(ChargePeriodStart)"),
    ("second", &[], Make::Part(Part::Second), "second(t)", "The second.", "second(ChargePeriodStart)"),
    ("date", &["to_date"], Make::Date, "date(t)", "The day of an instant.", "date(ChargePeriodStart)"),
    ("last_day", &[], Make::LastDay, "last_day(t)", "The last day of the month.", "last_day(ChargePeriodStart)"),
    (
        "time_bucket",
        &[],
        Make::Bucket,
        "time_bucket(interval, t [, origin])",
        "The start of the bucket that holds an instant; weeks start on Monday, months on the first.",
        "time_bucket(INTERVAL '1 week', ChargePeriodStart)",
    ),
    (
        "period",
        &["in_period"],
        Make::InPeriod,
        "period(t, 'YYYY | YYYY-Qn | YYYY-MM | YYYY-Www | YYYY-MM-DD')",
        "Whether an instant is in a period, its end excluded.",
        "period(ChargePeriodStart, '2026-05')",
    ),
    (
        "period_start",
        &[],
        Make::PeriodStart,
        "period_start(text)",
        "The first instant of a period.",
        "period_start('2026-05')",
    ),
    (
        "period_end",
        &[],
        Make::PeriodEnd,
        "period_end(text)",
        "The first instant after a period: FOCUS's exclusive end.",
        "ChargePeriodEnd <= period_end('2026-05')",
    ),
    (
        "dateadd",
        &["timestampadd"],
        Make::Add { sign: 1 },
        "dateadd(unit, n, t)",
        "An instant n units later.",
        "dateadd('month', 1, ChargePeriodStart)",
    ),
    (
        "datesub",
        &[],
        Make::Add { sign: -1 },
        "datesub(unit, n, t)",
        "An instant n units earlier.",
        "datesub('day', 7, ChargePeriodStart)",
    ),
    (
        "datediff",
        &["date_diff", "timestampdiff"],
        Make::Difference,
        "datediff(unit, from, to), datediff(to, from)",
        "Unit boundaries between two instants; days without a unit.",
        "datediff('day', BillingPeriodStart, ChargePeriodStart)",
    ),
    (
        "to_char",
        &["strftime", "format_date", "format_timestamp", "format_datetime"],
        Make::Format { mysql: false },
        "to_char(t, format)",
        "An instant as text, in strftime's (%Y-%m) or PostgreSQL's (YYYY-MM) format.",
        "to_char(ChargePeriodStart, 'YYYY-MM')",
    ),
    (
        "date_format",
        &[],
        Make::Format { mysql: true },
        "date_format(t, format)",
        "An instant as text, in MySQL's format.",
        "date_format(ChargePeriodStart, '%Y-%m')",
    ),
];

static FUNCTIONS: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| ENTRIES.iter().map(function).collect());

fn function(entry: &Entry) -> Arc<ScalarUDF> {
    let (name, aliases, make, ..) = *entry;
    Arc::new(ScalarUDF::from(Time {
        name,
        aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
        make,
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

/// The time functions, for a session's registry.
pub(crate) fn all() -> Vec<Arc<ScalarUDF>> {
    FUNCTIONS.clone()
}

/// Their entries in the SQL reference.
pub(crate) fn docs() -> impl Iterator<Item = FunctionDoc> {
    ENTRIES.iter().map(|&(name, _, _, signature, sentence, example)| FunctionDoc { name, signature, sentence, example })
}

fn is_text(kind: &DataType) -> bool {
    kind.is_null() || types::is_text(kind)
}

/// The shape of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Instant,
    Text,
    Whole,
    Interval,
}

impl Shape {
    /// The type that an argument of a given type is brought to.
    fn coerce(self, kind: &DataType) -> Option<DataType> {
        match self {
            // A column keeps its type, so that what is known of its order stays known.
            Shape::Instant => match kind {
                DataType::Timestamp(..) | DataType::Date32 => Some(kind.clone()),
                DataType::Date64 => Some(instant()),
                kind if is_text(kind) => Some(instant()),
                _ => None,
            },
            Shape::Text => is_text(kind).then_some(DataType::Utf8),
            Shape::Whole => (kind.is_integer() || is_text(kind)).then_some(DataType::Int64),
            Shape::Interval => (matches!(kind, DataType::Interval(_) | DataType::Duration(_)) || is_text(kind))
                .then_some(DataType::Interval(IntervalUnit::MonthDayNano)),
        }
    }
}

impl Time {
    fn shapes(&self, types: &[DataType]) -> Option<Vec<Shape>> {
        let text = |at: usize| types.get(at).is_some_and(is_text);
        Some(match (self.make, types.len()) {
            (Make::Part(_) | Make::Date | Make::LastDay, 1) => vec![Shape::Instant],
            (Make::Bucket, 2) => vec![Shape::Interval, Shape::Instant],
            (Make::Bucket, 3) => vec![Shape::Interval, Shape::Instant, Shape::Instant],
            (Make::InPeriod, 2) => vec![Shape::Instant, Shape::Text],
            (Make::PeriodStart | Make::PeriodEnd, 1) => vec![Shape::Text],
            (Make::Add { .. }, 3) => vec![Shape::Text, Shape::Whole, Shape::Instant],
            (Make::Difference, 2) => vec![Shape::Instant, Shape::Instant],
            // BigQuery has the unit at the end and the later instant first.
            (Make::Difference, 3) if text(2) && !text(0) => vec![Shape::Instant, Shape::Instant, Shape::Text],
            (Make::Difference, 3) => vec![Shape::Text, Shape::Instant, Shape::Instant],
            (Make::Format { .. }, 2) if text(0) && !text(1) => vec![Shape::Text, Shape::Instant],
            (Make::Format { .. }, 2) => vec![Shape::Instant, Shape::Text],
            _ => return None,
        })
    }

    fn usage(&self) -> &'static str {
        ENTRIES.iter().find(|entry| entry.0 == self.name).map_or("", |entry| entry.3)
    }
}

impl ScalarUDFImpl for Time {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let coerced = self.shapes(types).and_then(|shapes| {
            shapes.iter().zip(types).map(|(shape, kind)| shape.coerce(kind)).collect::<Option<Vec<_>>>()
        });
        match coerced {
            Some(coerced) => Ok(coerced),
            None => plan_err!("{} does not take these arguments: {}", self.name, self.usage()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.make {
            Make::Part(_) | Make::Difference => DataType::Int64,
            Make::Date | Make::LastDay => DataType::Date32,
            Make::Bucket | Make::PeriodStart | Make::PeriodEnd | Make::Add { .. } => instant(),
            Make::InPeriod => DataType::Boolean,
            Make::Format { .. } => DataType::Utf8,
        })
    }

    // `period(t, '2026-05')` becomes two comparisons, which prune fragments.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let (Make::InPeriod, [time, Expr::Literal(text, _)]) = (self.make, args.as_slice()) else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let Some(Some(text)) = text.try_as_str() else { return Ok(ExprSimplifyResult::Original(args)) };
        let (start, end) = period(text)?;
        let kind = info.get_data_type(time)?;
        let at = |us: i64| -> Result<Expr> {
            Ok(lit(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())).cast_to(&kind)?))
        };
        Ok(ExprSimplifyResult::Simplified(time.clone().gt_eq(at(start)?).and(time.clone().lt(at(end)?))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if all_constant { 1 } else { args.number_rows };
        let types: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
        let columns: Vec<ArrayRef> = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<_>>()?;
        let result = self.column(&types, &columns)?;
        match all_constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)),
            false => Ok(ColumnarValue::Array(result)),
        }
    }
}

impl Time {
    fn column(&self, types: &[DataType], columns: &[ArrayRef]) -> Result<ArrayRef> {
        match (self.make, columns) {
            (Make::Part(part), [time]) => Ok(cast(&date_part(&plain(time)?, part.kernel())?, &DataType::Int64)?),
            (Make::Date, [time]) => Ok(cast(&plain(time)?, &DataType::Date32)?),
            (Make::LastDay, [time]) => {
                let last =
                    |us| months_later(DateTime::from_timestamp_micros(us)?.with_day(1)?, 1)?.date_naive().pred_opt();
                let days = micros(time)?;
                let days = days
                    .iter()
                    .map(|us| last(us?))
                    .map(|day| Some(day?.and_time(Default::default()).and_utc().timestamp_micros()));
                Ok(cast(&instants(days), &DataType::Date32)?)
            }
            (Make::Bucket, [step, time, origin @ ..]) => buckets(step, time, origin.first()),
            (Make::InPeriod, [time, text]) => in_period(time, text),
            (Make::PeriodStart | Make::PeriodEnd, [text]) => {
                let bounds = text.as_string::<i32>().iter().map(|text| text.map(period).transpose());
                let bounds = bounds.collect::<Result<Vec<_>>>()?;
                let start = self.make == Make::PeriodStart;
                Ok(instants(bounds.into_iter().map(|b| b.map(|(s, e)| if start { s } else { e }))))
            }
            (Make::Add { sign }, [unit, count, time]) => {
                let (units, counts, times) =
                    (unit.as_string::<i32>(), count.as_primitive::<Int64Type>(), micros(time)?);
                let rows = units.iter().zip(counts).zip(times.iter());
                let later = rows.map(|((unit, count), us)| match (unit, count, us) {
                    (Some(unit), Some(count), Some(us)) => add(unit, count.saturating_mul(sign), us),
                    _ => Ok(None),
                });
                Ok(instants(later.collect::<Result<Vec<_>>>()?))
            }
            (Make::Difference, [to, from]) => difference(None, from, to),
            (Make::Difference, [a, b, c]) if !is_text(&types[0]) => difference(Some(c), b, a),
            (Make::Difference, [unit, from, to]) => difference(Some(unit), from, to),
            (Make::Format { mysql }, [a, b]) => {
                let (time, format) = if is_text(&types[0]) { (b, a) } else { (a, b) };
                let (times, formats) = (micros(time)?, format.as_string::<i32>());
                let texts = times.iter().zip(formats).map(|(us, format)| match (us, format) {
                    (Some(us), Some(format)) => time_format::text(us, format, mysql).map(Some),
                    _ => Ok(None),
                });
                Ok(Arc::new(StringArray::from(texts.collect::<Result<Vec<_>>>()?)))
            }
            _ => exec_err!("{} does not take these arguments: {}", self.name, self.usage()),
        }
    }
}
