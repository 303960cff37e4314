//! What callers ask for, independent of the API it came in by.
//!
//! Leaf values (messages, sampling) are the protocol's: they have one meaning everywhere. Whether
//! the caller wants a stream is not part of a request: an answer is always a stream of events.

use lla_protocol::openai::{Message, Prompt, Sampling};
use serde_json::{Map, Value};

/// Continue a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The model, by the name the *backend* knows (the route has resolved the caller's name).
    pub model: String,
    /// At least one message.
    pub messages: Vec<Message>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens to generate; `None`: until the model ends or its window is full.
    pub max_tokens: Option<u32>,
    /// Answers wanted; `None` is one.
    pub n: Option<u32>,
    /// Fields that only the backend may know; passed on as they are.
    pub extra: Map<String, Value>,
}

/// Continue raw text or tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionRequest {
    /// The model, by the name the backend knows.
    pub model: String,
    /// One or more prompts.
    pub prompt: Prompt,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens to generate per answer.
    pub max_tokens: u32,
    /// Answers wanted per prompt; `None` is one.
    pub n: Option<u32>,
    /// Fields that only the backend may know; passed on as they are.
    pub extra: Map<String, Value>,
}

/// Turn texts into vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbedRequest {
    /// The model, by the name the backend knows.
    pub model: String,
    /// Texts or token lists, at least one.
    pub input: Prompt,
    /// Numbers per vector; `None`: as many as the model has.
    pub dimensions: Option<u32>,
    /// Fields that only the backend may know; passed on as they are.
    pub extra: Map<String, Value>,
}

/// What came of an [`EmbedRequest`].
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// One per input, in their order.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all inputs together.
    pub prompt_tokens: u32,
}

impl CompletionRequest {
    /// How many choices the answer will have: prompts times `n`.
    #[must_use]
    pub fn choices(&self) -> usize {
        self.prompt.len() * self.n.unwrap_or(1) as usize
    }
}
