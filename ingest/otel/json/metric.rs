//! Metrics and their data points.

use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};
use serde_json::Value;

use super::{Message, Read, double, key_value, unsigned};

/// A metric with its data points.
pub(in crate::otel) fn metric(value: &Value) -> Read<Metric> {
    let message = Message::of(value)?;
    let data = if message.has("gauge") {
        message.nested("gauge", gauge)?.map(Data::Gauge)
    } else if message.has("sum") {
        message.nested("sum", sum)?.map(Data::Sum)
    } else if message.has("histogram") {
        message.nested("histogram", histogram)?.map(Data::Histogram)
    } else if message.has("exponentialHistogram") {
        message.nested("exponentialHistogram", exponential_histogram)?.map(Data::ExponentialHistogram)
    } else {
        message.nested("summary", summary)?.map(Data::Summary)
    };
    Ok(Metric {
        name: message.text("name")?,
        description: message.text("description")?,
        unit: message.text("unit")?,
        metadata: message.list("metadata", key_value)?,
        data,
    })
}

fn gauge(value: &Value) -> Read<Gauge> {
    Ok(Gauge { data_points: Message::of(value)?.list("dataPoints", number_point)? })
}

fn sum(value: &Value) -> Read<Sum> {
    let message = Message::of(value)?;
    Ok(Sum {
        data_points: message.list("dataPoints", number_point)?,
        aggregation_temporality: temporality(message)?,
        is_monotonic: message.bool("isMonotonic")?,
    })
}

fn histogram(value: &Value) -> Read<Histogram> {
    let message = Message::of(value)?;
    Ok(Histogram {
        data_points: message.list("dataPoints", histogram_point)?,
        aggregation_temporality: temporality(message)?,
    })
}

fn exponential_histogram(value: &Value) -> Read<ExponentialHistogram> {
    let message = Message::of(value)?;
    Ok(ExponentialHistogram {
        data_points: message.list("dataPoints", exponential_point)?,
        aggregation_temporality: temporality(message)?,
    })
}

fn summary(value: &Value) -> Read<Summary> {
    Ok(Summary { data_points: Message::of(value)?.list("dataPoints", summary_point)? })
}

fn temporality(message: Message<'_>) -> Read<i32> {
    message.enumeration("aggregationTemporality", AggregationTemporality::from_str_name)
}

fn number_point(value: &Value) -> Read<NumberDataPoint> {
    let message = Message::of(value)?;
    Ok(NumberDataPoint {
        attributes: message.list("attributes", key_value)?,
        start_time_unix_nano: message.u64("startTimeUnixNano")?,
        time_unix_nano: message.u64("timeUnixNano")?,
        exemplars: message.list("exemplars", exemplar)?,
        flags: message.u32("flags")?,
        value: match message.has("asInt") {
            true => Some(number_data_point::Value::AsInt(message.i64("asInt")?)),
            false => message.nested("asDouble", double)?.map(number_data_point::Value::AsDouble),
        },
    })
}

fn histogram_point(value: &Value) -> Read<HistogramDataPoint> {
    let message = Message::of(value)?;
    Ok(HistogramDataPoint {
        attributes: message.list("attributes", key_value)?,
        start_time_unix_nano: message.u64("startTimeUnixNano")?,
        time_unix_nano: message.u64("timeUnixNano")?,
        count: message.u64("count")?,
        sum: message.nested("sum", double)?,
        bucket_counts: message.list("bucketCounts", unsigned)?,
        explicit_bounds: message.list("explicitBounds", double)?,
        exemplars: message.list("exemplars", exemplar)?,
        flags: message.u32("flags")?,
        min: message.nested("min", double)?,
        max: message.nested("max", double)?,
    })
}

fn exponential_point(value: &Value) -> Read<ExponentialHistogramDataPoint> {
    let message = Message::of(value)?;
    Ok(ExponentialHistogramDataPoint {
        attributes: message.list("attributes", key_value)?,
        start_time_unix_nano: message.u64("startTimeUnixNano")?,
        time_unix_nano: message.u64("timeUnixNano")?,
        count: message.u64("count")?,
        sum: message.nested("sum", double)?,
        scale: message.i32("scale")?,
        zero_count: message.u64("zeroCount")?,
        positive: message.nested("positive", buckets)?,
        negative: message.nested("negative", buckets)?,
        flags: message.u32("flags")?,
        exemplars: message.list("exemplars", exemplar)?,
        min: message.nested("min", double)?,
        max: message.nested("max", double)?,
        zero_threshold: message.f64("zeroThreshold")?,
    })
}

fn buckets(value: &Value) -> Read<Buckets> {
    let message = Message::of(value)?;
    Ok(Buckets { offset: message.i32("offset")?, bucket_counts: message.list("bucketCounts", unsigned)? })
}

fn summary_point(value: &Value) -> Read<SummaryDataPoint> {
    let message = Message::of(value)?;
    Ok(SummaryDataPoint {
        attributes: message.list("attributes", key_value)?,
        start_time_unix_nano: message.u64("startTimeUnixNano")?,
        time_unix_nano: message.u64("timeUnixNano")?,
        count: message.u64("count")?,
        sum: message.f64("sum")?,
        quantile_values: message.list("quantileValues", quantile)?,
        flags: message.u32("flags")?,
    })
}

fn quantile(value: &Value) -> Read<ValueAtQuantile> {
    let message = Message::of(value)?;
    Ok(ValueAtQuantile { quantile: message.f64("quantile")?, value: message.f64("value")? })
}

fn exemplar(value: &Value) -> Read<Exemplar> {
    let message = Message::of(value)?;
    Ok(Exemplar {
        filtered_attributes: message.list("filteredAttributes", key_value)?,
        time_unix_nano: message.u64("timeUnixNano")?,
        span_id: message.id("spanId")?,
        trace_id: message.id("traceId")?,
        value: match message.has("asInt") {
            true => Some(exemplar::Value::AsInt(message.i64("asInt")?)),
            false => message.nested("asDouble", double)?.map(exemplar::Value::AsDouble),
        },
    })
}
