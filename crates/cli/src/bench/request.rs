//! Sends one request and times its answer.

use std::time::{Duration, Instant};

use lla_protocol::openai::{ErrorBody, ErrorObject};
use lla_protocol::sse::Decoder;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::measure::{Answer, Fault};
use super::reading::{Reading, fault};
use crate::endpoint::{Endpoint, innermost};

/// Longest event of a stream, and longest answer in one piece.
const LIMIT: usize = 16 << 20;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The model's name.
    pub model: String,
    /// Most tokens of an answer.
    pub max_tokens: u32,
    /// Whether the answer shall be a stream.
    pub stream: bool,
    /// Whether the model shall go on after its end.
    pub ignore_eos: bool,
    /// How long a request may take.
    pub timeout: Duration,
}

/// Asks a server the same thing again and again.
#[derive(Debug)]
pub struct Asker {
    endpoint: Endpoint,
    wish: Wish,
    /// The newer models of OpenAI refuse `max_tokens`; others do not know the newer name.
    limit_field: &'static str,
    /// Older servers refuse `stream_options`.
    asks_for_usage: bool,
}

/// Why there is no answer, before it is counted.
struct Refusal {
    fault: Fault,
    /// The field that the server does not like.
    param: Option<String>,
}

impl Asker {
    /// For a server that has not been asked anything yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, wish: Wish) -> Self {
        Self { endpoint, wish, limit_field: "max_tokens", asks_for_usage: true }
    }

    /// Where the server is.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What it is asked.
    #[must_use]
    pub fn wish(&self) -> &Wish {
        &self.wish
    }

    /// Asks once without measuring: a model may have to be loaded first, and the server may refuse a
    /// field that is then spelled differently or left out. Returns the name of the model that answered.
    /// What else goes wrong shows in the measurement.
    pub async fn settle(&mut self, prompt: &str) -> Option<String> {
        loop {
            match self.try_once(prompt).await {
                Ok((_, served)) => return served,
                Err(refusal) if self.adapt(&refusal) => {}
                Err(_) => return None,
            }
        }
    }

    /// Whether another spelling may help; each is tried once.
    fn adapt(&mut self, refusal: &Refusal) -> bool {
        let about = |field: &str| {
            refusal.fault.kind.starts_with("status 4")
                && (refusal.param.as_deref().is_some_and(|param| param.starts_with(field))
                    || refusal.fault.message.contains(field))
        };
        if self.asks_for_usage && about("stream_options") {
            self.asks_for_usage = false;
        } else if self.limit_field == "max_tokens" && about("max_tokens") {
            self.limit_field = "max_completion_tokens";
        } else {
            return false;
        }
        true
    }

    /// Asks once, within the time that a request may take. Dropping the future ends the server's work.
    ///
    /// # Errors
    /// What went wrong, by kind.
    pub async fn ask(&self, prompt: &str) -> Result<Answer, Fault> {
        self.try_once(prompt).await.map(|(answer, _)| answer).map_err(|refusal| refusal.fault)
    }

    async fn try_once(&self, prompt: &str) -> Result<(Answer, Option<String>), Refusal> {
        match tokio::time::timeout(self.wish.timeout, self.exchange(prompt)).await {
            Ok(done) => done,
            Err(_) => {
                let message = format!("no whole answer within {}", humantime::format_duration(self.wish.timeout));
                Err(fault("timeout", message).into())
            }
        }
    }

    async fn exchange(&self, prompt: &str) -> Result<(Answer, Option<String>), Refusal> {
        let request = self.endpoint.api_request(Method::POST, "chat/completions").json(&self.body(prompt));
        let begin = Instant::now();
        let response = request
            .send()
            .await
            .map_err(|error| fault(if error.is_connect() { "connect" } else { "broken off" }, innermost(&error)))?;
        if response.status().as_u16() != 200 {
            return Err(refusal(response).await);
        }
        let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut reading = Reading::new(begin);
        if kind.starts_with("text/event-stream") {
            stream(response, &mut reading).await?;
        } else {
            whole(response, &mut reading).await?;
        }
        Ok(reading.end())
    }

    fn body(&self, prompt: &str) -> Value {
        let mut body = json!({
            "model": self.wish.model,
            "messages": [{"role": "user", "content": prompt}],
            self.limit_field: self.wish.max_tokens,
            "stream": self.wish.stream,
        });
        if self.wish.stream && self.asks_for_usage {
            body["stream_options"] = json!({"include_usage": true});
        }
        if self.wish.ignore_eos {
            body["ignore_eos"] = json!(true);
        }
        body
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { fault, param: None }
    }
}

async fn refusal(response: Response) -> Refusal {
    let kind = format!("status {}", response.status().as_u16());
    let text = response.text().await.unwrap_or_default();
    match serde_json::from_str::<ErrorBody>(&text) {
        Ok(ErrorBody { error: ErrorObject { message, param, .. } }) => Refusal { fault: fault(&kind, message), param },
        Err(_) => fault(&kind, if text.is_empty() { kind.clone() } else { text }).into(),
    }
}

async fn stream(mut response: Response, reading: &mut Reading) -> Result<(), Fault> {
    let mut decoder = Decoder::new(LIMIT);
    let mut events = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| fault("broken off", innermost(&error)))? {
        let now = Instant::now();
        decoder.push(&chunk, |event| events.push(event)).map_err(|error| fault("bad answer", error.to_string()))?;
        for event in events.drain(..) {
            if event == b"[DONE]" {
                return reading.checked();
            }
            reading.take(&event, now)?;
        }
    }
    if decoder.is_mid_event() {
        return Err(fault("broken off", "the stream was cut within an event".to_owned()));
    }
    reading.checked()
}

async fn whole(mut response: Response, reading: &mut Reading) -> Result<(), Fault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| fault("broken off", innermost(&error)))? {
        body.extend_from_slice(&chunk);
        if body.len() > LIMIT {
            return Err(fault("bad answer", format!("longer than {LIMIT} bytes")));
        }
    }
    reading.document(&body)?;
    reading.checked()
}
