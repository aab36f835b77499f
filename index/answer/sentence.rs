//! Where sentences begin and end, in prose and in Markdown. A heading, an item of a list, a row of a table and a line of
//! code are sentences of their own.

use std::ops::Range;

/// What a sentence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A sentence of a paragraph.
    Prose,
    /// An item of a list, or a row of a table.
    Item,
    /// A line of a block of code.
    Code,
    /// A heading.
    Heading,
}

/// A sentence's place in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// Bytes of the text, white space around them left out.
    pub span: Range<usize>,
    /// What it is.
    pub form: Form,
}

/// Words behind which a dot ends nothing.
const ABBREVIATIONS: &[&str] = &[
    "e.g", "i.e", "etc", "vs", "cf", "dr", "mr", "mrs", "ms", "no", "nr", "fig", "approx", "z.b", "z. b", "d.h",
    "d. h", "u.a", "u. a", "bzw", "ca", "usw", "ggf", "evtl", "inkl", "zzgl", "vgl", "abs", "art", "st", "bspw", "max",
    "min",
];

/// Fields of work items, pull requests and events, as their texts are made.
const FIELDS: &[&str] = &[
    "Title",
    "State",
    "Reason",
    "Assigned to",
    "Area",
    "Iteration",
    "Severity",
    "Tags",
    "Repository",
    "Status",
    "Created by",
    "From",
    "Into",
    "Object",
    "Namespace",
    "Cluster",
    "Times",
    "First seen",
    "Last seen",
];

/// The sentences of a text, in order.
pub fn sentences(text: &str) -> Vec<Sentence> {
    let mut found = Vec::new();
    let mut paragraph: Option<Range<usize>> = None;
    let (mut at, mut fence) = (0, None);
    for line in text.split_inclusive('\n') {
        let span = at..at + line.len();
        at = span.end;
        let trimmed = line.trim();
        let mark = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        let is_fence = mark.is_some() && fence.is_none_or(|open| Some(open) == mark);
        if is_fence {
            fence = if fence.is_some() { None } else { mark };
        }
        let form = form_of(trimmed, fence.is_some());
        let continues = matches!(form, Form::Prose) && !trimmed.is_empty() && !is_fence;
        if continues {
            paragraph = Some(paragraph.map_or(span.clone(), |open| open.start..span.end));
            continue;
        }
        if let Some(open) = paragraph.take() {
            cut(text, open, Form::Prose, &mut found);
        }
        if trimmed.is_empty() || is_fence || is_ornament(trimmed) {
            continue;
        }
        match form {
            // An item goes on in the lines below it, which look like prose: they are taken as prose.
            Form::Item => cut(text, span, Form::Item, &mut found),
            form => push(text, span, form, &mut found),
        }
    }
    if let Some(open) = paragraph {
        cut(text, open, Form::Prose, &mut found);
    }
    found
}

fn form_of(line: &str, in_fence: bool) -> Form {
    if in_fence {
        return Form::Code;
    }
    let hashes = line.bytes().take_while(|byte| *byte == b'#').count();
    if (1..=6).contains(&hashes) && line[hashes..].starts_with(' ') {
        return Form::Heading;
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let numbered = digits > 0 && digits < 4 && (line[digits..].starts_with(". ") || line[digits..].starts_with(") "));
    let bullet = ["- ", "* ", "+ ", "• ", "|"].iter().any(|mark| line.starts_with(mark));
    match line.split_once(':') {
        _ if numbered => Form::Item,
        Some((key, value)) if is_key(key) && (value.is_empty() || value.starts_with(' ')) => Form::Code,
        Some((key, _)) if FIELDS.contains(&key) => Form::Item,
        _ if bullet => Form::Item,
        _ => Form::Prose,
    }
}

/// A key of YAML: one small word, maybe an item's first.
fn is_key(text: &str) -> bool {
    let word = text.strip_prefix("- ").unwrap_or(text);
    let letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    word.starts_with(|c: char| c.is_lowercase()) && word.chars().all(letter)
}

/// A rule, a table's second row.
fn is_ornament(line: &str) -> bool {
    line.len() > 2 && line.chars().all(|c| matches!(c, '-' | '=' | '*' | '_' | '|' | ':' | ' ' | '+'))
}

fn push(text: &str, span: Range<usize>, form: Form, found: &mut Vec<Sentence>) {
    let piece = &text[span.clone()];
    let start = span.start + (piece.len() - piece.trim_start().len());
    let end = start + piece.trim().len();
    if start < end {
        found.push(Sentence { span: start..end, form });
    }
}

/// Cuts a paragraph at the ends of its sentences.
fn cut(text: &str, span: Range<usize>, form: Form, found: &mut Vec<Sentence>) {
    let mut from = span.start;
    while let Some(end) = end_of_sentence(&text[from..span.end]) {
        push(text, from..from + end, form, found);
        from += end;
    }
    push(text, from..span.end, form, found);
}

/// Where the first sentence of a text ends, if another one follows: behind its mark, quotes, brackets and citations.
pub fn end_of_sentence(text: &str) -> Option<usize> {
    let mut letters = text.char_indices().peekable();
    while let Some((at, mark)) = letters.next() {
        if !matches!(mark, '.' | '!' | '?' | '…') {
            continue;
        }
        let mut end = at + mark.len_utf8();
        while let Some((next, closing)) =
            letters.next_if(|(_, c)| matches!(c, '.' | '!' | '?' | '"' | '\'' | ')' | '”' | '“' | '»' | '*' | '`'))
        {
            end = next + closing.len_utf8();
        }
        end += citations_len(&text[end..]);
        let rest = &text[end..];
        if !rest.starts_with(char::is_whitespace) || mark == '.' && is_abbreviation(&text[..at]) {
            continue;
        }
        // A small letter goes on with the sentence.
        if rest.trim_start().starts_with(|c: char| !c.is_lowercase()) {
            return Some(end);
        }
    }
    None
}

/// Bytes of the citations that follow a sentence's mark: ` [1] [2, 3]`.
fn citations_len(text: &str) -> usize {
    let mut len = 0;
    loop {
        let rest = &text[len..];
        let inner = rest.trim_start_matches(' ');
        let Some(close) = inner.strip_prefix('[').and_then(|inner| inner.find(']')) else { return len };
        let inside = &inner[1..=close];
        if inside.is_empty() || !inside.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | ' ' | ';' | '^')) {
            return len;
        }
        len += rest.len() - inner.len() + close + 2;
    }
}

fn is_abbreviation(before: &str) -> bool {
    let before = before.trim_start_matches(['-', '*', ' ']).to_lowercase();
    // A number at the begin of an item, a day of a German date, an initial.
    let last = before.rsplit([' ', '(', '\n']).next().unwrap_or_default();
    let digits = !last.is_empty() && last.len() <= 2 && last.chars().all(|c| c.is_ascii_digit());
    let initial = last.chars().count() == 1 && last.chars().all(char::is_alphabetic);
    let known = |short: &&str| {
        before.strip_suffix(*short).is_some_and(|rest| !rest.chars().next_back().is_some_and(char::is_alphanumeric))
    };
    digits || initial || ABBREVIATIONS.iter().any(|short| known(&short))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_up(text: &str) -> Vec<String> {
        sentences(text).into_iter().map(|s| format!("{:?}: {}", s.form, &text[s.span])).collect()
    }

    #[test]
    fn prose() {
        assert_eq!(
            cut_up("First one. Second, e.g. this one!  Der 3. Satz gilt z. B. hier? (Yes.) \nStill the\nsame line"),
            [
                "Prose: First one.",
                "Prose: Second, e.g. this one!",
                "Prose: Der 3. Satz gilt z. B. hier?",
                "Prose: (Yes.)",
                "Prose: Still the\nsame line"
            ]
        );
        assert_eq!(cut_up("Set a.b to 1.5 now. Done."), ["Prose: Set a.b to 1.5 now.", "Prose: Done."]);
    }

    #[test]
    fn citations_belong_to_the_sentence_before_them() {
        assert_eq!(cut_up("It runs. [1] [2, 3] It stops [4]."), ["Prose: It runs. [1] [2, 3]", "Prose: It stops [4]."]);
        assert_eq!(end_of_sentence("It runs. [see] there"), Some(8));
        assert_eq!(end_of_sentence("It runs."), None, "nothing follows yet");
    }

    #[test]
    fn markdown() {
        let text = "# Head. One\n\nIntro:\n\n- item one. Two\n- item\n1. step\n\n| a | b |\n| --- | --- |\n\n```sh\nrun it. Now\n```\nend";
        assert_eq!(
            cut_up(text),
            [
                "Heading: # Head. One",
                "Prose: Intro:",
                "Item: - item one.",
                "Item: Two",
                "Item: - item",
                "Item: 1. step",
                "Item: | a | b |",
                "Code: run it. Now",
                "Prose: end"
            ]
        );
    }

    #[test]
    fn fields_and_keys() {
        assert_eq!(
            cut_up(
                "Title: It jams\nState: New\n\nDescription: One. Two.\nspec:\n  - image: x:1\n    name: y\nNote: it\ngoes on."
            ),
            [
                "Item: Title: It jams",
                "Item: State: New",
                "Prose: Description: One.",
                "Prose: Two.",
                "Code: spec:",
                "Code: - image: x:1",
                "Code: name: y",
                "Prose: Note: it\ngoes on."
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn every_word_is_in_one_sentence(text in "[a-zäA-Z.!?\\[\\]0-9 \\n#`|*-]{0,200}") {
            let found = sentences(&text);
            proptest::prop_assert!(found.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start));
            proptest::prop_assert!(found.iter().all(|s| !text[s.span.clone()].trim().is_empty()));
        }
    }
}
