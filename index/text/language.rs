//! Which of the known languages a text is written in. Questions are too short for statistics of letters: their small words
//! tell more.

use super::stop;
use super::words::Tongue;

/// Bytes of a document that are looked at.
const LOOKED_AT_BYTES: usize = 2048;
/// Bytes from which statistics of letters are believed.
const LONG_BYTES: usize = 160;

/// The language of a document, English where nothing speaks for another: names in code and configuration are English.
pub fn of_document(text: &str) -> Tongue {
    let text = head(text);
    if text.len() >= LONG_BYTES
        && let Some(info) = whatlang::detect(text)
        && info.is_reliable()
    {
        return match info.lang() {
            whatlang::Lang::Eng => Tongue::English,
            whatlang::Lang::Deu => Tongue::German,
            _ => small_words(text).unwrap_or(Tongue::Other),
        };
    }
    small_words(text).unwrap_or(Tongue::English)
}

/// The language of a question, where it can be told.
pub fn of_question(text: &str) -> Option<Tongue> {
    small_words(head(text))
}

/// By the small words and letters that only one of the languages has.
fn small_words(text: &str) -> Option<Tongue> {
    let (mut german, mut english) = (0, 0);
    for word in text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        match (stop::german(&word), stop::english(&word)) {
            (true, false) => german += 2,
            (false, true) => english += 2,
            _ => german += usize::from(word.contains(['ä', 'ö', 'ü', 'ß'])),
        }
    }
    match german.cmp(&english) {
        std::cmp::Ordering::Greater => Some(Tongue::German),
        std::cmp::Ordering::Less => Some(Tongue::English),
        std::cmp::Ordering::Equal => None,
    }
}

fn head(text: &str) -> &str {
    let mut end = text.len().min(LOOKED_AT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_told() {
        let table: &[(&str, Option<Tongue>)] = &[
            ("Wie viele Punkte gab die Verteidigung ab?", Some(Tongue::German)),
            ("how many points did the defense give up", Some(Tongue::English)),
            ("Schlüssel löschen", Some(Tongue::German)),
            ("kubectl get pods", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(of_question(text), *expected, "{text}");
        }
        let french = "Les cartes sont distribuées aux joueurs dans le sens inverse des aiguilles d'une montre, et le premier joueur \
                      qui a vidé sa main gagne la partie, sauf quand les autres joueurs refusent de payer.";
        assert_eq!(of_document(french), Tongue::Other);
        assert_eq!(of_document("fn main() {}"), Tongue::English);
    }
}
