//! The least HTTP client that shows bytes as they come: HTTP/1.0, one connection per request.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::fake::FakeEngine;
use crate::error::EngineError;
use crate::options::{EngineOptions, Listen, SamplingDefaults};
use crate::server::{State, bind, serve_state};

/// A server under test.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) stop: Option<oneshot::Sender<()>>,
    pub(super) task: JoinHandle<Result<(), EngineError>>,
}

impl Served {
    pub(super) async fn start(engine: Arc<FakeEngine>) -> Self {
        let defaults = SamplingDefaults { temperature: Some(0.25), top_k: Some(40), ..SamplingDefaults::default() };
        let options = EngineOptions { queue: 4, defaults, ..EngineOptions::default() };
        let bound = bind(&options.listen).await.expect("bound");
        let Listen::Tcp(address) = *bound.address() else { panic!("not TCP") };
        let (stop, stopped) = oneshot::channel();
        let state = State::new(engine, &options);
        let task = tokio::spawn(serve_state(state, bound, async move { drop(stopped.await) }));
        Self { address, stop: Some(stop), task }
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "", body.to_string().as_bytes()).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", b"").await
    }

    /// `headers`: lines that end with CR LF.
    pub(super) async fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let mut connection = self.open(method, path, headers, body).await;
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes).await.expect("answer");
        Answer::parse(&bytes)
    }

    /// Sends a request and leaves the answer in the connection.
    pub(super) async fn open(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).await.expect("connection");
        let head = format!("{method} {path} HTTP/1.0\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        connection.write_all(head.as_bytes()).await.expect("head");
        // A server that refuses a long body may close before it has read all of it.
        drop(connection.write_all(body).await);
        connection
    }
}

/// An answer read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("status").parse().expect("number");
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The events of a stream; `[DONE]` as a string.
    pub(super) fn events(&self) -> Vec<Value> {
        let data = self.body.split("\n\n").filter(|event| !event.is_empty());
        data.map(|event| {
            let text = event.strip_prefix("data: ").expect("a data line");
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        })
        .collect()
    }
}
