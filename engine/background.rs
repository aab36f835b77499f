//! Threads of their own for what is long and can wait a moment: flushes and maintenance. On the threads that acknowledge
//! frames an encoding of a hundred thousand rows would hold up every ack behind it.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Kind, Result};

/// Threads for work in the background.
const THREADS: usize = 1;

/// The threads; they end when it is dropped.
#[derive(Debug)]
pub struct Background {
    runtime: Option<Runtime>,
}

impl Background {
    /// Starts them.
    pub fn start() -> Result<Background> {
        let runtime =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("background").enable_all().build();
        let runtime = runtime.map_err(|e| Error::unavailable("start the threads for flushes", e))?;
        Ok(Background { runtime: Some(runtime) })
    }

    /// Runs work there and waits for it.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        let runtime = self.runtime.as_ref().expect("taken only when it is dropped");
        let ended = |e| Error::new(Kind::Internal, format!("work in the background broke off: {e}"));
        runtime.spawn(work).await.map_err(ended)?
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Waiting here would block a thread that serves; whoever needs the work's end has waited for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
