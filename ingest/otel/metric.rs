//! `otel_metric`: one row per data point, of every kind of metric.

use engine::arrow::array::ArrayRef;
use engine::{Column, Table};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
    SummaryDataPoint, exemplar, number_data_point,
};
use serde::Serialize;

use super::cells::{join, own_columns};
use super::intake::{Refused, SignalRows};
use super::labels::SHARED_COLUMNS;
use super::span::{hex_id, instant, short_name, write_instant};
use super::{Signal, json, value};

own_columns! {
    /// What a data point and its metric say.
    Own, OWN_COLUMNS;
    time: TimeNs.required(), "When the value was observed.";
    start_time: TimeNs, "Start of the interval that a sum or histogram covers.";
    metric_name: Name, "Name of the metric.";
    description: Name, "What the metric measures.";
    unit: Name, "Unit, in UCUM notation: `s`, `By`, `{request}`.";
    kind: Name, "gauge, sum, histogram, exponential_histogram or summary.";
    temporality: Name, "DELTA or CUMULATIVE; null where the kind has none.";
    is_monotonic: Bool, "Whether a sum only grows.";
    value_double: Float, "Value of a gauge or sum; an integer value too, exact up to 2^53.";
    value_int: Int, "Value of a gauge or sum that counts in integers, exact.";
    count: Int, "Values in a histogram or summary.";
    sum: Float, "Sum of the values in a histogram or summary.";
    min: Float, "Smallest value of a histogram.";
    max: Float, "Largest value of a histogram.";
    bucket_counts: Json, "Histogram: JSON array of the counts per bucket, one more than there are bounds.";
    explicit_bounds: Json, "Histogram: JSON array of the buckets' upper bounds, inclusive.";
    scale: Int, "Exponential histogram: the base is 2^(2^-scale).";
    zero_count: Int, "Exponential histogram: values in the zero bucket.";
    zero_threshold: Float, "Exponential histogram: width of the zero bucket.";
    positive_buckets: Json, "Exponential histogram: JSON object with `offset` and `bucket_counts` of the positive range.";
    negative_buckets: Json, "Exponential histogram: JSON object with `offset` and `bucket_counts` of the negative range.";
    quantiles: Json, "Summary: JSON array of `quantile` and `value`.";
    exemplars: Json, "JSON array of sampled values with their trace: `time`, `value`, `trace_id`, `span_id`, `attributes`.";
    flags: Int, "Data point flags; bit 0 says that no value was recorded.";
    no_recorded_value: Bool, "True for the mark of a series that went stale; the point has no value.";
    attributes: Json, "The data point's attributes, a JSON object with their types kept; null when there are none.";
    metric_metadata: Json, "The metric's metadata, a JSON object; null when there is none.";
}

const COLUMNS: [Column; OWN_COLUMNS.len() + SHARED_COLUMNS.len()] = join(&[OWN_COLUMNS, &SHARED_COLUMNS]);

const NO_RECORDED_VALUE: u32 = 1;

/// Metric data points.
pub static OTEL_METRIC: Table = Table {
    retention_days: Some(90),
    ..Table::new("otel_metric", "OpenTelemetry metrics, one row per data point.", &COLUMNS)
};

/// Data points becoming rows.
#[derive(Default)]
pub(super) struct MetricRows {
    own: Own,
}

/// The cells in which the kinds differ; what a kind does not have stays null.
#[derive(Default)]
struct Point<'a> {
    attributes: &'a [KeyValue],
    start: u64,
    time: u64,
    flags: u32,
    exemplars: &'a [Exemplar],
    int: Option<i64>,
    double: Option<f64>,
    count: Option<u64>,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    bucket_counts: &'a [u64],
    explicit_bounds: &'a [f64],
    exponential: Option<&'a ExponentialHistogramDataPoint>,
    summary: Option<&'a SummaryDataPoint>,
}

/// What all points of a metric have in common.
struct Head<'a> {
    metric: &'a Metric,
    kind: &'static str,
    temporality: Option<i32>,
    is_monotonic: Option<bool>,
}

impl SignalRows for MetricRows {
    const SIGNAL: Signal = Signal::Metrics;
    const TABLE: &'static Table = &OTEL_METRIC;
    type Record = Metric;

    fn from_json(record: &serde_json::Value) -> Result<Metric, String> {
        json::metric(record)
    }

    fn push(&mut self, metric: &Metric, _received_ns: i64, refused: &mut Vec<Refused>) -> usize {
        let head = |kind, temporality, is_monotonic| Head { metric, kind, temporality, is_monotonic };
        match &metric.data {
            _ if metric.name.is_empty() => {
                refused.push(Refused::of("the metric has no name".to_owned(), metric));
                0
            }
            None => {
                refused.push(Refused::of("the metric has no data, or data of an unknown kind".to_owned(), metric));
                0
            }
            Some(Data::Gauge(gauge)) => self.points(&head("gauge", None, None), &gauge.data_points, refused, number),
            Some(Data::Sum(sum)) => {
                let head = head("sum", Some(sum.aggregation_temporality), Some(sum.is_monotonic));
                self.points(&head, &sum.data_points, refused, number)
            }
            Some(Data::Histogram(histogram)) => {
                let head = head("histogram", Some(histogram.aggregation_temporality), None);
                self.points(&head, &histogram.data_points, refused, explicit)
            }
            Some(Data::ExponentialHistogram(histogram)) => {
                let head = head("exponential_histogram", Some(histogram.aggregation_temporality), None);
                self.points(&head, &histogram.data_points, refused, exponential)
            }
            Some(Data::Summary(summary)) => {
                self.points(&head("summary", None, None), &summary.data_points, refused, self::summary)
            }
        }
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.own.finish()
    }
}

/// A refused data point beside the name of its metric.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefusedPoint<'a, P> {
    name: &'a str,
    data_point: &'a P,
}

impl MetricRows {
    fn points<P: Serialize>(
        &mut self,
        head: &Head<'_>,
        points: &[P],
        refused: &mut Vec<Refused>,
        read: for<'a> fn(&'a P) -> Result<Point<'a>, String>,
    ) -> usize {
        let before = refused.len();
        for data_point in points {
            if let Err(reason) = read(data_point).and_then(|point| self.point(head, &point)) {
                let name = head.metric.name.as_str();
                refused.push(Refused::of(format!("metric {name}: {reason}"), &RefusedPoint { name, data_point }));
            }
        }
        points.len() - (refused.len() - before)
    }

    /// Appends one row. Everything that can fail comes before the first cell.
    fn point(&mut self, head: &Head<'_>, point: &Point<'_>) -> Result<(), String> {
        let time = instant("time_unix_nano", point.time)?.ok_or("time_unix_nano is missing")?;
        let start = instant("start_time_unix_nano", point.start)?;
        let count = point.count.map(|count| whole("count", count)).transpose()?;
        let zero_count = point.exponential.map(|e| whole("zero_count", e.zero_count)).transpose()?;
        let own = &mut self.own;
        own.time.set(Some(time));
        own.start_time.set(start);
        own.metric_name.set(&head.metric.name);
        own.description.set(&head.metric.description);
        own.unit.set(&head.metric.unit);
        own.kind.set(head.kind);
        own.temporality.set(&head.temporality.map_or("".into(), temporality));
        own.is_monotonic.set(head.is_monotonic);
        own.value_double.set(point.double.or(point.int.map(|int| int as f64)));
        own.value_int.set(point.int);
        own.count.set(count);
        own.sum.set(point.sum);
        own.min.set(point.min);
        own.max.set(point.max);
        own.bucket_counts.list(point.bucket_counts, write_count);
        own.explicit_bounds.list(point.explicit_bounds, |out, bound| value::write_double(out, *bound));
        own.scale.set(point.exponential.map(|e| i64::from(e.scale)));
        own.zero_count.set(zero_count);
        own.zero_threshold.set(point.exponential.map(|e| e.zero_threshold));
        for (column, buckets) in [
            (&mut own.positive_buckets, point.exponential.and_then(|e| e.positive.as_ref())),
            (&mut own.negative_buckets, point.exponential.and_then(|e| e.negative.as_ref())),
        ] {
            match buckets.filter(|buckets| !buckets.bucket_counts.is_empty()) {
                Some(buckets) => column.write(|out| write_buckets(out, buckets)),
                None => column.null(),
            }
        }
        own.quantiles.list(point.summary.map_or(&[], |s| s.quantile_values.as_slice()), |out, at| {
            out.push_str("{\"quantile\":");
            value::write_double(out, at.quantile);
            out.push_str(",\"value\":");
            value::write_double(out, at.value);
            out.push('}');
        });
        own.exemplars.list(point.exemplars, write_exemplar);
        own.flags.set_count(point.flags);
        own.no_recorded_value.set((point.flags & NO_RECORDED_VALUE != 0).then_some(true));
        for (column, pairs) in
            [(&mut own.attributes, point.attributes), (&mut own.metric_metadata, &head.metric.metadata)]
        {
            match pairs {
                [] => column.null(),
                pairs => column.write(|out| value::write_object(out, pairs)),
            }
        }
        Ok(())
    }
}

fn number(point: &NumberDataPoint) -> Result<Point<'_>, String> {
    let (int, double) = match point.value {
        Some(number_data_point::Value::AsInt(int)) => (Some(int), None),
        Some(number_data_point::Value::AsDouble(double)) => (None, Some(double)),
        None if point.flags & NO_RECORDED_VALUE != 0 => (None, None),
        None => return Err("the data point has no value".to_owned()),
    };
    Ok(Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        flags: point.flags,
        exemplars: &point.exemplars,
        int,
        double,
        ..Point::default()
    })
}

fn explicit(point: &HistogramDataPoint) -> Result<Point<'_>, String> {
    let (counts, bounds) = (point.bucket_counts.len(), point.explicit_bounds.len());
    // A histogram without buckets has neither; some writers then leave the single overflow bucket.
    if counts != bounds + 1 && !(counts == 0 && bounds == 0) {
        return Err(format!("{counts} bucket_counts do not fit {bounds} explicit_bounds"));
    }
    Ok(Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        flags: point.flags,
        exemplars: &point.exemplars,
        count: Some(point.count),
        sum: point.sum,
        min: point.min,
        max: point.max,
        bucket_counts: &point.bucket_counts,
        explicit_bounds: &point.explicit_bounds,
        ..Point::default()
    })
}

fn exponential(point: &ExponentialHistogramDataPoint) -> Result<Point<'_>, String> {
    Ok(Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        flags: point.flags,
        exemplars: &point.exemplars,
        count: Some(point.count),
        sum: point.sum,
        min: point.min,
        max: point.max,
        exponential: Some(point),
        ..Point::default()
    })
}

fn summary(point: &SummaryDataPoint) -> Result<Point<'_>, String> {
    Ok(Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        flags: point.flags,
        count: Some(point.count),
        sum: Some(point.sum),
        summary: Some(point),
        ..Point::default()
    })
}

fn whole(field: &str, count: u64) -> Result<i64, String> {
    i64::try_from(count).map_err(|_| format!("{field} {count} does not fit 63 bits"))
}

fn temporality(number: i32) -> std::borrow::Cow<'static, str> {
    match AggregationTemporality::try_from(number) {
        Ok(AggregationTemporality::Unspecified) => "".into(),
        known => short_name(number, known.ok().map(|t| t.as_str_name()), "AGGREGATION_TEMPORALITY_"),
    }
}

fn write_count(out: &mut String, count: &u64) {
    out.push_str(&count.to_string());
}

fn write_buckets(out: &mut String, buckets: &Buckets) {
    out.push_str("{\"offset\":");
    value::write_int(out, i64::from(buckets.offset));
    out.push_str(",\"bucket_counts\":");
    value::write_list(out, &buckets.bucket_counts, write_count);
    out.push('}');
}

fn write_exemplar(out: &mut String, exemplar: &Exemplar) {
    out.push_str("{\"time\":");
    write_instant(out, exemplar.time_unix_nano);
    out.push_str(",\"value\":");
    match exemplar.value {
        Some(exemplar::Value::AsInt(int)) => value::write_int(out, int),
        Some(exemplar::Value::AsDouble(double)) => value::write_double(out, double),
        None => out.push_str("null"),
    }
    for (field, id) in [("trace_id", hex_id::<16>(&exemplar.trace_id)), ("span_id", hex_id::<8>(&exemplar.span_id))] {
        if let Some(id) = id {
            out.push_str(",\"");
            out.push_str(field);
            out.push_str("\":");
            value::write_text(out, &id);
        }
    }
    if !exemplar.filtered_attributes.is_empty() {
        out.push_str(",\"attributes\":");
        value::write_object(out, &exemplar.filtered_attributes);
    }
    out.push('}');
}
