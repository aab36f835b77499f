//! What a file holds is seen from its bytes.

use std::io::Write;
use std::sync::Arc;

use super::*;
use crate::otel::content::{Requests, protobuf_signal};

fn protobuf(signal: Signal) -> Vec<u8> {
    match signal {
        Signal::Logs => serde_json::from_value::<ExportLogsServiceRequest>(logs(json!([
            {"timeUnixNano": "1", "observedTimeUnixNano": "2", "severityNumber": 9, "body": {"stringValue": "hello"}}]))).unwrap().encode_to_vec(),
        Signal::Traces => serde_json::from_value::<ExportTraceServiceRequest>(spans(json!([
            {"traceId": TRACE, "spanId": SPAN, "startTimeUnixNano": "1", "endTimeUnixNano": "2", "name": "x", "kind": 1}]))).unwrap().encode_to_vec(),
        Signal::Metrics => serde_json::from_value::<ExportMetricsServiceRequest>(metrics(json!([
            // A name of sixteen bytes and a description of eight look like a span's ids.
            {"name": "sixteen.letters!", "description": "8letters", "gauge": {"dataPoints": [
                {"startTimeUnixNano": "0", "timeUnixNano": "1", "asDouble": 1.5}]}}]))).unwrap().encode_to_vec(),
    }
}

fn read(content: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().write_all(content).unwrap();
    let mut requests = Requests::open(file.path(), Arc::default())?;
    let mut found = Vec::new();
    while let Some(request) = requests.next()? {
        found.push((request.place, request.bytes));
    }
    Ok(found)
}

#[test]
fn the_signal_shows_in_the_first_record() {
    for signal in Signal::ALL {
        assert_eq!(protobuf_signal(&protobuf(signal)), Some(signal));
    }
    assert_eq!(protobuf_signal(&[]), None);
}

#[test]
fn every_form_is_recognised() {
    let one = protobuf(Signal::Traces);
    let two = protobuf(Signal::Logs);
    let mut big_endian = Vec::new();
    let mut varint = Vec::new();
    for message in [&one, &two] {
        big_endian.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        big_endian.extend(message);
        prost::encoding::encode_varint(message.len() as u64, &mut varint);
        varint.extend(message);
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&big_endian).unwrap();
    let both = [("message 1", &one[..]), ("message 2", &two[..])];
    for (form, content, expected) in [
        ("one request", one.clone(), &both[..1]),
        ("big-endian lengths", big_endian.clone(), &both[..]),
        ("varint lengths", varint, &both[..]),
        ("gzip", gzip.finish().unwrap(), &both[..]),
        ("zstd", zstd::encode_all(&big_endian[..], 1).unwrap(), &both[..]),
        ("lines", b"{\"a\":1}\n\n{\"b\":2}".to_vec(), &[("line 1", &b"{\"a\":1}\n"[..]), ("line 3", b"{\"b\":2}")]),
        ("torn line", b"{\"a\":1}\n{\"b\":".to_vec(), &[("line 1", &b"{\"a\":1}\n"[..]), ("line 2", b"{\"b\":")]),
        (
            "document",
            b"\xef\xbb\xbf {\n\"a\": 1\n}\n{}".to_vec(),
            &[("message 1", &b"{\n\"a\": 1\n}"[..]), ("message 2", b"{}")],
        ),
        ("line end first", b"\n{\n\"a\": 1\n}".to_vec(), &[("message 1", &b"{\n\"a\": 1\n}"[..])]),
        ("empty", Vec::new(), &[]),
    ] {
        let found = read(&content).unwrap_or_else(|error| panic!("{form}: {error}"));
        let found: Vec<_> = found.iter().map(|(place, bytes)| (place.as_str(), &bytes[..])).collect();
        assert_eq!(found, expected, "{form}");
    }
}

#[test]
fn torn_and_strange_files_are_errors() {
    for content in [
        &b"\x00\x00\x00\x09abc"[..],
        b"PK\x03\x04 not telemetry",
        b"{ \"a\":\n",
        b"\x1f\x8bnot gzip",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let error = read(content).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
    }
}
