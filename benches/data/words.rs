//! The words of the made-up shop: services, routes, and what a log line says.

use std::fmt::Write;

use super::Dice;

pub const SERVICES: &[&str] = &[
    "gateway",
    "web",
    "mobile-bff",
    "checkout",
    "cart",
    "catalog",
    "pricing",
    "payment",
    "inventory",
    "shipping",
    "orders",
    "search",
    "recommend",
    "reviews",
    "accounts",
    "identity",
    "notify",
    "email",
    "fraud",
    "tax",
    "loyalty",
    "coupons",
    "media",
    "invoices",
    "returns",
    "warehouse",
    "suppliers",
    "analytics",
    "sessions",
    "audit",
];

pub const NAMESPACES: &[&str] = &["shop-core", "shop-edge", "shop-data", "platform"];

pub const ROUTES: &[(&str, &str)] = &[
    ("GET", "/products/{id}"),
    ("GET", "/search"),
    ("GET", "/cart/{id}"),
    ("POST", "/cart/{id}/items"),
    ("POST", "/checkout"),
    ("GET", "/orders/{id}"),
    ("POST", "/orders"),
    ("POST", "/payments"),
    ("GET", "/prices/{id}"),
    ("GET", "/stock/{id}"),
    ("POST", "/login"),
    ("GET", "/users/{id}"),
    ("PATCH", "/users/{id}"),
    ("GET", "/reviews/{id}"),
    ("POST", "/reviews"),
    ("GET", "/recommendations"),
    ("POST", "/coupons/{id}/redeem"),
    ("GET", "/shipping/{id}"),
    ("POST", "/returns"),
    ("GET", "/invoices/{id}"),
    ("GET", "/media/{id}"),
    ("POST", "/events"),
    ("GET", "/sessions/{id}"),
    ("DELETE", "/cart/{id}"),
    ("GET", "/loyalty/{id}"),
    ("POST", "/notifications"),
    ("GET", "/health"),
];

pub const TABLES: &[&str] = &["orders", "carts", "products", "prices", "stock", "users", "payments", "sessions"];

pub const LOGGERS: &[&str] = &[
    "shop.http.server",
    "shop.orders.Repository",
    "shop.payment.Client",
    "shop.cache",
    "shop.kafka.consumer",
    "shop.auth.Filter",
    "shop.pool",
    "shop.jobs.Scheduler",
];

pub const EXCEPTIONS: &[(&str, &str)] = &[
    ("java.net.SocketTimeoutException", "Read timed out"),
    ("java.sql.SQLTransientConnectionException", "HikariPool-1 - Connection is not available"),
    ("redis.exceptions.ConnectionError", "Error 111 connecting to redis:6379. Connection refused."),
    ("io.grpc.StatusRuntimeException", "UNAVAILABLE: io exception"),
    ("ValueError", "invalid literal for int() with base 10"),
];

/// What happened, with gaps for what differs: `{u}` a user, `{n}` a number, `{d}` a duration, `{x}` hex, `{r}` the
/// route.
pub const MESSAGES: &[&str] = &[
    "request completed method=GET route={r} status=200 duration={d}ms bytes={n} user={u} request_id={x}",
    "cache lookup key=product:{n} shard={n} hit=true ttl={n}s took={d}ms trace_flags=01 worker={n}",
    "consumed message topic=orders.events partition={n} offset={n}{n} lag={n} key={x} handled in {d}ms",
    "user {u} authenticated with token {x} from session {x}, roles=[customer], expires in {n}s",
    "order {x} for user {u}: {n} items, total {n}.{n} EUR, state moved from RESERVED to PAID after {d}ms",
    "SELECT id, state, total FROM orders WHERE customer_id = '{u}' AND state IN ('OPEN','PAID') took {d}ms rows={n}",
    "connection pool stats active={n} idle={n} waiting={n} max=64 acquired in {d}ms by {x}",
    "price calculated for product {n}: base={n}.{n} discount={n}% currency=EUR rule={x} took {d}ms",
    "health check ok: database={d}ms cache={d}ms broker={d}ms uptime={n}{n}s version=2.4",
    "published event type=ItemAdded id={x} aggregate={x} size={n} to topic=cart.events in {d}ms",
    "scheduled job refresh-recommendations finished for segment {n}: scanned={n}{n} updated={n} in {d}ms",
    "rate limiter bucket={u} remaining={n} window=60s policy=default node={x}",
];

const WARNINGS: &[&str] = &[
    "retrying call to upstream after {d}ms: connection reset by peer (attempt {n}, request_id={x}, user={u})",
    "slow query took {d}ms: UPDATE stock SET reserved = reserved + {n} WHERE product_id = {n}{n} (plan hash {x})",
    "circuit breaker for payment-provider is half open after {n} failures, probing with request {x}",
    "queue depth {n}{n} is above the soft limit, shedding requests of tier free (worker {x})",
];

const ERRORS: &[&str] = &[
    "upstream request timeout",
    "failed to acquire a connection from the pool",
    "payment provider answered with 503",
    "request {x} failed: context deadline exceeded after {d}ms calling {r} for user {u}",
    "unexpected EOF while reading the response of inventory, order {x} stays in state PENDING (user {u})",
    "could not serialize access due to concurrent update, giving up after {n} attempts (order {x})",
];

/// What a line's gaps are filled with.
pub struct Words<'a> {
    pub user: u64,
    pub dice: &'a mut Dice,
    pub route: &'static str,
}

/// A line of a service: each has its favourites.
pub fn message(severity: i32, service: usize, template: usize, mut words: Words<'_>) -> String {
    let from = match severity {
        17 => ERRORS,
        13 => WARNINGS,
        _ => MESSAGES,
    };
    let template = from[(template + service) % from.len()];
    let mut line = String::with_capacity(200);
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        line.push_str(&rest[..at]);
        words.fill(&rest[at + 1..at + 2], &mut line);
        rest = &rest[at + 3..];
    }
    line.push_str(rest);
    line
}

impl Words<'_> {
    fn fill(&mut self, gap: &str, line: &mut String) {
        let dice = &mut *self.dice;
        let written = match gap {
            "u" => write!(line, "{}", super::user_name(self.user)),
            "n" => write!(line, "{}", dice.below(1000)),
            "d" => write!(line, "{}", dice.duration_ns(20.0) / 1_000_000),
            "x" => write!(line, "{:016x}", dice.next()),
            "r" => write!(line, "{}", self.route),
            other => unreachable!("no template has a gap {other}"),
        };
        written.expect("a String takes everything");
    }
}

pub fn severity(number: i32) -> &'static str {
    match number {
        17 => "ERROR",
        13 => "WARN",
        5 => "DEBUG",
        _ => "INFO",
    }
}
