//! A server whose kind is not configured. One question decides between the two drivers: Ollama also speaks the
//! OpenAI API, but can not be told there how large the window is to be, and then cuts prompts in silence. Which
//! of the OpenAI dialects a server speaks the other driver finds out by itself.

use async_trait::async_trait;
use lla_protocol::systemone::{SystemOneAnswer, SystemOneRequest};
use tokio::sync::OnceCell;

use super::config::{BuildError, HttpBackendConfig};
use super::{OllamaBackend, OpenAiBackend};
use crate::{
    Backend, BackendHealth, Capabilities, ChatRequest, CompletionRequest, EmbedRequest, Embeddings, Error, EventStream,
    ModelInfo, ScoreRequest, Scores,
};

/// See the module.
#[derive(Debug)]
pub(super) struct AutoBackend {
    openai: OpenAiBackend,
    ollama: OllamaBackend,
    /// Empty until the server has said who it is.
    is_ollama: OnceCell<bool>,
}

impl AutoBackend {
    pub(super) fn new(name: &str, config: &HttpBackendConfig) -> Result<Self, BuildError> {
        let (openai, ollama) = (OpenAiBackend::new(name, config)?, OllamaBackend::new(name, config)?);
        Ok(Self { openai, ollama, is_ollama: OnceCell::new() })
    }

    /// The driver that suits the server, which is asked as long as it has not answered. A server that is away is
    /// left to the driver for OpenAI, whose errors say so.
    async fn driver(&self) -> &dyn Backend {
        let asked = self.is_ollama.get_or_try_init(|| self.ollama.is_one()).await;
        if asked.is_ok_and(|is_ollama| *is_ollama) { &self.ollama } else { &self.openai }
    }
}

#[async_trait]
impl Backend for AutoBackend {
    fn name(&self) -> &str {
        self.openai.name()
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, Error> {
        self.driver().await.models().await
    }

    async fn chat(&self, request: ChatRequest) -> Result<EventStream, Error> {
        self.driver().await.chat(request).await
    }

    async fn complete(&self, request: CompletionRequest) -> Result<EventStream, Error> {
        self.driver().await.complete(request).await
    }

    async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, Error> {
        self.driver().await.embed(request).await
    }

    async fn score(&self, request: ScoreRequest) -> Result<Scores, Error> {
        self.driver().await.score(request).await
    }

    async fn decide(&self, request: SystemOneRequest) -> Result<SystemOneAnswer, Error> {
        self.driver().await.decide(request).await
    }

    async fn count_tokens(&self, request: &ChatRequest) -> Result<u32, Error> {
        self.driver().await.count_tokens(request).await
    }

    fn capabilities(&self) -> Capabilities {
        if self.is_ollama.get() == Some(&true) { self.ollama.capabilities() } else { self.openai.capabilities() }
    }

    async fn health(&self) -> BackendHealth {
        self.driver().await.health().await
    }
}
