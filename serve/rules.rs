//! What commands and doors ask about rules and jobs, and the answers: one wish, one reply, the same over the operator's
//! socket and over a store opened here.

use std::path::PathBuf;
use std::sync::Arc;

use engine::clock::rfc3339;
use engine::{Error, Kind, Result, Scope};
use jobs::actions::{Inside, Outside, Settings, World};
use jobs::book::Entry;
use jobs::preview::{self, Preview, wishes};
use jobs::rule::{Fault, Rule};
use jobs::runner::Runner;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::house::House;
use crate::notices::NoticeWish;

/// Rows of a transition that an answer shows.
const SHOWN_MAX: usize = 200;

/// A rule's file, as it was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RuleFile {
    /// Its path within the folder of rules, without the ending.
    pub name: String,
    /// The file.
    pub text: String,
}

/// What somebody wants to know or to happen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "wish", rename_all = "snake_case")]
pub enum RuleWish {
    /// What is wrong with these files.
    Check {
        /// The files.
        files: Vec<RuleFile>,
    },
    /// What a rule would do now.
    Preview {
        /// The rule.
        file: RuleFile,
        /// The tick, µs since 1970; now without it.
        tick: Option<i64>,
    },
    /// What a rule would have done.
    Backtest {
        /// The rule.
        file: RuleFile,
        /// From, µs since 1970.
        from: i64,
        /// Up to and with.
        to: i64,
    },
    /// Runs a rule once, now, and does what follows.
    Run {
        /// The rule.
        file: RuleFile,
        /// An absolute path: whom actions may reach.
        actions: Option<PathBuf>,
    },
    /// Every rule.
    List,
    /// The newest runs of a rule.
    History {
        /// The rule.
        rule: String,
        /// How many.
        count: i64,
    },
    /// Why a row did or did not fire.
    Explain {
        /// The rule.
        rule: String,
        /// The row's key, a JSON list.
        key: Value,
    },
    /// Lets a held rule exceed its limit once.
    Release {
        /// The rule.
        rule: String,
    },
    /// Something about silences, acknowledgements or deliveries.
    Notice(NoticeWish),
    /// Tries dead jobs again: one, or all.
    Retry {
        /// The job.
        job: Option<String>,
    },
    /// Ends a job that does not run.
    Cancel {
        /// The job.
        job: String,
    },
}

impl House {
    /// Answers a wish about rules and jobs.
    pub async fn rules(&self, wish: &RuleWish) -> Result<Value> {
        let scope = Scope::platform("rules");
        match wish {
            RuleWish::Check { files } => {
                let mut answers = Vec::with_capacity(files.len());
                for file in files {
                    answers.push(self.check_rule(&scope, file).await);
                }
                Ok(json!(answers))
            }
            RuleWish::Preview { file, tick } => self.preview_rule(&scope, file, *tick).await,
            RuleWish::Backtest { file, from, to } => self.backtest_rule(&scope, file, *from, *to).await,
            RuleWish::Run { file, actions } => self.run_rule(file, actions.as_deref()).await,
            RuleWish::List => {
                let entries = self.runner().book().entries().await?;
                Ok(entries.iter().map(listed).collect())
            }
            RuleWish::History { rule, count } => {
                let runs = self.runner().book().runs(rule, *count).await?;
                let mut runs = json!(runs);
                for run in runs.as_array_mut().into_iter().flatten() {
                    for name in ["tick", "began_at", "ended_at"] {
                        run[name] = run[name].as_i64().map(rfc3339).into();
                    }
                }
                Ok(runs)
            }
            RuleWish::Explain { rule, key } => self.explain_rule(&scope, rule, key).await,
            RuleWish::Release { rule } => {
                self.runner().book().release(rule, self.store.clock().now_us()).await?;
                self.runner().wake();
                Ok(json!({ "released": rule }))
            }
            RuleWish::Notice(wish) => self.notice(wish).await,
            RuleWish::Retry { job } => {
                let retried = self.runner().queue().retry(job.as_deref(), self.store.clock().now_us()).await?;
                self.runner().wake();
                Ok(json!({ "retried": retried }))
            }
            RuleWish::Cancel { job } => {
                self.runner().queue().cancel(job, self.store.clock().now_us()).await?;
                Ok(json!({ "cancelled": job }))
            }
        }
    }

    async fn check_rule(&self, scope: &Scope, file: &RuleFile) -> Value {
        let (faults, owner) = match Rule::parse(&file.name, &file.text) {
            Ok(rule) => (jobs::check::check(&self.store, scope, &rule).await, Some(rule.header.owner)),
            Err(faults) => (faults, None),
        };
        let faults: Vec<Value> = faults.iter().map(|f| json!({ "line": f.line, "what": f.what })).collect();
        json!({ "rule": file.name, "owner": owner, "faults": faults })
    }

    /// A rule that nothing is wrong with.
    async fn sound(&self, scope: &Scope, file: &RuleFile) -> Result<Rule> {
        let refuse = |faults: Vec<Fault>| {
            let lines = faults.iter().map(|f| format!("{}:{}: {}", file.name, f.line, f.what)).collect::<Vec<_>>();
            Error::invalid(lines.join("\n"))
        };
        let rule = Rule::parse(&file.name, &file.text).map_err(refuse)?;
        match jobs::check::check(&self.store, scope, &rule).await {
            faults if faults.is_empty() => Ok(rule),
            faults => Err(refuse(faults)),
        }
    }

    async fn preview_rule(&self, scope: &Scope, file: &RuleFile, tick: Option<i64>) -> Result<Value> {
        let rule = self.sound(scope, file).await?;
        let runner = self.runner();
        let tracked = runner.book().tracked(&rule.name).await?;
        let first = !runner.book().ran(&rule.name).await?;
        let tick = tick.unwrap_or_else(|| self.store.clock().now_us());
        let preview = preview::preview(&self.store, scope, &rule, &tracked, tick, first).await?;
        Ok(shown(&rule, &preview))
    }

    async fn backtest_rule(&self, scope: &Scope, file: &RuleFile, from: i64, to: i64) -> Result<Value> {
        let rule = self.sound(scope, file).await?;
        let mut ticks = Vec::new();
        let mut each = |preview: &Preview| ticks.push(shown(&rule, preview));
        preview::backtest(&self.store, scope, &rule, from, to, &mut each).await?;
        Ok(json!({ "rule": rule.name, "from": rfc3339(from), "to": rfc3339(to), "ticks": ticks }))
    }

    async fn run_rule(&self, file: &RuleFile, actions: Option<&std::path::Path>) -> Result<Value> {
        let scope = Scope::platform("rules");
        let rule = self.sound(&scope, file).await?;
        if let Some(path) = actions {
            self.set_hands(&Settings::read(path)?)?;
        }
        let runner = match actions {
            Some(path) => self.new_runner(Arc::new(self.world(Settings::read(path)?)?)),
            None => self.runner(),
        };
        let now = self.store.clock().now_us();
        runner.book().add(&rule, now).await?;
        let entry = runner.book().entry(&rule.name).await?;
        let entry = entry.ok_or_else(|| Error::new(Kind::Internal, "the rule was loaded and is not there"))?;
        if let Some(held) = &entry.held {
            return Err(Error::new(Kind::Conflict, format!("the rule {} is held: {held}", rule.name)));
        }
        let next = rule.header.timing.next(&rule.name, now);
        let run = runner.run_rule(&entry, &rule, now, next).await?;
        let mut done = 0;
        loop {
            match runner.work().await? {
                0 => break,
                some => done += some,
            }
        }
        let [new, changed, resolved] = run.counts;
        Ok(json!({
            "rule": rule.name, "tick": rfc3339(run.tick), "status": run.status, "rows": run.rows, "new": new, "changed": changed,
            "resolved": resolved, "attempts": done, "error": run.error,
        }))
    }

    async fn explain_rule(&self, scope: &Scope, name: &str, key: &Value) -> Result<Value> {
        let runner = self.runner();
        let entry = runner.book().entry(name).await?;
        let entry = entry
            .ok_or_else(|| Error::new(Kind::NotFound, format!("there is no rule {name}; `stellwerk rule list`")))?;
        let rule = entry
            .rule()
            .map_err(|faults| Error::invalid(faults.first().map_or_else(String::new, |fault| fault.what.clone())))?;
        let key = match key {
            Value::Array(_) => key.to_string(),
            one => json!([one]).to_string(),
        };
        let tracked = runner.book().tracked(name).await?;
        let tick = self.store.clock().now_us();
        let rows = jobs::evaluate::evaluate(&self.store, scope, &rule, tick, jobs::evaluate::At::Now).await?.rows;
        let row = rows.into_iter().find(|row| row.key == key);
        let known = tracked.get(&key).map(|row| {
            json!({ "state": row.state.name(), "since": rfc3339(row.since), "epoch": rfc3339(row.epoch), "flaps": row.flaps, "data": row.data })
        });
        let says = said(&rule, row.is_some(), tracked.get(&key), tick, &entry);
        Ok(json!({
            "rule": name, "key": serde_json::from_str::<Value>(&key).unwrap_or_default(), "why": rule.header.why, "now": row.map(|row| row.data), "tracked": known, "says": says,
        }))
    }

    /// What runs rules and jobs here; before a server has one of its own, one that reaches nobody.
    pub fn runner(&self) -> Arc<Runner> {
        Arc::clone(self.runner.get_or_init(|| {
            let nobody = self.world(Settings::default()).expect("a client without settings is one");
            self.new_runner(Arc::new(nobody))
        }))
    }

    /// The world as far as these settings reach, and this house.
    pub fn world(&self, settings: Settings) -> Result<World> {
        let inside = Inside { store: Arc::clone(&self.store), budgets: Arc::clone(&self.budgets) };
        Ok(World::new(settings)?.within(inside))
    }

    /// A runner over this store.
    pub fn new_runner(&self, outside: Arc<dyn Outside>) -> Arc<Runner> {
        let runner = Runner::new(Arc::clone(&self.store), &uuid::Uuid::new_v4().to_string(), outside);
        Arc::new(runner.with_hands(self.hands.get().cloned()))
    }
}

fn listed(entry: &Entry) -> Value {
    json!({
        "rule": entry.name, "owner": entry.owner, "enabled": entry.enabled, "version": &entry.version[..12.min(entry.version.len())],
        "next": entry.next_us.map(rfc3339), "last": entry.last_tick.map(rfc3339), "held": entry.held,
    })
}

/// A tick with what would happen at it.
fn shown(rule: &Rule, preview: &Preview) -> Value {
    match &preview.difference {
        Err(stop) => json!({ "tick": rfc3339(preview.tick), "rows": preview.rows, "stop": stop, "moves": [] }),
        Ok(difference) => {
            let moves = difference.moves.iter().take(SHOWN_MAX).map(|moved| {
                let key: Value = serde_json::from_str(&moved.key).unwrap_or_default();
                json!({ "key": key, "transition": moved.transition.name(), "row": moved.data, "actions": wishes(rule, moved) })
            });
            json!({
                "tick": rfc3339(preview.tick), "rows": preview.rows, "moves": moves.collect::<Vec<_>>(),
                "moves_in_all": difference.moves.len(), "tracked": difference.tracked.len(),
            })
        }
    }
}

/// Why a row is where it is, in a sentence.
fn said(rule: &Rule, there: bool, known: Option<&jobs::rows::Tracked>, tick: i64, entry: &Entry) -> String {
    use jobs::rows::State;
    if let Some(held) = &entry.held {
        return format!("the rule is held, so nothing changes: {held}");
    }
    let for_so_long = |since: i64| {
        engine::write_span(std::time::Duration::from_secs(u64::try_from((tick - since) / 1_000_000).unwrap_or(0)))
    };
    match (there, known) {
        (true, None) => "the SELECT has it now, and the next run will see it for the first time".to_owned(),
        (true, Some(row)) if row.state == State::Pending => format!(
            "it is there for {}, and must be for {} before it is new",
            for_so_long(row.since),
            engine::write_span(rule.header.hold)
        ),
        (true, Some(row)) => format!("it fires since {}, and was told then", rfc3339(row.epoch)),
        (false, Some(row)) if row.state == State::Pending => {
            "it is gone before it was new, and will be forgotten".to_owned()
        }
        (false, Some(row)) => format!(
            "the SELECT has it no more; it is resolved once it was gone for {}; it is {} since {}",
            engine::write_span(rule.header.keep),
            row.state.name(),
            rfc3339(row.since)
        ),
        (false, None) => "the SELECT does not have it, and no run tracks it".to_owned(),
    }
}
