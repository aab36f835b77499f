//! Which model embeds: options that every command shares which needs one, and where models lie.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::ingest::ado::client::secret::SecretRef;
use clap::{Args, ValueEnum};
use engine::{Embedder, Error, Result};
use index::embed::choose::{Wish, choose};
use index::embed::{Device, Options, Precision, RemoteSettings};

/// Which model embeds.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Model that embeds")]
pub struct EmbedderArgs {
    /// A pulled model's name, its folder, URL#MODEL of a server that speaks OpenAI's interface (https://host/v1#name), or none
    /// for full text only. Without it: multilingual-e5-small or all-MiniLM-L6-v2, if one was pulled.
    #[arg(long, value_name = "MODEL", env = "STELLWERK_EMBEDDER")]
    embedder: Option<String>,
    /// The server's key: env:NAME or file:PATH.
    #[arg(long, value_name = "SECRET", env = "STELLWERK_EMBEDDER_KEY", requires = "embedder")]
    embedder_key: Option<SecretRef>,
    /// How exactly a model in this process computes. Vectors of the two are never compared with each other.
    #[arg(long, value_enum, value_name = "PRECISION", env = "STELLWERK_EMBEDDER_PRECISION")]
    embedder_precision: Option<PrecisionArg>,
    /// Where a model in this process computes: auto (a GPU where there is one and the program was built with `make cuda`), cpu,
    /// cuda, or cuda:N for the GPU of that number.
    #[arg(long, value_name = "DEVICE", env = "STELLWERK_EMBEDDER_DEVICE", value_parser = device)]
    embedder_device: Option<Device>,
}

fn device(word: &str) -> std::result::Result<Device, String> {
    match word {
        "auto" => Ok(Device::Best),
        "cpu" => Ok(Device::Processor),
        "cuda" => Ok(Device::Gpu(0)),
        _ => word
            .strip_prefix("cuda:")
            .and_then(|number| number.parse().ok())
            .map(Device::Gpu)
            .ok_or_else(|| "it is auto, cpu, cuda or cuda:N".to_owned()),
    }
}

/// The precisions by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrecisionArg {
    /// In single precision.
    F32,
    /// The products over bytes.
    Int8,
}

impl EmbedderArgs {
    /// As the environment says; for commands that do not have the options.
    pub fn of_environment() -> EmbedderArgs {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            args: EmbedderArgs,
        }
        <Only as clap::Parser>::try_parse_from(["stellwerk"]).map(|only| only.args).unwrap_or_default()
    }

    /// What was written for the model; empty where nothing was.
    pub fn word(&self) -> &str {
        self.embedder.as_deref().unwrap_or_default()
    }

    /// Whether no model was asked for.
    pub fn is_silent(&self) -> bool {
        self.word().is_empty()
    }

    /// With another model, where one is named.
    pub fn with_model(mut self, model: Option<String>) -> Self {
        self.embedder = model.or(self.embedder);
        self
    }

    /// Opens the model; `None` means full text only.
    pub async fn open(&self) -> Result<Option<Arc<dyn Embedder>>> {
        let mut options = Options { device: self.embedder_device.unwrap_or_default(), ..Options::default() };
        if let Some(precision) = self.embedder_precision {
            options.precision = match precision {
                PrecisionArg::F32 => Precision::Single,
                PrecisionArg::Int8 => Precision::Bytes,
            };
        }
        choose(&cache()?, self.wish()?, options).await
    }

    fn wish(&self) -> Result<Wish> {
        let Some(word) = self.embedder.as_deref().filter(|word| !word.is_empty()) else { return Ok(Wish::WhatIsThere) };
        if word == "none" {
            return Ok(Wish::Nothing);
        }
        if word.starts_with("http://") || word.starts_with("https://") {
            let (base, model) = word.split_once('#').filter(|(_, model)| !model.is_empty()).ok_or_else(|| {
                Error::invalid(format!("{word} names no model: write it behind the address, {word}#MODEL"))
            })?;
            let mut settings = RemoteSettings::new(base, model);
            if let Some(secret) = self.embedder_key.clone() {
                settings.key = Some(Arc::new(move || secret.read()));
            }
            return Ok(Wish::Server(settings));
        }
        let is_folder = word.contains('/') || Path::new(word).join("config.json").is_file();
        Ok(if is_folder { Wish::Folder(PathBuf::from(word)) } else { Wish::Named(word.to_owned()) })
    }
}

/// The folder for what is fetched once: models, downloads.
pub fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = || set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let found = set("STELLWERK_CACHE").or_else(|| user().map(|user| user.join("stellwerk")));
    found.ok_or_else(|| Error::invalid("no folder for models: set STELLWERK_CACHE, XDG_CACHE_HOME or HOME"))
}

/// What is said where nothing embeds.
pub const NOTHING_EMBEDS: &str =
    "no model embeds: full text only; `stellwerk model pull multilingual-e5-small` fetches one";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_for_a_model() {
        let wish = |word: &str| EmbedderArgs { embedder: Some(word.to_owned()), ..Default::default() }.wish();
        assert!(matches!(wish("").unwrap(), Wish::WhatIsThere));
        assert!(matches!(wish("none").unwrap(), Wish::Nothing));
        assert!(matches!(wish("all-MiniLM-L6-v2").unwrap(), Wish::Named(name) if name == "all-MiniLM-L6-v2"));
        assert!(matches!(wish("./mine").unwrap(), Wish::Folder(folder) if folder == Path::new("./mine")));
        let Wish::Server(settings) = wish("https://h/v1/#m/n").unwrap() else { panic!("a server") };
        assert_eq!((settings.base.as_str(), settings.model.as_str()), ("https://h/v1", "m/n"));
        assert!(wish("https://h/v1").unwrap_err().to_string().contains("names no model"));
    }

    #[test]
    fn words_for_a_device() {
        assert_eq!(device("auto"), Ok(Device::Best));
        assert_eq!(device("cpu"), Ok(Device::Processor));
        assert_eq!(device("cuda"), Ok(Device::Gpu(0)));
        assert_eq!(device("cuda:3"), Ok(Device::Gpu(3)));
        assert!(device("cuda:x").is_err() && device("gpu").is_err());
    }
}
