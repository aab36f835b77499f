//! Spans.

use super::*;

#[test]
fn a_span_becomes_a_row() {
    let parsed = parsed(
        Signal::Traces,
        &spans(json!([{
            "traceId": TRACE, "spanId": SPAN, "parentSpanId": "1112131415161718", "traceState": "a=1", "flags": 257,
            "name": "POST /pay", "kind": 2, "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": "1544712661500000000",
            "droppedAttributesCount": 1, "droppedEventsCount": 2, "droppedLinksCount": 3,
            "status": {"code": 2, "message": "declined"},
            "attributes": [
                {"key": "http.request.method", "value": {"stringValue": "POST"}},
                {"key": "http.response.status_code", "value": {"intValue": "402"}},
                {"key": "url.path", "value": {"stringValue": "/pay"}},
                {"key": "gen_ai.usage.input_tokens", "value": {"intValue": 12}},
                {"key": "custom", "value": {"stringValue": "x"}}
            ],
            "events": [{"timeUnixNano": "1544712660000000001", "name": "exception", "droppedAttributesCount": 1,
                "attributes": [{"key": "exception.type", "value": {"stringValue": "CardError"}}]}],
            "links": [{"traceId": TRACE, "spanId": SPAN, "traceState": "b=2", "flags": 1,
                "attributes": [{"key": "n", "value": {"intValue": 1}}]}]
        }])),
    );
    check(
        &parsed,
        0,
        &[
            ("time", "2018-12-13T14:51:00Z"),
            ("end_time", "2018-12-13T14:51:01.500Z"),
            ("duration_ns", "1500000000"),
            ("trace_id", TRACE),
            ("span_id", SPAN),
            ("parent_span_id", "1112131415161718"),
            ("trace_state", "a=1"),
            ("flags", "257"),
            ("name", "POST /pay"),
            ("kind", "SERVER"),
            ("status_code", "ERROR"),
            ("status_message", "declined"),
            ("http_request_method", "POST"),
            ("http_response_status_code", "402"),
            ("url_path", "/pay"),
            ("gen_ai_usage_input_tokens", "12"),
            ("dropped_attributes_count", "1"),
            ("dropped_events_count", "2"),
            ("dropped_links_count", "3"),
            ("attributes", r#"{"custom":"x"}"#),
            ("service_name", "checkout"),
            ("app", "checkout"),
            (
                "events",
                r#"[{"time":"2018-12-13T14:51:00.000000001Z","name":"exception","attributes":{"exception.type":"CardError"},"dropped_attributes_count":1}]"#,
            ),
            (
                "links",
                &format!(
                    r#"[{{"trace_id":"{TRACE}","span_id":"{SPAN}","trace_state":"b=2","attributes":{{"n":1}},"flags":1}}]"#
                ),
            ),
        ],
    );
}

#[test]
fn a_value_of_another_type_is_never_lost() {
    let pairs = |pairs: Value| json!({"traceId": TRACE, "spanId": SPAN, "startTimeUnixNano": "1", "attributes": pairs});
    let parsed = parsed(
        Signal::Traces,
        &spans(json!([
            pairs(json!([{"key": "http.response.status_code", "value": {"stringValue": "200"}}])),
            pairs(json!([{"key": "http.response.status_code", "value": {"stringValue": "fine"}}])),
            pairs(json!([{"key": "http.status_code", "value": {"intValue": 204}}])),
            pairs(
                json!([{"key": "http.status_code", "value": {"intValue": 500}}, {"key": "http.response.status_code", "value": {"intValue": 200}}])
            ),
            pairs(json!([{"key": "http.route", "value": {"intValue": 5}}])),
            pairs(
                json!([{"key": "http.route", "value": {"stringValue": "/a"}}, {"key": "http.route", "value": {"stringValue": "/b"}}])
            ),
        ])),
    );
    let rows: Vec<_> = (0..6)
        .map(|row| {
            ["http_response_status_code", "http_route", "attributes"].map(|column| cell(&parsed, row, column)).join(" ")
        })
        .collect();
    assert_eq!(
        rows,
        [
            r#"200 ∅ {"http.response.status_code":"200"}"#,
            r#"∅ ∅ {"http.response.status_code":"fine"}"#,
            r#"204 ∅ {"http.status_code":204}"#,
            r#"200 ∅ {"http.status_code":500}"#,
            r#"∅ 5 {"http.route":5}"#,
            "∅ /b ∅",
        ]
    );
}

#[test]
fn enumerations_by_name_number_and_from_the_future() {
    let span = |kind: Value, code: Value| json!({"traceId": TRACE, "spanId": SPAN, "startTimeUnixNano": "1", "endTimeUnixNano": "0", "kind": kind, "status": {"code": code}});
    let parsed = parsed(
        Signal::Traces,
        &spans(json!([
            span(json!("SPAN_KIND_CLIENT"), json!("STATUS_CODE_OK")),
            span(json!(null), json!(0)),
            span(json!(99), json!("2")),
        ])),
    );
    check(
        &parsed,
        0,
        &[("kind", "CLIENT"), ("status_code", "OK"), ("end_time", "∅"), ("duration_ns", "∅"), ("parent_span_id", "∅")],
    );
    check(&parsed, 1, &[("kind", "UNSPECIFIED"), ("status_code", "UNSET")]);
    check(&parsed, 2, &[("kind", "99"), ("status_code", "ERROR")]);
}

#[test]
fn a_span_without_identity_is_refused() {
    let parsed = parsed(
        Signal::Traces,
        &spans(json!([
            {"traceId": TRACE, "spanId": SPAN, "startTimeUnixNano": "2", "endTimeUnixNano": "1", "name": "good"},
            {"spanId": SPAN, "startTimeUnixNano": "1"},
            {"traceId": "0".repeat(32), "spanId": SPAN, "startTimeUnixNano": "1"},
            {"traceId": TRACE, "spanId": "01", "startTimeUnixNano": "1"},
            {"traceId": TRACE, "spanId": SPAN, "parentSpanId": "01", "startTimeUnixNano": "1"},
            {"traceId": TRACE, "spanId": SPAN},
            {"traceId": TRACE, "spanId": SPAN, "startTimeUnixNano": "1", "endTimeUnixNano": "18446744073709551615"},
        ])),
    );
    check(&parsed, 0, &[("name", "good"), ("duration_ns", "-1")]);
    assert_eq!(parsed.accepted, 1);
    assert_eq!(
        reasons(&parsed),
        [
            "trace_id has 0 bytes, not 16",
            "trace_id is all zero",
            "span_id has 1 bytes, not 8",
            "parent_span_id has 1 bytes, not 8",
            "start_time_unix_nano is missing",
            "end_time_unix_nano 18446744073709551615 lies beyond the year 2262, the end of 64-bit nanoseconds",
        ]
    );
    let body: Value = serde_json::from_slice(&parsed.rejects[4].body).unwrap();
    assert_eq!(body["traceId"], TRACE);
}
