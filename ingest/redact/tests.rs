#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn redacted(text: &str) -> String {
    Secrets::new().redact(text).into_owned()
}

/// A text of `length` letters and digits that looks random and is the same every time.
fn random(alphabet: &str, length: usize) -> String {
    let letters: Vec<char> = alphabet.chars().collect();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        letters[usize::try_from(state >> 33).unwrap() % letters.len()]
    };
    (0..length).map(next).collect()
}

const ALPHANUMERIC: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `{}` in the text is the secret; it must go, and what stands around it must stay.
fn check(kind: &str, text: &str, secret: &str) {
    let with = text.replace("{}", secret);
    let expected = text.replace("{}", &mark(kind));
    assert_eq!(redacted(&with), expected, "{kind}");
    for edge in [r"\n", r"\t", r"\\n", r"\u0000"] {
        // In JSON what begins a line stands behind a letter, and behind two backslashes in JSON inside of JSON.
        let line = |secret: &str| format!(r#"{{"a":"x{edge}{}"}}"#, text.replace("{}", secret));
        if text.starts_with("{}") && !text.contains('"') {
            assert_eq!(redacted(&line(secret)), line(&mark(kind)), "{kind} behind {edge}");
        }
    }
    assert_eq!(redacted(&expected), expected, "{kind}: twice is once");
}

#[test]
fn tokens_known_by_their_form() {
    for (kind, text, prefix, alphabet, length) in [
        ("aws_access_key", "key {} used", "AKIA", BASE32, 16),
        ("aws_access_key", "key {} used", "ASIA", BASE32, 16),
        ("github_token", "git clone with {}.", "ghp_", ALPHANUMERIC, 36),
        ("github_token", "\"{}\"", "ghs_", ALPHANUMERIC, 36),
        ("github_token", "{}", concat!("github", "_pat_"), ALPHANUMERIC, 82),
        ("gitlab_token", "x {} y", "glpat-", ALPHANUMERIC, 20),
        ("slack_token", "x {} y", "xoxb-", "0123456789", 24),
        ("npm_token", "//registry/:_auth {}", "npm_", ALPHANUMERIC, 36),
        ("pypi_token", "upload {}", "pypi-", ALPHANUMERIC, 80),
        ("model_key", "use {}", "sk-ant-", ALPHANUMERIC, 40),
        ("google_api_key", "use {}", "AIza", ALPHANUMERIC, 35),
        ("vault_token", "use {}", "hvs.", ALPHANUMERIC, 24),
    ] {
        let token = format!("{prefix}{}", random(alphabet, length));
        check(kind, text, &token);
        check(kind, "{} begins it", &token);
    }
    let pat = format!("{}{}{}", random(ALPHANUMERIC, 76), concat!("AZ", "DO"), random(ALPHANUMERIC, 4));
    check("azure_devops_pat", "az devops login {} ok", &pat);
    check("azure_devops_pat", "{} ok", &pat);
    let token = format!("eyJ{}.eyJ{}.{}", random(ALPHANUMERIC, 20), random(ALPHANUMERIC, 30), random(ALPHANUMERIC, 43));
    check("jwt", "jwt={}; path=/", &token);
    check("jwt", "{}; path=/", &token);
}

#[test]
fn private_keys_whole_escaped_and_cut_off() {
    let (begin, end) = (concat!("-----BEGIN RSA PRI", "VATE KEY-----"), concat!("-----END RSA PRI", "VATE KEY-----"));
    let body = random(ALPHANUMERIC, 64);
    check("private_key", "before\n{}\nafter", &format!("{begin}\n{body}\n{body}\n{end}"));
    check("private_key", r#"{"pem":"{}\n","n":1}"#, &format!(r"{begin}\n{body}\n{end}"));
    check("private_key", r#"{"pem":"{}","n":1}"#, &format!(r"{begin}\n{body}"));
    check("private_key", r#"{"a":"{\"pem\":\"{}\",\"n\":1}"}"#, &format!(r"{begin}\\n{body}"));
    let certificate = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----");
    assert_eq!(redacted(&certificate), certificate);
}

#[test]
fn secrets_known_by_their_name() {
    let word = random(ALPHANUMERIC, 24);
    let word = format!("{word}7a");
    for (kind, text) in [
        ("password", "DefaultEndpointsProtocol=https;AccountName=x;AccountKey={};EndpointSuffix=core.windows.net"),
        ("password", "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={}"),
        ("password", "Server=tcp:x,1433;User ID=sa;Password={};Encrypt=True"),
        ("password", "Server=x;Uid=sa;Pwd={};"),
        ("password", r#"{"user":"a","password":"{}","n":1}"#),
        ("password", r#"{"user":"a", "dbPassword" : "{}"}"#),
        ("password", r#"{"a":"{\"password\":\"{}\",\"n\":1}"}"#),
        ("password", r#"{"env":"PASSWORD={}\nHOME=/root"}"#),
        ("password", "PGPASSWORD={} psql -h db"),
        ("password", "export API_KEY='{}'"),
        ("password", "password: {}\nuser: a"),
        ("password", r#"{"name":"DB_PASSWORD","value":"{}"}"#),
        ("password", r#"{"name": "DB_PASSWORD", "value": "{}"}"#),
        ("password", r#"{"variables":{"DB_PASSWORD":{"isSecret":true,"value":"{}"}}}"#),
        ("password", r#"{"x":"[{\"name\":\"DB_PASSWORD\",\"value\":\"{}\"}]"}"#),
        ("password", "aws_secret_access_key = {}"),
        ("secret", "https://host/hook?token={}&x=1"),
        ("secret", r#"{"token":"{}"}"#),
        ("secret", "AZURE_DEVOPS_PAT={}"),
        ("secret", r#"{"clientToken" : "{}"}"#),
    ] {
        check(kind, text, &word);
    }
    assert_eq!(redacted(r#"{"password":12345,"n":1}"#), r#"{"password":"[redacted:password]","n":1}"#);
    assert_eq!(redacted(r#"{"password":"a\"b\\c","n":1}"#), r#"{"password":"[redacted:password]","n":1}"#);
    let signature = random(ALPHANUMERIC, 43);
    check("shared_access_signature", "https://x.blob.core.windows.net/c?sv=2024&sig={}&se=2025", &signature);
    check("shared_access_signature", r#"{"a":"x\nsig={}"}"#, &signature);
    check("shared_access_signature", r#"{"url":"https://x/c?sv=1\u0026sig={}\u0026se=2"}"#, &signature);
}

#[test]
fn credentials_in_headers_and_urls() {
    use base64::Engine;
    let basic = base64::engine::general_purpose::STANDARD.encode("user:hunter2");
    check("authorization", "Authorization: Basic {}", &basic);
    check("authorization", "curl -H 'x: Basic {}' y", &basic);
    let bearer = format!("{}5x", random(ALPHANUMERIC, 30));
    check("authorization", "authorization: bearer {}", &bearer);
    check("authorization", r#"{"Authorization":"Bearer {}"}"#, &bearer);
    check("authorization", r#"{"a":"x\nBearer {}\ny"}"#, &bearer);
    check("authorization", r#"{"a":"x\tBasic {}"}"#, &basic);
    check("url_password", "postgres://user:{}@db.example.org:5432/x", "hunter2");
    check("url_password", "amqp://user:{}@db", "p@ss:word");
    check("url_password", "git clone https://{}@dev.azure.com/org", &format!("{}3", random(ALPHANUMERIC, 30)));
}

#[test]
fn kubernetes_secrets_keep_their_names() {
    for (text, expected) in [
        (
            r#"{"apiVersion":"v1","data":{"a.b":"c2VjcmV0","c":"eA=="},"kind":"Secret","metadata":{"name":"s"}}"#,
            r#"{"apiVersion":"v1","data":{"a.b":"[redacted:kubernetes_secret]","c":"[redacted:kubernetes_secret]"},"kind":"Secret","metadata":{"name":"s"}}"#,
        ),
        (
            r#"{"last":"{\"kind\":\"Secret\",\"data\":{\"a\":\"c2VjcmV0\"},\"x\":\"y\"}\n"}"#,
            r#"{"last":"{\"kind\":\"Secret\",\"data\":{\"a\":\"[redacted:kubernetes_secret]\"},\"x\":\"y\"}\n"}"#,
        ),
        (
            "kind: Secret\ndata:\n  a: c2VjcmV0\n  b: |\n    line\n    line\nmetadata:\n  name: x\n",
            "kind: Secret\ndata:\n  a: [redacted:kubernetes_secret]\n  b: [redacted:kubernetes_secret]\n\n\nmetadata:\n  name: x\n",
        ),
        (
            r#"{"m.yaml":"kind: Secret\nstringData:\n  a: \"q\"\n  b: x","n":1}"#,
            r#"{"m.yaml":"kind: Secret\nstringData:\n  a: [redacted:kubernetes_secret]\n  b: [redacted:kubernetes_secret]","n":1}"#,
        ),
        (r#"{"kind":"Secret","data":{"a":"c2Vjcm"#, r#"{"kind":"Secret","data":{"a":"[redacted:kubernetes_secret]"#),
    ] {
        assert_eq!(redacted(text), expected);
        assert_eq!(redacted(expected), expected);
    }
}

#[test]
fn ordinary_text_is_left_alone() {
    let redactor = Secrets::new();
    for text in [
        "",
        "GET /api/items/3f2504e0-4f89-11d3-9a0c-0305e82c3301 200 in 12 ms",
        "commit 33b55f7cb7e7e245323987634f960cf4a6e6bc74 by fabrikamfiber4@hotmail.com",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "registry.example.org/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "The password must not be empty, and the token expires.",
        "Basic authentication is off; use bearer authentication tokens",
        r#"{"secretName":"web-tls","kind":"Ingress"}"#,
        r#"{"kind":"SecretStore","spec":{"data":{"a":"b"}}}"#,
        r#"{"valueFrom":{"secretKeyRef":{"key":"password","name":"db"}}}"#,
        r#"{"name":"DB_PASSWORD","valueFrom":{"secretKeyRef":{"key":"x","name":"db"}}}"#,
        r#"{"imagePullSecrets":[{"name":"regcred"}],"automountServiceAccountToken":true,"token":null}"#,
        r#"{"secret":"default-token-x7k2p","token":"3f2504e0-4f89-11d3-9a0c-0305e82c3301"}"#,
        r#"{"max_tokens":4096,"total_tokens":12,"token":512}"#,
        "password: ${DB_PASSWORD}",
        "Password=$(db.password);",
        "if password == other { return }",
        "tokenizer=fast, secretary=alice1234",
        "https://fabrikam@dev.azure.com/fabrikam/_git/x and git@github.com:a/b.git",
        "https://example.org/a?redirect=https://b@c",
        "risk-ant-colony disk-project sk-learn",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "token: /var/run/secrets/tokens/vault-token1",
        "Änderung: Straße → Zürich, 価格 ¥100",
    ] {
        let found = redactor.redact(text);
        assert!(matches!(found, Cow::Borrowed(_)), "{text} became {found}");
    }
}

#[test]
fn the_literals_fit_the_vector_search() {
    let mut literals: Vec<&str> = DETECTORS.iter().flat_map(|d| d.literals).copied().collect();
    literals.sort_unstable();
    literals.dedup();
    assert!(literals.len() <= 64, "{}", literals.len());
    assert!(literals.iter().all(|l| l.len() >= 3));
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let words = prop_oneof![
        "[a-zA-Z0-9 =:;&@\"'\\\\/{}\n.-]{0,40}",
        "(password|Pwd|token|Authorization: Basic|AccountKey)[=: \"]{1,2}[a-zA-Z0-9\"\\\\\n]{0,20}",
        "postgres://[a-z]{1,5}:[a-z\"\\\\]{1,8}@db",
        "(password|token)[:=] ?",
        Just("it's a 'password': 'x".to_owned()),
        Just("kind: Secret\ndata:\n  a: \"x\"\n  b: y".to_owned()),
        Just(r#"{"kind":"Secret","data":{"a":"b\"c"}}"#.to_owned()),
    ];
    let leaf = prop_oneof![
        words.prop_map(serde_json::Value::from),
        any::<i32>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null)
    ];
    let names = prop_oneof![
        Just("password"),
        Just("x: password:"),
        Just("token"),
        Just("name"),
        Just("value"),
        Just("DB_PASSWORD"),
        Just("data"),
        Just("kind")
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((names.clone(), inner), 0..4).prop_map(|members| members
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #[test]
    fn json_stays_json(value in json(), nested in any::<bool>()) {
        let value = if nested { serde_json::json!({"inner": value.to_string()}) } else { value };
        let text = value.to_string();
        let found = redacted(&text);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&found).is_ok(), "{} became {}", text, found);
    }

    #[test]
    fn any_text_is_read(text in "\\PC{0,200}") {
        let _ = redacted(&text);
    }
}
