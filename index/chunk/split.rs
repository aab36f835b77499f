//! Where a stretch of text may be cut: at blank lines, behind sentences, lines or words, and at last in the middle.

use super::node::Grain;

/// Words that end in a full stop without ending a sentence.
const SHORT: &[&str] = &[
    "e.g", "i.e", "etc", "cf", "vs", "no", "nr", "fig", "approx", "resp", "mr", "mrs", "ms", "dr", "prof", "st", "inc",
    "z.b", "d.h", "u.a", "o.ä", "bzw", "ca", "vgl", "ggf", "usw", "evtl", "inkl", "abs", "art", "s", "p", "jan", "feb",
    "aug", "sep", "sept", "oct", "okt", "nov", "dec", "dez",
];

/// The ends of the pieces that a text falls into; the last is its length. One piece where there is nowhere to cut.
pub(super) fn cuts(text: &str, grain: Grain) -> Vec<usize> {
    let mut ends = match grain {
        Grain::Paragraph => paragraphs(text),
        Grain::Sentence => sentences(text),
        Grain::Line => text.match_indices('\n').map(|(at, _)| at + 1).collect(),
        Grain::Word => words(text),
        Grain::Half => half(text),
    };
    ends.retain(|end| *end > 0 && *end < text.len());
    ends.push(text.len());
    ends
}

/// Behind the blank lines of each run of them.
fn paragraphs(text: &str) -> Vec<usize> {
    let (mut ends, mut blank, mut seen) = (Vec::new(), false, false);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let empty = line.trim().is_empty();
        if blank && !empty && seen {
            ends.push(at);
        }
        (blank, seen) = (empty, seen || !empty);
        at += line.len();
    }
    ends
}

fn sentences(text: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        if matches!(c, '。' | '！' | '？') {
            ends.push(at + c.len_utf8());
            continue;
        }
        if !matches!(c, '.' | '!' | '?' | '…') {
            continue;
        }
        while rest
            .next_if(|(_, c)| matches!(c, '.' | '!' | '?' | '"' | '\'' | ')' | ']' | '”' | '“' | '»' | '’'))
            .is_some()
        {}
        if rest.next_if(|(_, c)| c.is_whitespace()).is_none() {
            continue;
        }
        while rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        let Some((next, follows)) = rest.peek().copied() else { break };
        if !follows.is_lowercase() && !(c == '.' && is_short(&text[..at])) {
            ends.push(next);
        }
    }
    ends
}

/// Whether the full stop behind this text belongs to a word: an abbreviation, an initial, a number of German.
fn is_short(before: &str) -> bool {
    let from = before.rfind(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"')).map_or(0, |at| at + 1);
    let Some(word) = before.get(from..) else { return false };
    let lower = word.to_lowercase();
    let number = !word.is_empty() && word.len() <= 2 && word.bytes().all(|b| b.is_ascii_digit());
    number || word.chars().count() == 1 || SHORT.contains(&lower.as_str())
}

fn words(text: &str) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut space = false;
    for (at, c) in text.char_indices() {
        if space && !c.is_whitespace() {
            ends.push(at);
        }
        space = c.is_whitespace();
    }
    ends
}

fn half(text: &str) -> Vec<usize> {
    let mut middle = text.len() / 2;
    while middle > 0 && !text.is_char_boundary(middle) {
        middle -= 1;
    }
    if middle == 0 {
        middle = text.chars().next().map_or(0, char::len_utf8);
    }
    vec![middle]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(grain: Grain, text: &str, wanted: &[&str]) {
        let mut from = 0;
        let pieces: Vec<&str> = cuts(text, grain)
            .into_iter()
            .map(|end| {
                let piece = &text[from..end];
                from = end;
                piece
            })
            .collect();
        assert_eq!(pieces, wanted);
        assert_eq!(pieces.concat(), text);
    }

    #[test]
    fn texts_are_cut_where_a_reader_would() {
        check(Grain::Paragraph, "\n\na\nb\n\n \nc", &["\n\na\nb\n\n \n", "c"]);
        check(
            Grain::Sentence,
            "One is e.g. this. Two, z.B. Das! \"Three?\" the 3. Mai ends. four",
            &["One is e.g. this. ", "Two, z.B. Das! ", "\"Three?\" the 3. Mai ends. four"],
        );
        check(Grain::Sentence, "あ。い。", &["あ。", "い。"]);
        check(Grain::Line, "a\n\nb", &["a\n", "\n", "b"]);
        check(Grain::Word, " a  b c", &[" ", "a  ", "b ", "c"]);
        check(Grain::Half, "äöü", &["ä", "öü"]);
        check(Grain::Half, "😀", &["😀"]);
        check(Grain::Half, "", &[""]);
    }
}
