//! Text becomes terms: words folded and stemmed by their language, identifiers taken apart and kept whole, stop words told.

use std::borrow::Cow;

use frostem::{Algorithm, Stemmer};

use super::stop;

/// How the words of a text are folded. What is neither German nor English is indexed as written, lower-cased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tongue {
    /// English.
    English,
    /// German.
    German,
    /// Any other language: no stemming, no stop words.
    Other,
}

impl Tongue {
    /// By a language's code of two or three letters (`de`, `deu`, `en-GB`).
    pub fn of(code: &str) -> Self {
        let base = code.split(['-', '_']).next().unwrap_or(code).to_ascii_lowercase();
        match base.as_str() {
            "de" | "deu" | "ger" | "german" => Self::German,
            "en" | "eng" | "english" => Self::English,
            _ => Self::Other,
        }
    }

    /// The code that a document of this language gets, where it is one of the two.
    pub fn code(self) -> Option<&'static str> {
        match self {
            Self::English => Some("en"),
            Self::German => Some("de"),
            Self::Other => None,
        }
    }

    fn stemmer(self) -> Option<Stemmer> {
        match self {
            Self::English => Some(Stemmer::new(Algorithm::English)),
            Self::German => Some(Stemmer::new(Algorithm::German)),
            Self::Other => None,
        }
    }

    /// Whether a lower-cased word says nothing about what a text is about.
    pub fn is_stop(self, word: &str) -> bool {
        match self {
            Self::English => stop::english(word),
            Self::German => stop::german(word),
            Self::Other => false,
        }
    }
}

/// Letters of a word that are kept; what is longer is no word (a key, a blob) and would only fill the dictionary.
pub const WORD_BYTES_MAX: usize = 96;
/// Pieces that a joined token (a path, a dotted name) may have to be kept whole as well.
const JOINED_PIECES_MAX: usize = 12;

/// What a word is to the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A word that carries meaning.
    Word,
    /// A word of the stop list: kept for exact phrases, never scored.
    Stop,
    /// A part of an identifier, at the place of the whole.
    Part,
    /// A name of several words with marks between them, whole.
    Joined,
}

/// One term and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Folded and stemmed.
    pub text: String,
    /// The word lower-cased, before stemming; empty for parts and joined names.
    pub surface: String,
    /// Number of the word in the text.
    pub position: u32,
    /// What it is.
    pub role: Role,
}

/// The terms of a text in their order.
pub fn terms(text: &str, tongue: Tongue) -> Vec<Term> {
    let mut reader =
        Reader { tongue, stemmer: tongue.stemmer(), found: Vec::with_capacity(text.len() / 5), position: 0 };
    let mut run: Vec<(usize, usize)> = Vec::new();
    for (start, end) in word_spans(text) {
        if let Some(&(_, before)) = run.last()
            && !joins(&text[before..start])
        {
            reader.run(text, &run);
            run.clear();
        }
        run.push((start, end));
    }
    reader.run(text, &run);
    reader.found
}

/// Whether two words with this between them are one name: `kube-system`, `a/b.rs`, `10.0.0.1`, `ns::name`.
fn joins(between: &str) -> bool {
    matches!(between, "." | "-" | "/" | ":" | "::" | "@" | "\\")
}

/// Byte spans of the runs of letters, digits and underscores.
fn word_spans(text: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut letters = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let start = loop {
            let (at, letter) = letters.next()?;
            if is_word(letter) {
                break at;
            }
        };
        let mut end = text.len();
        while let Some(&(at, letter)) = letters.peek() {
            if !is_word(letter) {
                end = at;
                break;
            }
            letters.next();
        }
        Some((start, end))
    })
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || ('\u{300}'..='\u{36f}').contains(&letter)
}

struct Reader {
    tongue: Tongue,
    stemmer: Option<Stemmer>,
    found: Vec<Term>,
    position: u32,
}

impl Reader {
    /// Words with nothing but joining marks between them.
    fn run(&mut self, text: &str, spans: &[(usize, usize)]) {
        let (Some(&(start, _)), Some(&(_, end))) = (spans.first(), spans.last()) else { return };
        if (2..=JOINED_PIECES_MAX).contains(&spans.len()) && end - start <= WORD_BYTES_MAX {
            let whole = lower(&text[start..end]).into_owned();
            self.found.push(Term { text: whole, surface: String::new(), position: self.position, role: Role::Joined });
        }
        for &(start, end) in spans {
            if end - start <= WORD_BYTES_MAX {
                self.word(&text[start..end]);
            }
            self.position += 1;
        }
    }

    fn word(&mut self, word: &str) {
        let whole = lower(word);
        let trimmed = whole.trim_matches('_');
        if trimmed.is_empty() {
            return;
        }
        if trimmed.chars().any(is_ideograph) {
            return self.ideographs(trimmed);
        }
        let parts = identifier_parts(word);
        if parts.len() > 1 {
            self.push(trimmed.to_owned(), String::new(), Role::Word);
            for part in parts {
                let part = lower(part);
                if part.chars().nth(1).is_some() && !self.tongue.is_stop(&part) {
                    let stem = self.stem(&part);
                    self.push(stem, String::new(), Role::Part);
                }
            }
            return;
        }
        let one = trimmed.chars().nth(1).is_none();
        let role = if one || self.tongue.is_stop(trimmed) { Role::Stop } else { Role::Word };
        let stem = self.stem(trimmed);
        self.push(stem, trimmed.to_owned(), role);
    }

    /// Writing without blanks is indexed by pairs of letters.
    fn ideographs(&mut self, word: &str) {
        let letters: Vec<char> = word.chars().collect();
        let width = if letters.len() == 1 { 1 } else { 2 };
        for pair in letters.windows(width) {
            self.push(pair.iter().collect(), String::new(), Role::Word);
        }
    }

    fn stem(&self, word: &str) -> String {
        match self.stemmer {
            Some(stemmer) => fold(&stemmer.stem(word)).into_owned(),
            None => fold(word).into_owned(),
        }
    }

    fn push(&mut self, text: String, surface: String, role: Role) {
        self.found.push(Term { text, surface, position: self.position, role });
    }
}

/// A single word as the index holds it.
pub fn stem(word: &str, tongue: Tongue) -> String {
    match tongue.stemmer() {
        Some(stemmer) => fold(&stemmer.stem(word)).into_owned(),
        None => fold(word).into_owned(),
    }
}

fn is_ideograph(letter: char) -> bool {
    matches!(letter, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

/// Lower case, with umlauts that were written as two characters put together.
fn lower(word: &str) -> Cow<'_, str> {
    if word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return Cow::Borrowed(word);
    }
    let mut text = String::with_capacity(word.len());
    for letter in word.chars() {
        match (letter, text.chars().next_back()) {
            ('\u{308}', Some('a')) => replace_last(&mut text, 'ä'),
            ('\u{308}', Some('o')) => replace_last(&mut text, 'ö'),
            ('\u{308}', Some('u')) => replace_last(&mut text, 'ü'),
            ('\u{300}'..='\u{36f}', _) => {}
            _ => text.extend(letter.to_lowercase()),
        }
    }
    Cow::Owned(text)
}

fn replace_last(text: &mut String, letter: char) {
    text.pop();
    text.push(letter);
}

/// Marks on letters taken away, after stemming: `ü` and `u` meet, `ß` is `ss`.
fn fold(word: &str) -> Cow<'_, str> {
    if word.is_ascii() {
        return Cow::Borrowed(word);
    }
    let mut text = String::with_capacity(word.len());
    for letter in word.chars() {
        match letter {
            'ä' | 'à' | 'á' | 'â' | 'ã' | 'å' => text.push('a'),
            'ö' | 'ò' | 'ó' | 'ô' | 'õ' | 'ø' => text.push('o'),
            'ü' | 'ù' | 'ú' | 'û' => text.push('u'),
            'è' | 'é' | 'ê' | 'ë' => text.push('e'),
            'ì' | 'í' | 'î' | 'ï' => text.push('i'),
            'ç' => text.push('c'),
            'ñ' => text.push('n'),
            'ß' => text.push_str("ss"),
            other => text.push(other),
        }
    }
    Cow::Owned(text)
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Class {
    Lower,
    Upper,
    Digit,
    Mark,
}

fn class(letter: char) -> Class {
    if letter == '_' {
        Class::Mark
    } else if letter.is_numeric() {
        Class::Digit
    } else if letter.is_uppercase() {
        Class::Upper
    } else {
        Class::Lower
    }
}

/// `parseHTTPRequest2` is `parse`, `HTTP`, `Request`, `2`; a plain word is one part.
fn identifier_parts(word: &str) -> Vec<&str> {
    let letters: Vec<(usize, Class)> = word.char_indices().map(|(at, letter)| (at, class(letter))).collect();
    let mut parts = Vec::new();
    let mut start = 0;
    for n in 1..=letters.len() {
        let end = letters.get(n).map_or(word.len(), |&(at, _)| at);
        let cut = match letters.get(n) {
            None => true,
            Some(&(_, here)) => {
                let before = letters[n - 1].1;
                let upper_word = before == Class::Upper
                    && here == Class::Upper
                    && letters.get(n + 1).is_some_and(|l| l.1 == Class::Lower);
                upper_word || (before != here && !(before == Class::Upper && here == Class::Lower))
            }
        };
        if cut {
            if letters[n - 1].1 != Class::Mark {
                parts.push(&word[start..end]);
            }
            start = end;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, tongue: Tongue) -> Vec<String> {
        terms(text, tongue).into_iter().filter(|term| term.role != Role::Stop).map(|term| term.text).collect()
    }

    #[test]
    fn words_become_terms() {
        let table: &[(&str, Tongue, &[&str])] = &[
            ("The running pods were evicted", Tongue::English, &["run", "pod", "evict"]),
            ("Die Häuser der Straße", Tongue::German, &["haus", "strass"]),
            ("Ha\u{308}user", Tongue::German, &["haus"]),
            ("parseHTTPRequest", Tongue::English, &["parsehttprequest", "pars", "http", "request"]),
            ("snake_case_name", Tongue::English, &["snake_case_name", "snake", "case", "name"]),
            ("kube-system", Tongue::English, &["kube-system", "kube", "system"]),
            ("at 10.0.0.12", Tongue::Other, &["at", "10.0.0.12", "10", "12"]),
            ("src/main.rs", Tongue::English, &["src/main.rs", "src", "main", "rs"]),
            ("東京都", Tongue::Other, &["東京", "京都"]),
        ];
        for (text, tongue, expected) in table {
            assert_eq!(texts(text, *tongue), *expected, "{text}");
        }
    }

    #[test]
    fn parts_stand_where_the_whole_stands() {
        let found = terms("call readFile now", Tongue::English);
        let at = |text: &str| found.iter().find(|term| term.text == text).map(|term| term.position);
        assert_eq!((at("readfile"), at("read"), at("file"), at("call")), (Some(1), Some(1), Some(1), Some(0)));
    }

    #[test]
    fn any_text_is_read() {
        for text in ["", "_", "___", "\u{308}", "ß", "İstanbul", "a\u{300}\u{301}", "💡 idea", &"x".repeat(9999)] {
            for tongue in [Tongue::English, Tongue::German, Tongue::Other] {
                terms(text, tongue);
            }
        }
    }
}
