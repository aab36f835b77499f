//! What flows and jobs are given, told and answered is in the database without what the redactor takes out.

use std::borrow::Cow;

use engine::ports::{ColumnRedactor, Redactor};
use engine::{Column, Settings, Table};

use super::*;

/// What nothing of the database may hold.
const SECRET: &str = "anna@example.org";

/// Takes that out.
#[derive(Debug)]
struct Anna;

impl Redactor for Anna {
    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if text.contains(SECRET) { Cow::Owned(text.replace(SECRET, "[anna]")) } else { Cow::Borrowed(text) }
    }

    fn column<'a>(&'a self, _: &Table, _: &Column) -> Option<Box<dyn ColumnRedactor + 'a>> {
        None
    }
}

fn says(text: &str) -> String {
    format!("{text} {SECRET}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_given_or_answered_is_durable_unredacted() {
    let data = tempfile::tempdir().unwrap();
    let state = Database::open(&Settings::new(data.path())).await.unwrap().with_redactor(Arc::new(Anna));
    let ground = Ground::new(Arc::new(state));
    let input = json!({ "who": says("for") });
    let job = |id: &str, kind: &str, arguments: Value| NewJob {
        id: id.to_owned(),
        kind: kind.to_owned(),
        arguments,
        dedupe: id.to_owned(),
        cause: "a test".to_owned(),
        run_us: 0,
        created_us: 0,
        terms: Terms { requester: Some("acme/ana".to_owned()), tenant: Some("acme".to_owned()), ..Terms::default() },
    };
    ground.queue.add(job("f", FLOW, json!({ "flow": "parent", "input": input }))).await.unwrap();
    ground.will("one", Some(Outcome::Failed { error: says("no way to"), retry_after: None }));
    ground.will("one", Some(Outcome::Done { target: says("host of"), output: json!({ "to": says("told") }) }));
    ground.settle().await;
    ground.pass(Duration::from_secs(2));
    ground.settle().await;
    let (child, operator) = (ground.child("f").await, Caller::operator());
    ground
        .desk
        .signal(&child, "go", &json!({ "from": says("signal of") }), None, &operator, ground.now())
        .await
        .unwrap();
    ground.will("end", Some(Outcome::Refused { error: says("refused by") }));
    ground.settle().await;
    assert_eq!(ground.job(&child).await.as_deref(), Some("dead"), "the refused step ends the child");

    ground.queue.add(job("n", "notify", json!({ "with": { "message": says("dear") } }))).await.unwrap();
    ground.queue.add(job("m", "http", json!([says("dear")]))).await.unwrap();
    ground.queue.add(job("o", "http", json!(says("dear")))).await.unwrap();
    let claimed = ground.queue.claim(9, ground.now()).await.unwrap();
    let ends = [
        Ended::Done { target: says("host of"), response: says("200") },
        Ended::Failed { error: says("never by"), retry_after: None },
        Ended::Refused { error: says("not by") },
    ];
    assert_eq!(claimed.len(), ends.len());
    let shown = claimed.iter().find(|job| job.id == "n").unwrap();
    assert_eq!(shown.arguments["with"]["message"], "dear [anna]", "whoever does it sees what is stored");
    let ends: Vec<_> = claimed.into_iter().zip(ends).collect();
    ground.queue.end(&ends, ground.now()).await.unwrap();

    let start = Start {
        flow: "callback".to_owned(),
        input: json!({ "url": "http://nowhere", "text": says("call") }),
        key: Some("k".to_owned()),
        tenant: None,
        priority: None,
    };
    let (id, again) = ground.desk.start(&start, &operator, ground.now()).await.unwrap();
    assert!(!again);
    assert_eq!(ground.desk.start(&start, &operator, ground.now()).await.unwrap(), (id.clone(), true), "it is the same");
    ground.desk.cancel(&id, &says("because of"), &operator, ground.now()).await.unwrap();

    let steps = "SELECT count(*) AS cell FROM step WHERE job <> $1 AND input LIKE '%[anna]%'";
    let kept = ground.state.fetch(steps, &["".into()]).await.unwrap()[0].get::<i64>("cell").unwrap();
    assert!(kept >= 2, "the steps got what is left: {kept}");
    for file in std::fs::read_dir(data.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(SECRET.len()).position(|window| window == SECRET.as_bytes());
        assert_eq!(
            at,
            None,
            "{}: {:?}",
            path.display(),
            at.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(200)..at + 30]))
        );
    }
}
