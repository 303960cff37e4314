//! The engine's thin HTTP server: vLLM's dialect of the OpenAI API for one model.
//!
//! What it does: routes, the error envelope, server-sent events, shutting down. What it does not:
//! keys, limits, other models (the gateway), or anything about how tokens come to be (`worker.rs`).
//!
//! Start at [`serve`]; a request goes through `routes.rs`, `request.rs` (wire to engine),
//! `choices.rs` (running generations, read for calls and reasoning), `answer.rs` and `wire.rs` (engine
//! to wire).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use futures_util::future::BoxFuture;
use lla_protocol::FieldError;
use tokio::sync::{Semaphore, watch};

use self::generate::Generate;
use self::listen::Socket;
use crate::Loaded;
use crate::error::EngineError;
use crate::options::{EngineOptions, SamplingDefaults};

pub use self::listen::{Bound, bind};

mod answer;
mod choices;
mod echo;
mod embeddings;
mod error;
mod generate;
mod listen;
mod logprobs;
mod request;
mod request_id;
mod routes;
mod scores;
mod structured;
mod unsupported;
mod wire;

#[cfg(test)]
mod tests;

/// Longest request body in bytes.
const MAX_BODY: usize = 8 << 20;
/// How long callers may take to read their last events when the engine ends.
const LAST_READS: Duration = Duration::from_secs(2);
/// Prompts that are rendered and tokenized at the same time: more would only take the cores from
/// the streams that run.
const PREPARING: usize = 2;

/// What the routes share.
struct State {
    engine: Arc<dyn Generate>,
    defaults: SamplingDefaults,
    /// Most generations that one request may ask for: more could never be queued.
    most_choices: usize,
    preparing: Arc<Semaphore>,
}

impl State {
    fn new(engine: Arc<dyn Generate>, options: &EngineOptions) -> Self {
        let most_choices = (options.queue as usize).max(1);
        Self { engine, defaults: options.defaults, most_choices, preparing: Arc::new(Semaphore::new(PREPARING)) }
    }

    /// Runs work that may take long beside the threads that serve connections.
    async fn beside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let stopped = |error: String| EngineError::Native(format!("a request could not be prepared: {error}"));
        let place = Arc::clone(&self.preparing).acquire_owned().await.map_err(|error| stopped(error.to_string()))?;
        let state = Arc::clone(self);
        let prepare = move || {
            // The work goes on when the caller leaves, so it keeps its place itself.
            let _place = place;
            work(&state)
        };
        tokio::task::spawn_blocking(prepare).await.map_err(|error| stopped(error.to_string()))?
    }

    /// Refuses a request for more generations than can ever be taken in.
    fn check_choices(&self, param: &str, prompts: usize, n: u32) -> Result<(), FieldError> {
        let asked = prompts.saturating_mul(n as usize);
        if asked <= self.most_choices {
            return Ok(());
        }
        let message = format!("asks for {asked} generations; one request may have {}", self.most_choices);
        Err(FieldError::new(param, "out_of_range", &message))
    }
}

/// Serves `model` until `stop` resolves; then ends it, lets open streams read their error event,
/// and returns. The socket file is removed.
///
/// # Errors
/// When the worker ends by itself: nothing can be served any more, and the process should end so
/// that its supervisor starts another.
pub async fn serve(
    options: &EngineOptions,
    model: Loaded,
    listener: Bound,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), EngineError> {
    let engine: Arc<dyn Generate> = match model {
        Loaded::Text(engine) => Arc::new(engine),
        Loaded::Embeddings(embedder) => Arc::new(embedder),
    };
    let state = State::new(engine, options);
    serve_state(state, listener, stop).await
}

async fn serve_state(state: State, listener: Bound, stop: impl Future<Output = ()> + Send) -> Result<(), EngineError> {
    let engine = Arc::clone(&state.engine);
    let address = listener.address().to_string();
    tracing::info!(%address, model = engine.card().name, "the engine serves");
    let (close, closing) = watch::channel(false);
    // The file goes when this function ends, whichever way.
    let Bound { socket, file: _file, .. } = listener;
    let mut server = accept(socket, router(state), closing);
    let outcome = tokio::select! {
        () = stop => Ok(()),
        () = engine.stopped() => Err(EngineError::Native("the worker ended by itself".to_owned())),
        result = &mut server => {
            let message = result.err().map_or("stopped".to_owned(), |error| error.to_string());
            return Err(EngineError::Listen { address, message });
        }
    };
    engine.shutdown();
    close.send_replace(true);
    if tokio::time::timeout(LAST_READS, server).await.is_err() {
        tracing::info!("connections were still open at the end");
    }
    outcome
}

/// Answers connections until `closing` turns true and those that are open have ended.
fn accept(
    socket: Socket,
    router: Router,
    mut closing: watch::Receiver<bool>,
) -> BoxFuture<'static, std::io::Result<()>> {
    let closed = async move {
        // An error means that the server is gone as well.
        drop(closing.wait_for(|closing| *closing).await);
    };
    match socket {
        Socket::Unix(listener) => Box::pin(async move {
            let listener = tokio::net::UnixListener::from_std(listener)?;
            axum::serve(listener, router).with_graceful_shutdown(closed).await
        }),
        Socket::Tcp(listener) => Box::pin(async move {
            // Nagle's algorithm holds small chunks back for 40 ms.
            let listener = tokio::net::TcpListener::from_std(listener)?.tap_io(|stream| {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
            });
            axum::serve(listener, router).with_graceful_shutdown(closed).await
        }),
    }
}

fn router(state: State) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(routes::chat))
        .route("/v1/completions", post(routes::completions))
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/models", get(routes::models))
        .route("/v1/models/{*id}", get(routes::model))
        .route("/scores", post(scores::create))
        .route("/tokenize", post(routes::tokenize))
        .route("/detokenize", post(routes::detokenize))
        .route("/health", get(routes::health))
        .route("/metrics", get(routes::metrics))
        .route("/version", get(routes::version))
        .fallback(routes::no_route)
        .method_not_allowed_fallback(routes::wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(request_id::echo))
        .with_state(Arc::new(state))
}
