use super::*;
use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use candle_core::{Device, Tensor};
use engine::{Message, Speaker};

use crate::chat::vocabulary::tests::content;

/// A model of two layers with weights that mean nothing, as a file.
fn model(folder: &Path) -> PathBuf {
    let vocabulary = content().metadata;
    let (width, heads, key_heads, feed, layers) = (64, 4, 2, 96, 2);
    let words = vocabulary["tokenizer.ggml.tokens"].to_vec().unwrap().len();
    let mut metadata: Vec<(String, gguf_file::Value)> = vocabulary.into_iter().collect();
    for (key, value) in [
        ("block_count", layers),
        ("embedding_length", width),
        ("attention.head_count", heads),
        ("attention.head_count_kv", key_heads),
        ("context_length", 256),
    ] {
        metadata.push((format!("llama.{key}"), gguf_file::Value::U32(value)));
    }
    metadata.push(("llama.attention.layer_norm_rms_epsilon".to_owned(), gguf_file::Value::F32(1e-5)));
    metadata.push(("general.architecture".to_owned(), gguf_file::Value::String("llama".to_owned())));
    let mut seed = 1_u32;
    let mut tensor = |rows: usize, columns: usize, kind: GgmlDType| {
        let mut number = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1_u32 << 24) as f32 - 0.5
        };
        let numbers: Vec<f32> = (0..rows * columns).map(|_| number()).collect();
        QTensor::quantize(&Tensor::from_vec(numbers, (rows, columns), &Device::Cpu).unwrap(), kind).unwrap()
    };
    let ones = || {
        let ones = Tensor::ones(width as usize, candle_core::DType::F32, &Device::Cpu).unwrap();
        QTensor::quantize(&ones, GgmlDType::F32).unwrap()
    };
    let (width, feed, kv) = (width as usize, feed, 32);
    let mut tensors = vec![
        ("token_embd.weight".to_owned(), tensor(words, width, GgmlDType::Q8_0)),
        ("output_norm.weight".to_owned(), ones()),
    ];
    for at in 0..layers {
        for (part, rows, columns) in [
            ("attn_q", width, width),
            ("attn_k", kv, width),
            ("attn_v", kv, width),
            ("attn_output", width, width),
            ("ffn_gate", feed, width),
            ("ffn_up", feed, width),
            ("ffn_down", width, feed),
        ] {
            tensors.push((format!("blk.{at}.{part}.weight"), tensor(rows, columns, GgmlDType::Q4_1)));
        }
        tensors.push((format!("blk.{at}.attn_norm.weight"), ones()));
        tensors.push((format!("blk.{at}.ffn_norm.weight"), ones()));
    }
    let path = folder.join("tiny.gguf");
    let metadata: Vec<(&str, &gguf_file::Value)> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    gguf_file::write(&mut File::create(&path).unwrap(), &metadata, &tensors).unwrap();
    path
}

fn asked(text: &str, tokens_max: u32) -> ChatRequest {
    let messages = vec![Message { speaker: Speaker::User, text: text.to_owned() }];
    ChatRequest { messages, tokens_max, temperature: 0.0 }
}

async fn said(model: &LocalChat, request: ChatRequest) -> String {
    let pieces: Vec<_> = model.chat(request).await.unwrap().collect().await;
    pieces.into_iter().map(|piece| piece.unwrap()).collect()
}

#[test]
fn a_prompt_in_parts_is_the_prompt_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut reader = File::open(model(folder.path())).unwrap();
    let content = Content::read(&mut reader).unwrap();
    let llama = Llama::read(&content, &mut reader, 256).unwrap();
    let words: Vec<u32> = (3..67).collect();
    let hear = |lens: &[usize]| {
        let mut cache = Cache::new(&llama.measures, 100).unwrap();
        let (mut from, mut scores) = (0, Vec::new());
        for len in lens {
            scores = llama.forward(&words[from..from + len], &mut cache).unwrap();
            from += len;
        }
        assert_eq!((from, cache.len(), cache.is_empty()), (words.len(), words.len(), false));
        scores
    };
    // Long parts are multiplied densely, short ones with packed weights: both are the same model.
    let (whole, parts, single) = (hear(&[64]), hear(&[40, 20, 4]), hear(&[1; 64]));
    let apart = |other: &[f32]| whole.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let span = whole.iter().fold(0.0_f32, |most, score| most.max(score.abs()));
    assert!(
        apart(&parts) < 0.05 * span && apart(&single) < 0.05 * span,
        "{} {} of {span}",
        apart(&parts),
        apart(&single)
    );
    assert!(llama.forward(&words, &mut Cache::new(&llama.measures, 10).unwrap()).is_err());
}

#[tokio::test]
async fn it_answers_and_says_what_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path());
    let model = LocalChat::load(folder.path()).unwrap();
    assert_eq!((model.model(), model.context_tokens()), ("tiny", 256));
    let first = said(&model, asked("hello there", 40)).await;
    assert_eq!(first, said(&model, asked("hello there", 40)).await, "cold answers are the same each time");
    // Weights without sense may end an answer before its first word, but not every answer.
    let mut words = 0;
    for question in ["hello there", "hello", "there", "the end", "a", "one two three", "what is it", "why"] {
        words += said(&model, asked(question, 40)).await.split_whitespace().count();
    }
    assert!(words > 0);
    let refused = model.chat(asked(&"word ".repeat(100), 40)).await.err().unwrap();
    assert_eq!(refused.kind(), Kind::TooLarge, "{refused}");
}

#[tokio::test]
async fn the_queue_is_bounded_and_a_dropped_stream_frees_it() {
    let folder = tempfile::tempdir().unwrap();
    let model = LocalChat::load(&model(folder.path())).unwrap();
    let mut streams = Vec::new();
    let refused = loop {
        match model.chat(asked("hello", 200)).await {
            Ok(stream) => streams.push(stream),
            Err(refused) => break refused,
        }
        assert!(streams.len() < 10_000, "the queue never fills");
    };
    assert!(matches!(refused.kind(), Kind::Overloaded { .. }), "{refused}");
    drop(streams);
    // All were given up: the next one is heard soon.
    let answer = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match model.chat(asked("hello", 8)).await {
                Ok(stream) => break stream.collect::<Vec<_>>().await.len(),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    assert!(answer.await.is_ok());
}

#[test]
fn a_broken_file_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = model(folder.path());
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(LocalChat::load(&path).err().unwrap().kind(), Kind::Corrupt);
    std::fs::write(&path, b"no model").unwrap();
    assert_eq!(LocalChat::load(&path).err().unwrap().kind(), Kind::Corrupt);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(LocalChat::load(folder.path()).err().unwrap().kind(), Kind::NotFound);
}
