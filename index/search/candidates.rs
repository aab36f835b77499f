//! What a way of searching names, cut so that nothing depends on the order in which chunks came: equal scores stand in the
//! order of their documents, and where the cut falls among equal ones, all of these are looked at first.

use engine::Result;

use crate::text::Hit;

/// So many times more are asked for when a list ends among equal ones.
const FURTHER_TIMES: usize = 8;

/// The best `depth`, and all that are equal to the last of them. `ask` gives the best so many.
pub(super) fn with_equals(depth: usize, mut ask: impl FnMut(usize) -> Result<Vec<Hit>>) -> Result<Vec<Hit>> {
    let mut asked = depth.saturating_add(1);
    loop {
        let hits = ask(asked)?;
        let last = |at: usize| hits.get(at).map(|hit| hit.score);
        if hits.len() < asked || last(asked - 1) != last(depth - 1) {
            return Ok(hits);
        }
        asked = asked.saturating_mul(FURTHER_TIMES);
    }
}

/// Puts equal ones in the order of their places, and cuts.
pub(super) fn settle<P: Ord>(hits: &mut Vec<Hit>, depth: usize, place: impl Fn(u64) -> P) {
    hits.sort_by(|a, b| {
        let by_place = || place(a.id).cmp(&place(b.id)).then(a.id.cmp(&b.id));
        b.score.total_cmp(&a.score).then_with(by_place)
    });
    hits.truncate(depth);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_among_equals_looks_at_all_of_them() {
        // Ten better ones, three hundred equal ones, ten worse ones; the ids say nothing of the places.
        let score = |id: u64| {
            if id % 32 == 1 {
                3.0
            } else if id % 32 == 2 {
                1.0
            } else {
                2.0
            }
        };
        let mut all: Vec<Hit> = (0..320).map(|id| Hit { id, score: score(id) }).collect();
        all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
        let place = |id: u64| id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut asked = Vec::new();
        let ask = |most: usize| {
            asked.push(most);
            Ok(all[..most.min(all.len())].to_vec())
        };
        let mut hits = with_equals(20, ask).expect("asked");
        settle(&mut hits, 20, place);
        assert_eq!(asked, [21, 168, 1344]);
        let mut expected = all.clone();
        settle(&mut expected, 20, place);
        assert_eq!(hits, expected);
        // A cut between different scores asks once.
        let mut times = 0;
        let ask = |most: usize| {
            times += 1;
            Ok(all[..most].to_vec())
        };
        assert_eq!(with_equals(10, ask).expect("asked").len(), 11);
        assert_eq!(times, 1);
    }
}
