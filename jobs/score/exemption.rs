//! Exemptions: a check that somebody need not pass for so many days, because somebody else says so. They end by the clock.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::state::Row;
use engine::{Error, Kind, Result, State as Database, Value};

use super::Key;

/// An exemption is for a year at most; what lasts longer is a filter.
const DAYS_MAX: i64 = 366;
const DAY_US: i64 = 86_400_000_000;

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The scorecard.
    pub scorecard: String,
    /// The check.
    pub check: String,
    /// Who need not pass.
    pub key: Key,
    /// Why.
    pub reason: String,
    /// Who asks.
    pub requester: String,
    /// For so many days from the decision on.
    pub days: i64,
}

/// An exemption as it stands in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption {
    /// Its id.
    pub id: String,
    /// Who asked.
    pub requester: String,
    /// For so many days from the decision on.
    pub days: i64,
    /// Whether somebody decided, and how.
    pub decision: Option<String>,
    /// When it was ended before its time.
    pub revoked_us: Option<i64>,
}

/// The exemptions, over the state database.
#[derive(Debug, Clone)]
pub struct Exemptions {
    state: Arc<Database>,
}

impl Exemptions {
    /// The exemptions in `state`.
    pub fn new(state: Arc<Database>) -> Self {
        Exemptions { state }
    }

    /// Asks for an exemption; answers its id. It holds nothing until somebody else approves it.
    pub async fn request(&self, wish: &Request, now_us: i64) -> Result<String> {
        let id = uuid::Uuid::now_v7().to_string();
        self.ask(&id, wish, now_us).await.map(|()| id)
    }

    /// The same under an id that is known. One of it that was denied is asked for anew; any other stays as it is.
    pub async fn ask(&self, id: &str, wish: &Request, now_us: i64) -> Result<()> {
        self.check(wish).await?;
        let values = [
            id.into(),
            wish.scorecard.as_str().into(),
            wish.key.0.as_str().into(),
            wish.key.1.as_str().into(),
            wish.check.as_str().into(),
            self.state.redactor().redact(wish.reason.trim()).into_owned().into(),
            wish.requester.trim().into(),
            Value::Time(now_us),
            Value::Int(wish.days),
        ];
        let sql = "INSERT INTO score_exemption (id, scorecard, tenant, entity, check_id, reason, requester, requested_at, days) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET decision = NULL, approver = NULL, \
                   decided_at = NULL, requested_at = excluded.requested_at WHERE score_exemption.decision = 'denied'";
        self.state.execute(sql, &values).await.map(|_| ())
    }

    /// What is wrong with a wish: nobody may be asked about it then.
    pub async fn check(&self, wish: &Request) -> Result<()> {
        named(&wish.requester, "who asks")?;
        if wish.reason.trim().is_empty() {
            return Err(Error::invalid("an exemption needs a reason: --reason TEXT"));
        }
        if !(1..=DAYS_MAX).contains(&wish.days) {
            let what = format!(
                "an exemption is for 1 to {DAYS_MAX} days, not {}; for good it is a `filter` of the check",
                wish.days
            );
            return Err(Error::invalid(what));
        }
        let of = [
            wish.scorecard.as_str().into(),
            wish.key.0.as_str().into(),
            wish.key.1.as_str().into(),
            wish.check.as_str().into(),
        ];
        let sql =
            "SELECT result FROM score_result WHERE scorecard = $1 AND tenant = $2 AND entity = $3 AND check_id = $4";
        if self.state.fetch(sql, &of).await?.is_empty() {
            let what = format!(
                "no check {} of {} is about {} of {}; `stellwerk score explain` lists them",
                wish.check, wish.scorecard, wish.key.1, wish.key.0
            );
            return Err(Error::new(Kind::NotFound, what));
        }
        Ok(())
    }

    /// Approves or denies one that waits; whoever asked may not. An approved one holds from now on for its days.
    pub async fn decide(&self, id: &str, is_approved: bool, approver: &str, now_us: i64) -> Result<Exemption> {
        let approver = named(approver, "who decides")?;
        let asked = self.one(id).await?;
        if asked.requester.eq_ignore_ascii_case(approver) {
            return Err(Error::new(Kind::Denied, format!("{approver} asked for it; somebody else decides")));
        }
        let people = "SELECT id FROM job WHERE id = $1";
        if !self.state.fetch(people, &[id.into()]).await?.is_empty() {
            let what =
                format!("people vote on the exemption {id}, and nobody decides for them: `stellwerk approval list`");
            return Err(Error::new(Kind::Denied, what));
        }
        match self.settle(id, is_approved, approver, now_us).await? {
            false => Err(Error::new(Kind::Conflict, format!("the exemption {id} waits for no decision any more"))),
            true => self.one(id).await,
        }
    }

    /// Writes what was decided; false where it waits for no decision any more.
    pub async fn settle(&self, id: &str, is_approved: bool, approver: &str, now_us: i64) -> Result<bool> {
        let expires = now_us.saturating_add(self.one(id).await?.days.saturating_mul(DAY_US));
        let values = [
            id.into(),
            if is_approved { "approved" } else { "denied" }.into(),
            approver.into(),
            Value::Time(now_us),
            if is_approved { Value::Time(expires) } else { Value::Null },
        ];
        let sql = "UPDATE score_exemption SET decision = $2, approver = $3, decided_at = $4, expires_at = $5 \
                   WHERE id = $1 AND decision IS NULL AND revoked_at IS NULL";
        Ok(self.state.execute(sql, &values).await? == 1)
    }

    /// Ends one before its time, or takes a request back.
    pub async fn revoke(&self, id: &str, by: &str, now_us: i64) -> Result<Exemption> {
        let by = named(by, "who revokes")?;
        self.one(id).await?;
        let values = [id.into(), by.into(), Value::Time(now_us)];
        let sql = "UPDATE score_exemption SET revoked_by = $2, revoked_at = $3 WHERE id = $1 AND revoked_at IS NULL";
        match self.state.execute(sql, &values).await? {
            0 => Err(Error::new(Kind::Conflict, format!("the exemption {id} was revoked before"))),
            _ => self.one(id).await,
        }
    }

    /// Entities and checks of a scorecard that are exempt at an instant.
    pub(super) async fn holding(&self, scorecard: &str, at_us: i64) -> Result<BTreeSet<(Key, String)>> {
        let sql = "SELECT tenant, entity, check_id FROM score_exemption WHERE scorecard = $1 AND decision = 'approved' \
                   AND expires_at > $2 AND revoked_at IS NULL";
        let rows = self.state.fetch(sql, &[scorecard.into(), Value::Time(at_us)]).await?;
        rows.iter().map(|row| Ok(((row.get("tenant")?, row.get("entity")?), row.get("check_id")?))).collect()
    }

    async fn one(&self, id: &str) -> Result<Exemption> {
        let sql = "SELECT id, requester, days, decision, revoked_at FROM score_exemption WHERE id = $1";
        let rows = self.state.fetch(sql, &[id.into()]).await?;
        let missing =
            || Error::new(Kind::NotFound, format!("there is no exemption {id}; `stellwerk score exempt list`"));
        rows.first().ok_or_else(missing).and_then(of)
    }
}

fn of(row: &Row) -> Result<Exemption> {
    Ok(Exemption {
        id: row.get("id")?,
        requester: row.get("requester")?,
        days: row.get("days")?,
        decision: row.get("decision")?,
        revoked_us: row.get("revoked_at")?,
    })
}

fn named<'a>(name: &'a str, what: &str) -> Result<&'a str> {
    match name.trim() {
        "" => Err(Error::invalid(format!("an exemption needs a name of {what}: --by NAME"))),
        name => Ok(name),
    }
}
