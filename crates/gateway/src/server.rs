//! The accept loop: connections, their limits, and the end of all of them.
//!
//! Our own loop rather than `axum::serve` for three things: `TCP_NODELAY` (without it Nagle's
//! algorithm and delayed acknowledgement hold each first chunk back for 40 ms), a time limit for
//! request headers and idle connections, and a drain that still answers while it waits.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use crate::app::app;
use crate::state::AppState;

/// Longest wait for the head of a request, which is also how long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause after a failed accept (most likely no file descriptors are left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long connections have at the end to write what is left.
const LAST_FLUSH: Duration = Duration::from_secs(1);

/// The server can not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The listener is not usable.
    #[error("can not read the address of the listener: {0}")]
    Listener(#[source] std::io::Error),
}

/// Serves until `shutdown` resolves, then drains: new requests get 503 and a closed connection,
/// running ones may finish within `server.drain_timeout`, streams that still run are then ended with
/// an error event.
///
/// # Errors
/// When the listener is not usable.
pub async fn serve(
    listener: TcpListener,
    state: AppState,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    tracing::debug!(%address, "accepting connections");
    let connections = GracefulShutdown::new();
    let router = app(state.clone());

    let drained = async {
        shutdown.await;
        state.admission().drain(state.config().drain_timeout).await;
    };
    // Accepting goes on while draining, so that late callers and probes get an answer.
    tokio::select! {
        never = accept(&listener, &router, &connections) => match never {},
        () = drained => {}
    }
    drop(listener);
    if tokio::time::timeout(LAST_FLUSH, connections.shutdown()).await.is_err() {
        tracing::warn!("leaving connections behind whose clients do not read");
    }
    tracing::debug!("drained");
    Ok(())
}

async fn accept(listener: &TcpListener, router: &Router, connections: &GracefulShutdown) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => handle(stream, router.clone(), connections),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "can not accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The client left before it was accepted; the listener is fine.
fn is_about_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionRefused | K::ConnectionReset)
}

fn handle(stream: TcpStream, router: Router, connections: &GracefulShutdown) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "can not set TCP_NODELAY");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let watched = connections.watch(connection);
    tokio::spawn(async move {
        let watched = pin!(watched);
        if let Err(error) = watched.await {
            // Clients that leave, and clients that do not speak HTTP: nothing to act on.
            tracing::debug!(%error, "a connection ended");
        }
    });
}
