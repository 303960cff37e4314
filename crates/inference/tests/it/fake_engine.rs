//! An engine process without a model: this test binary, executed again.
//!
//! [`Launcher`] runs the ignored test [`run`] of this very binary with the socket in its environment.
//! What it does is told by [`Mode`], which may change from start to start.

use std::path::Path;
use std::sync::Mutex;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::{StreamExt as _, stream};
use lla_inference::{EngineModelConfig, Launch};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

const SOCKET: &str = "FAKE_ENGINE_SOCKET";
const MODE: &str = "FAKE_ENGINE_MODE";

/// What a process that is started does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Serves.
    Serve,
    /// Ends at once with an error.
    Fail,
    /// Never becomes ready.
    Hang,
    /// Serves, and does not end when its standard input closes.
    Stubborn,
}

/// Starts fake engines and counts them.
pub(crate) struct Launcher {
    /// The mode of the processes to come.
    pub(crate) mode: Mutex<Mode>,
    pub(crate) starts: std::sync::atomic::AtomicUsize,
}

impl Launcher {
    pub(crate) fn new(mode: Mode) -> Self {
        Self { mode: Mutex::new(mode), starts: 0.into() }
    }

    pub(crate) fn starts(&self) -> usize {
        self.starts.load(std::sync::atomic::Ordering::SeqCst)
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        *self.mode.lock().expect("lock") = mode;
    }
}

impl Launch for Launcher {
    fn command(&self, _model: &str, _config: &EngineModelConfig, socket: &Path) -> Command {
        self.starts.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let mut command = Command::new(std::env::current_exe().expect("own path"));
        command.args(["--ignored", "--exact", "fake_engine::run"]);
        command.env(SOCKET, socket).env(MODE, format!("{:?}", self.mode.lock().expect("lock")));
        command
    }
}

/// The process itself.
#[tokio::test]
#[ignore = "is the process that other tests start"]
async fn run() {
    let (Some(socket), Ok(mode)) = (std::env::var_os(SOCKET), std::env::var(MODE)) else { return };
    match mode.as_str() {
        "Fail" => panic!("failing on purpose"),
        "Hang" => wait_for_end_of_input().await,
        "Stubborn" => serve(&socket).await,
        _ => tokio::select! {
            () = serve(&socket) => {}
            () = wait_for_end_of_input() => {}
        },
    }
}

async fn wait_for_end_of_input() {
    // A thread blocked in `read` keeps the runtime from ending, but then the input has ended.
    let mut input = tokio::io::stdin();
    let mut buffer = [0; 64];
    while input.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}

async fn serve(socket: &std::ffi::OsStr) {
    let listener = tokio::net::UnixListener::bind(socket).expect("socket");
    let models = r#"{"object":"list","data":[{"id":"m","max_model_len":256}]}"#;
    let router = Router::new()
        .route("/health", get(|| async {}))
        .route("/v1/models", get(move || async move { models }))
        .route("/v1/chat/completions", post(chat));
    axum::serve(listener, router).await.expect("serve");
}

/// Says one word and ends; a request for the model `endless` is never finished.
async fn chat(body: Bytes) -> Response {
    let request: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let word = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let first = stream::once(async move { Ok::<_, std::io::Error>(word) });
    let body = if request["model"] == "endless" {
        Body::from_stream(first.chain(stream::pending()))
    } else {
        Body::from_stream(first.chain(stream::once(async move { Ok(end) })))
    };
    Response::builder().header("content-type", "text/event-stream").body(body).expect("response")
}
