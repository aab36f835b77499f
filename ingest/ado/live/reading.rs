//! One listing: its pages become rows, what it no longer lists is swept, and what the credential may not see is noted.

use engine::reject::Reject;
use engine::{Result, Table};
use serde_json::Value;

use super::super::client::{Ask, Pages, Paging, Refused};
use super::super::origin::{Origin, Told};
use super::book::{Known, Listed};
use super::cursor::Cursor;
use super::{Count, Pass, Project};
use crate::json::Reason;

/// How resources become rows.
pub type Write<'w> = &'w (dyn Fn(&Origin, &Value, &mut Told) -> Result<(), Reason> + Sync);
/// Whether what is known lies where a listing looked.
pub type Within<'w> = &'w (dyn Fn(&Known) -> bool + Sync);

/// A list to be read.
pub struct Listing<'w> {
    pub stream: &'static str,
    pub project: Option<&'w Project>,
    pub ask: Ask,
    pub paging: Paging,
    /// Member of the answer with the items.
    pub member: &'static str,
    /// Tables whose rows end where the list no longer has them.
    pub sweep: &'w [(&'static Table, Within<'w>)],
}

impl Pass<'_> {
    /// Reads a list to its end. `None` where the credential may not read it or it is not there: nothing is swept then.
    pub async fn list(&self, listing: Listing<'_>, write: Write<'_>) -> Result<Option<Vec<Value>>> {
        let (mut items, mut listed, mut count) = (Vec::new(), Listed::new(), Count::default());
        let mut pages = Pages::new(listing.ask, listing.paging);
        let mut first_us = None;
        loop {
            let answer = match pages.next(self.client, listing.member).await {
                Ok(Some(answer)) => answer,
                Ok(None) => break,
                Err(refused) => {
                    self.tolerate(listing.stream, refused)?;
                    return Ok(None);
                }
            };
            let asked_us = *first_us.get_or_insert(answer.asked_us);
            let page = answer.items(listing.member).to_vec();
            let (keys, changed) = self.write(listing.stream, listing.project, &page, asked_us, None, write).await?;
            keys.into_iter().for_each(|(table, keys)| listed.entry(table).or_default().extend(keys));
            count.read += page.len() as u64;
            count.changed += changed;
            items.extend(page);
        }
        for (table, within) in listing.sweep {
            count.gone += self.book.sweep(table, &listed, first_us.unwrap_or(0), *within).await?;
        }
        self.count(listing.stream, listing.project, count);
        Ok(Some(items))
    }

    /// Makes rows of resources, with the cursor that they stand for. One that is nonsense never holds up its neighbours.
    pub async fn write(
        &self,
        stream: &str,
        project: Option<&Project>,
        items: &[Value],
        asked_us: i64,
        cursor: Option<&Cursor>,
        write: Write<'_>,
    ) -> Result<(Listed, u64)> {
        let origin = self.origin(project, asked_us);
        let (mut told, mut rejects) = (Told::default(), Vec::new());
        for item in items {
            if let Err(reason) = write(&origin, item, &mut told) {
                told.abandon();
                let (reason, body) = (format!("{stream}: {reason}"), item.to_string().into_bytes());
                rejects.push(Reject { kind: "ado", reason, place: Some(format!("rest:{stream}")), body });
            }
        }
        if !rejects.is_empty() {
            self.rejected(rejects.len() as u64);
            self.book.refuse(rejects).await?;
        }
        self.book.keep(told, cursor, asked_us).await
    }

    /// A stream that the credential may not read, or that the organization does not have, is noted and left out.
    pub fn tolerate(&self, stream: &str, refused: Refused) -> Result<()> {
        match refused {
            Refused::Forbidden { .. } | Refused::Gone { .. } | Refused::Invalid { .. } => {
                self.note(format!("{stream} left out: {refused}"));
                Ok(())
            }
            Refused::SignIn { .. } | Refused::Unwell { .. } | Refused::Broken { .. } => Err(refused.into()),
        }
    }

    /// One resource; `None` if it is not there.
    pub async fn one(&self, ask: &Ask) -> Result<Option<(Value, i64)>> {
        match self.client.ask(ask).await {
            Ok(answer) if answer.body.is_null() => Ok(None),
            Ok(answer) => Ok(Some((answer.body, answer.asked_us))),
            Err(Refused::Gone { .. }) => Ok(None),
            Err(refused) => Err(refused.into()),
        }
    }
}
