//! What `/api/chat` and `/api/generate` answer with: one JSON document per line.

use serde::Deserialize;

use super::ToolCall;

/// One line of an answer; the last one has `done`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Piece {
    /// What is added to a chat's message.
    #[serde(default)]
    pub message: Option<PieceMessage>,
    /// What is added to a completion.
    #[serde(default)]
    pub response: Option<String>,
    /// What a completion thought.
    #[serde(default)]
    pub thinking: Option<String>,
    /// Of the tokens of this line, when asked for.
    #[serde(default)]
    pub logprobs: Option<Vec<TokenLogprob>>,
    /// The answer has ended.
    #[serde(default)]
    pub done: bool,
    /// `stop`, `length`, `load` or `unload`; only with `done`.
    #[serde(default)]
    pub done_reason: Option<String>,
    /// Tokens of the prompt as the model saw it, those from a cache included; only with `done`.
    /// Older versions leave it out when all came from a cache.
    #[serde(default)]
    pub prompt_eval_count: Option<u32>,
    /// Tokens generated; only with `done`.
    #[serde(default)]
    pub eval_count: Option<u32>,
    /// What went wrong after the answer had begun; nothing follows.
    #[serde(default)]
    pub error: Option<String>,
}

/// What one line adds to a message.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct PieceMessage {
    /// Text to append.
    #[serde(default)]
    pub content: Option<String>,
    /// Reasoning to append.
    #[serde(default)]
    pub thinking: Option<String>,
    /// Whole calls; a later line has others, never parts of the same.
    #[serde(default)]
    pub tool_calls: Option<Vec<ToolCall>>,
}

/// One token that was generated.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TokenLogprob {
    /// Its text.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// The text's bytes; left out when there are none.
    #[serde(default)]
    pub bytes: Option<Vec<u8>>,
    /// The likeliest tokens of this place, when asked for.
    #[serde(default)]
    pub top_logprobs: Vec<TopTokenLogprob>,
}

/// One of the likeliest tokens of a place.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TopTokenLogprob {
    /// Its text.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// The text's bytes; left out when there are none.
    #[serde(default)]
    pub bytes: Option<Vec<u8>>,
}
