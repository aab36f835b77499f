//! A question becomes the words that are scored and the phrases that must be there.

use engine::Result;

use super::score::Concept;
use super::snapshot::{Snapshot, tongue_number};
use super::words::{Role, Term, Tongue, stem, terms};

/// How much a compound's part counts beside the compound itself.
const PART_WEIGHT: f32 = 0.5;
/// A language with fewer texts than one in this many is not looked for when the question is in another.
const TONGUE_SHARE: usize = 20;
/// Words of a question that are read; a whole document pasted as a question is cut here.
const WORDS_MAX: usize = 512;

/// A phrase: words and their places.
pub type Phrase = Vec<(usize, String)>;

/// A question as the index reads it.
#[derive(Debug, Default, PartialEq)]
pub struct Asked {
    /// What is scored, in the order of the words.
    pub concepts: Vec<Concept>,
    /// For each phrase, the ways in which a language may have put it down.
    pub phrases: Vec<Vec<Phrase>>,
}

/// Reads a question in a language, against the languages that the index holds.
pub fn read(query: &str, tongue: Option<Tongue>, snapshot: &Snapshot) -> Result<Asked> {
    let tongues = tongues(tongue, snapshot);
    let main = tongues.first().copied().unwrap_or(Tongue::English);
    let mut asked = Asked::default();
    let mut stops = Vec::new();
    let mut read = terms(query, main);
    read.truncate(WORDS_MAX);
    for term in read {
        if term.role == Role::Stop {
            stops.push(term);
        } else {
            put(&mut asked.concepts, concept(&term, &tongues, snapshot)?);
            for part in parts(&term, &tongues, snapshot)? {
                put(&mut asked.concepts, part);
            }
        }
    }
    if asked.concepts.is_empty() {
        for term in stops {
            put(&mut asked.concepts, Concept { weight: 1.0, words: vec![term.text], ..Concept::default() });
        }
    }
    for phrase in quoted(query) {
        let ways: Vec<Phrase> = tongues.iter().map(|tongue| phrase_in(phrase, *tongue)).collect();
        if ways.iter().all(|way| !way.is_empty()) {
            asked.phrases.push(ways);
        }
    }
    Ok(asked)
}

/// The question's language first, then those of the texts.
fn tongues(tongue: Option<Tongue>, snapshot: &Snapshot) -> Vec<Tongue> {
    let count = |tongue: Tongue| snapshot.tongues[tongue_number(tongue) as usize];
    let mut held: Vec<Tongue> = [Tongue::English, Tongue::German, Tongue::Other]
        .into_iter()
        .filter(|tongue| count(*tongue) > 0 && count(*tongue) >= snapshot.alive / TONGUE_SHARE)
        .collect();
    held.sort_by_key(|tongue| std::cmp::Reverse(count(*tongue)));
    if let Some(tongue) = tongue {
        held.retain(|other| *other != tongue);
        held.insert(0, tongue);
    }
    held
}

fn concept(term: &Term, tongues: &[Tongue], snapshot: &Snapshot) -> Result<Concept> {
    let optional = term.role == Role::Joined;
    let mut concept = Concept { weight: 1.0, words: vec![term.text.clone()], compounds: Vec::new(), optional };
    if !term.surface.is_empty() {
        for tongue in tongues {
            let stem = stem(&term.surface, *tongue);
            if *tongue == Tongue::German {
                widen(&mut concept, &stem, snapshot)?;
            }
            if !concept.words.contains(&stem) && !tongue.is_stop(&term.surface) {
                concept.words.push(stem);
            }
        }
    }
    Ok(concept)
}

fn widen(concept: &mut Concept, stem: &str, snapshot: &Snapshot) -> Result<()> {
    if snapshot.tongues[tongue_number(Tongue::German) as usize] > 0 {
        concept.compounds.extend(snapshot.compounds()?.holding(stem).iter().cloned());
    }
    Ok(())
}

/// The parts of a German compound, where the index holds German.
fn parts(term: &Term, tongues: &[Tongue], snapshot: &Snapshot) -> Result<Vec<Concept>> {
    let german = snapshot.tongues[tongue_number(Tongue::German) as usize] > 0 && tongues.contains(&Tongue::German);
    if !german || term.surface.is_empty() {
        return Ok(Vec::new());
    }
    let mut concepts = Vec::new();
    for part in snapshot.compounds()?.split(&term.surface) {
        let stem = stem(&part, Tongue::German);
        let mut concept = Concept { weight: PART_WEIGHT, words: vec![stem.clone()], ..Concept::default() };
        widen(&mut concept, &stem, snapshot)?;
        concepts.push(concept);
    }
    Ok(concepts)
}

/// A word that is said twice counts twice.
fn put(concepts: &mut Vec<Concept>, concept: Concept) {
    match concepts.iter_mut().find(|other| other.words == concept.words) {
        Some(other) => other.weight += concept.weight,
        None => concepts.push(concept),
    }
}

/// What stands between pairs of double quotes.
fn quoted(query: &str) -> impl Iterator<Item = &str> {
    let marks = query.matches(['"', '“', '”', '„']).count();
    query
        .split(['"', '“', '”', '„'])
        .enumerate()
        .filter(move |(n, _)| n % 2 == 1 && *n < marks)
        .map(|(_, inside)| inside)
}

fn phrase_in(phrase: &str, tongue: Tongue) -> Phrase {
    let read = terms(phrase, tongue);
    let mut words: Phrase = Vec::new();
    for term in read {
        if matches!(term.role, Role::Word | Role::Stop) {
            words.push((term.position as usize, term.text));
        }
    }
    words
}
