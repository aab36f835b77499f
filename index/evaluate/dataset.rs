//! Judged collections as folders: `corpus.jsonl`, `queries.jsonl` and `qrels.tsv` (BEIR), or whole documents with questions
//! whose answers are spans (`documents.jsonl`, `questions.jsonl`).

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::{Error, Result};
use serde::Deserialize;

/// A document of the collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// As the collection names it.
    pub id: String,
    /// May be empty.
    pub title: String,
    /// Its text.
    pub text: String,
    /// The text that it is a piece of, where the collection says so.
    pub within: Option<Arc<str>>,
}

/// A question with its judgements.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// As the collection names it.
    pub id: String,
    /// What is asked.
    pub text: String,
    /// Documents by their place in the collection, and how well they answer; never empty where spans are.
    pub relevant: Vec<(u64, f32)>,
    /// Where the answer stands, in bytes of the document's text.
    pub spans: Vec<(usize, usize)>,
}

/// A collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    /// The folder's name.
    pub name: String,
    /// Its documents.
    pub documents: Vec<Document>,
    /// Its judged questions.
    pub questions: Vec<Question>,
}

#[derive(Deserialize)]
struct TextLine {
    #[serde(rename = "_id", alias = "id")]
    id: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    text: String,
    /// The document of `documents.jsonl` that it is a piece of.
    #[serde(default)]
    doc_id: Option<String>,
}

#[derive(Deserialize)]
struct SpanLine {
    #[serde(rename = "_id")]
    id: String,
    text: String,
    doc: String,
    references: Vec<(usize, usize)>,
}

/// A line of a team's own judgements: a question, a document, and what somebody did or said.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Judgement {
    /// What was asked.
    pub query: String,
    /// The document's id.
    pub document: String,
    /// How well it answers; or, without it, what was done with it.
    #[serde(default)]
    pub gain: Option<f32>,
    /// `click`, `copy`, `like`, `dislike`.
    #[serde(default)]
    pub action: Option<String>,
}

impl Judgement {
    /// What it is worth: said outright, or by what was done.
    pub fn worth(&self) -> f32 {
        self.gain.unwrap_or(match self.action.as_deref() {
            Some("like" | "helpful" | "answered") => 3.0,
            Some("copy" | "open" | "dwell") => 2.0,
            Some("dislike" | "unhelpful") => -2.0,
            _ => 1.0,
        })
    }
}

fn lines<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Vec<T>> {
    let file = File::open(path).map_err(|cause| Error::invalid(format!("open {}: {cause}", path.display())))?;
    let mut found = Vec::new();
    for (n, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|cause| Error::invalid(format!("read {}: {cause}", path.display())))?;
        if line.trim().is_empty() {
            continue;
        }
        let parsed = serde_json::from_str(&line)
            .map_err(|cause| Error::invalid(format!("{} line {}: {cause}", path.display(), n + 1)))?;
        found.push(parsed);
    }
    Ok(found)
}

/// The documents of a file; `wholes` are those that they may be pieces of.
fn documents(path: &Path, wholes: &HashMap<String, Arc<str>>) -> Result<(Vec<Document>, HashMap<String, u64>)> {
    let lines: Vec<TextLine> = lines(path)?;
    let places = lines.iter().enumerate().map(|(n, line)| (line.id.clone(), n as u64)).collect();
    let document = |line: TextLine| {
        let within = line.doc_id.and_then(|id| wholes.get(&id).cloned());
        Document { id: line.id, title: line.title.unwrap_or_default(), text: line.text, within }
    };
    Ok((lines.into_iter().map(document).collect(), places))
}

/// Where the judgements of a folder lie: `qrels.tsv`, or BEIR's `qrels/test.tsv`.
fn judgements_of(dir: &Path) -> Option<PathBuf> {
    ["qrels.tsv", "qrels/test.tsv", "qrels/dev.tsv", "qrels/train.tsv"]
        .iter()
        .map(|name| dir.join(name))
        .find(|path| path.is_file())
}

/// Whether a folder holds a judged collection.
pub fn is_collection(dir: &Path) -> bool {
    let has = |name: &str| dir.join(name).is_file();
    (has("corpus.jsonl") && has("queries.jsonl") && judgements_of(dir).is_some())
        || (has("documents.jsonl") && has("questions.jsonl"))
}

/// Reads a folder. Questions without a judgement are left out.
pub fn read(dir: &Path) -> Result<Collection> {
    let name = dir.file_name().map_or_else(|| dir.display().to_string(), |name| name.to_string_lossy().into_owned());
    let collection = match judgements_of(dir) {
        Some(judgements) if dir.join("corpus.jsonl").is_file() => read_beir(name, dir, &judgements)?,
        _ if dir.join("questions.jsonl").is_file() => read_spans(name, dir)?,
        _ => {
            return Err(Error::invalid(format!(
                "{} holds no judged collection: corpus.jsonl, queries.jsonl and qrels.tsv are expected",
                dir.display()
            )));
        }
    };
    if collection.questions.is_empty() {
        return Err(Error::invalid(format!("{}: no question has a judgement about a known document", dir.display())));
    }
    Ok(collection)
}

fn read_beir(name: String, dir: &Path, judgements: &Path) -> Result<Collection> {
    let whole = dir.join("documents.jsonl");
    let wholes: Vec<TextLine> = if whole.is_file() { lines(&whole)? } else { Vec::new() };
    let wholes = wholes.into_iter().map(|line| (line.id, Arc::from(line.text))).collect();
    let (documents, places) = documents(&dir.join("corpus.jsonl"), &wholes)?;
    let text = std::fs::read_to_string(judgements)
        .map_err(|cause| Error::invalid(format!("read {}: {cause}", judgements.display())))?;
    let mut relevant: HashMap<&str, Vec<(u64, f32)>> = HashMap::new();
    for line in text.lines() {
        // Three columns with a head, or TREC's four.
        let columns: Vec<&str> =
            if line.contains('\t') { line.split('\t').collect() } else { line.split_whitespace().collect() };
        let (question, document, gain) = match columns[..] {
            [question, document, gain] => (question, document, gain),
            [question, _, document, gain] => (question, document, gain),
            _ => continue,
        };
        let (Some(place), Ok(gain)) = (places.get(document), gain.parse::<f32>()) else { continue };
        if gain > 0.0 {
            relevant.entry(question).or_default().push((*place, gain));
        }
    }
    let questions: Vec<TextLine> = lines(&dir.join("queries.jsonl"))?;
    let questions = questions.into_iter().filter_map(|line| {
        let relevant = relevant.remove(line.id.as_str())?;
        Some(Question { id: line.id, text: line.text, relevant, spans: Vec::new() })
    });
    Ok(Collection { name, documents, questions: questions.collect() })
}

fn read_spans(name: String, dir: &Path) -> Result<Collection> {
    let (documents, places) = documents(&dir.join("documents.jsonl"), &HashMap::new())?;
    let bytes: Vec<Vec<usize>> = documents.iter().map(|document| character_starts(&document.text)).collect();
    let questions: Vec<SpanLine> = lines(&dir.join("questions.jsonl"))?;
    let questions = questions.into_iter().filter_map(|line| {
        let place = *places.get(&line.doc)?;
        let starts = bytes.get(place as usize)?;
        // The folder counts characters, the index bytes.
        let at = |character: usize| starts[character.min(starts.len() - 1)];
        let spans = line.references.iter().map(|(start, end)| (at(*start), at(*end))).collect();
        Some(Question { id: line.id, text: line.text, relevant: vec![(place, 1.0)], spans })
    });
    let questions = questions.collect();
    Ok(Collection { name, documents, questions })
}

fn character_starts(text: &str) -> Vec<usize> {
    text.char_indices().map(|(at, _)| at).chain([text.len()]).collect()
}

/// Puts a team's own judgements in place of a collection's questions; those about unknown documents are counted.
pub fn judged_by(collection: &mut Collection, path: &Path) -> Result<usize> {
    let judgements: Vec<Judgement> = lines(path)?;
    let places: HashMap<&str, u64> =
        collection.documents.iter().enumerate().map(|(n, document)| (document.id.as_str(), n as u64)).collect();
    let mut unknown = 0;
    let mut gains: std::collections::BTreeMap<String, std::collections::BTreeMap<u64, f32>> = Default::default();
    for judgement in judgements {
        match places.get(judgement.document.as_str()) {
            Some(place) => {
                *gains.entry(judgement.query.clone()).or_default().entry(*place).or_default() += judgement.worth();
            }
            None => unknown += 1,
        }
    }
    let questions = gains.into_iter().enumerate().filter_map(|(n, (text, gains))| {
        let relevant: Vec<(u64, f32)> = gains.into_iter().filter(|(_, gain)| *gain > 0.0).collect();
        (!relevant.is_empty()).then(|| Question { id: (n + 1).to_string(), text, relevant, spans: Vec::new() })
    });
    collection.questions = questions.collect();
    if collection.questions.is_empty() {
        return Err(Error::invalid(format!(
            "{}: no judgement speaks for a document of the collection",
            path.display()
        )));
    }
    Ok(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_both_shapes_are_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("written");
        };
        assert!(read(dir.path()).is_err());
        put(
            "corpus.jsonl",
            "{\"_id\":\"a\",\"title\":null,\"text\":\"one\"}\n{\"_id\":\"b\",\"title\":\"T\",\"text\":\"two\"}\n",
        );
        put("queries.jsonl", "{\"_id\":\"1\",\"text\":\"?\"}\n{\"_id\":\"2\",\"text\":\"!\"}\n");
        put("qrels/test.tsv", "query-id\tcorpus-id\tscore\n1\tb\t2\n1\tgone\t1\n2\ta\t0\n");
        let read_back = read(dir.path()).expect("a collection");
        assert_eq!(read_back.questions.len(), 1);
        assert_eq!(read_back.questions[0].relevant, [(1, 2.0)]);
        let mut judged = read_back;
        put(
            "clicks.jsonl",
            "{\"query\":\"q\",\"document\":\"a\",\"action\":\"like\"}\n{\"query\":\"q\",\"document\":\"x\"}\n\
             {\"query\":\"r\",\"document\":\"b\",\"action\":\"dislike\"}\n",
        );
        assert_eq!(judged_by(&mut judged, &dir.path().join("clicks.jsonl")).expect("judged"), 1);
        assert_eq!(judged.questions.len(), 1);
        assert_eq!(judged.questions[0].relevant, [(0, 3.0)]);
        // Pieces name the document that they were cut from.
        put("corpus.jsonl", "{\"_id\":\"b\",\"doc_id\":\"w\",\"text\":\"two\"}\n{\"_id\":\"c\",\"text\":\"\"}\n");
        put("documents.jsonl", "{\"_id\":\"w\",\"text\":\"one two three\"}\n");
        let pieces = read(dir.path()).expect("a collection").documents;
        assert_eq!(
            pieces.iter().map(|piece| piece.within.as_deref()).collect::<Vec<_>>(),
            [Some("one two three"), None]
        );

        let spans = tempfile::tempdir().expect("a folder");
        std::fs::write(spans.path().join("documents.jsonl"), "{\"_id\":\"d\",\"text\":\"äbc def\"}\n")
            .expect("written");
        std::fs::write(
            spans.path().join("questions.jsonl"),
            "{\"_id\":\"1\",\"text\":\"?\",\"doc\":\"d\",\"references\":[[1,3]]}\n",
        )
        .expect("written");
        assert!(is_collection(spans.path()));
        assert_eq!(read(spans.path()).expect("a collection").questions[0].spans, [(2, 4)]);
    }
}
