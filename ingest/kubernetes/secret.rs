//! What must not be kept of an object: bookkeeping of field managers, every value of a Secret, and values of the
//! environment that are keys.

use serde_json::Value;

/// Stands where a Secret's value stood.
pub const REDACTED: &str = "[redacted:kubernetes_secret]";
/// Stands where a value of the environment stood.
const REDACTED_VALUE: &str = "[redacted:environment]";
/// kubectl keeps the whole object, a Secret's values included, in this annotation.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Objects in objects that are searched for an environment.
const DEPTH_MAX: usize = 40;

/// Takes out what is not kept.
pub fn strip(object: &mut Value) {
    let secret = object.get("kind").and_then(Value::as_str) == Some("Secret")
        && !object.get("apiVersion").and_then(Value::as_str).unwrap_or_default().contains('/');
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(last) = metadata.get_mut("annotations").and_then(|a| a.get_mut(LAST_APPLIED)) {
            if secret {
                *last = Value::from(REDACTED);
            } else {
                strip_text(last);
            }
        }
    }
    if secret {
        for member in ["data", "stringData"] {
            match object.get_mut(member) {
                Some(Value::Object(values)) => values.values_mut().for_each(|value| *value = Value::from(REDACTED)),
                Some(Value::Null) | None => {}
                Some(other) => *other = Value::from(REDACTED),
            }
        }
    } else if let Some(spec) = object.get_mut("spec") {
        environment(spec, 0);
    }
}

/// The same in an object that is a text.
fn strip_text(text: &mut Value) {
    let Some(Ok(mut object)) = text.as_str().map(crate::bounded::json) else { return };
    if object.is_object() {
        strip(&mut object);
        *text = Value::from(object.to_string());
    }
}

/// Looks through lists of `{name, value}`: a container's environment, parameters of a chart.
fn environment(value: &mut Value, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    match value {
        Value::Array(items) => {
            for item in items {
                if let Some(pair) = item.as_object_mut()
                    && let Some(name) = pair.get("name").and_then(Value::as_str)
                    && let Some(text) = pair.get("value").and_then(Value::as_str)
                    && is_key(name, text)
                {
                    pair.insert("value".to_owned(), Value::from(REDACTED_VALUE));
                }
                environment(item, depth + 1);
            }
        }
        Value::Object(members) => members.values_mut().for_each(|member| environment(member, depth + 1)),
        _ => {}
    }
}

/// Ends of names that only a secret has.
const SECRET_NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "accountkey",
    "secretkey",
    "signingkey",
    "encryptionkey",
    "credential",
    "credentials",
    "connectionstring",
    "dsn",
];
/// Words of names whose values look random and are none of anybody's business to hide.
const PLAIN_NAMES: &[&str] =
    &["sha", "commit", "revision", "hash", "digest", "checksum", "uid", "uuid", "id", "version", "image"];
/// Shorter than this, a value that is named like no secret is none.
const RANDOM_CHARS_MIN: usize = 24;

/// Whether a value of the environment is a key: by its name, or because nothing else looks like it.
fn is_key(name: &str, value: &str) -> bool {
    if value.is_empty() || value.starts_with("$(") || value.starts_with("[redacted:") {
        return false;
    }
    let words: Vec<String> = name.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_ascii_lowercase).collect();
    let letters = words.concat();
    if SECRET_NAMES.iter().any(|end| letters.ends_with(end)) {
        // A path or a flag is where a secret lies or whether there is one.
        return !(value.starts_with('/') || matches!(value, "true" | "false" | "0" | "1"));
    }
    let plain = words.last().is_some_and(|word| PLAIN_NAMES.contains(&word.as_str()));
    !plain && looks_random(value)
}

/// Letters of both cases and digits in one long word of high entropy.
fn looks_random(value: &str) -> bool {
    const BITS_MIN: f64 = 3.9;
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'_' | b'-');
    if value.len() < RANDOM_CHARS_MIN || !value.bytes().all(word) || value.starts_with('/') {
        return false;
    }
    let has = |is: fn(&u8) -> bool| value.as_bytes().iter().any(is);
    if !(has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit)) {
        return false;
    }
    let mut counts = [0_u32; 256];
    value.bytes().for_each(|b| counts[usize::from(b)] += 1);
    let length = value.len() as f64;
    let bits: f64 = counts.iter().filter(|n| **n > 0).map(|n| f64::from(*n) / length).map(|p| -p * p.log2()).sum();
    bits >= BITS_MIN
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_keeps_its_keys_only() {
        let mut secret = json!({"kind": "Secret", "apiVersion": "v1", "data": {"key": "c2VjcmV0"}, "stringData": "odd",
            "metadata": {"name": "s", "managedFields": [1], "annotations": {LAST_APPLIED: "c2VjcmV0"}}});
        strip(&mut secret);
        let text = secret.to_string();
        assert!(!text.contains("c2VjcmV0") && !text.contains("odd") && !text.contains("managedFields"));
        assert_eq!(secret["data"]["key"], REDACTED);
    }

    #[test]
    fn keys_of_the_environment() {
        for (name, value, secret) in [
            ("DB_PASSWORD", "x", true),
            ("dbPassword", "hunter2", true),
            ("API_TOKEN", "abc", true),
            ("STRIPE", "Zx81kQpL0aVb3TnW9sUe7RyC", true),
            ("PASSWORD_FILE", "/run/secret", false),
            ("AUTH_TOKEN", "/var/run/token", false),
            ("DB_PASSWORD", "$(FROM_ELSEWHERE)", false),
            ("GIT_COMMIT", "5bf008f7d2465bf008f7d2465bf008f7d2460000", false),
            ("BUILD_ID", "Zx81kQpL0aVb3TnW9sUe7RyC", false),
            ("URL", "https://Example1.com/Path", false),
            ("LOG_LEVEL", "info", false),
            ("TOKEN_EXPIRY", "3600", false),
        ] {
            assert_eq!(is_key(name, value), secret, "{name}={value}");
        }
    }

    #[test]
    fn an_environment_is_found_wherever_it_stands() {
        let container = json!({"name": "c", "env": [{"name": "X_PASSWORD", "value": "hunter2"}, {"name": "PLAIN", "value": "hunter2x"}]});
        let applied =
            json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [container.clone()]}}}})
                .to_string();
        let mut deployment = json!({"kind": "Deployment", "metadata": {"annotations": {LAST_APPLIED: applied}},
            "spec": {"template": {"spec": {"initContainers": [container]}}}});
        strip(&mut deployment);
        let text = deployment.to_string();
        assert_eq!(text.matches("hunter2\"").count() + text.matches("hunter2\\\"").count(), 0, "{text}");
        assert_eq!(text.matches("hunter2x").count(), 2);
        assert_eq!(text.matches(REDACTED_VALUE).count(), 2);
    }
}
