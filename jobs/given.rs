//! What flows and jobs are given and come to, without secrets and personal data. Only whom a URL calls stays, an address of a
//! machine, too: without it nobody is called.

use engine::Redactor;
use serde_json::Value;
use url::{Host, Url};

/// Stands for an address while the rest is looked at; no name of a host ends so (RFC 2606).
const STANDS_IN: &str = ".stellwerk.invalid";

/// A document as it is stored.
pub fn document(redactor: &dyn Redactor, given: &Value) -> Value {
    let (mut hidden, mut hosts) = (given.clone(), Vec::new());
    if !given.to_string().contains(STANDS_IN) {
        each_text(&mut hidden, &mut |text| hide(text, &mut hosts));
    }
    let mut clean = redactor.document(&hidden).into_owned();
    if !hosts.is_empty() {
        each_text(&mut clean, &mut |text| show(text, &hosts));
    }
    clean
}

fn each_text(value: &mut Value, change: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(members) => members.values_mut().for_each(|member| each_text(member, change)),
        _ => {}
    }
}

/// Puts a name in the place of the address that a URL calls.
fn hide(text: &mut String, hosts: &mut Vec<String>) {
    let Some(url) = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else { return };
    let (Some(Host::Ipv4(_) | Host::Ipv6(_)), Some(host)) = (url.host(), url.host_str()) else { return };
    let Some(begin) = text.find("://").map(|at| at + 3) else { return };
    let end = text[begin..].find(['/', '?', '#']).map_or(text.len(), |at| begin + at);
    let begin = text[begin..end].rfind('@').map_or(begin, |at| begin + at + 1);
    // Who spells it otherwise has it masked.
    if text[begin..end].starts_with(host) {
        text.replace_range(begin..begin + host.len(), &format!("host-{}{STANDS_IN}", hosts.len()));
        hosts.push(host.to_owned());
    }
}

fn show(text: &mut String, hosts: &[String]) {
    for (at, host) in hosts.iter().enumerate() {
        let name = format!("host-{at}{STANDS_IN}");
        if text.contains(&name) {
            *text = text.replace(&name, host);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use engine::ports::ColumnRedactor;
    use engine::{Column, Table};
    use serde_json::json;

    use super::*;

    /// Takes two addresses out, and a word.
    #[derive(Debug)]
    struct Masks;

    impl Redactor for Masks {
        fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
            let clean = text.replace("127.0.0.1", "[ip]").replace("::1", "[ip]").replace("anna", "[name]");
            if clean == text { Cow::Borrowed(text) } else { Cow::Owned(clean) }
        }

        fn column<'a>(&'a self, _: &Table, _: &Column) -> Option<Box<dyn ColumnRedactor + 'a>> {
            None
        }
    }

    fn check(given: Value, stored: Value) {
        let clean = document(&Masks, &given);
        assert_eq!(clean, stored);
        assert_eq!(document(&Masks, &clean), stored, "twice is once");
    }

    #[test]
    fn whom_a_url_calls_stays_and_nothing_else_does() {
        check(
            json!({ "url": "http://127.0.0.1:8080/run?for=anna", "n": 7, "text": "anna at 127.0.0.1" }),
            json!({ "url": "http://127.0.0.1:8080/run?for=[name]", "n": 7, "text": "[name] at [ip]" }),
        );
        check(json!(["https://anna:x@127.0.0.1/a/127.0.0.1"]), json!(["https://[name]:x@127.0.0.1/a/[ip]"]));
        check(json!({ "with": { "url": "http://[::1]/" } }), json!({ "with": { "url": "http://[::1]/" } }));
        check(json!("see http://127.0.0.1/"), json!("see http://[ip]/"));
        check(json!({ "url": "ftp://127.0.0.1/" }), json!({ "url": "ftp://[ip]/" }));
        check(json!({ "a": "http://127.0.0.1/", "b": "host-0.stellwerk.invalid" }), {
            json!({ "a": "http://[ip]/", "b": "host-0.stellwerk.invalid" })
        });
    }
}
