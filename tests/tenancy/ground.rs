//! The two stores, and how they are asked.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::arrow::util::display::{ArrayFormatter, FormatOptions};
use engine::datafusion::arrow::datatypes::DataType;
use engine::{
    Catalogue, Clock, Column, Frame, Limits, NoRedaction, Ports, Rows, Scope, Settings, Store, Table, Type, Value,
};
use futures::TryStreamExt;
use ledger::audit::Audit;
use ledger::budget::{Author, Budgets, Options};
use ledger::directory::{API_VERSION, Dice, Directory, KeyOrder, Wish};
use ledger::principal::Caller;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use super::grammar::{Kind, Relation};

pub const OWN: &str = "acme";
pub const RIVAL: &str = "rival";
/// In every text that the rival wrote; it sorts behind the tenant's own. Questions never spell it whole.
pub const RIVAL_WORD: &str = "zulucanary";
/// In every number that the rival wrote.
pub const RIVAL_NUMBER: &str = "8675309";
const OWN_WORD: &str = "alphaword";
/// Rows of one table in one round. The rival's count is a number that nothing else is.
const OWN_ROWS: i64 = 7;
const RIVAL_ROWS: i64 = 11;
/// 2026-05-01, in microseconds.
pub const START_US: i64 = 1_777_593_600_000_000;
pub const ROUND_US: i64 = 3_600_000_000;

/// Rows as text, sorted; or the refusal.
pub type Reply = Result<Vec<String>, String>;

#[derive(Debug)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// The same keys in both stores.
#[derive(Debug)]
struct Loaded(Mutex<StdRng>);

impl Dice for Loaded {
    fn fill(&self, bytes: &mut [u8]) -> engine::Result<()> {
        self.0.lock().unwrap().fill_bytes(bytes);
        Ok(())
    }
}

pub struct Stand {
    store: Arc<Store>,
    catalogue: Catalogue,
    _data: tempfile::TempDir,
}

/// What only spending fills.
const OF_SPENDING: &[&str] = &["budget_window", "budget_reservation", "budget_forecast", "budget_event"];

fn is_filled(table: &engine::StateTable) -> bool {
    table.tenant.is_some() && !OF_SPENDING.contains(&table.name)
}

impl Stand {
    /// Three rounds of rows: flushed and maintained, flushed, and still in the tail.
    pub async fn build(with_rival: bool) -> Stand {
        let data = tempfile::tempdir().unwrap();
        let catalogue = serve::wire::catalogue();
        let clock = Arc::new(Hand(AtomicI64::new(START_US)));
        let ports = Ports { clock: clock.clone(), redactor: Arc::new(NoRedaction) };
        // Only what is flushed here is flushed: the third round stays in the tail however long the questions take.
        let settings = Settings { flush_after: Duration::from_secs(86_400), ..Settings::new(data.path()) };
        let store = Store::open(settings, catalogue.clone(), ports).await.unwrap();
        let stand = Stand { store, catalogue, _data: data };
        for round in 0..3 {
            clock.0.store(START_US + round * ROUND_US, Ordering::SeqCst);
            for table in stand.tables() {
                stand.append(table, Who::Own, round).await;
                if with_rival {
                    stand.append(table, Who::Rival, round).await;
                }
            }
            match round {
                0 => {
                    stand.store.flush().await.unwrap();
                    stand.store.maintain().await.unwrap();
                }
                1 => stand.store.flush().await.unwrap(),
                _ => {}
            }
        }
        stand.keys(OWN, "own", clock.clone()).await;
        if with_rival {
            stand.keys(RIVAL, RIVAL_WORD, clock).await;
            let scope = Scope::tenant(RIVAL, RIVAL_WORD);
            for sql in ["SELECT 'zulucanary'", "SELECT zulucanary FROM nowhere"] {
                let _ = stand.ask_as(&scope, sql).await;
            }
        }
        stand
    }

    fn tables(&self) -> impl Iterator<Item = &'static Table> + '_ {
        self.catalogue.tables.iter().copied().filter(|t| t.name != engine::query_log::QUERY_LOG.name)
    }

    async fn append(&self, table: &'static Table, who: Who, round: i64) {
        let mut rows = Rows::new(table);
        let count = if who == Who::Own { OWN_ROWS } else { RIVAL_ROWS };
        for n in 0..count {
            fill(&mut rows, table, who, round, n);
            rows.end_row().unwrap();
        }
        // The rival takes away, under the tenant's own keys and sets, what must stay the tenant's.
        if who == Who::Rival && !table.key.is_empty() {
            fill(&mut rows, table, who, round, 1);
            rows.end_delete().unwrap();
        }
        if who == Who::Rival && table.set.is_some() && round == 1 {
            fill(&mut rows, table, who, round, 0);
            rows.end_replace().unwrap();
            fill(&mut rows, table, who, round, 0);
            rows.end_row().unwrap();
        }
        let mut frame = Frame::new(format!("test/{}", who.word()));
        frame.push_rows(&mut rows);
        self.store.append(frame).await.unwrap();
    }

    async fn keys(&self, tenant: &str, name: &str, clock: Arc<Hand>) {
        let seed = u64::from(tenant.as_bytes()[0]);
        let hand = clock.clone();
        let dice = Arc::new(Loaded(Mutex::new(StdRng::seed_from_u64(seed))));
        let state = self.store.state().clone();
        let audit = Audit::start(state.clone(), clock.clone(), dice.clone(), Arc::new(NoRedaction)).await.unwrap();
        let directory = Directory::new(state, clock, dice).with_audit(Arc::new(audit));
        directory.ensure_tenant(tenant, name).await.unwrap();
        let caller = Caller { scope: Scope::tenant(tenant, name), reason: name.to_owned(), ..Caller::operator() };
        for suffix in ["ci", "web"] {
            let order = KeyOrder::new(&format!("{name} {suffix}"), Some(tenant));
            directory.issue(&order, &caller).await.unwrap();
        }
        let document = |kind: &str, id: &str, spec: serde_json::Value| {
            let metadata = serde_json::json!({"name": id, "namespace": tenant, "title": name});
            serde_json::json!({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})
        };
        let documents = [
            document("Tenant", tenant, serde_json::json!({})),
            document("Member", name, serde_json::json!({"roles": [name]})),
            document("Team", "ops", serde_json::json!({"members": [name]})),
            document("Application", "shop", serde_json::json!({"owner": "ops"})),
            document("Grant", "readers", serde_json::json!({"to": format!("role:{name}")})),
        ];
        directory.apply_entities(&documents, &Wish::default(), &caller).await.unwrap();
        let budgets = Budgets::open(self.store.state().clone(), hand, Options::new(name, name, false)).await.unwrap();
        let text = format!(
            "budgets: [{{name: {name}, tenant: {tenant}, unit: USD, limit: 10, window: month}}]\nquotas: [{{name: {name}, tenant: {tenant}, requests: 5/m}}]"
        );
        self.scores(tenant, name).await;
        let author = Author { name: name.to_owned(), tenant: Some(tenant.into()) };
        budgets.apply(&text, &author, false).await.unwrap();
        let asked = "INSERT INTO approval (id, job, round, step, tenant, ask, voters, quorum, requester, deadline, created_at) \
                     VALUES ($1, $2, 1, 'approve', $3, $4, 'leads', 1, $5, $6, $7)";
        let mut cells: Vec<Value> = [name, name, tenant, name, name].map(Value::from).to_vec();
        cells.extend([Value::Time(START_US), Value::Time(START_US)]);
        self.store.state().execute(asked, &cells).await.unwrap();
    }

    /// A scorecard's rows, as an evaluation leaves them.
    async fn scores(&self, tenant: &str, name: &str) {
        let values = [Value::from(tenant), Value::from(name), Value::Time(START_US)];
        for sql in [
            "INSERT INTO score_entity (tenant, entity, scorecard, entity_kind, level, top_level, level_last_change, since) \
             VALUES ($1, $2, 'cards', $2, $2, $2, $3, $3)",
            "INSERT INTO score_result (tenant, entity, scorecard, check_id, title, level, level_order, level_below, weight, \
             result, rule_version, result_last_change) VALUES ($1, $2, 'cards', 'c', $2, $2, 1, $2, 1, 'pass', 'v', $3)",
            "INSERT INTO score_history (tenant, entity, scorecard, check_id, happened_at, result, rule_version) \
             VALUES ($1, $2, 'cards', 'c', $3, 'pass', 'v')",
            "INSERT INTO score_level_history (tenant, entity, scorecard, happened_at, level) VALUES ($1, $2, 'cards', $3, $2)",
            "INSERT INTO score_exemption (tenant, entity, scorecard, id, check_id, reason, requester, requested_at, days) \
             VALUES ($1, $2, 'cards', $1, 'c', $2, $2, $3, 1)",
        ] {
            self.store.state().execute(sql, &values).await.unwrap();
        }
    }

    /// The store itself.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Everything that SQL can name.
    pub async fn relations(&self) -> Vec<Relation> {
        let facts =
            self.catalogue.tables.iter().map(|t| (t.name, t.tenant, true, t.name != engine::query_log::QUERY_LOG.name));
        let state =
            self.catalogue.state_tables.iter().map(|t| (t.name, t.tenant.unwrap_or("name"), false, is_filled(t)));
        let views = self.catalogue.views.iter().map(|v| (v.name, "", false, false));
        let mut relations = Vec::new();
        for (name, tenant, fact, filled) in facts.chain(state).chain(views) {
            let scope = Scope::platform("test");
            let answer = self.store.query(&scope, format!("SELECT * FROM {name}").as_str(), Limits::default()).await;
            let answer = answer.unwrap_or_else(|e| panic!("{name}: {e}"));
            let columns = answer
                .stream
                .schema()
                .fields()
                .iter()
                .filter_map(|f| Some((f.name().clone(), kind(f.data_type())?)))
                .collect();
            relations.push(Relation { name, tenant: tenant.to_owned(), columns, fact, filled });
        }
        relations
    }

    pub async fn ask(&self, sql: &str) -> Reply {
        self.ask_as(&Scope::tenant(OWN, "own"), sql).await
    }

    pub async fn ask_as_platform(&self, sql: &str) -> Reply {
        self.ask_as(&Scope::platform("ops"), sql).await
    }

    /// Asks until the answer is `good`: the log of questions is written behind them.
    pub async fn ask_until(&self, sql: &str, good: impl Fn(&[String]) -> bool) -> Vec<String> {
        for _ in 0..100 {
            let rows = self.ask(sql).await.unwrap();
            if good(&rows) {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{sql}: never as it should be")
    }

    pub async fn ask_as(&self, scope: &Scope, sql: &str) -> Reply {
        let refusal = |error: String| error;
        let answer = self
            .store
            .query(scope, sql, Limits::default())
            .await
            .map_err(|e| refusal(format!("{:?} {e}", e.kind())))?;
        let batches: Vec<_> = answer.stream.try_collect().await.map_err(|e| refusal(e.strip_backtrace()))?;
        let options = FormatOptions::default().with_null("NULL");
        let mut rows = Vec::new();
        for batch in &batches {
            let columns: Vec<_> =
                batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
            for row in 0..batch.num_rows() {
                let cells: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
                rows.push(format!("| {} |", cells.join(" | ")));
            }
        }
        rows.sort();
        Ok(rows)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Own,
    Rival,
}

impl Who {
    fn word(self) -> &'static str {
        if self == Who::Own { OWN_WORD } else { RIVAL_WORD }
    }

    fn tenant(self) -> &'static str {
        if self == Who::Own { OWN } else { RIVAL }
    }
}

fn fill(rows: &mut Rows, table: &Table, who: Who, round: i64, n: i64) {
    for column in table.columns {
        let shared = table.key.contains(&column.name) || table.set == Some(column.name);
        let value = match () {
            () if column.name == table.tenant => who.tenant().into(),
            () if shared => shared_value(column, n),
            () => value(column, who, round, n),
        };
        rows.set(column.name, value);
    }
}

/// Keys and sets are the same for both tenants: an identity is one within its tenant.
fn shared_value(column: &Column, n: i64) -> Value {
    match column.kind {
        Type::Name | Type::Text | Type::Json => format!("shared-{}", n % 5).into(),
        Type::Int => (n % 5).into(),
        Type::Time => Value::Time(START_US + n % 5),
        Type::TimeNs => Value::Time((START_US + n % 5) * 1_000),
        kind => panic!("{}: a key of type {kind:?}", column.name),
    }
}

fn value(column: &Column, who: Who, round: i64, n: i64) -> Value {
    let number = if who == Who::Own { 100 * round + n } else { 8_675_309_000 + 100 * round + n };
    let second = if who == Who::Own { n } else { 40_000_000 + n };
    let word = who.word();
    match column.kind {
        // Everybody of the tenant: what groups may see is tried elsewhere.
        _ if column.name == "acl" => Value::Null,
        Type::Name => format!("{word}-{}", n % 3).into(),
        Type::Text => format!("{word} {} {round}-{n}", column.name).into(),
        Type::Json => format!(r#"{{"{word}":"{word}","n":{number},"list":["{word}",{n}]}}"#).into(),
        Type::Bool => (who == Who::Own).into(),
        Type::Int => number.into(),
        Type::Float => (number as f64 + 0.5).into(),
        Type::Decimal => Value::Decimal(i128::from(number) * 1_000_000_000_000_000_000),
        Type::Time => Value::Time(START_US + second * 1_000_000),
        Type::TimeNs => Value::Time((START_US + second * 1_000_000) * 1_000),
        Type::Bytes => Value::Bytes(word.as_bytes().to_vec()),
        Type::Vector(width) => Value::Vector((0..width).map(|at| (number + i64::from(at)) as f32).collect()),
    }
}

fn kind(data_type: &DataType) -> Option<Kind> {
    Some(match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => Kind::Text,
        DataType::Dictionary(_, value) if **value == DataType::Utf8 => Kind::Text,
        DataType::Int64 | DataType::Decimal128(..) => Kind::Number,
        DataType::Timestamp(..) => Kind::Time,
        DataType::Boolean => Kind::Bool,
        // Sums of floats depend on the order of rows, bytes have no functions here.
        _ => return None,
    })
}
