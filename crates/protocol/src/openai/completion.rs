//! `POST /v1/completions`: the older interface, still what evaluation harnesses and editors use.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chat::{required_model, take_n};
use super::{FinishReason, Logprobs, Sampling, StreamOptions, Usage, harmless};
use crate::fields::{FieldError, Fields};

/// `max_tokens` when the caller does not say, as the OpenAI API has it.
const DEFAULT_MAX_TOKENS: u32 = 16;

/// Text or tokens to continue.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Prompt {
    /// Texts, one answer (or `n`) each.
    Texts(Vec<String>),
    /// Token ids, one answer (or `n`) per list.
    Tokens(Vec<Vec<u32>>),
}

impl Prompt {
    /// How many prompts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Tokens(lists) => lists.len(),
        }
    }

    /// Whether there is none; `parse` never yields that.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A text completion request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompletionRequest {
    /// Which model.
    pub model: String,
    /// What to continue.
    pub prompt: Prompt,
    /// How tokens are chosen.
    #[serde(flatten)]
    pub sampling: Sampling,
    /// Most tokens to generate; 16 when the caller does not say. 0 only with `echo: true`: then the
    /// prompt comes back, with its log-probabilities if they are asked for, and nothing else.
    pub max_tokens: u32,
    /// Answers per prompt, 1 to 128.
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
    /// Fields that are not acted on here (`echo`, `logprobs`, `suffix`, …).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

fn is_default(options: &StreamOptions) -> bool {
    *options == StreamOptions::default()
}

impl CompletionRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// Names the first field that is missing, of a wrong type or out of range.
    pub fn parse(body: &[u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::from_body(body)?;
        let model = required_model(&mut fields)?;
        let prompt = fields.take("prompt").ok_or_else(|| fields.missing("prompt"))?;
        let prompt = parse_prompt("prompt", prompt)?;
        let sampling = Sampling::take(&mut fields)?;
        let logprobs = Logprobs::of_completion(&fields)?;
        harmless::check(&fields)?;
        // Without an answer, an echo is all that there is to send.
        let least = u32::from(!logprobs.echo);
        let max_tokens = fields.count("max_tokens", least)?.unwrap_or(DEFAULT_MAX_TOKENS);
        let n = take_n(&mut fields)?;
        let (stream, stream_options) = StreamOptions::take(&mut fields)?;
        Ok(Self { model, prompt, sampling, max_tokens, n, stream, stream_options, logprobs, rest: fields.rest() })
    }
}

/// Reads texts or tokens out of the field `name`.
pub(super) fn parse_prompt(name: &str, value: Value) -> Result<Prompt, FieldError> {
    let wrong = || {
        FieldError::new(
            name,
            "invalid_type",
            "expected a string, an array of strings, an array of token ids or an array of arrays of token ids",
        )
    };
    match value {
        Value::String(text) => Ok(Prompt::Texts(vec![text])),
        Value::Array(items) if items.is_empty() => {
            Err(FieldError::new(name, "invalid_value", "must not be an empty array"))
        }
        Value::Array(items) if items[0].is_string() => {
            let texts = items.into_iter().map(|item| match item {
                Value::String(text) => Ok(text),
                _ => Err(wrong()),
            });
            Ok(Prompt::Texts(texts.collect::<Result<_, _>>()?))
        }
        Value::Array(items) if items[0].is_array() => {
            let lists = items.into_iter().map(|item| token_list(&item).ok_or_else(wrong));
            Ok(Prompt::Tokens(lists.collect::<Result<_, _>>()?))
        }
        list => Ok(Prompt::Tokens(vec![token_list(&list).ok_or_else(wrong)?])),
    }
}

fn token_list(value: &Value) -> Option<Vec<u32>> {
    value.as_array()?.iter().map(|item| item.as_u64().and_then(|id| u32::try_from(id).ok())).collect()
}

/// A whole answer, and also one event of a streamed answer (the API uses one shape for both).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// `cmpl-…`.
    pub id: String,
    /// Always `text_completion`.
    pub object: String,
    /// Unix seconds.
    pub created: i64,
    /// The model that answered.
    pub model: String,
    /// One per prompt and `n`; empty in the usage chunk of a stream.
    #[serde(default)]
    pub choices: Vec<CompletionChoice>,
    /// Token counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Changes when answers to the same seed may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_fingerprint: Option<String>,
}

/// One answer of a [`Completion`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletionChoice {
    /// `prompt index * n + choice`.
    #[serde(default)]
    pub index: u32,
    /// The text (in a stream: what is added to it).
    #[serde(default)]
    pub text: String,
    /// Log-probabilities in the legacy shape, when asked for.
    #[serde(default)]
    pub logprobs: Option<Value>,
    /// Why it ended; `null` in a stream before the end.
    #[serde(default)]
    pub finish_reason: Option<FinishReason>,
}
