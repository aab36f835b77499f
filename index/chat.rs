//! Models that answer: one that runs here, from a GGUF file on Candle, and any server that speaks OpenAI's interface.
//! Both fill `engine::ChatModel`. Neither knows of sources or citations: that is `answer`'s.

pub mod event_stream;
pub mod llama;
pub mod local;
pub mod sampling;
pub mod template;
pub mod upstream;
pub mod vocabulary;

pub use local::LocalChat;
pub use upstream::{Upstream, UpstreamSettings};

use engine::{Error, Kind};

/// What a broken file or a defect of the arithmetic says to whoever runs the model.
pub(crate) fn model_error(doing: &str) -> impl Fn(candle_core::Error) -> Error + '_ {
    move |cause| Error::new(Kind::Corrupt, format!("{doing}: {cause}"))
}
