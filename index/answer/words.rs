//! Words that carry meaning, in German and English, and whether a text has them. Cheap and blunt on purpose: it judges
//! what a model said, and must not need one.

use std::collections::HashSet;

/// Letters from which on a word may be a part of a compound (`Sicherung` in `Datensicherung`).
const COMPOUND_MIN: usize = 6;
/// Letters that a stem keeps.
const STEM_MIN: usize = 3;
/// What a word that names one thing (`k8s-node-7`, `ADR`, `HTTP2`) weighs beside an ordinary one.
const NAME_WEIGHT: f32 = 2.0;
/// What a short word weighs.
const SHORT_WEIGHT: f32 = 0.7;

const STOP: &[&str] = &[
    // English.
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "because", "been",
    "before", "being", "between", "both", "but", "by", "can", "could", "did", "do", "does", "doing", "done", "each",
    "for", "from", "get", "give", "had", "has", "have", "having", "he", "her", "here", "his", "how", "i", "if", "in",
    "into", "is", "it", "its", "just", "let", "like", "many", "may", "me", "might", "more", "most", "much", "must",
    "my", "no", "not", "of", "on", "one", "only", "or", "other", "our", "out", "over", "please", "same", "shall",
    "she", "should", "so", "some", "such", "tell", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "this", "those", "through", "to", "too", "under", "until", "up", "use", "used", "using", "very", "was",
    "way", "we", "were", "what", "when", "where", "which", "while", "who", "whom", "whose", "why", "will", "with",
    "would", "you", "your", // German.
    "ab", "aber", "alle", "allem", "allen", "aller", "alles", "als", "am", "an", "auch", "auf", "aus", "bei", "beim",
    "bin", "bis", "bitte", "da", "dabei", "damit", "dann", "darf", "das", "dass", "dein", "dem", "den", "denn", "der",
    "des", "die", "dies", "diese", "diesem", "diesen", "dieser", "dieses", "doch", "dort", "du", "durch", "ein",
    "eine", "einem", "einen", "einer", "eines", "er", "es", "etwa", "für", "gegen", "geht", "gibt", "hat", "habe",
    "haben", "hier", "ich", "ihr", "ihre", "im", "immer", "in", "ins", "ist", "ja", "jede", "jeden", "jeder", "jedes",
    "kann", "kein", "keine", "können", "lässt", "man", "mein", "meine", "mich", "mir", "mit", "muss", "müssen", "nach",
    "nicht", "noch", "nun", "nur", "ob", "oder", "ohne", "sein", "seine", "sehr", "sich", "sie", "sind", "so", "soll",
    "sollen", "sollte", "sowie", "über", "um", "und", "uns", "unser", "unsere", "unter", "vom", "von", "vor", "wann",
    "war", "waren", "warum", "was", "welche", "welchem", "welchen", "welcher", "welches", "wenn", "wer", "werde",
    "werden", "wie", "wieso", "wieviel", "viele", "wir", "wird", "wo", "woher", "wohin", "wozu", "wurde", "wurden",
    "zu", "zum", "zur", "zwischen",
];

/// Ends of words that are cut, longest first.
const ENDS: &[&str] = &[
    "ungen", "ieren", "iert", "ings", "ung", "ing", "ern", "est", "ies", "ed", "en", "er", "es", "em", "et", "e", "n",
    "s", "t", "y",
];

/// A word of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// As it is written.
    pub written: String,
    /// What stays when its last end is cut; a compound holds it so.
    root: String,
    /// What stays when its ends are cut.
    pub stem: String,
    /// What it weighs.
    pub weight: f32,
    /// Whether it names one thing: a number, a version, an identifier, letters in capitals.
    pub is_name: bool,
}

/// The words of a text that carry meaning, each once, in order.
pub fn content(text: &str) -> Vec<Word> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    for written in pieces(text) {
        let lower = written.to_lowercase();
        if STOP.contains(&lower.as_str()) {
            continue;
        }
        let (folded, is_name) = (fold(&lower), is_name(written));
        let (root, stem) = (root(&folded).to_owned(), stem(&folded));
        let short = lower.chars().count() < 2 && !is_name;
        if short || !seen.insert(stem.clone()) {
            continue;
        }
        let weight = match (is_name, lower.chars().count()) {
            (true, _) => NAME_WEIGHT,
            (false, ..=4) => SHORT_WEIGHT,
            _ => 1.0,
        };
        found.push(Word { written: written.to_owned(), root, stem, weight, is_name });
    }
    found
}

/// Runs of letters and digits, with what joins the parts of a name: `k8s-node_7`, `a.b`, `x/y`.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let whole = text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_' | '.' | '/' | ':'));
    whole
        .map(|piece| piece.trim_matches(['-', '_', '.', '/', ':']))
        .filter(|piece| !piece.is_empty())
        // Joined words of ordinary language are words of their own.
        .flat_map(|piece| match has_mark(piece) {
            true => vec![piece],
            false => piece.split(['-', '/', '.', ':']).filter(|part| !part.is_empty()).collect(),
        })
}

/// Digits or an underscore make a joined piece a name.
fn has_mark(piece: &str) -> bool {
    piece.contains('_') || piece.chars().any(|c| c.is_ascii_digit())
}

fn is_name(written: &str) -> bool {
    let inner_capital = written.chars().skip(1).any(char::is_uppercase);
    has_mark(written) || inner_capital
}

/// Umlauts as their letters.
fn fold(lower: &str) -> String {
    let mut folded = String::with_capacity(lower.len());
    for letter in lower.chars() {
        match letter {
            'ä' => folded.push('a'),
            'ö' => folded.push('o'),
            'ü' => folded.push('u'),
            'ß' => folded.push_str("ss"),
            other => folded.push(other),
        }
    }
    folded
}

/// A word without its last end.
fn root(folded: &str) -> &str {
    if has_mark(folded) {
        return folded;
    }
    let long = |rest: &&str| rest.chars().count() >= STEM_MIN;
    ENDS.iter().find_map(|end| folded.strip_suffix(end).filter(long)).unwrap_or(folded)
}

/// A word without two ends: `Sicherungen` and `sichern` meet only there.
fn stem(folded: &str) -> String {
    root(root(folded)).to_owned()
}

/// The words of a text, ready to be asked for.
#[derive(Debug, Clone, Default)]
pub struct Bag {
    stems: HashSet<String>,
    long: Vec<String>,
    lower: String,
}

impl Bag {
    /// The words of a text.
    pub fn of(text: &str) -> Bag {
        let lower = text.to_lowercase();
        let folded = fold(&lower);
        // A joined name is asked for by its parts, too.
        let mut stems = HashSet::new();
        let mut long = HashSet::new();
        for piece in pieces(&folded) {
            for part in std::iter::once(piece).chain(piece.split(['-', '_', '.', '/', ':'])) {
                stems.insert(stem(part));
                if part.len() > COMPOUND_MIN {
                    long.insert(part.to_owned());
                }
            }
        }
        Bag { stems, long: long.into_iter().collect(), lower }
    }

    /// Whether a word stands there, maybe as a part of a compound.
    pub fn has(&self, word: &Word) -> bool {
        if word.is_name {
            return self.has_name(&word.written);
        }
        self.stems.contains(&word.stem)
            || word.root.len() >= COMPOUND_MIN && self.long.iter().any(|long| long.contains(word.root.as_str()))
    }

    /// Whether a name stands there letter by letter, and not as a part of a longer one: `10` is not in `100`.
    pub fn has_name(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let apart = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
        self.lower.match_indices(&name).any(|(at, _)| {
            apart(self.lower[..at].chars().next_back()) && apart(self.lower[at + name.len()..].chars().next())
        })
    }

    /// The part of these words' weight that stands there; 0 for none.
    pub fn share(&self, words: &[Word]) -> f32 {
        let total: f32 = words.iter().map(|word| word.weight).sum();
        let there: f32 = words.iter().filter(|word| self.has(word)).map(|word| word.weight).sum();
        if total > 0.0 { there / total } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Vec<String> {
        content(text).into_iter().map(|word| word.written).collect()
    }

    #[test]
    fn words_that_carry_meaning() {
        assert_eq!(
            written("How do I restart the build-agents on k8s-node_7?"),
            ["restart", "build", "agents", "k8s-node_7"]
        );
        assert_eq!(written("Wie lange werden die Sicherungen aufbewahrt?"), ["lange", "Sicherungen", "aufbewahrt"]);
        assert_eq!(written("What is it?"), Vec::<String>::new());
        let weights: Vec<f32> = content("restart HTTP2 pod").iter().map(|word| word.weight).collect();
        assert_eq!(weights, [1.0, NAME_WEIGHT, SHORT_WEIGHT]);
    }

    #[test]
    fn a_text_has_words_in_other_forms() {
        for (text, question, share) in [
            ("Backups are kept for 30 days.", "How long is a backup kept?", 0.7),
            ("Die Datensicherung läuft nachts.", "Wann läuft die Sicherung?", 1.0),
            ("Alle Sicherungen werden geprüft.", "Wer prüft die Sicherung?", 0.4),
            ("The port is 8080.", "Is port 80 open?", 0.25),
            ("Unrelated words.", "Who owns the ledger?", 0.0),
        ] {
            let found = Bag::of(text).share(&content(question));
            assert!(found >= share - 0.26 && found <= share + 0.26, "{question}: {found}, not {share}");
        }
        assert!(Bag::of("ports 80 and 443").has_name("443") && !Bag::of("8080").has_name("80"));
    }
}
