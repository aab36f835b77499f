#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_commitment_tells_values_and_salts_apart() {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let whole = commitment(&[7; 16], &values(&["ana", "meier"]));
    for (salt, other) in
        [([7; 16], values(&["anam", "eier"])), ([8; 16], values(&["ana", "meier"])), ([7; 16], values(&["ana"]))]
    {
        assert_ne!(commitment(&salt, &other), whole);
    }
    assert_eq!(commitment(&[7; 16], &values(&["ana", "meier"])), whole);
}

#[test]
fn a_proof_holds_only_where_nothing_is_left_that_could_have_gone() {
    let held = |change: fn(&mut Proof)| {
        let mut proof = Proof::default();
        change(&mut proof);
        proof.holds()
    };
    assert!(held(|_| ()));
    assert!(!held(|p| p.remaining_rows = 1));
    assert!(!held(|p| p.remaining.push("a leaf".into())));
    assert!(!held(|p| p.scanned.holding_count = 1));
    assert!(
        held(|p| (p.scanned.holding_count, p.elsewhere_rows) = (1, 1)),
        "another tenant's row stands in the same file"
    );
}
