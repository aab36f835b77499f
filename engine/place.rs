//! Where the tables live: a URL on the allow-list, opened through one lancedb connection over one Lance session.

pub mod lock;

use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use lance::session::Session;
use lance_io::object_store::providers::local::FileStoreProvider;
use lance_io::object_store::{
    ObjectStore as LanceStore, ObjectStoreParams, ObjectStoreProvider, ObjectStoreRegistry, StorageOptionsAccessor,
};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use url::Url;

use crate::error::{Error, Kind, Result};
use crate::memory::{index_cache_bytes, metadata_cache_bytes};
use crate::settings::Settings;

/// Schemes that Lance commits to with a conditional PUT. Any other would commit unsafely and without a word.
pub const SCHEMES: &[&str] = &["s3", "gs", "az", "abfss"];
/// Lance's own scheme for local files that go through an object store; ours fsyncs.
const LOCAL_SCHEME: &str = "file-object-store";

/// An opened place.
pub struct Place {
    url: String,
    connection: lancedb::Connection,
    store: Arc<LanceStore>,
    base: Path,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Place {
    /// Opens the settings' place and proves that its conditional PUT holds.
    pub async fn open(settings: &Settings) -> Result<Place> {
        let url = match &settings.store {
            Some(url) => checked(url)?,
            None => local_url(&settings.data.join("tables"))?,
        };
        let registry = Arc::new(ObjectStoreRegistry::default());
        registry.insert(LOCAL_SCHEME, Arc::new(DurableFiles));
        let options: std::collections::HashMap<String, String> = settings.store_options.iter().cloned().collect();
        let params = ObjectStoreParams {
            storage_options_accessor: (!options.is_empty())
                .then(|| Arc::new(StorageOptionsAccessor::with_static_options(options.clone()))),
            ..ObjectStoreParams::default()
        };
        let opened = LanceStore::from_uri_and_params(registry.clone(), &url, &params).await;
        let (store, base) = opened.map_err(|e| Error::unavailable(&format!("open the store {url}"), e))?;
        let session = Arc::new(Session::new(
            index_cache_bytes(settings.memory_bytes_max),
            metadata_cache_bytes(settings.memory_bytes_max),
            registry,
        ));
        let mut connect = lancedb::connect(&url).session(session);
        for (key, value) in &options {
            connect = connect.storage_option(key, value);
        }
        let connection =
            connect.execute().await.map_err(|e| Error::unavailable(&format!("connect to the store {url}"), e))?;
        let place = Place { url, connection, store, base };
        place.prove_conditional_put().await?;
        Ok(place)
    }

    /// Syncs the directories of every table. A process that ended between naming a file and syncing its directory leaves a
    /// commit that is seen and would still go with the power; from now on it is built upon. An object store needs none.
    pub async fn settle(&self) -> Result<()> {
        let Some(dir) = self.folder() else { return Ok(()) };
        let synced = tokio::task::spawn_blocking(move || sync_dirs(&dir)).await.expect("syncing never panics");
        synced.map_err(|e| Error::unavailable("sync the directories of the tables", e))
    }

    /// The folder that the tables lie in; `None` where they lie in an object store.
    pub fn folder(&self) -> Option<std::path::PathBuf> {
        let dir = self.url.strip_prefix(LOCAL_SCHEME).and_then(|rest| rest.strip_prefix("://"))?;
        Url::parse(&format!("file://{dir}")).ok().and_then(|url| url.to_file_path().ok())
    }

    /// What every object of the tables, and beside them, begins with.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The tables' URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The lancedb connection; every table is opened through it.
    pub fn connection(&self) -> &lancedb::Connection {
        &self.connection
    }

    /// The store behind the tables, for objects of our own.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        self.store.inner.clone()
    }

    /// A path of our own beside the tables. The underscore keeps it apart from every table's name.
    pub fn path(&self, name: &str) -> Path {
        self.base.clone().join(format!("_{name}"))
    }

    /// Puts one object twice; the second must be refused. A store that takes both (some S3 servers ignore the condition)
    /// would lose commits, so we refuse to run on it.
    async fn prove_conditional_put(&self) -> Result<()> {
        let path = self.path("probe").join(uuid::Uuid::new_v4().to_string());
        let store = self.objects();
        let put = |body: &'static str| {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let (store, path) = (store.clone(), path.clone());
            async move { store.put_opts(&path, PutPayload::from_bytes(Bytes::from_static(body.as_bytes())), options).await }
        };
        put("first").await.map_err(|e| Error::unavailable(&format!("write to the store {}", self.url), e))?;
        let second = put("second").await;
        store.delete(&path).await.map_err(|e| Error::unavailable("remove the store's probe", e))?;
        match second {
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(()),
            Ok(_) => Err(Error::new(
                Kind::Unavailable,
                format!(
                    "the store {} ignores the condition of a conditional PUT; commits to it could be lost, so it is not used",
                    self.url
                ),
            )),
            Err(e) => Err(Error::unavailable("prove the store's conditional PUT", e)),
        }
    }
}

/// The objects of another place than the tables': a folder (made if it is not there, every file fsynced) or a URL of the
/// allow-list, with its options as object_store names them; and the path that its own objects begin with.
pub fn objects(place: &str, options: &[(String, String)]) -> Result<(Arc<dyn ObjectStore>, Path)> {
    if !place.contains("://") {
        let doing = || format!("open {place}");
        std::fs::create_dir_all(place).map_err(|e| Error::unavailable(&doing(), e))?;
        let files = LocalFileSystem::new_with_prefix(place).map_err(|e| Error::unavailable(&doing(), e))?;
        return Ok((Arc::new(files.with_fsync(true)), Path::default()));
    }
    let url = Url::parse(place).map_err(|e| Error::invalid(format!("the URL {place:?} does not parse: {e}")))?;
    if url.scheme() == "file" {
        let path = url.to_file_path().map_err(|()| Error::invalid(format!("{place} names no local directory")))?;
        return objects(&path.display().to_string(), options);
    }
    if !SCHEMES.contains(&url.scheme()) {
        let known = SCHEMES.iter().map(|s| format!("{s}://")).collect::<Vec<_>>().join(", ");
        return Err(Error::invalid(format!("objects lie in a folder or under {known}, not under {}://", url.scheme())));
    }
    let options = options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let (store, base) =
        object_store::parse_url_opts(&url, options).map_err(|e| Error::unavailable(&format!("open {place}"), e))?;
    Ok((store.into(), base))
}

fn sync_dirs(dir: &FilePath) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_dirs(&entry.path())?;
        }
    }
    std::fs::File::open(dir)?.sync_all()
}

fn checked(url: &str) -> Result<String> {
    let parsed = Url::parse(url).map_err(|e| Error::invalid(format!("the store's URL {url:?} does not parse: {e}")))?;
    match parsed.scheme() {
        "file" => {
            let path = parsed.to_file_path().map_err(|()| Error::invalid(format!("{url} names no local directory")))?;
            local_url(&path)
        }
        scheme if SCHEMES.contains(&scheme) => Ok(url.trim_end_matches('/').to_owned()),
        scheme => Err(Error::invalid(format!(
            "a store on {scheme}:// would commit without a conditional PUT; use a local path, file://, {}",
            SCHEMES.iter().map(|s| format!("{s}://")).collect::<Vec<_>>().join(", ")
        ))),
    }
}

fn local_url(dir: &FilePath) -> Result<String> {
    let doing = || format!("create {}", dir.display());
    std::fs::create_dir_all(dir).map_err(|e| Error::unavailable(&doing(), e))?;
    let absolute = dir.canonicalize().map_err(|e| Error::unavailable(&doing(), e))?;
    let url = Url::from_file_path(&absolute)
        .map_err(|()| Error::invalid(format!("{} is no absolute path", absolute.display())))?;
    Ok(format!("{LOCAL_SCHEME}://{}", url.path()))
}

/// Lance's provider for local files, over a store that fsyncs each file and its directory before it says done: Lance
/// itself never does.
#[derive(Debug)]
struct DurableFiles;

#[async_trait::async_trait]
impl ObjectStoreProvider for DurableFiles {
    async fn new_store(&self, base: Url, params: &ObjectStoreParams) -> lance_core::Result<LanceStore> {
        let mut store = FileStoreProvider.new_store(base, params).await?;
        store.inner = Arc::new(LocalFileSystem::new().with_fsync(true));
        Ok(store)
    }

    fn extract_path(&self, url: &Url) -> lance_core::Result<Path> {
        FileStoreProvider.extract_path(url)
    }

    fn calculate_object_store_prefix(
        &self,
        url: &Url,
        options: Option<&std::collections::HashMap<String, String>>,
    ) -> lance_core::Result<String> {
        FileStoreProvider.calculate_object_store_prefix(url, options)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_local_place_opens_and_proves_itself() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::open(&Settings::new(dir.path())).await.unwrap();
        assert!(place.url().starts_with("file-object-store:///"));
    }

    #[tokio::test]
    async fn a_scheme_that_commits_unsafely_is_refused() {
        for url in ["hdfs://h/p", "http://h/p", "s3+ddb://b/p", "memory://x", "no url"] {
            let mut settings = Settings::new("unused");
            settings.store = Some(url.into());
            let error = Place::open(&settings).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{url}: {error}");
        }
    }
}
