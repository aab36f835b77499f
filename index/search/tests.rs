#![allow(clippy::unwrap_used)]

mod ground;
mod placed;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::{Kind, Scope};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::hashed::HashedEmbedder;
use super::*;
use ground::{Ground, ask_all, text_of, words};

fn titles(found: &Found) -> Vec<String> {
    found.hits.iter().map(|hit| hit.path.clone()).collect()
}

#[tokio::test]
async fn what_is_written_is_found_and_what_is_deleted_is_not() {
    let ground = Ground::new().await;
    let searcher = ground.searcher(Some(64)).await;
    assert!(searcher.status().behind, "nobody has looked yet");
    ground
        .put("t", "a.md", "# Keys\n\nHow to rotate a key of the vault.\n\n## Later\n\nBudgets end at midnight.\n", None)
        .await;
    ground.put("t", "b.md", "# Nodes\n\nDrain the node pool before the upgrade.\n", None).await;
    searcher.sync().await.unwrap();
    let scope = Scope::tenant("t", "p");
    let found = searcher.search(&scope, &SearchWish::new("rotate key", 5)).await.unwrap();
    let first = &found.hits[0];
    assert_eq!((first.path.as_str(), first.heading.as_str()), ("a.md", "Keys"));
    assert_eq!(&ground.text("a.md")[first.start as usize..first.end as usize], first.text, "the span is the text");
    assert!(found.covered_seq > 0 && !found.behind && found.notes.is_empty(), "{found:?}");
    assert!(found.hits.iter().all(|hit| hit.parts.is_empty()), "nobody asked for them");
    let found = searcher.search(&scope, &SearchWish { parts: true, ..SearchWish::new("rotate key", 5) }).await.unwrap();
    let said: Vec<&str> =
        found.hits.iter().flat_map(|hit| hit.parts.iter().map(|part| &hit.text[part.start..part.end])).collect();
    assert_eq!(said, ["How to rotate a key of the vault."]);
    assert!(!searcher.status().behind);
    ground.put("t", "a.md", "# Keys\n\nNothing of interest.\n", None).await;
    let behind = |status: IndexStatus| (status.behind, status.waiting_documents);
    assert_eq!(behind(searcher.status()), (true, 0), "at once, before anybody looks");
    searcher.look_around().await.unwrap();
    assert_eq!(behind(searcher.status()), (true, 1));
    searcher.sync().await.unwrap();
    assert_eq!(behind(searcher.status()), (false, 0));
    let found = searcher.search(&scope, &SearchWish::new("vault", 5)).await.unwrap();
    assert!(found.hits.iter().all(|hit| !hit.text.contains("vault")), "{found:?}");
    ground.delete("t", "b.md").await;
    searcher.sync().await.unwrap();
    for legs in [Legs::Both, Legs::Text, Legs::Vector] {
        let wish = SearchWish { legs, ..SearchWish::new("drain the node pool", 10) };
        assert!(!titles(&searcher.search(&scope, &wish).await.unwrap()).contains(&"b.md".to_owned()), "{legs:?}");
    }
    assert_eq!(searcher.status().chunks, 1);
}

#[tokio::test]
async fn without_a_model_words_find_and_it_is_said() {
    let ground = Ground::new().await;
    let searcher = ground.searcher(None).await;
    ground.put("t", "a.md", "# Keys\n\nRotate the key.\n", None).await;
    searcher.sync().await.unwrap();
    let found = searcher.search(&Scope::platform("p"), &SearchWish::new("rotate", 5)).await.unwrap();
    assert_eq!((found.hits.len(), found.model), (1, None));
    assert!(found.notes[0].contains("full text only"), "{:?}", found.notes);
    let wish = SearchWish { legs: Legs::Vector, ..SearchWish::new("rotate", 5) };
    let refused = searcher.search(&Scope::platform("p"), &wish).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::NotFound);
    for wrong in [SearchWish::new(" ", 5), SearchWish::new("x", HITS_MAX + 1)] {
        assert_eq!(searcher.search(&Scope::platform("p"), &wrong).await.unwrap_err().kind(), Kind::Invalid);
    }
}

/// After any changes, and whenever it was opened anew, the index answers as one that was built of the last texts at once.
#[tokio::test]
async fn any_changes_end_like_a_rebuild() {
    for seed in 0..4 {
        let mut dice = StdRng::seed_from_u64(seed);
        let ground = Ground::new().await;
        let mut searcher = ground.searcher(Some(48)).await;
        let mut last: std::collections::BTreeMap<String, (String, Option<String>)> = Default::default();
        for _ in 0..30 {
            let path = format!("{}.md", dice.random_range(0..8));
            match dice.random_range(0..10) {
                0..6 => {
                    let acl = dice.random_bool(0.3).then(|| r#"["ops"]"#.to_owned());
                    let text = text_of(&mut dice);
                    ground.put("t", &path, &text, acl.as_deref()).await;
                    last.insert(path, (text, acl));
                }
                6..8 => {
                    ground.delete("t", &path).await;
                    last.remove(&path);
                }
                8 => {
                    searcher.step(true).await.unwrap();
                }
                _ => {
                    if dice.random_bool(0.5) {
                        searcher.sync().await.unwrap();
                        searcher.save().unwrap();
                    }
                    drop(searcher);
                    searcher = ground.searcher(Some(48)).await;
                }
            }
        }
        searcher.sync().await.unwrap();
        let anew = Ground::new().await;
        for (path, (text, acl)) in &last {
            anew.put("t", path, text, acl.as_deref()).await;
        }
        let rebuilt = anew.searcher(Some(48)).await;
        rebuilt.sync().await.unwrap();
        assert_eq!(ask_all(&searcher).await, ask_all(&rebuilt).await, "seed {seed}");
        // And an index over the same store whose folder was lost.
        let lost = ground.elsewhere(Some(48)).await;
        lost.sync().await.unwrap();
        assert_eq!(ask_all(&searcher).await, ask_all(&lost).await, "seed {seed}");
    }
}

/// Hundreds of chunks that say the same, as logs and templates do: which of them are shown, and in which order, follows from
/// their documents and not from the order in which they came.
#[tokio::test]
async fn equal_texts_stand_the_same_however_they_came() {
    const DOCUMENTS: usize = 240;
    const TEXTS: [&str; 3] = [
        "# Keys\n\nRotate the key of the vault.\n",
        "# Keys\n\nRotate the key of the vault.\n\n# Nodes\n\nDrain the node pool.\n",
        "# Budget\n\nThe budget of a month.\n",
    ];
    let mut dice = StdRng::seed_from_u64(11);
    let (grown, at_once) = (Ground::new().await, Ground::new().await);
    let searcher = grown.searcher(Some(48)).await;
    let mut last: Vec<Option<&str>> = vec![None; DOCUMENTS];
    for round in 0..3 {
        for _ in 0..DOCUMENTS {
            let n = dice.random_range(0..DOCUMENTS);
            last[n] = dice.random_bool(0.9).then(|| TEXTS[dice.random_range(0..TEXTS.len())]);
            match last[n] {
                Some(text) => grown.put("t", &format!("{n}.md"), text, None).await,
                None => grown.delete("t", &format!("{n}.md")).await,
            }
        }
        if round != 1 {
            searcher.sync().await.unwrap();
        }
    }
    for (n, text) in last.iter().enumerate() {
        if let Some(text) = text {
            at_once.put("t", &format!("{n}.md"), text, None).await;
        }
    }
    let rebuilt = at_once.searcher(Some(48)).await;
    for (ground, searcher) in [(&grown, &searcher), (&at_once, &rebuilt)] {
        searcher.sync().await.unwrap();
        // The newest chunk, so that its number stands for all that was done.
        ground.put("t", "last.md", TEXTS[0], None).await;
        searcher.sync().await.unwrap();
    }
    assert_eq!(ask_all(&searcher).await, ask_all(&rebuilt).await);
    // The same as of now: read from the table, ranked in an index of its own.
    let as_of = |ground_newest: u64| SearchWish {
        as_of: Some(Moment::Seq(ground_newest)),
        ..SearchWish::new("rotate the key of the vault", 50)
    };
    let (now, then) = (as_of(grown.newest_chunk().await), as_of(at_once.newest_chunk().await));
    let scope = Scope::platform("p");
    let (grown, rebuilt) = (searcher.search(&scope, &now).await.unwrap(), rebuilt.search(&scope, &then).await.unwrap());
    let shown = |found: &Found| {
        found.hits.iter().map(|hit| format!("{} {} {:.5}", hit.path, hit.ordinal, hit.score)).collect::<Vec<_>>()
    };
    assert_eq!(shown(&grown), shown(&rebuilt));
}

/// Filters that let one chunk in a hundred, or in a thousand, through: no row of others, and none that is missing.
#[tokio::test]
async fn no_row_crosses_tenants_or_groups() {
    let ground = Ground::new().await;
    let searcher = ground.searcher(Some(32)).await;
    let mut dice = StdRng::seed_from_u64(7);
    let mut allowed: std::collections::HashMap<(String, Option<String>), usize> = Default::default();
    for i in 0..1_000 {
        let tenant = if i % 1_000 == 17 {
            "rare"
        } else if i % 100 == 3 {
            "few"
        } else {
            "many"
        };
        let acl = match i % 100 {
            3 | 50 => Some(r#"["one"]"#),
            51..53 => Some(r#"["one","two"]"#),
            53 => Some("[]"),
            54 => Some("broken"),
            _ => None,
        };
        *allowed.entry((tenant.to_owned(), acl.map(str::to_owned))).or_default() += 1;
        let text = format!("# The same heading\n\nThe same words everywhere, and {}.\n", words(&mut dice, 3));
        ground.put(tenant, &format!("{i}.md"), &text, acl).await;
    }
    searcher.sync().await.unwrap();
    for (tenant, groups) in [
        ("rare", vec![]),
        ("few", vec![]),
        ("few", vec!["one"]),
        ("many", vec![]),
        ("many", vec!["two"]),
        ("many", vec!["one", "three"]),
        ("nobody", vec!["one"]),
    ] {
        let scope = Scope::tenant(tenant, "p").in_groups(groups.iter().map(|g| (*g).to_owned()));
        let admitted = |acl: &Option<String>| admits(acl.as_deref(), scope.groups().unwrap());
        let wanted: usize =
            allowed.iter().filter(|((t, acl), _)| t == tenant && admitted(acl)).map(|(_, count)| count).sum();
        for legs in [Legs::Both, Legs::Text, Legs::Vector] {
            let wish = SearchWish { legs, explain: true, ..SearchWish::new("the same words everywhere", 1_000) };
            let found = searcher.search(&scope, &wish).await.unwrap();
            assert!(found.hits.iter().all(|hit| hit.tenant == tenant), "{tenant} {groups:?} {legs:?}");
            assert_eq!(found.hits.len(), wanted, "{tenant} {groups:?} {legs:?}");
            assert!(found.hits.iter().all(|hit| hit.explain.as_ref().unwrap().allowed == wanted as u64));
            // A filter by another tenant opens nothing.
            let filters = Filters { tenant: Some("many".to_owned()), ..Filters::default() };
            let other = searcher.search(&scope, &SearchWish { filters, ..wish }).await.unwrap();
            assert!(other.hits.iter().all(|hit| hit.tenant == tenant));
        }
    }
}

#[tokio::test]
async fn an_unchanged_chunk_is_not_embedded_again() {
    let ground = Ground::new().await;
    let searcher = ground.searcher(Some(32)).await;
    let section =
        |i: usize| format!("## Part {i}\n\nThis part speaks of the number {i} and of nothing else at all.\n\n");
    let text = |changed: usize| -> String { (0..40).map(|i| section(if i == 7 { changed } else { i })).collect() };
    ground.put("t", "a.md", &text(7), None).await;
    ground.put("other", "a.md", &text(7), None).await;
    searcher.sync().await.unwrap();
    assert_eq!(searcher.status().embedded_inputs, 40, "the same text of another tenant is read once");
    ground.put("t", "a.md", &text(700), None).await;
    searcher.sync().await.unwrap();
    assert_eq!(searcher.status().embedded_inputs, 41);
    ground.put("t", "a.md", &text(7), None).await;
    searcher.sync().await.unwrap();
    assert_eq!(searcher.status().embedded_inputs, 41, "what was embedded once is known for ever");
    drop(searcher);
    let again = ground.searcher(Some(32)).await;
    again.sync().await.unwrap();
    assert_eq!((again.status().embedded_inputs, again.status().active.unwrap().missing), (0, 0));
}

#[tokio::test]
async fn another_model_is_turned_to_without_a_failed_question() {
    let ground = Ground::new().await;
    let searcher = ground.searcher(Some(32)).await;
    let mut dice = StdRng::seed_from_u64(3);
    for i in 0..60 {
        ground.put("t", &format!("{i}.md"), &text_of(&mut dice), None).await;
    }
    searcher.sync().await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let asking = {
        let (searcher, done) = (searcher.clone(), done.clone());
        tokio::spawn(async move {
            let mut models = HashSet::new();
            let mut asked = 0;
            while !done.load(Ordering::SeqCst) || asked < 20 {
                for legs in [Legs::Both, Legs::Vector] {
                    let wish = SearchWish { legs, ..SearchWish::new("rotate the key", 10) };
                    let found = searcher.search(&Scope::platform("p"), &wish).await.unwrap();
                    assert_eq!(found.hits.len(), 10, "{:?}", found.notes);
                    models.extend(found.model);
                    asked += 1;
                }
                tokio::task::yield_now().await;
            }
            models
        })
    };
    let mut told = 0;
    searcher.switch(Arc::new(HashedEmbedder::new(400)), &mut |_| told += 1).await.unwrap();
    done.store(true, Ordering::SeqCst);
    let models = asking.await.unwrap();
    assert!(models.contains("hashed-400") && told > 0, "{models:?} {told}");
    assert_eq!(remembered(&ground.dir()), Some("hashed-400".to_owned()));
    let anew = ground.elsewhere(Some(400)).await;
    anew.sync().await.unwrap();
    assert_eq!(ask_all(&searcher).await, ask_all(&anew).await);
    assert_eq!(searcher.drop_model("hashed-32").await.unwrap() > 0, true);
    assert_eq!(searcher.drop_model("hashed-32").await.unwrap(), 0);
    assert_eq!(searcher.status().active.unwrap().missing, 0);
}

#[tokio::test]
async fn an_answer_as_of_then() {
    let ground = Ground::new().await;
    let searcher = ground.searcher(Some(32)).await;
    ground.put("t", "a.md", "# Old\n\nThe lighthouse keeps burning.\n", None).await;
    ground.put("t", "b.md", "# Guarded\n\nThe lighthouse for a few.\n", Some(r#"["ops"]"#)).await;
    searcher.sync().await.unwrap();
    let then = ground.newest_chunk().await;
    ground.put("t", "a.md", "# New\n\nNothing burns.\n", None).await;
    ground.delete("t", "b.md").await;
    searcher.sync().await.unwrap();
    let ask = |as_of: Option<Moment>, groups: &[&str]| {
        let scope = Scope::tenant("t", "p").in_groups(groups.iter().map(|g| (*g).to_owned()));
        let wish = SearchWish { as_of, ..SearchWish::new("lighthouse burning", 5) };
        let searcher = searcher.clone();
        async move { searcher.search(&scope, &wish).await.unwrap() }
    };
    assert!(ask(None, &["ops"]).await.hits.iter().all(|hit| !hit.text.contains("lighthouse")));
    let found = ask(Some(Moment::Seq(then)), &[]).await;
    assert_eq!(titles(&found), ["a.md"]);
    assert_eq!(found.hits[0].version, Some(1));
    assert_eq!(titles(&ask(Some(Moment::Seq(then)), &["ops"]).await).len(), 2);
    let refused = searcher
        .search(
            &Scope::platform("p"),
            &SearchWish { as_of: Some(Moment::Time("soon".into())), ..SearchWish::new("x", 1) },
        )
        .await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Invalid);
}

#[tokio::test]
async fn sql_asks_and_both_walls_stand() {
    let ground = Ground::new().await;
    let room = ground.room(Some(32));
    let searcher = room.searcher().await.unwrap();
    ground.put("a", "a.md", "# Keys\n\nRotate the key.\n", None).await;
    ground.put("b", "b.md", "# Keys\n\nRotate the key.\n", None).await;
    ground.put("a", "c.md", "# Keys\n\nRotate the key in secret.\n", Some(r#"["ops"]"#)).await;
    searcher.sync().await.unwrap();
    let sql = "SELECT s.rank, s.path, s.tenant, d.version FROM search('rotate key', 10) s JOIN document d ON d.path = s.path ORDER BY s.rank";
    assert_eq!(ground.rows(&Scope::tenant("a", "p"), sql).await.unwrap(), ["1 a.md a 1"]);
    assert_eq!(ground.rows(&Scope::tenant("a", "p").in_groups(["ops".to_owned()]), sql).await.unwrap().len(), 2);
    assert_eq!(ground.rows(&Scope::platform("p"), sql).await.unwrap().len(), 3);
    // The tables themselves keep the same wall.
    for table in ["chunk", "document"] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(ground.rows(&Scope::tenant("a", "p"), &count).await.unwrap(), ["1"], "{table}");
    }
    let options = r#"SELECT path FROM text_search('rotate key', 5, '{"tenant": "b"}')"#;
    assert_eq!(ground.rows(&Scope::tenant("a", "p"), options).await.unwrap(), Vec::<String>::new());
    assert_eq!(ground.rows(&Scope::platform("p"), options).await.unwrap(), ["b.md"]);
    let near = "SELECT similarity('rotate the key', 'the keys rotate') > similarity('rotate the key', 'a budget')";
    assert_eq!(ground.rows(&Scope::tenant("a", "p"), near).await.unwrap(), ["true"]);
    let width = "SELECT array_length(embed(path)), similarity(NULL, path) FROM document";
    assert_eq!(ground.rows(&Scope::tenant("a", "p"), width).await.unwrap(), ["32 "]);
    let same = "SELECT DISTINCT round(similarity(vector, vector), 4) FROM embedding";
    assert_eq!(ground.rows(&Scope::tenant("a", "p"), same).await.unwrap(), ["1.0"]);
    for wrong in [
        "SELECT * FROM search()",
        "SELECT * FROM search('x', -1)",
        "SELECT * FROM search('x', 5, '{\"colour\": 1}')",
        "SELECT similarity(1, 2)",
    ] {
        assert_eq!(ground.rows(&Scope::platform("p"), wrong).await.unwrap_err().kind(), Kind::Invalid, "{wrong}");
    }
}
