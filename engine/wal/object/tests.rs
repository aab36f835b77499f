#![allow(clippy::unwrap_used)]

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutResult,
};

use super::super::{Header, Part};
use super::*;

/// A store that can lose a PUT, or the answer to one that it has taken.
#[derive(Debug, Default)]
struct Forgetful {
    inner: InMemory,
    lose_requests: AtomicBool,
    lose_answers: AtomicBool,
}

fn lost(what: &'static str) -> object_store::Error {
    object_store::Error::Generic { store: "forgetful", source: what.into() }
}

impl fmt::Display for Forgetful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forgetful")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Forgetful {
    async fn put_opts(&self, at: &Path, body: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        if self.lose_requests.load(Ordering::SeqCst) {
            return Err(lost("the request was lost"));
        }
        let put = self.inner.put_opts(at, body, options).await?;
        match self.lose_answers.load(Ordering::SeqCst) {
            true => Err(lost("the answer was lost")),
            false => Ok(put),
        }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        at: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn frame_at(seq: u64) -> Vec<Bytes> {
    let parts = vec![Part { table: "t".into(), rows: 1, bytes: 4 }];
    let header = Header { seq, at_us: 1, source: "test".into(), key: None, parts };
    vec![frame::encode(&header, b"body", crc32fast::hash(b"body"))]
}

async fn open(store: &Arc<Forgetful>) -> (ObjectLog, Vec<u64>) {
    let (log, recovered, _) = ObjectLog::open_at(store.clone(), Path::from("wal"), Duration::ZERO).await.unwrap();
    assert!(recovered.dropped.is_empty(), "{:?}", recovered.dropped);
    (log, recovered.frames.iter().map(|(h, _)| h.seq).collect())
}

async fn write(log: &mut ObjectLog, seq: u64) -> Result<()> {
    log.write(seq, seq + 1, frame_at(seq), vec![]).await
}

#[tokio::test]
async fn what_was_written_comes_back_to_the_next_owner() {
    let store = Arc::new(Forgetful::default());
    let (mut log, _) = open(&store).await;
    for seq in 1..4 {
        write(&mut log, seq).await.unwrap();
    }
    assert_eq!(open(&store).await.1, [1, 2, 3]);
    assert_eq!(open(&store).await.1, [1, 2, 3], "and to the one after it");
}

#[tokio::test]
async fn an_owner_that_was_replaced_acknowledges_nothing_more_even_after_truncation() {
    let store = Arc::new(Forgetful::default());
    let (mut old, _) = open(&store).await;
    for seq in 1..4 {
        write(&mut old, seq).await.unwrap();
    }
    old.truncate(4).await.unwrap();
    let (mut new, _) = open(&store).await;
    let fenced = write(&mut old, 4).await.unwrap_err();
    assert_eq!(fenced.kind(), Kind::Conflict);
    write(&mut new, 4).await.unwrap();
    new.truncate(5).await.unwrap();
    assert_eq!(write(&mut old, 5).await.unwrap_err().kind(), Kind::Conflict, "the seal outlives truncation");
}

#[tokio::test]
async fn a_frame_whose_answer_was_lost_was_refused_and_stays_refused() {
    let store = Arc::new(Forgetful::default());
    let (mut log, _) = open(&store).await;
    write(&mut log, 1).await.unwrap();
    store.lose_answers.store(true, Ordering::SeqCst);
    assert_eq!(write(&mut log, 2).await.unwrap_err().kind(), Kind::Unavailable);
    store.lose_answers.store(false, Ordering::SeqCst);
    write(&mut log, 3).await.unwrap();
    write(&mut log, 4).await.unwrap();
    assert_eq!(open(&store).await.1, [1, 3, 4]);
}

#[tokio::test]
async fn an_owner_that_was_replaced_commits_nothing_more() {
    let store = Arc::new(Forgetful::default());
    let (mut old, _) = open(&store).await;
    write(&mut old, 1).await.unwrap();
    old.still_owner().await.unwrap();
    let (new, _) = open(&store).await;
    new.still_owner().await.unwrap();
    assert_eq!(old.still_owner().await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(old.truncate(2).await.unwrap_err().kind(), Kind::Conflict, "its frames are the new owner's to forget");
    assert!(!new.seal(1).await.unwrap(), "the first epoch is sealed already");
}

#[tokio::test]
async fn a_void_whose_answer_was_lost_is_passed_over() {
    let store = Arc::new(Forgetful::default());
    let (mut log, _) = open(&store).await;
    store.lose_answers.store(true, Ordering::SeqCst);
    assert!(write(&mut log, 1).await.is_err());
    assert_eq!(write(&mut log, 2).await.unwrap_err().kind(), Kind::Unavailable, "the void's answer is lost");
    store.lose_answers.store(false, Ordering::SeqCst);
    write(&mut log, 3).await.unwrap();
    assert_eq!(open(&store).await.1, [3]);
}

#[tokio::test]
async fn a_put_that_arrives_after_the_next_one_failed_is_no_takeover() {
    let store = Arc::new(Forgetful::default());
    let (mut log, _) = open(&store).await;
    let next = log.name(1, 1);
    store.lose_requests.store(true, Ordering::SeqCst);
    assert!(write(&mut log, 1).await.is_err());
    assert!(write(&mut log, 2).await.is_err());
    store.lose_requests.store(false, Ordering::SeqCst);
    put_new(&store.inner, &next, Bytes::from(frame_at(1).concat())).await.unwrap();
    write(&mut log, 3).await.unwrap();
    assert_eq!(open(&store).await.1, [3], "what was refused stays refused");
}
