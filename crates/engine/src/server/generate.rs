//! What the server needs of an engine, so that routes are tested without a model.

use std::sync::LazyLock;

use futures_util::future::BoxFuture;
use lla_protocol::openai::Message;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::chat_format::ChatFormat;
use crate::constraint::{Constraint, Restriction};
use crate::embed::{Embedder, EmbeddingCard};
use crate::error::EngineError;
use crate::handle::Handle;
use crate::metrics::Metrics;
use crate::model::ModelCard;
use crate::score::{ScoreTokens, TextScores};
use crate::sequence::{GenerateRequest, Output};
use crate::template::TemplateOptions;
use crate::worker::Engine;

/// An engine as the server sees it. The methods are those of [`Engine`].
pub(super) trait Generate: Send + Sync + 'static {
    fn card(&self) -> &ModelCard;
    fn chat_format(&self) -> &ChatFormat;
    fn metrics(&self) -> &Metrics;
    fn is_alive(&self) -> bool;
    /// Dropping the receiver cancels the generation.
    fn generate(&self, request: GenerateRequest) -> Result<UnboundedReceiver<Output>, EngineError>;
    fn tokenize(&self, text: &str, add_special: bool, parse_special: bool) -> Vec<u32>;
    fn detokenize(&self, tokens: &[u32]) -> String;
    fn render_chat(&self, messages: &[Message], options: &TemplateOptions<'_>) -> Result<Vec<u32>, EngineError>;
    /// What the model's vectors are; `None`: it generates text and makes none.
    fn vectors(&self) -> Option<EmbeddingCard> {
        None
    }
    /// The vectors of the inputs. Dropping the future cancels the work.
    fn embed(&self, _inputs: Vec<Vec<u32>>) -> BoxFuture<'static, Result<Vec<Vec<f32>>, EngineError>> {
        Box::pin(std::future::ready(Err(no_embeddings(self.card()))))
    }
    /// How likely texts are. Dropping the future cancels the work.
    fn score(&self, items: Vec<ScoreTokens>) -> BoxFuture<'static, Result<TextScores, EngineError>>;
    /// May block for some tenths of a second.
    fn compile(&self, restriction: &Restriction) -> Result<Constraint, EngineError>;
    fn shutdown(&self);
    /// Resolves when nothing is generated any more.
    fn stopped(&self) -> BoxFuture<'_, ()>;
}

/// Why a model that generates text has no vectors.
pub(super) fn no_embeddings(card: &ModelCard) -> EngineError {
    EngineError::WrongModel(format!(
        "'{}' generates text; embeddings need a model of their own (BERT-like, or one whose file has a pooling type)",
        card.name
    ))
}

/// Why a model for embeddings has no text.
pub(super) fn no_text(card: &ModelCard) -> EngineError {
    EngineError::WrongModel(format!(
        "'{}' makes embeddings and generates no text: use /v1/embeddings, or a model that chats",
        card.name
    ))
}

/// The format of a model that does not chat.
static NO_CHAT: LazyLock<ChatFormat> = LazyLock::new(|| ChatFormat::detect("", Vec::new()));

impl Generate for Embedder {
    fn chat_format(&self) -> &ChatFormat {
        &NO_CHAT
    }

    fn card(&self) -> &ModelCard {
        Handle::card(self)
    }

    fn metrics(&self) -> &Metrics {
        Handle::metrics(self)
    }

    fn is_alive(&self) -> bool {
        Handle::is_alive(self)
    }

    fn generate(&self, _request: GenerateRequest) -> Result<UnboundedReceiver<Output>, EngineError> {
        Err(no_text(Handle::card(self)))
    }

    fn tokenize(&self, text: &str, add_special: bool, parse_special: bool) -> Vec<u32> {
        Handle::tokenize(self, text, add_special, parse_special)
    }

    fn detokenize(&self, tokens: &[u32]) -> String {
        Handle::detokenize(self, tokens)
    }

    fn render_chat(&self, _messages: &[Message], _options: &TemplateOptions<'_>) -> Result<Vec<u32>, EngineError> {
        Err(no_text(Handle::card(self)))
    }

    fn compile(&self, _restriction: &Restriction) -> Result<Constraint, EngineError> {
        Err(no_text(Handle::card(self)))
    }

    fn score(&self, _items: Vec<ScoreTokens>) -> BoxFuture<'static, Result<TextScores, EngineError>> {
        Box::pin(std::future::ready(Err(no_text(Handle::card(self)))))
    }

    fn vectors(&self) -> Option<EmbeddingCard> {
        Some(Self::vectors(self))
    }

    fn embed(&self, inputs: Vec<Vec<u32>>) -> BoxFuture<'static, Result<Vec<Vec<f32>>, EngineError>> {
        let embedder = self.clone();
        Box::pin(async move { Self::embed(&embedder, inputs).await })
    }

    fn shutdown(&self) {
        Self::shutdown(self);
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(Handle::stopped(self))
    }
}

impl Generate for Engine {
    fn card(&self) -> &ModelCard {
        Handle::card(self)
    }

    fn chat_format(&self) -> &ChatFormat {
        Self::chat_format(self)
    }

    fn metrics(&self) -> &Metrics {
        Handle::metrics(self)
    }

    fn is_alive(&self) -> bool {
        Handle::is_alive(self)
    }

    fn generate(&self, request: GenerateRequest) -> Result<UnboundedReceiver<Output>, EngineError> {
        Self::generate(self, request)
    }

    fn tokenize(&self, text: &str, add_special: bool, parse_special: bool) -> Vec<u32> {
        Handle::tokenize(self, text, add_special, parse_special)
    }

    fn detokenize(&self, tokens: &[u32]) -> String {
        Handle::detokenize(self, tokens)
    }

    fn render_chat(&self, messages: &[Message], options: &TemplateOptions<'_>) -> Result<Vec<u32>, EngineError> {
        Self::render_chat(self, messages, options)
    }

    fn score(&self, items: Vec<ScoreTokens>) -> BoxFuture<'static, Result<TextScores, EngineError>> {
        let engine = self.clone();
        Box::pin(async move { Self::score(&engine, items).await })
    }

    fn compile(&self, restriction: &Restriction) -> Result<Constraint, EngineError> {
        Self::compile(self, restriction)
    }

    fn shutdown(&self) {
        Self::shutdown(self);
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(Handle::stopped(self))
    }
}
