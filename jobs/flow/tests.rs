//! The suite of flows, the same on SQLite and on a real PostgreSQL.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use engine::{Clock, State as Database};
use ledger::principal::{Caller, Permission, Permissions, Principal};
use serde_json::{Value, json};

use super::drive::Driver;
use super::*;
use crate::actions::Outside;
use crate::approval::{Approvals, Verdict};
use crate::databases;
use crate::queue::{Claimed, Crew, Ended, FLOW, NewJob, Queue, Terms, Which, insert};

#[derive(Debug)]
struct Turned(AtomicI64);

impl Clock for Turned {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Does what it is told, and remembers it. A call of which it says nothing is done.
#[derive(Debug, Default)]
struct Scripted {
    made: Mutex<Vec<String>>,
    /// What the next calls of a step come to; `None` never ends.
    fates: Mutex<Vec<(String, Option<Outcome>)>>,
}

#[async_trait]
impl Hands for Scripted {
    async fn act(&self, call: &Call) -> Outcome {
        let name = if call.undo { format!("{}/undo", call.step) } else { call.step.clone() };
        self.made.lock().unwrap().push(format!("{name}:{}", call.attempt));
        let fate = {
            let mut fates = self.fates.lock().unwrap();
            let at = fates.iter().position(|(step, _)| *step == name);
            at.map(|at| fates.remove(at).1)
        };
        match fate {
            Some(Some(outcome)) => outcome,
            Some(None) => std::future::pending().await,
            None => Outcome::Done { target: "t".to_owned(), output: json!({ "step": call.step, "key": call.key }) },
        }
    }
}

#[async_trait]
impl Outside for Scripted {
    async fn act(&self, job: &Claimed) -> Ended {
        self.made.lock().unwrap().push(format!("{}:{}", job.kind, job.dedupe));
        Ended::Done { target: "outside".to_owned(), response: "200".to_owned() }
    }
}

fn given(known: &Known<'_>) -> Result<Value, String> {
    Ok(known.input.clone())
}

fn kid(known: &Known<'_>) -> Result<Value, String> {
    Ok(json!({ "flow": "kid", "input": known.input }))
}

fn asked(_: &Known<'_>) -> Result<Value, String> {
    Ok(json!({ "ask": "may it?", "voters": "leads", "quorum": 2, "deadline_us": 60_000_000 }))
}

fn message(known: &Known<'_>) -> Result<Value, String> {
    Ok(json!({ "action": "http", "arguments": { "with": known.output("one") } }))
}

const fn natural(name: &'static str, undo: Option<Make>) -> Step {
    let act = Act::Call { effect: Effect::Natural, input: given };
    Step { name, doc: "", act, retry: RETRY, undo }
}

static PARENT: Flow = Flow {
    name: "parent",
    doc: "",
    parameters: &[],
    steps: &[
        natural("one", Some(given)),
        Step { name: "kid", doc: "", act: Act::Child { input: kid }, retry: RETRY, undo: None },
        Step { name: "ask", doc: "", act: Act::Approval { input: asked }, retry: RETRY, undo: None },
        Step { name: "tell", doc: "", act: Act::Action { input: message }, retry: RETRY, undo: None },
    ],
};

static KID: Flow = Flow {
    name: "kid",
    doc: "",
    parameters: &[],
    steps: &[
        natural("begin", Some(given)),
        Step { name: "wait", doc: "", act: Act::Signal { name: "go", deadline: None }, retry: RETRY, undo: None },
        natural("end", Some(given)),
    ],
};

fn five(_: &Known<'_>) -> Result<Value, String> {
    Ok(json!({ "us": 5_000_000 }))
}

static NAP: Flow = Flow {
    name: "nap",
    doc: "",
    parameters: &[],
    steps: &[
        Step { name: "sleep", doc: "", act: Act::Sleep { input: five }, retry: RETRY, undo: None },
        natural("after", None),
    ],
};

static TRIALS: &[&Flow] = &[&PARENT, &KID, &NAP];

struct Ground {
    state: Arc<Database>,
    clock: Arc<Turned>,
    queue: Queue,
    hands: Arc<Scripted>,
    driver: Driver,
    desk: Desk,
}

impl Ground {
    fn new(state: Arc<Database>) -> Ground {
        let (clock, hands) = (Arc::new(Turned(AtomicI64::new(1_000_000))), Arc::<Scripted>::default());
        let queue = Queue::new(Arc::clone(&state), "one");
        let outside: Arc<dyn Outside> = hands.clone();
        let hand: Arc<dyn Hands> = hands.clone();
        let driver = Driver::new(queue.clone(), clock.clone(), TRIALS, Some(hand), outside);
        let desk = Desk::new(queue.clone(), None);
        Ground { state, clock, queue, hands, driver, desk }
    }

    fn now(&self) -> i64 {
        self.clock.now_us()
    }

    fn pass(&self, time: Duration) {
        self.clock.0.fetch_add(i64::try_from(time.as_micros()).unwrap(), Ordering::SeqCst);
    }

    async fn start(&self, flow: &str, id: &str) {
        let job = NewJob {
            id: id.to_owned(),
            kind: FLOW.to_owned(),
            arguments: json!({ "flow": flow, "input": { "x": 1 } }),
            dedupe: format!("flow/{id}"),
            cause: "a test".to_owned(),
            run_us: self.now(),
            created_us: self.now(),
            terms: Terms {
                requester: Some("acme/ana".to_owned()),
                tenant: Some("acme".to_owned()),
                ..Terms::default()
            },
        };
        let mut open = self.state.transaction().await.unwrap();
        assert!(insert(&mut open, &job).await.unwrap());
        open.commit().await.unwrap();
    }

    /// Drives everything that is due until nothing is.
    async fn settle(&self) {
        loop {
            let claimed = self.queue.claim(10, self.now()).await.unwrap();
            if claimed.is_empty() {
                return;
            }
            for job in claimed {
                if let Some(ended) = self.driver.drive(&job).await {
                    self.queue.end(&[(job, ended)], self.now()).await.unwrap();
                }
            }
        }
    }

    /// Takes up what is due, and ends in the middle of it: as if the process were killed.
    async fn die(&self) {
        for job in self.queue.claim(10, self.now()).await.unwrap() {
            let lost = tokio::time::timeout(Duration::from_millis(100), self.driver.drive(&job)).await;
            assert!(lost.is_err(), "it was to hang");
        }
        let next = Queue::new(Arc::clone(&self.state), "two");
        assert!(next.reclaim(self.now(), true).await.unwrap() > 0);
    }

    fn will(&self, step: &str, outcome: Option<Outcome>) {
        self.hands.fates.lock().unwrap().push((step.to_owned(), outcome));
    }

    fn made(&self) -> Vec<String> {
        std::mem::take(&mut *self.hands.made.lock().unwrap())
    }

    async fn cell(&self, sql: &'static str, id: &str) -> Option<String> {
        let rows = self.state.fetch(sql, &[id.into()]).await.unwrap();
        rows.first().and_then(|row| row.get::<Option<String>>("cell").unwrap())
    }

    async fn job(&self, id: &str) -> Option<String> {
        let live = "SELECT state AS cell FROM job WHERE id = $1";
        let done = "SELECT state AS cell FROM job_done WHERE id = $1";
        match self.cell(live, id).await {
            Some(state) => Some(state),
            None => self.cell(done, id).await,
        }
    }

    async fn child(&self, of: &str) -> String {
        let sql = "SELECT id AS cell FROM job WHERE parent = $1";
        self.cell(sql, of).await.unwrap()
    }
}

fn refused() -> Option<Outcome> {
    Some(Outcome::Refused { error: "no".to_owned() })
}

fn voter(name: &str, team: &str) -> Caller {
    let permissions = Permissions::of(&[Permission::Read, Permission::Write]);
    let principal = Principal::tenant_member("acme", name).with_permissions(permissions);
    let principal = principal.with_groups(vec![format!("acme/{team}")], &[] as &[&str], &[]);
    let scope = principal.scope_for(Permission::Write).unwrap();
    Caller { scope, reason: String::new(), on_behalf_of: None, trace_id: None }
}

async fn suite(state: Arc<Database>) {
    let ground = Ground::new(state);
    a_flow_waits_for_a_child_people_and_an_action(&ground).await;
    what_was_done_is_undone_when_people_say_no(&ground).await;
    no_answer_is_a_no(&ground).await;
    a_kill_loses_and_doubles_nothing(&ground).await;
    a_cancelled_flow_ends_its_child_first(&ground).await;
    a_replay_goes_on_where_it_failed_or_begins_anew(&ground).await;
    a_paused_flow_stands_still(&ground).await;
    a_sleep_is_a_row(&ground).await;
    limits_delay_and_never_drop(&ground).await;
    what_follows_first_is_durable_with_the_claim(&ground).await;
    lost_answers_change_nothing(&ground).await;
}

async fn lost_answers_change_nothing(ground: &Ground) {
    let start = Start {
        flow: "callback".to_owned(),
        input: json!({ "url": "http://nowhere", "text": "t" }),
        key: Some("lost".to_owned()),
        tenant: None,
        priority: None,
    };
    let caller = voter("ana", "leads");
    ground.state.lose_answers(1);
    let (id, repeated) = ground.desk.start(&start, &caller, ground.now()).await.unwrap();
    assert!(!repeated, "it was started now");
    assert_eq!(ground.desk.start(&start, &caller, ground.now()).await.unwrap(), (id.clone(), true));
    ground.state.execute("DELETE FROM job WHERE id = $1", &[id.as_str().into()]).await.unwrap();
    // Every answer of a flow's life is lost: taken up, begun, called, parked, signalled, done.
    ground.start("kid", "deaf").await;
    ground.state.lose_answers(u32::MAX);
    ground.settle().await;
    ground.state.lose_answers(0);
    assert_eq!((ground.made(), ground.job("deaf").await.as_deref()), (vec!["begin:1".to_owned()], Some("waiting")));
    ground.desk.signal("deaf", "go", &json!({}), None, &caller, ground.now()).await.unwrap();
    ground.state.lose_answers(u32::MAX);
    ground.settle().await;
    ground.state.lose_answers(0);
    assert_eq!((ground.made(), ground.job("deaf").await.as_deref()), (vec!["end:1".to_owned()], Some("done")));
    let effects = "SELECT CAST(count(*) AS TEXT) AS cell FROM effect WHERE job = $1 AND state = 'done'";
    assert_eq!(ground.cell(effects, "deaf").await.as_deref(), Some("2"));
}

async fn a_flow_waits_for_a_child_people_and_an_action(ground: &Ground) {
    ground.start("parent", "p1").await;
    ground.settle().await;
    assert_eq!(ground.made(), ["one:1", "begin:1"]);
    assert_eq!(ground.job("p1").await.as_deref(), Some("waiting"));
    let child = ground.child("p1").await;
    let operator = Caller::operator();
    assert!(ground.desk.signal(&child, "other", &json!(0), None, &operator, ground.now()).await.unwrap());
    ground.settle().await;
    assert!(ground.made().is_empty(), "it waits for another signal");
    for is_new in [true, false] {
        let sent =
            ground.desk.signal(&child, "go", &json!({"v": 2}), Some("k"), &operator, ground.now()).await.unwrap();
        assert_eq!(sent, is_new);
    }
    ground.settle().await;
    assert_eq!(ground.made(), ["end:1"]);
    assert_eq!(ground.job(&child).await.as_deref(), Some("done"));
    let took = "SELECT step AS cell FROM signal WHERE job = $1 AND name = 'go'";
    assert_eq!(ground.cell(took, &child).await.as_deref(), Some("wait"));

    let approvals = Approvals::new(Arc::clone(&ground.state), None);
    let id = ground.cell("SELECT id AS cell FROM approval WHERE job = $1", "p1").await.unwrap();
    let now = ground.now();
    let cast =
        async |name: &str, team: &str, yes: bool| approvals.cast(&id, yes, None, &voter(name, team), false, now).await;
    assert!(cast("ana", "leads", true).await.unwrap_err().to_string().contains("a wish of its own"));
    assert!(cast("bob", "web", true).await.unwrap_err().to_string().contains("not in the group"));
    assert_eq!(cast("bob", "leads", true).await.unwrap(), Verdict::Open);
    assert_eq!(cast("bob", "leads", true).await.unwrap(), Verdict::Again);
    assert!(cast("bob", "leads", false).await.unwrap_err().to_string().contains("the other way"));
    ground.settle().await;
    assert_eq!(ground.job("p1").await.as_deref(), Some("waiting"), "one of two agrees");
    assert_eq!(cast("eve", "leads", true).await.unwrap(), Verdict::Approved);
    ground.settle().await;
    assert_eq!(ground.made(), ["http:flow/p1/tell"]);
    assert_eq!(ground.job("p1").await.as_deref(), Some("done"));
    assert!(cast("max", "leads", true).await.unwrap_err().to_string().contains("approved already"));
    let open = ground.state.fetch("SELECT dedupe FROM effect WHERE state <> 'done'", &[]).await.unwrap();
    assert!(open.is_empty(), "every effect is accounted for");
}

async fn what_was_done_is_undone_when_people_say_no(ground: &Ground) {
    ground.start("parent", "p2").await;
    ground.settle().await;
    let child = ground.child("p2").await;
    ground.desk.signal(&child, "go", &json!(1), None, &Caller::operator(), ground.now()).await.unwrap();
    ground.settle().await;
    ground.made();
    let approvals = Approvals::new(Arc::clone(&ground.state), None);
    let id = ground.cell("SELECT id AS cell FROM approval WHERE job = $1", "p2").await.unwrap();
    let denied = approvals.cast(&id, false, Some("not today"), &voter("bob", "leads"), false, ground.now()).await;
    assert_eq!(denied.unwrap(), Verdict::Denied);
    ground.settle().await;
    assert_eq!(ground.made(), ["one/undo:1"]);
    assert_eq!(ground.job("p2").await.as_deref(), Some("dead"));
    let error = ground.cell("SELECT error AS cell FROM job WHERE id = $1", "p2").await.unwrap();
    assert!(error.contains("not today"), "{error}");
}

async fn no_answer_is_a_no(ground: &Ground) {
    ground.start("parent", "p3").await;
    ground.settle().await;
    let child = ground.child("p3").await;
    ground.desk.signal(&child, "go", &json!(1), None, &Caller::operator(), ground.now()).await.unwrap();
    ground.settle().await;
    ground.pass(Duration::from_secs(61));
    let approvals = Approvals::new(Arc::clone(&ground.state), None);
    let id = ground.cell("SELECT id AS cell FROM approval WHERE job = $1", "p3").await.unwrap();
    let late = approvals.cast(&id, true, None, &voter("bob", "leads"), false, ground.now()).await.unwrap_err();
    assert!(late.to_string().contains("deadline"), "{late}");
    ground.settle().await;
    assert_eq!(ground.job("p3").await.as_deref(), Some("dead"));
    let decision = "SELECT decision AS cell FROM approval WHERE id = $1";
    assert_eq!(ground.cell(decision, &id).await.as_deref(), Some("denied"));
    ground.made();
}

async fn a_kill_loses_and_doubles_nothing(ground: &Ground) {
    ground.start("kid", "k1").await;
    ground.desk.signal("k1", "go", &json!(1), None, &Caller::operator(), ground.now()).await.unwrap();
    ground.will("begin", None);
    ground.die().await;
    ground.will("end", None);
    ground.die().await;
    ground.settle().await;
    // The call that was on its way is made again under its key; what was done is not.
    assert_eq!(ground.made(), ["begin:1", "begin:2", "end:1", "end:2"]);
    assert_eq!(ground.job("k1").await.as_deref(), Some("done"));
    let output = ground.cell("SELECT output AS cell FROM job_done WHERE id = $1", "k1").await.unwrap();
    assert!(output.contains("flow/k1/end"), "{output}");
    let rows =
        ground.state.fetch("SELECT state, attempt FROM effect WHERE job = 'k1' ORDER BY dedupe", &[]).await.unwrap();
    let effects: Vec<(String, i64)> =
        rows.iter().map(|r| (r.get("state").unwrap(), r.get("attempt").unwrap())).collect();
    assert_eq!(effects, [("done".to_owned(), 2), ("done".to_owned(), 2)]);

    // A result that comes after the lease has ended counts no more.
    ground.start("kid", "k2").await;
    let stale = ground.queue.claim(1, ground.now()).await.unwrap().remove(0);
    Queue::new(Arc::clone(&ground.state), "two").reclaim(ground.now(), true).await.unwrap();
    ground.settle().await;
    ground.made();
    assert_eq!(ground.driver.drive(&stale).await, None);
    assert!(ground.made().is_empty(), "the stale worker does nothing");
    ground.desk.cancel("k2", "enough", &Caller::operator(), ground.now()).await.unwrap();
    ground.settle().await;
    ground.made();
}

async fn a_cancelled_flow_ends_its_child_first(ground: &Ground) {
    ground.start("parent", "p4").await;
    ground.settle().await;
    let child = ground.child("p4").await;
    ground.made();
    ground.desk.cancel("p4", "void", &Caller::operator(), ground.now()).await.unwrap();
    ground.settle().await;
    assert_eq!(ground.made(), ["begin/undo:1", "one/undo:1"], "the child's work first");
    assert_eq!(ground.job(&child).await.as_deref(), Some("cancelled"));
    assert_eq!(ground.job("p4").await.as_deref(), Some("cancelled"));
}

async fn a_replay_goes_on_where_it_failed_or_begins_anew(ground: &Ground) {
    ground.start("kid", "k3").await;
    ground.desk.signal("k3", "go", &json!(1), None, &Caller::operator(), ground.now()).await.unwrap();
    ground.will("end", refused());
    ground.will("begin/undo", refused());
    ground.settle().await;
    assert_eq!(ground.made(), ["begin:1", "end:1", "end/undo:1", "begin/undo:1"]);
    assert_eq!(ground.job("k3").await.as_deref(), Some("dead"));
    let replay = async || ground.queue.replay(&Which::One("k3".to_owned()), ground.now()).await.unwrap();
    assert_eq!(replay().await, 1);
    ground.settle().await;
    assert_eq!(ground.made(), ["begin/undo:1"], "what could not be undone is");
    assert_eq!(ground.job("k3").await.as_deref(), Some("dead"));
    assert_eq!(replay().await, 1);
    ground.settle().await;
    assert_eq!(ground.made(), ["begin:1"], "a new round, which waits for a signal of its own");
    ground.desk.signal("k3", "go", &json!(1), None, &Caller::operator(), ground.now()).await.unwrap();
    ground.settle().await;
    assert_eq!(ground.job("k3").await.as_deref(), Some("done"));
    let output = ground.cell("SELECT output AS cell FROM job_done WHERE id = $1", "k3").await.unwrap();
    assert!(output.contains("flow/k3/end@2"), "another round has other keys: {output}");
    ground.made();
}

async fn a_sleep_is_a_row(ground: &Ground) {
    ground.start("nap", "n1").await;
    ground.settle().await;
    assert_eq!(ground.job("n1").await.as_deref(), Some("waiting"));
    assert_eq!(ground.queue.next_due(ground.now()).await.unwrap(), Some(ground.now() + 5_000_000));
    ground.pass(Duration::from_millis(4_999));
    ground.settle().await;
    assert!(ground.made().is_empty());
    ground.pass(Duration::from_millis(1));
    // A failure with a time to come back, which wins over ours.
    let busy = Outcome::Failed { error: "busy".to_owned(), retry_after: Some(Duration::from_secs(77)) };
    ground.will("after", Some(busy));
    ground.settle().await;
    assert_eq!(ground.queue.next_due(ground.now()).await.unwrap(), Some(ground.now() + 77_000_000));
    ground.pass(Duration::from_secs(77));
    ground.settle().await;
    assert_eq!(ground.made(), ["after:1", "after:2"]);
    assert_eq!(ground.job("n1").await.as_deref(), Some("done"));
}

async fn a_paused_flow_stands_still(ground: &Ground) {
    ground.start("kid", "k4").await;
    ground.queue.pause("k4", true, ground.now()).await.unwrap();
    ground.desk.signal("k4", "go", &json!(1), None, &Caller::operator(), ground.now()).await.unwrap();
    ground.settle().await;
    assert!(ground.made().is_empty());
    ground.queue.pause("k4", false, ground.now()).await.unwrap();
    ground.settle().await;
    assert_eq!(ground.made(), ["begin:1", "end:1"]);
}

async fn limits_delay_and_never_drop(ground: &Ground) {
    use crate::queue::Limit;
    let limit = |rate| Limit { kind: Some("http".to_owned()), tenant: None, rate };
    let job = |at: usize, kind: &str, priority: i64| NewJob {
        id: format!("{kind}-{at}"),
        kind: kind.to_owned(),
        arguments: json!({}),
        dedupe: format!("{kind}-{at}"),
        cause: String::new(),
        run_us: ground.now(),
        created_us: ground.now(),
        terms: Terms { priority, ..Terms::default() },
    };
    ground.queue.limit(&limit(Some((2, Duration::from_secs(10)))), ground.now()).await.unwrap();
    let mut open = ground.state.transaction().await.unwrap();
    for at in 0..5 {
        insert(&mut open, &job(at, "http", 100)).await.unwrap();
    }
    insert(&mut open, &job(0, "notify", 200)).await.unwrap();
    insert(&mut open, &job(1, "notify", 10)).await.unwrap();
    open.commit().await.unwrap();
    let begin = async || {
        let claimed = ground.queue.claim(10, ground.now()).await.unwrap();
        let done = |job: &Claimed| (job.clone(), Ended::Done { target: "t".to_owned(), response: String::new() });
        ground.queue.end(&claimed.iter().map(done).collect::<Vec<_>>(), ground.now()).await.unwrap();
        claimed.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(begin().await, ["http-0", "http-1", "notify-0", "notify-1"], "what is limited holds nobody else up");
    assert!(begin().await.is_empty());
    let due = ground.queue.next_due(ground.now()).await.unwrap().unwrap();
    assert_eq!(due, ground.now() + 5_000_000, "nobody looks before the limit lets one through");
    ground.pass(Duration::from_secs(5));
    assert_eq!(begin().await, ["http-2"]);
    ground.queue.hold(Some("http"), None, true, ground.now()).await.unwrap();
    ground.pass(Duration::from_secs(60));
    assert!(begin().await.is_empty(), "it is paused");
    ground.queue.hold(Some("http"), None, false, ground.now()).await.unwrap();
    ground.queue.limit(&limit(None), ground.now()).await.unwrap();
    assert!(ground.queue.limits().await.unwrap().is_empty());
    assert_eq!(begin().await, ["http-3", "http-4"]);
    ground.queue.take_more(ground.now()).await.unwrap();
    let mut open = ground.state.transaction().await.unwrap();
    insert(&mut open, &job(9, "late", 100)).await.unwrap();
    open.commit().await.unwrap();
    ground.pass(crate::queue::AGE_MAX + Duration::from_secs(1));
    let pressed = ground.queue.take_more(ground.now()).await.unwrap_err();
    assert!(matches!(pressed.kind(), engine::Kind::Overloaded { .. }), "{pressed}");
    ground.queue.hold(Some("late"), None, true, ground.now()).await.unwrap();
    ground.queue.take_more(ground.now()).await.unwrap();
    ground.queue.hold(Some("late"), None, false, ground.now()).await.unwrap();
    ground.queue.cancel("late-9", ground.now()).await.unwrap();
    ground.clock.0.fetch_sub(121_000_000, Ordering::SeqCst);
    let loads = ground.queue.loads(ground.now()).await.unwrap();
    let http = loads.iter().find(|load| load.kind == "http").unwrap();
    assert_eq!((http.ready, http.ended_minute), (0, 2), "what ended a minute ago is not counted");
}

async fn what_follows_first_is_durable_with_the_claim(ground: &Ground) {
    let crew = Arc::new(Crew { clock: ground.clock.clone(), flows: TRIALS });
    let queue = ground.queue.clone();
    let place = tokio::spawn(async move { queue.turn(None, &crew).await });
    ground.start("kid", "fused").await;
    ground.queue.look().await;
    let taken = place.await.unwrap().unwrap();
    assert_eq!(taken.job.id, "fused");
    assert_eq!(ground.cell("SELECT state AS cell FROM step WHERE job = $1", "fused").await.as_deref(), Some("running"));
    assert_eq!(
        ground.cell("SELECT state AS cell FROM effect WHERE job = $1", "fused").await.as_deref(),
        Some("intent")
    );
    assert!(ground.made().is_empty(), "it is written before anybody is called");
    assert_eq!(ground.driver.drive_on(&taken.job, taken.begun.map(|begun| *begun)).await, None);
    assert_eq!(ground.made(), ["begin:1"], "and not decided twice");
    assert_eq!(ground.job("fused").await.as_deref(), Some("waiting"));
}

mod redaction;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    let (_data, state) = databases::sqlite().await;
    suite(state).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    let Some(server) = databases::Postgres::start("flows") else { return };
    let state = server.open().await;
    suite(Arc::clone(&state)).await;
    state.close().await;
}

#[test]
fn what_is_registered_is_sound() {
    for flow in FLOWS {
        let mut names: Vec<&str> = flow.steps.iter().map(|step| step.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), flow.steps.len(), "{}: two steps have one name", flow.name);
        assert!(!flow.doc.is_empty() && flow.steps.iter().all(|step| !step.doc.is_empty()), "{}", flow.name);
    }
    let faults = draft::DRAFT_PULL_REQUEST.check(&json!({ "repository": "shop", "title": 7, "work_item": "x" }));
    assert_eq!(faults.len(), 4, "{faults:?}");
}
