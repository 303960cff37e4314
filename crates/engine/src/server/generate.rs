//! What the server needs of an engine, so that routes are tested without a model.

use futures_util::future::BoxFuture;
use lla_protocol::openai::Message;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::chat_format::ChatFormat;
use crate::error::EngineError;
use crate::metrics::Metrics;
use crate::model::ModelCard;
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
    fn shutdown(&self);
    /// Resolves when nothing is generated any more.
    fn stopped(&self) -> BoxFuture<'_, ()>;
}

impl Generate for Engine {
    fn card(&self) -> &ModelCard {
        Self::card(self)
    }

    fn chat_format(&self) -> &ChatFormat {
        Self::chat_format(self)
    }

    fn metrics(&self) -> &Metrics {
        Self::metrics(self)
    }

    fn is_alive(&self) -> bool {
        Self::is_alive(self)
    }

    fn generate(&self, request: GenerateRequest) -> Result<UnboundedReceiver<Output>, EngineError> {
        Self::generate(self, request)
    }

    fn tokenize(&self, text: &str, add_special: bool, parse_special: bool) -> Vec<u32> {
        Self::tokenize(self, text, add_special, parse_special)
    }

    fn detokenize(&self, tokens: &[u32]) -> String {
        Self::detokenize(self, tokens)
    }

    fn render_chat(&self, messages: &[Message], options: &TemplateOptions<'_>) -> Result<Vec<u32>, EngineError> {
        Self::render_chat(self, messages, options)
    }

    fn shutdown(&self) {
        Self::shutdown(self);
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(Self::stopped(self))
    }
}
