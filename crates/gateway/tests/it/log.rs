//! What operators see: one line per request with its facts and without its text; panics contained.

use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use lla_gateway::ServerConfig;
use lla_inference::mock::{MockBackend, Script};
use lla_inference::{Backend, BackendHealth, ChatRequest, CompletionRequest, Error, EventStream, ModelInfo};
use serde_json::{Value, json};
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;

use crate::harness::{Gateway, chat, over, post};

/// Keeps what is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(self.clone()).finish(),
        )
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("log").clone()).expect("utf-8")
    }

    fn access_lines(&self) -> Vec<Value> {
        let lines = self.text();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line"));
        lines.filter(|line| line["target"] == "lla::access").collect()
    }
}

#[tokio::test]
async fn one_line_per_request_with_its_facts_and_without_its_text() {
    let log = Log::default();
    let _guard = log.start();
    let gateway = Gateway::new(Script::text("secret answer")).await;
    let mut request = post("/v1/chat/completions", &chat(json!({"stream": true})));
    request.headers_mut().insert("x-request-id", "r-1".parse().expect("header"));
    gateway.send(request).await;
    gateway.chat(json!({"model": "nope"})).await;
    gateway.mock.set_script(Script::ErrorMidStream { text: "a b".into(), error: Error::upstream("mock", "broke") });
    gateway.chat(json!({"stream": true})).await;
    gateway.mock.set_script(Script::NeverEnds { text: "a".into() });
    let mut left = gateway.start(post("/v1/chat/completions", &chat(json!({"stream": true})))).await.into_body();
    left.frame().await.expect("a frame").expect("good");
    assert_eq!(log.access_lines().len(), 3, "not before the body has ended");
    drop(left);

    let lines = log.access_lines();
    let fact = |name: &str| lines.iter().map(|line| line[name].clone()).collect::<Vec<_>>();
    assert_eq!(fact("outcome"), [json!("ok"), json!("model_not_found"), json!("upstream"), json!("client_gone")]);
    assert_eq!(fact("status"), [json!(200), json!(404), json!(200), json!(200)]);
    let first = &lines[0];
    assert_eq!((&first["request_id"], &first["method"]), (&json!("r-1"), &json!("POST")));
    assert_eq!((&first["path"], &first["route"]), (&json!("/v1/chat/completions"), &json!("named")));
    assert_eq!((&first["model"], &first["backend"]), (&json!("tiny"), &json!("mock")));
    assert_eq!((&first["prompt_tokens"], &first["completion_tokens"]), (&json!(3), &json!(2)));
    assert!(first["ttft_ms"].as_f64() <= first["latency_ms"].as_f64());
    let text = log.text();
    assert!(!text.contains("secret") && !text.contains("three small words"), "{text}");
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_answer_is_logged() {
    let log = Log::default();
    let _guard = log.start();
    let gateway = Gateway::new(Script::NeverEnds { text: "a".into() }).await;
    let waiting = gateway.start(post("/v1/chat/completions", &chat(json!({}))));
    assert!(futures_util::FutureExt::now_or_never(waiting).is_none());
    assert_eq!(gateway.mock.running(), 0);
    let lines = log.access_lines();
    assert_eq!((lines.len(), &lines[0]["outcome"]), (1, &json!("client_gone")));
}

/// A backend with a bug.
struct Panics;

#[async_trait]
impl Backend for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, Error> {
        MockBackend::new("panics").models().await
    }

    async fn chat(&self, _request: ChatRequest) -> Result<EventStream, Error> {
        panic!("secret detail")
    }

    async fn complete(&self, _request: CompletionRequest) -> Result<EventStream, Error> {
        panic!("secret detail")
    }

    async fn count_tokens(&self, _request: &ChatRequest) -> Result<u32, Error> {
        Ok(0)
    }

    async fn health(&self) -> BackendHealth {
        MockBackend::new("panics").health().await
    }
}

#[tokio::test]
async fn a_panic_is_a_plain_internal_error() {
    let log = Log::default();
    let _guard = log.start();
    let (_, router) = over(Arc::new(Panics), ServerConfig::default()).await;
    let request = post("/v1/chat/completions", &chat(json!({"model": "panics"})));
    let response = router.clone().oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), 500);
    assert!(response.headers().contains_key("x-request-id"));
    let body = response.into_body().collect().await.expect("body").to_bytes();
    let json: Value = serde_json::from_slice(&body).expect("json");
    assert_eq!(json["error"]["code"], "internal_error");
    assert!(!json.to_string().contains("secret"));
    assert_eq!(log.access_lines()[0]["outcome"], "internal");
    // Its place is free again, and the gateway goes on.
    let health =
        router.oneshot(Request::get("/health").body(Body::empty()).expect("request")).await.expect("an answer");
    let body = health.into_body().collect().await.expect("body").to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&body).expect("json")["gateway"]["in_flight"], 0);
}
