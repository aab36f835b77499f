//! Signing in as everything but a person: tokens are renewed before they end, what proves us may be changed at any time, a
//! refusal says what is wrong, and no token or secret is kept or told.

use super::issuer::{CLIENT, Issuer, TENANT, make_certificate};
use super::*;
use crate::harness::{Ground as House, command, skipped};

/// Everything that speaks to the source, at the finest level.
const LOGGED: &str = "ingest=trace,serve=trace,reqwest=trace,hyper=trace,hyper_util=trace,h2=trace,rustls=trace";

/// How one kind of identity is told, and proved anew.
struct Way {
    auth: String,
    /// Makes another proof good, and writes it where it is read: in this order, so that in between we are refused.
    renew: Vec<Box<dyn Fn(&Issuer)>>,
    /// What a refusal says.
    refusal: &'static str,
    secrets: Vec<String>,
}

fn in_file(folder: &std::path::Path, word: &str, kind: &str) -> Way {
    let path = folder.join(kind);
    let secrets = vec![format!("{kind}-hush-1"), format!("{kind}-hush-2")];
    std::fs::write(&path, &secrets[0]).unwrap();
    let (second, at) = (secrets[1].clone(), path.clone());
    let good = second.clone();
    let renew: Vec<Box<dyn Fn(&Issuer)>> = vec![
        Box::new(move |issuer: &Issuer| issuer.expect_secret(&good)),
        Box::new(move |_: &Issuer| std::fs::write(&at, &second).unwrap()),
    ];
    let at = if word == "sp" { format!("file:{}", path.display()) } else { path.display().to_string() };
    let refusal = if word == "sp" { "AADSTS7000215" } else { "AADSTS700027" };
    Way { auth: format!("{word}:{TENANT}:{CLIENT}:{at}"), renew, refusal, secrets }
}

fn by_certificate(folder: &std::path::Path) -> Option<Way> {
    let (first, second) = (folder.join("first"), folder.join("second"));
    let rsa = ["-newkey", "rsa:2048"];
    let (pem, other) = (make_certificate(&first, &rsa)?, make_certificate(&second, &rsa)?);
    let at = folder.join("app.pem");
    std::fs::copy(pem, &at).unwrap();
    let to = at.clone();
    let renew: Vec<Box<dyn Fn(&Issuer)>> = vec![
        Box::new(move |issuer: &Issuer| issuer.expect_certificate(&second)),
        Box::new(move |_: &Issuer| assert!(std::fs::copy(&other, &to).is_ok())),
    ];
    let auth = format!("cert:{TENANT}:{CLIENT}:{}", at.display());
    Some(Way { auth, renew, refusal: "AADSTS700027", secrets: vec![] })
}

async fn ground(auth: &str) -> (Ground, Issuer) {
    let clock = Turned::starting();
    let issuer = Issuer::open(Arc::clone(&clock)).await;
    let door = Door::open(World::new(11), Arc::clone(&clock)).await;
    let trusted = issuer.clone();
    door.trust(move |authorization| trusted.accepts(authorization));
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let mut ground =
        Ground { folder, clock, door, store: None, live: None, token, auth: auth.to_owned(), hosts: issuer.hosts() };
    ground.start().await;
    (ground, issuer)
}

/// Neither tokens nor secrets stand in a table.
async fn nothing_is_kept(ground: &Ground, issuer: &Issuer, secrets: &[String]) {
    let hidden: Vec<String> = issuer.tokens().into_iter().chain(secrets.iter().cloned()).collect();
    for table in ingest::ado::TABLES.iter().map(|table| table.name).chain(["reject", "query_log"]) {
        let rows = ground.ask(&format!("SELECT * FROM {table}")).await;
        let kept = rows.iter().find(|row| hidden.iter().any(|word| row.contains(word.as_str())));
        assert_eq!(kept, None, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_principals_sign_in_and_are_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let mut ways = vec![in_file(folder.path(), "sp", "secret"), in_file(folder.path(), "wi", "federated")];
    match by_certificate(folder.path()) {
        Some(way) => ways.push(way),
        None => skipped("signing in by a certificate", "openssl is missing; apt-get install openssl"),
    }
    for way in ways {
        let (ground, issuer) = ground(&way.auth).await;
        way.secrets.iter().take(1).for_each(|secret| issuer.expect_secret(secret));
        issuer.expect_certificate(&folder.path().join("first"));
        // Five hours of passes: tokens last one, and none is used past its end.
        for half in 0..10 {
            ground.clock.advance_to(BEGINNING_US + half * HOUR_US / 2);
            ground.pass().await.unwrap_or_else(|error| panic!("{}: {error}", way.auth));
        }
        assert_eq!(ground.door.turned_away(), 0, "{}: a token past its end was used", way.auth);
        assert!((5..=10).contains(&issuer.tokens().len()), "{}: {:?}", way.auth, issuer.tokens());
        // A token that is taken back is replaced without anybody's help.
        issuer.revoke();
        ground.pass().await.unwrap();
        assert_eq!(ground.door.turned_away(), 1, "{}", way.auth);
        // The proof is changed at the source first: refused, with Entra's own words and without the secret.
        issuer.revoke();
        (way.renew[0])(&issuer);
        if way.auth.starts_with("cert") {
            issuer.expect_secret("another");
        }
        let refused = ground.pass().await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Denied, "{refused}");
        let told = refused.to_string();
        assert!(told.contains(way.refusal), "{told}");
        assert!(!way.secrets.iter().any(|secret| told.contains(secret.as_str())), "{told}");
        (way.renew[1])(&issuer);
        ground.pass().await.unwrap_or_else(|error| panic!("{}: {error}", way.auth));
        nothing_is_kept(&ground, &issuer, &way.secrets).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_signs_in_by_its_identity() {
    for auth in ["mi".to_owned(), format!("mi:{CLIENT}")] {
        let (ground, issuer) = ground(&auth).await;
        // The metadata service puts us off while it is busy; that is waited for.
        issuer.be_busy(3);
        for half in 0..4 {
            ground.clock.advance_to(BEGINNING_US + half * HOUR_US / 2);
            ground.pass().await.unwrap_or_else(|error| panic!("{auth}: {error}"));
        }
        assert_eq!(ground.door.turned_away(), 0);
        nothing_is_kept(&ground, &issuer, &[]).await;
    }
    let (ground, _) = ground("mi:somebody-else").await;
    let refused = ground.pass().await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Denied);
    assert!(refused.to_string().contains("Identity not found"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_sign_in_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("secret"), "hush").unwrap();
    std::fs::write(at("empty.pem"), "nothing\n").unwrap();
    let mut cases = vec![
        (format!("sp:elsewhere:{CLIENT}:file:{}", at("secret")), "AADSTS90002"),
        (format!("sp:{TENANT}:stranger:file:{}", at("secret")), "AADSTS700016"),
        (format!("sp:{TENANT}:{CLIENT}:file:{}", at("absent")), "read the secret"),
        (format!("cert:{TENANT}:{CLIENT}:{}", at("absent.pem")), "read the certificate"),
        (format!("cert:{TENANT}:{CLIENT}:{}", at("empty.pem")), "holds no certificate in PEM"),
    ];
    let elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    if make_certificate(&folder.path().join("ec"), &elliptic).is_some() {
        cases.push((format!("cert:{TENANT}:{CLIENT}:{}", at("ec/app.pem")), "its key is not RSA"));
        std::fs::copy(at("ec/cert.pem"), at("half.pem")).unwrap();
        cases.push((format!("cert:{TENANT}:{CLIENT}:{}", at("half.pem")), "holds no key in PEM"));
    }
    for (auth, words) in cases {
        let (ground, issuer) = ground(&auth).await;
        issuer.expect_secret("hush");
        let refused = ground.pass().await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Denied, "{refused}");
        let told = refused.to_string();
        assert!(told.contains(words) && !told.contains("hush"), "{auth}: {told}");
    }
}

/// The real binary, with everything that it can tell: its output and its log at the finest level.
#[test]
fn a_pod_signs_in_and_nothing_is_told() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let clock = Turned::starting();
    let issuer = runtime.block_on(Issuer::open(Arc::clone(&clock)));
    let door = runtime.block_on(Door::open(World::new(11), clock));
    let trusted = issuer.clone();
    door.trust(move |authorization| trusted.accepts(authorization));
    let house = House::new();
    let (token, hosts) = (house.beside("federated"), issuer.hosts());
    std::fs::write(&token, "federated-hush\n").unwrap();
    issuer.expect_secret("federated-hush");
    let read = |file: &std::path::Path| {
        let mut command =
            command(&["ingest", "ado", "--organization", &door.url(), "--auth", "wi", "--host", &hosts[0]]);
        let command = command.arg("--data").arg(house.data()).env("RUST_LOG", LOGGED);
        let command = command.env("AZURE_TENANT_ID", TENANT).env("AZURE_CLIENT_ID", CLIENT);
        let done = command.env("AZURE_FEDERATED_TOKEN_FILE", file).output().unwrap();
        let told = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        (done.status.code(), told)
    };
    let (code, told) = read(&token);
    assert_eq!(code, Some(0), "{told}");
    let hidden: Vec<String> = issuer.tokens().into_iter().chain(["federated-hush".to_owned()]).collect();
    assert!(!hidden.is_empty() && !hidden.iter().any(|word| told.contains(word.as_str())), "{told}");
    assert_ne!(house.ask("SELECT count(*) FROM ado_project")[0][0], "0");
    issuer.revoke();
    let (code, told) = read(&house.beside("absent"));
    assert_ne!(code, Some(0));
    assert!(told.contains("the workload identity of this pod") && told.contains("absent"), "{told}");
}
