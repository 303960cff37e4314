//! A server that answers from transcripts, and remembers what it was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Uri};
use axum::response::Response;
use futures_util::stream;
use serde_json::Value;

use crate::transcripts::Transcript;

/// Bodies are sent in pieces of so many bytes: their ends stand for any place where a network may cut.
const PIECE: usize = 61;

#[derive(Default)]
struct Shared {
    answers: Mutex<HashMap<String, Transcript>>,
    asked: Mutex<Vec<String>>,
    last_body: Mutex<Value>,
}

pub(crate) struct Replay {
    pub(crate) url: String,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Replay {
    /// Answers each case at its recorded path, anything else with 404. `models` and, of a `llama-server`, its
    /// adapters are answered with nothing when they are not among the cases.
    pub(crate) async fn start(server: &str, cases: &[&str]) -> Self {
        let shared = Arc::new(Shared::default());
        let is_there = |case: &str| {
            std::path::Path::new(&format!("{}/tests/fixtures/{server}/{case}.json", env!("CARGO_MANIFEST_DIR")))
                .exists()
        };
        for case in cases.iter().chain(&["models"]).filter(|case| is_there(case)) {
            let transcript = Transcript::read(server, case);
            shared.answers.lock().expect("lock").insert(transcript.path.clone(), transcript);
        }
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serve") });
        Self { url, shared, task }
    }

    /// From now on answers `path` with this.
    pub(crate) fn answer(&self, path: &str, status: u16, body: &str) {
        let (path, content_type) = (path.to_owned(), "application/json".to_owned());
        let answer = Transcript { path: path.clone(), status, content_type, body: body.to_owned() };
        self.shared.answers.lock().expect("lock").insert(path, answer);
    }

    /// Method and path of every request, in their order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().expect("lock").clone()
    }

    pub(crate) fn last_body(&self) -> Value {
        self.shared.last_body.lock().expect("lock").clone()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, body: Bytes) -> Response {
    shared.asked.lock().expect("lock").push(format!("{method} {uri}"));
    if let Ok(body) = serde_json::from_slice(&body) {
        *shared.last_body.lock().expect("lock") = body;
    }
    let Some(found) = shared.answers.lock().expect("lock").get(uri.path()).cloned() else {
        return Response::builder().status(404).body(Body::from("{}")).expect("response");
    };
    let pieces: Vec<Result<Vec<u8>, std::convert::Infallible>> =
        found.body.as_bytes().chunks(PIECE).map(|piece| Ok(piece.to_vec())).collect();
    Response::builder()
        .status(found.status)
        .header("content-type", found.content_type)
        .body(Body::from_stream(stream::iter(pieces)))
        .expect("response")
}
