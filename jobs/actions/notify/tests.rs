#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use engine::{Catalogue, Clock, NoRedaction, Ports, Store, Value, WallClock};
use ledger::budget::{Budgets, Options};
use serde_json::json;
use tokio::net::TcpListener;

use super::super::settings::{Channel, Escalation, Mail, Mailbox, Route, Settings, Tls};
use super::super::world::{Inside, Outside, World};
use super::*;

struct House {
    _folder: tempfile::TempDir,
    store: Arc<Store>,
    world: World,
}

/// A house with a channel of mail to this port, and a route to it.
async fn house(port: u16, resend: bool) -> House {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let ports = Ports { clock: Arc::clone(&clock), redactor: Arc::new(NoRedaction) };
    let settings = engine::Settings::new(folder.path());
    let store = Store::open(settings, Catalogue::default(), ports).await.unwrap();
    let budgets = Budgets::open(Arc::clone(store.state()), clock, Options::new("n", "h", true)).await.unwrap();
    let address = || Mailbox::parse("ops@acme.example").unwrap();
    let mail = Mail {
        host: "127.0.0.1".to_owned(),
        port,
        tls: Tls::None,
        credentials: None,
        from: address(),
        to: vec![address()],
        resend,
    };
    let later = |seconds| Escalation { after: std::time::Duration::from_secs(seconds), to: vec!["mail".to_owned()] };
    let route = Route { channels: vec!["mail".to_owned()], escalate: vec![later(60), later(90)] };
    let settings = Settings {
        channels: [("mail".to_owned(), Channel::Email(Box::new(mail)))].into(),
        routes: [("P1".to_owned(), route)].into(),
        ..Settings::default()
    };
    let world = World::new(settings).unwrap().within(Inside { store: Arc::clone(&store), budgets });
    House { _folder: folder, store, world }
}

impl House {
    async fn execute(&self, sql: &'static str, values: &[Value]) {
        self.store.state().execute(sql, values).await.unwrap();
    }

    /// Kind, name and run time of every job.
    async fn jobs(&self) -> Vec<(String, String, i64)> {
        let sql = "SELECT kind, dedupe, run_at FROM job ORDER BY run_at, dedupe";
        let rows = self.store.state().fetch(sql, &[]).await.unwrap();
        rows.iter().map(|r| (r.get("kind").unwrap(), r.get("dedupe").unwrap(), r.get("run_at").unwrap())).collect()
    }
}

fn job(channel: &str, attempt: i64) -> Claimed {
    let arguments = json!({
        "rule": "r", "transition": "new", "key": ["a"], "epoch": 5, "row": {"k": "a"},
        "with": { "channel": channel, "message": "a is new" },
    });
    let (kind, dedupe) = ("notify".to_owned(), "abc".to_owned());
    Claimed { id: "1".to_owned(), kind, arguments, dedupe, attempt, attempts_max: 12 }
}

#[tokio::test]
async fn a_mail_that_may_have_gone_out_goes_again_only_if_somebody_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let effect = "INSERT INTO effect (dedupe, job, attempt, target, state, at) VALUES ('abc', '1', 1, 'mail', $1, 0)";
    for (state, attempt, resend, asks) in [
        ("unknown", 2, false, true),
        // Somebody retried it by hand.
        ("unknown", 1, false, false),
        ("unknown", 2, true, false),
        // It failed and said so.
        ("intent", 2, false, false),
    ] {
        let house = house(port, resend).await;
        house.execute(effect, &[state.into()]).await;
        let job = job("mail", attempt);
        let acting = house.world.act(&job);
        let ended = tokio::select! {
            ended = acting => Some(ended),
            // Whoever connects sends.
            _ = listener.accept() => None,
        };
        match asks {
            true => {
                assert!(matches!(&ended, Some(Ended::Refused { error }) if error.contains("job retry 1")), "{ended:?}")
            }
            false => assert!(!matches!(ended, Some(Ended::Refused { .. })), "{state} {attempt}"),
        }
    }
}

#[tokio::test]
async fn a_route_makes_the_same_jobs_however_often_it_is_tried() {
    let house = house(9, false).await;
    for attempt in 1..=3 {
        let ended = house.world.act(&job("P1", attempt)).await;
        assert!(matches!(&ended, Ended::Done { target, .. } if target == "route P1"), "{ended:?}");
    }
    let jobs = house.jobs().await;
    let names: Vec<(&str, &str)> = jobs.iter().map(|(kind, name, _)| (kind.as_str(), name.as_str())).collect();
    assert_eq!(names, [("notify", "abc:mail"), (ESCALATE, "abc:step-0")]);
    let between = jobs[1].2 - jobs[0].2;
    assert_eq!(between, 60_000_000);

    // Nobody fires any more: nobody is told. The row fires: the step is taken, and the next one waits its own time.
    let step = |told: &Told| Claimed {
        kind: ESCALATE.to_owned(),
        dedupe: "abc:step-0".to_owned(),
        arguments: {
            let mut arguments = told.arguments();
            arguments["step"] = 0.into();
            arguments
        },
        ..job("P1", 1)
    };
    let told = Told { route: Some("P1".to_owned()), only_open: true, ..Told::of(&job("P1", 1).arguments) };
    let ended = house.world.act(&step(&told)).await;
    assert!(matches!(&ended, Ended::Done { target, .. } if target == "nobody"), "{ended:?}");
    let row = "INSERT INTO rule_row (rule, key, state, epoch, watch, since, flaps, data) VALUES ('r', '[\"a\"]', 'firing', 5, '', 5, 0, '{}')";
    house.execute(row, &[]).await;
    for _ in 0..2 {
        let ended = house.world.act(&step(&told)).await;
        assert!(matches!(&ended, Ended::Done { target, .. } if target == "route P1, step 0"), "{ended:?}");
    }
    let jobs = house.jobs().await;
    let names: Vec<&str> = jobs.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(names, ["abc:mail", "abc:step-0:mail", "abc:step-1", "abc:step-0"]);
    assert_eq!(jobs[2].2 - jobs[1].2, 30_000_000);
}
