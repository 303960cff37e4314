//! A gateway on a port of the loopback, with one backend: the server that a variable names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lla_gateway::{AppState, Build, ServerConfig, app};
use lla_inference::mock::NoEngines;
use lla_inference::{Dialect, Fleet, FleetConfig, HttpBackendConfig};
use lla_protocol::sse::Decoder;
use serde_json::{Value, json};

/// Longest wait for something that has to happen: the machine may be busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

pub(crate) struct Live {
    /// The gateway's address.
    gateway: String,
    /// The server's own, for looking at what it does.
    pub(crate) server: String,
    pub(crate) client: reqwest::Client,
    task: tokio::task::JoinHandle<()>,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Live {
    /// A gateway over the server at `variable`, whose kind is to be found out; `None`, and a line about it, when
    /// the variable is not set.
    pub(crate) async fn over(variable: &str) -> Option<Self> {
        Self::over_kind(variable, Dialect::Auto).await
    }

    /// The same where the kind is known.
    pub(crate) async fn over_kind(variable: &str, dialect: Dialect) -> Option<Self> {
        let Some(server) = std::env::var(variable).ok().filter(|url| !url.is_empty()) else {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            println!("skipped {test}: {variable} is not set");
            return None;
        };
        let backend = HttpBackendConfig { url: Some(server.clone()), dialect, ..HttpBackendConfig::default() };
        let backends = BTreeMap::from([("live".to_owned(), backend)]);
        let config = FleetConfig { backends, ..FleetConfig::default() };
        let fleet = Fleet::new(config, Arc::new(NoEngines)).expect("a fleet");
        fleet.refresh().await;
        let build = Build { version: "live".to_owned(), commit: None, features: Vec::new() };
        let router = app(AppState::new(ServerConfig::default(), fleet, build).expect("a state"));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let gateway = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        // An error means that an earlier test has chosen one.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let server = server.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        Some(Self { gateway, server, client, task })
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        read(self.client.get(format!("{}{path}", self.gateway))).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        read(self.client.post(format!("{}{path}", self.gateway)).json(body)).await
    }

    /// A chat about `prompt` with further fields, answered at once.
    pub(crate) async fn chat(&self, model: &str, prompt: &str, fields: Value) -> Answer {
        self.post("/v1/chat/completions", &chat(model, prompt, fields)).await
    }

    /// The same as a stream, read to its end: the data of its events, without `[DONE]`.
    pub(crate) async fn stream(&self, model: &str, prompt: &str, fields: Value) -> Vec<Value> {
        self.stream_and_text(model, prompt, fields).await.0
    }

    /// The same with all that was sent, comments too.
    pub(crate) async fn stream_and_text(&self, model: &str, prompt: &str, fields: Value) -> (Vec<Value>, String) {
        let mut response = self.open(model, prompt, fields).await;
        let (mut decoder, mut events, mut all) = (Decoder::new(1 << 20), Vec::new(), Vec::new());
        while let Some(chunk) = response.chunk().await.expect("a whole stream") {
            all.extend_from_slice(&chunk);
            decoder.push(&chunk, |data| events.push(String::from_utf8(data).expect("UTF-8"))).expect("events");
        }
        let all = String::from_utf8(all).expect("UTF-8");
        assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{all}");
        (events.iter().map(|data| serde_json::from_str(data).expect("JSON")).collect(), all)
    }

    /// The same, just begun: dropping it closes the connection.
    pub(crate) async fn open(&self, model: &str, prompt: &str, fields: Value) -> reqwest::Response {
        let mut body = chat(model, prompt, fields);
        body["stream"] = true.into();
        body["stream_options"] = json!({"include_usage": true});
        let request = self.client.post(format!("{}/v1/chat/completions", self.gateway)).json(&body);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{body}");
        response
    }

    /// The sum of a metric of the *server*, over its labels; 0 when it has none.
    pub(crate) async fn server_metric(&self, name: &str) -> f64 {
        let response = self.client.get(format!("{}/metrics", self.server)).send().await.expect("metrics");
        assert_eq!(response.status(), 200, "the server has to be started with its metrics");
        let text = response.text().await.expect("text");
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        text.lines().filter(of_name).filter_map(value).sum()
    }

    /// Waits until the server's metric is as it should be; the value then.
    pub(crate) async fn until_metric(&self, name: &str, is_right: impl Fn(f64) -> bool) -> f64 {
        let reached = async {
            loop {
                let value = self.server_metric(name).await;
                if is_right(value) {
                    return value;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, reached).await.unwrap_or_else(|_| panic!("{name} never became what it should"))
    }

    /// What `GET /health` says of the backend.
    pub(crate) async fn backend(&self) -> Value {
        self.get("/health").await.body["backends"][0].clone()
    }

    /// The names of `GET /v1/models`.
    pub(crate) async fn models(&self) -> Vec<String> {
        let answer = self.get("/v1/models").await.body;
        let entries = answer["data"].as_array().expect("a list");
        entries.iter().map(|entry| entry["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// The model that `adapter` is listed as one of.
    pub(crate) async fn parent(&self, adapter: &str) -> Value {
        self.get(&format!("/v1/models/{adapter}")).await.ok()["parent"].clone()
    }

    /// The first model, which is no adapter.
    pub(crate) async fn base(&self) -> String {
        self.models().await.into_iter().next().expect("a model")
    }

    /// `count` chats at the same time that do not end by themselves before their limit; returns the most that
    /// the server's metric of running requests showed meanwhile, when all have ended.
    pub(crate) async fn batched(&self, model: &str, count: usize, fields: &Value, metric: &str) -> f64 {
        let chats = (0..count).map(|index| {
            let (prompt, fields) = (format!("Write a long story about the number {index}."), fields.clone());
            async move { self.stream(model, &prompt, fields).await }
        });
        let all = futures_util::stream::iter(chats).buffer_unordered(count).collect::<Vec<_>>();
        tokio::pin!(all);
        let mut most: f64 = 0.0;
        loop {
            tokio::select! {
                answers = &mut all => {
                    assert!(answers.iter().all(|events| events.len() > 2), "an answer is empty");
                    return most;
                }
                running = self.server_metric(metric) => most = most.max(running),
            }
        }
    }
}

fn chat(model: &str, prompt: &str, fields: Value) -> Value {
    let mut body =
        json!({"model": model, "messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": 24});
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    body.as_object_mut().expect("an object").extend(fields);
    body
}

async fn read(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    Answer { status, body: serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")) }
}

impl Answer {
    /// The body, once the status is 200.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// Status and code of an error.
    pub(crate) fn refused(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or_default())
    }
}

/// The text of a whole answer.
pub(crate) fn text(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap_or_default()
}
