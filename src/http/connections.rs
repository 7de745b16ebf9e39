//! Connections: so many at once, each one for so long.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// So many at once; the rest waits until one ends.
const CONNECTIONS_MAX: usize = 256;
/// A whole head must have come within this time, also on a connection that is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// No connection lives longer, so that one that reads or writes a byte now and then cannot stay.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(60);
/// How long a request in hand may take to its end after that, or when the daemon stops.
const LAST_REQUEST_MAX: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Fields of a request's head.
const HEADERS_MAX: usize = 64;
/// The wait after the system had no connection to give.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// Accepts connections and answers their requests until `stop` is cancelled.
pub(super) async fn accept(listener: TcpListener, router: Router, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let tracker = TaskTracker::new();
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, stop) = (router.clone(), stop.clone());
                tracker.spawn(async move {
                    converse(stream, router, &stop).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the web part cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    tracker.close();
    tracker.wait().await;
}

async fn converse(stream: TcpStream, router: Router, stop: &CancellationToken) {
    // Answers are small; without it each one would wait for the other side's acknowledgement.
    let _is_only_slower = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return log(ended),
        () = stop.cancelled() => {}
        () = tokio::time::sleep(CONNECTION_AGE_MAX) => {}
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(ended) = tokio::time::timeout(LAST_REQUEST_MAX, connection).await {
        log(ended);
    }
}

fn log(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        // Never the address that was asked for: it may hold a token.
        tracing::debug!(%error, "a connection to the web part broke off");
    }
}
