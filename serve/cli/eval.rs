//! `stellwerk eval`: how good the search is on judged questions.

mod shown;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use engine::{Embedder, Error, Result};
use index::evaluate::dataset::{self, Collection};
use index::evaluate::law::left_out;
use index::evaluate::{EvalSettings, Report, evaluate};
use index::fuse::Weights;
use index::fuse::learn::learn;

use super::context::ContextArgs;
use super::embedder::{EmbedderArgs, NOTHING_EMBEDS, cache};
use super::exit::Exit;
use super::print;

const AFTER: &str = "\
DIR holds corpus.jsonl, queries.jsonl and qrels.tsv (or qrels/test.tsv) as BEIR's folders do; or documents.jsonl and
questions.jsonl, whose answers are spans; or folders of either kind, which are measured one by one.
Each leg is measured alone: what words find, what vectors find, and both together. Intervals are of 95 percent, drawn from
the questions. Vectors are kept below the cache folder, so that a second run is quick; so is what --context-model says
about the chunks of documents that were cut, and about pieces whose doc_id names a document of documents.jsonl. Without
weights of a model there is the text leg only.

A team's own judgements are lines of {\"query\": …, \"document\": …, \"action\": \"click\"} (or \"gain\": 2); the action may be
click, open, copy, like or dislike. With --learn, the fusion's weights are learned from the judgements, held against
questions that were left out, and written when they gain.
Exit codes: 0 measured, 2 DIR or a file cannot be read, 3 the model cannot be loaded.

Examples:
  stellwerk eval retrieval ./beir/scifact
  stellwerk eval retrieval ./beir/scifact --format json --model all-MiniLM-L6-v2
  stellwerk eval retrieval ./ours --judgements clicks.jsonl --learn weights.json
  stellwerk eval retrieval ./ours --weights weights.json
  stellwerk eval retrieval ./collections --leave-one-out
  stellwerk eval retrieval ./ours --context-model http://127.0.0.1:8080/v1#qwen3";

/// Measure how good the search is.
#[derive(Debug, Subcommand)]
pub enum Eval {
    /// On judged collections: nDCG, recall, reciprocal rank and times of each leg and of both.
    Retrieval(Retrieval),
}

/// Measure the search on judged collections.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Retrieval {
    /// A judged collection, or folders of them.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// How the result is written.
    #[arg(long, value_enum, default_value = "table")]
    format: Shape,
    /// The model of the vectors, as --embedder names it.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    #[command(flatten)]
    embedder: EmbedderArgs,
    #[command(flatten)]
    context: ContextArgs,
    /// What is measured.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "text,vector,fusion")]
    legs: Vec<LegWord>,
    /// Where vectors are kept from one run to the next, instead of the cache folder.
    #[arg(long, value_name = "DIR")]
    data_cache: Option<PathBuf>,
    /// A team's own judgements, in place of the collection's questions.
    #[arg(long, value_name = "FILE")]
    judgements: Option<PathBuf>,
    /// The fusion's weights, as --learn wrote them.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Learn the fusion's weights from the judgements and write them here.
    #[arg(long, value_name = "FILE")]
    learn: Option<PathBuf>,
    /// Also judge each collection by weights that were fitted to the others alone, and say whether the fusion keeps its law:
    /// nowhere a point below the better leg.
    #[arg(long)]
    leave_one_out: bool,
    /// Tokens of a chunk.
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    chunk_tokens: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// Aligned columns for people.
    Table,
    /// One JSON document.
    Json,
    /// JSON with every question's lists and judgements, for study.
    Lists,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LegWord {
    /// What words find.
    Text,
    /// What vectors find.
    Vector,
    /// Both together.
    Fusion,
}

impl Eval {
    /// Measures.
    pub async fn run(self) -> Result<Exit> {
        match self {
            Eval::Retrieval(retrieval) => retrieval.run().await,
        }
    }
}

impl Retrieval {
    async fn run(self) -> Result<Exit> {
        let folders = collections(&self.folders)?;
        let embedder = self.embedder().await?;
        let weights = match &self.weights {
            Some(path) => read_weights(path)?,
            None => Weights::default(),
        };
        let settings = EvalSettings {
            weights,
            chunk_tokens: self.chunk_tokens.max(32),
            writer: self.context.writer()?,
            kept: Some(self.data_cache.clone().map_or_else(|| cache().map(|cache| cache.join("eval")), Ok)?),
            ..EvalSettings::default()
        };
        let mut reports = Vec::new();
        for folder in &folders {
            let mut collection = dataset::read(folder)?;
            self.judge(&mut collection)?;
            let bar = shown::Bar::new(&collection.name);
            let report =
                evaluate(&collection, embedder.as_deref(), &settings, &|step, done, of| bar.told(step, done, of)).await;
            bar.done();
            let report = report?;
            if self.format == Shape::Table {
                print::text(&shown::table(&report))?;
            }
            reports.push(report);
        }
        let law = if self.leave_one_out { left_out(&reports, &settings.weights) } else { Vec::new() };
        match self.format {
            Shape::Table if reports.len() > 1 => print::text(&shown::overview(&reports))?,
            Shape::Table => Exit(Exit::OK),
            Shape::Json if self.leave_one_out => {
                print::text(&format!("{:#}\n", shown::with_law(shown::json(&reports), &law)))?
            }
            Shape::Json => print::text(&format!("{:#}\n", shown::json(&reports)))?,
            Shape::Lists => print::text(&format!("{}\n", shown::lists(&reports)))?,
        };
        if self.format == Shape::Table && !law.is_empty() {
            print::text(&shown::law(&law))?;
        }
        if let Some(path) = &self.learn {
            learned(&reports, &weights, path)?;
        }
        Ok(Exit(Exit::OK))
    }

    fn judge(&self, collection: &mut Collection) -> Result<()> {
        if let Some(path) = &self.judgements {
            let unknown = dataset::judged_by(collection, path)?;
            if unknown > 0 {
                eprintln!("{unknown} judgements are about documents that {} does not hold", collection.name);
            }
        }
        Ok(())
    }

    async fn embedder(&self) -> Result<Option<Arc<dyn Embedder>>> {
        if !self.legs.iter().any(|leg| *leg != LegWord::Text) {
            return Ok(None);
        }
        let found = self.embedder.clone().with_model(self.model.clone()).open().await?;
        if found.is_none() {
            eprintln!("{NOTHING_EMBEDS}");
        }
        Ok(found)
    }
}

/// Folders that hold a collection themselves, or those inside them that do.
fn collections(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in folders {
        if dataset::is_collection(folder) {
            found.push(folder.clone());
            continue;
        }
        let entries =
            std::fs::read_dir(folder).map_err(|e| Error::invalid(format!("read {}: {e}", folder.display())))?;
        let mut inside: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| dataset::is_collection(path)).collect();
        inside.sort();
        found.append(&mut inside);
    }
    if found.is_empty() {
        return Err(Error::invalid(format!(
            "{}: no judged collection (corpus.jsonl, queries.jsonl and qrels.tsv)",
            folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
        )));
    }
    Ok(found)
}

fn read_weights(path: &Path) -> Result<Weights> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::invalid(format!("read {}: {e}", path.display())))?;
    serde_json::from_str(&text).map_err(|e| Error::invalid(format!("read the weights of {}: {e}", path.display())))
}

fn learned(reports: &[Report], before: &Weights, path: &Path) -> Result<()> {
    let judged: Vec<_> = reports.iter().flat_map(|report| report.judged.iter().cloned()).collect();
    let learned = learn(&judged, before);
    eprintln!(
        "{} questions: nDCG@10 {:.4} before, {:.4} on questions that were left out of learning",
        judged.len(),
        learned.before,
        learned.after
    );
    if !learned.taken {
        eprintln!("nothing was gained: the weights stay as they are, and {} is not written", path.display());
        return Ok(());
    }
    let text = serde_json::to_string_pretty(&learned.weights)
        .map_err(|e| Error::invalid(format!("write the weights as JSON: {e}")))?;
    std::fs::write(path, text + "\n").map_err(|e| Error::unavailable(&format!("write {}", path.display()), e))?;
    eprintln!("{} holds the learned weights", path.display());
    Ok(())
}
