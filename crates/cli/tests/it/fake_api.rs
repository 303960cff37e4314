//! A server of the OpenAI API that answers as a test tells it to, in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

/// How a route answers: path and body of the request to status and body.
pub(crate) type Answer = fn(&str, &Value) -> Reply;

/// What is answered.
pub(crate) enum Reply {
    Json(u16, Value),
    /// Events of a stream, sent one by one, and `[DONE]`.
    Events(Vec<Value>),
    /// The first events of a stream that never ends; it counts as running until the caller has left.
    Endless(Vec<Value>),
    NotThere,
}

/// A server; it ends with the value.
pub(crate) struct FakeApi {
    pub(crate) port: u16,
    running: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Clone)]
struct Shared {
    answer: Answer,
    running: Arc<AtomicUsize>,
}

impl FakeApi {
    /// A server on a free port. `GET /metrics` tells how many endless streams run, as vLLM does.
    pub(crate) fn start(answer: Answer) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
        let running = Arc::<AtomicUsize>::default();
        let shared = Shared { answer, running: Arc::clone(&running) };
        let port = runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
            let port = listener.local_addr().expect("address").port();
            let router = Router::new().fallback(respond).with_state(shared);
            tokio::spawn(async move { axum::serve(listener, router).await.expect("serve") });
            port
        });
        Self { port, running, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until so many endless streams run.
    pub(crate) fn wait_for(&self, streams: usize) {
        let begin = std::time::Instant::now();
        while self.running.load(Ordering::SeqCst) != streams {
            assert!(begin.elapsed() < std::time::Duration::from_secs(30), "{streams} streams never ran");
            std::thread::yield_now();
        }
    }
}

async fn respond(State(shared): State<Shared>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if path == "/metrics" {
        return format!("vllm:num_requests_running{{}} {}.0\n", shared.running.load(Ordering::SeqCst)).into_response();
    }
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("body");
    let asked = serde_json::from_slice(&body).unwrap_or_default();
    match (shared.answer)(&path, &asked) {
        Reply::Json(status, body) => {
            let status = StatusCode::from_u16(status).expect("status");
            (status, [("content-type", "application/json")], body.to_string()).into_response()
        }
        Reply::Events(events) => {
            let done = [Bytes::from_static(b"data: [DONE]\n\n")];
            events_of(stream::iter(events.iter().map(event).chain(done).collect::<Vec<_>>()))
        }
        Reply::Endless(events) => {
            let guard = Guard::new(shared.running);
            let begun = stream::iter(events.iter().map(event).collect::<Vec<_>>());
            let never = stream::once(async move {
                let _guard = guard;
                std::future::pending::<Bytes>().await
            });
            events_of(begun.chain(never))
        }
        Reply::NotThere => (StatusCode::NOT_FOUND, "no such route").into_response(),
    }
}

fn event(value: &Value) -> Bytes {
    format!("data: {value}\n\n").into()
}

fn events_of(events: impl futures_util::Stream<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(events.map(Ok::<_, std::convert::Infallible>));
    ([("content-type", "text/event-stream")], body).into_response()
}

/// Counts while it lives.
struct Guard(Arc<AtomicUsize>);

impl Guard {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A piece of a chat stream.
pub(crate) fn piece(delta: &Value) -> Value {
    json!({"model": "served", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

/// The end of one.
pub(crate) fn finish(reason: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

/// Its token counts.
pub(crate) fn usage(prompt: usize, completion: usize) -> Value {
    let total = prompt + completion;
    json!({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}})
}

/// A list of models.
pub(crate) fn models(owner: &str, ids: &[&str]) -> Value {
    let entry = |id: &&str| json!({"id": id, "object": "model", "created": 1, "owned_by": owner});
    json!({"object": "list", "data": ids.iter().map(entry).collect::<Vec<_>>()})
}
