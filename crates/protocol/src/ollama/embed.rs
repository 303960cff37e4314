//! `POST /api/embed`.

use serde::{Deserialize, Serialize};

use super::Options;

/// Texts to turn into vectors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EmbedRequest {
    /// Which model.
    pub model: String,
    /// The texts.
    pub input: Vec<String>,
    /// Whether texts that do not fit are cut.
    pub truncate: bool,
    /// Numbers per vector; `None`: as many as the model has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// Only the window matters here.
    pub options: Options,
    /// See [`ChatRequest`](super::ChatRequest).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<String>,
}

/// Their vectors, of length 1, in the order of the texts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EmbedResponse {
    /// One per text.
    pub embeddings: Vec<Vec<f32>>,
    /// Tokens of all texts together.
    #[serde(default)]
    pub prompt_eval_count: u32,
}
