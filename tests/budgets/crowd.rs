//! Sixty-four clients against a budget for exactly so many calls: none too many, all of them made, no refusal while there
//! is money; again while the server is killed, and with two servers over one PostgreSQL.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Ground, Http, Server};
use crate::state_postgres::Postgres;

const CLIENTS: usize = 64;
const CALLS: usize = 640;
const PATIENCE: Duration = Duration::from_secs(240);

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// What the clients did together.
#[derive(Default)]
struct Crowd {
    posted: AtomicUsize,
    /// Refusals that named reservations of others, not an empty budget.
    waited: AtomicUsize,
}

impl Crowd {
    /// One client: the same request again for as long as nobody answers, until the budget is spent.
    fn client(&self, number: usize, address: SocketAddr, begun: Instant) {
        let mut http = Http::new(address, "unused");
        for at in 0.. {
            let id = format!("c{number}-{at}");
            let wish = json!({"request_id": id, "tenant": "acme", "amounts": {"USD": "0.01"}, "wait_ms": 500});
            loop {
                assert!(begun.elapsed() < PATIENCE, "client {number} got no answer to {id}");
                match send(&mut http, "/budgets/reserve", &wish) {
                    Some(200) => break,
                    Some(402) => return,
                    Some(429) => drop(self.waited.fetch_add(1, Ordering::Relaxed)),
                    _ => {}
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let took = json!({"request_id": id, "tenant": "acme", "amounts": {"USD": "0.01"}});
            while send(&mut http, "/budgets/post", &took) != Some(200) {
                assert!(begun.elapsed() < PATIENCE, "client {number} could not post {id}");
                std::thread::sleep(Duration::from_millis(20));
            }
            self.posted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All clients, spread over the servers; `meanwhile` runs beside them.
    fn run(self: &Arc<Self>, addresses: &[SocketAddr], meanwhile: impl FnOnce(&Crowd)) {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let (crowd, address) = (Arc::clone(self), addresses[number % addresses.len()]);
                scope.spawn(move || crowd.client(number, address, begun));
            }
            meanwhile(self);
        });
    }

    fn wait_for(&self, posted: usize) {
        let begun = Instant::now();
        while self.posted.load(Ordering::Relaxed) < posted {
            assert!(begun.elapsed() < PATIENCE, "only {} calls", self.posted.load(Ordering::Relaxed));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Exactly the budget was spent, and the books say what the clients were told.
    fn check(&self, server: &Server) {
        let posted = self.posted.load(Ordering::Relaxed);
        let units = server.cell("SELECT sum(spent_units) FROM budget_window WHERE budget = 'crowd'");
        let spent = units.parse::<usize>().expect("a number") / 10_000_000;
        eprintln!(
            "{posted} of {CALLS} calls, {spent} booked, {} refusals to wait",
            self.waited.load(Ordering::Relaxed)
        );
        assert_eq!(posted, spent, "what was acknowledged is booked, and nothing else");
        assert!(spent <= CALLS, "spent / limit is at most 1.000");
        assert!(spent * 100 >= CALLS * 98, "at least 0.98 is used");
        assert_eq!(spent, CALLS, "no client was turned away while there was money");
        let rest = server.sql("SELECT sum(reserved_units), count(*) FILTER (WHERE spent_units > 6400000000) FROM budget_window WHERE budget = 'crowd'");
        assert_eq!(rest.rows, [["0", "0"]]);
    }
}

/// The status of a reply; none while nobody answers.
fn send(http: &mut Http, path: &str, body: &serde_json::Value) -> Option<u16> {
    let reply = http.send("POST", path, &[("content-type", "application/json")], body.to_string()).ok()?;
    assert!([200, 402, 409, 429, 500, 503].contains(&reply.status), "{path}: {} {}", reply.status, reply.text());
    Some(reply.status)
}

fn ground() -> Ground {
    let ground = Ground::new();
    let limit = format!("{}.{:02}", CALLS / 100, CALLS % 100);
    let text = format!("budgets: [{{name: crowd, tenant: acme, unit: USD, limit: \"{limit}\", window: total}}]");
    std::fs::write(ground.beside("budgets.yaml"), text).expect("a file");
    ground
}

fn apply(ground: &Ground, more: &[&str]) {
    let path = ground.beside("budgets.yaml");
    ground.run(&[&["budget", "apply", path.to_str().expect("UTF-8")], more].concat()).ok();
}

fn start(ground: &Ground, address: SocketAddr, more: &[&str]) -> Server {
    let address = address.to_string();
    Server::start(ground, &[&["--auth", "none", "--listen", address.as_str()], more].concat())
}

#[test]
fn a_crowd_spends_exactly_the_budget() {
    let (ground, address) = (ground(), free_port());
    apply(&ground, &[]);
    let server = start(&ground, address, &[]);
    let crowd = Arc::new(Crowd::default());
    crowd.run(&[address], |_| {});
    crowd.check(&server);
}

#[test]
fn a_crowd_spends_exactly_the_budget_of_a_server_that_is_killed() {
    let (ground, address) = (ground(), free_port());
    apply(&ground, &[]);
    let server = std::sync::Mutex::new(start(&ground, address, &[]));
    let crowd = Arc::new(Crowd::default());
    crowd.run(&[address], |crowd| {
        for posted in [CALLS / 4, CALLS / 2] {
            crowd.wait_for(posted);
            let mut server = server.lock().unwrap();
            server.kill9();
            *server = start(&ground, address, &[]);
        }
    });
    crowd.check(&server.into_inner().unwrap());
}

#[test]
fn a_crowd_spends_exactly_the_budget_of_two_servers_on_postgresql() {
    let (first, second) = (ground(), Ground::new());
    let Some(postgres) = Postgres::start(&first) else { return };
    let state = ["--state", postgres.url.as_str()];
    apply(&first, &state);
    let (one, two) = (free_port(), free_port());
    let server = start(&first, one, &state);
    let other = std::sync::Mutex::new(start(&second, two, &state));
    let crowd = Arc::new(Crowd::default());
    crowd.run(&[one, two], |crowd| {
        crowd.wait_for(CALLS / 3);
        let mut other = other.lock().unwrap();
        other.kill9();
        *other = start(&second, two, &state);
    });
    crowd.check(&server);
}
