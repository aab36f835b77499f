//! What this floor needs from a higher one: small traits, filled by `serve/wire`.

use std::borrow::Cow;

/// Takes secrets out of text before it becomes durable. Called for every text and JSON cell of every frame.
pub trait Redactor: Send + Sync + std::fmt::Debug {
    /// The text without secrets; borrowed when there was nothing to take out.
    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str>;
}

/// Leaves everything as it is; for tests of the store itself.
#[derive(Debug, Default)]
pub struct NoRedaction;

impl Redactor for NoRedaction {
    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(text)
    }
}
