//! What answers questions in this process: search, and the model that phrases what it finds. The model is read with the
//! first question that wants it, and stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use engine::{Error, Kind, Result, Scope};
use futures::StreamExt;
use futures::stream::BoxStream;
use index::answer::{Answerer, Ask, Event, Language, Retriever, Speaker, Style};
use index::chat::{LocalChat, Upstream, UpstreamSettings};
use ingest::ado::client::secret::SecretRef;
use serde::{Deserialize, Serialize};
use tokio::sync::{OnceCell, Semaphore};

use crate::metrics::Metrics;

/// Answers made at the same time; one more is told to come back.
pub const ANSWERS_MAX: usize = 8;
/// The model of this machine, where it was pulled and nobody names another.
const DEFAULT_MODEL: &str = "SmolLM2-135M-Instruct";

/// Which model phrases answers.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Answers (where a server runs over DIR, its own settings hold)")]
pub struct ChatOptions {
    /// The model that phrases answers: the name of a pulled one, a GGUF file, a server's URL with the model's name behind a
    /// hash (https://host/v1#gpt-4o-mini), or none. Without it SmolLM2-135M-Instruct, if it was pulled.
    #[arg(long, value_name = "NAME|URL|none", env = "STELLWERK_CHAT_MODEL")]
    chat_model: Option<String>,
    /// Key of the model's server: env:NAME or file:PATH.
    #[arg(long, value_name = "KEY", env = "STELLWERK_CHAT_KEY")]
    chat_key: Option<SecretRef>,
    /// Tokens of prompt and answer together that the model's server takes.
    #[arg(long, value_name = "TOKENS", default_value_t = 8_192, env = "STELLWERK_CHAT_CONTEXT")]
    chat_context: usize,
}

/// A model as somebody chose it.
#[derive(Debug, Clone)]
enum Choice {
    None,
    /// A file or folder.
    Local(PathBuf),
    Upstream(UpstreamSettings),
}

impl ChatOptions {
    /// What was chosen; `cache` is where pulled models lie.
    fn choice(&self, cache: &Path) -> Result<Choice> {
        let pulled = |name: &str| index::model::folder(cache, name);
        let Some(word) = self.chat_model.as_deref().map(str::trim).filter(|word| !word.is_empty()) else {
            let default = pulled(DEFAULT_MODEL);
            return Ok(if index::model::present(cache, DEFAULT_MODEL) { Choice::Local(default) } else { Choice::None });
        };
        if word.eq_ignore_ascii_case("none") {
            return Ok(Choice::None);
        }
        if word.starts_with("http://") || word.starts_with("https://") {
            let mut settings = upstream(word, self.chat_key.clone())?;
            settings.context_tokens = self.chat_context;
            return Ok(Choice::Upstream(settings));
        }
        let path = if Path::new(word).exists() { PathBuf::from(word) } else { pulled(word) };
        match path.exists() {
            true => Ok(Choice::Local(path)),
            false => Err(Error::new(
                Kind::NotFound,
                format!(
                    "there is no model {word}: pull it (`stellwerk model pull {word}`), or name a GGUF file or a URL"
                ),
            )),
        }
    }
}

/// A model as a server's URL with the model's name behind a hash.
pub fn upstream(word: &str, key: Option<SecretRef>) -> Result<UpstreamSettings> {
    let (base, model) = word
        .split_once('#')
        .filter(|(_, model)| !model.is_empty())
        .ok_or_else(|| Error::invalid("a model's server is given with the model's name: https://host/v1#MODEL"))?;
    let mut settings = UpstreamSettings::new(base, model);
    if let Some(secret) = key {
        settings.key = Some(Arc::new(move || secret.read()));
    }
    Ok(settings)
}

/// Reads the model that was chosen.
async fn speaker(choice: Choice) -> Result<Option<Speaker>> {
    match choice {
        Choice::None => Ok(None),
        Choice::Upstream(settings) => {
            Ok(Some(Speaker { model: Arc::new(Upstream::new(settings)?), style: Style::Free }))
        }
        Choice::Local(path) => {
            let read = tokio::task::spawn_blocking(move || LocalChat::load(&path));
            let model = read.await.map_err(|e| Error::unavailable("read the model", e))??;
            tracing::info!(model = engine::ChatModel::model(&model), "the model is read");
            Ok(Some(Speaker { model: Arc::new(model), style: Style::Phrase }))
        }
    }
}

/// A question as it comes through a door.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerWish {
    /// The question.
    pub question: String,
    /// Passages that the answer is made from.
    pub k: Option<usize>,
    /// The answer's language, `de` or `en`; the question's, where it is not said.
    pub language: Option<String>,
    /// Only these sources: `document`, `ado_work_item` …
    pub sources: Vec<String>,
    /// As of this `_seq` or time.
    pub as_of: Option<serde_json::Value>,
    /// Pieces as they are made, as server-sent events.
    pub stream: bool,
    /// Whether a model may phrase the answer; it may, where nothing is said.
    pub model: Option<bool>,
}

impl AnswerWish {
    /// What is asked.
    fn ask(self) -> Result<Ask> {
        let language = self.language.as_deref().map(|code| {
            Language::named(code)
                .ok_or_else(|| Error::invalid(format!("answers are given in de and en, not in {code}")))
        });
        let as_of = match self.as_of {
            None | Some(serde_json::Value::Null) => None,
            Some(serde_json::Value::String(time)) => Some(time),
            Some(serde_json::Value::Number(seq)) if seq.is_u64() => Some(seq.to_string()),
            Some(other) => return Err(Error::invalid(format!("as_of is a _seq or a time, not {other}"))),
        };
        let ask = Ask::new(&self.question);
        Ok(Ask {
            k: self.k.unwrap_or(ask.k),
            language: language.transpose()?,
            sources: self.sources,
            as_of,
            with_model: self.model.unwrap_or(true),
            ..ask
        })
    }
}

/// Pieces of an answer.
pub type Events = BoxStream<'static, Result<Event>>;

/// What answers questions.
#[derive(Debug)]
pub struct Answers {
    retriever: Arc<dyn Retriever>,
    choice: Choice,
    answerer: OnceCell<Answerer>,
    metrics: Arc<Metrics>,
    gate: Arc<Semaphore>,
}

impl Answers {
    /// Over these sources; the model is looked for, and not yet read.
    pub fn new(
        retriever: Arc<dyn Retriever>,
        options: &ChatOptions,
        cache: &Path,
        metrics: Arc<Metrics>,
    ) -> Result<Answers> {
        let choice = options.choice(cache)?;
        if matches!(choice, Choice::None) {
            tracing::info!("no model phrases answers: they are the sources' own sentences");
        }
        let gate = Arc::new(Semaphore::new(ANSWERS_MAX));
        Ok(Answers { retriever, choice, answerer: OnceCell::new(), metrics, gate })
    }

    /// Answers a question under a scope.
    pub async fn answer(&self, scope: &Scope, wish: AnswerWish) -> Result<Events> {
        let permit = Arc::clone(&self.gate).try_acquire_owned().map_err(|_| {
            let kind = Kind::Overloaded { retry_after: Duration::from_secs(5) };
            Error::new(kind, format!("{ANSWERS_MAX} answers are being made already; ask again in five seconds"))
        })?;
        let ask = wish.ask()?;
        let answerer = self.answerer.get_or_try_init(|| async {
            // A model that cannot be read is no reason to have no answers: the log says it.
            let speaker = speaker(self.choice.clone()).await.unwrap_or_else(|error| {
                tracing::error!(%error, "answers are made without a model");
                None
            });
            Ok::<_, Error>(Answerer::new(Arc::clone(&self.retriever), speaker))
        });
        let answerer = answerer.await?;
        let timer = self.metrics.answer();
        let events = match answerer.answer(scope, ask).await {
            Ok(events) => events,
            Err(error) => {
                timer.ended("failed");
                return Err(error);
            }
        };
        let running = Running { events, timer: Some(timer), _permit: permit };
        let events = futures::stream::unfold(running, |mut running| async {
            let event = running.events.next().await?;
            if let Ok(Event::Done(answer)) = &event
                && let Some(timer) = running.timer.take()
            {
                timer.ended(match answer.mode {
                    index::answer::Mode::Model => "model",
                    index::answer::Mode::Extract => "extract",
                    index::answer::Mode::None => "not_in_sources",
                });
            }
            Some((event, running))
        });
        Ok(events.boxed())
    }
}

struct Running {
    events: Events,
    timer: Option<crate::metrics::AnswerTimer>,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn options(word: Option<&str>) -> ChatOptions {
        ChatOptions { chat_model: word.map(str::to_owned), chat_key: None, chat_context: 4_096 }
    }

    #[test]
    fn which_model_was_chosen() {
        let cache = tempfile::tempdir().unwrap();
        let choice = |word: Option<&str>| options(word).choice(cache.path());
        let local = |word: Option<&str>| match choice(word).unwrap() {
            Choice::Local(path) => Some(path),
            _ => None,
        };
        assert!(matches!(choice(None).unwrap(), Choice::None) && matches!(choice(Some("none")).unwrap(), Choice::None));
        assert_eq!(choice(Some("nowhere")).unwrap_err().kind(), Kind::NotFound);
        assert_eq!(choice(Some("https://host/v1")).unwrap_err().kind(), Kind::Invalid);
        let Choice::Upstream(settings) = choice(Some("https://host/v1/#gpt-x")).unwrap() else { panic!("an upstream") };
        let told = (settings.base.as_str(), settings.model.as_str(), settings.context_tokens);
        assert_eq!(told, ("https://host/v1", "gpt-x", 4_096));
        let folder = index::model::folder(cache.path(), DEFAULT_MODEL);
        std::fs::create_dir_all(&folder).unwrap();
        assert!(matches!(choice(None).unwrap(), Choice::None), "a folder without its manifest was not pulled");
        std::fs::write(folder.join(index::model::manifest::FILE), "{}").unwrap();
        assert_eq!(local(None), Some(folder.clone()));
        assert_eq!(local(Some("smollm2-135m-instruct")), Some(folder.clone()));
        assert_eq!(local(Some(folder.to_str().unwrap())), Some(folder));
    }

    #[test]
    fn wishes_are_parsed_once() {
        let ask = |json: &str| serde_json::from_str::<AnswerWish>(json).map(AnswerWish::ask);
        let asked =
            ask(r#"{"question": "Why?", "k": 3, "language": "de", "as_of": 17, "model": false}"#).unwrap().unwrap();
        assert_eq!((asked.k, asked.language, asked.as_of.as_deref()), (3, Some(Language::German), Some("17")));
        assert!(!asked.with_model);
        assert!(ask(r#"{"question": "Why?", "language": "fr"}"#).unwrap().is_err());
        assert!(ask(r#"{"question": "Why?", "as_of": true}"#).unwrap().is_err());
        assert!(ask(r#"{"query": "Why?"}"#).is_err());
    }
}
