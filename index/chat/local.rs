//! A model that answers here: a GGUF file of Llama's architecture on the CPU.
//!
//! One thread thinks, one conversation at a time: two at once would each take twice as long. The others wait in a queue
//! of a few; a full one says when to come back. Whoever drops the stream stops the thinking at its next word.

use std::fs::File;
use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use async_trait::async_trait;
use candle_core::quantized::gguf_file::Content;
use engine::{ChatModel, ChatRequest, Error, Kind, Result};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::mpsc;

use super::llama::{Cache, Llama};
use super::model_error;
use super::sampling;
use super::template::Template;
use super::vocabulary::{Letters, Vocabulary};

/// Conversations that wait.
const WAITING_MAX: usize = 8;
/// When to come back to a full queue.
const COME_BACK: Duration = Duration::from_secs(5);
/// Tokens of question and answer together, whatever the model was made for: what a cache costs, and how long a prompt is
/// heard, grows with them.
pub const CONTEXT_MAX: usize = 4_096;
/// Tokens of a prompt that are heard at once; between them the thread looks whether anybody still waits.
const HEARD_AT_ONCE: usize = 256;

/// A model of this process.
pub struct LocalChat {
    name: String,
    context: usize,
    template: Template,
    vocabulary: Arc<Vocabulary>,
    jobs: SyncSender<Job>,
}

/// One conversation.
struct Job {
    prompt: Vec<u32>,
    tokens_max: usize,
    temperature: f32,
    pieces: mpsc::Sender<Result<String>>,
}

impl std::fmt::Debug for LocalChat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalChat").field("name", &self.name).field("context", &self.context).finish_non_exhaustive()
    }
}

impl LocalChat {
    /// Reads a model: a GGUF file, or a folder that holds one.
    pub fn load(path: &Path) -> Result<LocalChat> {
        let path = file_of(path)?;
        let doing = format!("read the model {}", path.display());
        let file = File::open(&path).map_err(|e| Error::unavailable(&doing, e))?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let content = Content::read(&mut reader).map_err(model_error(&doing))?;
        let vocabulary = Arc::new(Vocabulary::read(&content).map_err(|e| e.context(&doing))?);
        let template = Template::of(&vocabulary).map_err(|e| e.context(&doing))?;
        let llama = Llama::read(&content, &mut reader, CONTEXT_MAX).map_err(model_error(&doing))?;
        let context = llama.measures.context.min(CONTEXT_MAX);
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        let thinker = Thinker { llama, vocabulary: Arc::clone(&vocabulary) };
        let thread = std::thread::Builder::new().name("chat".to_owned()).spawn(move || thinker.run(&waiting));
        thread.map_err(|e| Error::unavailable("start the model's thread", e))?;
        let name = name_of(&path);
        Ok(LocalChat { name, context, template, vocabulary, jobs })
    }
}

/// A model's name: its file's, or its folder's where the file says no more than that it is a model.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name);
    let name = if stem == "model" { folder.unwrap_or(stem) } else { stem };
    name.to_string_lossy().into_owned()
}

/// The GGUF file that a path means.
fn file_of(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let listing = std::fs::read_dir(path).map_err(|e| Error::unavailable(&format!("list {}", path.display()), e))?;
    let files = listing.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut found: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"))).collect();
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::new(Kind::NotFound, format!("{} holds no GGUF file", path.display()))),
        several => {
            Err(Error::invalid(format!("{} holds {} GGUF files; name one of them", path.display(), several.len())))
        }
    }
}

#[async_trait]
impl ChatModel for LocalChat {
    fn model(&self) -> &str {
        &self.name
    }

    fn context_tokens(&self) -> usize {
        self.context
    }

    fn tokens(&self, text: &str) -> usize {
        self.vocabulary.count(text)
    }

    async fn chat(&self, request: ChatRequest) -> Result<BoxStream<'static, Result<String>>> {
        let prompt = self.template.words(&self.vocabulary, &request.messages)?;
        let tokens_max = request.tokens_max as usize;
        if prompt.len() + tokens_max > self.context {
            let text = format!(
                "a conversation of {} tokens and an answer of {tokens_max} do not fit the {} that {} reads",
                prompt.len(),
                self.context,
                self.name
            );
            return Err(Error::new(Kind::TooLarge, text));
        }
        // Room for all pieces: a slow reader holds up nobody else.
        let (pieces, heard) = mpsc::channel(tokens_max + 2);
        let job = Job { prompt, tokens_max, temperature: request.temperature, pieces };
        self.jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::new(
                Kind::Overloaded { retry_after: COME_BACK },
                format!("{WAITING_MAX} conversations wait for {} already", self.name),
            ),
            TrySendError::Disconnected(_) => Error::new(Kind::Internal, "the model's thread has ended"),
        })?;
        let stream = futures::stream::unfold(heard, |mut heard| async { Some((heard.recv().await?, heard)) });
        Ok(stream.boxed())
    }
}

/// The thread that thinks.
struct Thinker {
    llama: Llama,
    vocabulary: Arc<Vocabulary>,
}

impl Thinker {
    fn run(&self, waiting: &Receiver<Job>) {
        while let Ok(job) = waiting.recv() {
            let thought = catch_unwind(AssertUnwindSafe(|| self.answer(&job)));
            let failed = match thought {
                Ok(Ok(())) => continue,
                Ok(Err(cause)) => model_error("answer with the local model")(cause),
                Err(_) => Error::new(Kind::Internal, "a defect ended the local model's answer"),
            };
            tracing::warn!(error = %failed, "an answer of the local model failed");
            let _ = job.pieces.try_send(Err(failed));
        }
    }

    fn answer(&self, job: &Job) -> candle_core::Result<()> {
        let mut cache = Cache::new(&self.llama.measures, job.prompt.len() + job.tokens_max)?;
        let mut scores = Vec::new();
        for words in job.prompt.chunks(HEARD_AT_ONCE) {
            if job.pieces.is_closed() {
                return Ok(());
            }
            scores = self.llama.forward(words, &mut cache)?;
        }
        let (mut said, mut letters, mut dice) = (Vec::new(), Letters::default(), rand::rng());
        while said.len() < job.tokens_max {
            let word = sampling::next(&scores, job.temperature, &mut dice);
            if self.vocabulary.is_end(word) {
                break;
            }
            said.push(word);
            let text = letters.push(self.vocabulary.bytes(word));
            // The receiver is dropped: nobody wants to hear more.
            if !text.is_empty() && job.pieces.try_send(Ok(text)).is_err() {
                return Ok(());
            }
            if job.pieces.is_closed() || sampling::is_loop(&said) {
                break;
            }
            if said.len() < job.tokens_max {
                scores = self.llama.forward(&[word], &mut cache)?;
            }
        }
        let rest = letters.finish();
        if !rest.is_empty() {
            let _ = job.pieces.try_send(Ok(rest.to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
