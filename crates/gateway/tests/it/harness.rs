//! A gateway over one [`MockBackend`], and small readers of its answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use lla_gateway::{AppState, Build, ServerConfig, app};
use lla_inference::mock::{MockBackend, Script};
use lla_inference::{Backend, Fleet};
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) struct Gateway {
    pub(crate) mock: Arc<MockBackend>,
    pub(crate) state: AppState,
    pub(crate) router: Router,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Gateway {
    pub(crate) async fn new(script: Script) -> Self {
        Self::with(script, ServerConfig::default()).await
    }

    /// One backend `mock` with the models `tiny` and `org/big`.
    pub(crate) async fn with(script: Script, config: ServerConfig) -> Self {
        let mock = Arc::new(MockBackend::new("mock").with_models(&["tiny", "org/big"]).with_script(script));
        let (state, router) = over(Arc::clone(&mock) as Arc<dyn Backend>, config).await;
        Self { mock, router, state }
    }
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.start(request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let body = String::from_utf8(bytes.to_vec()).expect("utf-8");
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends a request; its body is left to be read.
    pub(crate) async fn start(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.expect("the router never fails")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).expect("request")).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(post(path, body)).await
    }

    pub(crate) async fn chat(&self, extra: Value) -> Answer {
        self.post("/v1/chat/completions", &chat(extra)).await
    }
}

/// A gateway over any backend.
pub(crate) async fn over(backend: Arc<dyn Backend>, config: ServerConfig) -> (AppState, Router) {
    let fleet = Fleet::from_backends(vec![backend]);
    fleet.refresh().await;
    let build = Build { version: "1.2.3".to_owned(), commit: Some("abc".to_owned()), features: Vec::new() };
    let state = AppState::new(config, fleet, build).expect("a good configuration");
    (state.clone(), app(state))
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    /// The data of each event; comments are left out.
    pub(crate) fn events(&self) -> Vec<String> {
        let mut events = Vec::new();
        let mut decoder = lla_protocol::sse::Decoder::new(1 << 20);
        decoder
            .push(self.body.as_bytes(), |data| events.push(String::from_utf8(data).expect("utf-8")))
            .expect("events");
        assert!(!decoder.is_mid_event(), "cut: {}", self.body);
        events
    }

    /// `(status, type, code, param)` of an error; also checks the envelope.
    pub(crate) fn error(&self) -> (u16, String, Option<String>, Option<String>) {
        let json = self.json();
        let error = json["error"].as_object().unwrap_or_else(|| panic!("no envelope: {}", self.body));
        assert_eq!(error.keys().collect::<Vec<_>>(), ["message", "type", "param", "code"]);
        assert!(!error["message"].as_str().expect("a message").is_empty());
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(self.header("x-request-id").is_some());
        let text = |name: &str| error[name].as_str().map(str::to_owned);
        (self.status.as_u16(), text("type").expect("a type"), text("code"), text("param"))
    }
}

pub(crate) fn post(path: &str, body: &Value) -> Request<Body> {
    Request::post(path).header("content-type", "application/json").body(Body::from(body.to_string())).expect("request")
}

/// A chat request for `tiny` with further fields.
#[expect(clippy::needless_pass_by_value, reason = "callers write `json!` in place")]
pub(crate) fn chat(extra: Value) -> Value {
    let mut body = json!({"model": "tiny", "messages": [{"role": "user", "content": "three small words"}]});
    for (name, value) in extra.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

/// Waits until the backend has no running answer; fails after a generous while.
pub(crate) async fn until_idle(mock: &MockBackend) {
    let idle = async {
        while mock.running() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), idle).await.expect("the backend's work was never cancelled");
}
