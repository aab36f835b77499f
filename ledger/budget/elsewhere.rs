//! Requests that this node does not have in memory: reserved by another node, before a restart, or settled long ago. Each
//! is its own transaction.

use std::sync::Arc;

use engine::{Error, Kind, Result, Value};

use super::book::{Leg, spent};
use super::commit::{add_to_days, add_to_windows};
use super::node::Budgets;
use super::request::{Allowed, Key, Request, Settled, State};
use super::rows;
use super::unit::Amounts;

const FIND: &str = "SELECT tenant, request_id, node, state, amounts, posted, legs, reserved_at, expires_at
    FROM budget_reservation WHERE tenant = $1 AND request_id = $2";
const END: &str = "UPDATE budget_reservation SET state = $1, posted = $2, settled_at = $3
    WHERE tenant = $4 AND request_id = $5 AND state = $6 AND node = $7 RETURNING request_id";
const SHRINK: &str = "UPDATE budget_slice SET granted_units = granted_units - $1
    WHERE budget_id = $2 AND starts_at = $3 AND node = $4";
const NOTICE: &str = "INSERT INTO budget_notice (node, tenant, request_id) VALUES ($1, $2, $3)
    ON CONFLICT (node, tenant, request_id) DO NOTHING";

impl Budgets {
    /// The answer to a request that was reserved somewhere else before; `None`: it was not.
    pub(super) async fn reserved_elsewhere(&self, request: &Request) -> Result<Option<Allowed>> {
        let (tenant, id) = &request.key;
        let row = self.state.fetch(FIND, &[tenant.as_ref().into(), id.as_ref().into()]).await?.pop();
        let Some(row) = row else { return Ok(None) };
        let state: String = row.get("state")?;
        let held = rows::held(&row, &mut |id| self.book().number(id))?;
        if held.amounts != request.amounts {
            return Err(Error::new(Kind::Conflict, format!("request {id} was reserved with other amounts")));
        }
        if state == State::Voided.as_str() {
            return Err(Error::new(Kind::Conflict, format!("request {id} was voided; a new one needs a new id")));
        }
        let book = self.book();
        let named = |leg: &Leg| {
            let (tenant, name) = rows::names(&book.ids[leg.number as usize]);
            (Arc::from(tenant), Arc::from(name))
        };
        let budgets = held.legs.iter().map(named).collect();
        Ok(Some(Allowed { repeated: true, budgets, expires_us: held.expires_us, rooms: (None, None) }))
    }

    /// Settles what this node does not hold. `None`: it changed meanwhile; look again.
    pub(super) async fn settle_elsewhere(
        &self,
        key: &Key,
        state: State,
        posted: Option<&Amounts>,
    ) -> Result<Option<Settled>> {
        let (tenant, id) = (key.0.as_ref(), key.1.as_ref());
        let row = self.state.fetch(FIND, &[tenant.into(), id.into()]).await?.pop();
        let row = row.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no reservation of request {id}")))?;
        let was: String = row.get("state")?;
        let was = State::parse(&was).ok_or_else(|| Error::new(Kind::Corrupt, format!("a reservation is {was}")))?;
        let before = row.get::<Option<String>>("posted")?;
        match (was, state) {
            (State::Open | State::Expired, _) => {}
            (State::Posted, State::Posted) if before == posted.map(Amounts::json) => return Ok(Some(Settled::Before)),
            (State::Voided, State::Voided) => return Ok(Some(Settled::Before)),
            _ => {
                let text = format!("request {id} was {} before, and differently", was.as_str());
                return Err(Error::new(Kind::Conflict, text));
            }
        }
        self.end(&row, was, state, posted).await
    }

    async fn end(
        &self,
        row: &engine::state::Row,
        was: State,
        state: State,
        posted: Option<&Amounts>,
    ) -> Result<Option<Settled>> {
        let node: String = row.get("node")?;
        let held = rows::held(row, &mut |id| self.book().number(id))?;
        let ids = self.book().ids.clone();
        let (tenant, id) = (held.key.0.as_ref(), held.key.1.as_ref());
        let now_us = self.clock.now_us();
        let mut transaction = self.state.transaction().await?;
        let ended = [
            state.as_str().into(),
            posted.map(Amounts::json).into(),
            Value::Time(now_us),
            tenant.into(),
            id.into(),
            was.as_str().into(),
            node.as_str().into(),
        ];
        if transaction.fetch(END, &ended).await?.is_empty() {
            return Ok(None);
        }
        let mut legs: Vec<&Leg> = held.legs.iter().collect();
        legs.sort_by_key(|leg| (&ids[leg.number as usize], leg.starts_us));
        let (mut windows, mut days) = (Vec::new(), Vec::new());
        for leg in &legs {
            let budget = &ids[leg.number as usize];
            let more = spent(leg, state, posted) - spent(leg, was, None);
            let was_open = was == State::Open;
            let (owner, name) = rows::names(budget);
            let unit = leg.unit.to_string();
            windows.push(vec![
                budget.as_ref().into(),
                Value::Time(leg.starts_us),
                Value::Time(leg.ends_us),
                owner.into(),
                name.into(),
                unit.into(),
                more.into(),
                (if was_open { -leg.units } else { 0 }).into(),
                (if was_open && leg.held { -leg.units } else { 0 }).into(),
                (spent(leg, state, posted) - leg.units).max(0).into(),
                i64::from(was_open && state != State::Voided).into(),
                0i64.into(),
                Value::Time(now_us),
            ]);
            days.push(vec![budget.as_ref().into(), Value::Time(leg.day_us), more.into()]);
        }
        add_to_windows(&mut transaction, &windows).await?;
        if was == State::Open {
            for leg in legs.iter().filter(|leg| leg.held) {
                let budget = ids[leg.number as usize].as_ref();
                let shrink = [leg.units.into(), budget.into(), Value::Time(leg.starts_us), node.as_str().into()];
                transaction.execute(SHRINK, &shrink).await?;
            }
            transaction.execute(NOTICE, &[node.as_str().into(), tenant.into(), id.into()]).await?;
        }
        add_to_days(&mut transaction, &days).await?;
        transaction.commit().await?;
        Ok(Some(Settled::Now))
    }
}
