//! Search as the source of an answer's passages.

use async_trait::async_trait;
use engine::{Result, Scope};

use super::retriever::{Passage, Retrieved, Retriever, Wish};
use crate::search::room::SearchRoom;
use crate::search::{Filters, Found, Moment, SearchHit, SearchWish};

#[async_trait]
impl Retriever for SearchRoom {
    async fn retrieve(&self, scope: &Scope, wish: &Wish) -> Result<Retrieved> {
        let searcher = self.ready().await?;
        let of = |source: Option<&String>| SearchWish {
            query: wish.question.clone(),
            k: wish.k,
            language: wish.language.clone(),
            filters: Filters { source: source.cloned(), ..Filters::default() },
            as_of: wish.as_of.clone().map(|word| word.parse().map_or(Moment::Time(word), Moment::Seq)),
            explain: true,
            ..SearchWish::default()
        };
        let mut found = Vec::new();
        if wish.sources.is_empty() {
            found.push(searcher.search(scope, &of(None)).await?);
        }
        for source in &wish.sources {
            found.push(searcher.search(scope, &of(Some(source))).await?);
        }
        Ok(together(found, wish.k))
    }
}

/// The hits of several sources as one list: the best of each, then the second of each. Scores of two answers are not
/// comparable.
fn together(found: Vec<Found>, k: usize) -> Retrieved {
    let covered_seq = found.iter().map(|found| found.covered_seq).min();
    let model = found.iter().find_map(|found| found.model.clone());
    let mut lists: Vec<_> = found.into_iter().map(|found| found.hits.into_iter()).collect();
    let mut passages = Vec::new();
    while passages.len() < k {
        let before = passages.len();
        passages.extend(lists.iter_mut().filter_map(Iterator::next).map(passage));
        if passages.len() == before {
            break;
        }
    }
    passages.truncate(k);
    Retrieved { passages, covered_seq, model }
}

fn passage(hit: SearchHit) -> Passage {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    // A language of programs is none that an answer is given in.
    let language = hit.language.filter(|code| code.len() == 2);
    Passage {
        document: hit.document,
        version: hit.version.unwrap_or(1),
        tenant: hit.tenant,
        uri: hit.uri,
        title: hit.title,
        heading: hit.heading,
        start: place(hit.start),
        end: place(hit.end),
        text: hit.text,
        language,
        score: hit.score,
        similarity: hit.explain.and_then(|explain| explain.vector).map(|leg| leg.score),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_take_turns() {
        let hit = |document: &str| SearchHit {
            tenant: "default".to_owned(),
            document: document.to_owned(),
            source: "document".to_owned(),
            version: None,
            uri: None,
            path: String::new(),
            title: String::new(),
            heading: String::new(),
            start: 3,
            end: 7,
            text: "text".to_owned(),
            language: Some("rust".to_owned()),
            kind: "code".to_owned(),
            ordinal: 0,
            seq: 1,
            score: 0.5,
            parts: Vec::new(),
            explain: None,
        };
        let found = |names: &[&str], seq| Found {
            hits: names.iter().map(|name| hit(name)).collect(),
            covered_seq: seq,
            ..Found::default()
        };
        let retrieved = together(vec![found(&["a1", "a2", "a3"], 9), found(&["b1"], 7), found(&[], 8)], 3);
        let names: Vec<&str> = retrieved.passages.iter().map(|passage| passage.document.as_str()).collect();
        assert_eq!((names, retrieved.covered_seq), (vec!["a1", "b1", "a2"], Some(7)));
        assert_eq!((retrieved.passages[0].version, retrieved.passages[0].language.clone()), (1, None));
        assert_eq!(together(Vec::new(), 3).passages, []);
    }
}
