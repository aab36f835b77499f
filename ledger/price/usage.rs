//! What a request used, as counted by its provider.

use engine::{Error, Result};
use serde_json::Value;

/// Tokens of one request. Input includes what the cache read and wrote, output includes reasoning; a cache write of an
/// hour is part of the cache writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens sent.
    pub input: i64,
    /// Tokens answered.
    pub output: i64,
    /// Of the tokens sent, those found in the cache.
    pub cache_read: i64,
    /// Of the tokens sent, those written to the cache.
    pub cache_write: i64,
    /// Of these, those written for an hour.
    pub cache_write_1h: i64,
    /// Of the tokens answered, those of thought.
    pub reasoning: i64,
    /// Of the tokens sent, those of sound.
    pub audio_input: i64,
    /// Of the tokens answered, those of sound.
    pub audio_output: i64,
    /// `flex`, `priority`, `batch` …; empty is standard.
    pub service_tier: String,
}

/// A count, and the places where providers write it: paths into the usage of OpenAI, Anthropic and Gemini, of
/// OpenTelemetry's conventions, and our own names first.
type Place = (&'static str, &'static [&'static str]);

const PLACES: &[Place] = &[
    ("input", &["/input_tokens", "/prompt_tokens", "/promptTokenCount"]),
    ("output", &["/output_tokens", "/completion_tokens", "/candidatesTokenCount"]),
    (
        "cache_read",
        &[
            "/cache_read_tokens",
            "/cache_read_input_tokens",
            "/prompt_tokens_details/cached_tokens",
            "/input_tokens_details/cached_tokens",
            "/cachedContentTokenCount",
        ],
    ),
    (
        "cache_write",
        &["/cache_write_tokens", "/cache_creation_input_tokens", "/prompt_tokens_details/cache_creation_tokens"],
    ),
    ("cache_write_1h", &["/cache_write_1h_tokens", "/cache_creation/ephemeral_1h_input_tokens"]),
    (
        "reasoning",
        &[
            "/reasoning_tokens",
            "/completion_tokens_details/reasoning_tokens",
            "/output_tokens_details/reasoning_tokens",
            "/thoughtsTokenCount",
        ],
    ),
    ("audio_input", &["/audio_input_tokens", "/prompt_tokens_details/audio_tokens"]),
    ("audio_output", &["/audio_output_tokens", "/completion_tokens_details/audio_tokens"]),
];

/// Counts that Anthropic does not include in its input tokens.
const BESIDE_INPUT: &[&str] = &["/cache_read_input_tokens", "/cache_creation_input_tokens"];
/// Google counts thought beside the answer.
const BESIDE_OUTPUT: &str = "/thoughtsTokenCount";

impl Usage {
    /// Reads a provider's usage object, as it stands in its answer.
    pub fn from_json(text: &str) -> Result<Usage> {
        let wrong = |what: String| Error::invalid(format!("read a usage: {what}"));
        let document: Value = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        if !document.is_object() {
            return Err(wrong("it is no JSON object".to_owned()));
        }
        let at = |path: &str| -> Result<Option<i64>> {
            match document.pointer(path) {
                None | Some(Value::Null) => Ok(None),
                Some(count) => {
                    let count = count.as_i64().ok_or_else(|| wrong(format!("{path} is no whole number")))?;
                    Ok(Some(count))
                }
            }
        };
        let mut usage = Usage::default();
        for (name, paths) in PLACES {
            let mut found = None;
            for path in *paths {
                found = found.or(at(path)?);
            }
            *usage.count(name) = found.unwrap_or_default();
        }
        if document.get("input_tokens").is_some() {
            for path in BESIDE_INPUT {
                usage.input += at(path)?.unwrap_or_default();
            }
        }
        usage.output += at(BESIDE_OUTPUT)?.unwrap_or_default();
        if let Some(tier) = document.get("service_tier").and_then(Value::as_str) {
            tier.clone_into(&mut usage.service_tier);
        }
        usage.checked()
    }

    fn count(&mut self, name: &str) -> &mut i64 {
        match name {
            "input" => &mut self.input,
            "output" => &mut self.output,
            "cache_read" => &mut self.cache_read,
            "cache_write" => &mut self.cache_write,
            "cache_write_1h" => &mut self.cache_write_1h,
            "reasoning" => &mut self.reasoning,
            "audio_input" => &mut self.audio_input,
            _ => &mut self.audio_output,
        }
    }

    /// The same, if no count is negative.
    pub fn checked(mut self) -> Result<Usage> {
        for (name, _) in PLACES {
            if *self.count(name) < 0 {
                return Err(Error::invalid(format!("a usage cannot have {} {name} tokens", self.count(name))));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Usage) {
        assert_eq!(Usage::from_json(text).unwrap(), expected, "{text}");
    }

    #[test]
    fn the_usage_of_every_provider_is_read() {
        let usage = Usage { input: 10, output: 5, cache_read: 4, ..Usage::default() };
        check(r#"{"input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 4}"#, usage.clone());
        check(
            r#"{"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": null}}"#,
            usage,
        );
        check(
            r#"{"input_tokens": 1, "output_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 5,
                "cache_creation": {"ephemeral_1h_input_tokens": 3}, "service_tier": "priority"}"#,
            Usage {
                input: 10,
                output: 5,
                cache_read: 4,
                cache_write: 5,
                cache_write_1h: 3,
                service_tier: "priority".to_owned(),
                ..Usage::default()
            },
        );
        check(
            r#"{"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 2}"#,
            Usage { input: 10, output: 7, reasoning: 2, ..Usage::default() },
        );
    }

    #[test]
    fn what_is_no_usage_is_refused() {
        for text in ["", "[]", "{\"input_tokens\": 1.5}", "{\"input_tokens\": -1}", "{\"output_tokens\": \"many\"}"] {
            assert!(Usage::from_json(text).is_err(), "{text}");
        }
    }
}
