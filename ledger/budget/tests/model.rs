//! Any interleaving of reserve, post, void, expire and crash, over several nodes and a clock that is turned by hand: the
//! books are right after every step, no charge that was acknowledged is lost, and in the end exactly what was not spent
//! can be spent.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const LIMIT_CENTS: i64 = 1_000;
const CENT: i64 = 10_000_000;
const HOMES: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// Reserve so many cents for so many seconds, and wait until it is durable.
    Reserve {
        home: usize,
        cents: i64,
        ttl_s: u64,
    },
    /// The same, decided and not waited for.
    Decide {
        home: usize,
        cents: i64,
    },
    /// Post so many hundredths of what was reserved.
    Post {
        home: usize,
        which: usize,
        percent: i64,
    },
    Void {
        home: usize,
        which: usize,
    },
    Commit {
        home: usize,
    },
    Tick {
        home: usize,
    },
    Advance {
        ms: i64,
    },
    Crash {
        home: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let home = 0..HOMES;
    let step = prop_oneof![
        6 => (home.clone(), 1i64..300, 1u64..60).prop_map(|(home, cents, ttl_s)| Step::Reserve { home, cents, ttl_s }),
        2 => (home.clone(), 1i64..300).prop_map(|(home, cents)| Step::Decide { home, cents }),
        6 => (home.clone(), 0usize..40, 0i64..=110).prop_map(|(home, which, percent)| Step::Post { home, which, percent }),
        2 => (home.clone(), 0usize..40).prop_map(|(home, which)| Step::Void { home, which }),
        2 => home.clone().prop_map(|home| Step::Commit { home }),
        3 => home.clone().prop_map(|home| Step::Tick { home }),
        2 => prop_oneof![1i64..2_000, 5_000i64..40_000].prop_map(|ms| Step::Advance { ms }),
        1 => home.prop_map(|home| Step::Crash { home }),
    ];
    prop::collection::vec(step, 1..60)
}

/// What somebody was told.
#[derive(Default)]
struct Told {
    /// Cents reserved by request.
    reserved: BTreeMap<String, i64>,
    /// Units posted by request: 0 for voided ones.
    settled: BTreeMap<String, i64>,
}

struct World {
    ground: Ground,
    nodes: Vec<Arc<Budgets>>,
    told: Told,
    made: usize,
}

/// Runs a call while the node commits.
async fn driven<T: Send + 'static>(node: &Arc<Budgets>, call: impl Future<Output = T> + Send + 'static) -> T {
    let task = tokio::spawn(call);
    while !task.is_finished() {
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        if node.has_work() {
            node.commit().await.unwrap();
        }
    }
    task.await.unwrap()
}

impl World {
    async fn new(window: &str) -> World {
        let ground = Ground::new().await;
        let mut nodes = Vec::new();
        for home in 0..HOMES {
            nodes.push(ground.node(&format!("h{home}"), false).await);
        }
        let limit = format!("{}", LIMIT_CENTS / 100);
        let hard = budget("hard", &limit, window);
        let soft = budget("soft", "1", "window: total, kind: soft");
        ground.apply(&nodes[0], &format!("budgets: [{hard}, {soft}]")).await;
        for node in &nodes {
            node.tick().await.unwrap();
            node.commit().await.unwrap();
        }
        World { ground, nodes, told: Told::default(), made: 0 }
    }

    fn next(&mut self, cents: i64, ttl_s: u64) -> Request {
        self.made += 1;
        let mut request = request(&format!("r{}", self.made), "shop", &format!("{}.{:02}", cents / 100, cents % 100));
        request.ttl = std::time::Duration::from_secs(ttl_s);
        request
    }

    fn pick(&self, which: usize) -> Option<(String, i64)> {
        let count = self.told.reserved.len();
        (count > 0).then(|| self.told.reserved.iter().nth(which % count).map(|(id, cents)| (id.clone(), *cents)))?
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Reserve { home, cents, ttl_s } => {
                let request = self.next(cents, ttl_s);
                let node = Arc::clone(&self.nodes[home]);
                let asked = (Arc::clone(&node), request.clone());
                let verdict = driven(&node, async move { asked.0.reserve(&asked.1).await }).await.unwrap();
                if is_allowed(&verdict) {
                    self.told.reserved.insert(request.key.1.to_string(), cents);
                }
            }
            Step::Decide { home, cents } => {
                let request = self.next(cents, 30);
                if let Ok(Some(Verdict::Allowed(_))) = self.nodes[home].try_reserve(&request) {
                    self.told.reserved.insert(request.key.1.to_string(), cents);
                }
            }
            Step::Post { home, which, percent } => {
                let Some((id, cents)) = self.pick(which) else { return };
                let units = cents * CENT / 100 * percent;
                self.settle(home, &id, Some(units)).await;
            }
            Step::Void { home, which } => {
                let Some((id, _)) = self.pick(which) else { return };
                self.settle(home, &id, None).await;
            }
            Step::Commit { home } => self.nodes[home].commit().await.unwrap(),
            Step::Tick { home } => self.nodes[home].tick().await.unwrap(),
            Step::Advance { ms } => self.ground.clock.advance(ms * 1_000),
            // What was decided and not written is gone; who was told of it was not told that it is durable.
            Step::Crash { home } => self.nodes[home] = self.ground.node(&format!("h{home}"), false).await,
        }
    }

    async fn settle(&mut self, home: usize, id: &str, units: Option<i64>) {
        let node = Arc::clone(&self.nodes[home]);
        let (asked, key) = (Arc::clone(&node), key(id));
        let unit: Unit = "USD".parse().unwrap();
        let amounts = units.map(|units| Amounts::default().with(unit, units));
        let ended = driven(&node, async move {
            match amounts {
                Some(amounts) => asked.post(&key, &amounts).await,
                None => asked.void(&key).await,
            }
        })
        .await;
        match ended {
            Ok(_) => drop(self.told.settled.insert(id.to_owned(), units.unwrap_or(0))),
            Err(error) => {
                let fine = [engine::Kind::NotFound, engine::Kind::Conflict].contains(&error.kind());
                assert!(fine, "{error}");
            }
        }
    }

    /// The books, and that what somebody was told stands in them.
    async fn check(&self) {
        self.ground.check_books().await;
        let sql = "SELECT request_id, state, amounts, posted FROM budget_reservation";
        let unit: Unit = "USD".parse().unwrap();
        let mut spent = 0;
        for row in self.ground.state.fetch(sql, &[]).await.unwrap() {
            let (id, state): (String, String) = (row.get("request_id").unwrap(), row.get("state").unwrap());
            let units = |text: Option<String>| Amounts::stored(&text.unwrap()).unwrap().of(&unit).unwrap();
            let took = match state.as_str() {
                "posted" => units(row.get("posted").unwrap()),
                "expired" => units(row.get("amounts").unwrap()),
                _ => 0,
            };
            spent += took;
            if let Some(told) = self.told.settled.get(&id) {
                assert_eq!(took, *told, "{id} was acknowledged and is {state}");
            }
        }
        for name in ["hard", "soft"] {
            let sql = "SELECT CAST(COALESCE(SUM(spent_units), 0) AS BIGINT) AS n FROM budget_window WHERE budget = $1";
            let booked = self.ground.state.fetch(sql, &[name.into()]).await.unwrap()[0].get::<i64>("n").unwrap();
            assert_eq!(booked, spent, "every charge is booked once in {name}");
        }
    }

    /// Everybody settles and leaves; then what was not spent can be spent, and nothing more.
    async fn end(self) {
        for _ in 0..2 {
            self.ground.clock.advance(60 * 1_000_000);
            for node in &self.nodes {
                node.tick().await.unwrap();
            }
        }
        for node in &self.nodes {
            node.close().await.unwrap();
        }
        // Nodes that crashed are taken over when their lease is over.
        self.ground.clock.advance(60 * 1_000_000);
        let last = self.ground.node("last", false).await;
        last.tick().await.unwrap();
        last.commit().await.unwrap();
        for _ in 0..2 {
            self.ground.clock.advance(60 * 1_000_000);
            last.tick().await.unwrap();
        }
        self.check().await;
        let left = "SELECT CAST(COALESCE(SUM(granted_units + reserved_units), 0) AS BIGINT) AS n FROM budget_window WHERE budget = 'hard'";
        let open = self.ground.number("SELECT COUNT(*) AS n FROM budget_reservation WHERE state = 'open'").await;
        assert_eq!((self.ground.number(left).await, open), (0, 0), "nothing is held any more");
        let now = engine::Value::Time(self.ground.clock.now_us());
        let sql = "SELECT CAST(COALESCE(SUM(spent_units), 0) AS BIGINT) AS n FROM budget_window WHERE budget = 'hard' AND ends_at > $1 AND starts_at <= $1";
        let spent = self.ground.state.fetch(sql, &[now]).await.unwrap()[0].get::<i64>("n").unwrap();
        let rest = (LIMIT_CENTS * CENT - spent).max(0);
        let unit: Unit = "USD".parse().unwrap();
        for (id, units, allowed) in [("over", rest + 1, false), ("rest", rest, true)] {
            let mut wish = request(id, "shop", "0");
            wish.amounts = Amounts::default().with(unit.clone(), units);
            let asked = Arc::clone(&last);
            let verdict = driven(&last, async move { asked.reserve(&wish).await }).await.unwrap();
            assert_eq!(is_allowed(&verdict), allowed, "{id}: {units} of {rest}: {verdict:?}");
        }
    }
}

fn run(window: &str, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(window).await;
        for step in steps {
            world.step(step).await;
            world.check().await;
        }
        world.end().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_keeps_the_books(steps in steps()) {
        run("window: total", &steps);
    }

    #[test]
    fn any_interleaving_keeps_rolling_books(steps in steps()) {
        run("window: {rolling: 5m}", &steps);
    }
}
