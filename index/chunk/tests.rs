#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Words of at most four characters each, so that a text without white space has tokens, too.
fn fine(text: &str) -> usize {
    text.split_whitespace().map(|word| word.chars().count().div_ceil(4)).sum()
}

fn cut(kind: ChunkKind, path: &str, text: &str, tokens_max: usize) -> Vec<Chunk> {
    let source = Source { kind, path, title: "", text, language: None };
    chunks(&source, &Budget { tokens_max, overlap_tokens: 0 }, &words)
}

/// `heading|first line of the text`.
fn shown(chunks: &[Chunk]) -> Vec<String> {
    chunks.iter().map(|c| format!("{}|{}", c.heading, c.text.lines().next().unwrap_or_default())).collect()
}

#[test]
fn markdown_by_heading() {
    let text = "---\ntitle: T\n---\nPreamble.\n\n# A\n\nText of `a` with some more words, so that not all of it is one chunk of the text.\n\n## B [x](y) {#b}\n\n### C\nUnder c:\n\n```sh\n# no heading\nrun\n```\n\nSetext\n---\nlast\n";
    let found = cut(ChunkKind::Markdown, "a.md", text, 28);
    assert_eq!(shown(&found), ["|Preamble.", "A|# A", "A > B x > C|## B [x](y) {#b}", "A > Setext|Setext"]);
    assert!(found[2].text.ends_with("```"), "{:?}", found[2].text);
    for chunk in &found {
        assert_eq!(&text[chunk.start..chunk.end], chunk.text);
    }
}

#[test]
fn code_blocks_and_tables_stay_whole_where_they_fit() {
    let code = format!("```sh\n{}```", "one two\n".repeat(6));
    let text = format!("# H\n\n{}\n\n{code}\n\n| a | b |\n|---|---|\n| c | d |\n", "word ".repeat(14));
    let found = cut(ChunkKind::Markdown, "a.md", &text, 20);
    assert!(found.iter().any(|chunk| chunk.text.contains(&code)), "{found:#?}");
    assert!(found.iter().any(|chunk| chunk.text.contains("| a | b |") && chunk.text.contains("| c | d |")));
    assert!(found.iter().any(|chunk| chunk.kind == TextKind::Code));
}

#[test]
fn html_as_seen_with_places_in_the_source() {
    let text = "<html><head><title>T</title></head><body><h1>One &amp; only</h1><p>a  <b>b</b>\n c.</p><script>if (a<b) {}</script><h2>Two</h2><p>1 2 3 4 5 6 7 8 9 10 11 12 13 d&#228;e</p></body></html>";
    let found = cut(ChunkKind::Html, "a.html", text, 20);
    assert_eq!(shown(&found), ["One & only|One & only", "One & only > Two|Two"]);
    assert_eq!(found[0].text, "One & only\na b c.");
    assert!(found[1].text.ends_with("däe"));
    let (first, last) = (&text[found[0].start..found[0].end], &text[found[1].start..found[1].end]);
    assert!(first.starts_with("One &amp; only") && first.ends_with("c."), "{first}");
    assert!(last.starts_with("Two") && last.ends_with("d&#228;e"), "{last}");
}

#[test]
fn a_known_outline_stands_in_for_headings() {
    let text = format!("One\na b c.\nTwo\n{}", "word ".repeat(14));
    let source = Source { kind: ChunkKind::Text, path: "a.html", title: "", text: &text, language: None };
    let entry = |level, title: &str, line| Outlined { level, title: title.to_owned(), line };
    let outline = [entry(2, "Two", 3), entry(1, "One", 1), entry(3, "gone", 99), entry(3, "none", 0)];
    let found = chunks_by_outline(&source, &outline, &Budget { tokens_max: 18, overlap_tokens: 0 }, &words);
    assert_eq!(shown(&found), ["One|One", "One > Two|Two"]);
}

#[test]
fn yaml_by_document_and_key() {
    let text = "apiVersion: v1\nkind: Deployment\nmetadata:\n  name: shop\nspec:\n  template:\n    spec:\n      containers:\n      - name: web\n        image: a b c d e f\n      - name: side\n        image: g h i j k l\n---\nkind: Service\nmetadata: {name: x}\n";
    let whole = cut(ChunkKind::Yaml, "a.yaml", text, 60);
    assert_eq!(shown(&whole), ["Deployment shop|apiVersion: v1", "Service|---"]);
    let parts = cut(ChunkKind::Yaml, "a.yaml", text, 24);
    let headings: Vec<&str> = parts.iter().map(|c| c.heading.as_str()).collect();
    assert!(headings[0].starts_with("Deployment shop") && headings.iter().any(|h| h.contains("side")), "{headings:?}");
    assert!(parts.iter().all(|c| c.kind == TextKind::Config));
}

#[test]
fn code_by_symbol() {
    let rust = "use a;\n\n/// Doc.\n#[derive(Debug)]\npub struct A {\n    x: u8,\n}\n\nimpl Show for A {\n    /// Says it.\n    fn show(&self) -> u8 {\n        self.x + 1 + 2 + 3 + 4\n    }\n\n    fn hide(&self) {\n        drop(self.x + 1 + 2 + 3 + 4)\n    }\n}\n";
    let found = cut(ChunkKind::Code, "a.rs", rust, 26);
    let shown = shown(&found);
    assert!(shown.contains(&"A|/// Doc.".to_owned()) || shown.iter().any(|s| s.starts_with("A|")), "{shown:?}");
    assert!(shown.iter().any(|s| s.starts_with("impl Show for A > show|")), "{shown:?}");
    assert!(shown.iter().any(|s| s.starts_with("impl Show for A > hide|")), "{shown:?}");
    assert!(found.iter().all(|c| c.language.as_deref() == Some("rust") && c.kind == TextKind::Code));
    let python = "import os\n\nclass A:\n    '''Doc of a.'''\n\n    @cached\n    def one(self):\n        return 1 + 2 + 3 + 4 + 5 + 6\n\n    def two(self):\n        return 1 + 2 + 3 + 4 + 5 + 6\n";
    let found = cut(ChunkKind::Code, "a.py", python, 20);
    let shown = self::shown(&found);
    assert!(
        shown.iter().any(|s| s.starts_with("A > one|")) && shown.iter().any(|s| s.starts_with("A > two|")),
        "{shown:?}"
    );
    for (path, text, symbol) in [
        ("a.go", "package a\n\nfunc (s *Server) Run() error {\n\treturn nil\n}\n", "Server.Run"),
        ("A.java", "class A {\n  int one() { return 1; }\n}\n", "A"),
        ("a.js", "export function one() { return 1 }\n", "one"),
        ("a.ts", "interface A { b: string }\n", "A"),
        ("a.cs", "namespace N {\n class A { int One() { return 1; } }\n}\n", "N"),
        ("a.sh", "one() {\n  echo 1\n}\n", "one"),
    ] {
        let found = cut(ChunkKind::Code, path, text, 100);
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        let parts = code::nodes(path, text);
        assert!(parts[0].parts.iter().any(|part| part.label == [symbol]), "{path}: {parts:#?}");
    }
}

#[test]
fn work_items_by_field_and_logs_by_pattern() {
    let item = format!(
        "Title: Rotate the key\nState: Active\n\nDescription:\n{}\nAcceptance Criteria:\n\nDone: yes\n",
        "word ".repeat(30)
    );
    let found = cut(ChunkKind::WorkItem, "", &item, 32);
    assert_eq!(found[0].heading, "Title, State");
    assert!(found[1..].iter().any(|c| c.heading.starts_with("Description")), "{found:#?}");
    let log = "2026-01-01T00:00:00Z ERROR payment 17 failed\n  at a.b(C.java:1)\n2026-01-01T00:00:01Z ERROR payment 18 failed\n2026-01-01T00:00:02Z ERROR payment 19 failed\nINFO started\n";
    assert_eq!(log::pattern("2026-01-01T00:00:00Z ERROR payment 17 failed"), "ERROR payment * failed");
    let found = cut(ChunkKind::Log, "", log, 18);
    assert_eq!(found[0].heading, "ERROR payment * failed");
    assert!(found[0].text.contains("at a.b"), "{found:#?}");
    assert!(found.last().unwrap().heading.contains("INFO started"));
}

#[test]
fn other_markups_by_heading() {
    let words = "word ".repeat(20);
    let rst = format!("=====\nTitle\n=====\n\nPart\n----\n{words}\n\nSub\n~~~\n{words}\n");
    assert_eq!(shown(&cut(ChunkKind::Text, "a.rst", &rst, 32)), ["Title > Part|=====", "Title > Part > Sub|Sub"]);
    let adoc = format!("= Title\n\n{words}\n\n== Section\n\n{words}\n----\n== no\n----\n");
    assert_eq!(shown(&cut(ChunkKind::Text, "a.adoc", &adoc, 36)), ["Title|= Title", "Title > Section|== Section"]);
}

#[test]
fn a_cut_paragraph_repeats_its_end() {
    let text = (0..40).map(|i| format!("Sentence {i} has five words. ")).collect::<String>();
    let source = Source { kind: ChunkKind::Text, path: "", title: "T", text: &text, language: Some("en") };
    let found = chunks(&source, &Budget { tokens_max: 30, overlap_tokens: 6 }, &words);
    assert!(found.len() > 6);
    for pair in found.windows(2) {
        assert!(pair[1].start < pair[0].end, "{} {}", pair[0].end, pair[1].start);
        assert!(pair[0].text.ends_with('.') && pair[1].text.starts_with("Sentence"));
    }
    assert!(found.iter().all(|c| c.language.as_deref() == Some("en")));
}

#[test]
fn an_edit_changes_the_chunks_around_it() {
    let section = |i: usize| format!("## Section {i}\n\n{}\n\n", format!("Words of section {i} in a row. ").repeat(12));
    let before: String = (0..20).map(section).collect();
    let after = before.replacen("Words of section 7", "Other words and more of section 7", 3);
    let hashes = |text: &str| -> std::collections::HashSet<String> {
        cut(ChunkKind::Markdown, "a.md", text, 60).into_iter().map(|c| c.hash).collect()
    };
    let (old, new) = (hashes(&before), hashes(&after));
    assert!(new.difference(&old).count() <= 3, "{}", new.difference(&old).count());
    let long = |edit: &str| -> String {
        let line =
            |i: usize| format!("{edit}{} paragraph {i} says what it says and number {}.\n\n", i % 7, i * 7919 % 101);
        (0..2000).map(|i| if i == 50 { line(i) } else { line(i).trim_start_matches(edit).to_owned() }).collect()
    };
    let hashes = |text: &str| -> std::collections::HashSet<String> {
        cut(ChunkKind::Text, "a.txt", text, 60).into_iter().map(|c| c.hash).collect()
    };
    let (old, new) = (hashes(&long("")), hashes(&long("A few more words in front of ")));
    assert!(new.difference(&old).count() * 10 < new.len(), "{} of {}", new.difference(&old).count(), new.len());
}

#[test]
fn a_title_larger_than_the_budget_does_not_cut_to_letters() {
    let title = "word ".repeat(100);
    let text = "Some text that is here to be found. ".repeat(30);
    let source = Source { kind: ChunkKind::Text, path: "", title: &title, text: &text, language: None };
    let found = chunks(&source, &Budget { tokens_max: 20, overlap_tokens: 0 }, &words);
    assert!(found.len() < 60, "{}", found.len());
    assert!(found.iter().all(|c| words(&c.text) <= 20));
}

#[test]
fn the_kind_is_told_by_format_then_path() {
    for (format, path, kind) in [
        (Some("markdown"), "a", ChunkKind::Markdown),
        (None, "x/README.md", ChunkKind::Markdown),
        (None, "a.rs", ChunkKind::Code),
        (None, "a.tf", ChunkKind::Code),
        (None, "values.yml", ChunkKind::Yaml),
        (None, "LICENSE", ChunkKind::Text),
        (Some("text"), "a.md", ChunkKind::Text),
    ] {
        assert_eq!(ChunkKind::of(format, path), kind, "{format:?} {path}");
    }
}

const KINDS: &[(ChunkKind, &str)] = &[
    (ChunkKind::Markdown, "a.md"),
    (ChunkKind::Yaml, "a.yaml"),
    (ChunkKind::Code, "a.rs"),
    (ChunkKind::Code, "a.py"),
    (ChunkKind::Code, "a.tf"),
    (ChunkKind::WorkItem, ""),
    (ChunkKind::Log, "a.log"),
    (ChunkKind::Text, "a.txt"),
    (ChunkKind::Text, "a.rst"),
    (ChunkKind::Text, "a.adoc"),
];

/// Texts that look like something: marks, words, any Unicode.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("# ".to_owned()),
        Just("## H\n".to_owned()),
        Just("```\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("\n".to_owned()),
        Just("- ".to_owned()),
        Just("| a | b |\n".to_owned()),
        Just("---\n".to_owned()),
        Just("key: ".to_owned()),
        Just("  ".to_owned()),
        Just("fn a() {\n".to_owned()),
        Just("}\n".to_owned()),
        Just("def a():\n".to_owned()),
        Just("Field: ".to_owned()),
        Just(". ".to_owned()),
        Just("====\n".to_owned()),
        "[a-zäß ]{1,30}",
        "\\PC{0,12}",
        "[\u{4e00}-\u{4e20}]{1,20}",
        Just("e\u{301}\u{1f468}\u{200d}\u{1f469}".to_owned()),
        Just("\u{feff}\r\n\u{85}\u{2028}\t".to_owned()),
    ];
    proptest::collection::vec(piece, 0..80).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn spans_tile_the_text_within_the_budget(text in texts(), max in 8_usize..60, overlap in 0_usize..8, at in 0..KINDS.len()) {
        let (kind, path) = KINDS[at];
        let source = Source { kind, path, title: "The title", text: &text, language: None };
        let found = chunks(&source, &Budget { tokens_max: max, overlap_tokens: overlap }, &fine);
        let begin = if kind == ChunkKind::Markdown { text.len() - front(&text).len() } else { 0 };
        let mut covered = vec![false; text.len()];
        let mut last = 0;
        for (i, chunk) in found.iter().enumerate() {
            prop_assert_eq!(chunk.ordinal, i);
            prop_assert_eq!(&text[chunk.start..chunk.end], chunk.text.as_str());
            prop_assert!(chunk.start >= last, "chunks stand in order");
            last = chunk.start;
            covered[chunk.start..chunk.end].fill(true);
            let single = chunk.text.chars().count() == 1;
            prop_assert!(single || fine(&chunk.input("The title")) <= max, "{} > {}: {:?}", fine(&chunk.input("The title")), max, chunk);
            prop_assert_eq!(&chunk.hash, &hash(&chunk.input("The title")));
        }
        for (place, c) in text.char_indices().filter(|(place, _)| *place >= begin) {
            prop_assert!(covered[place] || c.is_whitespace(), "{c:?} at {place} is in no chunk: {found:?}");
        }
    }

    #[test]
    fn html_never_panics_and_spans_hold(text in "(<[a-z/!]{0,6}>|&[a-z#0-9]{0,6};?|[a-zä ]{0,9}|<|>|\n){0,60}") {
        let source = Source { kind: ChunkKind::Html, path: "a.html", title: "", text: &text, language: None };
        for chunk in chunks(&source, &Budget { tokens_max: 12, overlap_tokens: 2 }, &fine) {
            prop_assert!(chunk.start <= chunk.end && text.get(chunk.start..chunk.end).is_some());
        }
    }

    #[test]
    fn a_section_keeps_its_hashes_when_others_change(
        sections in proptest::collection::vec("[a-z]{1,8}( [a-z]{1,8}){3,80}", 2..8), other in "[a-z ]{0,200}", at in 0_usize..8,
    ) {
        let at = at % sections.len();
        let document = |changed: Option<&str>| -> String {
            let part = |(i, text): (usize, &String)| format!("# S{i}\n\nx {}\n\n", changed.filter(|_| i == at).unwrap_or(text));
            // More than one chunk holds, whatever the sections are.
            let long = format!("# Long\n\n{}\n\n", "word ".repeat(40));
            std::iter::once(long).chain(sections.iter().enumerate().map(part)).collect()
        };
        let cut = |text: &str| cut(ChunkKind::Markdown, "a.md", text, 24);
        let (before, after) = (cut(&document(None)), cut(&document(Some(&other))));
        let heading = format!("S{at}");
        let kept = |all: &[Chunk]| -> Vec<String> { all.iter().filter(|c| c.heading != heading).map(|c| c.hash.clone()).collect() };
        prop_assert_eq!(kept(&before), kept(&after));
    }
}

/// The text behind its front matter, as Markdown has it.
fn front(text: &str) -> &str {
    let mut at = 0;
    let mut mark = None;
    for line in text.split_inclusive('\n') {
        let words = line.trim_end();
        match mark {
            None if words == "---" || words == "+++" => mark = Some(words),
            None => return text,
            Some(open) if words == open || (open == "---" && words == "...") => return &text[at + line.len()..],
            Some(_) => {}
        }
        at += line.len();
    }
    text
}
