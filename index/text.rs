//! Full text: what words find. tantivy keeps the postings and survives any crash; the analysis and the scoring are our own,
//! so that German compounds are found by their parts, identifiers by their words, and an index that grew by small changes
//! ranks as one that was built at once. It is derived: when it is lost it is filled again.

mod compound;
mod language;
mod question;
mod score;
mod snapshot;
mod stop;
mod weighed;
mod words;

use std::path::Path;
use std::sync::Arc;

use engine::{Error, Result};
use parking_lot::{Mutex, RwLock};
use roaring::RoaringTreemap;
use tantivy::directory::MmapDirectory;
use tantivy::schema::{FAST, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{PreTokenizedString, Token};
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, Term};

pub use language::{of_document, of_question};
pub use score::{Best, Mass};
use snapshot::{Fields, Snapshot, tongue_number};
pub use weighed::{HeldWords, SentenceReader, Weighed};
use words::Role;
pub use words::{Tongue, stem};

/// Changes with the analysis: an index of another version is not read.
const VERSION: &str = "text-1";
/// Memory of the writer before it puts a segment down.
const WRITER_BYTES: usize = 48 << 20;
/// How often a word of the title counts.
const TITLE_TIMES: usize = 2;
/// Places between title, heading, prefix and body, so that no phrase spans two of them.
const GAP: usize = 64;

/// What a text is, which decides how its language is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextKind {
    /// Sentences.
    Prose,
    /// Source code.
    Code,
    /// Lines of a log.
    Log,
    /// YAML, JSON and their kin.
    Config,
}

/// A text to be found.
#[derive(Debug, Clone, Copy)]
pub struct Passage<'a> {
    /// Its number, which the caller gives; a passage replaces the one with its number.
    pub id: u64,
    /// Of the document.
    pub title: &'a str,
    /// Where in the document it stands.
    pub heading: &'a str,
    /// What else it is found by, and does not say itself.
    pub prefix: &'a str,
    /// The text itself.
    pub body: &'a str,
    /// The language's code, where it is known.
    pub language: Option<&'a str>,
    /// What kind of text it is.
    pub kind: TextKind,
}

/// A passage that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The passage.
    pub id: u64,
    /// How good it is; only to be compared with others of the same question.
    pub score: f32,
}

/// What the words of a question found, and how much of the question the index knows.
#[derive(Debug, Clone, PartialEq)]
pub struct TextFound {
    /// The best first.
    pub hits: Vec<Hit>,
    /// The weight of the question's words, and of those that some text holds.
    pub mass: Mass,
    /// The question's language, where it can be told.
    pub tongue: Option<Tongue>,
    /// Texts in the question's language, as a share of all.
    pub tongue_share: f32,
}

/// A full-text index.
pub struct TextIndex {
    index: Index,
    fields: Fields,
    writer: Mutex<IndexWriter>,
    reader: IndexReader,
    snapshot: RwLock<Arc<Snapshot>>,
}

impl std::fmt::Debug for TextIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextIndex").field("passages", &self.len()).finish_non_exhaustive()
    }
}

fn failed(doing: &str, cause: impl std::fmt::Display) -> Error {
    Error::unavailable(doing, std::io::Error::other(cause.to_string()))
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let text = |option| {
        let indexing = TextFieldIndexing::default().set_tokenizer("raw").set_index_option(option).set_fieldnorms(false);
        TextOptions::default().set_indexing_options(indexing)
    };
    let fields = Fields {
        id: schema.add_u64_field("id", INDEXED | FAST),
        length: schema.add_u64_field("length", FAST),
        tongue: schema.add_u64_field("tongue", FAST),
        words: schema.add_text_field("words", text(IndexRecordOption::WithFreqsAndPositions)),
        surface: schema.add_text_field("surface", text(IndexRecordOption::WithFreqs)),
    };
    (schema.build(), fields)
}

impl TextIndex {
    /// The index in `dir`, or an empty one. What another version wrote, or what cannot be read, is put away: it is derived.
    pub fn open(dir: &Path) -> Result<Self> {
        let doing = format!("open the text index in {}", dir.display());
        let folder = dir.join(VERSION);
        let attempt = || -> tantivy::Result<Index> {
            std::fs::create_dir_all(&folder).map_err(|cause| tantivy::TantivyError::SystemError(cause.to_string()))?;
            Index::open_or_create(MmapDirectory::open(&folder)?, schema().0)
        };
        let opened = attempt().map_err(|cause| failed(&doing, cause)).and_then(Self::over);
        let Err(cause) = opened else { return opened };
        tracing::warn!(%cause, dir = %dir.display(), "the text index cannot be read and begins anew");
        std::fs::remove_dir_all(&folder).map_err(|cause| failed(&doing, cause))?;
        attempt().map_err(|cause| failed(&doing, cause)).and_then(Self::over)
    }

    /// An index that ends with the process.
    pub fn in_memory() -> Result<Self> {
        Self::over(Index::create_in_ram(schema().0))
    }

    fn over(index: Index) -> Result<Self> {
        let fields = schema().1;
        let doing = "open the text index";
        let writer = index.writer_with_num_threads(1, WRITER_BYTES).map_err(|cause| failed(doing, cause))?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into();
        let reader: IndexReader = reader.map_err(|cause| failed(doing, cause))?;
        let snapshot = Arc::new(Snapshot::read(reader.searcher(), fields)?);
        Ok(Self { index, fields, writer: Mutex::new(writer), reader, snapshot: RwLock::new(snapshot) })
    }

    /// Passages in the last commit.
    pub fn len(&self) -> usize {
        self.snapshot.read().alive
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the last commit was marked with.
    pub fn mark(&self) -> Option<String> {
        self.index.load_metas().ok().and_then(|metas| metas.payload)
    }

    /// Takes passages in, in place of those with the same numbers. Found after [`TextIndex::commit`].
    pub fn add(&self, passages: &[Passage<'_>]) -> Result<()> {
        let writer = self.writer.lock();
        for passage in passages {
            writer.delete_term(Term::from_field_u64(self.fields.id, passage.id));
            writer.add_document(self.document(passage)).map_err(|cause| failed("add to the text index", cause))?;
        }
        Ok(())
    }

    /// Takes passages out. Gone after [`TextIndex::commit`].
    pub fn remove(&self, ids: &[u64]) -> Result<()> {
        let writer = self.writer.lock();
        for id in ids {
            writer.delete_term(Term::from_field_u64(self.fields.id, *id));
        }
        Ok(())
    }

    /// Takes every passage out.
    pub fn clear(&self) -> Result<()> {
        self.writer.lock().delete_all_documents().map(|_| ()).map_err(|cause| failed("clear the text index", cause))
    }

    /// Makes durable and visible what was added and removed.
    pub fn commit(&self) -> Result<()> {
        self.commit_marked(None)
    }

    /// Commits, and leaves a mark that says what is covered; the mark and the texts become durable together.
    pub fn commit_marked(&self, mark: Option<&str>) -> Result<()> {
        let doing = "commit the text index";
        let mut writer = self.writer.lock();
        let mut prepared = writer.prepare_commit().map_err(|cause| failed(doing, cause))?;
        if let Some(mark) = mark {
            prepared.set_payload(mark);
        }
        prepared.commit().map_err(|cause| failed(doing, cause))?;
        self.reader.reload().map_err(|cause| failed(doing, cause))?;
        let snapshot = Arc::new(Snapshot::read(self.reader.searcher(), self.fields)?);
        *self.snapshot.write() = snapshot;
        Ok(())
    }

    /// The best `k` passages for a question, of those in `allowed`. Words in `"double quotes"` must stand side by side.
    pub fn search(
        &self,
        query: &str,
        language: Option<&str>,
        k: usize,
        allowed: Option<&RoaringTreemap>,
    ) -> Result<Vec<Hit>> {
        Ok(self.ask(query, language, k, allowed)?.hits)
    }

    /// As [`TextIndex::search`], with what the fusion wants to know of the question.
    pub fn ask(
        &self,
        query: &str,
        language: Option<&str>,
        k: usize,
        allowed: Option<&RoaringTreemap>,
    ) -> Result<TextFound> {
        let snapshot = self.snapshot.read().clone();
        let tongue = language.map(Tongue::of).or_else(|| of_question(query));
        let asked = question::read(query, tongue, &snapshot)?;
        let mut phrases = Vec::with_capacity(asked.phrases.len());
        for ways in &asked.phrases {
            let mut holding = roaring::RoaringBitmap::new();
            for words in ways {
                holding |= snapshot.holding_phrase(words)?;
            }
            phrases.push(holding);
        }
        let (hits, mass) = score::best(&snapshot, &asked.concepts, k, &score::gate(allowed, &phrases))?;
        let share = |tongue| snapshot.tongues[tongue_number(tongue) as usize] as f32 / snapshot.alive.max(1) as f32;
        Ok(TextFound { hits, mass, tongue, tongue_share: tongue.map_or(1.0, share) })
    }

    /// A question's words with what each of them weighs here, to look for them in single sentences.
    pub fn weigh(&self, query: &str, language: Option<&str>) -> Result<Weighed> {
        let snapshot = self.snapshot.read().clone();
        let tongue = language.map(Tongue::of).or_else(|| of_question(query));
        let asked = question::read(query, tongue, &snapshot)?;
        Ok(Weighed::new(score::weights(&snapshot, asked.concepts)?))
    }

    fn document(&self, passage: &Passage<'_>) -> TantivyDocument {
        let tongue = tongue_of(passage.language, passage.kind, passage.body);
        let mut written = Written::default();
        for _ in 0..TITLE_TIMES {
            written.take(passage.title, tongue);
        }
        written.take(passage.heading, tongue);
        if !passage.prefix.is_empty() {
            written.take(passage.prefix, tongue);
        }
        written.take(passage.body, tongue);
        let mut document = TantivyDocument::new();
        document.add_u64(self.fields.id, passage.id);
        document.add_u64(self.fields.length, written.length);
        document.add_u64(self.fields.tongue, tongue_number(tongue));
        let field = |tokens| PreTokenizedString { text: String::new(), tokens };
        document.add_pre_tokenized_text(self.fields.words, field(written.words));
        if !written.surface.is_empty() {
            document.add_pre_tokenized_text(self.fields.surface, field(written.surface));
        }
        document
    }
}

/// The language by which a text is folded.
fn tongue_of(language: Option<&str>, kind: TextKind, body: &str) -> Tongue {
    match (language, kind) {
        (Some(code), TextKind::Prose | TextKind::Log) => Tongue::of(code),
        (None, TextKind::Prose | TextKind::Log) => of_document(body),
        // Here the language may be a programming one; what people write into code is told by its small words.
        (_, TextKind::Code | TextKind::Config) => {
            of_question(body).filter(|tongue| *tongue == Tongue::German).unwrap_or(Tongue::English)
        }
    }
}

/// A passage's terms as they are put down.
#[derive(Default)]
struct Written {
    words: Vec<Token>,
    surface: Vec<Token>,
    length: u64,
    place: usize,
}

impl Written {
    fn take(&mut self, text: &str, tongue: Tongue) {
        let start = self.place;
        for term in words::terms(text, tongue) {
            let position = start + term.position as usize;
            self.place = self.place.max(position + 1);
            self.length += u64::from(matches!(term.role, Role::Word | Role::Part));
            if tongue == Tongue::German && term.role == Role::Word && !term.surface.is_empty() {
                self.surface.push(token(term.surface, position));
            }
            self.words.push(token(term.text, position));
        }
        self.place += GAP;
    }
}

fn token(text: String, position: usize) -> Token {
    Token { offset_from: 0, offset_to: 0, position, text, position_length: 1 }
}

#[cfg(test)]
mod tests;
