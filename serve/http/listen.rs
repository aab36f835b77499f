//! Listeners: HTTP/1.1 and HTTP/2 (so gRPC too) on one port, deadlines for callers who never get to the point, and a
//! stop that lets running requests end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use engine::{Error, Kind, Result};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::metrics::Metrics;

/// Open connections of one listener; further callers wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4_096;
/// A connection whose first request does not arrive in this time is closed.
const FIRST_REQUEST_MAX: Duration = Duration::from_secs(15);
/// The head of a later request must arrive within this time of its first byte.
const HEAD_MAX: Duration = Duration::from_secs(15);
/// A silent HTTP/2 connection is asked for a sign of life after this time.
const HTTP2_PING_AFTER: Duration = Duration::from_secs(60);
/// Streams of one HTTP/2 connection.
const HTTP2_STREAMS_MAX: u32 = 256;

/// Everything that is served, and how it ends.
#[derive(Debug, Clone)]
pub struct Doors {
    stopping: CancellationToken,
    connections: TaskTracker,
    metrics: Arc<Metrics>,
}

impl Doors {
    /// No listener yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Doors { stopping: CancellationToken::new(), connections: TaskTracker::new(), metrics }
    }

    /// Cancelled when the doors close.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Binds `address`; the bound address has the real port.
    pub async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
        let doing = format!("listen on {address}");
        let listener = TcpListener::bind(address).await.map_err(|e| Error::unavailable(&doing, e))?;
        let bound = listener.local_addr().map_err(|e| Error::unavailable(&doing, e))?;
        Ok((listener, bound))
    }

    /// Answers what comes in through `listener` until the doors close.
    pub fn serve_tcp(&self, listener: TcpListener, app: Router) {
        let (doors, room) = (self.clone(), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
        self.connections.spawn(async move {
            loop {
                let permit = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
                let accepted = tokio::select! {
                    () = doors.stopping.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                match accepted {
                    Ok((stream, _)) => {
                        // Answers are written in whole chunks; waiting for more only delays them.
                        let _ = stream.set_nodelay(true);
                        doors.serve_connection(stream, app.clone(), permit);
                    }
                    Err(error) => {
                        // Out of descriptors, mostly: the next accept would fail as fast.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
    }

    /// Answers one connection in a task of its own; `held` is let go when it ends.
    pub fn serve_connection<S, P>(&self, stream: S, app: Router, held: P)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        P: Send + 'static,
    {
        let (stopping, metrics) = (self.stopping.clone(), Arc::clone(&self.metrics));
        self.connections.spawn(async move {
            metrics.connections.inc();
            converse(stream, app, stopping).await;
            metrics.connections.dec();
            drop(held);
        });
    }

    /// Takes no new request, waits for the running ones, at most `grace`. Answers whether all of them ended.
    pub async fn close(&self, grace: Duration) -> Result<()> {
        self.stopping.cancel();
        self.connections.close();
        let ended = tokio::time::timeout(grace, self.connections.wait()).await;
        ended.map_err(|_| {
            let running = self.connections.len();
            Error::new(
                Kind::Limit,
                format!("{running} connections were still busy after {} s and are cut off", grace.as_secs()),
            )
        })
    }
}

async fn converse<S>(stream: S, app: Router, stopping: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let begun = Arc::new(AtomicBool::new(false));
    let noticed = Arc::clone(&begun);
    let service = service_fn(move |request: Request<Incoming>| {
        noticed.store(true, Ordering::Relaxed);
        app.clone().oneshot(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING_AFTER)
        .max_concurrent_streams(HTTP2_STREAMS_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let patience = tokio::time::sleep(FIRST_REQUEST_MAX);
    tokio::pin!(patience);
    let (mut impatient, mut closing) = (true, false);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = &mut patience, if impatient => {
                impatient = false;
                if !begun.load(Ordering::Relaxed) {
                    tracing::debug!("a connection never sent a request");
                    return;
                }
            }
            () = stopping.cancelled(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
