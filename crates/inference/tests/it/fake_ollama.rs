//! An Ollama that answers with what a real one (0.33) said, kept under `fixtures/ollama`, and keeps to the
//! same rules: it has some models, loads them with a window, refuses what does not fit, and pulls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::watch;

/// A transcript.
macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/ollama/", $name))
    };
}
pub(crate) use fixture;

/// What it does.
#[derive(Clone)]
pub(crate) struct Script {
    /// The lines of `/api/chat` and `/api/generate`.
    pub(crate) answer: String,
    /// The answer never ends.
    pub(crate) hangs: bool,
    /// Tokens of every prompt: refused when the window is smaller, as with `truncate: false`.
    pub(crate) prompt_tokens: u32,
    /// It does not know `truncate`, and cuts.
    pub(crate) cuts: bool,
    /// What `/api/show` tells of the model's window.
    pub(crate) window: u32,
    pub(crate) capabilities: Vec<&'static str>,
    /// The lines of `/api/pull`; the model is there after a `success`.
    pub(crate) pull: String,
    pub(crate) embed: (u16, &'static str),
    pub(crate) systemone: Option<Value>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            answer: fixture!("chat.ndjson").to_owned(),
            hangs: false,
            prompt_tokens: 11,
            cuts: false,
            window: 8192,
            capabilities: vec!["completion", "tools", "thinking", "embedding"],
            pull: fixture!("pull_failed.ndjson").to_owned(),
            embed: (200, fixture!("embed.json")),
            systemone: None,
        }
    }
}

struct Shared {
    script: Script,
    models: Mutex<Vec<String>>,
    /// Name and window.
    loaded: Mutex<BTreeMap<String, u64>>,
    /// Path and body of every `POST`, but those to `/api/show`.
    requests: Mutex<Vec<(String, Value)>>,
    /// Loading waits until this is true.
    may_load: watch::Receiver<bool>,
    /// Answers that are being sent, and loads.
    busy: watch::Sender<usize>,
}

pub(crate) struct FakeOllama {
    pub(crate) url: String,
    pub(crate) busy: watch::Receiver<usize>,
    pub(crate) may_load: watch::Sender<bool>,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeOllama {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeOllama {
    /// One with the model `smol`, which is not loaded.
    pub(crate) async fn start(script: Script) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let (may_load, gate) = watch::channel(true);
        let (busy, seen) = watch::channel(0);
        let shared = Arc::new(Shared {
            script,
            models: Mutex::new(vec!["smol:latest".to_owned()]),
            loaded: Mutex::default(),
            requests: Mutex::default(),
            may_load: gate,
            busy,
        });
        let router = router(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serve") });
        Self { url, busy: seen, may_load, shared, task }
    }

    pub(crate) fn load(&self, model: &str, window: u64) {
        self.shared.loaded.lock().expect("lock").insert(model.to_owned(), window);
    }

    pub(crate) fn remove(&self, model: &str) {
        self.shared.models.lock().expect("lock").retain(|name| name != model);
    }

    /// What was posted to `path`.
    pub(crate) fn posted(&self, path: &str) -> Vec<Value> {
        let requests = self.shared.requests.lock().expect("lock");
        requests.iter().filter(|(to, _)| to == path).map(|(_, body)| body.clone()).collect()
    }

    /// Waits until `count` answers and loads are going on.
    pub(crate) async fn busy(&mut self, count: usize) {
        let reached = self.busy.wait_for(|busy| *busy == count);
        drop(
            tokio::time::timeout(std::time::Duration::from_secs(20), reached).await.expect("in time").expect("server"),
        );
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/api/version", get(|| async { fixture!("version.json") }))
        .route("/api/tags", get(tags))
        .route("/api/ps", get(ps))
        .route("/api/show", post(show))
        .route("/api/{what}", post(post_api))
        .route("/v1/systemone", post(systemone))
        .with_state(shared)
}

async fn tags(State(shared): State<Arc<Shared>>) -> String {
    let models = shared.models.lock().expect("lock");
    let listed: Vec<Value> = models
        .iter()
        .map(|name| json!({"name": name, "modified_at": "2026-08-21T18:48:22.5-07:00", "digest": "d", "details": {}}))
        .collect();
    json!({"models": listed}).to_string()
}

async fn ps(State(shared): State<Arc<Shared>>) -> String {
    let loaded = shared.loaded.lock().expect("lock");
    let one: Value = serde_json::from_str(fixture!("ps.json")).expect("json");
    let listed: Vec<Value> = loaded
        .iter()
        .map(|(name, window)| {
            let mut model = one["models"][0].clone();
            (model["name"], model["context_length"]) = (name.as_str().into(), (*window).into());
            model
        })
        .collect();
    json!({"models": listed}).to_string()
}

async fn show(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("json");
    if !shared.has(&body) {
        return shared.missing(&body);
    }
    let mut shown: Value = serde_json::from_str(fixture!("show.json")).expect("json");
    shown["model_info"]["llama.context_length"] = shared.script.window.into();
    shown["capabilities"] = json!(shared.script.capabilities);
    shown.to_string().into_response()
}

async fn post_api(State(shared): State<Arc<Shared>>, Path(what): Path<String>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("json");
    shared.requests.lock().expect("lock").push((what.clone(), body.clone()));
    match what.as_str() {
        "pull" => shared.pull(&body),
        _ if !shared.has(&body) => shared.missing(&body),
        "embed" => with_status(shared.script.embed.0, shared.script.embed.1),
        "chat" | "generate" => shared.answer(&body).await,
        other => panic!("nobody should call /api/{other}"),
    }
}

async fn systemone(State(shared): State<Arc<Shared>>) -> Response {
    match &shared.script.systemone {
        Some(answer) => answer.to_string().into_response(),
        None => with_status(404, "404 page not found"),
    }
}

fn with_status(status: u16, body: &str) -> Response {
    Response::builder().status(status).body(Body::from(body.to_owned())).expect("response")
}

fn full_name(body: &Value) -> String {
    let name = body["model"].as_str().expect("a model");
    if name.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

impl Shared {
    fn has(&self, body: &Value) -> bool {
        self.models.lock().expect("lock").contains(&full_name(body))
    }

    fn missing(&self, body: &Value) -> Response {
        let name = body["model"].as_str().expect("a model");
        with_status(404, &fixture!("missing.json").replace("nope", name))
    }

    fn pull(&self, body: &Value) -> Response {
        if self.script.pull.contains("success") {
            self.models.lock().expect("lock").push(full_name(body));
        }
        self.script.pull.clone().into_response()
    }

    async fn answer(self: Arc<Self>, body: &Value) -> Response {
        let busy = Busy::begin(&self.busy);
        let asked = body["options"]["num_ctx"].as_u64().expect("every request sets the window");
        let window = asked.min(self.script.window.into());
        let before = self.loaded.lock().expect("lock").get(&full_name(body)).copied();
        if before != Some(window) {
            self.may_load.clone().wait_for(|may| *may).await.expect("the test goes on");
            self.loaded.lock().expect("lock").insert(full_name(body), window);
        }
        if body["prompt"] == "" {
            return fixture!("load.json").into_response();
        }
        assert_eq!(body["truncate"], json!(false), "nothing is to be cut");
        let tokens = self.script.prompt_tokens;
        if u64::from(tokens) > window && !self.script.cuts {
            let refusal = fixture!("too_long.json").replace("18899", &tokens.to_string());
            return with_status(400, &refusal.replace("4096", &window.to_string()));
        }
        let hangs = self.script.hangs;
        // The chats that were recorded had 11.
        let answer =
            self.script.answer.replace("\"prompt_eval_count\":11,", &format!("\"prompt_eval_count\":{tokens},"));
        let lines: Vec<String> = answer.split_inclusive('\n').map(str::to_owned).collect();
        let rest = stream::once(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
        });
        let lines = stream::iter(lines).chain(rest.filter_map(|()| async { None }));
        let lines = lines.map(move |line| {
            let _held = &busy;
            Ok::<_, std::io::Error>(line)
        });
        Response::builder()
            .header("content-type", "application/x-ndjson")
            .body(Body::from_stream(lines))
            .expect("response")
    }
}

struct Busy(watch::Sender<usize>);

impl Busy {
    fn begin(counter: &watch::Sender<usize>) -> Self {
        counter.send_modify(|busy| *busy += 1);
        Self(counter.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|busy| *busy -= 1);
    }
}
