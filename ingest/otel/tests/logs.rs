//! Log records.

use super::*;

#[test]
fn a_record_becomes_a_row() {
    let parsed = parsed(
        Signal::Logs,
        &logs(json!([{
            "timeUnixNano": "1544712660300000000", "observedTimeUnixNano": "1544712660400000000",
            "severityNumber": 17, "severityText": "Error", "traceId": TRACE.to_uppercase(), "spanId": SPAN,
            "flags": 1, "eventName": "payment.failed", "droppedAttributesCount": 2,
            "body": {"stringValue": "card \"declined\"\n"},
            "attributes": [
                {"key": "exception.type", "value": {"stringValue": "CardError"}},
                {"key": "n", "value": {"intValue": "-9223372036854775808"}},
                {"key": "d", "value": {"doubleValue": 2.0}},
                {"key": "b", "value": {"boolValue": false}},
                {"key": "list", "value": {"arrayValue": {"values": [{"intValue": 1}, {"stringValue": "two"}, {}]}}},
                {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k\u{1}", "value": {"doubleValue": 1e300}}]}}},
                {"key": "raw", "value": {"bytesValue": "AAEC/w=="}},
                {"key": "empty"},
                {"key": "n", "value": {"intValue": 7}}
            ]
        }])),
    );
    check(
        &parsed,
        0,
        &[
            ("time", "2018-12-13T14:51:00.300Z"),
            ("observed_time", "2018-12-13T14:51:00.400Z"),
            ("severity_number", "17"),
            ("severity_text", "Error"),
            ("trace_id", TRACE),
            ("span_id", SPAN),
            ("flags", "1"),
            ("event_name", "payment.failed"),
            ("dropped_attributes_count", "2"),
            ("body", "card \"declined\"\n"),
            ("exception_type", "CardError"),
            (
                "attributes",
                r#"{"d":2.0,"b":false,"list":[1,"two",null],"map":{"k\u0001":1e300},"raw":{"bytes":"AAEC/w=="},"empty":null,"n":7}"#,
            ),
        ],
    );
}

#[test]
fn the_json_mapping_is_read_in_full() {
    let parsed = parsed(
        Signal::Logs,
        &logs(json!([
            {"timeUnixNano": 5, "severityNumber": "SEVERITY_NUMBER_WARN", "severityText": null, "traceId": "", "unknown": {"deep": [1]},
             "body": {"later": 1, "doubleValue": "NaN"}},
            {"timeUnixNano": 6.0, "severityNumber": "13", "flags": "1", "body": {"doubleValue": "-Infinity"}},
            {"timeUnixNano": "7", "body": {"bytesValue": "-_-_"}},
            {"timeUnixNano": "8", "body": {"bytesValue": "AA"}},
            {"timeUnixNano": "9", "body": {"kvlistValue": {"values": [{"key": "a", "value": {"intValue": "1"}}]}}},
            {"timeUnixNano": "10", "body": {}},
        ])),
    );
    let bodies: Vec<_> = (0..6).map(|row| cell(&parsed, row, "body")).collect();
    assert_eq!(bodies, ["\"NaN\"", "\"-Infinity\"", r#"{"bytes":"+/+/"}"#, r#"{"bytes":"AA=="}"#, r#"{"a":1}"#, "∅"]);
    check(&parsed, 0, &[("severity_number", "13"), ("severity_text", "∅"), ("trace_id", "∅"), ("attributes", "∅")]);
    check(&parsed, 1, &[("severity_number", "13"), ("flags", "1"), ("time", "1970-01-01T00:00:00.000000006Z")]);
}

#[test]
fn a_missing_time_falls_back_and_a_wrong_id_counts_as_absent() {
    let parsed = parsed(
        Signal::Logs,
        &logs(json!([
            {"observedTimeUnixNano": "1000000000", "traceId": "00000000000000000000000000000000", "spanId": "0102"},
            {"traceId": TRACE, "spanId": "0000000000000000"},
        ])),
    );
    check(&parsed, 0, &[("time", "1970-01-01T00:00:01Z"), ("trace_id", "∅"), ("span_id", "∅")]);
    check(&parsed, 1, &[("time", "2023-11-14T22:13:20Z"), ("trace_id", TRACE), ("span_id", "∅")]);
}

#[test]
fn a_bad_record_leaves_its_neighbours() {
    let parsed = parsed(
        Signal::Logs,
        &logs(json!([
            {"timeUnixNano": "1", "body": {"stringValue": "before"}},
            {"timeUnixNano": "9223372036854775808"},
            {"timeUnixNano": "-1"},
            {"traceId": "xyz"},
            {"severityNumber": "LOUD"},
            {"attributes": {"key": "value"}},
            {"body": {"intValue": "1.5"}},
            7,
            null,
            {"timeUnixNano": "2", "body": {"stringValue": "after"}},
        ])),
    );
    assert_eq!(parsed.accepted, 2);
    check(&parsed, 0, &[("body", "before")]);
    check(&parsed, 1, &[("body", "after")]);
    assert_eq!(
        reasons(&parsed),
        [
            "time_unix_nano 9223372036854775808 lies beyond the year 2262, the end of 64-bit nanoseconds",
            ".timeUnixNano: expected an unsigned integer of 64 bits, found \"-1\"",
            ".traceId: not hex: Odd number of digits",
            ".severityNumber: expected an integer of 64 bits, found \"LOUD\"",
            ".attributes: expected an array, found an object",
            ".body.intValue: expected an integer of 64 bits, found \"1.5\"",
            "expected an object, found 7",
            "expected an object, found null",
        ]
    );
    assert_eq!(parsed.rejects[1].body, br#"{"timeUnixNano":"-1"}"#);
    assert_eq!(parsed.rejects[7].place.as_deref(), Some("resourceLogs[0].scope[0].record[8]"));
    assert_eq!(parsed.rejects[0].kind, "otlp.logs");
}

#[test]
fn a_bad_record_in_protobuf_leaves_its_neighbours() {
    // scope_logs { log_records {} log_records { body: <not a message> } log_records {} }
    let scope_logs = [0x12, 0, 0x12, 3, 0x2a, 1, 0xff, 0x12, 0];
    let body = [&[0x0a, 11, 0x12, 9][..], &scope_logs].concat();
    let parsed = parse_as(Signal::Logs, &body, Encoding::Protobuf, &Scope::platform("test")).unwrap();
    assert_eq!((parsed.accepted, parsed.rejects.len()), (2, 1));
    assert!(parsed.rejects[0].reason.contains("failed to decode"), "{}", parsed.rejects[0].reason);
}

#[test]
fn many_attributes_and_repeated_keys_are_kept_once() {
    let mut attributes: Vec<Value> =
        (0..100).map(|n| json!({"key": format!("k{n}"), "value": {"intValue": n}})).collect();
    attributes.push(json!({"key": "k0", "value": {"stringValue": "last"}}));
    let parsed = parsed(Signal::Logs, &logs(json!([{"timeUnixNano": "1", "attributes": attributes}])));
    let read: Value = serde_json::from_str(&cell(&parsed, 0, "attributes")).unwrap();
    assert_eq!(read.as_object().unwrap().len(), 100);
    assert_eq!(read["k0"], "last");
}
