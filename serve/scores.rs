//! What commands and doors ask about scorecards, and the answers: one wish, one reply, the same over the operator's socket
//! and over a store opened here.

use std::sync::Arc;

use engine::clock::rfc3339;
use engine::{Error, Kind, Result, Scope};
use jobs::approval::ANYBODY;
use jobs::evaluate::table;
use jobs::flow::exemption::SCORE_EXEMPTION;
use jobs::flow::{Start, desk};
use jobs::score::{self, Exemptions, Request, Scorecard};
use jobs::shipped::SCORECARDS;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::house::House;
use crate::work::Wisher;

/// What somebody wants to know of scorecards, or to happen with them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "wish", rename_all = "snake_case")]
pub enum ScoreWish {
    /// What is wrong with these files.
    Check {
        /// The files.
        files: Vec<CardFile>,
    },
    /// Evaluates scorecards now.
    Run {
        /// The files; none means those that ship.
        files: Vec<CardFile>,
        /// Look at everything, not only at what changed.
        full: bool,
    },
    /// Every scorecard, with how many stand where.
    List,
    /// How everybody stands.
    Show {
        /// Whom it is about.
        about: About,
    },
    /// What every check says about an entity, and why.
    Explain {
        /// Whom it is about.
        about: About,
    },
    /// What changed.
    History {
        /// Whom it is about.
        about: About,
        /// How many changes.
        count: usize,
    },
    /// Exemptions, newest first.
    Exemptions {
        /// Whom they are about.
        about: About,
    },
    /// Asks for an exemption.
    Exempt {
        /// Whom it is about.
        about: About,
        /// The check.
        check: String,
        /// Why.
        reason: String,
        /// For how many days.
        days: i64,
        /// Who asks.
        by: String,
    },
    /// Asks people for an exemption.
    AskPeople {
        /// For what, and whom.
        ask: Ask,
        /// The key of whoever asks; without one it is the operator.
        #[serde(default)]
        key: Option<String>,
    },
    /// Approves, denies or revokes an exemption.
    Decide {
        /// The exemption.
        id: String,
        /// What is decided.
        decision: Decision,
        /// Who decides.
        by: String,
    },
}

/// A scorecard's file, as it was read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CardFile {
    /// Where it lies.
    pub path: String,
    /// The file.
    pub text: String,
}

/// Whom a wish is about; what is not said is everybody.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct About {
    /// The scorecard.
    pub scorecard: Option<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// The entity.
    pub entity: Option<String>,
}

/// An exemption that people are asked for. Who asks is whoever the key says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The scorecard.
    pub scorecard: String,
    /// The check.
    pub check: String,
    /// The entity.
    pub entity: String,
    /// Its tenant, where several have one of this name.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Why.
    pub reason: String,
    /// For how many days from the decision on.
    pub days: i64,
    /// The group whose members vote; everybody who may write, unless it is said.
    #[serde(default = "anybody")]
    pub voters: String,
    /// How many must agree.
    #[serde(default = "one")]
    pub quorum: i64,
    /// No answer for so long is a no: `30m`, `2d`.
    #[serde(default = "week")]
    pub deadline: String,
}

/// Everybody who may write.
pub fn anybody() -> String {
    ANYBODY.to_owned()
}

fn one() -> i64 {
    1
}

fn week() -> String {
    "7d".to_owned()
}

/// What becomes of an exemption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It holds for its days.
    Approve,
    /// It does not.
    Deny,
    /// It holds no longer.
    Revoke,
}

impl About {
    /// The condition that it means.
    fn condition(&self) -> String {
        let parts = [("scorecard", &self.scorecard), ("tenant", &self.tenant), ("entity", &self.entity)];
        let said = parts.iter().filter_map(|(name, value)| Some(format!("{name} = {}", quoted(value.as_deref()?))));
        let said: Vec<_> = said.collect();
        if said.is_empty() { "true".to_owned() } else { said.join(" AND ") }
    }
}

/// A text as SQL writes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl House {
    /// Answers a wish about scorecards.
    pub async fn scores(&self, wish: &ScoreWish) -> Result<Value> {
        let scope = Scope::platform("scorecards");
        match wish {
            ScoreWish::Check { files } => self.check_cards(&scope, files).await,
            ScoreWish::Run { files, full } => self.run_cards(&scope, files, *full).await,
            ScoreWish::List => self.rows(&scope, LIST).await,
            ScoreWish::Show { about } => self.standings(&scope, about).await,
            ScoreWish::Explain { about } => self.explain_score(&scope, about).await,
            ScoreWish::History { about, count } => {
                let sql = format!(
                    "{HISTORY} WHERE {} ORDER BY happened_at DESC, scorecard, entity, check_id LIMIT {count}",
                    about.condition()
                );
                self.rows(&scope, &sql).await
            }
            ScoreWish::Exemptions { about } => {
                let sql = format!(
                    "SELECT * FROM score_exemption_current WHERE {} ORDER BY requested_at DESC",
                    about.condition()
                );
                self.rows(&scope, &sql).await
            }
            ScoreWish::Exempt { about, check, reason, days, by } => {
                let (Some(scorecard), Some(entity)) = (&about.scorecard, &about.entity) else {
                    return Err(Error::invalid("an exemption is for one entity of one scorecard"));
                };
                let tenant = self.tenant_of(&scope, about).await?;
                let request = Request {
                    scorecard: scorecard.clone(),
                    check: check.clone(),
                    key: (tenant, entity.clone()),
                    reason: reason.clone(),
                    requester: by.clone(),
                    days: *days,
                };
                let id = self.exemptions().request(&request, self.store.clock().now_us()).await?;
                Ok(json!({ "exemption": id, "state": "pending" }))
            }
            ScoreWish::AskPeople { ask, key } => {
                let wisher = match key {
                    Some(key) => self.known(key).await?,
                    None => Wisher::operator(),
                };
                self.ask_people(ask, &wisher).await
            }
            ScoreWish::Decide { id, decision, by } => {
                let now = self.store.clock().now_us();
                match decision {
                    Decision::Approve => self.exemptions().decide(id, true, by, now).await?,
                    Decision::Deny => self.exemptions().decide(id, false, by, now).await?,
                    Decision::Revoke => self.exemptions().revoke(id, by, now).await?,
                };
                let sql = format!("SELECT * FROM score_exemption_current WHERE id = {}", quoted(id));
                let rows = self.rows(&scope, &sql).await?;
                Ok(rows[0].clone())
            }
        }
    }

    /// How everybody stands, as a scope may see it.
    pub async fn standings(&self, scope: &Scope, about: &About) -> Result<Value> {
        self.rows(scope, &format!("SELECT * FROM score WHERE {} ORDER BY scorecard, tenant, entity", about.condition()))
            .await
    }

    /// Starts the flow that asks people for an exemption; its id is the exemption's.
    pub async fn ask_people(&self, ask: &Ask, wisher: &Wisher) -> Result<Value> {
        let scope = &wisher.caller.scope;
        let about = About {
            scorecard: Some(ask.scorecard.clone()),
            tenant: ask.tenant.clone(),
            entity: Some(ask.entity.clone()),
        };
        let tenant = self.tenant_of(scope, &about).await?;
        let request = Request {
            scorecard: ask.scorecard.clone(),
            check: ask.check.clone(),
            key: (tenant.clone(), ask.entity.clone()),
            reason: ask.reason.clone(),
            requester: desk::name(&wisher.caller),
            days: ask.days,
        };
        self.exemptions().check(&request).await?;
        let deadline = engine::parse_span(&ask.deadline).map_err(Error::invalid)?;
        if ask.quorum < 1 || deadline.is_zero() || ask.voters.trim().is_empty() {
            return Err(Error::invalid("somebody must vote, at least one must agree, and there is a time to do so"));
        }
        let question = format!(
            "{} need not pass {} of {} for {} days: {}",
            ask.entity,
            ask.check,
            ask.scorecard,
            ask.days,
            ask.reason.trim()
        );
        let input = json!({
            "scorecard": ask.scorecard, "check": ask.check, "tenant": tenant, "entity": ask.entity, "reason": ask.reason.trim(),
            "days": ask.days, "ask": question, "voters": ask.voters, "quorum": ask.quorum,
            "deadline_us": i64::try_from(deadline.as_micros()).unwrap_or(i64::MAX),
        });
        // The platform's own entities have no tenant whose key could vote.
        let tenant = (!tenant.is_empty()).then_some(tenant);
        let start = Start { flow: SCORE_EXEMPTION.name.to_owned(), input, key: None, tenant, priority: None };
        let (id, _) = self.desk().start(&start, &wisher.caller, self.store.clock().now_us()).await?;
        self.runner().wake();
        Ok(json!({ "exemption": id, "state": "pending", "voters": ask.voters }))
    }

    fn exemptions(&self) -> Exemptions {
        Exemptions::new(Arc::clone(self.store.state()))
    }

    async fn rows(&self, scope: &Scope, sql: &str) -> Result<Value> {
        let (_, rows) = table(&self.store, scope, sql, self.store.clock().now_us()).await?;
        Ok(rows.into_iter().map(Value::Object).collect())
    }

    async fn check_cards(&self, scope: &Scope, files: &[CardFile]) -> Result<Value> {
        let mut answers = Vec::with_capacity(files.len());
        for file in files {
            let faults = match Scorecard::parse(&file.text) {
                Ok(card) => score::check(&self.store, scope, &card).await,
                Err(faults) => faults,
            };
            answers.push(json!({ "file": file.path, "faults": faults }));
        }
        Ok(Value::Array(answers))
    }

    async fn run_cards(&self, scope: &Scope, files: &[CardFile], is_full: bool) -> Result<Value> {
        let shipped = SCORECARDS.iter().map(|card| CardFile { path: card.name.to_owned(), text: card.yaml.to_owned() });
        let files: Vec<CardFile> = if files.is_empty() { shipped.collect() } else { files.to_vec() };
        let mut cards = Vec::with_capacity(files.len());
        for file in &files {
            let refuse = |faults: Vec<String>| Error::invalid(format!("{}: {}", file.path, faults.join("; ")));
            cards.push(Scorecard::parse(&file.text).map_err(refuse)?);
        }
        let mut answers = Vec::with_capacity(cards.len());
        for card in &cards {
            // One that cannot be evaluated keeps no other from it.
            answers.push(match score::run(&self.store, scope, card, is_full).await {
                Ok((tick, counted)) => json!({
                    "scorecard": card.name, "status": "done", "tick": rfc3339(tick), "entities": counted.entities,
                    "facts_asked": counted.asked, "results_changed": counted.changed, "levels": self.levels(scope, card).await?,
                }),
                Err(error) => json!({ "scorecard": card.name, "status": "error", "error": error.to_string() }),
            });
        }
        Ok(Value::Array(answers))
    }

    /// How many stand on each level of a scorecard, in the order of its levels.
    async fn levels(&self, scope: &Scope, card: &Scorecard) -> Result<Value> {
        let sql =
            format!("SELECT level, count(*) AS n FROM score WHERE scorecard = {} GROUP BY level", quoted(&card.name));
        let rows = self.rows(scope, &sql).await?;
        let count = |level: &String| {
            let row = rows.as_array().into_iter().flatten().find(|row| row["level"] == level.as_str());
            json!({ "level": level, "entities": row.map_or(json!(0), |row| row["n"].clone()) })
        };
        Ok(card.levels.iter().map(count).collect())
    }

    /// The tenant of the one entity that is meant.
    async fn tenant_of(&self, scope: &Scope, about: &About) -> Result<String> {
        let sql = format!("SELECT DISTINCT tenant FROM score_entity WHERE {} ORDER BY tenant", about.condition());
        let rows = self.rows(scope, &sql).await?;
        let tenants: Vec<&str> =
            rows.as_array().into_iter().flatten().filter_map(|row| row["tenant"].as_str()).collect();
        let name = about.entity.as_deref().unwrap_or_default();
        match tenants.as_slice() {
            [one] => Ok((*one).to_owned()),
            [] => Err(Error::new(
                Kind::NotFound,
                format!("nobody scores {name}; `stellwerk score show` lists who is scored"),
            )),
            several => {
                let what = format!("{name} is scored for {}: say which with --tenant", several.join(", "));
                Err(Error::invalid(what))
            }
        }
    }

    async fn explain_score(&self, scope: &Scope, about: &About) -> Result<Value> {
        let tenant = self.tenant_of(scope, about).await?;
        let about = About { tenant: Some(tenant), ..about.clone() };
        let standings = self.standings(scope, &about).await?;
        let mut answers = Vec::new();
        for standing in standings.as_array().into_iter().flatten() {
            let name = standing["scorecard"].as_str().unwrap_or_default();
            let of = About { scorecard: Some(name.to_owned()), ..about.clone() };
            let sql = format!(
                "SELECT check_id, title, level, weight, result, result_found, evidence, observed_at, result_last_change, \
                 rule_version, exemption, exempt_until FROM score_check WHERE {} ORDER BY level_order, check_id",
                of.condition()
            );
            let checks = self.rows(scope, &sql).await?;
            let why = format!(
                "SELECT check_id, why FROM scorecard_check WHERE scorecard = {} AND until IS NULL",
                quoted(name)
            );
            let why = self.rows(scope, &why).await?;
            let mut answer = standing.as_object().cloned().unwrap_or_else(Map::new);
            answer.insert("says".to_owned(), said(standing, &checks).into());
            answer.insert("checks".to_owned(), with_why(checks, &why));
            answers.push(Value::Object(answer));
        }
        Ok(Value::Array(answers))
    }
}

const LIST: &str = "SELECT c.name AS scorecard, c.title, c.owner, c.why, c.levels, c.version, c.last_tick, count(s.entity) AS entities, \
                    round(avg(s.score_percent), 1) AS mean_percent, coalesce(sum(s.failed), 0) AS failed, \
                    coalesce(sum(s.unknown), 0) AS unknown, coalesce(sum(s.exempt), 0) AS exempt \
                    FROM scorecard c LEFT JOIN score s ON s.scorecard = c.name \
                    GROUP BY c.name, c.title, c.owner, c.why, c.levels, c.version, c.last_tick ORDER BY c.name";

const HISTORY: &str = "SELECT * FROM (SELECT happened_at, scorecard, tenant, entity, check_id, result_before AS was, result AS is_now, evidence, rule_version \
                       FROM score_history \
                       UNION ALL SELECT happened_at, scorecard, tenant, entity, '' AS check_id, level_before, level, \
                       CAST(round(score_percent, 1) AS VARCHAR) || ' %', '' FROM score_level_history) AS told";

fn with_why(checks: Value, why: &Value) -> Value {
    let of = |id: &Value| {
        let found = why.as_array().into_iter().flatten().find(|row| row["check_id"] == *id);
        found.map_or(Value::Null, |row| row["why"].clone())
    };
    let add = |mut check: Value| {
        check["why"] = of(&check["check_id"]);
        check
    };
    match checks {
        Value::Array(checks) => checks.into_iter().map(add).collect(),
        other => other,
    }
}

/// Why an entity is on its level, in a sentence.
fn said(standing: &Value, checks: &Value) -> String {
    let level = standing["level"].as_str().unwrap_or_default();
    let open: Vec<&Value> = checks
        .as_array()
        .into_iter()
        .flatten()
        .filter(|check| matches!(check["result"].as_str(), Some("fail" | "unknown")))
        .collect();
    let Some(first) = open.first() else { return format!("{level}: every check that applies passes") };
    let next = first["level"].as_str().unwrap_or_default();
    let missing: Vec<String> = open
        .iter()
        .filter(|check| check["level"] == first["level"])
        .map(|check| {
            let (id, result) = (check["check_id"].as_str().unwrap_or_default(), check["result"].as_str());
            if result == Some("unknown") { format!("{id} (unknown)") } else { id.to_owned() }
        })
        .collect();
    format!("{level}: for {next} there is missing {}", missing.join(", "))
}
