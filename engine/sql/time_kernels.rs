//! The columns that the time functions compute.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalMonthDayNanoType, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, Months, Utc};
use datafusion::common::{Result, exec_err, plan_err};

use crate::sql::period::{bounds_us, bucket_us};

/// The type of every instant that a function gives.
pub(crate) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Microseconds of any instant.
pub(crate) fn micros(column: &ArrayRef) -> Result<TimestampMicrosecondArray> {
    Ok(cast(column, &instant())?.as_primitive::<TimestampMicrosecondType>().clone())
}

pub(crate) fn instants(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

pub(crate) fn period(text: &str) -> Result<(i64, i64)> {
    match bounds_us(text) {
        Some(bounds) => Ok(bounds),
        None => plan_err!("{text:?} is no period: write YYYY, YYYY-Qn, YYYY-MM, YYYY-Www or YYYY-MM-DD"),
    }
}

/// An instant as UTC wall time, which is what the kernels take apart.
pub(crate) fn plain(time: &ArrayRef) -> Result<ArrayRef> {
    match time.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let utc = cast(time, &DataType::Timestamp(*unit, Some("UTC".into())))?;
            Ok(cast(&utc, &DataType::Timestamp(*unit, None))?)
        }
        _ => Ok(time.clone()),
    }
}

pub(crate) fn in_period(time: &ArrayRef, text: &ArrayRef) -> Result<ArrayRef> {
    let times = micros(time)?;
    let rows = times.iter().zip(text.as_string::<i32>()).map(|(us, text)| match (us, text) {
        (Some(us), Some(text)) => period(text).map(|(start, end)| Some(start <= us && us < end)),
        _ => Ok(None),
    });
    Ok(Arc::new(rows.collect::<Result<BooleanArray>>()?))
}

/// Monday 2000-01-03: the week grid of TimescaleDB and DuckDB.
const ORIGIN_MONDAY_US: i64 = 946_857_600_000_000;
/// 2000-01-01: their month grid.
const ORIGIN_MONTH_US: i64 = 946_684_800_000_000;
const DAY_US: i64 = 86_400_000_000;

pub(crate) fn buckets(step: &ArrayRef, time: &ArrayRef, origin: Option<&ArrayRef>) -> Result<ArrayRef> {
    let (steps, times) = (step.as_primitive::<IntervalMonthDayNanoType>(), micros(time)?);
    let origins = origin.map(micros).transpose()?;
    let rows = (0..times.len()).map(|row| {
        if steps.is_null(row) || times.is_null(row) || origins.as_ref().is_some_and(|o| o.is_null(row)) {
            return Ok(None);
        }
        let step = steps.value(row);
        let step_us =
            i64::from(step.days).checked_mul(DAY_US).and_then(|days| days.checked_add(step.nanoseconds / 1_000));
        let valid = (step.months > 0 && step_us == Some(0)) || (step.months == 0 && step_us.is_some_and(|us| us > 0));
        let (true, Some(step_us)) = (valid, step_us) else {
            return exec_err!("a time_bucket is a positive number of months, or of days and less");
        };
        let standard = if step.months > 0 { ORIGIN_MONTH_US } else { ORIGIN_MONDAY_US };
        let origin = origins.as_ref().map_or(standard, |o| o.value(row));
        Ok(bucket_us(times.value(row), step.months, step_us, origin))
    });
    Ok(instants(rows.collect::<Result<Vec<_>>>()?))
}

pub(crate) fn months_later(at: DateTime<Utc>, months: i64) -> Option<DateTime<Utc>> {
    let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    if months < 0 { at.checked_sub_months(count) } else { at.checked_add_months(count) }
}

/// Months, or microseconds, of a unit.
fn unit(name: &str) -> Result<(i64, i64)> {
    let name = name.to_lowercase();
    Ok(match name.strip_suffix('s').unwrap_or(&name) {
        "year" | "yy" | "yyyy" => (12, 0),
        "quarter" | "qq" => (3, 0),
        "month" | "mm" => (1, 0),
        "week" | "isoweek" | "ww" => (0, 7 * DAY_US),
        "day" | "dd" => (0, DAY_US),
        "hour" | "hh" => (0, 3_600_000_000),
        "minute" | "mi" => (0, 60_000_000),
        "second" | "" => (0, 1_000_000),
        "millisecond" | "m" => (0, 1_000),
        "microsecond" => (0, 1),
        _ => return plan_err!("{name:?} is no unit of time"),
    })
}

pub(crate) fn add(unit_name: &str, count: i64, us: i64) -> Result<Option<i64>> {
    let (months, unit_us) = unit(unit_name)?;
    let at = if months > 0 {
        let months = count.checked_mul(months);
        DateTime::from_timestamp_micros(us)
            .zip(months)
            .and_then(|(at, months)| months_later(at, months))
            .map(|at| at.timestamp_micros())
    } else {
        count.checked_mul(unit_us).and_then(|step| us.checked_add(step))
    };
    match at {
        Some(at) => Ok(Some(at)),
        None => exec_err!("{count} {unit_name} later is out of the calendar"),
    }
}

pub(crate) fn difference(units: Option<&ArrayRef>, from: &ArrayRef, to: &ArrayRef) -> Result<ArrayRef> {
    let (from, to) = (micros(from)?, micros(to)?);
    let units = units.map(|units| units.as_string::<i32>());
    let rows = (0..from.len()).map(|row| {
        if from.is_null(row) || to.is_null(row) || units.is_some_and(|u| u.is_null(row)) {
            return Ok(None);
        }
        let (months, unit_us) = unit(units.map_or("day", |u| u.value(row)))?;
        let (from, to) = (from.value(row), to.value(row));
        if months == 0 {
            // Weeks begin on Monday.
            let origin = if unit_us == 7 * DAY_US { ORIGIN_MONDAY_US } else { 0 };
            return Ok(Some((to - origin).div_euclid(unit_us) - (from - origin).div_euclid(unit_us)));
        }
        let count =
            |us| DateTime::from_timestamp_micros(us).map(|at| i64::from(at.year()) * 12 + i64::from(at.month0()));
        Ok(count(to).zip(count(from)).map(|(to, from)| to.div_euclid(months) - from.div_euclid(months)))
    });
    Ok(Arc::new(rows.collect::<Result<Int64Array>>()?))
}
