//! A running gateway, asked over `POST /mcp/tools/{name}` and `POST /v1/decisions`.

use std::time::Duration;

use lla_gateway::mcp::Ask;
use lla_inference::{Error, ErrorKind};
use lla_protocol::openai::ErrorObject;
use lla_protocol::sse::Decoder;
use lla_tools::ToolError;
use reqwest::header;
use serde_json::Value;

use crate::failure::{Exit, Failure, OrFail as _};

/// How long a gateway of this machine may take to show that it is there.
const LOOK: Duration = Duration::from_secs(1);
/// Longest event; a result holds at most the text of a call.
const EVENT_LIMIT: usize = 32 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Gateway {
    client: reqwest::Client,
    base: String,
    key: Option<String>,
}

impl Gateway {
    /// The gateway at `url` (with or without `/v1`), else at the address that the configuration listens on.
    pub(super) fn new(url: Option<&str>, listen: &str, key: Option<String>) -> Result<Self, Failure> {
        let base = url.map_or_else(|| crate::chat::default_url(listen), str::to_owned);
        let parsed =
            reqwest::Url::parse(&base).map_err(|error| Failure::usage(format!("--url: {base} is no URL: {error}")))?;
        let mut builder = reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).tcp_nodelay(true);
        // A proxy of the environment must not be asked for an address of this machine.
        if matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            builder = builder.no_proxy();
        }
        let base = base.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        Ok(Self { client: builder.build().or_fail(Exit::Bug)?, base, key })
    }

    /// Whether it answers.
    pub(super) async fn is_there(&self) -> bool {
        let answer = self.client.get(format!("{}/health/live", self.base)).timeout(LOOK).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Has it run a tool. Dropping the future closes the connection, which ends the work.
    pub(super) async fn call(&self, ask: &Ask) -> Result<Value, ToolError> {
        let mut request = self.request(&format!("/mcp/tools/{}", ask.name)).json(&ask.arguments);
        request = request.header(header::ACCEPT, "text/event-stream");
        if let Some(tier) = ask.tier {
            request = request.header("x-tier", tier.as_str());
        }
        let mut response = request.send().await.map_err(|error| self.lost(&error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let mut decoder = Decoder::new(EVENT_LIMIT);
        let mut events = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(&error))? {
            decoder.push(&chunk, |event| events.push(event)).map_err(|error| self.strange(&error.to_string()))?;
            for event in events.drain(..) {
                if let Some(result) = self.read(&event, ask)? {
                    return Ok(result);
                }
            }
        }
        Err(self.strange("its answer broke off"))
    }

    /// Posts JSON and reads the answer. Dropping the future closes the connection, which ends the work.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, ToolError> {
        let response = self.request(path).json(body).send().await.map_err(|error| self.lost(&error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let text = response.text().await.map_err(|error| self.lost(&error))?;
        serde_json::from_str(&text).map_err(|error| self.strange(&error.to_string()))
    }

    fn request(&self, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.post(format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    async fn refusal(&self, response: reqwest::Response) -> ToolError {
        let status = response.status();
        let text = match response.text().await {
            Ok(text) => text,
            Err(error) => return self.lost(&error),
        };
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        refused(&body["error"]).unwrap_or_else(|| self.strange(&format!("status {status}")))
    }

    /// The result, when this event is it; progress is told on.
    fn read(&self, event: &[u8], ask: &Ask) -> Result<Option<Value>, ToolError> {
        let mut event: Value = serde_json::from_slice(event).map_err(|error| self.strange(&error.to_string()))?;
        if let Some(error) = refused(&event["error"]) {
            return Err(error);
        }
        if event["type"] == "result" {
            return Ok(Some(event["result"].take()));
        }
        if let Ok(step) = serde_json::from_value::<lla_tools::Step>(event) {
            ask.progress.step(step.current, step.total, step.message);
        }
        Ok(None)
    }

    fn lost(&self, error: &reqwest::Error) -> ToolError {
        let mut cause: &dyn std::error::Error = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        let message = format!("no gateway answers at {}: {cause}", self.base);
        Error::Unavailable { backend: "gateway".to_owned(), message, retry_after: None }.into()
    }

    fn strange(&self, what: &str) -> ToolError {
        Error::upstream(&self.base, format!("not what a gateway answers: {what}")).into()
    }
}

/// An error of the gateway's envelope, in its own words.
pub(super) fn refused(error: &Value) -> Option<ToolError> {
    let error: ErrorObject = serde_json::from_value(error.clone()).ok()?;
    let code = error.code.as_deref().unwrap_or_default();
    let kind = match (error.kind.as_str(), code) {
        (_, "context_length_exceeded") => ErrorKind::ContextLength,
        (_, "internal_error") => ErrorKind::Internal,
        (_, "overloaded" | "shutting_down") => ErrorKind::Overloaded,
        (_, "backend_timeout") => ErrorKind::Timeout,
        (_, "backend_unavailable") => ErrorKind::Unavailable,
        ("invalid_request_error", _) => ErrorKind::InvalidRequest,
        ("rate_limit_error", _) => ErrorKind::RateLimited,
        ("authentication_error" | "permission_error", _) => ErrorKind::Unauthenticated,
        _ => ErrorKind::Upstream,
    };
    Some(ToolError::Refused { message: error.message, kind, field: error.param, code: error.code })
}
