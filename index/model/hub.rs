//! Models of a hub that speaks as Hugging Face's does: `ENDPOINT/ORGANISATION/NAME/resolve/main/FILE`. Nothing is pinned
//! there, so the hashes of what came are written down, and later loads are held against them.

use std::fs;
use std::path::Path;

use engine::{Error, Kind, Result};

use super::fetch::{Client, Watch};
use super::manifest::Manifest;
use super::pull::{FILES_NEEDED, FILES_TAKEN, Origins, hashes};

/// The model's name in a repository's.
pub fn name(repository: &str) -> Result<&str> {
    let good = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
    };
    match repository.split('/').collect::<Vec<_>>()[..] {
        [organisation, name] if good(organisation) && good(name) => Ok(name),
        _ => Err(Error::invalid(format!("hub:{repository} is no hub:ORGANISATION/NAME"))),
    }
}

/// Fetches a repository's files into a folder.
pub async fn fetch(repository: &str, origins: &Origins, folder: &Path, watch: &dyn Watch) -> Result<Manifest> {
    let mut client = Client::new()?;
    if let Some(token) = &origins.hub_token {
        client = client.with_token(token)?;
    }
    let base = format!("{}/{repository}/resolve/main", origins.hub.trim_end_matches('/'));
    let mut taken = Vec::new();
    for file in FILES_NEEDED.iter().chain(FILES_TAKEN) {
        let to = folder.join(file);
        let parent = to.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|e| Error::unavailable(&format!("make {}", parent.display()), e))?;
        if client.download_unpinned(&format!("{base}/{file}"), &to, watch).await? {
            taken.push(*file);
        } else if FILES_NEEDED.contains(file) {
            return Err(Error::new(Kind::NotFound, format!("{repository} of the hub has no {file}")));
        }
    }
    Ok(Manifest {
        name: name(repository)?.to_owned(),
        source: format!("hub:{repository}"),
        licence: None,
        query_prefix: None,
        passage_prefix: None,
        files: hashes(folder, &taken)?,
    })
}
