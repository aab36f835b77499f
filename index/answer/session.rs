//! One answer being made: what was found, whether it is enough, the model's words as they come, the draft where they do not.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use engine::{ChatRequest, Result};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::time::Instant;

use super::citation::{Checker, Sentence, Shown, Support, shown};
use super::evidence::weigh;
use super::extract::{self, Extract};
use super::phrase::Language;
use super::prompt::{self, Room, Style};
use super::retriever::{Passage, Retrieved};
use super::words::content;
use super::{Answer, Citation, Event, Evidence, Mode, Source, Speaker, injection};

/// Tokens of an answer.
const ANSWER_TOKENS: usize = 400;
/// Tokens of a small model's answer.
const PHRASE_TOKENS: usize = 120;
/// Sentences after which a model has said enough.
const SENTENCES_MAX: usize = 12;
/// Longest that a model speaks.
const MODEL_TIME_MAX: Duration = Duration::from_secs(120);

/// What comes next.
enum Stage {
    Sources,
    Judge,
    Ask,
    Listen(BoxStream<'static, Result<String>>, Box<Checker>, Instant),
    Draft,
    Finish,
    Ended,
}

/// One answer being made.
pub struct Session {
    question: String,
    language: Language,
    found: Retrieved,
    draft: Vec<Extract>,
    speaker: Option<Speaker>,
    stage: Stage,
    ready: VecDeque<Event>,
    /// Sentences that nothing supports, until one comes that is.
    held: Vec<Sentence>,
    answer: Answer,
}

impl Session {
    /// An answer from what was found.
    pub fn new(question: &str, language: Language, found: Retrieved, speaker: Option<Speaker>) -> Session {
        let words = content(question);
        let evidence = weigh(&words, &found.passages, found.model.as_deref());
        let draft = if evidence.is_enough { extract::draft(&words, &found.passages) } else { Vec::new() };
        let withheld = found.passages.iter().map(|passage| injection::orders(&passage.text).len()).sum();
        let sources = found.passages.iter().zip(1..).map(|(passage, n)| source(n, passage)).collect();
        let answer = Answer {
            answered: false,
            text: String::new(),
            mode: Mode::None,
            model: None,
            language: language.code(),
            sentences: Vec::new(),
            citations: Vec::new(),
            sources,
            evidence,
            dropped_citations: 0,
            unsupported_sentences: 0,
            withheld_lines: withheld,
            covered_seq: found.covered_seq,
            notes: Vec::new(),
        };
        let (stage, ready, held) = (Stage::Sources, VecDeque::new(), Vec::new());
        let question = question.to_owned();
        Session { question, language, found, draft, speaker, stage, ready, held, answer }
    }

    /// The next piece; `None` behind the last.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match std::mem::replace(&mut self.stage, Stage::Ended) {
                Stage::Sources => {
                    self.ready.push_back(Event::Sources(self.answer.sources.clone()));
                    self.stage = Stage::Judge;
                }
                Stage::Judge => self.stage = self.judge(),
                Stage::Ask => self.stage = self.ask().await,
                Stage::Listen(words, checker, until) => self.stage = self.listen(words, checker, until).await,
                Stage::Draft => {
                    self.say_draft();
                    self.stage = Stage::Finish;
                }
                Stage::Finish => {
                    self.ready.push_back(Event::Done(Box::new(self.answer.clone())));
                }
                Stage::Ended => return None,
            }
        }
    }

    /// Without evidence nobody is asked: a model would find words.
    fn judge(&mut self) -> Stage {
        match (self.answer.evidence, &self.speaker) {
            (Evidence { is_enough: false, .. }, _) => self.not_there(),
            _ if self.draft.is_empty() => self.not_there(),
            (_, Some(_)) => Stage::Ask,
            (_, None) => Stage::Draft,
        }
    }

    fn not_there(&mut self) -> Stage {
        let text = self.language.not_in_the_sources();
        (self.answer.answered, self.answer.mode, self.answer.text) = (false, Mode::None, text.to_owned());
        (self.answer.sentences, self.answer.citations) = (Vec::new(), Vec::new());
        self.ready.push_back(Event::Text { text: text.to_owned(), support: Support::Nothing });
        Stage::Finish
    }

    async fn ask(&mut self) -> Stage {
        let Some(speaker) = self.speaker.clone() else { return Stage::Draft };
        self.answer.model = Some(speaker.model.model().to_owned());
        let begun = match self.prompt(&speaker) {
            Ok((request, shown)) => speaker.model.chat(request).await.map(|words| (words, shown)),
            Err(error) => Err(error),
        };
        match begun {
            Ok((words, shown)) => {
                let checker = Checker::new(shown, &self.question);
                Stage::Listen(words, Box::new(checker), Instant::now() + MODEL_TIME_MAX)
            }
            Err(error) => {
                self.answer.notes.push(format!("the model was not heard, these are the sources' own words: {error}"));
                Stage::Draft
            }
        }
    }

    /// What the model is asked, and the passages that it is shown.
    fn prompt(&self, Speaker { model, style }: &Speaker) -> Result<(ChatRequest, Arc<[Shown]>)> {
        let answer = if *style == Style::Phrase { PHRASE_TOKENS } else { ANSWER_TOKENS };
        let tokens = |text: &str| model.tokens(text);
        let room = Room { context: model.context_tokens(), answer, tokens: &tokens };
        let passages = &self.found.passages;
        let prompt = match style {
            Style::Free => prompt::free(&self.question, self.language, passages, &room)?,
            Style::Phrase => prompt::phrasing(&self.question, self.language, passages, &self.draft, &room)?,
        };
        let tokens_max = u32::try_from(answer).unwrap_or(u32::MAX);
        let request = ChatRequest { messages: prompt.messages, tokens_max, temperature: 0.0 };
        Ok((request, shown(&passages[..prompt.shown], self.language)))
    }

    /// The next words of the model.
    async fn listen(
        &mut self,
        mut words: BoxStream<'static, Result<String>>,
        mut checker: Box<Checker>,
        until: Instant,
    ) -> Stage {
        let piece = tokio::time::timeout_at(until, words.next()).await;
        let (sentences, is_over) = match piece {
            Ok(Some(Ok(piece))) => (checker.push(&piece), false),
            Ok(None) => (checker.finish(), true),
            Ok(Some(Err(error))) => {
                self.answer.notes.push(format!("the model broke off: {error}"));
                (Vec::new(), true)
            }
            Err(_) => {
                self.answer.notes.push(format!("the model spoke for more than {} s", MODEL_TIME_MAX.as_secs()));
                (Vec::new(), true)
            }
        };
        for sentence in sentences {
            self.hear(sentence);
        }
        if !is_over && !checker.is_not_there && self.answer.sentences.len() + self.held.len() < SENTENCES_MAX {
            return Stage::Listen(words, checker, until);
        }
        drop(words);
        self.answer.dropped_citations = checker.dropped;
        self.heard(checker.is_not_there)
    }

    /// Says a sentence of the model, or holds it until one is said that the sources support.
    fn hear(&mut self, sentence: Sentence) {
        let is_small = self.speaker.as_ref().is_some_and(|speaker| speaker.style == Style::Phrase);
        let is_supported = !matches!(sentence.support, Support::None | Support::Nothing);
        if sentence.support == Support::None {
            self.answer.unsupported_sentences += 1;
            // What a small model adds to its facts is an invention.
            if is_small {
                return;
            }
        }
        if !is_supported && self.answer.sentences.is_empty() {
            self.held.push(sentence);
            return;
        }
        let held = std::mem::take(&mut self.held);
        for sentence in held.into_iter().chain([sentence]) {
            self.say(sentence, " ");
        }
    }

    /// The model has ended.
    fn heard(&mut self, is_not_there: bool) -> Stage {
        if !self.answer.sentences.is_empty() {
            (self.answer.answered, self.answer.mode) = (true, Mode::Model);
            return Stage::Finish;
        }
        let is_small = self.speaker.as_ref().is_some_and(|speaker| speaker.style == Style::Phrase);
        // A small model's doubt says nothing: the evidence was weighed without it.
        if is_not_there && !is_small {
            return self.not_there();
        }
        if self.answer.notes.is_empty() {
            let note = "no source supported what the model said; these are the sources' own words";
            self.answer.notes.push(note.to_owned());
        }
        Stage::Draft
    }

    /// The draft as the answer: each sentence with its source.
    fn say_draft(&mut self) {
        for extract in std::mem::take(&mut self.draft) {
            let number = extract.passage + 1;
            let (mark, between) = if extract.is_item() { ("- ", "\n") } else { ("", " ") };
            let text = format!("{mark}{} [{number}]", extract.text);
            let sentence =
                Sentence { text, support: Support::Verbatim, citations: vec![number], quotes: vec![extract] };
            self.say(sentence, between);
        }
        (self.answer.answered, self.answer.mode) = (true, Mode::Extract);
    }

    fn say(&mut self, sentence: Sentence, between: &str) {
        let between = if self.answer.text.is_empty() { "" } else { between };
        let text = format!("{between}{}", sentence.text);
        self.answer.text.push_str(&text);
        self.ready.push_back(Event::Text { text, support: sentence.support });
        for quote in &sentence.quotes {
            let citation = citation(quote, &self.found.passages[quote.passage]);
            if !self.answer.citations.contains(&citation) {
                self.ready.push_back(Event::Citation(citation.clone()));
                self.answer.citations.push(citation);
            }
        }
        self.answer.sentences.push(sentence);
    }
}

fn source(n: usize, passage: &Passage) -> Source {
    Source {
        n,
        document: passage.document.clone(),
        version: passage.version,
        tenant: passage.tenant.clone(),
        uri: passage.uri.clone(),
        title: passage.title.clone(),
        heading: passage.heading.clone(),
        start: passage.start,
        end: passage.end,
        language: passage.language.clone(),
        score: passage.score,
    }
}

fn citation(quote: &Extract, passage: &Passage) -> Citation {
    // A passage that is its document's text letter by letter gives each sentence a place; any other only itself.
    let is_slice = passage.end.saturating_sub(passage.start) == passage.text.len();
    let (start, end) = match is_slice {
        true => (passage.start + quote.start, passage.start + quote.end),
        false => (passage.start, passage.end),
    };
    Citation {
        n: quote.passage + 1,
        document: passage.document.clone(),
        version: passage.version,
        tenant: passage.tenant.clone(),
        uri: passage.uri.clone(),
        title: passage.title.clone(),
        heading: passage.heading.clone(),
        start,
        end,
        quote: passage.text[quote.start..quote.end].to_owned(),
    }
}
