//! Chunks behind a model's words: found by them, shown without them, asked for once.

use std::sync::Arc;

use engine::{Error, Kind, Scope};

use super::ground::{Ground, ask_all, text_of};
use crate::prefix::Writer;
use crate::prefix::scripted::Scripted;
use crate::search::{Legs, PrefixWish, SearchWish, Searcher};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Two sections, neither of which names what the document is about.
const GUIDE: &str = "# Guide\n\nZeppelin handbook of Friedrichshafen.\n\n";

fn guide(more: &str) -> String {
    let filler = |word: &str| vec![word; 220].join(" ");
    format!("{GUIDE}{}\n\n## Refill\n\nOpen both valves slowly. {}\n\n{more}", filler("hull"), filler("gas"))
}

/// Says of a chunk with the word `valves` what it is about, and little of others.
fn helper() -> Arc<Scripted> {
    Scripted::saying(|prompt| {
        let chunk = prompt.split("<<<chunk").nth(1).unwrap();
        Ok(match chunk.contains("valves") {
            true => "From the quixotic airship manual: how its gas is refilled.".to_owned(),
            false => "Some other part of the manual.".to_owned(),
        })
    })
}

async fn placing(searcher: &Searcher, model: &Arc<Scripted>) {
    let writer = Writer::new(model.clone()).unwrap();
    searcher.wish_prefixes(PrefixWish::Write(Arc::new(writer))).await.unwrap();
}

async fn build(searcher: &Searcher) {
    searcher.sync().await.unwrap();
    searcher.place_all(&mut |_| ()).await.unwrap();
}

async fn texts(searcher: &Searcher, query: &str, legs: Legs) -> Vec<String> {
    let wish = SearchWish { legs, ..SearchWish::new(query, 10) };
    let found = searcher.search(&Scope::tenant("t", "p"), &wish).await.unwrap();
    found.hits.into_iter().map(|hit| hit.text).collect()
}

/// How near the vector of the chunk with the word `valves` is to a question.
async fn nearness(searcher: &Searcher, query: &str) -> f32 {
    let wish = SearchWish { legs: Legs::Vector, explain: true, ..SearchWish::new(query, 10) };
    let found = searcher.search(&Scope::tenant("t", "p"), &wish).await.unwrap();
    let hit = found.hits.into_iter().find(|hit| hit.text.contains("valves")).unwrap();
    hit.explain.unwrap().vector.unwrap().score
}

#[tokio::test]
async fn a_chunk_is_found_by_what_a_model_says_of_it_and_shown_as_it_is() {
    let ground = Ground::new().await;
    let searcher = ground.searcher(Some(256)).await;
    ground.put("t", "a.md", &guide(""), None).await;
    ground.put("t", "alone.md", "# One\n\nA text of one chunk has nothing around it.\n", None).await;
    searcher.sync().await.unwrap();
    let quixotic = "quixotic airship manual";
    assert!(texts(&searcher, quixotic, Legs::Text).await.is_empty(), "no text has these words");
    let before = searcher.status();
    assert_eq!(before.prefixes, None);
    let far = nearness(&searcher, quixotic).await;
    let model = helper();
    placing(&searcher, &model).await;
    assert_eq!(searcher.status().prefixes.unwrap().waiting, before.chunks - 1);
    build(&searcher).await;
    assert_eq!(model.asked() as u64, before.chunks - 1);
    let status = searcher.status();
    let prefixes = status.prefixes.unwrap();
    assert_eq!((prefixes.written, prefixes.without, prefixes.waiting), (before.chunks - 1, 0, 0));
    assert_eq!((prefixes.model.as_deref(), prefixes.failed), (Some("scripted /context-1"), None));
    assert_eq!((status.chunks, status.active.unwrap().missing), (before.chunks, 0));
    for legs in [Legs::Text, Legs::Both] {
        let found = texts(&searcher, quixotic, legs).await;
        assert!(found[0].contains("valves"), "{legs:?} {found:?}");
    }
    let near = nearness(&searcher, quixotic).await;
    assert!(near > far, "its vector is that of its text and of what places it: {near} {far}");
    let wish = SearchWish { parts: true, ..SearchWish::new(quixotic, 5) };
    let found = searcher.search(&Scope::tenant("t", "p"), &wish).await.unwrap();
    let hit = &found.hits[0];
    let span = hit.start as usize..hit.end as usize;
    assert!(&ground.text("a.md")[span] == hit.text && !hit.text.contains("quixotic"), "{hit:?}");
    assert!(!hit.heading.contains("quixotic"));
    // Whoever opens the index anew finds the same, and asks nobody.
    drop(searcher);
    let again = ground.searcher(Some(256)).await;
    again.wish_prefixes(PrefixWish::Keep).await.unwrap();
    build(&again).await;
    assert!(texts(&again, quixotic, Legs::Text).await[0].contains("valves"));
    assert_eq!(nearness(&again, quixotic).await, near);
    assert_eq!(again.status().prefixes.unwrap().written, before.chunks - 1);
    let lost = ground.elsewhere(Some(256)).await;
    placing(&lost, &model).await;
    build(&lost).await;
    assert_eq!((ask_all(&lost).await, model.asked() as u64), (ask_all(&again).await, before.chunks - 1));
    // As of then, too; and taken out again they are gone, while the text stays.
    let at = super::Moment::Seq(ground.newest_chunk().await);
    let then = SearchWish { as_of: Some(at), legs: Legs::Text, ..SearchWish::new(quixotic, 5) };
    assert!(again.search(&Scope::platform("p"), &then).await.unwrap().hits[0].text.contains("valves"));
    again.wish_prefixes(PrefixWish::TakeOut).await.unwrap();
    build(&again).await;
    assert!(texts(&again, quixotic, Legs::Text).await.is_empty() && again.status().prefixes.is_none());
    assert!(texts(&again, "open both valves", Legs::Text).await[0].contains("valves"));
    assert_eq!(again.status().chunks, before.chunks);
}

#[tokio::test]
async fn only_what_changed_is_asked_again() {
    let ground = Ground::new().await;
    let searcher = ground.searcher(Some(64)).await;
    let model = helper();
    placing(&searcher, &model).await;
    for path in ["a.md", "b.md"] {
        ground.put("t", path, &guide(""), None).await;
    }
    build(&searcher).await;
    let chunks = searcher.status().chunks as usize;
    // Of the same text elsewhere the title differs: it is shown to the model.
    assert_eq!(model.asked(), chunks);
    ground.put("t", "c.md", &guide("## More\n\nNew words.\n"), None).await;
    build(&searcher).await;
    let asked = model.asked();
    assert_eq!(asked, searcher.status().chunks as usize);
    // A version that stood before, and a group that changed.
    ground.put("t", "c.md", &guide(""), None).await;
    build(&searcher).await;
    let more = model.asked();
    assert!(more > asked);
    ground.put("t", "c.md", &guide("## More\n\nNew words.\n"), Some(r#"["ops"]"#)).await;
    searcher.sync().await.unwrap();
    let waiting = searcher.status().prefixes.unwrap().waiting;
    assert_eq!((waiting, model.asked()), (0, more), "what is kept goes in front at once");
    // What is kept has no reader but the operator, whatever the groups of its document.
    let kept = "SELECT count(*) FROM chunk_prefix";
    let place = &ground;
    let rows = |scope: Scope| async move { place.rows(&scope, kept).await.unwrap() };
    assert_eq!(rows(Scope::tenant("t", "p").in_groups(["ops".to_owned()])).await, ["0"]);
    assert_eq!(rows(Scope::platform("p")).await, [more.to_string()]);
    // Another tenant is asked for itself.
    ground.put("other", "a.md", &guide(""), None).await;
    build(&searcher).await;
    assert!(model.asked() > more);
    let dropped = searcher.drop_model("scripted /context-1").await.unwrap();
    assert_eq!(dropped as usize, model.asked());
    assert_eq!(rows(Scope::platform("p")).await, ["0"]);
}

#[tokio::test]
async fn a_model_that_fails_leaves_the_search_working() {
    let ground = Ground::new().await;
    let searcher = ground.searcher(Some(64)).await;
    let model = helper();
    placing(&searcher, &model).await;
    ground.put("t", "a.md", &guide(""), None).await;
    // Nothing was ever answered: a question that is refused is the settings' fault.
    for kind in [Kind::Unavailable, Kind::Denied, Kind::Invalid] {
        model.fail(Some(kind));
        searcher.sync().await.unwrap();
        assert_eq!(searcher.place_some().await.unwrap_err().kind(), kind);
        let prefixes = searcher.status().prefixes.unwrap();
        assert_eq!((prefixes.written, prefixes.without), (0, 0));
        assert!(prefixes.waiting > 1 && prefixes.failed.unwrap().contains("the script says no"));
        assert!(texts(&searcher, "open both valves", Legs::Both).await[0].contains("valves"));
    }
    model.fail(None);
    build(&searcher).await;
    let prefixes = searcher.status().prefixes.unwrap();
    assert_eq!((prefixes.waiting, prefixes.failed), (0, None));
    // It answered: what it refuses now goes without, and is not asked again.
    let fussy = Scripted::saying(|prompt| match prompt.contains("## Second") {
        true => Err(Error::new(Kind::Invalid, "against the rules")),
        false => Ok("Some words about the chunk.".to_owned()),
    });
    placing(&searcher, &fussy).await;
    ground.put("t", "b.md", &guide("## Second\n\nWords that nobody may repeat.\n"), None).await;
    build(&searcher).await;
    let prefixes = searcher.status().prefixes.unwrap();
    assert!(prefixes.waiting == 0 && prefixes.without > 0 && prefixes.written > 0, "{prefixes:?}");
    let asked = fussy.asked();
    build(&searcher).await;
    assert_eq!(fussy.asked(), asked);
    assert!(!texts(&searcher, "nobody may repeat", Legs::Text).await.is_empty());
}

/// What a model says may hold what no text may: it passes the redactor like everything else, and only then it is searched.
#[tokio::test]
async fn what_a_model_says_is_redacted() {
    let ground = Ground::redacting().await;
    let searcher = ground.searcher(Some(64)).await;
    let model = Scripted::new("Written by hunter2000 about the airship's valves.");
    placing(&searcher, &model).await;
    ground.put("t", "a.md", &guide(""), None).await;
    build(&searcher).await;
    assert!(texts(&searcher, "airship", Legs::Text).await.len() > 1);
    assert!(texts(&searcher, "hunter2000", Legs::Text).await.is_empty());
    for table in ["chunk", "chunk_prefix"] {
        let sql = format!("SELECT DISTINCT prefix FROM {table}");
        assert_eq!(
            ground.rows(&Scope::platform("p"), &sql).await.unwrap(),
            ["Written by *** about the airship's valves."],
            "{table}"
        );
    }
}

/// After any changes, the index with prefixes is that which would be built of the last texts at once.
#[tokio::test]
async fn any_changes_end_like_a_rebuild_with_prefixes() {
    let says = |prompt: &str| Ok(format!("Among {} words of a vault and a node.", prompt.split(' ').count()));
    let mut dice = StdRng::seed_from_u64(5);
    let ground = Ground::new().await;
    let model = Scripted::saying(says);
    let mut searcher = ground.searcher(Some(48)).await;
    placing(&searcher, &model).await;
    let mut last: std::collections::BTreeMap<String, String> = Default::default();
    for _ in 0..24 {
        let path = format!("{}.md", dice.random_range(0..5));
        match dice.random_range(0..9) {
            0..5 => {
                let text: String = (0..3).map(|_| text_of(&mut dice)).collect();
                ground.put("t", &path, &text, None).await;
                last.insert(path, text);
            }
            5 => {
                ground.delete("t", &path).await;
                last.remove(&path);
            }
            6 => searcher.sync().await.unwrap(),
            7 => {
                searcher.place_some().await.unwrap();
            }
            _ => {
                drop(searcher);
                searcher = ground.searcher(Some(48)).await;
                placing(&searcher, &model).await;
            }
        }
    }
    build(&searcher).await;
    let anew = Ground::new().await;
    for (path, text) in &last {
        anew.put("t", path, text, None).await;
    }
    let rebuilt = anew.searcher(Some(48)).await;
    placing(&rebuilt, &Scripted::saying(says)).await;
    build(&rebuilt).await;
    assert!(rebuilt.status().prefixes.unwrap().written > 0);
    assert_eq!(ask_all(&searcher).await, ask_all(&rebuilt).await);
}
