#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use engine::{Catalogue, NoRedaction, Ports, Settings, WallClock};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeps_beat_and_outlive_each_other() {
    let (runs, ended) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (counted, slow) = (Arc::clone(&runs), Arc::clone(&ended));
    let sweeps = Sweeps::run(vec![
        Sweep::new("quick", SECOND, move || {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok(()) }
        }),
        Sweep::new("failing", SECOND, || async { Err(Error::new(Kind::Unavailable, "the disk is away")) }),
        Sweep::new("panicking", SECOND, || async { panic!("a defect") }),
        Sweep::new("slow", SECOND, move || {
            let ended = Arc::clone(&slow);
            async move {
                tokio::time::sleep(4 * SECOND).await;
                ended.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        }),
    ]);
    let sweeps = sweeps.await.unwrap();
    tokio::time::sleep(4 * SECOND).await;
    let [quick, failing, panicking, slow] = sweeps.counts().try_into().unwrap();
    assert!(quick.done >= 2 && quick.failed == 0 && quick.last_error.is_none(), "{quick:?}");
    assert!(failing.done == 0 && (1..=2).contains(&failing.failed), "it backs off: {failing:?}");
    assert_eq!(failing.last_error.as_deref(), Some("the disk is away"));
    assert!(panicking.failed >= 1 && panicking.last_error.unwrap().contains("panicked"));
    assert!(slow.done == 0 && slow.overlapped >= 1, "it is not started twice: {slow:?}");
    sweeps.stop().await;
    assert_eq!(ended.load(Ordering::SeqCst), 1, "stopping waits for what runs");
    let stopped = runs.load(Ordering::SeqCst);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(runs.load(Ordering::SeqCst), stopped, "nothing runs after stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_sweeps_let_their_store_go() {
    let data = tempfile::tempdir().unwrap();
    let ports = Ports { clock: Arc::new(WallClock), redactor: Arc::new(NoRedaction) };
    let store = Store::open(Settings::new(data.path()), Catalogue::default(), ports).await.unwrap();
    let sweeps = Sweeps::start(Arc::clone(&store), Duration::from_secs(60)).await.unwrap();
    assert_eq!(sweeps.counts().len(), 1);
    sweeps.stop().await;
    store.close().await.unwrap();
    drop(store);
    // The store's own flusher lets go at its next tick.
    for _ in 0..50 {
        if engine::OwnerLock::acquire(data.path()).is_ok() {
            return;
        }
        tokio::time::sleep(SECOND / 10).await;
    }
    panic!("something still holds the store");
}
