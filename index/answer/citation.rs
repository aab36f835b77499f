//! What a model said, sentence by sentence, held against the sources before anybody reads it: citations that name no source
//! go, a sentence that a source supports gets that source, one that none supports is marked.

use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::extract::{Extract, quotation};
use super::injection;
use super::phrase::{Language, says_not_there};
use super::retriever::Passage;
use super::sentence::end_of_sentence;
use super::words::{Bag, Word, content};

/// Share of a sentence's words that its source must hold.
const SUPPORT_MIN: f32 = 0.6;
/// A source that a sentence names counts from this share on: whoever cites has read it, and may say it in other words.
const CITED_MIN: f32 = 0.4;
/// Bytes without an end of a sentence, after which the text counts as one.
const SENTENCE_BYTES_MAX: usize = 2_000;
/// Bytes behind a sentence's end in which a citation would have begun and ended.
const CITATION_BYTES_MAX: usize = 16;

static CITATION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\[\^?(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]").expect("a valid expression"));

/// How a source supports a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// It is a sentence of the source.
    Verbatim,
    /// The source has its words and every name and number in it.
    Words,
    /// It names a source in another language, which has every name and number in it.
    Cited,
    /// It says nothing that could be checked (`Yes.`).
    Nothing,
    /// No source does.
    None,
}

/// A sentence of an answer.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Sentence {
    /// The sentence with its citations, as it is shown.
    pub text: String,
    /// How it is supported.
    pub support: Support,
    /// Its sources, counted from 1.
    pub citations: Vec<usize>,
    /// Where its sources say it.
    #[serde(skip)]
    pub quotes: Vec<Extract>,
}

/// A passage as a sentence is held against it.
#[derive(Debug, Clone)]
pub struct Shown {
    passage: Passage,
    bag: Bag,
    is_foreign: bool,
}

/// The passages that a model was shown, for an answer in a language.
pub fn shown(passages: &[Passage], language: Language) -> Arc<[Shown]> {
    let of = |passage: &Passage| {
        let said = injection::without(&passage.text, &injection::orders(&passage.text));
        let bag = Bag::of(&format!("{}\n{}\n{said}", passage.title, passage.heading));
        let is_foreign = passage.language.as_deref().is_some_and(|known| !known.starts_with(language.code()));
        Shown { passage: passage.clone(), bag, is_foreign }
    };
    passages.iter().map(of).collect()
}

/// Takes a model's words and gives sentences.
#[derive(Debug)]
pub struct Checker {
    shown: Arc<[Shown]>,
    /// Names in the question are no claims of the answer.
    question: Bag,
    waiting: String,
    /// Citations that named no source, or one that says something else.
    pub dropped: usize,
    /// The model said that the sources do not answer.
    pub is_not_there: bool,
}

impl Checker {
    /// For an answer to this question.
    pub fn new(shown: Arc<[Shown]>, question: &str) -> Checker {
        Checker { shown, question: Bag::of(question), waiting: String::new(), dropped: 0, is_not_there: false }
    }

    /// The sentences that these words complete.
    pub fn push(&mut self, piece: &str) -> Vec<Sentence> {
        self.waiting.push_str(piece);
        let mut found = Vec::new();
        while let Some(end) = self.end() {
            let sentence: String = self.waiting.drain(..end).collect();
            found.extend(self.check(&sentence));
        }
        found
    }

    /// The sentence that the end of the answer completes.
    pub fn finish(&mut self) -> Vec<Sentence> {
        let rest = std::mem::take(&mut self.waiting);
        self.check(&rest).into_iter().collect()
    }

    /// Where the first sentence of what waits ends, if it surely does.
    fn end(&self) -> Option<usize> {
        let line = self
            .waiting
            .trim_start()
            .find('\n')
            .map(|at| at + self.waiting.len() - self.waiting.trim_start().len() + 1);
        let end = end_of_sentence(&self.waiting);
        let end = match (end, line) {
            (Some(end), Some(line)) => Some(end.min(line)),
            (end, line) => end.or(line),
        };
        let Some(end) = end else {
            return (self.waiting.len() > SENTENCE_BYTES_MAX).then_some(self.waiting.len());
        };
        let rest = self.waiting[end..].trim_start();
        // A citation may have begun that belongs to this sentence.
        let begun = rest.starts_with('[') && !rest.contains(']') && rest.len() < CITATION_BYTES_MAX;
        (!begun && !rest.is_empty()).then_some(end)
    }

    fn check(&mut self, sentence: &str) -> Option<Sentence> {
        if says_not_there(sentence) {
            self.is_not_there = true;
            return None;
        }
        let (plain, named) = self.without_citations(sentence);
        if !plain.chars().any(char::is_alphanumeric) {
            self.dropped += named.len();
            return None;
        }
        let words = content(&plain);
        let (support, kept) = self.support(&plain, &words, &named);
        self.dropped += named.iter().filter(|number| !kept.contains(number)).count();
        let quotes =
            kept.iter().filter_map(|number| quotation(&words, &self.shown[number - 1].passage, number - 1)).collect();
        let marks: String = kept.iter().map(|number| format!("[{number}]")).collect();
        let text = match support {
            Support::None => format!("{plain} [?]"),
            _ if marks.is_empty() => plain,
            _ => format!("{plain} {marks}"),
        };
        Some(Sentence { text, support, citations: kept, quotes })
    }

    /// A sentence without its citations, and the sources that they name.
    fn without_citations(&mut self, sentence: &str) -> (String, Vec<usize>) {
        let (mut plain, mut named, mut at) = (String::with_capacity(sentence.len()), Vec::new(), 0);
        for found in CITATION.captures_iter(sentence) {
            let (Some(whole), Some(numbers)) = (found.get(0), found.get(1)) else { continue };
            // `list[0]` is code.
            if sentence[..whole.start()].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            plain.push_str(sentence[at..whole.start()].trim_end_matches(' '));
            at = whole.end();
            for number in numbers.as_str().split([',', ';']).filter_map(|n| n.trim().parse::<usize>().ok()) {
                match (1..=self.shown.len()).contains(&number) {
                    true if named.contains(&number) => {}
                    true => named.push(number),
                    false => self.dropped += 1,
                }
            }
        }
        plain.push_str(&sentence[at..]);
        let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        (plain, named)
    }

    /// How a sentence is supported, and by which sources.
    fn support(&self, plain: &str, words: &[Word], named: &[usize]) -> (Support, Vec<usize>) {
        if plain.split_whitespace().nth(1).is_none() && words.iter().all(|word| !word.is_name) {
            return (Support::Nothing, Vec::new());
        }
        let is_known = |shown: &Shown| {
            let mut names = words.iter().filter(|word| word.is_name);
            names.all(|name| shown.bag.has_name(&name.written) || self.question.has_name(&name.written))
        };
        // Names are asked for by themselves: among the words they would speak for a source in which only they stand.
        let common: Vec<Word> = words.iter().filter(|word| !word.is_name).cloned().collect();
        let share = |shown: &Shown| if common.is_empty() { 1.0 } else { shown.bag.share(&common) };
        let fits = |shown: &Shown, least: f32| {
            is_known(shown) && share(shown) >= least && self.same_sense(plain, words, shown)
        };
        let mut kept: Vec<usize> =
            named.iter().copied().filter(|number| fits(&self.shown[number - 1], CITED_MIN)).collect();
        if kept.is_empty() {
            let best = self.shown.iter().enumerate().filter(|(_, shown)| fits(shown, SUPPORT_MIN));
            let best = best.max_by(|a, b| a.1.bag.share(words).total_cmp(&b.1.bag.share(words)).then(b.0.cmp(&a.0)));
            kept.extend(best.map(|(at, _)| at + 1));
        }
        if !kept.is_empty() {
            let is_there = |number: &usize| self.shown[number - 1].passage.text.contains(plain);
            return (if kept.iter().any(is_there) { Support::Verbatim } else { Support::Words }, kept);
        }
        let foreign = |number: &&usize| self.shown[**number - 1].is_foreign && is_known(&self.shown[**number - 1]);
        let kept: Vec<usize> = named.iter().filter(foreign).copied().collect();
        if kept.is_empty() { (Support::None, kept) } else { (Support::Cited, kept) }
    }

    /// Whether sentence and source agree in whether something is so or not.
    fn same_sense(&self, plain: &str, words: &[Word], shown: &Shown) -> bool {
        let quote = quotation(words, &shown.passage, 0);
        quote
            .is_none_or(|quote| denies(&quote.text) == denies(plain) || Bag::of(&quote.text).share(words) < SUPPORT_MIN)
    }
}

/// Whether a sentence says that something is not so.
fn denies(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "not", "no", "never", "cannot", "none", "nobody", "without", "nor", "nicht", "niemand", "kein", "keine",
        "keinen", "keiner", "keinem", "nie", "niemals", "ohne", "weder",
    ];
    let lower = text.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’');
    words.any(|word| WORDS.contains(&word) || word.ends_with("n't") || word.ends_with("n’t"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Vec<Passage> {
        let of = |text: &str, language: &str| Passage {
            text: text.to_owned(),
            language: Some(language.to_owned()),
            ..Passage::default()
        };
        vec![
            of("Backups of the ledger are kept for 30 days. Nobody may delete them before.", "en"),
            of("The build agent restarts at 04:00 every night. It does not restart on Sundays.", "en"),
            of("Der Fahrdienstleiter darf das Gleis 7 nur nach Meldung freigeben.", "de"),
        ]
    }

    fn checked(said: &str, size: usize) -> (Vec<(String, Support)>, usize) {
        let mut checker = Checker::new(shown(&sources(), Language::English), "How long, and what of agent-9?");
        let letters: Vec<char> = said.chars().collect();
        let mut found: Vec<Sentence> =
            letters.chunks(size).flat_map(|piece| checker.push(&piece.iter().collect::<String>())).collect();
        found.extend(checker.finish());
        (found.into_iter().map(|s| (s.text, s.support)).collect(), checker.dropped)
    }

    #[test]
    fn sentences_are_held_against_the_sources() {
        for (said, expected, support, dropped) in [
            // Said by the source, cited or not.
            (
                "Backups of the ledger are kept for 30 days.",
                "Backups of the ledger are kept for 30 days. [1]",
                Support::Verbatim,
                0,
            ),
            ("Ledger backups are kept 30 days [1].", "Ledger backups are kept 30 days. [1]", Support::Words, 0),
            // The wrong source gives way to the right one, one that is not there is counted.
            ("Ledger backups are kept 30 days [2].", "Ledger backups are kept 30 days. [1]", Support::Words, 1),
            ("Ledger backups are kept 30 days [1, 9].", "Ledger backups are kept 30 days. [1]", Support::Words, 1),
            (
                "The agent restarts at 04:00 every night. [2]",
                "The agent restarts at 04:00 every night. [2]",
                Support::Words,
                0,
            ),
            // A number, a fact or a sense that no source has.
            ("Ledger backups are kept 90 days [1].", "Ledger backups are kept 90 days. [?]", Support::None, 1),
            ("The moon is made of cheese [1].", "The moon is made of cheese. [?]", Support::None, 1),
            (
                "The build agent does not restart every night [2].",
                "The build agent does not restart every night. [?]",
                Support::None,
                1,
            ),
            // Another language: the names must be there.
            ("Track 7 is released after a report [3].", "Track 7 is released after a report. [3]", Support::Cited, 0),
            ("Track 8 is released after a report [3].", "Track 8 is released after a report. [?]", Support::None, 1),
            ("Yes.", "Yes.", Support::Nothing, 0),
        ] {
            for size in [1, 5, 1_000] {
                let (found, lost) = checked(said, size);
                assert_eq!((found, lost), (vec![(expected.to_owned(), support)], dropped), "{said}");
            }
        }
    }

    #[test]
    fn pieces_become_sentences_with_their_citations() {
        let said = "Ledger backups are kept 30 days. [1] The agent restarts at 04:00. [2]\n- list[0] of agent-9";
        for size in [1, 3, 10, 1_000] {
            let (found, _) = checked(said, size);
            let texts: Vec<&str> = found.iter().map(|(text, _)| text.as_str()).collect();
            assert_eq!(
                texts,
                [
                    "Ledger backups are kept 30 days. [1]",
                    "The agent restarts at 04:00. [2]",
                    "- list[0] of agent-9 [?]"
                ]
            );
        }
    }

    #[test]
    fn not_in_the_sources_is_heard() {
        let mut checker = Checker::new(shown(&sources(), Language::English), "?");
        assert!(checker.push("NOT IN THE SOURCES").is_empty() && checker.finish().is_empty());
        assert!(checker.is_not_there);
    }

    #[test]
    fn quotes_have_a_place() {
        let mut checker = Checker::new(shown(&sources(), Language::English), "?");
        checker.push("Nobody may delete them [1].");
        let found = checker.finish();
        let quote = found[0].quotes.first().map(|quote| sources()[0].text[quote.start..quote.end].to_owned());
        assert_eq!(quote.as_deref(), Some("Nobody may delete them before."), "{found:?}");
    }
}
