//! A server that answers as a test tells it to, and counts the answers that are being sent.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::{mpsc, watch};

/// What every `POST` that runs a model answers.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    /// Sent one by one.
    pub(crate) chunks: Vec<String>,
    pub(crate) then: Then,
    /// Before the head of the answer.
    pub(crate) delay: Duration,
}

/// How the body goes on after its chunks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    End,
    Hang,
    /// The connection breaks without the end of the body.
    Break,
}

impl Answer {
    pub(crate) fn events(chunks: &[&str]) -> Self {
        let chunks = chunks.iter().map(|data| format!("data: {data}\n\n")).collect();
        Self::new(200, &[("content-type", "text/event-stream; charset=utf-8")], chunks)
    }

    pub(crate) fn json(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Self {
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        Self::new(status, &headers, vec![body.to_owned()])
    }

    pub(crate) fn new(status: u16, headers: &[(&'static str, &'static str)], chunks: Vec<String>) -> Self {
        Self { status, headers: headers.to_vec(), chunks, then: Then::End, delay: Duration::ZERO }
    }

    pub(crate) fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }
}

struct Shared {
    answer: Answer,
    sending: watch::Sender<usize>,
    requests: mpsc::UnboundedSender<Request>,
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) authorization: Option<String>,
    pub(crate) body: serde_json::Value,
}

pub(crate) struct FakeServer {
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// Answers that are being sent.
    pub(crate) sending: watch::Receiver<usize>,
    pub(crate) requests: mpsc::UnboundedReceiver<Request>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeServer {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let (router, sending, requests) = router(answer);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serve") });
        Self { url, sending, requests, task }
    }

    pub(crate) fn start_on_socket(answer: Answer, socket: &std::path::Path) -> Self {
        let listener = tokio::net::UnixListener::bind(socket).expect("socket");
        let (router, sending, requests) = router(answer);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serve") });
        Self { url: String::new(), sending, requests, task }
    }

    /// Waits until `count` answers are being sent.
    pub(crate) async fn sending(&mut self, count: usize) {
        let reached = self.sending.wait_for(|sending| *sending == count);
        drop(tokio::time::timeout(Duration::from_secs(20), reached).await.expect("in time").expect("server"));
    }
}

fn router(answer: Answer) -> (Router, watch::Receiver<usize>, mpsc::UnboundedReceiver<Request>) {
    let (requests, received) = mpsc::unbounded_channel();
    let (sending, seen) = watch::channel(0);
    let shared = Arc::new(Shared { answer, sending, requests });
    let models =
        r#"{"object":"list","data":[{"id":"m","object":"model","created":7,"max_model_len":64},{"id":"other"}]}"#;
    let router = Router::new()
        .route("/v1/models", get(move || async move { models }))
        .route("/health", get(|| async {}))
        .route("/version", get(|| async { r#"{"version":"9"}"# }))
        .route("/tokenize", post(|| async { r#"{"count":5,"max_model_len":64,"tokens":[]}"# }))
        .route("/v1/chat/completions", post(answer_with))
        .route("/v1/completions", post(answer_with))
        .route("/v1/embeddings", post(answer_with))
        .route("/v1/systemone", post(answer_with))
        .route("/scores", post(answer_with))
        .with_state(shared);
    (router, seen, received)
}

async fn answer_with(State(shared): State<Arc<Shared>>, headers: axum::http::HeaderMap, body: Bytes) -> Response {
    let authorization = headers.get("authorization").map(|value| value.to_str().expect("text").to_owned());
    let body = serde_json::from_slice(&body).expect("the driver sends JSON");
    drop(shared.requests.send(Request { authorization, body }));
    let sending = Sending::begin(&shared.sending);
    let answer = shared.answer.clone();
    tokio::time::sleep(answer.delay).await;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from_stream(chunks(answer, sending))).expect("response")
}

fn chunks(answer: Answer, sending: Sending) -> impl Stream<Item = Result<String, std::io::Error>> {
    let first = stream::iter(answer.chunks).map(Ok::<_, Infallible>).map(|chunk| chunk.map_err(|never| match never {}));
    let rest = stream::once(async move {
        match answer.then {
            Then::Break => {
                // The pause lets what was said so far go out.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some(Err(std::io::Error::other("broken on purpose")))
            }
            Then::Hang => std::future::pending().await,
            Then::End => None,
        }
    });
    first.chain(rest.filter_map(std::future::ready)).map(move |chunk| {
        let _held = &sending;
        chunk
    })
}

struct Sending(watch::Sender<usize>);

impl Sending {
    fn begin(counter: &watch::Sender<usize>) -> Self {
        counter.send_modify(|sending| *sending += 1);
        Self(counter.clone())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.send_modify(|sending| *sending -= 1);
    }
}
