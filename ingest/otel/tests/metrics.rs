//! Metrics of every kind.

use super::*;

#[test]
fn numbers() {
    // The protocol's own types lose a double that is written as text or without a point.
    let parsed = parsed_json(
        Signal::Metrics,
        &metrics(json!([
            {"name": "queue.size", "unit": "{job}", "description": "Jobs that wait.", "gauge": {"dataPoints": [
                {"timeUnixNano": "1000000000", "asInt": "9007199254740993", "attributes": [{"key": "queue", "value": {"stringValue": "a"}}]},
                {"timeUnixNano": "1000000000", "asDouble": "NaN"},
                {"timeUnixNano": "1000000000", "flags": 1},
            ]}},
            {"name": "requests", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [
                {"startTimeUnixNano": "500000000", "timeUnixNano": "1000000000", "asDouble": 3, "exemplars": [
                    {"timeUnixNano": "1", "asInt": "-4", "traceId": TRACE, "spanId": SPAN,
                     "filteredAttributes": [{"key": "u", "value": {"intValue": 1}}]}, {"asDouble": 0.5}]},
            ]}},
            {"name": "open", "sum": {"aggregationTemporality": "AGGREGATION_TEMPORALITY_DELTA", "dataPoints": [{"timeUnixNano": "1", "asInt": -2}]}},
        ])),
    );
    check(
        &parsed,
        0,
        &[
            ("metric_name", "queue.size"),
            ("unit", "{job}"),
            ("description", "Jobs that wait."),
            ("kind", "gauge"),
            ("temporality", "∅"),
            ("is_monotonic", "∅"),
            ("time", "1970-01-01T00:00:01Z"),
            ("start_time", "∅"),
            ("value_int", "9007199254740993"),
            ("value_double", "9007199254740992.0"),
            ("attributes", r#"{"queue":"a"}"#),
            ("count", "∅"),
            ("exemplars", "∅"),
        ],
    );
    check(&parsed, 1, &[("value_double", "NaN"), ("value_int", "∅"), ("no_recorded_value", "∅")]);
    check(&parsed, 2, &[("value_double", "∅"), ("value_int", "∅"), ("flags", "1"), ("no_recorded_value", "true")]);
    check(
        &parsed,
        3,
        &[
            ("kind", "sum"),
            ("temporality", "CUMULATIVE"),
            ("is_monotonic", "true"),
            ("value_double", "3.0"),
            ("start_time", "1970-01-01T00:00:00.500Z"),
            (
                "exemplars",
                &format!(
                    r#"[{{"time":"1970-01-01T00:00:00.000000001Z","value":-4,"trace_id":"{TRACE}","span_id":"{SPAN}","attributes":{{"u":1}}}},{{"time":null,"value":0.5}}]"#
                ),
            ),
        ],
    );
    check(
        &parsed,
        4,
        &[("temporality", "DELTA"), ("is_monotonic", "false"), ("value_int", "-2"), ("value_double", "-2.0")],
    );
}

#[test]
fn distributions() {
    let parsed = parsed(
        Signal::Metrics,
        &metrics(json!([
            {"name": "latency", "histogram": {"aggregationTemporality": 1, "dataPoints": [
                {"timeUnixNano": "1", "count": "3", "sum": 6.5, "min": 0.5, "max": 4.0, "bucketCounts": ["1", 2, "0"], "explicitBounds": [1, 10.5]},
                {"timeUnixNano": "1", "count": "0", "bucketCounts": [], "explicitBounds": []},
                {"timeUnixNano": "1", "count": "1", "bucketCounts": ["1"], "explicitBounds": []},
            ]}},
            {"name": "size", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
                {"timeUnixNano": "1", "count": "6", "sum": 9, "scale": -1, "zeroCount": "2", "zeroThreshold": 0.25,
                 "positive": {"offset": -3, "bucketCounts": ["1", 3]}, "negative": {"offset": 0, "bucketCounts": []}},
            ]}},
            {"name": "gc", "metadata": [{"key": "prometheus.type", "value": {"stringValue": "summary"}}], "summary": {"dataPoints": [
                {"timeUnixNano": "1", "count": 5, "sum": 2.5, "quantileValues": [{"quantile": 0.5, "value": 0.1}, {"quantile": 1, "value": "Infinity"}]},
            ]}},
        ])),
    );
    check(
        &parsed,
        0,
        &[
            ("kind", "histogram"),
            ("temporality", "DELTA"),
            ("count", "3"),
            ("sum", "6.5"),
            ("min", "0.5"),
            ("max", "4.0"),
            ("bucket_counts", "[1,2,0]"),
            ("explicit_bounds", "[1.0,10.5]"),
            ("value_double", "∅"),
            ("scale", "∅"),
        ],
    );
    check(&parsed, 1, &[("count", "0"), ("sum", "∅"), ("bucket_counts", "∅"), ("explicit_bounds", "∅")]);
    check(&parsed, 2, &[("bucket_counts", "[1]")]);
    check(
        &parsed,
        3,
        &[
            ("kind", "exponential_histogram"),
            ("temporality", "CUMULATIVE"),
            ("count", "6"),
            ("scale", "-1"),
            ("zero_count", "2"),
            ("zero_threshold", "0.25"),
            ("positive_buckets", r#"{"offset":-3,"bucket_counts":[1,3]}"#),
            ("negative_buckets", "∅"),
        ],
    );
    check(
        &parsed,
        4,
        &[
            ("kind", "summary"),
            ("count", "5"),
            ("sum", "2.5"),
            ("temporality", "∅"),
            ("quantiles", r#"[{"quantile":0.5,"value":0.1},{"quantile":1.0,"value":"Infinity"}]"#),
            ("metric_metadata", r#"{"prometheus.type":"summary"}"#),
        ],
    );
}

#[test]
fn a_bad_point_leaves_its_neighbours() {
    let parsed = parsed(
        Signal::Metrics,
        &metrics(json!([
            {"name": "no.data"},
            {"gauge": {"dataPoints": [{"timeUnixNano": "1", "asInt": 1}]}},
            {"name": "g", "gauge": {"dataPoints": [
                {"timeUnixNano": "1"}, {"asInt": 1}, {"timeUnixNano": "1", "asInt": 1}, {"timeUnixNano": "9999999999999999999", "asInt": 1}]}},
            {"name": "h", "histogram": {"dataPoints": [
                {"timeUnixNano": "1", "count": 1, "bucketCounts": [1], "explicitBounds": [1.0]},
                {"timeUnixNano": "1", "count": "18446744073709551615"},
                {"timeUnixNano": "1", "count": 2}]}},
            {"name": "empty", "sum": {"dataPoints": []}},
        ])),
    );
    assert_eq!(parsed.accepted, 2);
    check(&parsed, 0, &[("metric_name", "g")]);
    check(&parsed, 1, &[("metric_name", "h"), ("count", "2")]);
    assert_eq!(
        reasons(&parsed),
        [
            "the metric has no data, or data of an unknown kind",
            "the metric has no name",
            "metric g: the data point has no value",
            "metric g: time_unix_nano is missing",
            "metric g: time_unix_nano 9999999999999999999 lies beyond the year 2262, the end of 64-bit nanoseconds",
            "metric h: 1 bucket_counts do not fit 1 explicit_bounds",
            "metric h: count 18446744073709551615 does not fit 63 bits",
        ]
    );
    let body: Value = serde_json::from_slice(&parsed.rejects[5].body).unwrap();
    assert_eq!((&body["name"], &body["dataPoint"]["explicitBounds"]), (&json!("h"), &json!([1.0])));
}
