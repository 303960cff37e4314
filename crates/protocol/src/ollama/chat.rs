//! `POST /api/chat`: the request.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Options;

/// A chat request. Without messages it only loads the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatRequest {
    /// Which model.
    pub model: String,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Tools in the form of the OpenAI API.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// `"json"`, or a JSON Schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Value>,
    /// Sampling and window.
    pub options: Options,
    /// How long the model stays loaded afterwards, as Go writes durations (`600s`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<String>,
    /// Whether the model thinks first; `None`: it does when it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub think: Option<Think>,
    /// Whether old messages are dropped when the prompt does not fit.
    pub truncate: bool,
    /// Answer with log-probabilities.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub logprobs: bool,
    /// How many of the likeliest tokens to list for each place, 0 to 20.
    #[serde(skip_serializing_if = "is_zero")]
    pub top_logprobs: u32,
    /// Answer piece by piece.
    pub stream: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
pub(super) fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Whether, and how much, a model thinks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Think {
    /// On or off.
    Switch(bool),
    /// `low`, `medium`, `high` or `max`; models that only know on and off take it for on.
    Level(&'static str),
}

/// One message.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: &'static str,
    /// What is said.
    pub content: String,
    /// What an assistant thought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Images as base64, without the `data:` in front.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// What an assistant called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Which function a `tool` message is the result of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_name: Option<String>,
    /// Which call it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Older versions give none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What is called.
    pub function: ToolCallFunction,
}

/// The function of a [`ToolCall`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCallFunction {
    /// The place of the call among those of its message.
    #[serde(default)]
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its arguments: an object, not text as in the OpenAI API.
    #[serde(default)]
    pub arguments: Map<String, Value>,
}
