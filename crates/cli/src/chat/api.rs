//! The little of the OpenAI API that a conversation needs, over HTTP.

use std::time::Duration;

use lla_protocol::openai::ErrorBody;
use lla_protocol::sse::Decoder;
use serde_json::{Value, json};

use crate::args::ChatArgs;
use crate::failure::{Exit, Failure, OrFail as _};

/// Longest event of a stream.
const EVENT_LIMIT: usize = 1 << 20;

/// A server.
pub struct Api {
    client: reqwest::Client,
    base: String,
    key: Option<String>,
    model: String,
    max_tokens: u32,
}

/// A part of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text to show.
    Text(String),
    /// The answer has ended for this reason.
    Finish(String),
}

impl Api {
    /// The server at `base` (with its `/v1`).
    ///
    /// # Errors
    /// When `base` is no URL.
    pub fn new(base: &str, args: &ChatArgs) -> Result<Self, Failure> {
        let url =
            reqwest::Url::parse(base).map_err(|error| Failure::usage(format!("--url: {base} is no URL: {error}")))?;
        let mut builder = reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).tcp_nodelay(true);
        // A proxy of the environment must not be asked for an address of this machine.
        if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            builder = builder.no_proxy();
        }
        Ok(Self {
            client: builder.build().or_fail(Exit::Bug)?,
            base: base.trim_end_matches('/').to_owned(),
            key: args.api_key.clone(),
            model: args.model.clone(),
            max_tokens: args.max_tokens,
        })
    }

    /// The names of the models.
    ///
    /// # Errors
    /// When nobody answers there.
    pub async fn models(&self) -> Result<Vec<String>, Failure> {
        let request = self.client.get(format!("{}/models", self.base)).timeout(Duration::from_secs(10));
        let answer = self.send(request).await?;
        let list: Value = answer.json().await.or_fail(Exit::Unavailable)?;
        let names = list["data"].as_array().into_iter().flatten();
        Ok(names.filter_map(|model| model["id"].as_str().map(str::to_owned)).collect())
    }

    /// Begins an answer.
    ///
    /// # Errors
    /// When the server can not be reached or refuses.
    pub async fn chat(&self, messages: &[Value]) -> Result<Answer, Failure> {
        let body = json!({"model": self.model, "messages": messages, "stream": true, "max_tokens": self.max_tokens});
        let request = self.client.post(format!("{}/chat/completions", self.base)).json(&body);
        Ok(Answer { response: self.send(request).await?, events: Events::new() })
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Failure> {
        let request = match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        let message = serde_json::from_str::<ErrorBody>(&text).map_or(text, |body| body.error.message);
        Err(Failure::unavailable(format!("{status}: {message}")))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let failure = Failure::unavailable(format!("no gateway answers at {}: {}", self.base, cause(error)));
        failure.hint(
            "start one in another terminal: lla serve\nor name another server: lla chat --url http://HOST:PORT/v1",
        )
    }
}

/// The innermost cause: "connection refused" rather than "error sending request".
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// An answer under way; dropping it stops the server's work.
pub struct Answer {
    response: reqwest::Response,
    events: Events,
}

impl Answer {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the stream breaks off or carries an error.
    pub async fn next(&mut self) -> Result<Option<Piece>, Failure> {
        loop {
            if let Some(piece) = self.events.pop()? {
                return Ok(Some(piece));
            }
            if self.events.done {
                return Ok(None);
            }
            match self.response.chunk().await.or_fail(Exit::Unavailable)? {
                Some(chunk) => self.events.push(&chunk)?,
                None => return Err(Failure::unavailable("the answer broke off")),
            }
        }
    }
}

/// Bytes of the stream to pieces.
struct Events {
    decoder: Decoder,
    ready: std::collections::VecDeque<Vec<u8>>,
    pieces: std::collections::VecDeque<Piece>,
    done: bool,
}

impl Events {
    fn new() -> Self {
        Self { decoder: Decoder::new(EVENT_LIMIT), ready: Default::default(), pieces: Default::default(), done: false }
    }

    fn push(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.decoder.push(chunk, |event| self.ready.push_back(event)).or_fail(Exit::Unavailable)
    }

    fn pop(&mut self) -> Result<Option<Piece>, Failure> {
        while self.pieces.is_empty() {
            let Some(event) = self.ready.pop_front() else { return Ok(None) };
            self.read(&event)?;
        }
        Ok(self.pieces.pop_front())
    }

    fn read(&mut self, event: &[u8]) -> Result<(), Failure> {
        if event == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        let event: Value = serde_json::from_slice(event).or_fail(Exit::Unavailable)?;
        if let Some(message) = event["error"]["message"].as_str() {
            return Err(Failure::unavailable(message.to_owned()));
        }
        for choice in event["choices"].as_array().into_iter().flatten() {
            if let Some(text) = choice["delta"]["content"].as_str().filter(|text| !text.is_empty()) {
                self.pieces.push_back(Piece::Text(text.to_owned()));
            }
            if let Some(reason) = choice["finish_reason"].as_str() {
                self.pieces.push_back(Piece::Finish(reason.to_owned()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(stream: &str) -> (Vec<Piece>, Option<String>) {
        let mut events = Events::new();
        events.push(stream.as_bytes()).expect("within the limit");
        let mut found = Vec::new();
        loop {
            match events.pop() {
                Ok(Some(piece)) => found.push(piece),
                Ok(None) => return (found, None),
                Err(failure) => return (found, Some(failure.to_string())),
            }
        }
    }

    #[test]
    fn text_finish_and_errors() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let stream = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
            : ping\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        assert_eq!(pieces(stream), (vec![text("Hi"), Piece::Finish("stop".to_owned())], None));
        let (found, error) = pieces(
            "data: {\"choices\":[{\"delta\":{\"content\":\"H\"}}]}\n\ndata: {\"error\":{\"message\":\"it died\"}}\n\n",
        );
        assert_eq!(found, [text("H")]);
        assert_eq!(error.as_deref(), Some("error: it died"));
    }
}
