#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

/// What is surely found, as `kind: text`.
fn check(text: &str, expected: &[&str]) {
    let found: Vec<String> = find(text, Kinds::all(), SURE)
        .iter()
        .map(|found| format!("{}: {}", found.kind.name(), &text[found.start..found.end]))
        .collect();
    assert_eq!(found, expected, "{text}");
}

/// The same for a text with one finding, in plain text and within JSON.
fn one(kind: &str, before: &str, value: &str, after: &str) {
    let expected = format!("{kind}: {value}");
    check(&format!("{before}{value}{after}"), &[&expected]);
    for edge in ["\\n", "\\t", "\\u0000", "\\\\n"] {
        let text = format!(r#"{{"a":"x{edge}{before}{value}{after}"}}"#);
        check(&text, &[&expected]);
    }
}

#[test]
fn contacts() {
    for (before, value, after) in [
        ("mail to ", "anna.oezdemir+x@mail.example.org", ", please"),
        ("<", "a@xn--d1acufc.xn--p1ai", ">"),
        ("E-Mail:", "jürgen@müller.de", "."),
        ("mailto:", "b@c.example", "?subject=x"),
    ] {
        one("email_address", before, value, after);
    }
    for (before, value, after) in [
        ("Tel.: ", "+49 30 7331974", " x"),
        ("", "+49 (0)221 239875", ""),
        ("(", "(089) 966306-55", ") wohnt"),
        ("Tel.: ", "0171/8508095", ""),
        ("mobil ", "0171 8508095", ""),
        ("Telefon ", "030 1234567", "."),
        ("call ", "415-555-0132", " now"),
        ("at ", "(415) 555-0132", ""),
        ("from ", "+14155550132", ""),
        ("at ", "0049 30 7331974", ""),
        ("Telefon: ", "01718508095", ""),
    ] {
        one("phone_number", before, value, after);
    }
}

#[test]
fn accounts_and_cards() {
    one("iban", "IBAN ", "DE77 7216 3886 1353 8339 08", ", und");
    one("iban", "", "GB82WEST12345698765432", "");
    one("iban", "x ", "VG96 VPVG 0000 0123 4567 8901", " X in a sentence");
    one("payment_card", "charged ", "4012888888881881", ".");
    one("payment_card", "charged ", "4012-8888-8888-1881", "");
    one("payment_card", "", "3782 822463 10005", " declined");
    one("payment_card", "card=", "6759649826438453", "");
    one("crypto_address", "to ", "16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ", "");
    check(r#"{"kunde":"x","karte":"4400762156769369"}"#, &["payment_card: 4400762156769369"]);
}

#[test]
fn addresses_of_the_network() {
    one("ip_address", "from ", "203.0.113.7", ":443 ok");
    one("ip_address", "client=", "2001:db8::8a2e:370:7334", "");
    one("ip_address", "[", "fe80::1%eth0", "]");
    one("ip_address", "http://", "10.0.0.1", "/x");
    check("10.0.0.1-10.0.0.9", &["ip_address: 10.0.0.1", "ip_address: 10.0.0.9"]);
    one("mac_address", "at ", "00:1A:2B:3C:4D:5E", "");
    one("mac_address", "at ", "aa-bb-cc-dd-ee-ff", ".");
    one("mac_address", "at ", "aabb.ccdd.eeff", "");
}

#[test]
fn german_numbers_with_a_word_near_them() {
    for (kind, before, value) in [
        ("de_tax_id", "Meine Steuer-ID lautet ", "12345678903"),
        ("de_tax_id", "IdNr. ", "12 345 678 903"),
        ("de_tax_number", "Steuernummer ", "123/456/78901"),
        ("de_tax_number", "St.-Nr. ", "2893081508152"),
        ("de_social_security", "RVNR: ", "15070649C103"),
        ("de_social_security", "Rentenversicherung ", "15 070649 C 103"),
        ("de_health_insurance", "Krankenkasse ", "A123456780"),
        ("de_id_card", "Ausweisnummer ", "N1ZFX51016"),
        ("de_passport", "Reisepass ", "C01234565"),
        ("de_vat_id", "USt-IdNr. ", "DE136695976"),
        ("de_vat_id", "USt-IdNr. ", "DE 136 695 976"),
        ("de_licence_plate", "Kennzeichen ", "B-ZQ 230"),
        ("de_licence_plate", "Kennzeichen ", "KÖN EF 12E"),
        ("de_physician", "LANR ", "123456601"),
        ("de_practice", "BSNR ", "021234568"),
        ("de_postcode", "PLZ ", "10115"),
        ("de_commercial_register", "Amtsgericht München ", "HRB 12345"),
        ("de_driving_licence", "Führerschein ", "B072RRE2I55"),
    ] {
        one(kind, before, value, "");
        one(kind, before, value, ", und so weiter");
    }
}

#[test]
fn ordinary_logs_hold_nothing() {
    for text in [
        "GET /api/items/3f2504e0-4f89-11d3-9a0c-0305e82c3301 200 in 12 ms",
        "2026-11-26T23:15:35.123456Z INFO span=4bf92f3577b34da6a3ce929d0e0e4736 took 1764199000123456789 ns",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        r#"{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","size":4012888888881881}"#,
        "Build 36581722533 dauerte 63 s bei Version 6.18.59.",
        "version 1.2.3.4 and v10.0.0.1, nginx/1.25.3, Chrome/120.0.0.0 Safari/537.36",
        "OID 1.3.6.1.4.1.311.21.7",
        "install topology-conf:all 1.2.5.1-2 libx-1.2.3.4.so numpy==1.2.3.4",
        "Die Straße ist gesperrt; bitte die Umleitung über die Autobahn A 100 nutzen.",
        "Die Bestellnummer ist DE01205307846615067086 und nicht gültig.",
        "std::cout << a::b; Foo::bar(1) at 12:34:56",
        "offset=9223372036854775807 lag=12345 partition=17 port 65535",
        "git@github.com:a/b.git getty@tty1.service logo@2x.png lodash@4.17.21 image@sha256:ab",
        "ssh://user@host.example.org/x https://fabrikam@dev.azure.com/fabrikam",
        "pod web-7d4b9c6f5d-x2k9p on node ip-10-0-0-1.eu-west-1.compute.internal",
        "order 123-456-7890 shipped 01-12-2026, 03.11.2026 07:05, +02:00, 1,234,567.89",
        "latency p99=12.5ms p50=3.2ms, 404 not found, exit code 137, 10.5%",
        "commit 33b55f7cb7e7e245323987634f960cf4a6e6bc74 in 2.3.4-rc.1+build.5",
        "cost 1234567890123.45 for 12345678901 units, id 98765432106",
        r#"{"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36","items":[10115,80331,99998]}"#,
        "GC pause 00:00:00:00:00:00 heap 4096M",
    ] {
        check(text, &[]);
    }
}

#[test]
fn marks_are_left_alone() {
    for text in
        ["[redacted:email_address]", "to [hashed:iban:0123456789abcdef], DE", "IdNr. [redacted:de_tax_id] 12345678901"]
    {
        check(text, &[]);
    }
    // A mark is no word near a number.
    check("[redacted:de_tax_number] steht vor 12345678903", &[]);
}

/// Completes a body with the digit that checks.
fn complete(body: &str, valid: impl Fn(&str) -> bool) -> Option<String> {
    ('0'..='9').map(|digit| format!("{body}{digit}")).find(|whole| valid(whole))
}

/// Whether the whole text behind the words is found as this kind.
fn found_as(kind: Kind, words: &str, value: &str) -> bool {
    let text = format!("{words} {value}");
    find(&text, Kinds::all(), SURE).iter().any(|f| f.kind == kind && &text[f.start..f.end] == value)
}

/// The value with one digit changed.
fn changed(value: &str, at: usize, by: u8) -> String {
    let digits: Vec<usize> = (0..value.len()).filter(|i| value.as_bytes()[*i].is_ascii_digit()).collect();
    let place = digits[at % digits.len()];
    let digit = (value.as_bytes()[place] - b'0' + by) % 10;
    format!("{}{digit}{}", &value[..place], &value[place + 1..])
}

proptest! {
    #[test]
    fn valid_ibans_are_found_and_changed_ones_are_not(account in "[0-9]{18}", at in 0_usize..20, by in 1_u8..10, spaced in any::<bool>()) {
        let iban = (0..100).map(|check| format!("DE{check:02}{account}")).find(|iban| checksum::mod_97(iban.as_bytes())).unwrap();
        let written = |iban: &str| match spaced {
            true => iban.as_bytes().chunks(4).map(|g| std::str::from_utf8(g).unwrap()).collect::<Vec<_>>().join(" "),
            false => iban.to_owned(),
        };
        // 02 to 98 are the check digits in use; 00, 01 and 99 are their doubles.
        prop_assert!(found_as(Kind::Iban, "an", &written(&iban)));
        prop_assert!(!found_as(Kind::Iban, "an", &written(&changed(&iban, at, by))));
    }

    #[test]
    fn valid_cards_are_found_and_changed_ones_are_not(body in "(4[0-9]{3}|5[1-5][0-9]{2})[0-9]{11}", at in 0_usize..16, by in 1_u8..10) {
        let card = complete(&body, |card| checksum::luhn(card.as_bytes())).unwrap();
        prop_assert!(found_as(Kind::PaymentCard, "paid with", &card));
        prop_assert!(!found_as(Kind::PaymentCard, "paid with", &changed(&card, at, by)));
    }

    #[test]
    fn valid_tax_ids_are_found_and_changed_ones_are_not(body in "[1-9][0-9]{9}", at in 0_usize..11, by in 1_u8..10) {
        let often = ('0'..='9').any(|digit| body.matches(digit).count() > 3);
        prop_assume!(!often);
        let id = complete(&body, |id| checksum::mod_11_10(id.as_bytes())).unwrap();
        prop_assert!(found_as(Kind::DeTaxId, "Steuer-ID", &id));
        prop_assert!(!found_as(Kind::DeTaxId, "Steuer-ID", &changed(&id, at, by)));
        prop_assert!(!found_as(Kind::DeTaxId, "Vorgang", &id), "without a word near it");
    }

    #[test]
    fn valid_vat_ids_are_found_and_changed_ones_are_not(body in "[1-9][0-9]{7}", at in 0_usize..9, by in 1_u8..10) {
        let digits = complete(&body, |id| checksum::mod_11_10(id.as_bytes())).unwrap();
        let id = format!("DE{digits}");
        prop_assert!(found_as(Kind::DeVatId, "USt-IdNr.", &id));
        prop_assert!(!found_as(Kind::DeVatId, "USt-IdNr.", &changed(&id, at, by)));
    }

    #[test]
    fn valid_documents_are_found_and_changed_ones_are_not(body in "[LMNPRTVWXY][0-9CFGHJKLMNPRTVWXYZ]{7}[0-9]", at in 0_usize..10, by in 1_u8..10) {
        let id = complete(&body, |id| checksum::weights_7_3_1(id.as_bytes())).unwrap();
        prop_assert!(found_as(Kind::DeIdCard, "Ausweis", &id));
        prop_assert!(!found_as(Kind::DeIdCard, "Ausweis", &changed(&id, at, by)));
    }

    #[test]
    fn valid_insurance_numbers_are_found_and_changed_ones_are_not(
        letter in "[A-Z]", body in "[0-9]{8}", day in 1_u32..=28, month in 1_u32..=12, year in 0_u32..100, serial in 0_u32..100,
        by in 1_u8..10,
    ) {
        let kvnr = complete(&format!("{letter}{body}"), |n| checksum::health_insurance(n.as_bytes())).unwrap();
        prop_assert!(found_as(Kind::DeHealthInsurance, "KVNR", &kvnr));
        // The check digit itself; a weight of two lets 0 and 9 change places elsewhere, as with every such scheme.
        prop_assert!(!found_as(Kind::DeHealthInsurance, "KVNR", &changed(&kvnr, 8, by)));
        let body = format!("15{day:02}{month:02}{year:02}{letter}{serial:02}");
        let rvnr = complete(&body, |n| checksum::pension_insurance(n.as_bytes())).unwrap();
        prop_assert!(found_as(Kind::DeSocialSecurity, "RVNR", &rvnr));
        prop_assert!(!found_as(Kind::DeSocialSecurity, "RVNR", &changed(&rvnr, 10, by)));
    }

    #[test]
    fn any_text_is_read(text in "\\PC{0,120}") {
        for found in find(&text, Kinds::all(), 0) {
            prop_assert!(text.is_char_boundary(found.start) && text.is_char_boundary(found.end) && found.start < found.end);
        }
    }

    #[test]
    fn numbers_and_signs_are_read(text in "([0-9]{1,13}|[A-Za-zÖ]{1,3}|[-+/.:@() \\\\\"n]){0,40}") {
        for found in find(&text, Kinds::all(), 0) {
            prop_assert!(text.is_char_boundary(found.start) && text.is_char_boundary(found.end) && found.start < found.end);
        }
    }
}
