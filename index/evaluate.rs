//! How good the search is, on judged collections: the same analysis, chunks, vectors and fusion that questions get, with what
//! each leg is worth alone, and how sure that is.

mod cached;
pub mod dataset;
pub mod law;
pub mod measure;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Embedder, Purpose, Result};

use crate::chunk::{Budget, ChunkKind, Source, TextKind, chunks, hash, input};
use crate::fuse::learn::Judged;
use crate::fuse::{DEPTH, ModelTraits, QuestionTraits, Weights, fuse};
use crate::passage::{CHUNKS, Chunk, Part, parts};
use crate::prefix::{Asked, Kept, Writer};
use crate::search::cutting::beside_prefix;
use crate::text::{Best, Hit, Passage, TextIndex, Weighed};
use crate::vector::{VectorIndex, VectorSettings};
use cached::CachedEmbedder;
use dataset::Collection;
use report::Spans;
pub use report::{Leg, LegReport, Report, Scores};

/// How an evaluation runs.
#[derive(Debug, Clone)]
pub struct EvalSettings {
    /// How the legs are weighed.
    pub weights: Weights,
    /// Tokens of a chunk; what a model reads whole is not cut.
    pub chunk_tokens: usize,
    /// Chunks that are looked at when spans are measured.
    pub span_chunks: usize,
    /// Where vectors and prefixes are kept from one run to the next.
    pub kept: Option<PathBuf>,
    /// What places chunks within their documents.
    pub writer: Option<Arc<Writer>>,
}

impl Default for EvalSettings {
    fn default() -> Self {
        Self { weights: Weights::default(), chunk_tokens: 256, span_chunks: 5, kept: None, writer: None }
    }
}

/// What an evaluation is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Documents are cut and put into the full text.
    Index,
    /// Chunks are placed within their documents.
    Place,
    /// Chunks become vectors.
    Embed,
    /// Questions are asked.
    Ask,
}

/// Who hears how far it is: the step, what is done, of how much.
pub type Told<'a> = &'a (dyn Fn(Step, usize, usize) + Sync);

/// Chunks that a leg is asked for, so that a hundred documents come of them even where documents have many chunks.
const CHUNKS_ASKED: usize = 1000;
/// What a document's next chunk adds to its best one, a tenth of a tenth the one after it: the words of a question stand
/// together in the best chunk, and a little around it. Measured; more loses on documents with one answer.
const NEXT_CHUNK: f32 = 0.1;
/// Chunks by whose vectors the spread of a model is told.
const SPREAD_CHUNKS: usize = 128;
/// Chunks of a document that count.
const CHUNKS_COUNTED: usize = 4;
/// Tokens that a word of a language stands for where no model counts them.
const BYTES_PER_TOKEN: usize = 4;

/// A chunk of the collection, as it is searched.
struct Piece {
    document: u64,
    start: usize,
    end: usize,
    heading: String,
    prefix: String,
    text: String,
    language: Option<String>,
    kind: TextKind,
}

impl Piece {
    fn scored(&self, score: f32) -> Chunk<'_> {
        Chunk { text: &self.text, language: self.language.as_deref(), kind: self.kind, score }
    }
}

/// The collection made searchable.
struct Indexed {
    pieces: Vec<Piece>,
    text: TextIndex,
    vectors: Option<VectorIndex>,
    questions: Vec<Vec<f32>>,
    model: Option<String>,
    /// How far the model spreads the chunks.
    spread: Option<f32>,
    embed_time: Duration,
    build_time: Duration,
}

/// Measures a collection. Without an embedder there is the text leg only.
pub async fn evaluate(
    collection: &Collection,
    embedder: Option<&dyn Embedder>,
    settings: &EvalSettings,
    told: Told<'_>,
) -> Result<Report> {
    let indexed = index(collection, embedder, settings, told).await?;
    let mut report = Report::new(collection, embedder.map(Embedder::model), indexed.pieces.len());
    report.placed_by = settings.writer.as_ref().map(|writer| writer.name().to_owned());
    report.build_time = indexed.build_time;
    for (n, question) in collection.questions.iter().enumerate() {
        if n % 32 == 0 {
            told(Step::Ask, n, collection.questions.len());
        }
        let asked = ask(&indexed, n, &question.text)?;
        let fused_at = Instant::now();
        let (text, vector) = (documents(&indexed, &asked.text, NEXT_CHUNK), documents(&indexed, &asked.vector, 0.0));
        let fused = fuse(&asked.traits, &text, &vector, DEPTH, &settings.weights);
        let fuse_time = fused_at.elapsed();
        let fused: Vec<Hit> = fused.iter().map(|hit| Hit { id: hit.id, score: hit.score }).collect();
        let times = [asked.text_time, asked.vector_time, asked.text_time + asked.vector_time + fuse_time];
        if question.spans.is_empty() {
            report.documents(question, [&text, &vector, &fused], times);
        } else {
            let pieces = fuse(&asked.traits, &asked.text, &asked.vector, DEPTH, &settings.weights);
            let pieces: Vec<Hit> = pieces.iter().map(|hit| Hit { id: hit.id, score: hit.score }).collect();
            let weighed = indexed.text.weigh(&question.text, None)?;
            let spans = |hits: &[Hit]| Spans {
                parts: part_spans(&indexed, &weighed, hits),
                chunks: chunk_spans(&indexed, &hits[..hits.len().min(settings.span_chunks)]),
            };
            let found = [spans(&asked.text), spans(&asked.vector), spans(&pieces)];
            report.spans(question, found, times);
        }
        report.judged.push(Judged { question: asked.traits, text, vector, relevant: question.relevant.clone() });
    }
    told(Step::Ask, collection.questions.len(), collection.questions.len());
    Ok(report)
}

fn chunk_spans(indexed: &Indexed, hits: &[Hit]) -> Vec<(u64, usize, usize)> {
    let pieces = hits.iter().map(|hit| &indexed.pieces[hit.id as usize]);
    pieces.map(|piece| (piece.document, piece.start, piece.end)).collect()
}

/// The parts of the chunks that answer, as a search marks them.
fn part_spans(indexed: &Indexed, weighed: &Weighed, hits: &[Hit]) -> Vec<(u64, usize, usize)> {
    let pieces: Vec<&Piece> = hits.iter().take(CHUNKS).map(|hit| &indexed.pieces[hit.id as usize]).collect();
    let chunks: Vec<Chunk<'_>> = pieces.iter().zip(hits).map(|(piece, hit)| piece.scored(hit.score)).collect();
    let span = |part: &Part| {
        let piece = pieces[part.chunk];
        // Where a chunk's words are not the document's own (markup was left out), the whole chunk stands for its part.
        match piece.text.len() == piece.end - piece.start {
            true => (piece.document, piece.start + part.span.start, piece.start + part.span.end),
            false => (piece.document, piece.start, piece.end),
        }
    };
    parts(weighed, &chunks).iter().map(span).collect()
}

/// What both legs said of one question, by chunk.
struct Answered {
    text: Vec<Hit>,
    vector: Vec<Hit>,
    traits: QuestionTraits,
    text_time: Duration,
    vector_time: Duration,
}

fn ask(indexed: &Indexed, n: usize, question: &str) -> Result<Answered> {
    let began = Instant::now();
    let found = indexed.text.ask(question, None, CHUNKS_ASKED, None)?;
    let text_time = began.elapsed();
    let began = Instant::now();
    let vector = match &indexed.vectors {
        Some(index) => index.search(&indexed.questions[n], CHUNKS_ASKED, None),
        None => Vec::new(),
    };
    let each = indexed.embed_time.checked_div(indexed.questions.len().max(1) as u32).unwrap_or_default();
    let vector_time = began.elapsed() + each;
    let model = indexed.model.as_deref().map(|name| ModelTraits { name, spread: indexed.spread });
    let traits = QuestionTraits::of(&found, model);
    Ok(Answered { text: found.hits, vector, traits, text_time, vector_time })
}

/// Chunks become their documents: the best chunk, and a little of the next ones.
fn documents(indexed: &Indexed, hits: &[Hit], next: f32) -> Vec<Hit> {
    let mut seen: std::collections::HashMap<u64, (f32, f32, usize)> = std::collections::HashMap::new();
    for hit in hits {
        let document = indexed.pieces[hit.id as usize].document;
        let (score, share, count) = seen.entry(document).or_insert((0.0, 1.0, 0));
        if *count < CHUNKS_COUNTED {
            *score += hit.score * *share;
            *share *= next;
            *count += 1;
        }
    }
    let mut best = Best::new(DEPTH);
    seen.into_iter().for_each(|(document, (score, ..))| best.put(document, score));
    best.sorted()
}

async fn index(
    collection: &Collection,
    embedder: Option<&dyn Embedder>,
    settings: &EvalSettings,
    told: Told<'_>,
) -> Result<Indexed> {
    let began = Instant::now();
    let mut pieces = cut(collection, embedder, settings, told);
    if let Some(writer) = &settings.writer {
        place(collection, writer, settings, told, &mut pieces).await?;
    }
    let text = TextIndex::in_memory()?;
    for (n, group) in pieces.chunks(1024).enumerate() {
        let passages: Vec<Passage<'_>> = group
            .iter()
            .enumerate()
            .map(|(at, piece)| Passage {
                id: (n * 1024 + at) as u64,
                title: &collection.documents[piece.document as usize].title,
                heading: &piece.heading,
                prefix: &piece.prefix,
                body: &piece.text,
                language: piece.language.as_deref(),
                kind: piece.kind,
            })
            .collect();
        text.add(&passages)?;
    }
    text.commit()?;
    let mut indexed = Indexed {
        pieces,
        text,
        vectors: None,
        questions: Vec::new(),
        model: embedder.map(|embedder| embedder.model().to_owned()),
        spread: None,
        embed_time: Duration::ZERO,
        build_time: Duration::ZERO,
    };
    if let Some(embedder) = embedder {
        embed(collection, embedder, settings, told, &mut indexed).await?;
    }
    indexed.build_time = began.elapsed();
    Ok(indexed)
}

async fn embed(
    collection: &Collection,
    embedder: &dyn Embedder,
    settings: &EvalSettings,
    told: Told<'_>,
    indexed: &mut Indexed,
) -> Result<()> {
    let mut cached = CachedEmbedder::open(embedder, settings.kept.as_deref())?;
    let title = |piece: &Piece| collection.documents[piece.document as usize].title.as_str();
    let texts: Vec<String> =
        indexed.pieces.iter().map(|piece| input(title(piece), &piece.heading, &piece.prefix, &piece.text)).collect();
    let count = texts.len();
    let vectors = cached.embed(&texts, Purpose::Passage, &|done| told(Step::Embed, done, count)).await?;
    let mut index = VectorIndex::new(embedder.width(), VectorSettings::default());
    for (n, vector) in vectors.iter().enumerate() {
        index.add(n as u64, vector);
    }
    index.tend();
    indexed.spread = index.spread(&sample(&texts));
    indexed.vectors = Some(index);
    let questions: Vec<String> = collection.questions.iter().map(|question| question.text.clone()).collect();
    indexed.questions = cached.embed(&questions, Purpose::Query, &|_| ()).await?;
    // What is kept took no time; a question's own time is measured on a few of them, one by one, as questions come.
    let sample = questions.len().min(16);
    let began = Instant::now();
    for question in &questions[..sample] {
        embedder.embed(&[question], Purpose::Query).await?;
    }
    let each = began.elapsed().checked_div(sample.max(1) as u32).unwrap_or_default();
    indexed.embed_time = each.saturating_mul(u32::try_from(questions.len()).unwrap_or(u32::MAX));
    Ok(())
}

/// Puts a model's words in front of the chunks that stand beside others of their document. A document that the collection
/// calls a piece of another is such a chunk itself.
async fn place(
    collection: &Collection,
    writer: &Writer,
    settings: &EvalSettings,
    told: Told<'_>,
    pieces: &mut [Piece],
) -> Result<()> {
    let mut counts = vec![0_usize; collection.documents.len()];
    pieces.iter().for_each(|piece| counts[piece.document as usize] += 1);
    let (mut places, mut asked) = (Vec::new(), Vec::new());
    for (n, piece) in pieces.iter().enumerate() {
        let document = &collection.documents[piece.document as usize];
        let (text, first) = match &document.within {
            Some(whole) => (&**whole, whole.find(&document.text).unwrap_or(0)),
            None => (document.text.as_str(), 0),
        };
        if document.within.is_some() || counts[piece.document as usize] > 1 {
            let (heading, chunk) = (piece.heading.as_str(), piece.text.as_str());
            let start = first + piece.start;
            places.push(n);
            asked.push(Asked { tenant: "", title: &document.title, document: text, heading, chunk, start });
        }
    }
    let count = asked.len();
    let mut kept = Kept::open(writer, settings.kept.as_deref())?;
    let prefixes = kept.prefixes(&asked, &|done| told(Step::Place, done, count)).await?;
    for (n, prefix) in places.into_iter().zip(prefixes) {
        pieces[n].prefix = prefix.unwrap_or_default();
    }
    Ok(())
}

/// Chunks by whose vectors the spread of a model is told: those with the smallest hashes, as a running index takes them.
fn sample(texts: &[String]) -> Vec<u64> {
    let mut hashed: Vec<(String, u64)> = texts.iter().zip(0..).map(|(text, n)| (hash(text), n)).collect();
    hashed.sort_unstable();
    hashed.dedup_by(|a, b| a.0 == b.0);
    hashed.into_iter().take(SPREAD_CHUNKS).map(|(_, n)| n).collect()
}

fn cut(
    collection: &Collection,
    embedder: Option<&dyn Embedder>,
    settings: &EvalSettings,
    told: Told<'_>,
) -> Vec<Piece> {
    let count = |text: &str| match embedder {
        Some(embedder) => embedder.tokens(text),
        None => text.len().div_ceil(BYTES_PER_TOKEN),
    };
    // The model's own marks take a few tokens.
    let whole_max = embedder.map_or(512, Embedder::tokens_max).saturating_sub(4);
    let mut pieces = Vec::new();
    for (n, document) in collection.documents.iter().enumerate() {
        if n % 64 == 0 {
            told(Step::Index, n, collection.documents.len());
        }
        let whole = document.text.len() <= whole_max * BYTES_PER_TOKEN * 2
            && count(&document.title) + count(&document.text) <= whole_max;
        let part_max = if settings.writer.is_some() { beside_prefix(whole_max) } else { whole_max };
        let tokens_max = if whole { whole_max + 8 } else { settings.chunk_tokens.min(part_max) };
        let source = Source {
            kind: ChunkKind::of(None, &document.id),
            path: &document.id,
            title: &document.title,
            text: &document.text,
            language: None,
        };
        let found = if whole { Vec::new() } else { chunks(&source, &Budget { tokens_max, overlap_tokens: 0 }, &count) };
        if found.is_empty() {
            pieces.push(Piece {
                document: n as u64,
                start: 0,
                end: document.text.len(),
                heading: String::new(),
                prefix: String::new(),
                text: document.text.clone(),
                language: None,
                kind: TextKind::Prose,
            });
        }
        pieces.extend(found.into_iter().map(|chunk| Piece {
            document: n as u64,
            start: chunk.start,
            end: chunk.end,
            heading: chunk.heading,
            prefix: String::new(),
            text: chunk.text,
            language: chunk.language,
            kind: chunk.kind,
        }));
    }
    pieces
}
