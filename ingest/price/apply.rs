//! A list against what is known of it: asked, compared, and written in one frame, so that no question sees half of it.

use std::collections::HashMap;

use engine::arrow::array::RecordBatch;
use engine::datafusion::physical_plan::common::collect;
use engine::sql::session::from_datafusion;
use engine::{Frame, Limits, Question, Result, Rows, Scope, Store};
use ledger::FX_RATE;
use ledger::exchange::FxRate;
use ledger::price::{Change, Dated, MODEL_PRICE, ModelPrice, RESOURCE_PRICE, ResourcePrice, change};

use super::PriceList;
use crate::Summary;

/// Two imports at the same time would both compare with what was there before either.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A list on its way into the store.
pub struct Applying<'a> {
    pub store: &'a Store,
    /// Whose prices they are.
    pub tenant: &'a str,
    /// The list's name.
    pub name: &'a str,
    /// The file.
    pub source: String,
    /// When they begin to hold.
    pub valid_from: Option<i64>,
}

impl Applying<'_> {
    /// Writes what the list changes.
    pub async fn apply(self, list: PriceList) -> Result<Summary> {
        let _turn = ONE_AT_A_TIME.lock().await;
        let mut frame = Frame::new(self.source.clone());
        let mut summary = Summary { files: 1, notes: list.notes, ..Summary::default() };
        if !list.models.is_empty() {
            let known = self.known(MODEL_PRICE.name, ModelPrice::read).await?;
            let change = change(&known, list.models, self.at(known.is_empty()))?;
            let mut rows = Rows::new(&MODEL_PRICE);
            change.rows.iter().try_for_each(|price| price.write(self.tenant, &mut rows))?;
            frame.push_rows(&mut rows);
            told(&change, "models", &mut summary);
        }
        if !list.resources.is_empty() {
            let known = self.known(RESOURCE_PRICE.name, ResourcePrice::read).await?;
            let change = change(&known, list.resources, self.at(known.is_empty()))?;
            let mut rows = Rows::new(&RESOURCE_PRICE);
            change.rows.iter().try_for_each(|price| price.write(self.tenant, &mut rows))?;
            frame.push_rows(&mut rows);
            told(&change, "resources", &mut summary);
        }
        if !list.rates.is_empty() {
            self.rates(list.rates, &mut frame, &mut summary).await?;
        }
        if frame.rows() == 0 {
            summary.repeated = 1;
        } else {
            self.store.append(frame).await?;
        }
        Ok(summary)
    }

    /// A rate holds from its own day on; a day that says something else than before says it in the old one's place.
    async fn rates(&self, rates: Vec<FxRate>, frame: &mut Frame, summary: &mut Summary) -> Result<()> {
        let known = ledger::exchange::known(self.store, self.tenant, Some(self.name)).await?;
        let before: HashMap<(&str, &str, i64), i128> =
            known.iter().map(|r| ((r.from.as_str(), r.to.as_str(), r.valid_from), r.rate)).collect();
        let (mut rows, mut added, mut changed, mut unchanged) = (Rows::new(&FX_RATE), 0u64, 0u64, 0u64);
        for rate in &rates {
            match before.get(&(rate.from.as_str(), rate.to.as_str(), rate.valid_from)) {
                Some(old) if *old == rate.rate => {
                    unchanged += 1;
                    continue;
                }
                Some(_) => changed += 1,
                None => added += 1,
            }
            rate.write(self.tenant, &mut rows)?;
        }
        frame.push_rows(&mut rows);
        summary.accepted += added + changed;
        summary.notes.push(format!("{added} rates of exchange added, {changed} changed, {unchanged} unchanged"));
        Ok(())
    }

    /// When the imported prices begin to hold: a first list's always did, as far as anybody knows.
    fn at(&self, is_first: bool) -> i64 {
        let otherwise = || if is_first { 0 } else { self.store.clock().now_us() };
        self.valid_from.unwrap_or_else(otherwise)
    }

    async fn known<T>(&self, table: &str, read: fn(&RecordBatch) -> Result<Vec<T>>) -> Result<Vec<T>> {
        let scope = Scope::tenant(self.tenant, "price import");
        let sql = format!("SELECT * FROM {table} WHERE price_list = $1");
        let question = Question { sql, params: vec![self.name.to_owned()] };
        let answer = self.store.query(&scope, question, Limits::default()).await?;
        let mut known = Vec::new();
        for batch in collect(answer.stream).await.map_err(from_datafusion)? {
            known.extend(read(&batch)?);
        }
        Ok(known)
    }
}

fn told<T: Dated>(change: &Change<T>, what: &str, summary: &mut Summary) {
    summary.accepted += change.rows.len() as u64;
    let Change { opened, closed, unchanged, absent, .. } = change;
    summary.notes.push(format!("{opened} prices opened, {closed} closed, {unchanged} unchanged"));
    if *absent > 0 {
        summary.notes.push(format!("{absent} {what} are no longer in the list; their prices stay"));
    }
}
