//! Manifests by lines: go.mod, requirements.txt, Dockerfile.

use std::collections::HashMap;

use super::Manifest;
use crate::json::Reason;

/// Go modules.
pub fn go_mod(body: &str) -> Result<Manifest, Reason> {
    let mut manifest = Manifest { ecosystem: "golang", ..Manifest::default() };
    let mut block = "";
    for line in body.lines() {
        let (code, comment) = line.split_once("//").unwrap_or((line, ""));
        let words: Vec<&str> = code.split_whitespace().collect();
        match (block, words.as_slice()) {
            (_, [")"]) => block = "",
            ("", ["module", name]) => manifest.name = Some((*name).to_owned()),
            ("", ["require", "("]) => block = "require",
            ("", [_, "("]) => block = "other",
            ("", ["require", name, version]) | ("require", [name, version]) => {
                let scope = if comment.trim() == "indirect" { "indirect" } else { "runtime" };
                manifest.need(scope, *name, Some((*version).to_owned()));
            }
            _ => {}
        }
    }
    match manifest.name {
        Some(_) => Ok(manifest),
        None => Err("it names no module".to_owned()),
    }
}

/// pip's requirements; options and other files that it names are not followed.
pub fn requirements(body: &str) -> Result<Manifest, Reason> {
    let mut manifest = Manifest { ecosystem: "pypi", ..Manifest::default() };
    let joined = body.replace("\\\n", " ");
    for line in joined.lines() {
        let line = line.split(" #").next().unwrap_or(line).trim();
        if let Some((name, range)) = Some(line).filter(|line| !line.starts_with(['#', '-'])).and_then(requirement) {
            manifest.need("runtime", name, range);
        }
    }
    Ok(manifest)
}

/// Name and range of one requirement: `requests[socks]>=2,<3; python_version > "3"`, `name @ url`, `git+url#egg=name`.
pub fn requirement(text: &str) -> Option<(String, Option<String>)> {
    let text = text.split(" --").next().unwrap_or(text).trim();
    if let Some((url, egg)) = text.split_once("#egg=") {
        return Some((egg.split('&').next().unwrap_or(egg).to_owned(), Some(url.to_owned())));
    }
    let text = text.split(';').next().unwrap_or(text).trim();
    if text.contains("://") && !text.contains(" @ ") {
        return None;
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let rest = rest.trim().strip_prefix('[').map_or(rest, |extras| extras.split_once(']').map_or("", |(_, rest)| rest));
    let range = rest.trim().trim_start_matches('@').trim().trim_matches(['(', ')']).to_owned();
    (!name.is_empty()).then(|| (name.to_owned(), Some(range).filter(|range| !range.is_empty())))
}

/// Dockerfiles: the images that stages begin with; the last stage is what runs.
pub fn dockerfile(body: &str) -> Result<Manifest, Reason> {
    let mut manifest = Manifest { ecosystem: "docker", ..Manifest::default() };
    let mut arguments: HashMap<String, String> = HashMap::new();
    let (mut stages, mut images) = (Vec::new(), Vec::new());
    for line in body.replace("\\\n", " ").lines() {
        let words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        match words.as_slice() {
            [arg, value, ..] if arg.eq_ignore_ascii_case("ARG") => {
                if let Some((name, value)) = value.split_once('=') {
                    arguments.insert(name.to_owned(), value.trim_matches('"').to_owned());
                }
            }
            [from, image, rest @ ..] if from.eq_ignore_ascii_case("FROM") => {
                let mut image = (*image).to_owned();
                for (name, value) in &arguments {
                    image = image.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value);
                }
                if let [_, stage] = rest {
                    stages.push((*stage).to_lowercase());
                }
                images.push(image);
            }
            _ => {}
        }
    }
    let count = images.len();
    for (i, image) in images.into_iter().enumerate() {
        if image != "scratch" && !stages.contains(&image.to_lowercase()) {
            let scope = if i + 1 == count { "runtime" } else { "build" };
            let (name, version) = reference(&image);
            manifest.need(scope, name, version);
        }
    }
    Ok(manifest)
}

/// Name and tag or digest of an image; a port of its registry is no tag.
fn reference(image: &str) -> (String, Option<String>) {
    if let Some((name, digest)) = image.split_once('@') {
        return (name.to_owned(), Some(digest.to_owned()));
    }
    match image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((name, tag)) => (name.to_owned(), Some(tag.to_owned())),
        None => (image.to_owned(), None),
    }
}
