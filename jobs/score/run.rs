//! One evaluation of a scorecard from its beginning to its record.

use std::sync::Arc;

use engine::{Error, Kind, Result, Scope, Store};

use super::book::{Book, Counted, Run};
use super::definition::Scorecard;
use super::evaluate::{Which, evaluate};

/// Evaluates a scorecard now and writes what changed: all of it, or, as it gives the same rows, what is new since the last
/// time. Where a SELECT fails nothing changes but the record of it. Answers the tick and what changed.
pub async fn run(store: &Store, scope: &Scope, card: &Scorecard, is_full: bool) -> Result<(i64, Counted)> {
    let book = Book::new(Arc::clone(store.state()));
    let tick = store.clock().now_us();
    // Before anything is read: what becomes visible in between is looked at once more.
    let seq = i64::try_from(store.status().next_seq).unwrap_or(i64::MAX);
    let stored = book.stored(&card.name).await?;
    if let Some(last) = stored.last_tick.filter(|last| *last >= tick) {
        let what = format!(
            "the scorecard {} was evaluated at {}, which is not before now: the clock was set back",
            card.name,
            engine::clock::rfc3339(last)
        );
        return Err(Error::new(Kind::Conflict, what));
    }
    let which = if is_full { Which::All } else { Which::Changed(&stored) };
    let evaluated = evaluate(store, scope, card, tick, which).await;
    let ended_us = store.clock().now_us();
    let run = |error| Run { tick, error, seq, began_us: tick, ended_us };
    match evaluated {
        Ok(evaluated) => {
            let counted = book.commit(card, &stored, &evaluated, &run(None)).await?;
            Ok((tick, counted))
        }
        Err(error) => {
            book.failed(card, &run(Some(error.to_string()))).await?;
            Err(error)
        }
    }
}
