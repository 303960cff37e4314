//! `POST /v1/chat/completions`: request, answer, stream chunk.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{FinishReason, Logprobs, Message, Sampling, StreamOptions, Usage, harmless};
use crate::fields::{FieldError, Fields};

/// A chat request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatCompletionRequest {
    /// Which model, by one of the names of `GET /v1/models`.
    pub model: String,
    /// The conversation, at least one message.
    pub messages: Vec<Message>,
    /// How tokens are chosen.
    #[serde(flatten)]
    pub sampling: Sampling,
    /// Most tokens to generate (`max_completion_tokens`, or the older `max_tokens`); `None`: until
    /// the model ends or the window is full.
    #[serde(skip_serializing_if = "Option::is_none", rename = "max_tokens")]
    pub max_tokens: Option<u32>,
    /// Answers per request, 1 to 128.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// Send the answer as a stream of events.
    pub stream: bool,
    /// Only with `stream`.
    #[serde(skip_serializing_if = "is_default")]
    pub stream_options: StreamOptions,
    /// What is asked for by fields that stay in `rest`, where an upstream finds them.
    #[serde(skip)]
    pub logprobs: Logprobs,
    /// Fields that are not acted on here (`tools`, `response_format`, `user`, …).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

fn is_default(options: &StreamOptions) -> bool {
    *options == StreamOptions::default()
}

impl ChatCompletionRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// Names the first field that is missing, of a wrong type or out of range.
    pub fn parse(body: &[u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::from_body(body)?;
        let model = required_model(&mut fields)?;
        let messages = take_messages(&mut fields)?;
        let sampling = Sampling::take(&mut fields)?;
        let older = fields.count("max_tokens", 1)?;
        let max_tokens = fields.count("max_completion_tokens", 1)?.or(older);
        let n = take_n(&mut fields)?;
        let (stream, stream_options) = StreamOptions::take(&mut fields)?;
        check_response_format(&fields)?;
        let logprobs = Logprobs::of_chat(&fields)?;
        harmless::check(&fields)?;
        Ok(Self { model, messages, sampling, max_tokens, n, stream, stream_options, logprobs, rest: fields.rest() })
    }
}

/// Takes `model`, which must be a non-empty string.
pub(super) fn required_model(fields: &mut Fields) -> Result<String, FieldError> {
    let model = fields.required_string("model")?;
    if model.is_empty() {
        return Err(FieldError::new("model", "invalid_value", "must not be empty; GET /v1/models lists the names"));
    }
    Ok(model)
}

/// Takes `n`.
pub(super) fn take_n(fields: &mut Fields) -> Result<Option<u32>, FieldError> {
    Ok(fields.integer("n", 1..=128)?.and_then(|n| u32::try_from(n).ok()))
}

fn take_messages(fields: &mut Fields) -> Result<Vec<Message>, FieldError> {
    let items = fields.array("messages")?.ok_or_else(|| fields.missing("messages"))?;
    if items.is_empty() {
        return Err(FieldError::new("messages", "invalid_value", "at least one message is required"));
    }
    items.into_iter().enumerate().map(|(index, item)| Message::parse(item, &format!("messages[{index}]"))).collect()
}

/// A `response_format` without a usable type must not be ignored in silence by any server.
fn check_response_format(fields: &Fields) -> Result<(), FieldError> {
    let Some(format) = fields.peek("response_format") else { return Ok(()) };
    match format.get("type").and_then(Value::as_str) {
        Some("text" | "json_object") => Ok(()),
        Some("json_schema") => match format.get("json_schema").and_then(|wrapper| wrapper.get("schema")) {
            Some(Value::Object(_)) => Ok(()),
            _ => Err(FieldError::new(
                "response_format.json_schema.schema",
                "invalid_type",
                "expected a JSON Schema object",
            )),
        },
        // vLLM's own formats pass; a server that does not know one refuses it.
        Some("structural_tag") => Ok(()),
        _ => Err(FieldError::new("response_format.type", "invalid_value", "must be text, json_object or json_schema")),
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatCompletion {
    /// `chatcmpl-…`.
    pub id: String,
    /// Always `chat.completion`.
    pub object: String,
    /// Unix seconds.
    pub created: i64,
    /// The model that answered.
    pub model: String,
    /// One per `n`.
    pub choices: Vec<ChatChoice>,
    /// Token counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Changes when answers to the same seed may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_fingerprint: Option<String>,
}

/// One answer of a [`ChatCompletion`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatChoice {
    /// Position in `choices`.
    pub index: u32,
    /// What the model said.
    pub message: ChatMessage,
    /// Log-probabilities, when asked for.
    #[serde(default)]
    pub logprobs: Option<Value>,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

/// The message of a [`ChatChoice`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Always `assistant`.
    pub role: String,
    /// The text; `null` when the model only called tools.
    #[serde(default)]
    pub content: Option<String>,
    /// The model's refusal; always written, as the official API does.
    #[serde(default)]
    pub refusal: Option<String>,
    /// Tool calls, reasoning, annotations.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One event of a streamed answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatChunk {
    /// The same in every chunk of an answer.
    pub id: String,
    /// Always `chat.completion.chunk`.
    pub object: String,
    /// Unix seconds, the same in every chunk of an answer.
    pub created: i64,
    /// The model that answers.
    pub model: String,
    /// The news, at most one per choice; empty in the usage chunk.
    #[serde(default)]
    pub choices: Vec<ChatChunkChoice>,
    /// Token counts: only in the last chunk, and only when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// See [`ChatCompletion::system_fingerprint`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_fingerprint: Option<String>,
}

/// The news about one choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatChunkChoice {
    /// Which choice.
    #[serde(default)]
    pub index: u32,
    /// What is added to its message.
    #[serde(default)]
    pub delta: ChatDelta,
    /// Log-probabilities of the tokens in `delta`, when asked for.
    #[serde(default)]
    pub logprobs: Option<Value>,
    /// Set in the last chunk of the choice, `null` before.
    #[serde(default)]
    pub finish_reason: Option<FinishReason>,
}

/// What one chunk adds to a message.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ChatDelta {
    /// Only in the first chunk of a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Text to append.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Tool-call deltas, `reasoning_content`, `refusal`.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// By hand: every token of every answer comes by here, and `flatten` reads an object twice.
impl<'de> Deserialize<'de> for ChatDelta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Name {
            Role,
            Content,
            Other(String),
        }

        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = ChatDelta;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("the delta of a message")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ChatDelta, A::Error> {
                let mut delta = ChatDelta::default();
                while let Some(name) = map.next_key()? {
                    match name {
                        Name::Role => delta.role = map.next_value()?,
                        Name::Content => delta.content = map.next_value()?,
                        Name::Other(name) => {
                            let value = map.next_value()?;
                            delta.rest.insert(name, value);
                        }
                    }
                }
                Ok(delta)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}
