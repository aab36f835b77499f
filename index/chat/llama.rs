//! The forward pass of Llama's architecture over quantised weights, on the CPU.
//!
//! Candle's own pass copies its cache with each token and keeps every mask that it ever made; this one writes into a cache
//! of the conversation's size. Two things make it fast: blocks whose dot product Candle has only in plain form (Q4_1) are
//! taken to 8 bits when the file is read, and a long prompt is multiplied with weights that are unpacked for the moment,
//! so that it runs at the speed of a dense product, while single words use the packed ones.

use std::io::{Read, Seek};

use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{D, DType, Device, Module, Result, Tensor, bail};
use candle_nn::ops::{rms_norm, softmax_last_dim};
use candle_nn::rotary_emb::rope_i;

/// From this many rows on, unpacking the weights costs less than it saves.
const DENSE_ROWS_MIN: usize = 24;
/// Layers of a model that is read.
const LAYERS_MAX: usize = 256;

/// The model's measures, as its file says them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measures {
    /// Blocks of attention and feed-forward.
    pub layers: usize,
    /// Width of a token's vector.
    pub width: usize,
    /// Heads that ask.
    pub heads: usize,
    /// Heads that answer; each serves `heads / key_heads` that ask.
    pub key_heads: usize,
    /// Width of a head.
    pub head_width: usize,
    /// Tokens that the model was made for.
    pub context: usize,
    /// Smallest variance of a norm.
    pub epsilon: f32,
    /// Base of the rotation's frequencies.
    pub rotation_base: f32,
}

impl Measures {
    fn read(content: &Content) -> Result<Measures> {
        let architecture = content.metadata.get("general.architecture").and_then(|v| v.to_string().ok());
        if architecture.map(String::as_str) != Some("llama") {
            bail!("the architecture is {architecture:?}; only llama is run here");
        }
        let value = |key: &str| match content.metadata.get(&format!("llama.{key}")) {
            Some(value) => Ok(value),
            None => bail!("the file does not say llama.{key}"),
        };
        let count = |key: &str| value(key).and_then(Value::to_u32).map(|count| count as usize);
        let (width, heads) = (count("embedding_length")?, count("attention.head_count")?);
        let key_heads = count("attention.head_count_kv").unwrap_or(heads);
        let layers = count("block_count")?;
        if heads == 0 || key_heads == 0 || heads % key_heads != 0 || width % heads != 0 || layers > LAYERS_MAX {
            bail!("{layers} layers of {heads} heads over {key_heads} in a width of {width} fit nothing");
        }
        let head_width = width / heads;
        if count("rope.dimension_count").unwrap_or(head_width) != head_width {
            bail!("a rotation of a part of a head is not run here");
        }
        if count("expert_count").unwrap_or(0) > 1 {
            bail!("a mixture of experts is not run here");
        }
        Ok(Measures {
            layers,
            width,
            heads,
            key_heads,
            head_width,
            context: count("context_length")?,
            epsilon: value("attention.layer_norm_rms_epsilon")?.to_f32()?,
            rotation_base: value("rope.freq_base").and_then(Value::to_f32).unwrap_or(10_000.0),
        })
    }
}

/// A matrix of weights.
#[derive(Debug)]
struct Linear(QMatMul);

impl Linear {
    fn of(weights: QTensor, rows: usize, columns: usize, name: &str) -> Result<Linear> {
        if weights.shape().dims() != [rows, columns] {
            bail!("{name} is {:?} and should be {:?}", weights.shape().dims(), [rows, columns]);
        }
        let weights = match weights.dtype() {
            GgmlDType::Q4_1 | GgmlDType::Q5_0 | GgmlDType::Q5_1 => {
                QTensor::quantize(&weights.dequantize(&Device::Cpu)?, GgmlDType::Q8_0)?
            }
            _ => weights,
        };
        Ok(Linear(QMatMul::from_qtensor(weights)?))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.0 {
            QMatMul::QTensor(weights) if x.dim(0)? >= DENSE_ROWS_MIN => {
                x.matmul(&weights.dequantize(&Device::Cpu)?.t()?)
            }
            weights => weights.forward(x),
        }
    }
}

#[derive(Debug)]
struct Layer {
    attention_norm: Tensor,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    feed_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// A model's weights.
#[derive(Debug)]
pub struct Llama {
    /// Its measures.
    pub measures: Measures,
    words: QMatMul,
    layers: Vec<Layer>,
    norm: Tensor,
    output: Linear,
    cos: Tensor,
    sin: Tensor,
}

/// What attention remembers of one conversation.
#[derive(Debug)]
pub struct Cache {
    keys: Vec<Tensor>,
    values: Vec<Tensor>,
    capacity: usize,
    len: usize,
}

impl Cache {
    /// Room for a conversation of this many tokens.
    pub fn new(measures: &Measures, capacity: usize) -> Result<Cache> {
        let shape = (measures.key_heads, capacity, measures.head_width);
        let made = || (0..measures.layers).map(|_| Tensor::zeros(shape, DType::F32, &Device::Cpu)).collect();
        let (keys, values): (Result<_>, Result<_>) = (made(), made());
        Ok(Cache { keys: keys?, values: values?, capacity, len: 0 })
    }

    /// Tokens so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was said yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Llama {
    /// Reads a model's weights; rotations are made for conversations of `context` tokens.
    pub fn read<R: Read + Seek>(content: &Content, reader: &mut R, context: usize) -> Result<Llama> {
        let m = Measures::read(content)?;
        let mut tensor = |name: &str| content.tensor(reader, name, &Device::Cpu);
        let norm_of = |weights: QTensor| weights.dequantize(&Device::Cpu);
        let words = tensor("token_embd.weight")?;
        let vocabulary = words.shape().dims2()?.0;
        let mut layers = Vec::with_capacity(m.layers);
        let kv_width = m.key_heads * m.head_width;
        for at in 0..m.layers {
            let mut matrix = |part: &str, rows: Option<usize>, columns: Option<usize>| {
                let name = format!("blk.{at}.{part}.weight");
                let weights = tensor(&name)?;
                let (r, c) = weights.shape().dims2()?;
                Linear::of(weights, rows.unwrap_or(r), columns.unwrap_or(c), &name)
            };
            let gate = matrix("ffn_gate", None, Some(m.width))?;
            let (query, key) =
                (matrix("attn_q", Some(m.width), Some(m.width))?, matrix("attn_k", Some(kv_width), Some(m.width))?);
            let (value, output) = (
                matrix("attn_v", Some(kv_width), Some(m.width))?,
                matrix("attn_output", Some(m.width), Some(m.width))?,
            );
            let (up, down) = (matrix("ffn_up", None, Some(m.width))?, matrix("ffn_down", Some(m.width), None)?);
            let attention_norm = norm_of(tensor(&format!("blk.{at}.attn_norm.weight"))?)?;
            let feed_norm = norm_of(tensor(&format!("blk.{at}.ffn_norm.weight"))?)?;
            layers.push(Layer { attention_norm, query, key, value, output, feed_norm, gate, up, down });
        }
        let norm = norm_of(tensor("output_norm.weight")?)?;
        // Small models say a word with the vector by which they read it.
        let output = match content.tensor_infos.contains_key("output.weight") {
            true => tensor("output.weight")?,
            false => tensor("token_embd.weight")?,
        };
        let output = Linear::of(output, vocabulary, m.width, "output.weight")?;
        let (cos, sin) = rotations(&m, context)?;
        Ok(Llama { measures: m, words: QMatMul::from_qtensor(words)?, layers, norm, output, cos, sin })
    }

    /// Hears these tokens behind what the cache holds; how likely each word of the vocabulary is next.
    pub fn forward(&self, tokens: &[u32], cache: &mut Cache) -> Result<Vec<f32>> {
        let (len, from) = (tokens.len(), cache.len);
        if len == 0 || from + len > cache.capacity || from + len > self.cos.dim(0)? {
            bail!("{len} tokens behind {from} do not fit a conversation of {}", cache.capacity);
        }
        let mask = if len == 1 { None } else { Some(mask(len, from)?) };
        let rotation = (self.cos.narrow(0, from, len)?, self.sin.narrow(0, from, len)?);
        let mut x = self.words.embedding(&Tensor::new(tokens, &Device::Cpu)?)?;
        for (at, layer) in self.layers.iter().enumerate() {
            let normed = rms_norm(&x, &layer.attention_norm, self.measures.epsilon)?;
            let seen = self.attend(layer, &normed, (&cache.keys[at], &cache.values[at]), from, &rotation, &mask)?;
            x = (x + seen)?;
            let normed = rms_norm(&x, &layer.feed_norm, self.measures.epsilon)?;
            let fed = (layer.gate.forward(&normed)?.silu()? * layer.up.forward(&normed)?)?;
            x = (x + layer.down.forward(&fed)?)?;
        }
        cache.len += len;
        let last = rms_norm(&x.narrow(0, len - 1, 1)?.contiguous()?, &self.norm, self.measures.epsilon)?;
        self.output.forward(&last)?.flatten_all()?.to_vec1()
    }

    fn attend(
        &self,
        layer: &Layer,
        x: &Tensor,
        (keys, values): (&Tensor, &Tensor),
        from: usize,
        (cos, sin): &(Tensor, Tensor),
        mask: &Option<Tensor>,
    ) -> Result<Tensor> {
        let m = &self.measures;
        let (len, group) = (x.dim(0)?, m.heads / m.key_heads);
        let apart = |x: Tensor, heads: usize| x.reshape((len, heads, m.head_width))?.transpose(0, 1)?.contiguous();
        let turned = |x: Tensor| rope_i(&x.unsqueeze(0)?, cos, sin)?.squeeze(0);
        let query = turned(apart(layer.query.forward(x)?, m.heads)?)?;
        keys.slice_set(&turned(apart(layer.key.forward(x)?, m.key_heads)?)?.contiguous()?, 1, from)?;
        values.slice_set(&apart(layer.value.forward(x)?, m.key_heads)?, 1, from)?;
        let (keys, values) = (keys.narrow(1, 0, from + len)?, values.narrow(1, 0, from + len)?);
        // The heads of a group ask the same keys: they are rows of one product.
        let query = query.reshape((m.key_heads, group * len, m.head_width))?;
        let scores = (query.matmul(&keys.transpose(1, 2)?)? * (1.0 / (m.head_width as f64).sqrt()))?;
        let scores = match mask {
            Some(mask) => scores.reshape((m.key_heads, group, len, from + len))?.broadcast_add(mask)?.reshape((
                m.key_heads,
                group * len,
                from + len,
            ))?,
            None => scores,
        };
        let seen = softmax_last_dim(&scores)?.matmul(&values)?;
        let seen = seen.reshape((m.heads, len, m.head_width))?.transpose(0, 1)?.contiguous()?;
        layer.output.forward(&seen.reshape((len, m.width))?)
    }
}

/// What keeps a token from seeing those behind it.
fn mask(len: usize, from: usize) -> Result<Tensor> {
    let row = |at: usize| (0..from + len).map(move |seen| if seen > from + at { f32::NEG_INFINITY } else { 0.0 });
    Tensor::from_iter((0..len).flat_map(row), &Device::Cpu)?.reshape((len, from + len))
}

fn rotations(m: &Measures, context: usize) -> Result<(Tensor, Tensor)> {
    let step = |at: usize| 1.0 / m.rotation_base.powf(2.0 * at as f32 / m.head_width as f32);
    let angle = |place: usize| (0..m.head_width / 2).map(move |at| place as f32 * step(at));
    let angles = Tensor::from_iter((0..context).flat_map(angle), &Device::Cpu)?.reshape((context, ()))?;
    debug_assert_eq!(angles.dim(D::Minus1)?, m.head_width / 2);
    Ok((angles.cos()?, angles.sin()?))
}
