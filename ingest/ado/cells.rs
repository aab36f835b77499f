//! Cells of Azure DevOps records. Between resource versions the same thing changes its spelling: PascalCase or camelCase
//! envelopes, identities as text or objects, numbers as text, years 1 and 9999 for "never".

use serde_json::Value;

use crate::json::instant_us;

/// A member by its camelCase name; PascalCase spellings are found, too. Null counts as absent.
pub fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let members = value.as_object()?;
    let found = members.get(name).or_else(|| {
        let first = name.chars().next()?.to_ascii_uppercase();
        members.get(&format!("{first}{}", &name[first.len_utf8()..]))
    });
    found.filter(|v| !v.is_null())
}

/// A member of members.
pub fn path<'a>(value: &'a Value, names: &[&str]) -> Option<&'a Value> {
    names.iter().try_fold(value, |here, name| member(here, name))
}

/// A text, or a number as text.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A whole number, or a text that is one.
pub fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[allow(clippy::cast_possible_truncation)]
fn whole(number: f64) -> Option<i64> {
    // 2^53: beyond it a float no longer counts in ones.
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
}

/// A finite number, or a text that is one.
pub fn float(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|n| n.is_finite())
}

/// An instant in microseconds; the years 1 and 9999 mean "never" and are none.
pub fn time(value: &Value) -> Option<i64> {
    const YEAR_2: i64 = -62_104_060_800_000_000;
    const YEAR_9999: i64 = 253_370_764_800_000_000;
    instant_us(value.as_str()?).filter(|us| (YEAR_2..YEAR_9999).contains(us))
}

/// A person or service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    pub display_name: Option<String>,
    pub unique_name: Option<String>,
}

/// An identity: an object in newer resource versions, `Name` or `Name <unique name>` in older ones.
pub fn identity(value: &Value) -> Identity {
    match value {
        Value::String(words) => {
            match words.rsplit_once('<').and_then(|(name, rest)| Some((name, rest.strip_suffix('>')?))) {
                Some((name, unique)) => {
                    Identity { display_name: Some(name.trim().to_owned()), unique_name: Some(unique.to_owned()) }
                }
                None => Identity { display_name: Some(words.clone()).filter(|w| !w.is_empty()), unique_name: None },
            }
        }
        Value::Object(_) => {
            let word = |name: &str| member(value, name).and_then(text);
            let named = word("name").map(|name| identity(&Value::String(name))).unwrap_or_default();
            Identity {
                display_name: word("displayName").or(named.display_name),
                unique_name: word("uniqueName").or(word("email")).or(named.unique_name),
            }
        }
        _ => Identity::default(),
    }
}

/// The organization in one of its URLs: `dev.azure.com/ORG/…`, `ORG.visualstudio.com/…`; for a server its host.
pub fn organization(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
    if host == "dev.azure.com" || host.ends_with(".dev.azure.com") {
        return path.split(['/', '?']).next().filter(|org| !org.is_empty()).map(str::to_ascii_lowercase);
    }
    if let Some(before) = host.strip_suffix(".visualstudio.com") {
        // Services of an organization stand between: `fabrikam.vsrm.visualstudio.com`.
        return before.split('.').next().map(str::to_owned);
    }
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn organizations_of_urls() {
        for (url, expected) in [
            ("https://dev.azure.com/Fabrikam/x/_apis/y", Some("fabrikam")),
            ("https://vsrm.dev.azure.com/fabrikam/_apis", Some("fabrikam")),
            ("https://fabrikam@dev.azure.com/fabrikam/x/_git/y", Some("fabrikam")),
            ("http://fabrikam-fiber-inc.visualstudio.com/DefaultCollection/_apis", Some("fabrikam-fiber-inc")),
            ("https://fabrikam.vssps.visualstudio.com/_apis/Identities/1", Some("fabrikam")),
            ("https://tfs.example.org:8080/tfs/DefaultCollection", Some("tfs.example.org:8080")),
            ("https://dev.azure.com/", None),
            ("vstfs:///Build/2", None),
            ("no url", None),
        ] {
            assert_eq!(organization(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn identities_of_every_resource_version() {
        for (value, display, unique) in [
            (json!("Jamal Hartnett"), Some("Jamal Hartnett"), None),
            (json!("Bob (It's me) <bob@example.org>"), Some("Bob (It's me)"), Some("bob@example.org")),
            (json!({"displayName": "Bob", "uniqueName": "bob@example.org"}), Some("Bob"), Some("bob@example.org")),
            (json!({"name": "Bob <bob@example.org>"}), Some("Bob"), Some("bob@example.org")),
            (json!({"name": "Bob", "email": "bob@example.org"}), Some("Bob"), Some("bob@example.org")),
            (json!(""), None, None),
            (json!(7), None, None),
        ] {
            let found = identity(&value);
            assert_eq!((found.display_name.as_deref(), found.unique_name.as_deref()), (display, unique), "{value}");
        }
    }

    #[test]
    fn loose_scalars() {
        assert_eq!(int(&json!("12")), Some(12));
        assert_eq!(int(&json!(2.0)), Some(2));
        assert_eq!(int(&json!(2.5)), None);
        assert_eq!(time(&json!("9999-01-01T00:00:00Z")), None);
        assert_eq!(time(&json!("0001-01-01T00:00:00")), None);
        assert_eq!(time(&json!("1970-01-01T00:00:00.5Z")), Some(500_000));
        assert_eq!(text(member(&json!({"EventType": "x"}), "eventType").unwrap()).as_deref(), Some("x"));
    }
}
