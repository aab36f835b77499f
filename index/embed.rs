//! Texts become vectors, by a model in this process or by a server.
//!
//! A local model reads texts in batches with a budget of tokens, without padding: one thread takes one batch through the whole
//! model, so that threads never wait for each other. All cores first take texts apart into tokens, then batches through the
//! model; what lies between is bounded by [`TEXTS_TOGETHER`].

pub(crate) mod bert;
pub mod choose;
pub(crate) mod config;
pub mod kernel;
pub(crate) mod layer;
mod lazy;
mod modern;
mod remote;
mod words;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use engine::{Embedder, Error, Purpose, Result};
use parking_lot::Mutex;
use rayon::prelude::*;
use tokio::sync::Semaphore;

#[cfg(feature = "cuda")]
use crate::cuda::{self, Gpu, GpuBert};
use crate::model::manifest;
use crate::model::tensors::Tensors;
use bert::Bert;
use config::{Config, Family};
use kernel::Isa;
use layer::Scratch;
pub use lazy::LazyEmbedder;
use modern::ModernBert;
pub use remote::{RemoteEmbedder, RemoteSettings};
use words::Words;

/// Texts whose tokens are held at a time.
const TEXTS_TOGETHER: usize = 2_048;
/// The same for a GPU: a few dozen of its batches.
#[cfg(feature = "cuda")]
const GPU_TEXTS_TOGETHER: usize = 8_192;
/// Tokens of a batch, unless one text has more.
const BATCH_TOKENS_MAX: usize = 1_024;
/// Batches a thread that a small job is cut into, so that the last one does not keep the others waiting for long.
const BATCHES_PER_THREAD: usize = 4;
/// Tokens below which a batch is not cut further: each walks once through all weights.
const BATCH_TOKENS_MIN: usize = 128;
/// Requests that are embedded at the same time; others wait, since the cores are busy.
const REQUESTS_TOGETHER: usize = 2;
/// Characters of the weights' hash in a model's name.
const HASH_SHOWN: usize = 8;
/// The file that holds a model's weights.
const WEIGHTS: &str = "model.safetensors";

/// How exactly a model computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// In single precision.
    Single,
    /// The products over bytes: weights rounded by column, states by token.
    Bytes,
}

impl Precision {
    /// The name in options and in the names of models.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Single => "f32",
            Precision::Bytes => "int8",
        }
    }

    /// The precision of a name.
    pub fn named(name: &str) -> Result<Precision> {
        [Precision::Single, Precision::Bytes]
            .into_iter()
            .find(|precision| precision.name() == name)
            .ok_or_else(|| Error::invalid(format!("there is no precision {name}; there are f32 and int8")))
    }
}

/// A model's name with what tells its vectors from those of others: the weights, and how exactly they are computed with.
fn model_name(name: &str, hash: &str, precision: Precision) -> String {
    format!("{name}@{}/{}", hash.get(..HASH_SHOWN).unwrap_or(hash), precision.name())
}

/// Where a model computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// On a GPU, where there is one that can compute the model and single precision was asked for; else on the processor.
    #[default]
    Best,
    /// On the processor.
    Processor,
    /// On the GPU of this number; an error where that cannot be.
    Gpu(usize),
}

impl Device {
    /// Whether a model can be run there so exactly; asked before anything is read.
    fn check(self, precision: Precision) -> Result<()> {
        match self {
            Device::Gpu(_) if precision == Precision::Bytes => {
                Err(Error::invalid("a GPU computes in f32's place, not on bytes: leave int8 out, or the GPU"))
            }
            #[cfg(feature = "cuda")]
            Device::Gpu(ordinal) => Gpu::look(ordinal),
            #[cfg(not(feature = "cuda"))]
            Device::Gpu(_) => {
                let text = "this program was built without GPUs: `make cuda` builds one with them";
                Err(Error::new(engine::Kind::NotFound, text))
            }
            Device::Best | Device::Processor => Ok(()),
        }
    }
}

/// How a model is run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Threads that compute, or take texts apart for a GPU; 0 takes one a core.
    pub threads: usize,
    /// How exactly. A GPU computes on halves with sums in single precision; its vectors are so near to those in single
    /// precision (cosine above 0.999, held by a test) that they go by that name.
    pub precision: Precision,
    /// Where.
    pub device: Device,
    /// Instructions to use; none takes the best that the processor has.
    pub isa: Option<Isa>,
}

impl Default for Options {
    fn default() -> Self {
        Options { threads: 0, precision: Precision::Single, device: Device::Best, isa: None }
    }
}

/// A model of the BERT family, ModernBERT among it, in this process.
#[derive(Debug, Clone)]
pub struct LocalEmbedder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    body: Body,
    words: Words,
    pool: rayon::ThreadPool,
    scratch: Mutex<Vec<Scratch>>,
    gate: Semaphore,
}

/// What computes.
#[derive(Debug)]
enum Body {
    Bert(Bert),
    Modern(ModernBert),
    #[cfg(feature = "cuda")]
    Gpu(GpuBert),
}

impl Body {
    fn read(config: Config, tensors: &Tensors, options: Options) -> Result<Body> {
        match options.device {
            Device::Processor => (),
            #[cfg(feature = "cuda")]
            Device::Gpu(ordinal) => return GpuBert::read(Gpu::open(ordinal)?, config, tensors).map(Body::Gpu),
            #[cfg(feature = "cuda")]
            Device::Best => {
                let asked = options.precision == Precision::Single && options.isa.is_none();
                let modern = matches!(config.family, Family::Modern(_));
                if modern && cuda::first().is_some() {
                    tracing::warn!(model = config.name, "ModernBERT is not computed on a GPU: the processor does it");
                }
                if let Some(gpu) = cuda::first().filter(|_| asked && GpuBert::takes(&config)) {
                    match GpuBert::read(gpu.clone(), config.clone(), tensors) {
                        Ok(bert) => return Ok(Body::Gpu(bert)),
                        Err(e) => tracing::warn!(error = %e, "the model computes on the processor: the GPU failed"),
                    }
                }
            }
            #[cfg(not(feature = "cuda"))]
            Device::Gpu(_) | Device::Best => (),
        }
        let (isa, precision) = (options.isa.unwrap_or_else(Isa::best), options.precision);
        match config.family.clone() {
            Family::Bert => Bert::read(config, tensors, precision, isa).map(Body::Bert),
            Family::Modern(rotary) => ModernBert::read(config, &rotary, tensors, precision, isa).map(Body::Modern),
        }
    }

    /// The vectors of texts on this thread, where the processor computes.
    fn vectors(&self, texts: &[&[u32]], scratch: &mut Scratch) -> Result<Vec<Vec<f32>>> {
        match self {
            Body::Bert(bert) => bert.vectors(texts, scratch),
            Body::Modern(modern) => modern.vectors(texts, scratch),
            #[cfg(feature = "cuda")]
            Body::Gpu(bert) => bert.vectors(&texts.iter().map(|ids| ids.to_vec()).collect::<Vec<_>>()),
        }
    }

    fn config(&self) -> &Config {
        match self {
            Body::Bert(bert) => bert.config(),
            Body::Modern(modern) => modern.config(),
            #[cfg(feature = "cuda")]
            Body::Gpu(bert) => bert.config(),
        }
    }
}

impl LocalEmbedder {
    /// Loads a folder as Hugging Face's libraries write it. Files that a pulled model's manifest names are held against their
    /// hashes, tensors against the shapes that the configuration asks for, the tokenizer against the table of tokens.
    pub fn load(folder: &Path, options: Options) -> Result<LocalEmbedder> {
        options.device.check(options.precision)?;
        let weights = folder.join(WEIGHTS);
        let hash = manifest::verify(folder, &weights)?;
        let config = Config::read(folder)?;
        let words = Words::read(folder, &config)?;
        let name = model_name(&config.name, &hash, options.precision);
        let body = Body::read(config, &Tensors::open(&weights)?, options)?;
        let threads =
            rayon::ThreadPoolBuilder::new().num_threads(options.threads).thread_name(|at| format!("embed-{at}"));
        let pool = threads.build().map_err(|e| Error::unavailable("start the threads that embed", e))?;
        let gate = Semaphore::new(REQUESTS_TOGETHER);
        Ok(LocalEmbedder { inner: Arc::new(Inner { name, body, words, pool, scratch: Mutex::default(), gate }) })
    }

    /// The vectors of texts, on the calling thread and the model's own until they are there.
    pub fn embed_now(&self, texts: &[&str], purpose: Purpose) -> Result<Vec<Vec<f32>>> {
        #[cfg(feature = "cuda")]
        if let Body::Gpu(bert) = &self.inner.body {
            return self.inner.embed_ahead(bert, texts, purpose);
        }
        let mut vectors = Vec::with_capacity(texts.len());
        for texts in texts.chunks(TEXTS_TOGETHER) {
            vectors.extend(self.inner.embed(texts, purpose)?);
        }
        Ok(vectors)
    }

    /// The vectors of texts whose tokens are known, on a GPU; nothing where the model computes on the processor.
    #[cfg(feature = "cuda")]
    pub fn gpu_vectors(&self, ids: &[Vec<u32>]) -> Option<Result<Vec<Vec<f32>>>> {
        match &self.inner.body {
            Body::Bert(_) | Body::Modern(_) => None,
            Body::Gpu(bert) => Some(bert.vectors(ids)),
        }
    }

    /// The tokens that the model reads of a text, marks and prefix included.
    pub fn token_ids(&self, text: &str, purpose: Purpose) -> Result<Vec<u32>> {
        self.inner.words.ids(self.inner.prefix(purpose), text)
    }
}

impl Inner {
    fn prefix(&self, purpose: Purpose) -> &str {
        let config = self.body.config();
        match purpose {
            Purpose::Query => &config.query_prefix,
            Purpose::Passage => &config.passage_prefix,
        }
    }

    fn ids(&self, texts: &[&str], purpose: Purpose) -> Result<Vec<Vec<u32>>> {
        let prefix = self.prefix(purpose);
        self.pool.install(|| texts.par_iter().map(|text| self.words.ids(prefix, text)).collect())
    }

    /// The processor's threads take texts apart while the GPU computes those before.
    #[cfg(feature = "cuda")]
    fn embed_ahead(&self, bert: &GpuBert, texts: &[&str], purpose: Purpose) -> Result<Vec<Vec<f32>>> {
        if texts.len() <= GPU_TEXTS_TOGETHER {
            return bert.vectors(&self.ids(texts, purpose)?);
        }
        let mut vectors = Vec::with_capacity(texts.len());
        std::thread::scope(|scope| {
            let (send, receive) = std::sync::mpsc::sync_channel(1);
            scope.spawn(move || {
                for texts in texts.chunks(GPU_TEXTS_TOGETHER) {
                    if send.send(self.ids(texts, purpose)).is_err() {
                        break;
                    }
                }
            });
            for ids in receive {
                vectors.extend(bert.vectors(&ids?)?);
            }
            Ok(vectors)
        })
    }

    fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Vec<Vec<f32>>> {
        let ids = self.ids(texts, purpose)?;
        self.pool.install(|| {
            let batches = batches(&ids.iter().map(Vec::len).collect::<Vec<_>>(), self.pool.current_num_threads());
            let found = batches.par_iter().with_max_len(1).map(|batch| self.run(batch, &ids));
            let mut vectors = vec![Vec::new(); texts.len()];
            for (batch, found) in batches.iter().zip(found.collect::<Result<Vec<_>>>()?) {
                for (at, vector) in batch.iter().zip(found) {
                    vectors[*at] = vector;
                }
            }
            Ok(vectors)
        })
    }

    fn run(&self, batch: &[usize], ids: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
        let mut scratch = self.scratch.lock().pop().unwrap_or_default();
        let texts: Vec<&[u32]> = batch.iter().map(|at| ids[*at].as_slice()).collect();
        let vectors = self.body.vectors(&texts, &mut scratch);
        self.scratch.lock().push(scratch);
        vectors
    }
}

/// Texts by number, shared out into batches: the longest first, so that the last batch is not the largest.
fn batches(lengths: &[usize], threads: usize) -> Vec<Vec<usize>> {
    let total: usize = lengths.iter().sum();
    let fair = total.div_ceil(threads.max(1) * BATCHES_PER_THREAD);
    let budget = fair.clamp(BATCH_TOKENS_MIN, BATCH_TOKENS_MAX);
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(lengths[*at]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = usize::MAX;
    for at in order {
        match batches.last_mut() {
            Some(batch) if tokens + lengths[at] <= budget => {
                batch.push(at);
                tokens += lengths[at];
            }
            _ => {
                batches.push(vec![at]);
                tokens = lengths[at];
            }
        }
    }
    batches
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn model(&self) -> &str {
        &self.inner.name
    }

    fn width(&self) -> usize {
        self.inner.body.config().hidden
    }

    fn tokens(&self, text: &str) -> usize {
        self.inner.words.count(text)
    }

    fn tokens_max(&self) -> usize {
        self.inner.body.config().text_tokens_max()
    }

    async fn embed(&self, texts: &[&str], purpose: Purpose) -> Result<Vec<Vec<f32>>> {
        let _turn = self.inner.gate.acquire().await.map_err(|e| Error::unavailable("wait for the model", e))?;
        let model = self.clone();
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let work = tokio::task::spawn_blocking(move || {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            model.embed_now(&texts, purpose)
        });
        work.await.map_err(|e| Error::unavailable("embed", e))?
    }
}

#[cfg(test)]
pub(crate) mod tests;
