use super::*;

fn passage(id: u64, body: &str) -> Passage<'_> {
    Passage { id, title: "", heading: "", prefix: "", body, language: None, kind: TextKind::Prose }
}

fn filled(texts: &[(u64, &str)]) -> TextIndex {
    let index = TextIndex::in_memory().expect("an index");
    let passages: Vec<_> = texts.iter().map(|(id, body)| passage(*id, body)).collect();
    index.add(&passages).expect("added");
    index.commit().expect("committed");
    index
}

fn found(index: &TextIndex, query: &str) -> Vec<u64> {
    index.search(query, None, 10, None).expect("searched").iter().map(|hit| hit.id).collect()
}

#[test]
fn questions_find_texts() {
    let index = filled(&[
        (1, "The node was drained and its pods were evicted from the cluster."),
        (2, "Die Volkszählung wurde in der Stadt durchgeführt und das Volk wurde gezählt."),
        (3, "Eine Zählung der Häuser, und noch eine Zählung, für das Volk und mit dem Volk."),
        (4, "fn parseHttpRequest(input: &str) -> Result<Request> in src/http/parse.rs"),
        (5, "ERROR kube-system coredns-5d78c9869d 10.0.0.12 connection refused"),
        (6, "Die Zählung der Stimmen begann spät, das ist für alle wichtig."),
    ]);
    let table: &[(&str, u64)] = &[
        ("evicting a pod", 1),
        ("Volkszählungen", 2),
        ("Haus", 3),
        ("parse http request", 4),
        ("parseHttpRequest", 4),
        ("src/http/parse.rs", 4),
        ("kube-system refused connections", 5),
        ("10.0.0.12", 5),
        ("Stimmen zählen", 6),
    ];
    for (query, first) in table {
        assert_eq!(found(&index, query).first(), Some(first), "{query}");
    }
    assert!(found(&index, "Zählung").contains(&2), "a compound is found by its part");
    assert!(found(&index, "quantum").is_empty());
    assert!(found(&index, "").is_empty());
}

#[test]
fn quotes_ask_for_the_very_words() {
    let index =
        filled(&[(1, "the quick brown fox"), (2, "the brown quick fox"), (3, "nothing to see: to be or not to be")]);
    assert_eq!(found(&index, "\"quick brown\""), [1]);
    assert_eq!(found(&index, "\"to be or not\""), [3]);
    assert_eq!(found(&index, "fox \"brown quick\""), [2]);
    assert!(found(&index, "\"brown brown\"").is_empty());
    assert_eq!(found(&index, "a \" alone, quick").len(), 2);
}

#[test]
fn filters_are_inside() {
    let texts: Vec<(u64, String)> = (0..500).map(|n| (n, format!("pod number {n} restarted"))).collect();
    let texts: Vec<(u64, &str)> = texts.iter().map(|(id, text)| (*id, text.as_str())).collect();
    let index = filled(&texts);
    let allowed: RoaringTreemap = [7u64, 450].into_iter().collect();
    let hits = index.search("pod restarted", Some("en"), 10, Some(&allowed)).expect("searched");
    assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), [7, 450]);
    assert!(index.search("pod", None, 10, Some(&RoaringTreemap::new())).expect("searched").is_empty());
}

#[test]
fn changes_end_where_a_new_index_begins() {
    let texts: Vec<(u64, String)> = (0..300)
        .map(|n: u64| {
            let more = "wort ".repeat((n % 9) as usize);
            (n, format!("Die Stadtverwaltung {n} der Stadt und die Verwaltung: {more} Frage {} nicht", n % 13))
        })
        .collect();
    let grown = TextIndex::in_memory().expect("an index");
    for (id, _) in &texts {
        grown.add(&[passage(*id, "what stood here before, in English")]).expect("added");
        if id % 50 == 0 {
            grown.commit().expect("committed");
        }
    }
    grown.add(&[passage(9999, "Verwaltung Stadt Verwaltung Stadt")]).expect("added");
    for (id, text) in texts.iter().rev() {
        grown.add(&[passage(*id, text)]).expect("added");
        if id % 37 == 0 {
            grown.commit().expect("committed");
        }
    }
    grown.remove(&[9999]).expect("removed");
    grown.commit().expect("committed");
    let texts: Vec<(u64, &str)> = texts.iter().map(|(id, text)| (*id, text.as_str())).collect();
    let built = filled(&texts);
    assert_eq!(grown.len(), built.len());
    for query in ["Verwaltung der Stadt", "Stadtverwaltung Frage 7", "wort 11", "before English"] {
        let ask = |index: &TextIndex| index.ask(query, None, 25, None).expect("searched");
        assert_eq!(ask(&grown), ask(&built), "{query}");
    }
}

#[test]
fn an_index_comes_back_with_its_mark() {
    let dir = tempfile::tempdir().expect("a folder");
    {
        let index = TextIndex::open(dir.path()).expect("opened");
        index.add(&[passage(1, "kept")]).expect("added");
        index.commit_marked(Some("seq 12")).expect("committed");
        index.add(&[passage(2, "lost")]).expect("added");
    }
    let index = TextIndex::open(dir.path()).expect("opened");
    assert_eq!(index.mark().as_deref(), Some("seq 12"));
    assert_eq!((found(&index, "kept"), found(&index, "lost")), (vec![1], vec![]));
    drop(index);
    let meta = dir.path().join(VERSION).join("meta.json");
    std::fs::write(&meta, "not what was written").expect("broken");
    let index = TextIndex::open(dir.path()).expect("opened anew");
    assert!(index.is_empty() && index.mark().is_none());
}

#[test]
fn a_question_says_what_the_index_does_not_know() {
    let index = filled(&[(1, "The pods of the cluster are restarted by the controller."), (2, "A node is drained.")]);
    let known = index.ask("restarted pods", Some("en"), 10, None).expect("searched").mass;
    assert_eq!(known.asked, known.known);
    let unknown = index.ask("Wie werden Pods neu gestartet?", None, 10, None).expect("searched");
    assert!(unknown.mass.known < unknown.mass.asked, "{unknown:?}");
    assert_eq!((unknown.tongue, unknown.tongue_share), (Some(Tongue::German), 0.0));
}
