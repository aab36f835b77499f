//! Dated prices: of models by the token, of Kubernetes resources by the hour. A price that changes closes the old row's
//! validity and opens a new one, so that a usage is priced as of its own day. What has no price is an error or NULL,
//! never zero.

mod answer;
mod book;
mod cost;
mod functions;
mod history;
mod model_price;
mod name;
mod rates;
mod resource_book;
mod resource_price;
mod usage;

pub use book::{Ask, Book, Prices};
pub use cost::{Cost, Line, cost};
pub use functions::functions;
pub use history::{Change, Dated, Validity, change};
pub use model_price::{MODEL_PRICE, ModelPrice};
pub use resource_book::{About, ResourceBook};
pub use resource_price::{RESOURCE_PRICE, ResourcePrice};
pub use usage::Usage;

/// Tenant of the prices that SQL's functions use: what an operator imports.
pub const PRICE_TENANT: &str = "default";
/// The tier of a request that asks for none.
pub const STANDARD: &str = "standard";
/// The tier of requests that wait for a batch.
pub const BATCH: &str = "batch";

/// What is priced: a dimension of a request. Other things a list prices stand under the list's own name.
pub mod dimension {
    /// Tokens sent, without those below.
    pub const INPUT: &str = "input";
    /// Tokens answered.
    pub const OUTPUT: &str = "output";
    /// Tokens sent and found in the cache.
    pub const CACHE_READ: &str = "cache_read";
    /// Tokens written to the cache for five minutes, or for the provider's usual time.
    pub const CACHE_WRITE: &str = "cache_write_5m";
    /// Tokens written to the cache for an hour.
    pub const CACHE_WRITE_1H: &str = "cache_write_1h";
    /// Tokens of thought, where they cost other than the answer.
    pub const REASONING: &str = "reasoning";
    /// Tokens of sound sent.
    pub const AUDIO_INPUT: &str = "audio_input";
    /// Tokens of sound answered.
    pub const AUDIO_OUTPUT: &str = "audio_output";
    /// Tokens of pictures answered.
    pub const IMAGE_OUTPUT: &str = "image_output";
}
