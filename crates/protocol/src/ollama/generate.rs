//! `POST /api/generate`: the request.

use serde::Serialize;

use super::chat::is_zero;
use super::{Options, Think};

/// A completion of raw text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GenerateRequest {
    /// Which model.
    pub model: String,
    /// The text to continue; an empty one only loads the model.
    pub prompt: String,
    /// The prompt as it is, without the model's template.
    pub raw: bool,
    /// See [`ChatRequest`](super::ChatRequest).
    pub options: Options,
    /// See [`ChatRequest`](super::ChatRequest).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<serde_json::Value>,
    /// See [`ChatRequest`](super::ChatRequest).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<String>,
    /// See [`ChatRequest`](super::ChatRequest).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub think: Option<Think>,
    /// See [`ChatRequest`](super::ChatRequest).
    pub truncate: bool,
    /// See [`ChatRequest`](super::ChatRequest).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub logprobs: bool,
    /// See [`ChatRequest`](super::ChatRequest).
    #[serde(skip_serializing_if = "is_zero")]
    pub top_logprobs: u32,
    /// See [`ChatRequest`](super::ChatRequest).
    pub stream: bool,
}
