//! A client of a streamed chat, reading events as they come.

use std::collections::VecDeque;
use std::time::Instant;

use lla_protocol::sse::Decoder;
use serde_json::{Value, json};

use super::gateway::Gateway;

/// How a stream ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With `[DONE]`.
    Done { completion_tokens: u64, finish: String, at: Instant },
    /// With an error event and nothing after it.
    Error { message: String, kind: String },
    /// Without either.
    Cut,
}

/// A stream under way.
pub(crate) struct Stream {
    response: reqwest::Response,
    decoder: Decoder,
    ready: VecDeque<Vec<u8>>,
    finish: String,
    completion_tokens: u64,
}

/// What one event was.
enum Seen {
    Text,
    Other,
    Ended(Ended),
}

impl Stream {
    /// Asks for `max_tokens`; with `to_the_end` the model may not stop before.
    pub(crate) async fn chat(gateway: &Gateway, max_tokens: u32, to_the_end: bool) -> Self {
        let body = json!({
            "model": "m",
            "messages": [{"role": "user", "content": "Tell me a long story about a lighthouse."}],
            "max_tokens": max_tokens,
            "ignore_eos": to_the_end,
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        let request = gateway.client.post(format!("{}/v1/chat/completions", gateway.url)).json(&body);
        let response = request.send().await.expect("an answer");
        if !response.status().is_success() {
            panic!("{}: {}", response.status(), response.text().await.expect("text"));
        }
        Self {
            response,
            decoder: Decoder::new(1 << 20),
            ready: VecDeque::new(),
            finish: String::new(),
            completion_tokens: 0,
        }
    }

    /// Reads until the first text; false when the stream ends before.
    pub(crate) async fn until_text(&mut self) -> bool {
        loop {
            match self.next().await {
                Seen::Text => return true,
                Seen::Other => {}
                Seen::Ended(_) => return false,
            }
        }
    }

    /// Reads to the end.
    pub(crate) async fn end(mut self) -> Ended {
        loop {
            if let Seen::Ended(ended) = self.next().await {
                return ended;
            }
        }
    }

    async fn next(&mut self) -> Seen {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return self.see(&event);
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => {
                    self.decoder.push(&chunk, |event| self.ready.push_back(event)).expect("short events");
                }
                Ok(None) | Err(_) => return Seen::Ended(Ended::Cut),
            }
        }
    }

    fn see(&mut self, event: &[u8]) -> Seen {
        if event == b"[DONE]" {
            let finish = std::mem::take(&mut self.finish);
            return Seen::Ended(Ended::Done { completion_tokens: self.completion_tokens, finish, at: Instant::now() });
        }
        let event: Value = serde_json::from_slice(event).expect("json");
        if let Some(error) = event.get("error").filter(|error| !error.is_null()) {
            let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            return Seen::Ended(Ended::Error { message: text("message"), kind: text("type") });
        }
        if let Some(tokens) = event["usage"]["completion_tokens"].as_u64() {
            self.completion_tokens = tokens;
        }
        let choice = &event["choices"][0];
        if let Some(reason) = choice["finish_reason"].as_str() {
            reason.clone_into(&mut self.finish);
        }
        if choice["delta"]["content"].as_str().is_some_and(|text| !text.is_empty()) { Seen::Text } else { Seen::Other }
    }
}
