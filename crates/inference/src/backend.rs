//! The one interface to everything that runs models.

use std::time::Duration;

use async_trait::async_trait;
use lla_protocol::ollama::LoadedModel;
use lla_protocol::systemone::{SystemOneAnswer, SystemOneRequest};
use serde::{Serialize, Serializer};

use crate::{
    Capabilities, ChatRequest, CompletionRequest, EmbedRequest, Embeddings, Error, EventStream, ScoreRequest, Scores,
};

/// A server that runs models: an engine process, an HTTP server, a mock.
///
/// Object-safe and small on purpose. Implementations are shared between tasks and hold no lock while
/// they wait. A call is cancelled by dropping its future, an answer by dropping its stream; both
/// must reach the running work.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The name from the configuration; unique in the fleet.
    fn name(&self) -> &str;

    /// The models that can be used now, asked of the server itself.
    ///
    /// # Errors
    /// When the server can not be asked.
    async fn models(&self) -> Result<Vec<ModelInfo>, Error>;

    /// Starts a chat answer. Returns when the backend has *accepted* the request (an answer with
    /// status 200 has begun), so that an `Err` here means that nothing has been generated. One that has
    /// to load the model first returns before that: then [`Event::Progress`](crate::Event::Progress)
    /// comes first, and an `Err` before any other event means the same.
    ///
    /// # Errors
    /// When the request is refused or the backend can not serve it.
    async fn chat(&self, request: ChatRequest) -> Result<EventStream, Error>;

    /// Starts a text completion; otherwise like [`Backend::chat`].
    ///
    /// # Errors
    /// When the request is refused or the backend can not serve it.
    async fn complete(&self, request: CompletionRequest) -> Result<EventStream, Error>;

    /// Turns texts into vectors.
    ///
    /// # Errors
    /// When the request is refused or the backend can not serve it; by default, always.
    async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, Error> {
        let message =
            format!("the backend '{}' makes no embeddings: '{}' can not be used here", self.name(), request.model);
        Err(Error::InvalidRequest {
            message,
            param: Some("model".to_owned()),
            code: Some("unsupported_model".to_owned()),
        })
    }

    /// Tells how likely texts are. Nothing is written.
    ///
    /// # Errors
    /// When the request is refused or the backend can not serve it; by default, always, with the code
    /// `unsupported_model`: see [`Error::is_unsupported`].
    async fn score(&self, request: ScoreRequest) -> Result<Scores, Error> {
        Err(no_scores(self.name(), &request.model))
    }

    /// Has the server's own route for typed decisions (`POST /v1/systemone`) answer.
    ///
    /// # Errors
    /// When the request is refused or the backend can not serve it; by default, always, with the code
    /// `unsupported_model`.
    async fn decide(&self, request: SystemOneRequest) -> Result<SystemOneAnswer, Error> {
        Err(unsupported(self.name(), &request.model, "decides nothing by itself"))
    }

    /// Counts the prompt tokens of a chat request as the model would see it.
    ///
    /// # Errors
    /// When the backend can not count.
    async fn count_tokens(&self, request: &ChatRequest) -> Result<u32, Error>;

    /// What the backend can do, as far as it is known: asks nobody. By default nothing is.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Asks the server for a sign of life; returns within a few seconds, whatever happens.
    async fn health(&self) -> BackendHealth;
}

/// What a backend says that can not score.
pub(crate) fn no_scores(backend: &str, model: &str) -> Error {
    unsupported(backend, model, "can not score texts")
}

/// What a backend says that does not do something; see [`Error::is_unsupported`].
pub(crate) fn unsupported(backend: &str, model: &str, what: &str) -> Error {
    Error::InvalidRequest {
        message: format!("the backend '{backend}' {what}: '{model}' can not be used here"),
        param: Some("model".to_owned()),
        code: Some("unsupported_model".to_owned()),
    }
}

/// A model as its backend describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name the backend knows it by.
    pub id: String,
    /// Context window in tokens, where the backend tells.
    pub window: Option<u32>,
    /// Unix seconds; 0 where the backend does not tell.
    pub created: i64,
    /// The model that it is an adapter (LoRA) of.
    pub parent: Option<String>,
}

/// What a backend's health check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BackendHealth {
    /// It answered that it is well.
    pub reachable: bool,
    /// How long the answer took.
    #[serde(rename = "latency_ms", serialize_with = "milliseconds", skip_serializing_if = "Option::is_none")]
    pub latency: Option<Duration>,
    /// Version the server reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why it is not reachable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it can do, where somebody has asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// The models in its memory, where it tells (Ollama).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaded: Option<Vec<LoadedModel>>,
}

impl BackendHealth {
    /// A backend that does not answer, and why.
    #[must_use]
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::default() }
    }
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn milliseconds<S: Serializer>(latency: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match latency {
        Some(latency) => serializer.serialize_f64((latency.as_secs_f64() * 1e6).round() / 1e3),
        None => serializer.serialize_none(),
    }
}
