//! The run of an erasure: rows first, then what was derived from them, then the state database, then the search.

use engine::{Error, Kind, Needles, Order, Result};

use super::book::Kept;
use super::{ErasureEntry, Erasures, NOT_MASKED, Proof, tenants_of};
use crate::audit::{export, retire};
use crate::principal::Caller;

/// Rows that name the subject may arrive while it is erased: so many times it is looked for them again.
const PASSES_MAX: usize = 3;
/// Files of SQLite, which are searched once they are written anew.
const STATE_FILES: &[&str] = &["state.db", "state.db-wal", "state.db-shm"];

impl Erasures {
    /// Runs an approved erasure, or one that was cut off. Where something is left at the end, it stays open and says what.
    pub async fn run(&self, id: &str, caller: &Caller) -> Result<ErasureEntry> {
        let running = || Error::new(Kind::Conflict, "an erasure is running already; one runs at a time");
        let _turn = self.turn.try_lock().map_err(|_| running())?;
        let kept = self.kept(id).await?;
        if kept.entry.state == "done" {
            return Ok(kept.entry);
        }
        let Some(values) = &kept.values else {
            let why = format!("the erasure {id} is {}: only an approved one is run", kept.entry.state);
            return Err(Error::new(Kind::Conflict, why));
        };
        let tenant = kept.entry.tenant.clone();
        let order = Order { tenant, needles: Needles::new(values)?, also: Vec::new(), tables: Vec::new() };
        let found = self.store.look(order.clone()).await?;
        if let Some(held) = self.held(&order, &found).await?.first() {
            let why = format!(
                "the hold {} keeps {} rows of the erasure {id}: `stellwerk hold release {}` lets them go",
                held.hold, held.rows, held.hold
            );
            return Err(Error::new(Kind::Conflict, why));
        }
        self.begin(&kept, caller).await?;
        self.derived.pause().await?;
        let done = self.erase(&kept, &order, caller).await;
        let renewed = self.derived.renew().await;
        let mut proof = done?;
        renewed?;
        self.prove(&order, &mut proof).await?;
        self.end(&kept, &proof, caller).await?;
        // The sealed values and the salt have gone just now; this takes them out of the file, too.
        self.store.state().write_anew(&["erasure"]).await?;
        let mut entry = self.show(id).await?;
        entry.salt = kept.salt.filter(|_| proof.holds());
        Ok(entry)
    }

    async fn erase(&self, kept: &Kept, order: &Order, caller: &Caller) -> Result<Proof> {
        let mut proof = Proof::default();
        for _ in 0..PASSES_MAX {
            let found = self.store.look(order.clone()).await?;
            // Before its rows go: afterwards nobody knows what was derived from them.
            let also = self.derived.behind(order, &found).await?;
            if found.tables.is_empty() && also.is_empty() {
                break;
            }
            let order = Order { also, ..order.clone() };
            let found = self.store.look(order.clone()).await?;
            if found.tables.is_empty() {
                break;
            }
            self.tell(kept, &found.tables, caller).await?;
            proof.tables.extend(self.store.erase(order).await?);
        }
        // What crashes left, and versions of tables in which nothing was found.
        self.store.clean_all().await?;
        let (state, tenant) = (self.store.state(), order.tenant.as_deref());
        let names = self.audit.names_with(&order.needles, tenant).await?;
        for name in &names {
            proof.audit_places += self.audit.erase(name, tenant, caller).await?;
        }
        proof.audit_names = names.len() as u64;
        let log = export::log_name(state).await?;
        let thinned = retire::thin(state, &log, &order.needles, tenant, &self.store.settings().store_options).await?;
        proof.audit_names += thinned.names;
        proof.remaining.extend(thinned.remaining);
        let id = &kept.entry.id;
        let mask = |n: usize| format!("[erased {id}.{n}]");
        let masks = |table: &str| !NOT_MASKED.contains(&table);
        let tenants = tenant.map(tenants_of);
        let tenants = tenants.as_ref().map(|all| &all[..]);
        proof.state = state.mask_values(&order.needles, &masks, tenants, &mask).await?;
        Ok(proof)
    }

    /// Looks for what is left: through the reader, which sees into compressed pages, and in every file as bytes.
    async fn prove(&self, order: &Order, proof: &mut Proof) -> Result<()> {
        let state = self.store.state();
        let mut tables: Vec<&str> = proof.state.iter().map(|cells| cells.table.as_str()).collect();
        tables.extend(["audit", "audit_salt", "erasure"]);
        tables.sort_unstable();
        tables.dedup();
        state.write_anew(&tables).await?;
        let left = self.store.look(order.clone()).await?;
        proof.remaining_rows = left.places.len() + left.dead_rows;
        proof.elsewhere_rows = left.elsewhere_rows;
        let seen = self.state_seen(order).await?;
        proof.state_elsewhere = seen.elsewhere;
        for cells in seen.own {
            proof.remaining.push(format!("{}.{}: {} cells", cells.table, cells.column, cells.cells));
        }
        let leaves = self.audit.leaves_with(&order.needles, order.tenant.as_deref()).await?;
        if let Some(first) = leaves.first() {
            let count = leaves.len();
            proof.remaining.push(format!(
                "{count} rows of the audit log hold a value in a text of their leaf, the first is {first}"
            ));
        }
        self.store.part_log().await?;
        // Where a leaf holds the value, the database's file does, too: that is said already.
        let but = if leaves.is_empty() { &[][..] } else { STATE_FILES };
        proof.scanned = self.store.scan_files(&order.needles, but).await?;
        if proof.scanned.holding_count > 0 {
            // Frames and versions that came in between are on their way out.
            self.store.part_log().await?;
            proof.scanned = self.store.scan_files(&order.needles, but).await?;
        }
        Ok(())
    }
}
