//! The model on a GPU: as on the processor, the tokens of a batch lie one behind the other and nothing is padded; states are
//! halves, sums and norms single precision. A lane is one stream with its memory: while one lane's vectors travel back, the
//! other computes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cudarc::driver::{
    CudaSlice, CudaStream, DevicePtr, DeviceRepr, LaunchConfig, PinnedHostSlice, PushKernelArg, ValidAsZeroBits, result,
};
use engine::{Error, Kind, Result};
use half::f16;
use parking_lot::{Condvar, Mutex};

use super::blas::{Blas, Then, Weights};
use super::{Gpu, failed};
use crate::embed::bert::{ATTENTION, ATTENTION_OUT, INNER, Named, OUTER};
use crate::embed::config::{Config, Family, Pooling};
use crate::embed::layer::Norm;
use crate::model::tensors::Tensors;

/// Tokens of a batch: enough to fill the card. Measured on an H200: from 8 to 64 thousand tokens differ by 6 percent.
pub const BATCH_TOKENS: usize = 32_768;
/// Batches on the card at the same time.
const LANES: usize = 2;
/// Large batches are computed as this share of the largest, so that few products have to be tuned.
const STEP: usize = BATCH_TOKENS / 8;
/// Smaller ones as multiples of these.
const SMALL_STEPS: (usize, usize) = (16, 128);
/// Numbers of a row that the kernels can hold.
const WIDTH_MAX: usize = 1_024;
/// Queries of one block of attention where texts are short, and where they are long: a larger block reads keys less often.
const TILES: [usize; 2] = [64, 128];
/// Tokens that texts have on average from which they are long.
const LONG: usize = 96;
/// Threads for each query: a warp takes sixteen.
const THREADS_A_QUERY: u32 = 2;
const ROW_THREADS: u32 = 256;
/// Rows of a block of [`ROW_THREADS`], a warp each.
const ROWS_A_BLOCK: u32 = 8;
/// Numbers that tell a tile: its text's first token and tokens, its first query.
const TILE_NUMBERS: usize = 3;

/// A model on a GPU.
#[derive(Debug)]
pub struct GpuBert {
    gpu: Arc<Gpu>,
    config: Config,
    words: CudaSlice<f16>,
    positions: CudaSlice<f16>,
    first_norm: GpuNorm,
    layers: Vec<Layer>,
    /// Lanes that nobody uses.
    lanes: Mutex<Vec<Lane>>,
    lane_free: Condvar,
}

#[derive(Debug)]
struct GpuNorm {
    gain: CudaSlice<f32>,
    bias: CudaSlice<f32>,
}

#[derive(Debug)]
struct Layer {
    attention: Weights,
    attention_out: Weights,
    attention_norm: GpuNorm,
    inner: Weights,
    outer: Weights,
    outer_norm: GpuNorm,
}

/// One stream and the memory of a batch. The numbers that tell a batch lie one behind the other: tokens, their places, the
/// texts' starts, the tiles of attention.
#[derive(Debug)]
struct Lane {
    stream: Arc<CudaStream>,
    blas: Blas,
    told: PinnedHostSlice<i32>,
    numbers: CudaSlice<i32>,
    states: CudaSlice<f16>,
    projected: CudaSlice<f16>,
    context: CudaSlice<f16>,
    inner: CudaSlice<f16>,
    vectors: CudaSlice<f32>,
    answer: PinnedHostSlice<f32>,
}

/// A batch as the kernels read it.
struct Batch {
    tokens: usize,
    /// Tokens that products are computed for; what stands behind the real ones is looked at by nobody.
    rows: usize,
    texts: usize,
    /// Whether its texts are long.
    long: bool,
    tiles: usize,
}

impl Batch {
    fn places(&self) -> usize {
        self.tokens
    }
    fn starts(&self) -> usize {
        self.places() + self.tokens
    }
    fn first_tile(&self) -> usize {
        self.starts() + self.texts + 1
    }
    fn numbers(&self) -> usize {
        self.first_tile() + self.tiles * TILE_NUMBERS
    }
}

/// Loads what is shared by all lanes.
struct Loader<'a> {
    stream: &'a Arc<CudaStream>,
    named: Named<'a>,
}

impl Loader<'_> {
    fn halves(&self, numbers: &[f32]) -> Result<CudaSlice<f16>> {
        let halves: Vec<f16> = numbers.iter().map(|number| f16::from_f32(*number)).collect();
        if let Some(at) = halves.iter().position(|half| !half.is_finite()) {
            let text = format!("a weight of {} has no half precision: the model runs on the processor", numbers[at]);
            return Err(Error::new(Kind::Invalid, text));
        }
        self.stream.clone_htod(&halves).map_err(failed("put the model onto the GPU"))
    }

    fn norm(&self, place: &str, width: usize) -> Result<GpuNorm> {
        let Norm { gain, bias } = self.named.norm(place, width)?;
        let put = |numbers: &[f32]| self.stream.clone_htod(numbers).map_err(failed("put the model onto the GPU"));
        Ok(GpuNorm { gain: put(&gain)?, bias: put(&bias)? })
    }

    fn product(&self, at: usize, parts: &[&str], columns: usize, depth: usize) -> Result<Weights> {
        let (numbers, bias) = self.named.product(at, parts, columns, depth)?;
        let columns = columns * parts.len();
        Ok(Weights { numbers: self.halves(&numbers)?, bias: self.halves(&bias)?, columns, depth })
    }
}

impl GpuBert {
    /// Whether the kernels can compute a model: BERT with heads of 32 or 64 numbers, rows of at most 1,024.
    pub fn takes(config: &Config) -> bool {
        if config.family != Family::Bert {
            return false;
        }
        let head = config.hidden / config.heads;
        let fits = config.hidden <= WIDTH_MAX && config.inner.is_multiple_of(8) && config.tokens_max <= BATCH_TOKENS;
        (head == 32 || head == 64) && fits
    }

    /// Puts a model onto a card. `Invalid` for one that the kernels cannot compute.
    pub fn read(gpu: Arc<Gpu>, config: Config, tensors: &Tensors) -> Result<GpuBert> {
        if config.family != Family::Bert {
            return Err(Error::invalid(
                "ModernBERT is not computed on a GPU; the processor does it (--embedder-device cpu)",
            ));
        }
        if !GpuBert::takes(&config) {
            let (hidden, head) = (config.hidden, config.hidden / config.heads);
            let text = format!(
                "the GPU computes heads of 32 or 64 numbers and rows of at most {WIDTH_MAX}, not heads of {head} and rows of {hidden}"
            );
            return Err(Error::invalid(text));
        }
        let stream = gpu.stream()?;
        let loader = Loader { stream: &stream, named: Named::find(tensors)? };
        let (hidden, inner) = (config.hidden, config.inner);
        let words = loader.named.read("embeddings.word_embeddings.weight", &[config.vocabulary, hidden])?;
        let words = loader.halves(&words)?;
        let positions = loader.halves(&loader.named.positions(&config)?)?;
        let first_norm = loader.norm("embeddings", hidden)?;
        let mut layers = Vec::with_capacity(config.layers);
        for at in 0..config.layers {
            layers.push(Layer {
                attention: loader.product(at, &ATTENTION, hidden, hidden)?,
                attention_out: loader.product(at, &[ATTENTION_OUT], hidden, hidden)?,
                attention_norm: loader.norm(&format!("encoder.layer.{at}.attention.output"), hidden)?,
                inner: loader.product(at, &[INNER], inner, hidden)?,
                outer: loader.product(at, &[OUTER], hidden, inner)?,
                outer_norm: loader.norm(&format!("encoder.layer.{at}.output"), hidden)?,
            });
        }
        stream.synchronize().map_err(failed("put the model onto the GPU"))?;
        let lanes = (0..LANES).map(|_| Lane::new(&gpu, &config, layers.first())).collect::<Result<_>>()?;
        let lanes = Mutex::new(lanes);
        Ok(GpuBert { gpu, config, words, positions, first_norm, layers, lanes, lane_free: Condvar::new() })
    }

    /// What the folder said.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A vector of length one for each text, given as its tokens.
    pub fn vectors(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
        let batches = batches(texts);
        let mut vectors = vec![Vec::new(); texts.len()];
        if let [batch] = batches.as_slice() {
            self.run(texts, batch, |at, vector| vectors[at] = vector)?;
            return Ok(vectors);
        }
        let next = AtomicUsize::new(0);
        let found = Mutex::new(&mut vectors);
        let work = || -> Result<()> {
            while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut own = Vec::with_capacity(batch.len());
                self.run(texts, batch, |at, vector| own.push((at, vector)))?;
                let mut found = found.lock();
                own.into_iter().for_each(|(at, vector)| found[at] = vector);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..LANES.min(batches.len())).map(|_| scope.spawn(work)).collect();
            let own = work();
            others
                .into_iter()
                .map(|other| other.join().unwrap_or_else(|_| Err(died())))
                .chain([own])
                .collect::<Result<()>>()
        })?;
        Ok(vectors)
    }

    fn run(&self, texts: &[Vec<u32>], batch: &[usize], mut give: impl FnMut(usize, Vec<f32>)) -> Result<()> {
        let mut free = self.lanes.lock();
        let mut lane = loop {
            if let Some(lane) = free.pop() {
                break lane;
            }
            self.lane_free.wait(&mut free);
        };
        drop(free);
        let done = lane.run(self, texts, batch, &mut give);
        if done.is_err() {
            // Whatever failed, the memory is not written any more when the next batch comes.
            let _ = lane.stream.synchronize();
        }
        self.lanes.lock().push(lane);
        self.lane_free.notify_one();
        done
    }
}

fn died() -> Error {
    Error::new(Kind::Unavailable, "a thread that feeds the GPU ended")
}

/// Texts by number, the longest first, in batches of at most [`BATCH_TOKENS`].
fn batches(texts: &[Vec<u32>]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(texts[*at].len()));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = BATCH_TOKENS + 1;
    for at in order {
        match batches.last_mut() {
            Some(batch) if tokens + texts[at].len() <= BATCH_TOKENS => {
                batch.push(at);
                tokens += texts[at].len();
            }
            _ => {
                batches.push(vec![at]);
                tokens = texts[at].len();
            }
        }
    }
    batches
}

/// Rows that products are computed for.
fn rows(tokens: usize) -> usize {
    let (few, some) = SMALL_STEPS;
    let step = if tokens <= some {
        few
    } else if tokens <= STEP {
        some
    } else {
        STEP
    };
    tokens.next_multiple_of(step)
}

impl Lane {
    fn new(gpu: &Arc<Gpu>, config: &Config, layer: Option<&Layer>) -> Result<Lane> {
        fn room<T: DeviceRepr + ValidAsZeroBits>(stream: &Arc<CudaStream>, len: usize) -> Result<CudaSlice<T>> {
            stream.alloc_zeros(len).map_err(failed("take memory of the GPU"))
        }
        let stream = gpu.stream()?;
        // A text has two tokens at least.
        let texts = BATCH_TOKENS / 2 + 1;
        let numbers = BATCH_TOKENS * 2 + texts + 1 + (BATCH_TOKENS / TILES[0] + texts) * TILE_NUMBERS;
        let failed_host = failed("take memory that the GPU reads");
        // SAFETY: both are written before they are read.
        let told = unsafe { gpu.context.alloc_pinned_with_flags(numbers, 0) }.map_err(&failed_host)?;
        // SAFETY: as above.
        let answer = unsafe { gpu.context.alloc_pinned_with_flags(texts * config.hidden, 0) }.map_err(&failed_host)?;
        let mut lane = Lane {
            blas: Blas::new(&stream)?,
            told,
            numbers: room(&stream, numbers)?,
            states: room(&stream, BATCH_TOKENS * config.hidden)?,
            projected: room(&stream, BATCH_TOKENS * config.hidden * 3)?,
            context: room(&stream, BATCH_TOKENS * config.hidden)?,
            inner: room(&stream, BATCH_TOKENS * config.inner)?,
            vectors: room(&stream, texts * config.hidden)?,
            answer,
            stream,
        };
        if let Some(layer) = layer {
            lane.tune(layer)?;
        }
        Ok(lane)
    }

    /// Large products, each with the quickest way to compute it; what trying leaves behind is cleared.
    fn tune(&mut self, layer: &Layer) -> Result<()> {
        for rows in (STEP..=BATCH_TOKENS).step_by(STEP) {
            let stream = self.stream.clone();
            let pointer = |memory: &CudaSlice<f16>| memory.device_ptr(&stream).0;
            let (states, projected) = (pointer(&self.states), pointer(&self.projected));
            let (context, inner) = (pointer(&self.context), pointer(&self.inner));
            // SAFETY: the memory is this lane's and holds that many rows.
            unsafe {
                self.blas.tune(&layer.attention, states, projected, rows, Then::Bias)?;
                self.blas.tune(&layer.attention_out, context, states, rows, Then::Onto)?;
                self.blas.tune(&layer.inner, states, inner, rows, Then::Gelu)?;
                self.blas.tune(&layer.outer, inner, states, rows, Then::Onto)?;
            }
        }
        self.stream.memset_zeros(&mut self.states).map_err(failed("clear memory of the GPU"))
    }

    fn run(
        &mut self,
        model: &GpuBert,
        texts: &[Vec<u32>],
        batch: &[usize],
        give: &mut impl FnMut(usize, Vec<f32>),
    ) -> Result<()> {
        model.gpu.context.bind_to_thread().map_err(failed("work with the GPU"))?;
        let told = self.tell(&model.config, texts, batch)?;
        self.forward(model, &told)?;
        let width = model.config.hidden;
        let used = told.texts * width;
        let (vectors, _vectors) = self.vectors.device_ptr(&self.stream);
        let answer = &mut self.answer.as_mut_slice().map_err(failed("read what the GPU answered"))?[..used];
        // SAFETY: the memory is pinned and not touched before the stream was waited for.
        unsafe { result::memcpy_dtoh_async(answer, vectors, self.stream.cu_stream()) }
            .map_err(failed("read what the GPU answered"))?;
        self.stream.synchronize().map_err(failed("compute on the GPU"))?;
        for (at, vector) in batch.iter().zip(answer.chunks_exact(width)) {
            if !vector.iter().all(|number| number.is_finite()) {
                let text = "the model answers with numbers that are no vector: its weights are damaged, of another model, \
                            or too large for the half precision of a GPU";
                return Err(Error::new(Kind::Corrupt, text));
            }
            give(*at, vector.to_vec());
        }
        Ok(())
    }

    /// Writes down what the kernels need to know, and sends it.
    fn tell(&mut self, config: &Config, texts: &[Vec<u32>], batch: &[usize]) -> Result<Batch> {
        let told = self.told.as_mut_slice().map_err(failed("write what the GPU reads"))?;
        let tokens: usize = batch.iter().map(|at| texts[*at].len()).sum();
        let long = tokens >= LONG * batch.len();
        let size = TILES[usize::from(long)];
        let tiles = batch.iter().map(|at| texts[*at].len().div_ceil(size)).sum();
        let batch_told = Batch { tokens, rows: rows(tokens), texts: batch.len(), long, tiles };
        let (mut token, mut tile) = (0, batch_told.first_tile());
        for (n, at) in batch.iter().enumerate() {
            let text = &texts[*at];
            told[batch_told.starts() + n] = token as i32;
            for (place, id) in text.iter().enumerate() {
                let id = i32::try_from(*id).ok().filter(|id| (*id as usize) < config.vocabulary).ok_or_else(|| {
                    let rows = config.vocabulary;
                    Error::invalid(format!("token {id} is beyond the model's {rows}: a wrong tokenizer"))
                })?;
                told[token + place] = id;
                told[batch_told.places() + token + place] = (config.first_position + place) as i32;
            }
            for query in (0..text.len()).step_by(size) {
                told[tile..tile + TILE_NUMBERS].copy_from_slice(&[token as i32, text.len() as i32, query as i32]);
                tile += TILE_NUMBERS;
            }
            token += text.len();
        }
        told[batch_told.starts() + batch.len()] = token as i32;
        let (numbers, _numbers) = self.numbers.device_ptr(&self.stream);
        // SAFETY: the memory is pinned, not changed before the stream was waited for, and fits.
        unsafe { result::memcpy_htod_async(numbers, &told[..batch_told.numbers()], self.stream.cu_stream()) }
            .map_err(failed("write what the GPU reads"))?;
        Ok(batch_told)
    }

    fn forward(&mut self, model: &GpuBert, batch: &Batch) -> Result<()> {
        let Config { hidden, heads, epsilon, .. } = model.config;
        let launching = failed("start a kernel on the GPU");
        let (tokens, width) = (batch.tokens as i32, hidden as i32);
        let by_row = LaunchConfig {
            grid_dim: ((batch.tokens as u32).div_ceil(ROWS_A_BLOCK), 1, 1),
            block_dim: (ROW_THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        let stream = self.stream.clone();
        let places = self.numbers.slice(batch.places()..batch.starts());
        let starts = self.numbers.slice(batch.starts()..batch.first_tile());
        let tiles = self.numbers.slice(batch.first_tile()..batch.numbers());
        let mut look_up = stream.launch_builder(&model.gpu.look_up);
        look_up.arg(&self.numbers).arg(&places).arg(&model.words).arg(&model.positions);
        look_up.arg(&model.first_norm.gain).arg(&model.first_norm.bias).arg(&epsilon);
        look_up.arg(&self.states).arg(&tokens).arg(&width);
        // SAFETY: the tables have a row for every token and place, which `tell` saw to.
        unsafe { look_up.launch(by_row) }.map_err(&launching)?;

        let pointer = |memory: &CudaSlice<f16>| memory.device_ptr(&stream).0;
        let (states, projected) = (pointer(&self.states), pointer(&self.projected));
        let (context, inner) = (pointer(&self.context), pointer(&self.inner));
        let (attend, head) =
            if hidden / heads == 32 { (&model.gpu.attend_32, 32.0f32) } else { (&model.gpu.attend_64, 64.0) };
        let attend = &attend[usize::from(batch.long)];
        let scale = head.sqrt().recip();
        let by_tile = LaunchConfig {
            grid_dim: (batch.tiles as u32, heads as u32, 1),
            block_dim: (TILES[usize::from(batch.long)] as u32 * THREADS_A_QUERY, 1, 1),
            shared_mem_bytes: 0,
        };
        let normalise = |norm: &GpuNorm| {
            let mut normalise = stream.launch_builder(&model.gpu.normalise);
            normalise.arg(&self.states).arg(&norm.gain).arg(&norm.bias).arg(&epsilon).arg(&tokens).arg(&width);
            // SAFETY: the states have that many rows.
            unsafe { normalise.launch(by_row) }.map(drop).map_err(&launching)
        };
        for layer in &model.layers {
            // SAFETY: all memory is this lane's and has room for BATCH_TOKENS rows; nothing is written where it is read, but
            // for sums onto the states.
            unsafe { self.blas.multiply(&layer.attention, states, projected, batch.rows, Then::Bias) }?;
            let mut attention = stream.launch_builder(attend);
            attention.arg(&self.projected).arg(&self.context).arg(&tiles).arg(&width).arg(&scale);
            // SAFETY: as above; tiles name tokens of the batch.
            unsafe { attention.launch(by_tile) }.map_err(&launching)?;
            // SAFETY: as above.
            unsafe { self.blas.multiply(&layer.attention_out, context, states, batch.rows, Then::Onto) }?;
            normalise(&layer.attention_norm)?;
            // SAFETY: as above.
            unsafe {
                self.blas.multiply(&layer.inner, states, inner, batch.rows, Then::Gelu)?;
                self.blas.multiply(&layer.outer, inner, states, batch.rows, Then::Onto)?;
            }
            normalise(&layer.outer_norm)?;
        }
        let only_first = i32::from(model.config.pooling == Pooling::First);
        let by_text = LaunchConfig {
            grid_dim: (batch.texts as u32, 1, 1),
            block_dim: (ROW_THREADS, 1, 1),
            shared_mem_bytes: ROWS_A_BLOCK * hidden as u32 * 4,
        };
        let mut pool = stream.launch_builder(&model.gpu.pool);
        pool.arg(&self.states).arg(&starts).arg(&only_first).arg(&self.vectors).arg(&width);
        // SAFETY: a start for every text and one behind the last; the vectors have a row for each.
        unsafe { pool.launch(by_text) }.map(drop).map_err(&launching)
    }
}
