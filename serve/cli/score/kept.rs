//! The scorecards of a server: evaluated as often as each says, by whoever looks first.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::{Error, Result, Scope};
use jobs::schedule::{Sweep, Sweeps};
use jobs::score::{self, Book, Scorecard};

use crate::house::House;

/// How often it is looked which scorecards are due.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Evaluates the scorecards of a folder as often as each says, from now on. One with a fault ends the start: a server that
/// silently scores nothing is worse than none.
pub async fn keep(house: &Arc<House>, folder: Option<&Path>) -> Result<Option<Sweeps>> {
    let Some(folder) = folder else { return Ok(None) };
    let mut cards = Vec::new();
    for (path, text) in score::read_all(&[folder.to_owned()])? {
        let refuse = |faults: Vec<String>| Error::invalid(format!("{}: {}", path.display(), faults.join("; ")));
        cards.push(Scorecard::parse(&text).map_err(refuse)?);
    }
    let (house, cards) = (Arc::clone(house), Arc::new(cards));
    let look = move || {
        let (house, cards) = (Arc::clone(&house), Arc::clone(&cards));
        async move { evaluate_due(&house, &cards).await }
    };
    Sweeps::run(vec![Sweep::new("scorecards", LOOK_EVERY, look)]).await.map(Some)
}

async fn evaluate_due(house: &House, cards: &[Scorecard]) -> Result<()> {
    let (book, scope) = (Book::new(Arc::clone(house.store.state())), Scope::platform("scorecards"));
    for card in cards {
        let every = i64::try_from(card.every.as_micros()).unwrap_or(i64::MAX);
        let (version, last) = book.last(&card.name).await?;
        let due = last.is_none_or(|last| house.store.clock().now_us().saturating_sub(last) >= every);
        if !due && version.as_deref() == Some(card.version.as_str()) {
            continue;
        }
        // One that cannot be evaluated keeps no other from it; its run says why.
        if let Err(error) = score::run(&house.store, &scope, card, false).await {
            tracing::warn!(scorecard = card.name, %error, "a scorecard was not evaluated");
        }
    }
    Ok(())
}
