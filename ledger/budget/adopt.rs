//! Nodes come and go. One that starts takes over what an earlier start of its data directory left, and anybody takes
//! over from a node whose lease ended: open reservations go on under the new node, the rest of the slices goes back to
//! the budget. A node that lives on after that finds its row gone, and nothing that it writes counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::state::{Row, Transaction};
use engine::{Result, Value};

use super::node::{Budgets, Identity};
use super::rows;

/// Reservations that one take-over reads at once.
const RESERVATIONS_MAX: usize = 1_000_000;

const ENTER: &str = "INSERT INTO budget_node (node, home, started_at, expires_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (node) DO UPDATE SET expires_at = excluded.expires_at";
const LEFT_BEHIND: &str =
    "SELECT node FROM budget_node WHERE node <> $1 AND (home = $2 OR expires_at <= $3) ORDER BY node";
const TAKE_OVER: &str = "DELETE FROM budget_node WHERE node = $1 AND (home = $2 OR expires_at <= $3) RETURNING node";
const ADOPT: &str = "UPDATE budget_reservation SET node = $1 WHERE node = $2 AND state = 'open'
    RETURNING tenant, request_id, amounts, legs, reserved_at, expires_at";
const SLICES: &str = "SELECT budget_id, starts_at, granted_units FROM budget_slice WHERE node = $1";
const GO_BACK: &str =
    "UPDATE budget_window SET granted_units = granted_units - $1 WHERE budget_id = $2 AND starts_at = $3";
const KEEP: &str = "INSERT INTO budget_slice (budget_id, starts_at, node, granted_units) VALUES ($1, $2, $3, $4)
    ON CONFLICT (budget_id, starts_at, node) DO UPDATE SET granted_units = budget_slice.granted_units + excluded.granted_units";

impl Budgets {
    /// Makes this process a node, and takes over what its data directory's last start, and dead nodes, left behind.
    pub(super) async fn join(&self, identity: &mut Identity) -> Result<()> {
        let name: Arc<str> = format!("{}.{}", self.options.node, identity.starts).into();
        let now_us = self.clock.now_us();
        let until_us = now_us + self.lease_us();
        let home = self.options.home.as_str();
        let mut transaction = self.state.transaction().await?;
        let values = [name.as_ref().into(), home.into(), Value::Time(now_us), Value::Time(until_us)];
        transaction.execute(ENTER, &values).await?;
        let adopted = self.take_over(&mut transaction, &name, home, now_us).await?;
        transaction.commit().await?;
        identity.starts += 1;
        identity.node = Some(Arc::clone(&name));
        self.lease_held_until(until_us);
        self.keep_adopted(&adopted)?;
        if !adopted.is_empty() {
            tracing::info!(node = %name, reservations = adopted.len(), "open reservations were taken over");
        }
        Ok(())
    }

    /// Takes over from nodes whose lease ended.
    pub(super) async fn take_over_dead(&self) -> Result<()> {
        let identity = self.identity.lock().await;
        let Some(name) = identity.node.clone() else { return Ok(()) };
        let now_us = self.clock.now_us();
        // Its own other starts were taken over when it joined.
        let dead = self.state.fetch(LEFT_BEHIND, &[name.as_ref().into(), "".into(), Value::Time(now_us)]).await?;
        if dead.is_empty() {
            return Ok(());
        }
        let mut transaction = self.state.transaction().await?;
        // The row is locked as every batch locks it first; a node that was itself given up takes over nothing.
        let renew = "UPDATE budget_node SET expires_at = expires_at WHERE node = $1 RETURNING node";
        if transaction.fetch(renew, &[name.as_ref().into()]).await?.is_empty() {
            return Ok(());
        }
        let adopted = self.take_over(&mut transaction, &name, "", now_us).await?;
        transaction.commit().await?;
        self.keep_adopted(&adopted)?;
        self.book().queue.read_slices = true;
        Ok(())
    }

    async fn take_over(&self, transaction: &mut Transaction, me: &str, home: &str, now_us: i64) -> Result<Vec<Row>> {
        let who = [me.into(), home.into(), Value::Time(now_us)];
        let mut adopted = Vec::new();
        for row in transaction.fetch(LEFT_BEHIND, &who).await? {
            let dead: String = row.get("node")?;
            // It may have renewed its lease since, or somebody else was faster.
            let gone = [dead.as_str().into(), home.into(), Value::Time(now_us)];
            if transaction.fetch(TAKE_OVER, &gone).await?.is_empty() {
                continue;
            }
            let rows = transaction.fetch(ADOPT, &[me.into(), dead.as_str().into()]).await?;
            let mut keeps = self.kept(&rows)?;
            let slices = transaction.fetch(SLICES, &[dead.as_str().into()]).await?;
            let slices = slices.iter().map(|row| {
                Ok(((row.get::<String>("budget_id")?, row.get::<i64>("starts_at")?), row.get::<i64>("granted_units")?))
            });
            // In the order in which everybody locks them: a database may sort texts otherwise.
            for (at, granted) in slices.collect::<Result<BTreeMap<_, _>>>()? {
                let back = granted - keeps.get(&at).copied().unwrap_or(0);
                transaction.execute(GO_BACK, &[back.into(), at.0.as_str().into(), Value::Time(at.1)]).await?;
            }
            transaction.execute("DELETE FROM budget_slice WHERE node = $1", &[dead.as_str().into()]).await?;
            transaction.execute("DELETE FROM budget_notice WHERE node = $1", &[dead.as_str().into()]).await?;
            keeps.retain(|_, units| *units > 0);
            for ((id, starts_us), units) in keeps {
                let keep = [id.as_str().into(), Value::Time(starts_us), me.into(), units.into()];
                transaction.execute(KEEP, &keep).await?;
            }
            adopted.extend(rows);
            if adopted.len() > RESERVATIONS_MAX {
                let kind = engine::Kind::Limit;
                return Err(engine::Error::new(
                    kind,
                    format!("more than {RESERVATIONS_MAX} reservations were left open"),
                ));
            }
        }
        Ok(adopted)
    }

    /// What the reservations hold of each window.
    fn kept(&self, reservations: &[Row]) -> Result<BTreeMap<(String, i64), i64>> {
        let mut book = self.book();
        let mut kept = BTreeMap::new();
        for row in reservations {
            let held = rows::held(row, &mut |id| book.number(id))?;
            for leg in held.legs.iter().filter(|leg| leg.held) {
                let id = book.ids[leg.number as usize].to_string();
                *kept.entry((id, leg.starts_us)).or_default() += leg.units;
            }
        }
        Ok(kept)
    }

    /// Puts adopted reservations, and the slices that hold them, into memory.
    fn keep_adopted(&self, adopted: &[Row]) -> Result<()> {
        let mut book = self.book();
        for row in adopted {
            let held = rows::held(row, &mut |id| book.number(id))?;
            // Its caller may have come here with it already: what waits to be written gives way to what is written.
            book.let_go(&held.key);
            for leg in held.legs.iter().filter(|leg| leg.held) {
                let account = book.accounts.entry(leg.slot()).or_default();
                account.granted += leg.units;
                account.open += leg.units;
                account.ends_us = leg.ends_us;
            }
            book.keep(Arc::new(held));
        }
        Ok(())
    }

    /// Ends this node. Its open reservations wait for whoever adopts them.
    pub(super) async fn leave(&self, node: Option<Arc<str>>) -> Result<()> {
        let Some(node) = node else { return Ok(()) };
        let open = !self.book().open.is_empty();
        let sql = match open {
            true => "UPDATE budget_node SET expires_at = 0 WHERE node = $1",
            false => "DELETE FROM budget_node WHERE node = $1",
        };
        if !open {
            let empty = "DELETE FROM budget_slice WHERE node = $1 AND granted_units = 0";
            self.state.execute(empty, &[node.as_ref().into()]).await?;
        }
        self.state.execute(sql, &[node.as_ref().into()]).await.map(|_| ())
    }
}
