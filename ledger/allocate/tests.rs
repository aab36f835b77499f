#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::decimal::{self, ONE};

fn row(place: &str, cpu: i128, ram: i128) -> Row {
    let mut parts = place.split('/').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    let (cluster, node, namespace, pod) = (next(), next(), next(), next());
    let costs = Costs { cpu: cpu * ONE, ram: ram * ONE, ..Costs::default() };
    Row { cluster, node, namespace, container: format!("{pod}-c"), pod, costs, ..Row::default() }
}

fn input() -> Input {
    let rows =
        vec![row("c/n1/a/p1", 1, 1), row("c/n1/b/p2", 3, 1), row("c/n2/b/p3", 2, 2), row("c/n2/kube-system/p4", 2, 0)];
    let idle = vec![
        Idle { cluster: "c".to_owned(), node: "n1".to_owned(), costs: [4 * ONE, 2 * ONE, 0] },
        Idle { cluster: "c".to_owned(), node: "n2".to_owned(), costs: [4 * ONE, 0, 8 * ONE] },
    ];
    Input { rows, idle, tenancy: vec![Tenancy { cluster: "c".to_owned(), node: String::new(), cost: 6 * ONE }] }
}

fn options(idle: Share, split: Split) -> Options {
    Options { by: vec![Property::Namespace], share_idle: idle, split, ..Options::default() }
}

/// The totals by group as texts.
fn check(options: &Options, expected: &[(&str, &str)]) {
    let outcome = allocate(&input(), options).unwrap();
    let got: Vec<_> = outcome.entries.iter().map(|(key, entry)| (key.as_str(), decimal::text(entry.total()))).collect();
    let got: Vec<_> = got.iter().map(|(key, total)| (*key, total.as_str())).collect();
    assert_eq!(got, expected, "{options:?}");
}

#[test]
fn idle_goes_to_who_used_the_same_resource_of_the_same_node() {
    let all = options(Share::None, Split::Weighted);
    check(&all, &[("__idle__", "18"), ("__tenancy__", "6"), ("a", "2"), ("b", "8"), ("kube-system", "2")]);
    let weighted = options(Share::Weighted, Split::Weighted);
    check(&weighted, &[("__idle__", "8"), ("__tenancy__", "6"), ("a", "4"), ("b", "14"), ("kube-system", "4")]);
    let even = options(Share::Even, Split::Weighted);
    check(&even, &[("__tenancy__", "6"), ("a", "5"), ("b", "17"), ("kube-system", "8")]);
}

#[test]
fn shared_rows_and_overhead_go_to_the_others() {
    let mut shared = options(Share::Weighted, Split::Even);
    shared.shared = vec!["namespace=kube-*".parse().unwrap()];
    shared.overhead = 10 * ONE;
    check(&shared, &[("__idle__", "8"), ("__tenancy__", "6"), ("a", "11"), ("b", "21")]);
    shared.share_tenancy = true;
    shared.filter = vec!["namespace=a".parse().unwrap()];
    // Own 2, idle 2, tenancy 1; half of 2 + 2 + 1 and of 10.
    check(&shared, &[("a", "12.5")]);
}

#[test]
fn all_rows_shared_still_adds_up() {
    let mut shared = options(Share::None, Split::Weighted);
    shared.shared = vec!["cluster=c".parse().unwrap()];
    check(&shared, &[("__idle__", "8"), ("__tenancy__", "6"), ("__unallocated__", "22")]);
}

#[test]
fn negative_idle_is_told_and_kept() {
    let mut negative = input();
    negative.idle[0].costs[0] = -ONE;
    let outcome = allocate(&negative, &options(Share::None, Split::Weighted)).unwrap();
    assert!(outcome.faults[0].starts_with("node n1: cpu idle is -1"), "{:?}", outcome.faults);
    assert_eq!(outcome.entries[IDLE].total(), 13 * ONE);
}

#[test]
fn a_node_known_as_a_whole_costs_its_price() {
    let asset = Asset {
        cluster: "c".to_owned(),
        node: "n".to_owned(),
        capacity: [4 * ONE, 16 * ONE, ONE],
        hours: 24 * ONE,
        price: NodePrice::Whole(2 * ONE),
        discount: 0,
    };
    let unit = |text: &str| decimal::parse(text).unwrap().units;
    let defaults = Rates { cpu: unit("0.031611"), ram: unit("0.004237"), gpu: unit("0.95") };
    let rates = node_rates(&asset, &defaults).unwrap();
    let idle = idle_of(&asset, &rates, [0; 3]).unwrap();
    let total: i128 = idle.costs.iter().sum();
    assert!((total - 48 * ONE).abs() < 10i128.pow(6), "{}", decimal::text(total));
    let by_resource =
        Asset { price: NodePrice::ByResource(Rates { cpu: ONE, ..Rates::default() }), discount: ONE / 2, ..asset };
    let rates = node_rates(&by_resource, &defaults).unwrap();
    assert_eq!((rates.cpu, rates.ram, rates.gpu), (ONE / 2, defaults.ram / 2, defaults.gpu));
}

#[test]
fn the_larger_of_request_and_usage_counts() {
    let used = |request: i128, usage: i128| Use { request: request * ONE, usage: usage * ONE, allocation: None };
    let hours = |used: Use| hours_used(used, 2 * ONE).unwrap() / ONE;
    assert_eq!([hours(used(1, 3)), hours(used(3, 1)), hours(used(2, 600))], [6, 6, 4]);
    let efficiency = |cpu: Use, ram: Use| total_efficiency(cpu, ram, 3 * ONE, ONE).map(decimal::text);
    assert_eq!(efficiency(used(2, 1), used(0, 1)), Some("0.625".to_owned()));
    assert_eq!(adjustment(10, &[2, 3]).unwrap(), [2, 3]);
}

#[test]
fn a_volume_is_paid_by_the_hour_and_by_who_has_it() {
    let mount = |pod: &str, start, end| Mount { pod: pod.to_owned(), start, end };
    let shares = volume_shares(ONE, (0, 60), &[mount("a", -10, 30), mount("b", 15, 45)]).unwrap();
    let texts: Vec<_> = shares.iter().map(|(pod, part)| format!("{pod} {}", decimal::text(*part))).collect();
    assert_eq!(texts, ["__unmounted__ 0.25", "a 0.375", "b 0.375"]);
    assert!(volume_shares(ONE, (60, 60), &[]).is_err());
    assert_eq!(by_overlap(10, &[("a".to_owned(), 1), ("b".to_owned(), 4)])["b"], 8);
    assert_eq!(by_overlap(10, &[])[UNMOUNTED], 10);
}

#[test]
fn words_for_properties_and_selectors() {
    assert_eq!("label:app".parse::<Property>().unwrap(), Property::Label("app".to_owned()));
    assert!(
        "label:".parse::<Property>().is_err()
            && "colour".parse::<Property>().is_err()
            && "namespace".parse::<Selector>().is_err()
    );
}

fn some_row() -> impl Strategy<Value = Row> {
    let cost = || prop_oneof![Just(0i128), 0..10i128.pow(24)];
    let name = |of: &'static [&'static str]| prop::sample::select(of);
    (
        name(&["c1", "c2"]),
        name(&["n1", "n2", ""]),
        name(&["a", "b", "s", UNMOUNTED]),
        name(&["x", "y", ""]),
        cost(),
        cost(),
        cost(),
    )
        .prop_map(|(cluster, node, namespace, app, cpu, ram, pv)| {
            let mut row = row(&format!("{cluster}/{node}/{namespace}/pod"), 0, 0);
            std::sync::Arc::make_mut(&mut row.labels).insert("app".to_owned(), app.to_owned());
            row.costs = Costs { cpu, ram, pv, ..Costs::default() };
            row
        })
}

proptest! {
    /// Whatever is asked for, what comes out is what went in.
    #[test]
    fn nothing_is_lost_and_nothing_is_made(
        rows in prop::collection::vec(some_row(), 0..12),
        idle in prop::collection::vec((-5i128..10i128.pow(22), -5i128..10i128.pow(22)), 2),
        by in prop::sample::select(vec!["namespace", "cluster", "label:app", "node", "pod"]),
        share_idle in prop::sample::select(vec![Share::None, Share::Weighted, Share::Even]),
        split in prop::sample::select(vec![Split::Weighted, Split::Even]),
        shared in prop::sample::select(vec![None, Some("namespace=s"), Some("label:app=x,y"), Some("cluster=c1")]),
        overhead in 0..10i128.pow(21),
        tenancy in 0..10i128.pow(21),
        share_tenancy: bool,
        by_node: bool,
    ) {
        let node = |name: &str| if by_node { name.to_owned() } else { String::new() };
        let idle = idle.iter().zip(["c1", "c2"]).map(|((cpu, ram), cluster)| Idle { cluster: cluster.to_owned(), node: node("n1"), costs: [*cpu, *ram, 7] }).collect();
        let tenancy = vec![Tenancy { cluster: "c1".to_owned(), node: String::new(), cost: tenancy }];
        let input = Input { rows, idle, tenancy };
        let options = Options {
            by: vec![by.parse().unwrap()],
            share_idle,
            split,
            shared: shared.into_iter().map(|text| text.parse().unwrap()).collect(),
            overhead,
            share_tenancy,
            filter: Vec::new(),
            condition: None,
        };
        let outcome = allocate(&input, &options).unwrap();
        let inside: i128 = input.rows.iter().map(|row| row.costs.total().unwrap()).sum::<i128>()
            + input.idle.iter().flat_map(|idle| idle.costs).sum::<i128>()
            + input.tenancy[0].cost + overhead;
        prop_assert_eq!(outcome.entries.values().map(Entry::total).sum::<i128>(), inside);
        // A filter and its opposite show everything once.
        let only = |value: &str| {
            let filter = vec![format!("cluster={value}").parse().unwrap()];
            allocate(&input, &Options { filter, ..options.clone() }).unwrap().entries.values().map(Entry::total).sum::<i128>()
        };
        let paying = input.rows.iter().any(|row| !row.is_unmounted() && !options.shared.iter().any(|chosen| chosen.matches(row)));
        if paying {
            prop_assert_eq!(only("c1") + only("c2"), inside);
        }
    }
}
