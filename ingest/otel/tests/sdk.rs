//! Requests that a real SDK encoded: both encodings give the same rows, and the counts are those of the fixtures' README.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;

fn read(name: &str, encoding: Encoding) -> Parsed {
    let signal = Signal::ALL.into_iter().find(|signal| name.starts_with(signal.name())).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/otlp").join(name);
    parse_as(signal, &std::fs::read(path).unwrap(), encoding, &Scope::platform("test")).unwrap()
}

fn count_by(parsed: &Parsed, column: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    (0..parsed.batches[0].rows.num_rows()).for_each(|row| *counts.entry(cell(parsed, row, column)).or_default() += 1);
    counts
}

#[test]
fn both_encodings_of_a_real_sdk_give_the_same_rows() {
    for (signal, rows) in [("logs", 18), ("traces", 27), ("metrics", 21)] {
        let protobuf = read(&format!("{signal}.pb"), Encoding::Protobuf);
        let json = read(&format!("{signal}.json"), Encoding::Json);
        assert_eq!((protobuf.accepted, protobuf.rejects.len()), (rows, 0), "{signal}");
        assert_eq!(protobuf.batches[0].rows, json.batches[0].rows, "{signal}");
        let services = count_by(&protobuf, "service_name");
        assert_eq!(services.keys().collect::<Vec<_>>(), ["build-agent", "checkout", "payment"]);
        assert_eq!(count_by(&protobuf, "tenant").keys().collect::<Vec<_>>(), ["platform", "retail"]);
        assert_eq!(count_by(&protobuf, "k8s_pod_name").len(), 3);
    }
    assert_eq!(count_by(&read("traces.pb", Encoding::Protobuf), "status_code")["ERROR"], 3);
    let kinds = count_by(&read("metrics.pb", Encoding::Protobuf), "kind");
    let kinds: Vec<_> = kinds.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(kinds, [("exponential_histogram", 3), ("gauge", 6), ("histogram", 3), ("sum", 9)]);
    let errors = count_by(&read("logs.pb", Encoding::Protobuf), "exception_type");
    assert_eq!(errors["TimeoutError"], 3);
}
