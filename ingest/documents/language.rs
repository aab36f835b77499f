//! German or English, by the small words that nearly every sentence has.

/// Words of a text that decide.
const WORDS_MAX: usize = 2_000;
/// Fewer small words than this decide nothing.
const HITS_MIN: usize = 3;

const GERMAN: &[&str] = &[
    "der", "die", "das", "und", "ist", "nicht", "ein", "eine", "einen", "einer", "mit", "für", "auf", "von", "den",
    "dem", "des", "zu", "wird", "werden", "sind", "im", "auch", "als", "bei", "oder", "nach", "wir", "sich", "über",
    "kann", "zum", "zur", "aus",
];
const ENGLISH: &[&str] = &[
    "the", "and", "is", "not", "of", "to", "with", "for", "this", "that", "are", "be", "or", "as", "by", "it", "from",
    "can", "we", "you", "your", "if", "when", "which", "will", "has", "have", "should", "at", "a",
];

/// The language of a text; `None` where neither is clearly ahead.
pub fn guess(text: &str) -> Option<&'static str> {
    let (mut german, mut english) = (0, 0);
    let words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    for word in words.take(WORDS_MAX) {
        let word = word.to_lowercase();
        german += usize::from(GERMAN.contains(&word.as_str()));
        english += usize::from(ENGLISH.contains(&word.as_str()));
    }
    match (german, english) {
        (german, english) if german >= HITS_MIN && german > english + english / 2 => Some("de"),
        (german, english) if english >= HITS_MIN && english > german + german / 2 => Some("en"),
        _ => None,
    }
}

/// The language that a document names itself.
pub fn named(tag: &str) -> Option<&'static str> {
    match tag.split(['-', '_']).next().unwrap_or_default().to_lowercase().as_str() {
        "de" | "german" | "deutsch" => Some("de"),
        "en" | "english" => Some("en"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages() {
        assert_eq!(guess("Die Anlage ist nicht in Betrieb und wird von uns geprüft."), Some("de"));
        assert_eq!(guess("The plant is not in operation and will be checked by us."), Some("en"));
        assert_eq!(guess("fn main() { println!(); }"), None);
        assert_eq!((named("de-AT"), named("fr")), (Some("de"), None));
    }
}
